#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "base/rate_limiter.h"
#include "cli/arrival_times.h"
#include "cli/flags.h"
#include "cli/observer.h"
#include "cli/sources.h"
#include "cli/tail_feed.h"
#include "cli/target.h"
#include "cli/writing_flags.h"
#include "pipeline/checkpointer.h"
#include "pipeline/journal.h"
#include "pipeline/run.h"
#include "report/metrics.h"

namespace penstock::cli {

/// The flags of `tail`, as they were typed.
struct TailFlags {
  SourceFlags source;
  TargetFlags target;
  std::string from = "start";
  std::string poll = "1s";
  bool no_inotify = false;
  std::string finish_after = "5s";
  unsigned max_open_files = 128;
  WritingFlags writing;
  std::string journal;
  bool no_journal = false;
  std::string rejects = "penstock-rejects/";
  std::string log_format = "text";
  std::string log_level = "info";
  std::string metrics_listen;
};

/// The same after they were checked.
struct TailPlan {
  SourceOptions source;
  io::FollowOptions follow;
  WritingPlan writing;
  pipeline::Rejects::Options rejects;
};

/// Keeps the books, and since when the target has refused or not answered.
class TailObserver : public LoadObserver {
 public:
  using LoadObserver::LoadObserver;
  void acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t by_precision, std::uint64_t runs,
                    std::uint64_t bytes, std::chrono::nanoseconds latency) override;
  void retried() override;
  /// Empty: all is well.
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> failing_since() const {
    const auto since = failing_since_.load();
    return since == 0 ? std::nullopt : std::optional(time_of(since));
  }

 private:
  static std::chrono::steady_clock::time_point time_of(std::int64_t count) {
    return std::chrono::steady_clock::time_point(std::chrono::steady_clock::duration(count));
  }
  std::atomic<std::int64_t> failing_since_{0};
};

/// A running tail: its parts, made in this order, ended in the other.
class Tail {
 public:
  Tail(const TailFlags& flags, TailPlan plan, std::stop_source stop)
      : flags_(flags),
        plan_(std::move(plan)),
        stop_(std::move(stop)),
        budget_(plan_.writing.memory),
        ledger_(0),
        rejects_(plan_.rejects, {}),
        arrivals_([this](std::uint32_t source) { keep_arrivals(source); }),
        opener_(with_arrivals(plan_.source), registry_, &budget_),
        row_rate_(plan_.writing.rate.rows_per_second),
        byte_rate_(plan_.writing.rate.bytes_per_second),
        observer_(counters_, latencies_, rejects_, row_rate_, byte_rate_, stop_.get_token()) {}

  int run();

 private:
  data::Precision needed_precision();
  void prepare_target();
  SourceOptions with_arrivals(SourceOptions options) {
    options.record_clock = [this](std::uint32_t source, std::uint64_t offset) {
      return arrivals_.time_of(source, offset);
    };
    return options;
  }
  void keep_arrivals(std::uint32_t source);
  void open_journal();
  void restore_rejects();
  pipeline::Checkpointer::Options checkpoints();
  void tell_rejects();
  std::unique_ptr<sink::Writer> make_writer();
  report::Gauges look() const;
  void write_last_checkpoint(pipeline::Checkpointer& checkpointer, pipeline::RunResult& result);
  int ended(const pipeline::RunResult& result);

  const TailFlags& flags_;
  TailPlan plan_;
  std::stop_source stop_;
  MemoryBudget budget_;
  schema::Registry registry_;
  report::Counters counters_;
  report::Histogram latencies_;
  pipeline::Ledger ledger_;
  pipeline::Rejects rejects_;
  ArrivalTimes arrivals_;
  SourceOpener opener_;
  RateLimiter row_rate_;
  RateLimiter byte_rate_;
  TailObserver observer_;
  std::unique_ptr<Target> target_;
  std::unique_ptr<schema::Catalog> catalog_;
  std::unique_ptr<schema::Growth> growth_;
  std::unique_ptr<pipeline::Journal> journal_;
  std::vector<pipeline::JournalSource> known_;
  std::unique_ptr<TailFeed> feed_;
  std::uint64_t rejects_told_ = 0;
  std::chrono::steady_clock::time_point next_rejects_;
  std::atomic<std::chrono::steady_clock::rep> last_checkpoint_{
      std::chrono::steady_clock::now().time_since_epoch().count()};
};

}  // namespace penstock::cli
