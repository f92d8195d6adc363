#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace penstock::report {

/// Latencies in buckets that grow with the value: every percentile within 3 %, from 1 µs to over a day, without keeping
/// samples. Any thread.
class Histogram {
 public:
  void add(std::chrono::nanoseconds value) noexcept;
  [[nodiscard]] std::uint64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::chrono::nanoseconds sum() const noexcept {
    return std::chrono::nanoseconds(sum_ns_.load(std::memory_order_relaxed));
  }
  /// The value below which the share `p` (0 … 1) of all samples lies; zero when there are none.
  [[nodiscard]] std::chrono::nanoseconds percentile(double p) const noexcept;
  [[nodiscard]] std::chrono::nanoseconds max() const noexcept {
    return std::chrono::nanoseconds(max_ns_.load(std::memory_order_relaxed));
  }

 private:
  static constexpr unsigned kSubBits = 5;  // 32 buckets a power of two
  static constexpr std::size_t kBuckets = (48 - kSubBits) << kSubBits;
  static std::size_t bucket(std::uint64_t us) noexcept;
  static std::uint64_t upper(std::size_t bucket) noexcept;

  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::int64_t> sum_ns_{0};
  std::atomic<std::int64_t> max_ns_{0};
};

}  // namespace penstock::report
