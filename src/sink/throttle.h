#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace penstock::sink {

/// How many requests may be under way at a time over all lanes, and how large they may be. A server that is short of
/// memory or buffers halves the number, and at one request halves the size; success lets both grow back slowly. Without
/// pressure nobody ever waits. Any thread.
class Throttle {
 public:
  /// One lane's share. One thread.
  class Slot {
   public:
    Slot(Throttle& throttle, std::stop_token stop);
    ~Slot();
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;

    /// Leave for one request; waits for it only while this lane has none under way, so that lanes never wait for each
    /// other in a ring. `meanwhile` is called every few seconds. Throws Error(Errc::stopped).
    void acquire(const std::function<void()>& meanwhile);
    /// Leave for one more, if there is any.
    bool try_acquire();
    [[nodiscard]] unsigned held() const noexcept { return held_; }
    void release() { release(1); }
    void release_all() { release(held_); }
    /// The request that leave was asked for last met a server under pressure.
    void pressed(std::string_view why);
    /// A request went through.
    void succeeded();

   private:
    void release(unsigned count);
    Throttle& throttle_;
    const std::stop_token stop_;
    unsigned held_ = 0;
    std::uint64_t cuts_ = 0;  // that had been made when leave was asked for last
  };

  explicit Throttle(std::string target) : target_(std::move(target)) {}
  /// Most rows of a request, when `full` is the most in good times.
  [[nodiscard]] std::uint32_t batch_rows(std::uint32_t full) const;
  /// Requests that may be under way at a time.
  [[nodiscard]] unsigned limit() const;

 private:
  using Clock = std::chrono::steady_clock;
  // A lane binds one request while another executes.
  [[nodiscard]] unsigned most() const noexcept { return 2 * lanes_; }

  const std::string target_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any freed_;
  unsigned lanes_ = 0;
  unsigned under_way_ = 0;
  unsigned taken_away_ = 0;  // of most()
  unsigned halvings_ = 0;    // of the size
  unsigned successes_ = 0;   // since the last step up or down
  std::uint64_t cuts_ = 0;
  std::optional<Clock::time_point> pressed_since_;
  bool told_ = false;
  Clock::time_point told_at_{};
};

}  // namespace penstock::sink
