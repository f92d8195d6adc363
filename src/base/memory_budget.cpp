#include "base/memory_budget.h"

namespace penstock {

void MemoryBudget::note_peak() noexcept {
  const std::size_t now = used_.load(std::memory_order_relaxed);
  std::size_t seen = peak_.load(std::memory_order_relaxed);
  while (now > seen && !peak_.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
  }
}

bool MemoryBudget::acquire(std::size_t bytes, std::stop_token stop, const std::function<bool()>& hopeless) {
  std::unique_lock lock(mutex_);
  const auto fits = [&] {
    const std::size_t now = used_.load();
    return now == 0 || now + bytes <= limit_ || (hopeless && hopeless());
  };
  if (!fits()) {
    waiting_.fetch_add(1);
    if (on_wait_) {
      lock.unlock();
      on_wait_();
      lock.lock();
    }
    const bool got = freed_.wait(lock, stop, fits);
    waiting_.fetch_sub(1, std::memory_order_acq_rel);
    if (!got) return false;
  }
  used_.fetch_add(bytes, std::memory_order_relaxed);
  note_peak();
  return true;
}

void MemoryBudget::release(std::size_t bytes) noexcept {
  // Sequentially consistent, as acquire()'s own pair: either this sees the waiter, or the waiter sees the memory free.
  used_.fetch_sub(bytes);
  if (waiting_.load() > 0) {
    // The empty critical section orders this release before the waiter's next look at the predicate.
    { const std::lock_guard lock(mutex_); }
    freed_.notify_all();
  }
}

}  // namespace penstock
