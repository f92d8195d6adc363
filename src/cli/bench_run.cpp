#include "cli/bench_run.h"

#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "cli/bench_feed.h"
#include "cli/observer.h"
#include "cli/survey.h"
#include "format/forward_parser.h"
#include "format/line_parser.h"
#include "pipeline/run.h"

namespace penstock::cli {
namespace {

std::vector<pipeline::Rejects::Source> reject_sources(const BenchRows& rows) {
  std::vector<pipeline::Rejects::Source> sources;
  for (const auto& input : rows.inputs) sources.push_back({input.name, "", "", "", ""});
  if (rows.generated != nullptr) sources.push_back({"generated rows", "", "", "", ""});
  return sources;
}

pipeline::Rejects::Options only_counted() {
  pipeline::Rejects::Options options;
  options.discard = true;
  options.max_rejects = UINT64_MAX;
  options.early_share = 2;  // all of them
  return options;
}

/// Keeps the reader of a run that ends by the clock from running ahead: what it has read would have to be written then.
class Pace {
 public:
  explicit Pace(const report::Counters& counters) : counters_(counters) {}
  void moved() {
    // Whoever waits has looked before or looks again.
    { const std::lock_guard lock(mutex_); }
    wake_.notify_one();
  }
  /// Waits until at most `ahead` rows are under way.
  void wait(std::uint64_t ahead, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, stop, [&] {
      const auto ended = counters_.rows_written + counters_.rows_rejected + counters_.rows_left_out;
      return counters_.rows_read <= ended + ahead;
    });
  }

 private:
  const report::Counters& counters_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
};

class BenchObserver final : public LoadObserver {
 public:
  template <class... Arguments>
  explicit BenchObserver(Pace& pace, Arguments&&... arguments)
      : LoadObserver(std::forward<Arguments>(arguments)...), pace_(pace) {}
  void rejected(const sink::ParsedChunk& chunk, const data::Row& row, std::int32_t code,
                std::string_view reason) override {
    LoadObserver::rejected(chunk, row, code, reason);
    pace_.moved();
  }
  void acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t by_precision, std::uint64_t runs,
                    std::uint64_t bytes, std::chrono::nanoseconds latency) override {
    LoadObserver::acknowledged(rows, merged, by_precision, runs, bytes, latency);
    pace_.moved();
  }

 private:
  Pace& pace_;
};

SourceOptions options_of(const BenchLoad& load) {
  auto options = load.rows->options;
  options.forward_lines = load.forward_lines;
  options.selection.limit = std::min(options.selection.limit, load.rows->rows);
  return options;
}

}  // namespace

