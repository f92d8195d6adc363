#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <stop_token>

namespace penstock {

/// The one bound for the memory that the data of a run takes (chunks, rows, windows, requests). Any thread.
/// acquire() waits while the budget is used up; release() never waits. A caller that holds nothing always gets its
/// first acquire, so that a piece larger than the whole budget cannot hang the run.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t limit_bytes) : limit_(limit_bytes) {}

  /// Called, from the thread that must wait, before each wait in acquire(): the place to wake those who hold memory.
  /// Set before the first acquire().
  void on_wait(std::function<void()> call) { on_wait_ = std::move(call); }

  /// Takes `bytes`; waits until they fit or until a stop is asked for (then false, nothing taken). Goes past the limit
  /// rather than wait when `hopeless` says that nobody is going to release what is held; it is asked again after every
  /// release and must not call the budget.
  bool acquire(std::size_t bytes, std::stop_token stop, const std::function<bool()>& hopeless = {});
  /// Takes `bytes` without waiting, past the limit if need be: for what turned out larger than estimated.
  void charge(std::size_t bytes) noexcept {
    used_.fetch_add(bytes, std::memory_order_relaxed);
    note_peak();
  }
  void release(std::size_t bytes) noexcept;

  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t peak() const noexcept { return peak_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
  /// True while somebody waits in acquire(): whoever holds memory that it could give back should do so.
  [[nodiscard]] bool wanted() const noexcept { return waiting_.load(std::memory_order_acquire) > 0; }

 private:
  void note_peak() noexcept;

  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> peak_{0};
  std::atomic<int> waiting_{0};
  std::function<void()> on_wait_;
  std::mutex mutex_;
  std::condition_variable_any freed_;
};

}  // namespace penstock
