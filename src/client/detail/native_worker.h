#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace penstock::client::detail {

/// A thread that carries out calls of TDengine's client library one after the other, for they block and cannot be
/// interrupted. Whoever gives up waiting for one leaves the thread behind: it ends by itself when the call returns, and
/// what its jobs hold is freed then. Any thread may post.
class NativeWorker {
 public:
  using Job = std::function<void()>;

  NativeWorker();
  NativeWorker(const NativeWorker&) = delete;
  NativeWorker& operator=(const NativeWorker&) = delete;
  /// finish() without waiting.
  ~NativeWorker();

  /// Jobs must not throw. One that comes after finish() is destroyed where it is.
  void post(Job job);
  /// The thread ends with what is queued; waits for that at most so long.
  void finish(std::chrono::milliseconds patience);
  /// finish() without waiting, for a worker whose present job takes too long. Jobs that wait behind it go to `heir`.
  void abandon_to(NativeWorker& heir);

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Job> jobs;
    bool finishing = false;
    bool ended = false;
  };
  static void run(State& state);

  const std::shared_ptr<State> state_;  // the thread has a share
  std::jthread thread_;
};

}  // namespace penstock::client::detail
