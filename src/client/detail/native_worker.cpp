#include "client/detail/native_worker.h"

#include <utility>

namespace penstock::client::detail {

NativeWorker::NativeWorker() : state_(std::make_shared<State>()), thread_([state = state_] { run(*state); }) {}

NativeWorker::~NativeWorker() { finish(std::chrono::milliseconds(0)); }

void NativeWorker::run(State& state) {
  std::unique_lock lock(state.mutex);
  for (;;) {
    state.changed.wait(lock, [&] { return !state.jobs.empty() || state.finishing; });
    if (state.jobs.empty()) break;
    Job job = std::move(state.jobs.front());
    state.jobs.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds is freed here, not under the lock
    lock.lock();
  }
  state.ended = true;
  state.changed.notify_all();
}

void NativeWorker::post(Job job) {
  {
    const std::scoped_lock lock(state_->mutex);
    if (state_->finishing) return;
    state_->jobs.push_back(std::move(job));
  }
  state_->changed.notify_all();
}

void NativeWorker::finish(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  std::unique_lock lock(state_->mutex);
  state_->finishing = true;
  state_->changed.notify_all();
  const bool ended = state_->changed.wait_for(lock, patience, [&] { return state_->ended; });
  lock.unlock();
  // The last share of a connection may be given up by a job.
  if (ended && thread_.get_id() != std::this_thread::get_id()) thread_.join();
  else thread_.detach();
}

void NativeWorker::abandon_to(NativeWorker& heir) {
  std::deque<Job> waiting;
  {
    const std::scoped_lock lock(state_->mutex);
    waiting.swap(state_->jobs);
  }
  for (auto& job : waiting) heir.post(std::move(job));
  finish(std::chrono::milliseconds(0));
}

}  // namespace penstock::client::detail
