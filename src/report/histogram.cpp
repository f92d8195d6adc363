#include "report/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace penstock::report {

std::size_t Histogram::bucket(std::uint64_t us) noexcept {
  const unsigned width = static_cast<unsigned>(std::bit_width(us));
  if (width <= kSubBits) return us;
  const unsigned shift = width - kSubBits - 1;
  const std::size_t index = (std::size_t{shift + 1} << kSubBits) + (us >> shift) - (std::size_t{1} << kSubBits);
  return std::min(index, kBuckets - 1);
}

std::uint64_t Histogram::upper(std::size_t index) noexcept {
  const std::size_t group = index >> kSubBits;
  if (group == 0) return index;
  const std::uint64_t base = (std::uint64_t{1} << kSubBits) + (index & ((1u << kSubBits) - 1));
  return ((base + 1) << (group - 1)) - 1;
}

void Histogram::add(std::chrono::nanoseconds value) noexcept {
  const auto ns = std::max<std::int64_t>(0, value.count());
  buckets_[bucket(static_cast<std::uint64_t>(ns) / 1000)].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(ns, std::memory_order_relaxed);
  std::int64_t seen = max_ns_.load(std::memory_order_relaxed);
  while (ns > seen && !max_ns_.compare_exchange_weak(seen, ns, std::memory_order_relaxed)) {
  }
}

std::chrono::nanoseconds Histogram::percentile(double p) const noexcept {
  const auto total = count();
  if (total == 0) return {};
  const auto wanted = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(p * static_cast<double>(total))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i].load(std::memory_order_relaxed);
    if (seen >= wanted) return std::min(max(), std::chrono::nanoseconds(std::chrono::microseconds(upper(i) + 1)));
  }
  return max();
}

}  // namespace penstock::report
