#include "sink/run_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace penstock::sink {
namespace {

using data::Precision;

std::vector<std::int64_t> rising(std::size_t count) {
  std::vector<std::int64_t> times(count);
  for (std::size_t i = 0; i < count; ++i) times[i] = static_cast<std::int64_t>(i) * 1000;
  return times;
}

/// Times in the orders that files come in.
std::vector<std::vector<std::int64_t>> orders(std::mt19937& random) {
  std::vector<std::vector<std::int64_t>> cases = {{}, {5}, {2, 1}, {1, 1}, {3, 1, 2}, {1, 3, 2}, {2, 2, 1, 1, 2}};
  auto times = rising(500);
  cases.push_back(times);
  std::reverse(times.begin(), times.end());
  cases.push_back(times);  // newest first
  std::vector<std::int64_t> fields;
  for (int f = 0; f < 7; ++f)
    for (std::int64_t t = 0; t < 100 + f; ++t) fields.push_back(t * 1000);
  cases.push_back(fields);  // field after field
  for (const unsigned one_in : {2U, 3U, 10U, 100U}) {
    auto late = rising(700);
    for (auto& time : late)
      if (random() % one_in == 0) time -= static_cast<std::int64_t>(random() % 50'000);
    cases.push_back(late);
  }
  auto outlier = rising(300);
  outlier[0] = INT64_MAX;
  outlier[150] = INT64_MIN;
  outlier[200] = INT64_MAX;
  cases.push_back(outlier);
  auto shuffled = rising(400);
  std::shuffle(shuffled.begin(), shuffled.end(), random);
  cases.push_back(shuffled);
  cases.push_back(std::vector<std::int64_t>(50, 7));
  for (auto& time : shuffled) time %= 5'000;
  cases.push_back(shuffled);  // many equal ones
  return cases;
}

TEST(RunOrder, SortsByTimeInTheDatabasesPrecisionAndKeepsTheOrderOfEqualOnes) {
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    for (const auto& times : orders(random)) {
      for (const auto precision : {Precision::nanoseconds, Precision::microseconds}) {
        std::vector<data::Row> rows(times.size());
        std::vector<RowOrigin> origins(times.size());
        std::vector<RowRef> refs;
        for (std::size_t i = 0; i < times.size(); ++i) {
          rows[i].time = times[i];
          origins[i].part = static_cast<std::uint32_t>(i);
          refs.push_back({&rows[i], &origins[i]});
        }
        // Half of the rounds as if the window had noted the times.
        const auto noted = round % 2 == 0 ? std::span<const std::int64_t>() : std::span(times);
        auto expected = refs;
        std::stable_sort(expected.begin(), expected.end(), [&](const RowRef& a, const RowRef& b) {
          return to_unit(a.row->time, Precision::nanoseconds, precision) <
                 to_unit(b.row->time, Precision::nanoseconds, precision);
        });
        RunOrder order(precision);
        const bool distinct = order.sort(refs, noted, Precision::nanoseconds, schema::TableVersion{});
        bool equal = false;
        ASSERT_EQ(order.times().size(), refs.size());
        for (std::size_t i = 0; i < refs.size(); ++i) {
          ASSERT_EQ(refs[i].part(), expected[i].part()) << i;
          ASSERT_EQ(order.times()[i], to_unit(refs[i].row->time, Precision::nanoseconds, precision));
          equal |= i > 0 && order.times()[i] == order.times()[i - 1];
        }
        ASSERT_EQ(distinct, !equal);
      }
    }
  }
}

}  // namespace
}  // namespace penstock::sink
