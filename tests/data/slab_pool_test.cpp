#include "data/slab_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

namespace penstock::data {
namespace {

TEST(SlabPool, TakesWhatWasGivenBackBeforeItMakesMore) {
  SlabPool pool;
  std::vector<char*> slabs;
  for (int i = 0; i < 1000; ++i) slabs.push_back(pool.take());
  EXPECT_EQ(std::set<char*>(slabs.begin(), slabs.end()).size(), 1000u);
  for (char* slab : slabs) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(slab) % 4096, 0u);
    std::memset(slab, 7, SlabPool::kSlabBytes);
    pool.give_back(slab);
  }
  for (int i = 0; i < 1000; ++i) {
    char* const slab = pool.take();
    EXPECT_EQ(slab[SlabPool::kSlabBytes - 1], 7);
  }
  EXPECT_EQ(pool.slabs_made(), 1000u);
}

TEST(SlabPool, GivesEachSlabToOneThreadOnly) {
  SlabPool pool;
  std::vector<std::jthread> threads;
  for (char mark = 1; mark <= 4; ++mark)
    threads.emplace_back([&pool, mark] {
      for (int round = 0; round < 300; ++round) {
        std::vector<char*> slabs;
        for (int i = 0; i < 7; ++i) {
          slabs.push_back(pool.take());
          std::memset(slabs.back(), mark, SlabPool::kSlabBytes);
        }
        for (char* slab : slabs) {
          ASSERT_EQ(slab[0], mark);
          ASSERT_EQ(std::memcmp(slab, slab + 1, SlabPool::kSlabBytes - 1), 0);
          pool.give_back(slab);
        }
      }
    });
  threads.clear();
  EXPECT_LE(pool.slabs_made(), 28u);
}

}  // namespace
}  // namespace penstock::data
