#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/catalog.h"
#include "sandbox/engine.h"
#include "sandbox/sql_parser.h"
#include "sandbox/store.h"
#include "sandbox/value_time.h"
#include "schema/naming.h"

/// What the statements share: the databases, and the session that runs them.
namespace penstock::sandbox {

class Subscriptions;

/// All databases and users. Any thread.
class Instance {
 public:
  explicit Instance(Engine::Options options);
  ~Instance();

  /// nullptr: there is none.
  std::shared_ptr<Database> find(std::string_view name) const;
  /// In order of creation.
  std::vector<std::shared_ptr<Database>> all() const;
  /// Throws RefusalError 0x0381 when it exists.
  void create(const std::string& name, const DatabaseOptions& options);
  /// Removes the file too. False: there was none.
  bool drop(std::string_view name);

  /// How schemaless insert makes names; ALTER LOCAL changes it for all sessions, as in one adapter's process.
  schema::NamingRules naming() const;
  /// False: schemaless insert has no setting of that name. Throws RefusalError 0x0118 for a value it cannot have.
  bool set_naming(std::string_view name, std::string_view value);

  std::unique_ptr<Subscriptions> subscriptions;

  std::mutex users_mutex;
  std::map<std::string, std::string, std::less<>> users;  ///< name, password

 private:
  [[nodiscard]] std::filesystem::path file_of(std::string_view name) const;
  void number_vgroups(Database& database);
  const std::filesystem::path directory_;
  const Store::Rows rows_;
  mutable std::shared_mutex mutex_;
  schema::NamingRules naming_;
  std::map<std::string, std::shared_ptr<Database>, std::less<>> databases_;
  std::int32_t last_vgroup_ = 1;
};

/// One connection's state.
struct SessionContext {
  std::shared_ptr<Instance> instance;
  std::string user;
  std::string database;
  std::shared_ptr<const TimeZone> zone;
};

/// A database while its mutex is held.
class LockedDatabase {
 public:
  explicit LockedDatabase(std::shared_ptr<Database> database)
      : database_(std::move(database)), lock_(database_->mutex) {}
  Database* operator->() const noexcept { return database_.get(); }
  Database& operator*() const noexcept { return *database_; }

 private:
  std::shared_ptr<Database> database_;
  std::unique_lock<std::mutex> lock_;
};

/// The database of that name ("" = the session's). Throws RefusalError: 0x2616 none chosen, 0x0388 missing.
LockedDatabase open_database(const SessionContext& context, std::string_view name);
inline bool is_system_database(std::string_view name) noexcept {
  return name == "information_schema" || name == "performance_schema";
}

// One function a kind of statement; the cursor stands behind the words that chose it.
Answer run_create(SessionContext& context, Cursor& in);
Answer run_alter(SessionContext& context, Cursor& in);
Answer run_drop(SessionContext& context, Cursor& in);
Answer run_create_database(SessionContext& context, Cursor& in);
Answer run_alter_database(SessionContext& context, Cursor& in);
Answer run_create_table(SessionContext& context, Cursor& in, bool stable);
Answer run_alter_table(SessionContext& context, Cursor& in, bool stable);
Answer run_show(SessionContext& context, Cursor& in);
Answer run_describe(SessionContext& context, Cursor& in);
Answer run_delete(SessionContext& context, Cursor& in);
Answer run_insert(SessionContext& context, std::string_view sql);
Answer run_insert_select(SessionContext& context, Cursor& in);
/// Binding writes into the tree: it serves once.
Answer run_select(const SessionContext& context, Select& select, std::span<const Datum> parameters = {});

/// Columns and rows of information_schema.NAME or performance_schema.NAME; nullopt: there is no such table.
struct SystemTable {
  std::vector<data::Column> columns;
  std::vector<std::vector<Datum>> rows;
};
std::optional<SystemTable> system_table(const SessionContext& context, std::string_view schema, std::string_view name);

ResultField result_field(std::string name, const TypeInfo& type);

}  // namespace penstock::sandbox
