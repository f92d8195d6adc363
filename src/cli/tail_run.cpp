#include "cli/tail_run.h"

#include <fmt/format.h>

#include <csignal>
#include <filesystem>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/journal_files.h"
#include "cli/signals.h"
#include "cli/survey.h"
#include "cli/tail_command.h"
#include "cli/version.h"
#include "sink/memory_catalog.h"
#include "sink/null_writer.h"

namespace penstock::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Not reaching the target for this long makes the health endpoint say so.
constexpr auto kUnwell = std::chrono::seconds(10);
// Between two lines of the log about rejects.
constexpr auto kRejectsPause = std::chrono::seconds(30);

}  // namespace

void TailObserver::acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t by_precision,
                                std::uint64_t runs, std::uint64_t bytes, std::chrono::nanoseconds latency) {
  LoadObserver::acknowledged(rows, merged, by_precision, runs, bytes, latency);
  if (const auto since = failing_since_.exchange(0); since != 0)
    log_event(LogLevel::info, "target.back",
              fmt::format("the target takes rows again after {}", format_duration(Clock::now() - time_of(since))));
}

void TailObserver::retried() {
  LoadObserver::retried();
  std::int64_t none = 0;
  if (failing_since_.compare_exchange_strong(none, Clock::now().time_since_epoch().count()))
    log_event(LogLevel::warning, "target.trouble",
              "the target does not take rows: reading goes on as far as memory allows, and rows are sent again");
}

// Of a database that is to be made: what the first file shows, or else what the flags say of the format.
data::Precision Tail::needed_precision() {
  // With an opener of its own: what a file shows now is not all that it will show when it is read.
  schema::Registry registry;
  SourceOpener prober(plan_.source, registry, nullptr);
  for (const auto& source : flags_.source.sources) {
    try {
      for (const auto& input : io::expand_inputs(std::vector{source})) return prober.probe(input);
    } catch (const Error& error) {
      if (error.code() != Errc::io && error.code() != Errc::config) throw;  // not there yet, or not readable yet
    }
  }
  const auto format = plan_.source.format.value_or(format::Format::line);
  if (format != format::Format::line) return data::Precision::milliseconds;
  return precision_for(plan_.source.precision.value_or(format::TimeUnit::nanoseconds));
}

void Tail::prepare_target() {
  TargetFlags target = flags_.target;
  target.wait = true;  // a service may be started before its server
  target_ = Target::resolve(target);
  if (target_->is_null() && plan_.source.forward_lines)
    throw Error(Errc::config,
                "--write schemaless needs a server that reads the lines: --to null: goes with --write stmt");
  TargetTimes times;
  if (target_->is_null()) {
    times.precision = target_->wanted_precision() ? *target_->wanted_precision() : needed_precision();
    catalog_ = std::make_unique<sink::MemoryCatalog>();
  } else {
    const auto database =
        target_->prepare_database([this] { return needed_precision(); }, stop_.get_token(),
                                  [](const std::string& text) { log_event(LogLevel::info, "target.note", text); });
    times.precision = database.precision;
    times.first_ns = database.first_ns;
    times.last_ns = database.last_ns;
    catalog_ = target_->open_catalog(plan_.writing.write.retry_for, stop_.get_token());
  }
  plan_.writing.write.precision = *times.precision;
  opener_.set_target(times, *catalog_);
}

// Takes the lock, so that no other tail reads the same files into the same target, and goes on with what is there.
void Tail::open_journal() {
  if (flags_.no_journal || target_->is_null()) return;
  const std::string target = target_->display();
  const std::span<const std::string> first(flags_.source.sources.data(), 1);
  std::filesystem::path path = flags_.journal;
  if (path.empty()) {
    path = default_journal("tail", first, target);
    prepare_state_directory(path.parent_path());
  }
  journal_ = pipeline::Journal::open(path);
  if (!journal_->found()) {
    pipeline::JournalContent content;
    content.head.command = "tail";
    content.head.target = target;
    content.head.settings = {{"sources", fmt::format("{}", fmt::join(flags_.source.sources, " "))}};
    journal_->begin(std::move(content));
    return;
  }
  const auto& head = journal_->found()->head;
  if (head.command != "tail" || head.target != target)
    throw Error(Errc::config,
                fmt::format("--journal {}: it belongs to a {} into {}; what it says of files is no help for {}. Name "
                            "another file, or remove it to read all files anew",
                            path.string(), head.command, head.target, target));
  known_ = journal_->found()->sources;
  plan_.follow.from_end = false;  // it is no first start, whatever was found then
  std::vector<std::string> ids;
  for (const auto& source : known_) ids.push_back(source.id);
  journal_->go_on(ids);
}

