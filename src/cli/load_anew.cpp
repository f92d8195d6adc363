#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/load_run.h"
#include "client/connection.h"
#include "data/schema.h"

// When a value contradicts a type that was only inferred.
namespace penstock::cli {

// Whether the run ended because a value contradicted a type that was only inferred. Then the sources of the super table
// have been looked at from end to end, and what this attempt wrote into the table has been taken back.
bool Load::begins_anew(pipeline::RunResult& result) {
  if (!result.error) return false;
  try {
    std::rethrow_exception(result.error);
  } catch (const format::Contradiction& found) {
    say(fmt::format(
        "'{}' in column '{}' does not fit the type inferred for it in super table '{}': looking at all of its "
        "data",
        found.value, found.column, found.table));
    if (!opener_.learn(found, plan_.inputs, plan_.writing.threads, stop_.get_token())) {
      // What was written stays, and the same command mends it.
      result.error = nullptr;
      result.interrupted = true;
      return false;
    }
    const bool went_on = resumed();
    if (lasting_.journal) lasting_.journal->begin_anew();
    const bool taken_back = take_back(found.table, went_on);
    auto told = fmt::format("the load began anew with wider types for super table '{}', because of '{}' in column '{}'",
                            found.table, found.value, found.column);
    if (!taken_back) {
      // Its types stay as they are, as those of any table that was there before.
      lasting_.csv->ours.erase(found.table);
      if (lasting_.csv->on_ours) lasting_.csv->on_ours(lasting_.csv->ours);
      lasting_.csv->widened[found.table] = UINT32_MAX;
      told = fmt::format("the load began anew without wider types for super table '{}', which others use too",
                         found.table);
    }
    rejects_.remove_files();
    say(told);
    lasting_.csv->told.push_back(std::move(told));
    if (lasting_.journal)
      lasting_.journal->journal().remember("csv_restarts", nlohmann::json(lasting_.csv->told).dump());
    return true;
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): the report tells it
  }
  return false;
}

// Drops a super table that this run made. False: it holds what is not of this run, or must not be dropped.
// `resumed`: the child tables of earlier runs are not known by name.
bool Load::take_back(const std::string& table, bool resumed) {
  if (target_->is_null()) return true;
  const auto drop = fmt::format("DROP STABLE IF EXISTS {}", data::quote_identifier(table));
  try {
    auto connection = client::Connection::open(target_->options());
    auto children = connection.query(
        fmt::format("SELECT COUNT(*) FROM information_schema.ins_tables WHERE db_name = {} AND stable_name = {}",
                    data::quote_text(target_->options().database), data::quote_text(table)));
    std::uint64_t there = 0;
    while (children.next()) there = children.integer(0);
    std::uint64_t own = 0;
    for (std::uint32_t id = 0; id < registry_.child_count(); ++id) own += registry_.child(id).table->name == table;
    auto counted = connection.query(fmt::format("SELECT COUNT(*) FROM {}", data::quote_identifier(table)));
    std::uint64_t rows = 0;
    while (counted.next()) rows = counted.integer(0);
    // Rows with equal keys count once there, so this load alone never has more there than it read.
    if ((there > own && !resumed) || rows > ledger_.total().read) {
      say(
          fmt::format("super table '{}' has {} rows in {} child tables, more than this load can have written: another "
                      "program writes to it, so it is not dropped",
                      table, rows, there));
      return false;
    }
    say(drop);
    connection.execute(drop);
    return true;
  } catch (const Error& error) {
    say(fmt::format("{}: {}", drop, error.what()));
    return false;
  }
}

}  // namespace penstock::cli
