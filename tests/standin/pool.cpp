#include "standin/pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace penstock::standin {
namespace {

constexpr int kThreads = 4;  // a callback may wait for what another one does

struct Pool {
  std::mutex mutex;
  std::condition_variable filled;
  std::deque<std::function<void()>> work;

  Pool() {
    for (int i = 0; i < kThreads; ++i) std::thread([this] { run(); }).detach();
  }
  void run() {
    for (;;) {
      std::function<void()> next;
      {
        std::unique_lock lock(mutex);
        filled.wait(lock, [this] { return !work.empty(); });
        next = std::move(work.front());
        work.pop_front();
      }
      next();
    }
  }
};

}  // namespace

void run_on_pool(std::function<void()> work) {
  static Pool& pool = *new Pool;
  {
    const std::lock_guard lock(pool.mutex);
    pool.work.push_back(std::move(work));
  }
  pool.filled.notify_one();
}

}  // namespace penstock::standin
