#include "sink/target_state.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "base/error.h"

namespace penstock::sink {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::vector<client::Endpoint> three() { return {{"a", 1}, {"b", 2}, {"c", 3}}; }

std::optional<Endpoints::Choice> at_once(Endpoints& endpoints, std::size_t home) {
  return endpoints.choose(home, Clock::now(), {});
}

TEST(Endpoints, SpreadConnectionsAndPassOverTheLost) {
  Endpoints endpoints(three());
  for (const std::size_t home : {0u, 1u, 2u, 0u, 1u}) EXPECT_EQ(endpoints.join(), home);
  EXPECT_EQ(at_once(endpoints, 1)->index, 1u);
  endpoints.down({1, false}, "gone", 0s);
  EXPECT_EQ(endpoints.healthy(), 2u);
  EXPECT_EQ(at_once(endpoints, 1)->index, 2u);
  endpoints.down({2, false}, "gone", 0s);
  EXPECT_EQ(at_once(endpoints, 1)->index, 0u);
  EXPECT_FALSE(at_once(endpoints, 1)->trial);
  endpoints.up(1);
  EXPECT_EQ(at_once(endpoints, 1)->index, 1u);
}

TEST(Endpoints, AreTriedByOneAtATimeAfterGrowingIntervals) {
  Endpoints endpoints({{"a", 1}});
  endpoints.down({0, false}, "a:1: gone", 0s);
  EXPECT_EQ(endpoints.troubles().substr(0, 14), "a:1 is lost si");
  EXPECT_FALSE(at_once(endpoints, 0).has_value()) << "its time has not come";
  auto last = Clock::duration(0);
  for (int i = 0; i < 4; ++i) {
    const auto begin = Clock::now();
    const auto choice = endpoints.choose(0, begin + 60s, {});
    ASSERT_TRUE(choice && choice->trial);
    const auto waited = Clock::now() - begin;
    if (i > 1) {
      EXPECT_GT(waited, last) << "doubled, with a spread of a fifth";
    }
    last = waited;
    EXPECT_FALSE(at_once(endpoints, 0).has_value()) << "somebody is at it";
    endpoints.down({0, false}, "others find out later", 0s);  // changes nothing
    EXPECT_FALSE(at_once(endpoints, 0).has_value());
    endpoints.down(*choice, "still gone", 0s);
  }
}

TEST(Endpoints, WaitersGoOnWhenTheTrialSucceeds) {
  Endpoints endpoints({{"a", 1}});
  endpoints.down({0, false}, "gone", 0s);
  const auto trial = endpoints.choose(0, Clock::now() + 60s, {});
  ASSERT_TRUE(trial && trial->trial);
  std::atomic<int> through{0};
  {
    std::vector<std::jthread> waiters;
    for (int i = 0; i < 4; ++i)
      waiters.emplace_back([&] {
        const auto choice = endpoints.choose(0, Clock::now() + 60s, {});
        if (choice && !choice->trial) ++through;
      });
    endpoints.up(0);
  }
  EXPECT_EQ(through, 4);
}

TEST(Endpoints, TheNextWaiterTriesWhenOneLeaves) {
  Endpoints endpoints({{"a", 1}});
  endpoints.down({0, false}, "gone", 0s);
  const auto trial = endpoints.choose(0, Clock::now() + 60s, {});
  std::optional<Endpoints::Choice> next;
  {
    const std::jthread waiter([&] { next = endpoints.choose(0, Clock::now() + 60s, {}); });
    endpoints.leave(*trial);
  }
  EXPECT_TRUE(next && next->trial);
}

TEST(Endpoints, ObeyRetryAfterUpToALimit) {
  Endpoints endpoints({{"a", 1}});
  const auto begin = Clock::now();
  endpoints.down({0, false}, "busy", 0s, 700ms);
  ASSERT_TRUE(endpoints.choose(0, begin + 60s, {}));
  EXPECT_GE(Clock::now() - begin, 700ms);
  EXPECT_LT(Clock::now() - begin, 20s);
  Endpoints later({{"a", 1}});
  later.down({0, false}, "busy", 0s, 24h);
  EXPECT_FALSE(later.choose(0, Clock::now() + 300ms, {}).has_value());
}

TEST(Endpoints, AStopEndsTheWait) {
  Endpoints endpoints({{"a", 1}});
  endpoints.down({0, false}, "gone", 0s, 60s);
  std::stop_source stop;
  const std::jthread later([&] { stop.request_stop(); });
  EXPECT_THROW(endpoints.choose(0, Clock::now() + 60s, stop.get_token()), Error);
}

TEST(Endpoints, HomeIsTriedByOneAndNotTooOften) {
  Endpoints endpoints(three());
  EXPECT_TRUE(endpoints.homewards(1).has_value());
  endpoints.down({1, false}, "gone", 1h);
  EXPECT_FALSE(endpoints.homewards(1).has_value()) << "finding out took an hour";
  endpoints.up(1);
  const auto home = endpoints.homewards(1);
  ASSERT_TRUE(home.has_value());
  EXPECT_FALSE(home->trial);
}

TEST(Throttle, HalvesOnceForRequestsThatWereUnderWayTogether) {
  Throttle throttle("t");
  Throttle::Slot a(throttle, {}), b(throttle, {}), c(throttle, {}), d(throttle, {});
  EXPECT_EQ(throttle.limit(), 8u);
  for (auto* const slot : {&a, &b, &c, &d}) slot->acquire([] {});
  EXPECT_TRUE(a.try_acquire());
  for (auto* const slot : {&a, &b, &c, &d}) slot->pressed("busy");
  EXPECT_EQ(throttle.limit(), 4u);
  EXPECT_FALSE(b.try_acquire()) << "five are under way";
  for (auto* const slot : {&a, &b, &c, &d}) slot->release_all();
  a.acquire([] {});
  a.pressed("busy");
  EXPECT_EQ(throttle.limit(), 2u);
}

TEST(Throttle, ShrinksTheRequestsWhenOneAtATimeIsTooMuchAndGrowsBack) {
  Throttle throttle("t");
  Throttle::Slot slot(throttle, {});
  EXPECT_EQ(throttle.batch_rows(20'000), 20'000u);
  const auto press = [&] {
    slot.acquire([] {});
    slot.pressed("busy");
    slot.release_all();
  };
  press();
  EXPECT_EQ(throttle.limit(), 1u);
  EXPECT_EQ(throttle.batch_rows(20'000), 20'000u);
  press();
  EXPECT_EQ(throttle.limit(), 1u);
  EXPECT_EQ(throttle.batch_rows(20'000), 10'000u);
  for (int i = 0; i < 50; ++i) press();
  EXPECT_GE(throttle.batch_rows(20'000), 200u);
  EXPECT_LT(throttle.batch_rows(20'000), 1'000u);
  EXPECT_EQ(throttle.batch_rows(7), 7u);
  auto rows = throttle.batch_rows(20'000);
  int steps = 0;
  while (throttle.limit() < 2 && steps < 1000) {
    slot.succeeded();
    ++steps;
    EXPECT_GE(throttle.batch_rows(20'000), rows);
    rows = throttle.batch_rows(20'000);
  }
  EXPECT_EQ(rows, 20'000u);
  EXPECT_GT(steps, 10) << "slowly";
  EXPECT_LT(steps, 100);
}

TEST(Throttle, AStopEndsTheWait) {
  Throttle throttle("t");
  Throttle::Slot a(throttle, {});
  a.acquire([] {});
  a.pressed("busy");
  std::stop_source stop;
  Throttle::Slot b(throttle, stop.get_token());
  a.pressed("busy");
  const std::jthread later([&] { stop.request_stop(); });
  EXPECT_THROW(b.acquire([] {}), Error);
  EXPECT_EQ(b.held(), 0u);
}

// Whatever lanes do, nobody waits for ever, and never is more under way than is allowed after a cut.
TEST(Throttle, NeverLocksUp) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    Throttle throttle("t");
    std::atomic<int> done{0};
    {
      std::vector<std::jthread> lanes;
      for (unsigned lane = 0; lane < 5; ++lane)
        lanes.emplace_back([&, random = std::minstd_rand(seed * 100 + lane)]() mutable {
          Throttle::Slot slot(throttle, {});
          for (int i = 0; i < 400; ++i) {
            if (slot.held() == 0) slot.acquire([] {});
            else if (random() % 2 == 0 && !slot.try_acquire()) slot.release_all();
            switch (random() % 8) {
              case 0: slot.pressed("busy"); break;
              case 1: slot.release_all(); break;
              default:
                if (slot.held() > 0) slot.release();
                slot.succeeded();
            }
          }
          ++done;
        });
    }
    EXPECT_EQ(done, 5);
    EXPECT_EQ(throttle.limit(), 0u) << "all lanes are gone";
  }
}

}  // namespace
}  // namespace penstock::sink
