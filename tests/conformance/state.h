#pragma once

#include <string>

#include "client/connection.h"
#include "conformance/records.h"

/// What stands in a database, read with SQL and shown as the records show it.
namespace penstock::conformance {

/// Members super_tables, child_tables (with ttl) and rows as in a record; a tag has its text only.
json read_state(client::Connection& connection, const std::string& database);

struct Comparison {
  bool ttl = true;           ///< of child tables
  bool winner_open = false;  ///< which of several tag sets or values won is not told (hash_order)
};
/// "" when both show the same, else the first difference. `wanted` may say "now" for a time close to `now_ns`, hold
/// "read_error" for rows that the real server could not read, and `text` beside `value` for tags.
std::string compare_states(const json& wanted, const json& have, const std::string& db_precision, Comparison how = {});

}  // namespace penstock::conformance
