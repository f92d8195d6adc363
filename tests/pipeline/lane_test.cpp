#include "pipeline/lane.h"

#include <gtest/gtest.h>

#include <future>
#include <random>

#include "base/error.h"
#include "pipeline/recording_writer.h"
#include "sink/test_run.h"

namespace penstock::pipeline {
namespace {

using namespace std::chrono_literals;
using schema::whole;
using sink::TestRow;
using sink::TestRun;

// A producer that keeps books as the stages of a run do.
class Feed {
 public:
  Feed(std::uint32_t lanes, LaneOptions options, std::size_t budget_bytes,
       std::function<void(std::uint32_t lane)> before_write = {})
      : budget(budget_bytes),
        run(&budget),
        lanes_(lanes),
        group(std::make_unique<LaneGroup>(lanes, options, budget, ledger, counters, run.registry,
                                          [this, before_write](std::uint32_t lane) -> std::unique_ptr<sink::Writer> {
                                            return std::make_unique<RecordingWriter>(recorded, [before_write, lane] {
                                              if (before_write) before_write(lane);
                                            });
                                          })) {
    group->on_failure([this] {
      ++failures;
      stop.request_stop();
    });
  }

  bool push(const std::vector<TestRow>& rows) {
    if (!budget.acquire(reserve, stop.get_token())) return false;
    auto chunk = run.chunk(rows);
    budget.release(reserve);
    std::vector<sink::Part> parts;
    for (std::uint32_t lane = 0; lane < lanes_; ++lane) parts.push_back(TestRun::part(chunk, lane, lanes_));
    const auto used = static_cast<std::uint32_t>(
        std::count_if(parts.begin(), parts.end(), [](const auto& part) { return !part.rows.empty(); }));
    ledger.open(chunk->chunk.seq, 0, end += 100, used, rows.size(), 0, 100);
    for (std::uint32_t lane = 0; lane < lanes_; ++lane)
      if (!parts[lane].rows.empty()) group->push(lane, std::move(parts[lane]));
    return true;
  }