void Tail::keep_arrivals(std::uint32_t source) {
  if (!journal_) return;
  feed_->describe(source);
  journal_->commit();
}

// Rejects that were written down and are read again must not stand there twice.
void Tail::restore_rejects() {
  if (!journal_) return;
  const auto suffix = fmt::format(".{}", journal_->found() ? journal_->found()->head.runs + 1 : 1);
  std::vector<std::pair<std::uint32_t, pipeline::RejectFiles>> restored;
  for (std::uint32_t source = 0; source < known_.size(); ++source) {
    const auto& row = known_[source];
    if (row.rejects.records.empty()) continue;
    auto result = rejects_.begin_restore(source, row.rejects, row.settled.offset, row.settled.rows.rejected, suffix);
    if (!result.note.empty()) log_event(LogLevel::warning, "rejects.note", result.note);
    journal_->set_rejects(source, result.files);
    restored.emplace_back(source, result.files);
  }
  journal_->commit();
  for (const auto& [source, files] : restored) rejects_.end_restore(source, files);
}

pipeline::Checkpointer::Options Tail::checkpoints() {
  pipeline::Checkpointer::Options options;
  options.look = [this](std::uint32_t source, const pipeline::Settled& settled) {
    feed_->describe_at(source, settled.offset);
    return pipeline::Checkpointer::Options::Tail();
  };
  options.on_failure = [this] { stop_.request_stop(); };
  options.done = [this] {
    last_checkpoint_ = Clock::now().time_since_epoch().count();
    tell_rejects();
  };
  return options;
}

// Not one by one: a source that went wrong would fill the log. By the checkpointer's thread.
void Tail::tell_rejects() {
  const auto count = rejects_.count();
  const auto now = Clock::now();
  if (count == rejects_told_ || now < next_rejects_) return;
  next_rejects_ = now + kRejectsPause;
  const auto groups = rejects_.groups();
  const auto& most = groups.front();
  log_event(LogLevel::warning, "rows.rejected",
            fmt::format("{} records were rejected, {} in all, most of them ({}): {} (first: {}); they are in {}",
                        format_count(count - rejects_told_), format_count(count), format_count(most.count), most.reason,
                        most.first, rejects_.location()),
            {{"new", static_cast<std::int64_t>(count - rejects_told_)}, {"total", static_cast<std::int64_t>(count)}});
  rejects_told_ = count;
}

void Tail::write_last_checkpoint(pipeline::Checkpointer& checkpointer, pipeline::RunResult& result) {
  checkpointer.stop();
  try {
    if (const auto failure = checkpointer.failure()) std::rethrow_exception(failure);
    checkpointer.checkpoint();
  } catch (const Error&) {
    result.error = std::current_exception();
  }
}

std::unique_ptr<sink::Writer> Tail::make_writer() {
  if (target_->is_null()) return std::make_unique<sink::NullWriter>(plan_.writing.write, observer_);
  Target::WriterSettings settings;
  if (plan_.source.forward_lines)
    settings.schemaless = schemaless_settings(flags_.source.precision, flags_.source.table_name_key, 0);
  return target_->open_writer(settings, plan_.writing.write, observer_, stop_.get_token());
}

report::Gauges Tail::look() const {
  report::Gauges gauges;
  gauges.sources = feed_->lag();
  gauges.memory_bytes = budget_.used();
  gauges.memory_limit = budget_.limit();
  const auto since_checkpoint = Clock::now() - Clock::time_point(Clock::duration(last_checkpoint_.load()));
  gauges.checkpoint_age_seconds = journal_ ? std::chrono::duration<double>(since_checkpoint).count() : 0;
  if (const auto since = observer_.failing_since(); since && Clock::now() - *since > kUnwell) {
    gauges.healthy = false;
    gauges.trouble =
        fmt::format("{} has not taken rows for {}", target_->display(), format_duration(Clock::now() - *since));
  }
  return gauges;
}

