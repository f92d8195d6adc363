#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "report/histogram.h"
#include "report/progress.h"
#include "report/summary.h"

namespace penstock::report {
namespace {

using namespace std::chrono_literals;

TEST(Histogram, IsWithinThreePercentOfTheExactPercentiles) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 8; ++round) {
    Histogram histogram;
    std::vector<std::int64_t> exact;
    std::lognormal_distribution<double> spread(10 + round, 2);
    for (int i = 0; i < 20'000; ++i) {
      const auto ns = static_cast<std::int64_t>(1e3 * spread(random));
      exact.push_back(ns);
      histogram.add(std::chrono::nanoseconds(ns));
    }
    std::sort(exact.begin(), exact.end());
    for (const double p : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const auto at = static_cast<std::size_t>(std::ceil(p * static_cast<double>(exact.size()))) - 1;
      const auto want = static_cast<double>(exact[at]);
      const auto got = static_cast<double>(histogram.percentile(p).count());
      EXPECT_NEAR(got, want, 0.035 * want + 1000) << p;  // and a microsecond, the finest step
      EXPECT_GE(got, want) << "never better than it was";
    }
    EXPECT_EQ(histogram.max().count(), exact.back());
    EXPECT_EQ(histogram.count(), exact.size());
  }
}

TEST(Histogram, TakesExtremes) {
  Histogram histogram;
  EXPECT_EQ(histogram.percentile(0.5), 0ns);
  histogram.add(-5s);
  histogram.add(0ns);
  EXPECT_LE(histogram.percentile(1), 1us);
  histogram.add(std::chrono::hours(24 * 365));
  EXPECT_EQ(histogram.max(), std::chrono::hours(24 * 365));
  EXPECT_LE(histogram.percentile(1), histogram.max());
}

TEST(Histogram, LosesNothingBetweenThreads) {
  Histogram histogram;
  {
    std::vector<std::jthread> threads;
    for (int t = 1; t <= 4; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 10'000; ++i) histogram.add(std::chrono::milliseconds(t));
      });
  }
  EXPECT_EQ(histogram.count(), 40'000u);
  EXPECT_NEAR(static_cast<double>(histogram.percentile(0.5).count()), 2e6, 0.07e6);
}

TEST(Progress, SaysHowFarHowFastAndHowLong) {
  Counters counters;
  EXPECT_EQ(progress_text(counters, 1s, 0), "0 B  0 rows written  0 rows/s");
  counters.skip_to = 3'400'000'000;
  counters.skipped = 1'200'000'000;
  EXPECT_EQ(progress_text(counters, 1s, 0), "going to where the load stopped: 1.2 GB of 3.4 GB");
  counters.skip_to = 0;
  counters.bytes_total = 45'000'000;
  counters.bytes_read = 15'000'000;
  counters.rows_written = 3'456'789;
  counters.rows_rejected = 2;
  counters.retries = 1;
  EXPECT_EQ(progress_text(counters, 10s, 1'234'567),
            "15 MB of 45 MB (33 %)  3,456,789 rows written  1.23 M rows/s  2 rejected  1 retries  ETA 20.0 s");
  // Read twice as many rows as are through: half of what was read counts.
  counters.rows_read = 2 * 3'456'791;
  EXPECT_EQ(progress_text(counters, 10s, 1'234'567),
            "7.5 MB of 45 MB (17 %)  3,456,789 rows written  1.23 M rows/s  2 rejected  1 retries  ETA 50.0 s");
}

