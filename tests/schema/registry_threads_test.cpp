#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "base/hash.h"
#include "schema/registry.h"

namespace penstock::schema {
namespace {

// Several workers meet the same series in different orders while the index and the blocks of child tables grow.
TEST(RegistryThreads, AgreeOnEverySeries) {
  constexpr std::uint32_t kSeries = 20'000;  // more than one block of child tables, several indexes
  constexpr int kThreads = 4;
  Registry registry;
  std::vector<std::vector<data::Series*>> seen(kThreads, std::vector<data::Series*>(kSeries));
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        std::vector<std::uint32_t> order(kSeries);
        for (std::uint32_t i = 0; i < kSeries; ++i) order[i] = i;
        std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(t)));
        for (const auto i : order) {
          // Two spellings of each child table.
          const auto raw = i % 2 == 0 ? fmt::format("m,host=h{}", i) : fmt::format("m,host=h{},", i - 1);
          const auto hash = hash_bytes(raw);
          auto* series = registry.find(hash, raw);
          if (series == nullptr) {
            NewSeries found;
            found.table = "m";
            found.child = fmt::format("t_{}", i / 2);
            found.tags = {{"host", data::Type::nchar, std::string_view(raw).substr(7)}};
            series = registry.insert(hash, raw, found);
          }
          ASSERT_EQ(series->raw, raw);
          ASSERT_EQ(registry.child(series->child_id).name, fmt::format("t_{}", i / 2));
          if (i % 64 == 0) series->set_state(data::Series::State::admitted);
          seen[static_cast<std::size_t>(t)][i] = series;
        }
      });
  }
  EXPECT_EQ(registry.series_count(), kSeries);
  EXPECT_EQ(registry.child_count(), kSeries / 2);
  for (int t = 1; t < kThreads; ++t) EXPECT_EQ(seen[static_cast<std::size_t>(t)], seen[0]);
  for (std::uint32_t i = 0; i < kSeries; i += 64) EXPECT_EQ(seen[0][i]->state(), data::Series::State::admitted);
}

}  // namespace
}  // namespace penstock::schema
