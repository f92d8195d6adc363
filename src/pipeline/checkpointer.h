#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/journal.h"
#include "pipeline/ledger.h"
#include "pipeline/rejects.h"

namespace penstock::pipeline {

/// Keeps a journal up to date while a run goes on: every `every` it takes what the ledger has settled, makes the
/// rejects durable, and commits. In this order: the rejects of settled rows are on disk before the journal says that
/// the rows are settled.
///
/// While an oversized record is on its way to the reject files, rejects of other rows may have to wait for its end;
/// then the journal waits too.
///
/// A failure (disk full) is told once through on_failure, from the checkpointer's thread; the run should stop then.
class Checkpointer {
 public:
  struct Options {
    std::chrono::milliseconds every{1'000};
    /// Called for each source that changed, before its row is written: may add to the journal what belongs to the
    /// settled place (Journal::describe()); returns the hash of what stands before it, or nothing. May be empty.
    struct Tail {
      std::string hash;
      std::uint32_t bytes = 0;
    };
    std::function<Tail(std::uint32_t source, const Settled& settled)> look;
    std::function<void()> on_failure;
    std::function<void()> done;  ///< called after each checkpoint; may be empty
  };
  /// All three outlive the checkpointer. Starts its thread.
  Checkpointer(Ledger& ledger, Rejects& rejects, Journal& journal, Options options);
  ~Checkpointer();

  /// A checkpoint now, in the caller's thread. Throws Error(Errc::io).
  void checkpoint();
  /// Ends the thread. The caller makes the last checkpoint().
  void stop();
  /// What went wrong in its thread; null: nothing. Any thread.
  [[nodiscard]] std::exception_ptr failure() const;

 private:
  void run(const std::stop_token& stop);

  Ledger& ledger_;
  Rejects& rejects_;
  Journal& journal_;
  Options options_;
  mutable std::mutex mutex_;
  std::mutex checkpoint_mutex_;          // one checkpoint at a time; guards pending_
  std::vector<Ledger::Change> pending_;  // that the journal does not know of yet
  std::condition_variable_any wake_;
  std::exception_ptr failure_;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace penstock::pipeline
