// Whole loads into the sandbox while the schema changes under way: small chunks, many lanes, statements of both modes.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/error.h"
#include "client/connection.h"
#include "data/schema.h"
#include "format/line_parser.h"
#include "pipeline/run.h"
#include "sandbox/server.h"
#include "sink/server_catalog.h"
#include "sink/stmt_writer.h"
#include "sink/test_run.h"
#include "wire/schemaless.h"

namespace penstock::sink {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int64_t kStart = 1'700'000'000'000'000'000;

struct Settings {
  std::size_t chunk_bytes = 4096;
  unsigned threads = 4;
  std::uint32_t lanes = 6;
  std::uint32_t batch_rows = 9;
  std::size_t window_rows = 40;
  bool coerce = false;
};

class SharedObserver : public TestObserver {
 public:
  void rejected(const ParsedChunk& chunk, const data::Row& row, std::int32_t code, std::string_view reason) override {
    const std::lock_guard lock(mutex_);
    TestObserver::rejected(chunk, row, code, reason);
  }
  void acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t by_precision, std::uint64_t runs,
                    std::uint64_t bytes, std::chrono::nanoseconds latency) override {
    const std::lock_guard lock(mutex_);
    TestObserver::acknowledged(rows, merged, by_precision, runs, bytes, latency);
  }
  void retried() override {
    const std::lock_guard lock(mutex_);
    TestObserver::retried();
  }

 private:
  std::mutex mutex_;
};

struct Outcome {
  std::uint64_t read = 0, written = 0, rejected = 0, retries = 0;
  std::vector<std::string> reasons;
  std::string error;
};

