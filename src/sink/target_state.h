#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "client/dsn.h"
#include "sink/endpoints.h"
#include "sink/throttle.h"

namespace penstock::sink {

/// What all connections of a load to its target know together: which endpoints answer, how much the server takes, and
/// when something got through last. Any thread.
struct TargetState {
  using Clock = std::chrono::steady_clock;
  explicit TargetState(const client::Options& options) : endpoints(options.endpoints), throttle(options.display()) {}

  Endpoints endpoints;
  Throttle throttle;
  /// A login was accepted: one that is refused later is no wrong flag.
  std::atomic<bool> was_logged_in{false};
  /// Somebody said on the log that the target takes nothing.
  std::atomic<bool> told_stalled{false};

  void progressed() noexcept { progress_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed); }
  [[nodiscard]] Clock::time_point last_progress() const noexcept {
    return Clock::time_point(Clock::duration(progress_.load(std::memory_order_relaxed)));
  }

 private:
  std::atomic<Clock::rep> progress_{0};
};

/// `state`, or one of its own for who shares nothing.
inline std::shared_ptr<TargetState> state_or_own(std::shared_ptr<TargetState> state, const client::Options& options) {
  return state ? std::move(state) : std::make_shared<TargetState>(options);
}

}  // namespace penstock::sink