int Tail::run() {
  try {
    prepare_target();
    open_journal();
  } catch (const Error& error) {
    const int signal = SignalGuard::received();
    if (signal == 0) throw;
    log_event(LogLevel::info, "tail.stopped", fmt::format("stopped before the first row: {}", error.what()));
    return signal == SIGHUP ? kReload : kOk;
  }
  if (!plan_.source.forward_lines) {
    auto growth = growth_options(plan_.source);
    growth.on_change = [](const std::string& statement) { log_event(LogLevel::info, "schema.changed", statement); };
    growth_ = std::make_unique<schema::Growth>(*catalog_, registry_, growth);
  }
  plan_.follow.budget = &budget_;
  feed_ = std::make_unique<TailFeed>(plan_.follow, known_, opener_,
                                     TailFeed::Books{ledger_, rejects_, arrivals_, journal_.get()});
  restore_rejects();
  rejects_told_ = rejects_.count();
  pipeline::RunResult result;
  {
    pipeline::LaneGroup lanes(plan_.writing.lanes, plan_.writing.lane, budget_, ledger_, counters_, registry_,
                              [this](std::uint32_t) { return make_writer(); });
    std::optional<report::MetricsServer> metrics;
    if (!flags_.metrics_listen.empty()) {
      metrics.emplace(flags_.metrics_listen, counters_, latencies_, [this] { return look(); });
      log_event(LogLevel::info, "metrics.listening",
                fmt::format("metrics at http://{}/metrics, health at /healthz", metrics->address()));
    }
    log_event(LogLevel::info, "tail.started",
              fmt::format("penstock {} follows {} into {}", kVersion, fmt::join(flags_.source.sources, ", "),
                          target_->display()));
    pipeline::RunPlan run;
    run.feed = feed_.get();
    run.growth = growth_.get();
    run.lanes = &lanes;
    run.rejects = &rejects_;
    run.ledger = &ledger_;
    run.budget = &budget_;
    run.counters = &counters_;
    run.threads = plan_.writing.threads;
    run.selection = plan_.source.selection;
    run.max_child_tables = flags_.writing.max_child_tables;
    std::optional<pipeline::Checkpointer> checkpointer;
    if (journal_) checkpointer.emplace(ledger_, rejects_, *journal_, checkpoints());
    result = pipeline::run(run, stop_);
    if (checkpointer) write_last_checkpoint(*checkpointer, result);
  }
  return ended(result);
}

int Tail::ended(const pipeline::RunResult& result) {
  auto rows = ledger_.total();
  for (const auto& source : known_) rows -= source.settled.rows;  // of the runs before
  const int signal = SignalGuard::received();
  int status = kOk;
  std::string why = signal == SIGHUP ? "the configuration is read again" : "everything that was read is written";
  if (result.error) {
    try {
      std::rethrow_exception(result.error);
    } catch (const Error& error) {
      // Stopped while the target was away: what was not written is read again at the next start.
      if (error.code() == Errc::stopped && signal != 0) {
        why = fmt::format("{} rows were read and not written: they are read again at the next start", rows.not_done());
      } else {
        status = error.code() == Errc::config || error.code() == Errc::auth ? kUsage : kStopped;
        why = error.what();
      }
    } catch (const std::exception& error) {
      status = kStopped;
      why = error.what();
    }
  }
  log_event(status == kOk ? LogLevel::info : LogLevel::error, "tail.stopped",
            fmt::format("stopped: {}. {} rows read = {} written + {} rejected + {} left out + {} not done", why,
                        format_count(rows.read), format_count(rows.written), format_count(rows.rejected),
                        format_count(rows.left_out), format_count(rows.not_done())),
            {{"read", static_cast<std::int64_t>(rows.read)},
             {"written", static_cast<std::int64_t>(rows.written)},
             {"rejected", static_cast<std::int64_t>(rows.rejected)},
             {"left_out", static_cast<std::int64_t>(rows.left_out)},
             {"not_done", static_cast<std::int64_t>(rows.not_done())}});
  if (journal_) {
    try {
      journal_->end(pipeline::JournalState::interrupted, status, why);
    } catch (const Error& error) {
      log_event(LogLevel::error, "journal.failed", error.what());
      status = kStopped;
    }
  }
  if (status == kOk && signal == SIGHUP) return kReload;
  return status;
}

}  // namespace penstock::cli