class GrowthLoad : public testing::Test {
 protected:
  GrowthLoad() : folder_(fs::temp_directory_path() / ("penstock-growth-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~GrowthLoad() override { fs::remove_all(folder_); }

  [[nodiscard]] client::Options target(const std::string& database) const {
    client::Options options;
    options.endpoints = {{"127.0.0.1", server_.port()}};
    options.database = database;
    return options;
  }
  void create(const std::string& database) {
    client::Connection::open(target("")).execute("CREATE DATABASE " + database + " PRECISION 'ns' KEEP 36500");
  }

  Outcome load(const std::string& text, const std::string& database, const Settings& settings) {
    const auto path = folder_ / (database + "-" + std::to_string(files_++) + ".line");
    std::ofstream(path, std::ios::binary) << text;
    MemoryBudget budget(std::size_t{256} << 20);
    schema::Registry registry;
    ServerCatalog catalog(target(database), std::chrono::seconds(30), {});
    schema::Growth::Options growth_options;
    growth_options.coerce = settings.coerce;
    schema::Growth growth(catalog, registry, growth_options);
    report::Counters counters;
    pipeline::Ledger ledger(1);
    pipeline::Rejects::Options to;
    to.path = path.string() + ".rejects";
    to.early_share = 1;
    std::vector<pipeline::Rejects::Source> sources(1);
    sources[0].name = path.filename().string();
    sources[0].extension = "line";
    pipeline::Rejects rejects(to, sources);
    SharedObserver observer;
    WriteOptions write;
    write.batch_rows = settings.batch_rows;
    write.precision = data::Precision::nanoseconds;
    write.retry_for = std::chrono::seconds(30);
    pipeline::LaneOptions lane;
    lane.first_window_rows = settings.window_rows;
    lane.min_window_rows = settings.window_rows;
    lane.rows_per_child = 1;
    lane.max_window_bytes = std::size_t{8} << 20;
    pipeline::LaneGroup lanes(settings.lanes, lane, budget, ledger, counters, registry, [&](std::uint32_t) {
      return std::make_unique<StmtWriter>(target(database), write, observer, std::stop_token());
    });
    pipeline::RunPlan plan;
    plan.inputs = {{path.filename().string(), path, false, 0}};
    plan.open = [&](const io::Input& input, std::uint32_t) {
      io::ReadOptions read;
      read.chunk_bytes = settings.chunk_bytes;
      pipeline::OpenedSource opened;
      opened.reader = io::Reader::open(input, read);
      opened.parsers = std::make_shared<pipeline::ParserPool>(
          [&registry] { return std::make_unique<format::LineParser>(registry); });
      opened.format = opened.reject_extension = "line";
      return opened;
    };
    plan.growth = &growth;
    plan.lanes = &lanes;
    plan.rejects = &rejects;
    plan.ledger = &ledger;
    plan.budget = &budget;
    plan.counters = &counters;
    plan.threads = settings.threads;
    plan.chunk_bytes = settings.chunk_bytes;
    Outcome outcome;
    plan.look = [&](ParsedChunk& chunk) {
      for (const auto& reject : chunk.rows.rejects()) outcome.reasons.push_back(reject.reason.text);
    };
    const auto result = pipeline::run(plan, {});
    try {
      if (result.error) std::rethrow_exception(result.error);
    } catch (const std::exception& error) {
      outcome.error = error.what();
    }
    const auto total = ledger.total();
    outcome.read = total.read;
    outcome.written = total.written;
    outcome.rejected = total.rejected;
    outcome.retries = observer.retries;
    for (const auto& reason : observer.reasons) outcome.reasons.push_back(reason);
    return outcome;
  }

  // All that stands in a database, without the widths of texts, the order of columns, and what no row gives.
  json state(const std::string& database) {
    auto connection = client::Connection::open(target(database));
    json seen{{"tables", json::object()}, {"rows", json::object()}};
    auto names = connection.query("SELECT stable_name FROM information_schema.ins_stables WHERE db_name = " +
                                  data::quote_text(database));
    while (names.next()) seen["tables"][names.text(0)] = json::object();
    for (auto& [table, columns] : seen["tables"].items()) {
      auto described = connection.query("DESCRIBE " + data::quote_identifier(table));
      while (described.next()) columns[described.text(0)] = described.text(1) + described.text(3);
      auto rows = connection.query("SELECT tbname, * FROM " + data::quote_identifier(table));
      while (rows.next()) {
        json row;
        for (std::size_t c = 2; c < rows.fields().size(); ++c)
          if (!rows.is_null(c)) row[rows.fields()[c].name] = rows.text(c);
        seen["rows"][table + " " + rows.text(0) + " " + rows.text(1)] = row;
      }
    }
    return seen;
  }

  // Compares with a message that can be read.
  static void expect_same(const json& left, const json& right) {
    for (const char* const part : {"tables", "rows"}) {
      EXPECT_EQ(left[part].size(), right[part].size()) << part;
      for (const auto& [name, item] : left[part].items()) {
        ASSERT_TRUE(right[part].contains(name)) << part << " " << name;
        ASSERT_EQ(item, right[part][name]) << part << " " << name;
      }
    }
  }

  fs::path folder_;
  std::atomic<int> files_{0};
  sandbox::Server server_{sandbox::Server::Options{}};
};

// Every hundred lines or so there are new fields, new tags, longer texts. `own`: prefix of fields that only this input
// has.
std::string growing(std::uint32_t seed, int lines, int children, const std::string& own) {
  std::mt19937 random(seed);
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
  std::string text;
  for (int i = 0; i < lines; ++i) {
    const int phase = i / 90;
    text += fmt::format("grow{},host=h{}", below(3), below(children));
    if (phase % 3 == 1) text += fmt::format(",zone={}", std::string(static_cast<std::size_t>(1 + phase * 3), 'z'));
    if (phase % 4 == 2) text += fmt::format(",tag{}=x", phase);
    text += fmt::format(" {}{}={}i,shared{}={}.5", own, phase, i, phase, i);
    if (phase > 0 && below(2) == 0) text += fmt::format(",{}{}={}i", own, below(phase), i);
    if (i % 4 == 0)
      text += fmt::format(",text=\"{}\"", std::string(static_cast<std::size_t>(below(1 + 20 * phase)), 't'));
    if (i % 7 == 0)
      text += fmt::format(",wide=L\"{}é\"", std::string(static_cast<std::size_t>(below(1 + 9 * phase)), 'w'));
    text += fmt::format(" {}\n", kStart + i);
  }
  return text;
}

TEST_F(GrowthLoad, MakesTheSameTablesWithManyLanesAsWithOneAndAsTheServersOwnInsert) {
  constexpr int kLines = 1000;
  for (const int children : {40, 2}) {  // short runs for interlace mode, long ones for standard mode
    SCOPED_TRACE(children);
    const auto text = growing(1, kLines, children, "f");
    const std::string base = "b" + std::to_string(children);
    create(base + "one");
    auto outcome = load(text, base + "one", {std::size_t{1} << 20, 1, 1, 20'000, 50'000, false});
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.written, static_cast<std::uint64_t>(kLines));
    const auto wanted = state(base + "one");
    const Settings ways[] = {{2048, 4, 8, 7, 30, false}, {8192, 3, 3, 400, 700, false}, {700, 2, 1, 3, 5, false}};
    int number = 0;
    for (const auto& way : ways) {
      SCOPED_TRACE(number);
      const auto database = base + "way" + std::to_string(number++);
      create(database);
      outcome = load(text, database, way);
      EXPECT_EQ(outcome.error, "");
      EXPECT_EQ(outcome.rejected, 0u) << (outcome.reasons.empty() ? "" : outcome.reasons[0]);
      EXPECT_EQ(outcome.written, static_cast<std::uint64_t>(kLines));
      expect_same(state(database), wanted);
    }
    create(base + "action");
    client::Connection::open(target(base + "action")).insert_schemaless(wire::LineProtocol::line, "ns", text, 0, "");
    expect_same(state(base + "action"), wanted);
  }
}

TEST_F(GrowthLoad, LosesNothingWhenTwoLoadersChangeTheSameTables) {
  constexpr int kLines = 600;
  for (const int children : {25, 2}) {
    SCOPED_TRACE(children);
    const std::string text[] = {growing(1, kLines, children, "left"), growing(2, kLines, children, "right")};
    const std::string both = "both" + std::to_string(children);
    const std::string after = "after" + std::to_string(children);
    create(both);
    create(after);
    Outcome outcomes[2];
    {
      std::jthread left([&] { outcomes[0] = load(text[0], both, {2048, 2, 3, 7, 30, false}); });
      std::jthread right([&] { outcomes[1] = load(text[1], both, {3000, 2, 3, 60, 100, false}); });
    }
    for (const auto& outcome : outcomes) {
      EXPECT_EQ(outcome.error, "");
      EXPECT_EQ(outcome.rejected, 0u) << (outcome.reasons.empty() ? "" : outcome.reasons[0]);
      EXPECT_EQ(outcome.written, static_cast<std::uint64_t>(kLines));
    }
    EXPECT_GT(outcomes[0].retries + outcomes[1].retries, 0u) << "they did not meet";
    // One after the other. Of rows with one key it is open who came last: what both sides give is not compared.
    load(text[0], after, {});
    load(text[1], after, {});
    auto have = state(both);
    auto wanted = state(after);
    EXPECT_EQ(have["tables"], wanted["tables"]);
    ASSERT_EQ(have["rows"].size(), wanted["rows"].size());
    for (const auto& [key, row] : wanted["rows"].items())
      for (const auto& [name, value] : row.items())
        if (name.starts_with("left") || name.starts_with("right")) {
          ASSERT_EQ(have["rows"][key][name], value) << key << " " << name;
        }
  }
}

TEST_F(GrowthLoad, SurvivesAnAdministratorWhoAltersTheTablesAllTheTime) {
  constexpr int kLines = 600;
  const auto text = growing(3, kLines, 20, "f");
  create("calm");
  load(text, "calm", {});
  create("busy");
  std::atomic<bool> done{false};
  int changes = 0;
  Outcome outcome;
  {
    std::jthread administrator([&] {
      auto connection = client::Connection::open(target("busy"));
      while (!done) {
        try {
          connection.execute(fmt::format("ALTER STABLE grow{} ADD COLUMN theirs{} INT", changes % 3, changes));
          ++changes;
        } catch (const Error&) {
          // Not there yet.
        }
      }
    });
    outcome = load(text, "busy", {2048, 2, 4, 7, 30, false});
    done = true;
  }
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.rejected, 0u) << (outcome.reasons.empty() ? "" : outcome.reasons[0]);
  EXPECT_EQ(outcome.written, static_cast<std::uint64_t>(kLines));
  EXPECT_GT(outcome.retries, 0u);
  EXPECT_GT(changes, 10);
  const auto have = state("busy");
  const auto wanted = state("calm");
  EXPECT_EQ(have["rows"], wanted["rows"]);
}

