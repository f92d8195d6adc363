#include "cli/tail_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/rate_limiter.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/flags.h"
#include "cli/journal_files.h"
#include "cli/observer.h"
#include "cli/signals.h"
#include "cli/sources.h"
#include "cli/survey.h"
#include "cli/tail_feed.h"
#include "cli/target.h"
#include "cli/version.h"
#include "pipeline/checkpointer.h"
#include "report/metrics.h"
#include "sink/memory_catalog.h"
#include "sink/null_writer.h"

namespace penstock::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct TailFlags {
  SourceFlags source;
  TargetFlags target;
  std::string from = "start";
  std::string poll = "1s";
  bool no_inotify = false;
  std::string finish_after = "5s";
  unsigned max_open_files = 128;
  std::string write = "stmt";
  unsigned lanes = 0;
  unsigned threads = 0;
  unsigned batch_rows = 20'000;
  std::string linger = "200ms";
  std::string memory = "256M";
  std::string retry_for = "forever";
  std::string max_rate;
  std::uint32_t max_child_tables = 1'000'000;
  bool allow_precision_loss = false;
  std::string journal;
  bool no_journal = false;
  std::string rejects = "penstock-rejects/";
  std::string log_format = "text";
  std::string log_level = "info";
  std::string metrics_listen;
};

// Long past any outage, and far from where times overflow.
constexpr auto kForever = std::chrono::milliseconds(std::chrono::hours(24 * 365 * 100));
// Not reaching the target for this long makes the health endpoint say so.
constexpr auto kUnwell = std::chrono::seconds(10);
// Between two lines of the log about rejects.
constexpr auto kRejectsPause = std::chrono::seconds(30);

// Flags after they were checked.
struct TailPlan {
  SourceOptions source;
  io::FollowOptions follow;
  sink::WriteOptions write;
  pipeline::LaneOptions lane;
  pipeline::Rejects::Options rejects;
  Rate rate;
  std::size_t memory = 0;
  unsigned lanes = 1;
  unsigned threads = 1;
};

TailPlan check_flags(const TailFlags& flags) {
  TailPlan plan;
  plan.source = to_options(flags.source);
  plan.source.use_mmap = false;  // files that are truncated under it are a tail's daily bread
  plan.source.forward_lines = flags.write == "schemaless";
  plan.source.allow_precision_loss = flags.allow_precision_loss;
  if (plan.source.format == format::Format::influx_csv)
    throw Error(Errc::config, "--format influx-csv: annotated CSV does not grow line by line; use penstock load");
  plan.follow.sources = flags.source.sources;
  plan.follow.from_end = flags.from == "end";
  plan.follow.poll = duration_flag("--poll", flags.poll);
  plan.follow.inotify = !flags.no_inotify;
  plan.follow.finish_after = duration_flag("--finish-after", flags.finish_after);
  plan.follow.max_open_files = std::max(4u, flags.max_open_files);
  plan.follow.max_record = plan.source.max_record;
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  plan.threads = flags.threads > 0 ? flags.threads : cores;
  plan.lanes = flags.lanes > 0 ? flags.lanes : std::clamp(cores, 2u, 8u);
  if (flags.batch_rows == 0) throw Error(Errc::config, "--batch-rows 0: a request holds at least one row");
  plan.write.batch_rows = flags.batch_rows;
  plan.write.retry_for = flags.retry_for == "forever" ? kForever : duration_flag("--retry-for", flags.retry_for);
  plan.lane.linger = duration_flag("--linger", flags.linger);
  plan.lane.first_window_rows = flags.batch_rows;
  plan.memory = size_flag("--memory", flags.memory);
  if (plan.memory < std::size_t{16} << 20) throw Error(Errc::config, "--memory " + flags.memory + ": at least 16M");
  plan.lane.max_window_bytes = plan.memory / 2 / plan.lanes;
  plan.rate = rate_flag("--max-rate", flags.max_rate);
  plan.rejects.path = flags.rejects;
  // A service goes on whatever comes; a full disk is still looked at.
  plan.rejects.max_rejects = UINT64_MAX;
  plan.rejects.early_share = 1.0;
  return plan;
}

