#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace penstock {

/// Waiting times that double from `first` to `most`, each spread by ±20 % so that many waiters do not march in step.
/// One thread.
class Backoff {
 public:
  explicit Backoff(std::chrono::milliseconds first = std::chrono::milliseconds(100),
                   std::chrono::milliseconds most = std::chrono::milliseconds(10'000))
      : first_(first), most_(most), next_(first) {}

  std::chrono::milliseconds next() {
    const auto base = next_;
    next_ = std::min(most_, next_ * 2);
    std::uniform_real_distribution<double> spread(0.8, 1.2);
    return std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(base.count()) * spread(random_)));
  }
  void reset() { next_ = first_; }

 private:
  std::chrono::milliseconds first_;
  std::chrono::milliseconds most_;
  std::chrono::milliseconds next_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace penstock
