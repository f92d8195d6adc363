// Loads the same lines by parameter binding and by schemaless insert: what stands in the two databases is the same.

#include <gtest/gtest.h>
#include <zlib.h>

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "base/text.h"
#include "conformance/loading.h"
#include "conformance/records.h"
#include "conformance/state.h"

namespace penstock::conformance {
namespace {

struct Both {
  json stmt, schemaless;
  Loaded by_stmt, by_schemaless;
};

Both load_both(const Sandbox& sandbox, client::Connection& reader, const Record& record, const std::string& name,
               const std::vector<std::string>& chunks) {
  Both both;
  const ChangedSettings settings(reader, record.settings);
  for (const auto way : {Loader::Way::stmt, Loader::Way::schemaless}) {
    const bool stmt = way == Loader::Way::stmt;
    const auto database_name = name + (stmt ? "s" : "l");
    const CaseDatabase database(reader, database_name, record.db_precision, record.db_options);
    const auto target = sandbox.target(database_name);
    if (!record.setup.empty()) {
      auto setup = sandbox.connect(database_name);
      for (const auto& sql : record.setup) setup.execute(sql);
    }
    Loader loader(way, target, database, {record.protocol, record.precision, record.naming(record.steps[0]), false});
    for (const auto& chunk : chunks) loader.load(chunk);
    (stmt ? both.by_stmt : both.by_schemaless) = loader.result();
    (stmt ? both.stmt : both.schemaless) = read_state(reader, database_name);
  }
  return both;
}

class BothWays : public testing::TestWithParam<LineProtocol> {};

TEST_P(BothWays, MakeTheSameOfRecordedPayloads) {
  const auto protocol = GetParam();
  PENSTOCK_NEED_RECORDS(protocol);
  const auto& expected = expectations(protocol);
  const auto& on_purpose = expected.both_ways;
  const Sandbox sandbox;
  auto reader = sandbox.connect();
  Tally tally;
  int number = 0;
  for (const auto& record : records(protocol)) {
    if (const char* only = std::getenv("PENSTOCK_CASE"); only != nullptr && record.name.find(only) == std::string::npos)
      continue;
    if (!record.single() || !record.accepted()) continue;
    if (!is_utf8(record.steps[0].payload)) {
      tally.set_aside("lines that are not UTF-8 cannot be forwarded", record.name);
      continue;
    }
    if (const auto meant = on_purpose.find(record.name); meant != on_purpose.end()) {
      tally.set_aside(meant->second, record.name);
      continue;
    }
    std::string difference;
    try {
      const auto both = load_both(sandbox, reader, record, fmt::format("c{}", number++), {record.steps[0].payload});
      difference = compare_states(both.schemaless, both.stmt, record.db_precision, {.ttl = true, .winner_open = false});
      if (difference.empty() && both.by_stmt.rejected.size() != both.by_schemaless.rejected.size())
        difference = "rejects by stmt:" + both.by_stmt.reasons() + ", by schemaless:" + both.by_schemaless.reasons();
    } catch (const std::exception& error) {
      difference = std::string("threw: ") + error.what();
    }
    if (difference.empty()) tally.agree();
    else tally.differ(record.name, difference);
  }
  tally.print(std::string("recorded payloads written both ways, ") + protocol_name(protocol));
  EXPECT_EQ(tally.differing(), 0U);
  if (std::getenv("PENSTOCK_CASE") == nullptr) {
    EXPECT_GE(tally.agreeing(), expected.least_both_ways);
  }
}

INSTANTIATE_TEST_SUITE_P(Protocols, BothWays, testing::ValuesIn(tested_protocols()),
                         [](const auto& tested) { return protocol_name(tested.param); });

// Lines of an agent, as it wrote them, cut into chunks of some hundred lines.
std::vector<std::string> telegraf_chunks(std::size_t most_lines) {
  std::vector<std::string> chunks;
  gzFile file = gzopen("datasets/telegraf.line.gz", "rb");
  if (file == nullptr) return chunks;
  std::vector<char> line(1 << 16);
  for (std::size_t lines = 0; lines < most_lines && gzgets(file, line.data(), static_cast<int>(line.size())) != nullptr;
       ++lines) {
    if (lines % 700 == 0) chunks.emplace_back();
    chunks.back() += line.data();
  }
  gzclose(file);
  return chunks;
}

TEST(WaysToWrite, MakeTheSameOfTelegrafsLines) {
  const auto chunks = telegraf_chunks(6'000);
  ASSERT_FALSE(chunks.empty()) << "datasets/telegraf.line.gz cannot be read";
  const Sandbox sandbox;
  auto reader = sandbox.connect();
  Record record;
  record.precision = "ns";
  record.db_precision = "ns";
  record.steps.emplace_back();
  const auto both = load_both(sandbox, reader, record, "telegraf", chunks);
  EXPECT_EQ(both.by_stmt.rejected.size(), 0U) << both.by_stmt.reasons();
  EXPECT_EQ(both.by_schemaless.rejected.size(), 0U) << both.by_schemaless.reasons();
  EXPECT_GT(both.stmt["super_tables"].size(), 5U);
  EXPECT_GT(both.stmt["child_tables"].size(), 5U);
  EXPECT_EQ(compare_states(both.schemaless, both.stmt, "ns"), "");
}

}  // namespace
}  // namespace penstock::conformance
