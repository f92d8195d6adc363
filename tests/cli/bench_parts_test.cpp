#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/bench_feed.h"
#include "cli/bench_input.h"
#include "cli/bench_write_report.h"

namespace penstock::cli {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

TEST(GeneratedLines, HasTheRowsThatAreAskedFor) {
  struct Case {
    BenchShape shape;
    std::uint64_t tables;
    std::string begins;
  };
  for (const auto& [shape, tables, begins] : {Case{{"cpu-only", 0, 10, 1'000}, 10, "cpu,hostname=host_0,"},
                                              Case{{"iot", 0, 10, 1'000}, 0, "readings,name=truck_0,"},
                                              Case{{"cpu-only", 3, 7, 100}, 7, "bench,device=d_0,site=s_0 c0="}}) {
    const GeneratedLines made(shape);
    EXPECT_EQ(made.rows(), shape.rows);
    const auto lines = lines_of(made.text());
    ASSERT_EQ(lines.size(), shape.rows);
    EXPECT_TRUE(lines.front().starts_with(begins)) << lines.front();
    if (tables > 0) {
      EXPECT_EQ(made.child_tables(), tables);
    }
    // The same bytes each time, and behind them what parsers may read.
    EXPECT_EQ(GeneratedLines(shape).text(), made.text());
    for (std::size_t i = 0; i < io::kPadding; ++i) EXPECT_EQ(made.text().data()[made.text().size() + i], '\0');
  }
}

TEST(GeneratedLines, ReadsZerosBehindAWholePage) {
  // Some of these texts end where a page does, or just before.
  for (std::uint64_t rows = 1; rows < 200; ++rows) {
    const GeneratedLines made({"cpu-only", 1, 5, rows});
    EXPECT_EQ(made.text().data()[made.text().size() + io::kPadding - 1], '\0');
  }
}

TEST(GeneratedLines, RefusesShapesThatCannotBe) {
  for (const auto& shape : {BenchShape{"cpu-only", 0, 0, 10}, BenchShape{"cpu-only", 501, 1, 10},
                            BenchShape{"cpu-only", 0, 1, 0}, BenchShape{"devops", 0, 1, 10}})
    EXPECT_THROW(GeneratedLines{shape}, Error);
}

/// Everything that a feed hands out.
struct Fed {
  std::vector<std::string> lines;
  std::vector<std::size_t> chunks;
};
Fed drain(BenchFeed& feed) {
  Fed fed;
  io::Chunk chunk;
  pipeline::Feed::Reading reading;
  std::uint64_t offset = 0;
  while (feed.next(chunk, reading, {})) {
    EXPECT_EQ(chunk.seq, fed.chunks.size());
    EXPECT_EQ(chunk.offset, offset);
    EXPECT_TRUE(chunk.text.ends_with('\n'));
    offset += chunk.text.size();
    fed.chunks.push_back(chunk.text.size());
    for (auto& line : lines_of(chunk.text)) fed.lines.push_back(std::move(line));
  }
  EXPECT_EQ(feed.rows(), fed.lines.size());
  return fed;
}

TEST(BenchFeed, GivesEveryRowAKeyOfItsOwn) {
  const GeneratedLines made({"cpu-only", 0, 10, 95});  // not a whole number of time steps
  for (const std::uint64_t rows : {1u, 94u, 95u, 96u, 190u, 1000u}) {
    for (const std::size_t chunk_bytes : {1u, 1000u, 1u << 20}) {
      BenchFeed feed(made, nullptr, {rows, {}}, chunk_bytes);
      const auto fed = drain(feed);
      ASSERT_EQ(fed.lines.size(), rows);
      std::set<std::string> keys;
      std::map<std::string, std::string> last;
      for (const auto& line : fed.lines) {
        const auto series = line.substr(0, line.find(' '));
        const auto time = line.substr(line.rfind(' ') + 1);
        EXPECT_EQ(time.size(), 19u);
        EXPECT_TRUE(keys.insert(series + time).second) << line;
        EXPECT_LT(last[series], time) << "in the order of time";
        last[series] = time;
      }
    }
  }
}

TEST(BenchFeed, RepeatsAllButTheTimes) {
  const GeneratedLines made({"iot", 0, 10, 50});
  BenchFeed feed(made, nullptr, {100, {}}, 700);
  const auto lines = drain(feed).lines;
  ASSERT_EQ(lines.size(), 100u);
  const auto without_time = [](const std::string& line) { return line.substr(0, line.rfind(' ')); };
  const auto time = [](const std::string& line) { return std::stoll(line.substr(line.rfind(' ') + 1)); };
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(without_time(lines[i]), without_time(lines[i + 50]));
    EXPECT_EQ(time(lines[i]) + made.span_ns(), time(lines[i + 50]));
  }
}

TEST(BenchFeed, EndsByTheClockAndWhenItIsStopped) {
  const GeneratedLines made({"cpu-only", 0, 10, 50});
  BenchFeed late(made, nullptr, {UINT64_MAX, std::chrono::seconds(0)}, 1000);
  io::Chunk chunk;
  pipeline::Feed::Reading reading;
  EXPECT_FALSE(late.next(chunk, reading, {}));
  BenchFeed stopped(made, nullptr, {UINT64_MAX, {}}, 1000);
  std::stop_source stop;
  EXPECT_TRUE(stopped.next(chunk, reading, stop.get_token()));
  stop.request_stop();
  EXPECT_FALSE(stopped.next(chunk, reading, stop.get_token()));
}

TEST(Median, IsTheMiddleOne) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 5}), 5);
  EXPECT_EQ(median({4, 1, 2, 9}), 3);
}

