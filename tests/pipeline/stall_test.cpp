#include <algorithm>
#include <atomic>
#include <thread>

#include "pipeline/run_fixture.h"

// A server that answers nothing for as long as it likes: the load stands still within its memory and goes on behind it.
namespace penstock::pipeline {
namespace {

struct StalledLoad {
  std::size_t memory;
  std::size_t chunk_bytes;
  unsigned threads;
  std::uint32_t lanes;
  bool use_mmap;
};

class StallTest : public RunTest, public testing::WithParamInterface<StalledLoad> {};

TEST_P(StallTest, StandsStillWithinItsMemoryAndLosesNothing) {
  const auto& given = GetParam();
  std::string text;
  std::uint64_t records = 0;
  for (; text.size() < given.memory * 3; ++records)
    text += fmt::format("cpu,host=h{} a={}i,b={}.5,s=\"text {}\" {}\n", records % 100, records, records % 7, records,
                        records + 1);
  Settings settings;
  settings.chunk_bytes = given.chunk_bytes;
  settings.memory = given.memory;
  settings.threads = given.threads;
  settings.lanes = given.lanes;
  settings.use_mmap = given.use_mmap;
  std::atomic<bool> answers = false;
  std::atomic<std::uint64_t> admitted = 0;
  std::atomic<std::size_t> used = 0;
  settings.look = [&](sink::ParsedChunk& chunk, std::stop_source&) {
    // All of the input in memory: the load did not wait. Go on, to fail below.
    if ((admitted += chunk.rows.row_count()) >= records) answers = true;
  };
  // Windows so large that only the memory ends the reading.
  settings.min_window_rows = std::size_t{1} << 40;
  settings.window_bytes = given.memory;
  settings.stall = [&](const MemoryBudget& budget, const LaneGroup&) {
    while (!answers) {
      if (budget.wanted()) {
        used = budget.used();
        answers = true;
      }
      std::this_thread::yield();
    }
  };
  const auto outcome = load({file("a.line", text)}, settings);
  EXPECT_EQ(outcome.sources.at(0).written, records);
  EXPECT_EQ(outcome.memory_left, 0u);
  EXPECT_GT(used, given.memory / 4) << "the reader waited for the memory that the lanes hold";
  // What a chunk and its rows need is estimated before they are made: each worker may be off by about a chunk, or by
  // the smallest piece of memory that rows take. A lane that starts to write needs a reference to each row besides.
  const std::size_t references = given.memory / 4;
  EXPECT_LE(outcome.peak,
            given.memory + references + (given.threads + 1) * std::max<std::size_t>(given.chunk_bytes, 64 << 10));
}

TEST_F(RunTest, ReadsNoFurtherThanTheNextWindowOfEachLane) {
  constexpr std::uint64_t kRecords = 600'000;  // far more than come before each lane's thread has begun
  std::string text;
  for (std::uint64_t i = 0; i < kRecords; ++i) text += fmt::format("cpu,host=h{} a={}i {}\n", i % 100, i, i + 1);
  Settings settings;
  settings.chunk_bytes = 16 << 10;
  settings.memory = std::size_t{1} << 30;
  settings.threads = 2;
  settings.lanes = 2;
  std::atomic<bool> answers = false;
  std::atomic<std::uint64_t> admitted = 0;
  std::atomic<std::uint64_t> when_waiting = 0;
  settings.look = [&](sink::ParsedChunk& chunk, std::stop_source&) {
    if ((admitted += chunk.rows.row_count()) >= kRecords) answers = true;
  };
  settings.stall = [&](const MemoryBudget&, const LaneGroup& lanes) {
    while (!answers) {
      if (lanes.reader_waits()) {
        when_waiting = admitted.load();
        answers = true;
      }
      std::this_thread::yield();
    }
  };
  const auto outcome = load({file("a.line", text)}, settings);
  EXPECT_EQ(outcome.sources.at(0).written, kRecords);
  EXPECT_GT(when_waiting, 0u) << "the reader waited";
  EXPECT_LT(when_waiting, kRecords / 4);
}

INSTANTIATE_TEST_SUITE_P(Loads, StallTest,
                         testing::Values(StalledLoad{2 << 20, 64 << 10, 2, 2, true},
                                         StalledLoad{2 << 20, 64 << 10, 2, 2, false},
                                         StalledLoad{4 << 20, 512 << 10, 2, 1, true},
                                         StalledLoad{4 << 20, 512 << 10, 1, 2, false},
                                         StalledLoad{1 << 20, 16 << 10, 4, 4, false}),
                         [](const auto& test) { return fmt::format("case{}", test.index); });

}  // namespace
}  // namespace penstock::pipeline