TEST_F(GrowthLoad, ConvertsTypesTheSameWithAnyNumberOfThreads) {
  // The first line of a field decides its type; later ones have others.
  std::mt19937 random(9);
  std::string text;
  constexpr int kLines = 1500;
  for (int i = 0; i < kLines; ++i) {
    text += fmt::format("m,host=h{} ", random() % 20);
    const int field = i / 60;
    switch (random() % 5) {
      case 0: text += fmt::format("f{}={}i", field, random() % 100); break;
      case 1: text += fmt::format("f{}={}", field, random() % 100); break;
      case 2: text += fmt::format("f{}={}.5", field, random() % 100); break;
      case 3: text += fmt::format("f{}=\"{}\"", field, random() % 100000); break;
      default: text += fmt::format("f{}={}u8", field, random() % 100); break;
    }
    text += fmt::format(" {}\n", kStart + i);
  }
  create("typed0");
  const auto first = load(text, "typed0", {2048, 1, 1, 500, 500, true});
  EXPECT_EQ(first.error, "");
  EXPECT_EQ(first.read, first.written + first.rejected);
  EXPECT_GT(first.rejected, 0u);
  EXPECT_GT(first.written, static_cast<std::uint64_t>(kLines / 2));
  const auto wanted = state("typed0");
  create("typed1");
  const auto second = load(text, "typed1", {2048, 4, 6, 9, 30, true});
  EXPECT_EQ(second.reasons, first.reasons);
  expect_same(state("typed1"), wanted);
}

}  // namespace
}  // namespace penstock::sink
