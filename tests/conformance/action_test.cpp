// Sends the recorded payloads through the schemaless action of the sandbox over WebSocket, as the real server got them.

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "base/text.h"
#include "conformance/loading.h"
#include "conformance/records.h"
#include "conformance/state.h"
#include "format/line_parser.h"
#include "wire/schemaless.h"

namespace penstock::conformance {
namespace {

// Why the case cannot be sent over a WebSocket, or "".
std::string cannot_be_sent(const Record& record) {
  const bool line = record.protocol == LineProtocol::line;
  if (line && !format::time_unit_from_name(record.precision)) return "the action has no such precision";
  for (const auto& step : record.steps) {
    if (!is_utf8(step.payload)) return "a text message is UTF-8";
    if (step.only_array) return "the action has no array of lines";
  }
  return "";
}

std::string replay(const Sandbox& sandbox, client::Connection& reader, const Record& record, const std::string& name) {
  const CaseDatabase database(reader, name, record.db_precision, record.db_options);
  auto writer = sandbox.connect(name);
  for (const auto& sql : record.setup) writer.execute(sql);
  const ChangedSettings settings(reader, record.settings);
  const auto unit = format::time_unit_from_name(record.precision);
  const std::string precision = !unit || record.precision == "none" ? ""
                                : record.precision == "us"          ? "u"
                                                                    : record.precision;
  for (const auto& step : record.steps) {
    if (!step.sql.empty()) {
      writer.execute(step.sql);
      continue;
    }
    const auto answer =
        writer.wait(writer.send_schemaless(record.protocol, precision, step.payload, step.ttl, step.table_name_key));
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

class Action : public testing::TestWithParam<LineProtocol> {};

TEST_P(Action, AnswersAsTheServerDid) {
  const auto protocol = GetParam();
  PENSTOCK_NEED_RECORDS(protocol);
  const auto& expected = expectations(protocol);
  const auto& on_purpose = expected.as_action;
  const Sandbox sandbox;
  auto reader = sandbox.connect();
  Tally tally;
  int number = 0;
  for (const auto& record : records(protocol)) {
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
    if (const auto meant = on_purpose.find(record.name); meant != on_purpose.end()) {
      EXPECT_NE(difference, "") << record.name << " agrees by now: take it off the list";
      tally.set_aside(meant->second, record.name);
    } else if (difference.empty()) {
      tally.agree();
    } else {
      tally.differ(record.name, difference);
    }
  }
  tally.print(std::string("recorded payloads as schemaless actions, ") + protocol_name(protocol));
  EXPECT_EQ(tally.differing(), 0U);
  if (std::getenv("PENSTOCK_CASE") == nullptr) {
    EXPECT_GE(tally.agreeing(), expected.least_as_action);
  }
}

INSTANTIATE_TEST_SUITE_P(Protocols, Action, testing::ValuesIn(tested_protocols()),
                         [](const auto& tested) { return protocol_name(tested.param); });

}  // namespace
}  // namespace penstock::conformance
