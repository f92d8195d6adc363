#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace penstock {

/// Lets at most `per_second` units through a second, over all threads; bursts of up to 100 ms. Any thread.
class RateLimiter {
 public:
  /// 0: no limit.
  explicit RateLimiter(double per_second) : per_second_(per_second) {}

  /// Waits until `units` may pass. Returns early when a stop is asked for.
  void pass(double units, std::stop_token stop) {
    if (per_second_ <= 0) return;
    using Clock = std::chrono::steady_clock;
    std::unique_lock lock(mutex_);
    const auto now = Clock::now();
    const auto earliest = now - std::chrono::milliseconds(100);
    next_ = std::max(next_, earliest);
    const auto mine = next_;
    next_ += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(units / per_second_));
    if (mine > now) never_.wait_until(lock, stop, mine, [] { return false; });
  }

 private:
  const double per_second_;
  std::mutex mutex_;
  std::condition_variable_any never_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace penstock
