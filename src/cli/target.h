#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "client/connection.h"
#include "client/dsn.h"
#include "data/types.h"
#include "schema/catalog.h"
#include "sink/schemaless_writer.h"
#include "sink/writer.h"

namespace CLI {
class App;
}
namespace penstock::sandbox {
class Server;
}
namespace penstock::sink {
struct TargetState;
}

namespace penstock::cli {

/// Flags that name the target.
struct TargetFlags {
  std::string to;
  std::string password_file;
  bool ask_password = false;
  bool wait = false;
  std::string request_timeout = "120s";
  std::string tls_ca, tls_cert, tls_key, tls_verify;
  bool create_database = false;
  std::string db_precision;
  std::string keep = "36500";
  unsigned vgroups = 0;
};
enum class DatabaseFlags { without, with };
void add_target_flags(CLI::App& command, TargetFlags& flags, DatabaseFlags database = DatabaseFlags::with);

/// Where rows go: `null:`, `sandbox:DIR` (a server in this process, on a free port) or a server by DSN.
class Target {
 public:
  /// Understands the DSN, takes the password from where it is, starts the sandbox. Throws Error(Errc::config).
  static std::unique_ptr<Target> resolve(const TargetFlags& flags);
  ~Target();

  [[nodiscard]] bool is_null() const noexcept { return null_; }
  [[nodiscard]] std::string display() const;
  /// The same for a later run from another folder: a sandbox by its absolute path.
  [[nodiscard]] std::string durable_name() const;
  [[nodiscard]] const client::Options& options() const noexcept { return options_; }
  /// Whether a missing database is made: --create-database, and always in a sandbox.
  [[nodiscard]] bool makes_database() const noexcept { return flags_.create_database || sandbox_; }
  /// --db-precision.
  [[nodiscard]] std::optional<data::Precision> wanted_precision() const;

  struct Database {
    data::Precision precision = data::Precision::milliseconds;
    std::int64_t first_ns = INT64_MIN;  ///< earliest time it takes, by its KEEP
    std::int64_t last_ns = INT64_MAX;
    std::string made;  ///< when, in milliseconds since 1970 as the server says it; empty: it does not say
  };
  using Say = std::function<void(const std::string&)>;
  /// Reaches the server (5 s; with --wait until it is there), in no database. Throws Error; a target without a database
  /// in its name is one.
  client::Connection connect_without_database(const std::stop_token& stop, const Say& say);
  /// Reaches the server (5 s; with --wait until it is there) and looks at the database; makes it when it is missing and
  /// --create-database was given (or the target is a sandbox), with the precision that `needed` tells. Throws Error.
  Database prepare_database(const std::function<data::Precision()>& needed, const std::stop_token& stop,
                            const Say& say);

  /// A connection of its own for the schema stage.
  std::unique_ptr<schema::Catalog> open_catalog(std::chrono::milliseconds retry_for, std::stop_token stop);
  struct WriterSettings {
    std::optional<sink::SchemalessWriter::Settings> schemaless;  ///< empty: by parameter binding
  };
  /// Connects. Throws Error.
  std::unique_ptr<sink::Writer> open_writer(const WriterSettings& settings, const sink::WriteOptions& options,
                                            sink::WriteObserver& observer, std::stop_token stop);

 private:
  Target() = default;
  TargetFlags flags_;
  bool null_ = false;
  bool sandbox_ = false;
  client::Options options_;
  std::shared_ptr<sink::TargetState> state_;  // shared by the catalog and all writers
  std::unique_ptr<sandbox::Server> server_;
};

/// How --write schemaless sends: `precision` and `table_name_key` as the flags have them.
sink::SchemalessWriter::Settings schemaless_settings(const std::string& precision, const std::string& table_name_key,
                                                     int ttl_days);

}  // namespace penstock::cli