void set_log(const TailFlags& flags) {
  const bool under_systemd = std::getenv("JOURNAL_STREAM") != nullptr;
  set_log_format(flags.log_format == "json" ? LogFormat::json : under_systemd ? LogFormat::journal : LogFormat::dated);
  set_log_level(flags.log_level == "debug"     ? LogLevel::debug
                : flags.log_level == "warning" ? LogLevel::warning
                : flags.log_level == "error"   ? LogLevel::error
                                               : LogLevel::info);
}

// Keeps the books, and since when the target has refused or not answered.
class TailObserver : public LoadObserver {
 public:
  using LoadObserver::LoadObserver;
  void acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t by_precision, std::uint64_t runs,
                    std::uint64_t bytes, std::chrono::nanoseconds latency) override {
    LoadObserver::acknowledged(rows, merged, by_precision, runs, bytes, latency);
    if (const auto since = failing_since_.exchange(0); since != 0)
      log_event(LogLevel::info, "target.back",
                fmt::format("the target takes rows again after {}", format_duration(Clock::now() - time_of(since))));
  }
  void retried() override {
    LoadObserver::retried();
    std::int64_t none = 0;
    if (failing_since_.compare_exchange_strong(none, Clock::now().time_since_epoch().count()))
      log_event(LogLevel::warning, "target.trouble",
                "the target does not take rows: reading goes on as far as memory allows, and rows are sent again");
  }
  /// Empty: all is well.
  [[nodiscard]] std::optional<Clock::time_point> failing_since() const {
    const auto since = failing_since_.load();
    return since == 0 ? std::nullopt : std::optional(time_of(since));
  }

 private:
  static Clock::time_point time_of(std::int64_t count) { return Clock::time_point(Clock::duration(count)); }
  std::atomic<std::int64_t> failing_since_{0};
};

