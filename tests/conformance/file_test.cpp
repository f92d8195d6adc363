// Loads the recorded payloads as files, by parameter binding, and compares the database with what the real server's own
// schemaless insert left behind.

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "conformance/loading.h"
#include "conformance/records.h"
#include "conformance/state.h"
#include "format/line_parser.h"

namespace penstock::conformance {
namespace {

// Of these the rules for payloads are the server's: read so, they must agree.
bool differs_as_file_only(const Record& record) {
  const auto& cases = expectations(record.protocol).as_file;
  const auto meant = cases.find(record.name);
  return meant != cases.end() && meant->second == kFileRules;
}

// "" when the loader does with the case what the server did. One loader for all steps, or one for each.
std::string replay(const Sandbox& sandbox, client::Connection& reader, const Record& record, const std::string& name,
                   bool one_loader, bool payload_rules) {
  const CaseDatabase database(reader, name, record.db_precision, record.db_options);
  const auto target = sandbox.target(name);
  std::optional<client::Connection> setup;
  const auto run = [&](const std::string& sql) {
    if (!setup) setup.emplace(sandbox.connect(name));
    setup->execute(sql);
  };
  for (const auto& sql : record.setup) run(sql);
  if (record.protocol == LineProtocol::line && !format::time_unit_from_name(record.precision))
    return record.steps[0].code == 0x3001 ? "" : "no such precision";  // the command line refuses it
  std::unique_ptr<Loader> loader;
  for (const auto& step : record.steps) {
    if (!step.sql.empty()) {
      run(step.sql);
      continue;
    }
    if (!loader || !one_loader)
      loader = std::make_unique<Loader>(
          Loader::Way::stmt, target, database,
          Loader::Settings{record.protocol, record.precision, record.naming(step), payload_rules, step.ttl});
    const auto before = loader->result().rejected.size();
    loader->load(step.payload);
    const auto& result = loader->result();
    if (result.read != result.written + result.rejected.size())
      return fmt::format("ledger: {} read, {} written, {} rejected", result.read, result.written,
                         result.rejected.size());
    bool refused_so = step.code == 0 && result.rejected.size() == before;
    // A call without a single line is an error of its own, which only its maker can tell.
    refused_so |= payload_rules && step.code == 0x3002 && result.read == 0;
    for (std::size_t i = before; i < result.rejected.size(); ++i) refused_so |= result.rejected[i].code == step.code;
    if (!refused_so) return fmt::format("wanted 0x{:04x}, got{}", step.code, result.reasons());
  }
  if (!record.accepted()) return "";
  // SQL cannot say a negative TTL, and nobody means one.
  const bool negative = std::any_of(record.steps.begin(), record.steps.end(), [](const Step& s) { return s.ttl < 0; });
  return compare_states(record.state, read_state(reader, name), record.db_precision,
                        {.ttl = !negative, .winner_open = record.hash_order});
}

class Files : public testing::TestWithParam<LineProtocol> {};

TEST_P(Files, BecomeWhatSchemalessInsertMakes) {
  const auto protocol = GetParam();
  PENSTOCK_NEED_RECORDS(protocol);
  const auto& expected = expectations(protocol);
  const auto& on_purpose = expected.as_file;
  const Sandbox sandbox;
  auto reader = sandbox.connect();
  Tally tally, together;
  int number = 0;
  for (const auto& record : records(protocol)) {
    if (const char* only = std::getenv("PENSTOCK_CASE"); only != nullptr && record.name.find(only) == std::string::npos)
      continue;
    const auto attempt = [&](bool one_loader, bool payload_rules) {
      try {
        return replay(sandbox, reader, record, fmt::format("c{}", number++), one_loader, payload_rules);
      } catch (const std::exception& error) {
        return std::string("threw: ") + error.what();
      }
    };
    const auto difference = attempt(false, false);
    const auto meant = on_purpose.find(record.name);
    if (meant != on_purpose.end()) {
      EXPECT_NE(difference, "") << record.name << " agrees by now: take it off the list";
      EXPECT_TRUE(!difference.starts_with("threw") || meant->second == kNoVirtualTables)
          << record.name << " ends the load: " << difference;
      if (!differs_as_file_only(record)) tally.set_aside(meant->second, record.name);
      else if (const auto other = attempt(false, true); other.empty()) tally.agree();
      else tally.differ(record.name + " (as payload)", other);
    } else if (difference.empty()) {
      tally.agree();
    } else {
      tally.differ(record.name, difference);
    }
    const bool has_sql =
        std::any_of(record.steps.begin(), record.steps.end(), [](const Step& s) { return !s.sql.empty(); });
    const bool one_key = std::all_of(record.steps.begin(), record.steps.end(),
                                     [&](const Step& s) { return s.table_name_key == record.steps[0].table_name_key; });
    const bool one_ttl = std::all_of(record.steps.begin(), record.steps.end(),
                                     [&](const Step& s) { return s.ttl == record.steps[0].ttl; });
    if (record.single() || has_sql || !one_key || !one_ttl || meant != on_purpose.end()) continue;
    if (const auto other = attempt(true, false); other.empty()) together.agree();
    else together.differ(record.name, other);
  }
  tally.print(std::string("recorded payloads as files, ") + protocol_name(protocol));
  together.print(std::string("recorded calls as chunks of one load, ") + protocol_name(protocol));
  EXPECT_EQ(tally.differing(), 0U);
  if (std::getenv("PENSTOCK_CASE") == nullptr) {
    EXPECT_GE(tally.agreeing(), expected.least_as_file);
  }
  EXPECT_EQ(together.differing(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Protocols, Files, testing::ValuesIn(tested_protocols()),
                         [](const auto& tested) { return protocol_name(tested.param); });

}  // namespace
}  // namespace penstock::conformance
