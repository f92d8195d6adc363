#include "cli/arrival_times.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace penstock::cli {
namespace {

struct Kept {
  std::map<std::uint32_t, std::string> states;
  int calls = 0;
  ArrivalTimes times{[this](std::uint32_t source) {
    ++calls;
    states[source] = times.state(source);
  }};
};

TEST(ArrivalTimes, AreThatOfTheReadAndANanosecondAByte) {
  Kept kept;
  kept.times.note_read(0, 0, 100, 5'000);
  kept.times.note_read(0, 100, 150, 9'000);
  kept.times.note_read(3, 40, 50, 7'000);
  EXPECT_EQ(kept.times.time_of(0, 0), 5'000);
  EXPECT_EQ(kept.times.time_of(0, 99), 5'099);
  EXPECT_EQ(kept.times.time_of(0, 100), 9'000);
  EXPECT_EQ(kept.times.time_of(3, 41), 7'001);
}

TEST(ArrivalTimes, AreKeptOnceAReadAndOnlyWhenTold) {
  Kept kept;
  kept.times.note_read(0, 0, 100, 5'000);
  EXPECT_EQ(kept.times.state(0), "");
  for (std::uint64_t offset = 0; offset < 100; ++offset) kept.times.time_of(0, offset);
  EXPECT_EQ(kept.calls, 1);
  kept.times.note_read(0, 100, 150, 9'000);
  kept.times.time_of(0, 20);
  EXPECT_EQ(kept.calls, 1);
  kept.times.time_of(0, 120);
  EXPECT_EQ(kept.calls, 2);
  EXPECT_EQ(kept.states[0], "150 0:5000 100:9000");
}

TEST(ArrivalTimes, AreTheSameAfterACrash) {
  Kept before;
  before.times.note_read(0, 0, 100, 5'000);
  before.times.note_read(0, 100, 150, 9'000);
  std::vector<std::int64_t> told;
  for (std::uint64_t offset = 0; offset < 150; offset += 10) told.push_back(before.times.time_of(0, offset));
  Kept after;
  after.times.restore(0, before.states[0]);
  // The same bytes come in other pieces, and new ones with the last.
  after.times.note_read(0, 0, 60, 100'000);
  after.times.note_read(0, 60, 170, 100'000);
  after.times.note_read(0, 170, 180, 200'000);
  std::vector<std::int64_t> again;
  for (std::uint64_t offset = 0; offset < 150; offset += 10) again.push_back(after.times.time_of(0, offset));
  EXPECT_EQ(again, told);
  EXPECT_EQ(after.times.time_of(0, 160), 9'060);
  EXPECT_EQ(after.times.time_of(0, 175), 200'005);
}

TEST(ArrivalTimes, NeverMeetWhateverTheClockDoes) {
  Kept kept;
  std::set<std::int64_t> seen;
  std::uint64_t at = 0;
  for (const std::int64_t now : {5'000, 4'000, 4'000, 5'100, 1, 9'000}) {
    kept.times.note_read(0, at, at + 200, now);
    for (const auto end = at + 200; at < end; at += 20)
      EXPECT_TRUE(seen.insert(kept.times.time_of(0, at)).second) << at;
  }
}

TEST(ArrivalTimes, ForgetWhatIsSettled) {
  Kept kept;
  for (std::uint64_t at = 0; at < 1000; at += 10) {
    kept.times.note_read(0, at, at + 10, static_cast<std::int64_t>(at) * 100);
    kept.times.time_of(0, at + 5);
  }
  kept.times.forget_before(0, 985);
  EXPECT_EQ(kept.times.state(0), "1000 980:98000 990:99000");
  EXPECT_EQ(kept.times.time_of(0, 987), 98'007);
}

TEST(ArrivalTimes, TakeNoNonsense) {
  for (const auto* text : {"", "x", "10", "10 a:b", "10 5"}) {
    Kept kept;
    kept.times.restore(1, text);
    kept.times.note_read(1, 50, 60, 5'000);
    EXPECT_EQ(kept.times.time_of(1, 55), 5'005) << text;
  }
}

}  // namespace
}  // namespace penstock::cli