// The parts of a running tail; made in this order, ended in the other.
class Tail {
 public:
  Tail(const TailFlags& flags, TailPlan plan, std::stop_source stop)
      : flags_(flags),
        plan_(std::move(plan)),
        stop_(std::move(stop)),
        budget_(plan_.memory),
        ledger_(0),
        rejects_(plan_.rejects, {}),
        arrivals_([this](std::uint32_t source) { keep_arrivals(source); }),
        opener_(with_arrivals(plan_.source), registry_, &budget_),
        row_rate_(plan_.rate.rows_per_second),
        byte_rate_(plan_.rate.bytes_per_second),
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
  Clock::time_point next_rejects_;
  std::atomic<Clock::rep> last_checkpoint_{Clock::now().time_since_epoch().count()};
};

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
    catalog_ = target_->open_catalog(plan_.write.retry_for, stop_.get_token());
  }
  plan_.write.precision = *times.precision;
  opener_.set_target(times, [this](const std::string& table) -> std::optional<data::SuperTable> {
    auto found = catalog_->describe(table);
    if (found.kind != schema::Catalog::Kind::super_table) return std::nullopt;
    return std::move(found.table);
  });
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
  options.look = [this](std::uint32_t source, const pipeline::Settled&) {
    feed_->describe(source);
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
  if (target_->is_null()) return std::make_unique<sink::NullWriter>(plan_.write, observer_);
  Target::WriterSettings settings;
  if (plan_.source.forward_lines)
    settings.schemaless = schemaless_settings(flags_.source.precision, flags_.source.table_name_key, 0);
  return target_->open_writer(settings, plan_.write, observer_, stop_.get_token());
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
    pipeline::LaneGroup lanes(plan_.lanes, plan_.lane, budget_, ledger_, counters_, registry_,
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
    run.threads = plan_.threads;
    run.selection = plan_.source.selection;
    run.max_child_tables = flags_.max_child_tables;
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

}  // namespace

void add_tail_command(CLI::App& program, int& status) {
  auto* const command = program.add_subcommand("tail", "Follow growing files into TDengine, as a service");
  const auto flags = std::make_shared<TailFlags>();
  add_target_flags(*command, flags->target);
  add_source_flags(*command, flags->source);
  const auto* const following = "Following";
  command->add_option("--from", flags->from, "Where files that are there at the very first start begin: start or end")
      ->group(following)
      ->check(CLI::IsMember({"start", "end"}))
      ->capture_default_str();
  command->add_option("--poll", flags->poll, "New data is seen at most this late where the system gives no notice")
      ->group(following)
      ->capture_default_str();
  command->add_flag("--no-inotify", flags->no_inotify, "Only look, every --poll (network file systems)")
      ->group(following);
  command
      ->add_option("--finish-after", flags->finish_after,
                   "A renamed or deleted file that has not grown for this long is at its end")
      ->group(following)
      ->capture_default_str();
  command->add_option("--max-open-files", flags->max_open_files, "Files that are held open, however many are followed")
      ->group(following)
      ->capture_default_str();
  const auto* const group = "Writing";
  command
      ->add_option("--write", flags->write, "stmt (our parsers, parameter binding) or schemaless (the server parses)")
      ->group(group)
      ->check(CLI::IsMember({"stmt", "schemaless"}))
      ->capture_default_str();
  command->add_option("--lanes", flags->lanes, "Connections (default: as many as cores, 2 to 8)")->group(group);
  command->add_option("--threads", flags->threads, "Parsing threads (default: as many as cores)")->group(group);
  command->add_option("--batch-rows", flags->batch_rows, "Most rows of a request")->group(group)->capture_default_str();
  command->add_option("--linger", flags->linger, "Longest time a row waits for others before it is sent")
      ->group(group)
      ->capture_default_str();
  command->add_option("--memory", flags->memory, "Memory for rows and requests; when it is full, reading waits")
      ->group(group)
      ->capture_default_str();
  command->add_option("--retry-for", flags->retry_for, "Give up after this time without progress, or forever")
      ->group(group)
      ->capture_default_str();
  command->add_option("--max-rate", flags->max_rate, "Send at most 200k/s (rows) or 50MB/s")->group(group);
  command->add_option("--max-child-tables", flags->max_child_tables, "Stop before more child tables than this are made")
      ->group(group)
      ->capture_default_str();
  command
      ->add_flag("--allow-precision-loss", flags->allow_precision_loss, "Take finer timestamps than the database keeps")
      ->group(group);
  const auto* const outcome = "Outcome";
  command
      ->add_option("--journal", flags->journal,
                   "File that says how far each source is written (default: in $XDG_STATE_HOME/penstock)")
      ->group(outcome);
  command->add_flag("--no-journal", flags->no_journal, "Remember nothing: begin at --from at each start")
      ->group(outcome);
  command->add_option("--rejects", flags->rejects, "Folder for rejected records")
      ->group(outcome)
      ->capture_default_str();
  command->add_option("--log-format", flags->log_format, "text, or json: one object a line")
      ->group(outcome)
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->add_option("--log-level", flags->log_level, "debug, info, warning or error")
      ->group(outcome)
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  command
      ->add_option("--metrics-listen", flags->metrics_listen,
                   "Serve metrics for Prometheus and /healthz: PORT (this machine only), HOST:PORT, or :PORT (all)")
      ->group(outcome);
  command->callback([flags, &status] {
    TailPlan plan = check_flags(*flags);
    set_log(*flags);
    std::stop_source stop;
    const SignalGuard signals(stop, SignalGuard::Hangup::stops);
    status = Tail(*flags, std::move(plan), stop).run();
  });
}

}  // namespace penstock::cli