  MemoryBudget budget;
  Ledger ledger{1};
  report::Counters counters;
  TestRun run;
  Recorded recorded;
  std::uint32_t lanes_;
  std::stop_source stop;
  std::atomic<int> failures{0};
  std::uint64_t end = 0;
  std::size_t reserve = 1000;
  std::unique_ptr<LaneGroup> group;
};

std::vector<TestRow> some_rows(std::mt19937& random, std::int64_t& number, int children, unsigned most) {
  std::vector<TestRow> rows(1 + random() % most);
  for (auto& row : rows)
    row = {"c" + std::to_string(random() % static_cast<unsigned>(children)), number, {whole("n", number)}}, ++number;
  return rows;
}

void expect_in_order(Recorded& recorded, std::int64_t total) {
  std::int64_t rows = 0;
  for (const auto& [child, texts] : recorded.children) {
    std::int64_t last = -1;
    for (const auto& text : texts) {
      const auto time = std::stoll(text);
      EXPECT_LT(last, time) << child;
      last = time;
      ++rows;
    }
  }
  EXPECT_EQ(rows, total);
}

TEST(LaneGroup, KeepsTheOrderOfEachChildTableForAnyNumberOfLanes) {
  for (const std::uint32_t lanes : {1U, 2U, 5U}) {
    std::mt19937 random(lanes);
    std::int64_t number = 0;
    LaneOptions options;
    options.first_window_rows = 50;
    options.min_window_rows = 500;
    Feed feed(lanes, options, std::size_t{1} << 30);
    for (int chunk = 0; chunk < 300; ++chunk) ASSERT_TRUE(feed.push(some_rows(random, number, 13, 40)));
    feed.group->finish();
    expect_in_order(feed.recorded, number);
    EXPECT_EQ(feed.ledger.total().written, static_cast<std::uint64_t>(number));
    EXPECT_EQ(feed.ledger.settled()[0].offset, feed.end);
    EXPECT_EQ(feed.budget.used(), 0u) << "all chunks are let go of";
  }
}

TEST(LaneGroup, GivesMemoryBackUnderPressure) {
  // A budget of hardly more than one chunk, windows that would never fill, nobody idle: pressure alone must do.
  for (const std::uint32_t lanes : {1U, 2U, 4U}) {
    std::mt19937 random(lanes);
    std::int64_t number = 0;
    LaneOptions options;
    options.linger = std::chrono::hours(1);
    options.first_window_rows = options.min_window_rows = std::size_t{1} << 40;
    Feed feed(lanes, options, 200'000);
    for (int chunk = 0; chunk < 200; ++chunk) ASSERT_TRUE(feed.push(some_rows(random, number, 9, 40)));
    feed.group->finish();
    expect_in_order(feed.recorded, number);
    EXPECT_GT(feed.recorded.windows, lanes);
    EXPECT_EQ(feed.budget.used(), 0u);
    EXPECT_LT(feed.budget.peak(), 600'000u);
  }
}

TEST(LaneGroup, TakesABudgetSmallerThanOneChunk) {
  std::mt19937 random(1);
  std::int64_t number = 0;
  LaneOptions options;
  options.linger = std::chrono::hours(1);
  Feed feed(3, options, 1);
  for (int chunk = 0; chunk < 50; ++chunk) ASSERT_TRUE(feed.push(some_rows(random, number, 9, 40)));
  feed.group->finish();
  expect_in_order(feed.recorded, number);
}

TEST(LaneGroup, WritesWhatHasLingered) {
  std::promise<void> written;
  LaneOptions options;
  options.linger = 5ms;
  Feed feed(1, options, std::size_t{1} << 30, [&](std::uint32_t) { written.set_value(); });
  ASSERT_TRUE(feed.push({{"a", 1, {whole("n", 1)}}}));
  EXPECT_EQ(written.get_future().wait_for(60s), std::future_status::ready);
  feed.group->finish();
  EXPECT_EQ(feed.ledger.total().written, 1u);
}

TEST(LaneGroup, ClosesAWindowAtItsShareOfTheMemory) {
  std::mt19937 random(1);
  std::int64_t number = 0;
  LaneOptions options;
  options.linger = std::chrono::hours(1);
  options.max_window_bytes = 300'000;
  options.first_window_rows = options.min_window_rows = std::size_t{1} << 40;
  Feed feed(1, options, std::size_t{1} << 30);
  for (int chunk = 0; chunk < 100; ++chunk) ASSERT_TRUE(feed.push(some_rows(random, number, 9, 40)));
  feed.group->finish();
  expect_in_order(feed.recorded, number);
  EXPECT_GT(feed.recorded.windows, 5u);
}

TEST(LaneGroup, StopsTheFeedWhenALaneFailsAndRethrows) {
  std::mt19937 random(1);
  std::int64_t number = 0;
  std::atomic<int> windows{0};
  LaneOptions options;
  options.first_window_rows = options.min_window_rows = 20;
  options.rows_per_child = 1;
  Feed feed(2, options, 300'000, [&](std::uint32_t lane) {
    if (lane == 1 && ++windows == 3) throw Error(Errc::server, "no rights", 0x0303);
  });
  while (feed.push(some_rows(random, number, 9, 40))) {
  }
  EXPECT_EQ(feed.failures, 1);
  EXPECT_TRUE(feed.group->failed());
  try {
    feed.group->finish();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.server_code(), 0x0303);
  }
  const auto total = feed.ledger.total();
  std::uint64_t recorded = 0;
  for (const auto& [child, rows] : feed.recorded.children) recorded += rows.size();
  EXPECT_EQ(total.written, recorded) << "what was written is in the ledger, nothing else";
  EXPECT_GT(total.not_done(), 0u);
  EXPECT_LT(feed.ledger.settled()[0].offset, feed.end);
  feed.group.reset();
  EXPECT_EQ(feed.budget.used(), 0u);
}

TEST(LaneGroup, StopsWithoutWritingWhatItHolds) {
  std::mt19937 random(1);
  std::int64_t number = 0;
  LaneOptions options;
  options.linger = std::chrono::hours(1);
  Feed feed(2, options, std::size_t{1} << 30);
  for (int chunk = 0; chunk < 20; ++chunk) ASSERT_TRUE(feed.push(some_rows(random, number, 9, 40)));
  feed.group->stop();
  EXPECT_EQ(feed.recorded.windows, 0u);
  EXPECT_EQ(feed.ledger.total().not_done(), static_cast<std::uint64_t>(number));
  EXPECT_EQ(feed.ledger.settled()[0].offset, 0u);
}

}  // namespace
}  // namespace penstock::pipeline