Summary example() {
  Summary summary;
  summary.total = {110, 90, 6, 10, 4, 3, 12'345};
  summary.merged_by_precision = 2;
  summary.elapsed = 2s;
  summary.sources = {{"a.line", "line", "gzip", {70, 55, 5, 10, 0, 3, 6'000}, ""},
                     {"b\xFF.csv", "csv", "none", {40, 35, 1, 0, 4, 0, 6'345}, "cannot read 'b': input/output error"}};
  summary.rejects = {{"tag value is empty", 0x3002, 5, "a.line:7:3"}, {"too long", 0, 1, "b.csv:9"}};
  summary.rejects_file = "penstock-rejects";
  summary.requests = 9;
  summary.runs = 30;
  summary.p50 = 1'500us;
  summary.outcome = "complete with rejects";
  summary.target = "ws://h:6041/db";
  summary.exit_status = 3;
  return summary;
}

TEST(Summary, TextHoldsTheSumAndWhatToLookAt) {
  const auto text = to_text(example());
  for (const char* const part :
       {"110 read = 90 written + 6 rejected + 10 left out + 4 not done", "tag value is empty [0x3002]", "a.line:7:3",
        "penstock-rejects", "45 rows/s", "55 lines became 52 rows: 1.06 lines a row", "too long", "4 not done",
        "input/output error", "complete with rejects", "p50 1.5 ms"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(text.find("[0x0000]"), std::string::npos);
  auto whole = example();
  whole.total.left_out = 0;
  for (auto& source : whole.sources) source.tally.left_out = 0;
  EXPECT_EQ(to_text(whole).find("left out"), std::string::npos);
}

TEST(Summary, JsonHoldsEveryFigure) {
  const auto json = nlohmann::json::parse(to_json(example()));
  EXPECT_EQ(json["total"]["read"], 110);
  EXPECT_EQ(json["total"]["written"], 90);
  EXPECT_EQ(json["total"]["rejected"], 6);
  EXPECT_EQ(json["total"]["left_out"], 10);
  EXPECT_EQ(json["total"]["not_done"], 4);
  EXPECT_EQ(json["sources"][1]["left_out"], 0);
  EXPECT_EQ(json["sources"][0]["lines_per_row"], 1.06);
  EXPECT_FALSE(json["sources"][1].contains("lines_per_row")) << "rows of a CSV are not joined but overwritten";
  EXPECT_EQ(json["total"]["merged"], 3);
  EXPECT_EQ(json["total"]["merged_by_precision"], 2);
  EXPECT_EQ(json["total"]["seconds"], 2.0);
  EXPECT_EQ(json["total"]["rows_per_second"], 45.0);
  EXPECT_EQ(json["sources"].size(), 2u);
  EXPECT_EQ(json["sources"][0]["compression"], "gzip");
  EXPECT_FALSE(json["sources"][0].contains("error"));
  EXPECT_EQ(json["sources"][1]["not_done"], 4);
  EXPECT_EQ(json["rejects"][0]["code"], 0x3002);
  EXPECT_EQ(json["rejects"][0]["count"], 5);
  EXPECT_EQ(json["requests"]["rows_per_child_table"], 3.0);
  EXPECT_EQ(json["exit_status"], 3);
}

TEST(Summary, ShowsManySourcesAndNothingDone) {
  Summary nothing;
  EXPECT_NE(to_text(nothing).find("0 read = 0 written"), std::string::npos);
  EXPECT_TRUE(nlohmann::json::accept(to_json(nothing)));
  Summary many;
  for (int i = 0; i < 25; ++i) many.sources.push_back({"s" + std::to_string(i), "line", "", {}, ""});
  EXPECT_NE(to_text(many).find("5 more"), std::string::npos);
}

TEST(Summary, NamesTheStageThatSetThePace) {
  Counters counters;
  counters.busy(Stage::parse, 3s);   // two threads: 0.75
  counters.busy(Stage::server, 2s);  // one lane: 1.0
  Summary summary;
  summary.elapsed = 2s;
  fill_stages(summary, counters, 2, 1);
  EXPECT_EQ(summary.limit, "server");
  ASSERT_EQ(summary.stages.size(), kStages);
  EXPECT_EQ(summary.stages[1], (std::pair<std::string, double>("parse", 0.75)));
}

TEST(Summary, TellsWhatTheOtherStagesCouldFeed) {
  Counters counters;
  counters.busy(Stage::read, 100ms);
  counters.busy(Stage::parse, 6'400ms);  // two threads: 0.32
  counters.busy(Stage::build, 2s);       // 0.2
  counters.busy(Stage::server, 8s);      // 0.8
  Summary summary;
  summary.elapsed = 10s;
  fill_stages(summary, counters, 2, 1);
  EXPECT_EQ(headroom_text(summary), "; parse could feed 3.1 times as much, build 5.0 times");
  const auto text = to_text(summary);
  EXPECT_NE(text.find("server 80 % (limit: server; parse could feed 3.1 times as much, build 5.0 times)"),
            std::string::npos)
      << text;
  const auto stages = nlohmann::json::parse(to_json(summary)).at("stages");
  EXPECT_EQ(stages.at(1).at("could_feed"), 3.1);
  EXPECT_EQ(stages.at(5).at("could_feed"), 1.3);
  EXPECT_EQ(stages.at(0).at("could_feed"), 100.0);
  EXPECT_FALSE(stages.at(2).contains("could_feed")) << "the schema stage did nothing";
}

TEST(Summary, SaysNothingAboutHeadroomWhereOneStageDidAll) {
  Counters counters;
  counters.busy(Stage::parse, 1s);
  Summary summary;
  summary.elapsed = 1s;
  fill_stages(summary, counters, 1, 1);
  EXPECT_EQ(headroom_text(summary), "");
  EXPECT_FALSE(could_feed(0));
}

}  // namespace
}  // namespace penstock::report
