#include "base/pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace penstock {
namespace {

TEST(Pages, AreZeroedWritableAndMovable) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{8'192}, std::size_t{300'000}, std::size_t{5'000'000}}) {
    Pages pages(bytes);
    ASSERT_GE(pages.size(), bytes);
    EXPECT_TRUE(std::all_of(pages.data(), pages.data() + pages.size(), [](char c) { return c == 0; })) << bytes;
    std::fill_n(pages.data(), pages.size(), 'x');
    const char* const at = pages.data();
    Pages moved(std::move(pages));
    EXPECT_EQ(moved.data(), at);
    Pages assigned;
    assigned = std::move(moved);
    EXPECT_EQ(assigned.data()[bytes - 1], 'x');
  }
}

TEST(GrowingArray, KeepsWhatIsThereAndAddsZeros) {
  GrowingArray<std::uint64_t> array;
  EXPECT_EQ(array.size(), 0u);
  std::size_t set = 0;
  for (const std::size_t size : {std::size_t{1}, std::size_t{1'000}, std::size_t{20'000}, std::size_t{300'000},
                                 std::size_t{3'000'000}, std::size_t{5}}) {
    array.resize(size);
    EXPECT_GE(array.size(), std::max(set, size));
    for (std::size_t i = 0; i < set; ++i) ASSERT_EQ(array[i], i * 3 + 1);
    for (std::size_t i = set; i < size; ++i) ASSERT_EQ(array[i], 0u);
    for (; set < size; ++set) array[set] = set * 3 + 1;
  }
}

TEST(Pages, StayReadableWhenForgotten) {
  Pages pages(4'000'000);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pages.data()) % (2 * 1024 * 1024), 0u) << "huge pages need it";
  std::fill_n(pages.data(), pages.size(), 'x');
  pages.forget();
  EXPECT_TRUE(std::all_of(pages.data(), pages.data() + pages.size(), [](char c) { return c == 0; }));
}

}  // namespace
}  // namespace penstock
