#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "cli/sources.h"
#include "client/connection.h"

namespace penstock::cli {

/// The database that `bench write` fills, empties and drops. A table in it says that a bench made it; no database
/// without that table is ever touched. One thread.
class ScratchDatabase {
 public:
  struct Settings {
    std::string name;
    std::optional<data::Precision> precision;  ///< empty: the server's
    unsigned vgroups = 0;                      ///< 0: the server's
    bool keep = false;                         ///< do not drop it at the end
  };
  /// The name of the table that marks it.
  static constexpr const char* kMark = "penstock_bench_mark";

  /// Connects. Throws Error: what client::Connection::open() throws; config for a database of that name that no bench
  /// made.
  ScratchDatabase(client::Options target, Settings settings);
  /// Drops it unless it is to be kept; what fails then is said on standard error, with the SQL to do it by hand.
  ~ScratchDatabase();
  ScratchDatabase(const ScratchDatabase&) = delete;
  ScratchDatabase& operator=(const ScratchDatabase&) = delete;

  /// Makes it, empty; drops what an earlier call (or bench) left. Throws Error.
  TargetTimes renew();
  /// Rows of all its super tables, as COUNT(*) has them.
  std::uint64_t count();
  /// The target with this database.
  [[nodiscard]] const client::Options& options() const noexcept { return with_database_; }
  [[nodiscard]] const std::string& server_version() const { return connection_.server_version(); }

 private:
  void execute(const std::string& sql);
  [[nodiscard]] bool exists();
  [[nodiscard]] bool is_marked();
  void drop();

  Settings settings_;
  client::Options without_database_, with_database_;
  client::Connection connection_;
  bool ours_ = false;  // it is there, and a bench made it
};

}  // namespace penstock::cli
