// Sends the recorded payloads through the schemaless action of the sandbox over WebSocket, as the real server got them.

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "base/text.h"
#include "conformance/loading.h"
#include "conformance/records.h"
#include "conformance/state.h"
#include "wire/schemaless.h"

namespace penstock::conformance {
namespace {

// Why the case cannot be sent over a WebSocket, or "".
std::string cannot_be_sent(const Record& record) {
  if (!format::time_unit_from_name(record.precision)) return "the action has no such precision";
  for (const auto& step : record.steps) {
    if (!is_utf8(step.payload)) return "a text message is UTF-8";
    if (step.only_array) return "the action has no array of lines";
  }
  return "";
}

// Cases where the sandbox means to do something else; docs/schemaless-differences.md has the reasons at length.
const std::map<std::string, std::string>& on_purpose() {
  static const std::string kTimestamp = "a super table with another timestamp column is left alone";
  static const std::string kFirst = "refused before anything is made, not after the super table or a child table";
  static const std::string kNames = "SQL cannot say the name";
  static const std::map<std::string, std::string> kCases{
      {"line/syntax/nul_in_field_key", kFirst},
      {"line/child_named/same_name_as_super_table", kFirst},
      {"line/child_delimiter/same_name_as_super_table", kFirst},
      {"line/child_named/same_name_two_measurements", kFirst},
      {"line/child_delimiter/two_measurements", kFirst},
      {"line/existing/column_name_is_tag", kFirst},
      {"line/name/dot_not_replaced", kNames},
      {"line/name/dot_in_measurement_not_replaced_two_calls", kNames},
      {"line/child/measurement_with_dot_not_replaced", kNames},
      {"line/existing/other_ts_name_two_calls", kTimestamp},
      {"line/existing/other_ts_name_new_column_only", kTimestamp},
      {"line/existing/other_ts_name_new_column_long_keep", kTimestamp},
      {"line/existing/other_ts_name_new_tag", kTimestamp},
      {"line/existing/ts_name_is_second_column", kTimestamp},
      {"line/existing/ts_name_is_second_column_long_keep", kTimestamp},
      {"line/existing/virtual_super_table", "the sandbox has no virtual tables"},
      {"line/child_delimiter/tags_differ_in_set", "the first line's tags make the child table, not those a hash picks"},
  };
  return kCases;
}

std::string replay(const Sandbox& sandbox, client::Connection& reader, const Record& record, const std::string& name) {
  const CaseDatabase database(reader, name, record.db_precision, record.db_options);
  auto writer = sandbox.connect(name);
  for (const auto& sql : record.setup) writer.execute(sql);
  const ChangedSettings settings(reader, record.settings);
  const std::string precision = record.precision == "us" ? "u" : record.precision == "none" ? "" : record.precision;
  for (const auto& step : record.steps) {
    if (!step.sql.empty()) {
      writer.execute(step.sql);
      continue;
    }
    const auto answer = writer.wait(
        writer.send_schemaless(wire::LineProtocol::line, precision, step.payload, step.ttl, step.table_name_key));
    if ((answer.code & 0xFFFF) != step.code)
      return fmt::format("wanted 0x{:04x}, got 0x{:04x} {}", step.code, answer.code & 0xFFFF, answer.message);
    if (step.code != 0) continue;
    if (answer.affected_rows != step.affected)
      return fmt::format("{} affected rows, not {}", answer.affected_rows, step.affected);
    if (!record.array_call && answer.total_rows != step.total)
      return fmt::format("{} lines in all, not {}", answer.total_rows, step.total);
  }
  return compare_states(record.state, read_state(reader, name), record.db_precision,
                        {.ttl = true, .winner_open = record.hash_order});
}

TEST(LineAction, AnswersAsTheServerDid) {
  PENSTOCK_NEED_LINE_RECORDS();
  const Sandbox sandbox;
  auto reader = sandbox.connect();
  Tally tally;
  int number = 0;
  for (const auto& record : line_records()) {
    if (const char* only = std::getenv("PENSTOCK_CASE"); only != nullptr && record.name.find(only) == std::string::npos)
      continue;
    if (const auto why = cannot_be_sent(record); !why.empty()) {
      tally.set_aside(why, record.name);
      continue;
    }
    std::string difference;
    try {
      difference = replay(sandbox, reader, record, fmt::format("c{}", number++));
    } catch (const std::exception& error) {
      difference = std::string("threw: ") + error.what();
    }
    if (const auto meant = on_purpose().find(record.name); meant != on_purpose().end()) {
      EXPECT_NE(difference, "") << record.name << " agrees by now: take it off the list";
      tally.set_aside(meant->second, record.name);
    } else if (difference.empty()) {
      tally.agree();
    } else {
      tally.differ(record.name, difference);
    }
  }
  tally.print("recorded payloads as schemaless actions");
  EXPECT_EQ(tally.differing(), 0U);
  if (std::getenv("PENSTOCK_CASE") == nullptr) {
    EXPECT_GE(tally.agreeing(), 946U);
  }
}

}  // namespace
}  // namespace penstock::conformance