/// A line of a report whose one run took a second.
WriteLine line(WriteSetting setting, double rows_per_second, std::uint64_t child_tables = 1'000) {
  WriteLine made;
  made.setting = setting;
  auto& run = made.runs.emplace_back();
  run.result.summary.elapsed = std::chrono::seconds(1);
  run.result.summary.total.written = static_cast<std::uint64_t>(rows_per_second);
  run.result.child_tables = child_tables;
  run.result.row_bytes = 128;
  return made;
}
constexpr WriteSetting kLoads{2, 20'000, 0};

std::string best_of(std::vector<WriteLine> lines) {
  WriteReport report;
  report.targets = {{"ws://h:6041", "3.3.7.5"}};
  report.loads_own = kLoads;
  report.lines = std::move(lines);
  return recommendation(report, 0);
}

TEST(Recommendation, NamesTheFlagsOfTheFastest) {
  EXPECT_EQ(best_of({line(kLoads, 500'000), line({4, 5'000, 0}, 750'000)}),
            "best: penstock load SOURCE --to ws://h:6041/DATABASE --lanes 4 --batch-rows 5000  (0.750 M rows/s; 1.50 "
            "times as fast as without flags)");
}

TEST(Recommendation, TakesTheFewestFlagsOfEquals) {
  EXPECT_EQ(best_of({line(kLoads, 980'000), line({4, 5'000, 0}, 1'000'000)}),
            "best: penstock load SOURCE --to ws://h:6041/DATABASE  (0.980 M rows/s; no flags needed)");
  EXPECT_NE(best_of({line(kLoads, 500'000), line({4, 20'000, 0}, 980'000), line({4, 5'000, 0}, 1'000'000)})
                .find("DATABASE --lanes 4  (0.980"),
            std::string::npos);
}

TEST(Recommendation, SaysLengthsOfRunsAsMemory) {
  // Twice 100 rows of 128 bytes in each of 10,000 tables.
  EXPECT_NE(best_of({line(kLoads, 500'000, 10'000), line({2, 20'000, 100}, 800'000, 10'000)}).find(" --memory 245M  ("),
            std::string::npos);
  // What load does anyway needs no flag, and what it lacks the memory for does.
  EXPECT_EQ(best_of({line(kLoads, 500'000), line({2, 20'000, 400}, 800'000)}).find("--memory"), std::string::npos);
  EXPECT_NE(best_of({line(kLoads, 500'000, 100'000), line({2, 20'000, 400}, 800'000, 100'000)}).find("--memory 9766M"),
            std::string::npos);
}

TEST(Recommendation, NeedsTwoSettingsToCompare) {
  EXPECT_EQ(best_of({line(kLoads, 500'000)}), "");
  auto failed = line({4, 20'000, 0}, 900'000);
  failed.runs[0].error = "gone";
  EXPECT_EQ(best_of({line(kLoads, 500'000), failed}), "");
  auto forwarded = line({4, 20'000, 0}, 900'000);
  forwarded.path.kind = BenchPath::Kind::schemaless;
  EXPECT_EQ(best_of({line(kLoads, 500'000), forwarded}), "") << "load writes with statements unless told otherwise";
}

}  // namespace
}  // namespace penstock::cli
