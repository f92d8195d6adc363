#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

namespace penstock {

/// First in, first out between threads, at most `capacity` items. Any thread on both ends.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  /// Waits while full. False when the queue was closed or a stop was asked for: the item was not taken.
  bool push(T item, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (!not_full_.wait(lock, stop, [&] { return closed_ || items_.size() < capacity_; }) || closed_) return false;
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }

  /// Waits while empty and open. nullopt at the end (closed and empty) or when a stop was asked for.
  std::optional<T> pop(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (!not_empty_.wait(lock, stop, [&] { return closed_ || !items_.empty(); })) return std::nullopt;
    return take(lock);
  }

  /// As pop(), but gives up at `deadline`; `timed_out` tells that from the end.
  template <class Clock, class Duration>
  std::optional<T> pop_until(std::stop_token stop, std::chrono::time_point<Clock, Duration> deadline, bool& timed_out) {
    std::unique_lock lock(mutex_);
    timed_out = false;
    if (!not_empty_.wait_until(lock, stop, deadline, [&] { return closed_ || !items_.empty(); })) {
      timed_out = !stop.stop_requested();
      return std::nullopt;
    }
    return take(lock);
  }

  /// The item at once, or nullopt.
  std::optional<T> try_pop() {
    std::unique_lock lock(mutex_);
    return take(lock);
  }

  /// No more items come; what is in stays.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  /// Wakes a waiting pop_until() so that its caller looks at the world again (it sees a time-out).
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  std::optional<T> take(std::unique_lock<std::mutex>&) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable_any not_empty_;
  std::condition_variable_any not_full_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace penstock
