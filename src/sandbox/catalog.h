#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/schema.h"
#include "sandbox/engine.h"

/// What the sandbox knows of databases and tables. Guarded by Database::mutex.
namespace penstock::sandbox {

class ChangeLog;
class Store;

/// A column or tag with what the catalog adds to its declaration.
struct ColumnInfo {
  data::Column column;
  std::uint16_t id = 0;                            ///< never used again within its table: rows outlive ALTERs
  std::string encode, compress, level = "medium";  ///< only shown
  bool added = false;  ///< by ALTER: such columns have no block aggregates, which SHOW CREATE tells
};

/// Where the values of a packed row lie; a table has one for each set of columns it ever had. Rows name theirs by
/// index. Row: u16 index, two state bits a slot (Value::State), fixed area, variable area. A fixed slot is the value,
/// a variable one the u32 end of its text in the variable area (it begins where the one before ends).
struct Layout {
  struct Slot {
    std::uint16_t column_id = 0;
    data::Type type = data::Type::null;
    std::uint32_t offset = 0;  ///< in the fixed area
    std::uint32_t size = 0;
  };
  std::uint16_t index = 0;
  std::vector<Slot> slots;  ///< without the timestamp, which is the key
  std::size_t state_bytes = 0;
  std::size_t fixed_bytes = 0;

  [[nodiscard]] std::size_t head_bytes() const noexcept { return 2 + state_bytes + fixed_bytes; }
};

struct Child;

/// A super table, or a normal table (which has no tags and one child: itself).
struct Table {
  std::uint32_t id = 0;
  bool super = true;
  std::string name;
  std::vector<ColumnInfo> columns;  ///< [0] is the timestamp
  std::vector<ColumnInfo> tags;
  std::uint16_t next_column_id = 0;
  std::uint64_t version = 1;  ///< grows with each ALTER: makes prepared statements stale
  std::string comment;
  bool has_comment = false;
  std::int32_t ttl = 0;
  std::int64_t created = 0;
  std::vector<std::shared_ptr<const Layout>> layouts;
  std::vector<Child*> children;

  [[nodiscard]] const Layout& layout() const noexcept { return *layouts.back(); }
  /// Appends the layout of the present columns.
  void add_layout();
  [[nodiscard]] bool composite_key() const noexcept { return columns.size() > 1 && columns[1].column.composite_key; }
  [[nodiscard]] int column(std::string_view name_) const noexcept;  ///< index or -1
  [[nodiscard]] int tag(std::string_view name_) const noexcept;
};

/// A table that has rows: a child of a super table, or a normal table.
struct Child {
  std::uint32_t id = 0;
  Table* table = nullptr;
  std::string name;
  std::vector<Value> tags;  ///< in the order of table->tags
  std::string comment;
  bool has_comment = false;
  std::int32_t ttl = 0;
  std::int64_t created = 0;
  std::int64_t rows = 0;
};

/// Options of CREATE DATABASE as shown by the system tables.
struct DatabaseOptions {
  std::map<std::string, std::string> values;  ///< upper-case names; defaults filled in
  data::Precision precision = data::Precision::milliseconds;
  std::int64_t keep_minutes = 3650 * 1440;  ///< the largest of the three
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

class Database {
 public:
  Database(std::string name, std::unique_ptr<Store> store);
  ~Database();

  struct Found {
    Table* table = nullptr;  ///< nullptr: no such name
    Child* child = nullptr;  ///< nullptr: the name is a super table's
  };
  [[nodiscard]] Found find(std::string_view table) const;

  Table& add_table(Table table);
  /// The child of a super table, or the rows of a normal table; stored at once.
  Child& add_child(Child child);
  void save(const Table& table);
  void save(const Child& child);
  void save_options();
  /// Takes a child out of memory only: its transaction did not commit.
  void forget(std::uint32_t child);
  /// Removes tables and their rows.
  void drop(Child& child);
  void drop(Table& table);

  /// First and last timestamp that the server would store now.
  void time_range(std::int64_t& first, std::int64_t& last) const;

  const std::string name;
  DatabaseOptions options;
  std::int64_t created = 0;
  std::mutex mutex;
  bool dropped = false;
  std::unique_ptr<Store> store;
  std::vector<std::int32_t> vgroups;   ///< their numbers; set when the database is made
  std::unique_ptr<ChangeLog> changes;  ///< what consumers read; null while no topic reads this database
  std::map<std::uint32_t, std::unique_ptr<Table>> tables;    ///< by id: in order of creation
  std::map<std::uint32_t, std::unique_ptr<Child>> children;  ///< by id

 private:
  friend class CatalogLoader;
  void load();
  std::unordered_map<std::string, Found, TextHash, std::equal_to<>> by_name_;
  std::uint32_t next_id_ = 1;
};

/// "VARCHAR", "DECIMAL(10, 2)" as DESCRIBE spells types.
std::string describe_type(const data::Column& column);
/// "delta-i", "lz4" … that the server shows for a type.
void set_default_codec(ColumnInfo& column);
/// The definition as JSON and back: what the store keeps.
std::string to_json(const Table& table);
Table table_from_json(std::string_view text);
/// Tag values as bytes, by tag id.
std::string pack_tags(const Table& table, const std::vector<Value>& tags);
std::vector<Value> unpack_tags(const Table& table, std::string_view bytes);

}  // namespace penstock::sandbox
