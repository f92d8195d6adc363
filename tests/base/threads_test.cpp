#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "base/backoff.h"
#include "base/bounded_queue.h"
#include "base/memory_budget.h"
#include "base/rate_limiter.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST(MemoryBudget, GivesWhatFitsAndTheFirstWhateverItsSize) {
  MemoryBudget budget(100);
  EXPECT_TRUE(budget.acquire(1000, {})) << "a piece larger than the budget cannot hang the run";
  EXPECT_EQ(budget.used(), 1000u);
  budget.release(1000);
  EXPECT_TRUE(budget.acquire(60, {}));
  EXPECT_TRUE(budget.acquire(40, {}));
  budget.charge(50);
  EXPECT_EQ(budget.used(), 150u);
  EXPECT_EQ(budget.peak(), 1000u);
  EXPECT_FALSE(budget.wanted());
  budget.release(150);
}

TEST(MemoryBudget, TakesNothingWhenAStopComes) {
  MemoryBudget budget(10);
  ASSERT_TRUE(budget.acquire(10, {}));
  std::stop_source stop;
  budget.on_wait([&] {
    EXPECT_TRUE(budget.wanted()) << "who holds memory can see that it is wanted";
    stop.request_stop();
  });
  EXPECT_FALSE(budget.acquire(1, stop.get_token()));
  EXPECT_EQ(budget.used(), 10u);
  EXPECT_FALSE(budget.wanted());
}

TEST(MemoryBudget, LetsAWaiterInWhenMemoryComesFreeInItsOnWait) {
  MemoryBudget budget(10);
  ASSERT_TRUE(budget.acquire(10, {}));
  budget.on_wait([&] { budget.release(10); });
  EXPECT_TRUE(budget.acquire(7, {}));
  EXPECT_EQ(budget.used(), 7u);
}

TEST(MemoryBudget, NeverLosesAByteNorAWaiterBetweenThreads) {
  constexpr std::size_t kLimit = 1000;
  MemoryBudget budget(kLimit);
  std::atomic<std::size_t> held{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 6; ++t)
      threads.emplace_back([&, t] {
        std::minstd_rand random(t);
        for (int i = 0; i < 3000; ++i) {
          const std::size_t bytes = 1 + random() % 600;
          ASSERT_TRUE(budget.acquire(bytes, {}));
          ASSERT_LE(held.fetch_add(bytes) + bytes, kLimit);
          held.fetch_sub(bytes);
          budget.release(bytes);
        }
      });
  }
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_LE(budget.peak(), kLimit);
  EXPECT_FALSE(budget.wanted());
}

TEST(BoundedQueue, CarriesEveryItemOnceAndInOrder) {
  BoundedQueue<int> queue(3);
  constexpr int kItems = 20'000;
  std::vector<std::vector<int>> got(2);
  {
    std::vector<std::jthread> readers;
    for (auto& mine : got)
      readers.emplace_back([&queue, &mine] {
        while (auto item = queue.pop({})) mine.push_back(*item);
      });
    for (int i = 0; i < kItems; ++i) {
      ASSERT_TRUE(queue.push(i, {}));
      ASSERT_LE(queue.size(), 3u);
    }
    queue.close();
  }
  EXPECT_EQ(got[0].size() + got[1].size(), static_cast<std::size_t>(kItems));
  for (const auto& mine : got) EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
}

TEST(BoundedQueue, EndsAfterWhatIsInIt) {
  BoundedQueue<int> queue(4);
  ASSERT_TRUE(queue.push(1, {}));
  ASSERT_TRUE(queue.push(2, {}));
  queue.close();
  EXPECT_FALSE(queue.push(3, {}));
  EXPECT_EQ(queue.pop({}), 1);
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.pop({}), std::nullopt);
  bool timed_out = true;
  EXPECT_EQ(queue.pop_until({}, std::chrono::steady_clock::now() + 1h, timed_out), std::nullopt);
  EXPECT_FALSE(timed_out) << "the end is no time-out";
}

TEST(BoundedQueue, WakesForAStopAndAtADeadline) {
  BoundedQueue<int> queue(1);
  bool timed_out = false;
  EXPECT_EQ(queue.pop_until({}, std::chrono::steady_clock::now() + 1ms, timed_out), std::nullopt);
  EXPECT_TRUE(timed_out);
  ASSERT_TRUE(queue.push(1, {}));
  std::stop_source stop;
  std::jthread ends([&] { stop.request_stop(); });
  EXPECT_FALSE(queue.push(2, stop.get_token()));
  EXPECT_EQ(queue.size(), 1u);
}

TEST(Backoff, DoublesUpToItsMostAndStartsAgain) {
  Backoff backoff(100ms, 1000ms);
  for (const int base : {100, 200, 400, 800, 1000, 1000, 1000}) {
    const auto wait = backoff.next();
    EXPECT_GE(wait.count(), base * 8 / 10);
    EXPECT_LE(wait.count(), base * 12 / 10);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), 120ms);
}

TEST(RateLimiter, HoldsTheMeanRateAndNeverWaitsWithoutALimit) {
  RateLimiter none(0);
  none.pass(1e18, {});
  RateLimiter limiter(10'000);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 40; ++i) limiter.pass(100, {});  // 4,000 units: 0.4 s less the burst of 0.1 s and the last one
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 200ms);
  std::stop_source stop;
  stop.request_stop();
  RateLimiter slow(1);
  slow.pass(3600, stop.get_token());
  slow.pass(3600, stop.get_token());  // an hour's wait that the stop cuts off
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
}

}  // namespace
}  // namespace penstock
