#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/connection.h"
#include "data/types.h"
#include "pipeline/run.h"

namespace penstock::cli {

/// One thing about the target, judged against the data.
struct Finding {
  enum class Level : std::uint8_t {
    ok,
    unknown,  ///< the server does not tell
    warning,  ///< rows may be lost or slow; the load can begin
    failure,  ///< the load cannot work
  };
  Level level = Level::ok;
  std::string subject;  ///< "version", "rights", "precision" …
  std::string text;     ///< one sentence
  std::string mend;     ///< SQL or a flag that mends it; may be empty
};
/// "ok", "unknown", "warn", "fail".
const char* level_name(Finding::Level level) noexcept;

/// A super table of the data beside what stands on the server.
struct TableFinding {
  std::string name;
  bool exists = false;
  bool is_virtual = false;
  std::string refused;               ///< why no row can go there; empty: they can
  std::uint64_t misfits = 0;         ///< rows that do not fit its columns or tags
  std::vector<std::string> changes;  ///< SQL that the load will run
};

/// What is known of the data.
struct DataView {
  bool sample = false;                       ///< only the heads of the sources were looked at
  std::optional<data::Precision> precision;  ///< the finest that a source needs; empty: no source has rows
  std::string finest_source;
  std::optional<pipeline::Instant> first, last;  ///< of the rows that were looked at
  std::uint64_t rows = 0;
  std::uint64_t too_old = 0;  ///< of these rows: older than the database keeps
  std::uint64_t child_tables = 0;
  std::vector<TableFinding> tables;
};

/// What the server says of itself; empty where it gave no answer.
struct TargetView {
  struct Database {
    data::Precision precision = data::Precision::milliseconds;
    std::int64_t keep_minutes = 0;
  };
  struct User {
    bool super = false;
    bool enabled = true;
    bool creates_databases = false;
  };
  std::string endpoint, version, user, database_name;
  std::optional<Database> database;  ///< empty: there is none of that name, or it cannot be seen
  std::optional<User> account;
  std::optional<std::vector<std::string>> privileges;  ///< of the account on this database: "read", "write", "all" …
  std::optional<std::int64_t> free_vnodes;
  std::optional<bool> licence_expired;
  std::map<std::string, std::uint64_t> child_tables;  ///< by super table
};

/// Asks the server. What it does not answer stays empty; throws only when the connection is lost.
TargetView look_at_target(client::Connection& connection, const std::string& database);

/// What a load is about to do.
struct LoadIntent {
  bool create_database = false;
  bool allow_precision_loss = false;
  std::string keep = "36500";
  unsigned vgroups = 0;  ///< of a new database; 0: the server's default
  std::uint64_t max_child_tables = 1'000'000;
};

/// Compares: one finding a subject, super tables one each. Pure.
std::vector<Finding> judge(const TargetView& target, const DataView& data, const LoadIntent& intent,
                           pipeline::Instant now);

/// "  warn  keep       text\n        mend: SQL\n" for each.
std::string to_text(const std::vector<Finding>& findings);

/// The largest of KEEP's values as SHOW has them ("3650d,3650d,3650d") in minutes; 0 if unreadable.
std::int64_t keep_minutes(std::string_view text);

}  // namespace penstock::cli