data::Precision needed_precision(const BenchRows& rows) {
  if (rows.generated != nullptr) return data::Precision::nanoseconds;
  std::exception_ptr failure;
  for (const auto& input : rows.inputs) {
    MemoryBudget budget(std::size_t{64} << 20);
    schema::Registry registry;
    try {
      return SourceOpener(rows.options, registry, &budget).probe(input);
    } catch (const Error& error) {
      if (error.code() != Errc::io) throw;
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
  return data::Precision::milliseconds;
}

double process_cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

BenchResult run_bench_load(const BenchLoad& load, const std::stop_source& stop) {
  using Clock = std::chrono::steady_clock;
  const auto& rows = *load.rows;
  const auto sources = reject_sources(rows);
  MemoryBudget budget(load.memory);
  schema::Registry registry;
  report::Counters counters;
  report::Histogram latencies;
  pipeline::Ledger ledger(sources.size());
  pipeline::Rejects rejects(only_counted(), sources);
  RateLimiter no_limit(0);
  // The time's end must not look like the user's stop.
  std::stop_source own;
  const std::stop_callback forward(stop.get_token(), [&own] { own.request_stop(); });
  Pace pace(counters);
  BenchObserver observer(pace, counters, latencies, rejects, no_limit, no_limit, stop.get_token());
  const auto options = options_of(load);
  SourceOpener opener(options, registry, &budget);
  opener.set_chunk_bytes(load.chunk_bytes);
  std::optional<schema::Growth> growth;
  if (!load.forward_lines) {
    opener.set_target(load.times, *load.catalog);
    growth.emplace(*load.catalog, registry, growth_options(options));
  }
  std::optional<BenchFeed> feed;
  if (rows.generated != nullptr) {
    format::LineOptions line;
    line.range = {load.times.first_ns, load.times.last_ns};
    auto parsers = std::make_shared<pipeline::ParserPool>([&, line]() -> std::unique_ptr<format::Parser> {
      if (load.forward_lines) return std::make_unique<format::ForwardParser>(registry);
      return std::make_unique<format::LineParser>(registry, line);
    });
    feed.emplace(*rows.generated, std::move(parsers), BenchFeed::Until{rows.rows, load.time}, load.chunk_bytes);
  }
  BenchResult result;
  std::uint64_t row_bytes = 0;
  pipeline::LaneGroup lanes(load.lanes, load.lane, budget, ledger, counters, registry,
                            [&](std::uint32_t) { return load.make_writer(observer, stop.get_token()); });
  pipeline::RunPlan plan;
  plan.inputs = feed ? std::vector<io::Input>() : rows.inputs;
  plan.feed = feed ? &*feed : nullptr;
  plan.open = [&](const io::Input& input, std::uint32_t source) { return opener.open(input, source); };
  plan.growth = growth ? &*growth : nullptr;
  plan.lanes = &lanes;
  plan.rejects = &rejects;
  plan.ledger = &ledger;
  plan.budget = &budget;
  plan.counters = &counters;
  plan.threads = load.threads;
  plan.chunk_bytes = load.chunk_bytes;
  plan.selection = options.selection;
  const auto cpu = process_cpu_seconds();
  const auto start = Clock::now();
  plan.look = [&](sink::ParsedChunk& chunk) {
    row_bytes += chunk.rows.bytes();
    if (!load.time) return;
    if (Clock::now() - start >= *load.time) own.request_stop();
    // More than all windows together can hold while none of them closes, so that somebody is always at work.
    const auto windows = load.lanes * load.lane.min_window_rows + load.lane.rows_per_child * registry.child_count();
    pace.wait(windows + windows / 2 + chunk.rows.row_count(), own.get_token());
  };
  const auto run = pipeline::run(plan, own);
  auto& summary = result.summary;
  summary.elapsed = std::max<std::chrono::nanoseconds>(Clock::now() - start, std::chrono::nanoseconds(1));
  result.cpu_seconds = process_cpu_seconds() - cpu;
  result.interrupted = stop.stop_requested();
  result.error = run.error;
  for (const auto& source : run.sources)
    if (!source.error.empty() && !result.error) result.error = std::make_exception_ptr(Error(Errc::io, source.error));
  const auto total = ledger.total();
  summary.total = {total.read,       total.written, total.rejected,  total.left_out,
                   total.not_done(), total.merged,  total.text_bytes};
  summary.requests = counters.requests;
  summary.retries = counters.retries;
  summary.reconnects = counters.reconnects;
  summary.request_bytes = counters.request_bytes;
  summary.runs = counters.runs;
  summary.p50 = latencies.percentile(0.5);
  summary.p90 = latencies.percentile(0.9);
  summary.p99 = latencies.percentile(0.99);
  summary.max = latencies.max();
  summary.memory_peak = budget.peak();
  for (const auto& group : rejects.groups())
    summary.rejects.push_back({group.reason, group.code, group.count, group.first});
  report::fill_stages(summary, counters, load.threads, load.lanes);
  result.child_tables = registry.child_count();
  if (total.read > 0) result.row_bytes = static_cast<double>(row_bytes) / static_cast<double>(total.read);
  return result;
}

}  // namespace penstock::cli
