#include "pipeline/checkpointer.h"

#include <utility>

namespace penstock::pipeline {

Checkpointer::Checkpointer(Ledger& ledger, Rejects& rejects, Journal& journal, Options options)
    : ledger_(ledger), rejects_(rejects), journal_(journal), options_(std::move(options)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Checkpointer::~Checkpointer() { stop(); }

void Checkpointer::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Checkpointer::checkpoint() {
  const std::lock_guard lock(checkpoint_mutex_);
  // The order is the promise: what is settled, then its rejects on disk, then the journal that says so.
  auto changes = ledger_.take_changes();
  pending_.insert(pending_.end(), changes.begin(), changes.end());
  const auto files = rejects_.sync();
  for (const auto& [source, durable] : files) journal_.set_rejects(source, durable);
  if (rejects_.holding_back()) return;
  for (const auto& [source, settled] : pending_) {
    const auto tail = options_.look ? options_.look(source, settled) : Options::Tail{};
    journal_.settle(source, settled, tail.hash, tail.bytes);
  }
  pending_.clear();
  journal_.commit();
  if (options_.done) options_.done();
}

std::exception_ptr Checkpointer::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Checkpointer::run(const std::stop_token& stop) {
  std::mutex sleeping;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(sleeping);
      wake_.wait_for(lock, stop, options_.every, [] { return false; });
    }
    if (stop.stop_requested()) return;
    try {
      checkpoint();
    } catch (...) {
      {
        const std::lock_guard lock(mutex_);
        failure_ = std::current_exception();
      }
      if (options_.on_failure) options_.on_failure();
      return;
    }
  }
}

}  // namespace penstock::pipeline
