#include "cli/load_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <csignal>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <thread>

#include "base/error.h"
#include "base/rate_limiter.h"
#include "base/text.h"
#include "cli/existing_tables.h"
#include "cli/exit_status.h"
#include "cli/flags.h"
#include "cli/instant.h"
#include "cli/journal_load.h"
#include "cli/observer.h"
#include "cli/preflight.h"
#include "cli/secrets.h"
#include "cli/signals.h"
#include "cli/sources.h"
#include "cli/survey.h"
#include "cli/target.h"
#include "cli/verify_load.h"
#include "cli/version.h"
#include "client/connection.h"
#include "report/progress.h"
#include "report/summary.h"
#include "sink/memory_catalog.h"
#include "sink/null_writer.h"

namespace penstock::cli {
namespace {

struct LoadFlags {
  SourceFlags source;
  TargetFlags target;
  std::string write = "stmt";
  unsigned lanes = 0;
  unsigned threads = 0;
  unsigned batch_rows = 20'000;
  std::string linger = "5s";
  std::string memory = "512M";
  std::string retry_for = "5m";
  std::string max_rate;
  std::uint32_t max_child_tables = 1'000'000;
  std::string rejects = "penstock-rejects/";
  std::string max_rejects;
  bool rejects_ok = false;
  bool no_preflight = false;
  std::string on_existing = "overwrite";
  bool verify = false;
  std::string report;
  bool allow_precision_loss = false;
  std::string ttl;
  bool quiet = false;
  JournalFlags journal;
};

// Flags after they were checked: everything a load needs to know.
struct LoadPlan {
  SourceOptions source;
  std::vector<io::Input> inputs;
  sink::WriteOptions write;
  pipeline::LaneOptions lane;
  pipeline::Rejects::Options rejects;
  Rate rate;
  std::size_t memory = 0;
  unsigned lanes = 1;
  unsigned threads = 1;
};

LoadPlan check_flags(const LoadFlags& flags) {
  LoadPlan plan;
  plan.source = to_options(flags.source);
  plan.source.forward_lines = flags.write == "schemaless";
  plan.source.allow_precision_loss = flags.allow_precision_loss;
  if (plan.source.forward_lines && (plan.source.selection.since || plan.source.selection.until))
    throw Error(Errc::config,
                "--since and --until need the times of the lines, which --write schemaless does not read");
  if (plan.source.forward_lines && !plan.source.naming.uses_all_tags())
    throw Error(Errc::config,
                "--drop-tag and --tag-as-column work with --write stmt: with schemaless the server reads the tags");
  if (plan.source.forward_lines && plan.source.coerce)
    throw Error(Errc::config, "--coerce works with --write stmt: with schemaless the server reads the values");
  if (plan.source.forward_lines && flags.verify)
    throw Error(Errc::config,
                "--verify works with --write stmt: with schemaless the server names the tables and the loader does not "
                "know which rows they hold");
  if (plan.source.forward_lines && flags.on_existing != "overwrite")
    throw Error(Errc::config,
                "--on-existing fail-if-not-empty works with --write stmt: with schemaless the server names the tables");
  if (flags.target.to == "null:" && flags.verify)
    throw Error(Errc::config, "--verify asks the server for the rows: --to null: keeps none");
  if (!flags.ttl.empty()) {
    const char* const end = flags.ttl.data() + flags.ttl.size();
    const auto [at, error] = std::from_chars(flags.ttl.data(), end, plan.write.ttl_days);
    if (error != std::errc() || at != end || plan.write.ttl_days < 1)
      throw Error(Errc::config, fmt::format("--ttl {}: give a number of days, at least 1", flags.ttl));
  }
  plan.inputs = io::expand_inputs(flags.source.sources);
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  plan.threads = flags.threads > 0 ? flags.threads : cores;
  plan.lanes = flags.lanes > 0 ? flags.lanes : std::clamp(cores, 2u, 8u);
  if (flags.batch_rows == 0) throw Error(Errc::config, "--batch-rows 0: a request holds at least one row");
  plan.write.batch_rows = flags.batch_rows;
  plan.write.retry_for = duration_flag("--retry-for", flags.retry_for);
  plan.lane.linger = duration_flag("--linger", flags.linger);
  plan.lane.first_window_rows = flags.batch_rows;
  plan.memory = size_flag("--memory", flags.memory);
  if (plan.memory < std::size_t{16} << 20) throw Error(Errc::config, "--memory " + flags.memory + ": at least 16M");
  // Half for what lanes gather, half for what they send and what is parsed meanwhile.
  plan.lane.max_window_bytes = plan.memory / 2 / plan.lanes;
  plan.rate = rate_flag("--max-rate", flags.max_rate);
  const auto limit = reject_limit_flag(flags.max_rejects);
  plan.rejects.path = flags.rejects;
  plan.rejects.max_rejects = limit.count;
  plan.rejects.max_share = limit.share;
  if (limit.given) plan.rejects.early_share = 1.0;
  return plan;
}

std::vector<std::pair<std::string, std::string>> settings_of(const LoadFlags& flags, const LoadPlan& plan) {
  return {{"write", flags.write},
          {"lanes", std::to_string(plan.lanes)},
          {"threads", std::to_string(plan.threads)},
          {"batch_rows", std::to_string(plan.write.batch_rows)},
          {"linger", flags.linger},
          {"memory", flags.memory},
          {"retry_for", flags.retry_for},
          {"request_timeout", flags.target.request_timeout},
          {"max_record", flags.source.max_record},
          {"max_rate", flags.max_rate},
          {"rejects", flags.rejects}};
}

report::Tally tally(const pipeline::SourceRows& rows) {
  return {rows.read, rows.written, rows.rejected, rows.left_out, rows.not_done(), rows.merged, rows.text_bytes};
}

struct NothingToRead {};
struct AlreadyLoaded {};

// The server's code for a timestamp that the database does not keep.
constexpr std::int32_t kTimeOutOfRange = 0x060B;

// What stays when a load begins anew because the types of a CSV proved too narrow.
struct Lasting {
  std::shared_ptr<CsvKnowledge> csv = std::make_shared<CsvKnowledge>();
  std::stop_source stop;
  std::unique_ptr<Target> target;
  bool looked = false;  // before the first attempt
  FirstSeen seen;
  std::unique_ptr<LoadJournal> journal;    // null: none is kept
  std::vector<std::int64_t> record_times;  // without a journal
  [[nodiscard]] std::int64_t record_time(std::uint32_t source, std::uint64_t offset) const {
    const auto times = journal ? journal->time_bases() : std::span<const std::int64_t>(record_times);
    // The heads are looked at before the load begins.
    return (source < times.size() ? times[source] : 0) + static_cast<std::int64_t>(offset);
  }
};

// What must be the same when a load goes on.
std::vector<std::pair<std::string, std::string>> lasting_settings(const LoadFlags& flags, const std::string& target) {
  auto settings = source_settings(flags.source);
  settings.insert(settings.begin(), {{"target", target}, {"--write", flags.write}});
  return settings;
}

// The parts of a running load; made in this order, ended in the other.
class Load {
 public:
  Load(const LoadFlags& flags, LoadPlan plan, Lasting& lasting)
      : flags_(flags),
        plan_(std::move(plan)),
        budget_(plan_.memory),
        ledger_(plan_.inputs.size()),
        rejects_(plan_.rejects, reject_sources(plan_)),
        lasting_(lasting),
        opener_(plan_.source, registry_, &budget_, lasting.csv),
        row_rate_(plan_.rate.rows_per_second),
        byte_rate_(plan_.rate.bytes_per_second),
        stop_(lasting.stop),
        observer_(counters_, latencies_, rejects_, row_rate_, byte_rate_, stop_.get_token()) {
    unreadable_.resize(plan_.inputs.size());
    for (const auto& input : plan_.inputs) counters_.bytes_total += input.size;
    if (std::any_of(plan_.inputs.begin(), plan_.inputs.end(), [](const auto& input) { return input.standard_input; }))
      counters_.bytes_total = 0;  // unknown
  }

  /// The exit status; empty: another attempt must be made.
  std::optional<int> run();

 private:
  static std::vector<pipeline::Rejects::Source> reject_sources(const LoadPlan& plan) {
    std::vector<pipeline::Rejects::Source> sources;
    for (const auto& input : plan.inputs) sources.push_back({input.name, "txt", "", "", ""});
    return sources;
  }
  void say(const std::string& text) const {
    if (!flags_.quiet) fmt::print(stderr, "{}\n", text);
  }
  void say_notes() {
    for (const auto& note : opener_.take_notes()) say(note);
  }
  data::Precision needed_precision();
  void prepare_target();
  void look_before();
  [[nodiscard]] bool fails_if_not_empty() const { return flags_.on_existing == "fail-if-not-empty"; }
  bool table_holds_rows(const data::SuperTable& table);
  report::VerifySummary verify(const pipeline::RunResult& result, int signal);
  std::string note_earlier_rows();
  std::unique_ptr<sink::Writer> make_writer();
  bool begins_anew(pipeline::RunResult& result);
  bool take_back(const std::string& table, bool resumed);
  void keep_journal(const std::function<void()>& run);
  void remember_csv();
  int end_journal(report::Summary& summary, int status);
  int already_loaded();
  [[nodiscard]] bool write_report(const report::Summary& summary) const;
  [[nodiscard]] bool resumed() const { return lasting_.journal && lasting_.journal->resumed(); }
  void refuse_before_the_first_row(const pipeline::RunResult& result) const;
  int finish(const pipeline::RunResult& result, std::chrono::nanoseconds elapsed, int signal);

  const LoadFlags& flags_;
  LoadPlan plan_;
  MemoryBudget budget_;
  schema::Registry registry_;
  report::Counters counters_;
  report::Histogram latencies_;
  pipeline::Ledger ledger_;
  pipeline::Rejects rejects_;
  Lasting& lasting_;
  SourceOpener opener_;
  RateLimiter row_rate_;
  RateLimiter byte_rate_;
  std::stop_source stop_;
  LoadObserver observer_;
  Target* target_ = nullptr;
  TargetTimes times_;
  std::unique_ptr<schema::Catalog> server_catalog_;
  std::unique_ptr<ExistingTables> catalog_;
  std::optional<LoadVerification> verification_;
  std::unique_ptr<schema::Growth> growth_;
  std::vector<std::string> schema_changes_;
  std::vector<std::string> unreadable_;  // by source: why it could not be looked at
  pipeline::SourceRows rows_before_;     // of earlier runs, which this one goes on from
  std::exception_ptr journal_failure_;
  bool journal_begun_ = false;
};

// The first source that can be read tells it. Throws NothingToRead when there is none.
data::Precision Load::needed_precision() {
  for (std::size_t i = 0; i < plan_.inputs.size(); ++i) {
    try {
      return opener_.probe(plan_.inputs[i]);
    } catch (const Error& error) {
      if (error.code() != Errc::io) throw;
      unreadable_[i] = error.what();
    }
  }
  throw NothingToRead();
}

void Load::prepare_target() {
  if (!lasting_.target) lasting_.target = Target::resolve(flags_.target);
  target_ = lasting_.target.get();
  TargetTimes& times = times_;
  if (target_->is_null() && plan_.source.forward_lines)
    throw Error(Errc::config,
                "--write schemaless needs a server that reads the lines: --to null: goes with --write stmt");
  if (target_->is_null()) {
    const auto wanted = target_->wanted_precision();
    plan_.write.precision = wanted ? *wanted : needed_precision();
    times.precision = plan_.write.precision;
    server_catalog_ = std::make_unique<sink::MemoryCatalog>();
  } else {
    const auto probe = [this] { return needed_precision(); };
    const auto database =
        target_->prepare_database(probe, stop_.get_token(), [this](const std::string& text) { say(text); });
    plan_.write.precision = database.precision;
    times.precision = database.precision;
    times.first_ns = database.first_ns;
    times.last_ns = database.last_ns;
    if (lasting_.journal && lasting_.journal->decide(plan_.inputs, database.made, [this](const std::string& text) {
          say(text);
        }) == LoadJournal::Way::nothing)
      throw AlreadyLoaded();
    server_catalog_ = target_->open_catalog(plan_.write.retry_for, stop_.get_token());
  }
  ExistingTables::HoldsRows holds_rows;
  if (fails_if_not_empty() && !target_->is_null() && !resumed())
    holds_rows = [this](const data::SuperTable& table) { return table_holds_rows(table); };
  catalog_ = std::make_unique<ExistingTables>(*server_catalog_, lasting_.seen, std::move(holds_rows),
                                              [this] { return ledger_.total().read > 0; });
  opener_.set_target(times, [this](const std::string& table) -> std::optional<data::SuperTable> {
    auto found = catalog_->describe(table);
    if (found.kind != schema::Catalog::Kind::super_table) return std::nullopt;
    return std::move(found.table);
  });
}

// What the target and the heads of the sources tell before the first row. Throws Error(Errc::config) when the load
// cannot work.
void Load::look_before() {
  if (target_->is_null() || std::exchange(lasting_.looked, true)) return;
  if (flags_.no_preflight) {
    // That the tables are empty is asked of the load, not of its chances.
    if (fails_if_not_empty()) sample_heads(plan_.inputs, plan_.source, times_, std::nullopt, *catalog_);
    return;
  }
  auto connection = client::Connection::open(target_->options());
  const auto target = look_at_target(connection, target_->options().database);
  const auto now = instant_now();
  DataView data;
  data.sample = true;
  if (!plan_.source.forward_lines)
    data = sample_heads(plan_.inputs, plan_.source, times_, keeps_from(target, now), *catalog_);
  LoadIntent intent;
  intent.allow_precision_loss = flags_.allow_precision_loss;
  intent.max_child_tables = flags_.max_child_tables;
  std::string failures;
  for (const auto& finding : judge(target, data, intent, now)) {
    const auto text =
        fmt::format("{}: {}{}", finding.subject, finding.text, finding.mend.empty() ? "" : "; mend: " + finding.mend);
    if (finding.level == Finding::Level::warning) say("warning: " + text);
    if (finding.level == Finding::Level::failure) failures += (failures.empty() ? "" : "; ") + text;
  }
  if (!failures.empty()) throw Error(Errc::config, failures + " (--no-preflight loads all the same)");
}

bool Load::table_holds_rows(const data::SuperTable& table) {
  sink::Session session(target_->options(), plan_.write.retry_for, stop_.get_token());
  for (;;) {
    try {
      auto rows = session.connection().query(fmt::format("SELECT {} FROM {} LIMIT 1",
                                                         data::quote_identifier(table.columns[0].name),
                                                         data::quote_identifier(table.name)));
      return rows.next();
    } catch (const Error& error) {
      const auto failure = sink::failure_of(error);
      if (!wire::is_transient(failure.kind)) throw;
      session.recover(failure);
    }
  }
}

// Whether the target holds what was written. Only a load that came to its end knows all that it wrote.
report::VerifySummary Load::verify(const pipeline::RunResult& result, int signal) {
  report::VerifySummary summary;
  if (!flags_.verify) return summary;
  summary.asked = true;
  if (signal != 0 || result.interrupted) summary.not_done = "the load was interrupted";
  else if (result.error) summary.not_done = "the load stopped before its end";
  else if (!verification_) summary.not_done = "no source could be read";
  if (!summary.not_done.empty()) return summary;
  say(fmt::format("verifying {} rows", format_count(ledger_.total().written)));
  const auto unseen = resumed() ? note_earlier_rows() : std::string();
  sink::Session session(target_->options(), plan_.write.retry_for, stop_.get_token());
  summary = verification_->compare(session, *growth_, registry_, *catalog_);
  if (!unseen.empty()) summary.only_part = "not all is known of the rows of earlier runs: " + unseen;
  return summary;
}

// The rows that earlier runs of this load wrote are known by reading their part of the sources again. Returns why some
// of them could not be found out.
std::string Load::note_earlier_rows() {
  try {
    std::vector<LoadVerification::EarlierPart> parts;
    std::string gone;
    for (std::uint32_t i = 0; i < plan_.inputs.size(); ++i) {
      const auto& settled = lasting_.journal->source(i).settled;
      if (settled.offset == 0) continue;
      const auto records = lasting_.journal->journal().row_of(i).rejects.records;
      if (records.empty() && settled.rows.rejected > 0)
        gone = fmt::format("the reject file of '{}' is gone, so that rows that the server refused may seem missing",
                           printable(plan_.inputs[i].name, 400));
      parts.push_back({i, settled.offset, refused_offsets(records)});
    }
    catalog_->freeze();
    opener_.keep_marks({});
    pipeline::RunPlan like;
    like.inputs = plan_.inputs;
    like.open = [this](const io::Input& input, std::uint32_t source) { return opener_.open(input, source); };
    like.growth = growth_.get();
    like.budget = &budget_;
    like.threads = plan_.threads;
    like.selection = plan_.source.selection;
    const auto unread = verification_->read_again(like, parts, registry_, stop_.get_token());
    return unread.empty() ? gone : unread;
  } catch (const Error& error) {
    return error.what();
  }
}

std::unique_ptr<sink::Writer> Load::make_writer() {
  if (target_->is_null()) return std::make_unique<sink::NullWriter>(plan_.write, observer_);
  Target::WriterSettings settings;
  if (plan_.source.forward_lines)
    settings.schemaless =
        schemaless_settings(flags_.source.precision, flags_.source.table_name_key, plan_.write.ttl_days);
  return target_->open_writer(settings, plan_.write, observer_, stop_.get_token());
}

std::optional<int> Load::run() {
  const auto start = lasting_.csv->begun;
  pipeline::RunResult result;
  try {
    prepare_target();
    look_before();
  } catch (const AlreadyLoaded&) {
    return already_loaded();
  } catch (const NothingToRead&) {
    for (const auto& error : unreadable_) result.sources.emplace_back().error = error;
    return finish(result, std::chrono::steady_clock::now() - start, SignalGuard::received());
  } catch (const Error& error) {
    const int signal = SignalGuard::received();
    if (signal == 0) throw;
    fmt::print(stderr, "penstock: interrupted before the first row: {}\n", error.what());
    return signal == SIGTERM ? kTerminated : kInterrupted;
  }
  say_notes();
  if (!plan_.source.forward_lines) {
    auto growth = growth_options(plan_.source);
    growth.on_change = [this](const std::string& statement) { schema_changes_.push_back(statement); };
    growth_ = std::make_unique<schema::Growth>(*catalog_, registry_, growth);
  }
  {
    pipeline::LaneGroup lanes(plan_.lanes, plan_.lane, budget_, ledger_, counters_, registry_,
                              [this](std::uint32_t) { return make_writer(); });
    if (flags_.verify) {
      verification_.emplace(plan_.lanes, plan_.write.precision, plan_.memory / 8);
      verification_->watch(lanes);
    }
    const report::Progress progress(counters_,
                                    flags_.quiet ? report::ProgressStyle::none : report::default_progress_style());
    pipeline::RunPlan run;
    run.inputs = plan_.inputs;
    run.open = [this](const io::Input& input, std::uint32_t source) {
      if (!unreadable_[source].empty()) throw Error(Errc::io, unreadable_[source]);
      auto opened = opener_.open(input, source);
      if (lasting_.journal) lasting_.journal->opened(input, source, opened, stop_.get_token());
      return opened;
    };
    run.growth = growth_.get();
    run.lanes = &lanes;
    run.rejects = &rejects_;
    run.ledger = &ledger_;
    run.budget = &budget_;
    run.counters = &counters_;
    run.threads = plan_.threads;
    run.max_child_tables = flags_.max_child_tables;
    keep_journal([&] {
      run.selection = plan_.source.selection;
      result = pipeline::run(run, stop_);
    });
  }
  if (journal_failure_ && !result.error) {
    result.error = journal_failure_;
    result.interrupted = false;
  }
  if (begins_anew(result)) return std::nullopt;
  say_notes();
  refuse_before_the_first_row(result);
  return finish(result, std::chrono::steady_clock::now() - start, SignalGuard::received());
}

// Calls `run` while the journal is kept: begins it or goes on with it before, and brings it up to date behind the last
// row.
void Load::keep_journal(const std::function<void()>& run) {
  auto* const journal = lasting_.journal.get();
  if (journal == nullptr) return run();
  journal->start(plan_.inputs, plan_.source.selection, ledger_, rejects_,
                 [this](const std::string& text) { say(text); });
  journal_begun_ = true;
  if (resumed()) {
    rows_before_ = journal->rows_before();
    // What --max-rejects is a share of. Rates are those of this run.
    counters_.rows_read = rows_before_.read;
    counters_.rows_rejected = rows_before_.rejected;
    auto& limit = plan_.source.selection.limit;
    if (limit != UINT64_MAX) limit -= std::min(limit, rows_before_.read - rows_before_.left_out);
    remember_csv();
  }
  rejects_.on_new_files([journal](std::uint32_t source, const pipeline::RejectFiles& files) {
    journal->journal().set_rejects(source, files);
    journal->journal().commit();
  });
  opener_.keep_marks([journal](std::uint32_t source) { return journal->marks(source); });
  lasting_.csv->on_ours = [journal](const std::set<std::string>& ours) {
    journal->journal().remember("csv_ours", nlohmann::json(ours).dump());
    journal->journal().commit();
  };
  pipeline::Checkpointer checkpointer(ledger_, rejects_, journal->journal(),
                                      journal->checkpoints([this] { stop_.request_stop(); }));
  run();
  checkpointer.stop();
  try {
    journal_failure_ = checkpointer.failure();
    if (!journal_failure_) checkpointer.checkpoint();
  } catch (const Error&) {
    journal_failure_ = std::current_exception();
  }
}

// What an earlier run found out about its CSV sources.
void Load::remember_csv() {
  const auto list = [&](const char* name) {
    const auto parsed = nlohmann::json::parse(lasting_.journal->journal().remembered(name), nullptr, false);
    return parsed.is_array() ? parsed.get<std::vector<std::string>>() : std::vector<std::string>();
  };
  for (auto& table : list("csv_ours")) lasting_.csv->ours.insert(std::move(table));
  lasting_.csv->told = list("csv_restarts");
}

int Load::already_loaded() {
  report::Summary summary;
  const auto& found = *lasting_.journal->journal().found();
  pipeline::SourceRows all;
  for (const auto& source : found.sources) {
    const auto& rows = source.settled.rows;
    all += rows;
    summary.sources.push_back({source.name, source.format, source.compression, tally(rows), ""});
  }
  summary.total = tally(all);
  summary.outcome = fmt::format("already loaded on {}; nothing was done", local_time(found.head.updated_ns));
  summary.resumed = {true, found.head.runs, all.written, all.rejected, local_time(found.head.started_ns)};
  summary.settings = settings_of(flags_, plan_);
  summary.version = kVersion;
  summary.target = target_->display();
  if (flags_.report.empty()) return kOk;
  return write_report(summary) ? kOk : kStopped;
}

bool Load::write_report(const report::Summary& summary) const {
  const auto failure = write_private(flags_.report, report::to_json(summary));
  if (!failure.empty()) fmt::print(stderr, "penstock: cannot write the report '{}': {}\n", flags_.report, failure);
  return failure.empty();
}

// Whether the run ended because a value contradicted a type that was only inferred. Then the sources of the super table
// have been looked at from end to end, and what this attempt wrote into the table has been taken back.
bool Load::begins_anew(pipeline::RunResult& result) {
  if (!result.error) return false;
  try {
    std::rethrow_exception(result.error);
  } catch (const format::Contradiction& found) {
    say(fmt::format(
        "'{}' in column '{}' does not fit the type inferred for it in super table '{}': looking at all of its "
        "data",
        found.value, found.column, found.table));
    if (!opener_.learn(found, plan_.inputs, plan_.threads, stop_.get_token())) {
      // What was written stays, and the same command mends it.
      result.error = nullptr;
      result.interrupted = true;
      return false;
    }
    const bool went_on = resumed();
    if (lasting_.journal) lasting_.journal->begin_anew();
    const bool taken_back = take_back(found.table, went_on);
    auto told = fmt::format("the load began anew with wider types for super table '{}', because of '{}' in column '{}'",
                            found.table, found.value, found.column);
    if (!taken_back) {
      // Its types stay as they are, as those of any table that was there before.
      lasting_.csv->ours.erase(found.table);
      if (lasting_.csv->on_ours) lasting_.csv->on_ours(lasting_.csv->ours);
      lasting_.csv->widened[found.table] = UINT32_MAX;
      told = fmt::format("the load began anew without wider types for super table '{}', which others use too",
                         found.table);
    }
    rejects_.remove_files();
    say(told);
    lasting_.csv->told.push_back(std::move(told));
    if (lasting_.journal)
      lasting_.journal->journal().remember("csv_restarts", nlohmann::json(lasting_.csv->told).dump());
    return true;
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): the report tells it
  }
  return false;
}

// Drops a super table that this run made. False: it holds what is not of this run, or must not be dropped.
// `resumed`: the child tables of earlier runs are not known by name.
bool Load::take_back(const std::string& table, bool resumed) {
  if (target_->is_null()) return true;
  const auto drop = fmt::format("DROP STABLE IF EXISTS {}", data::quote_identifier(table));
  try {
    auto connection = client::Connection::open(target_->options());
    auto children = connection.query(
        fmt::format("SELECT COUNT(*) FROM information_schema.ins_tables WHERE db_name = {} AND stable_name = {}",
                    data::quote_text(target_->options().database), data::quote_text(table)));
    std::uint64_t there = 0;
    while (children.next()) there = children.integer(0);
    std::uint64_t own = 0;
    for (std::uint32_t id = 0; id < registry_.child_count(); ++id) own += registry_.child(id).table->name == table;
    auto counted = connection.query(fmt::format("SELECT COUNT(*) FROM {}", data::quote_identifier(table)));
    std::uint64_t rows = 0;
    while (counted.next()) rows = counted.integer(0);
    // Rows with equal keys count once there, so this load alone never has more there than it read.
    if ((there > own && !resumed) || rows > ledger_.total().read) {
      say(
          fmt::format("super table '{}' has {} rows in {} child tables, more than this load can have written: another "
                      "program writes to it, so it is not dropped",
                      table, rows, there));
      return false;
    }
    say(drop);
    connection.execute(drop);
    return true;
  } catch (const Error& error) {
    say(fmt::format("{}: {}", drop, error.what()));
    return false;
  }
}

// What became of the load stands in its journal before anybody is told. Returns the exit status.
int Load::end_journal(report::Summary& summary, int status) {
  auto* const journal = lasting_.journal.get();
  if (journal == nullptr || !journal_begun_) return status;
  const bool finished = status == kOk || status == kRejects || status == kDifferences;
  if (resumed())
    summary.resumed = {true, journal->journal().head().runs, rows_before_.written, rows_before_.rejected,
                       local_time(journal->journal().head().started_ns)};
  if (!finished) summary.outcome += "; the same command with --resume goes on from there";
  try {
    if (!journal_failure_) journal->end(finished, status, summary.outcome);
  } catch (const Error& error) {
    summary.outcome += fmt::format("; {}", error.what());
    status = std::max<int>(status, kStopped);
  }
  return status;
}

// What is wrong with the configuration is said as for any wrong flag, not in a report about no rows.
void Load::refuse_before_the_first_row(const pipeline::RunResult& result) const {
  if (!result.error || ledger_.total().read > rows_before_.read) return;
  try {
    std::rethrow_exception(result.error);
  } catch (const Error& error) {
    if (error.code() == Errc::config || error.code() == Errc::auth) throw;
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): the report tells it
  }
}

int Load::finish(const pipeline::RunResult& result, std::chrono::nanoseconds elapsed, int signal) {
  report::Summary summary;
  summary.total = tally(ledger_.total());
  summary.merged_by_precision = counters_.rows_merged_by_precision;
  summary.elapsed = elapsed;
  const auto rows = ledger_.sources();
  int status = summary.total.rejected > 0 && !flags_.rejects_ok ? kRejects : kOk;
  for (std::size_t i = 0; i < plan_.inputs.size(); ++i) {
    const auto& end = result.sources[i];
    summary.sources.push_back({plan_.inputs[i].name, end.format, end.compression, tally(rows[i]), end.error});
    if (resumed() && end.format.empty()) {  // finished by an earlier run
      summary.sources.back().format = lasting_.journal->source(static_cast<std::uint32_t>(i)).format;
      summary.sources.back().compression = lasting_.journal->source(static_cast<std::uint32_t>(i)).compression;
    }
    if (!end.error.empty()) status = std::max<int>(status, kStopped);
  }
  for (const auto& group : rejects_.groups())
    summary.rejects.push_back({group.reason, group.code, group.count, group.first});
  summary.rejects_file = rejects_.location();
  const bool out_of_time = std::any_of(summary.rejects.begin(), summary.rejects.end(),
                                       [](const auto& group) { return group.code == kTimeOutOfRange; });
  if (out_of_time && !target_->is_null())
    summary.advice = fmt::format("for rows older than KEEP: ALTER DATABASE {} KEEP 36500, then load the reject file",
                                 data::quote_identifier(target_->options().database));
  // A CSV whose rows share timestamps because no column tells them apart loses rows to overwriting, by design.
  const bool has_csv = std::any_of(result.sources.begin(), result.sources.end(),
                                   [](const auto& source) { return source.format == "csv"; });
  if (summary.advice.empty() && has_csv && flags_.source.tags.empty() &&
      summary.total.merged * 20 > summary.total.written)
    summary.advice =
        "many rows share a timestamp and overwrote each other: name the columns that tell them apart with --tags";
  summary.requests = counters_.requests;
  summary.retries = counters_.retries;
  summary.reconnects = counters_.reconnects;
  summary.request_bytes = counters_.request_bytes;
  summary.runs = counters_.runs;
  summary.p50 = latencies_.percentile(0.5);
  summary.p90 = latencies_.percentile(0.9);
  summary.p99 = latencies_.percentile(0.99);
  summary.max = latencies_.max();
  summary.settings = settings_of(flags_, plan_);
  summary.schema_changes = schema_changes_;
  summary.restarts = lasting_.csv->told;
  summary.memory_peak = budget_.peak();
  summary.version = kVersion;
  summary.target = target_->display();
  report::fill_stages(summary, counters_, plan_.threads, plan_.lanes);
  summary.outcome = status > kRejects            ? "incomplete"
                    : summary.total.rejected > 0 ? "complete, with rejected rows"
                                                 : "complete";
  if (result.error) {
    try {
      std::rethrow_exception(result.error);
    } catch (const Error& error) {
      summary.outcome = std::string("stopped: ") + error.what();
      status = std::max<int>(status, error.code() == Errc::config || error.code() == Errc::auth ? kUsage : kStopped);
    } catch (const std::exception& error) {
      summary.outcome = std::string("stopped: ") + error.what();
      status = std::max<int>(status, kStopped);
    }
  } else if (signal != 0) {
    summary.outcome = "interrupted; what was read is written";
    status = signal == SIGTERM ? kTerminated : kInterrupted;
  }
  summary.verify = verify(result, signal);
  status = std::max(status, status_of(summary.verify));
  if (status == kDifferences && summary.verify.missing + summary.verify.unexpected > 0)
    summary.outcome = "the target does not hold what was written";
  status = end_journal(summary, status);
  summary.exit_status = status;
  if (!flags_.report.empty() && !write_report(summary)) status = std::max<int>(status, kStopped);
  if (!flags_.quiet || status != kOk) fmt::print("{}", report::to_text(summary));
  return status;
}

// Before anything of the load is made: --resume goes on with the times that relative ones stood for.
void open_journal(const LoadFlags& flags, LoadPlan& plan, Lasting& lasting) {
  lasting.target = Target::resolve(flags.target);
  LoadJournal::Options options;
  options.flags = flags.journal;
  options.sources = flags.source.sources;
  options.target = lasting.target->durable_name();
  options.settings = lasting_settings(flags, options.target);
  lasting.journal =
      LoadJournal::open(std::move(options), plan.inputs, lasting.target->is_null(), [&](const std::string& text) {
        if (!flags.quiet) fmt::print(stderr, "{}\n", text);
      });
  if (lasting.journal) lasting.journal->fix_selection(plan.source.selection);
  else
    lasting.record_times = record_times(plan.inputs, std::chrono::duration_cast<std::chrono::nanoseconds>(
                                                         std::chrono::system_clock::now().time_since_epoch())
                                                         .count());
  plan.source.record_clock = [&lasting](std::uint32_t source, std::uint64_t offset) {
    return lasting.record_time(source, offset);
  };
}

}  // namespace

void add_load_command(CLI::App& program, int& status) {
  auto* const command = program.add_subcommand("load", "Load files into TDengine and report every row");
  const auto flags = std::make_shared<LoadFlags>();
  add_target_flags(*command, flags->target);
  add_source_flags(*command, flags->source);
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
  command->add_option("--memory", flags->memory, "Memory for rows and requests; more means longer runs per child table")
      ->group(group)
      ->capture_default_str();
  command->add_option("--retry-for", flags->retry_for, "Give up after this time without progress")
      ->group(group)
      ->capture_default_str();
  command->add_option("--max-rate", flags->max_rate, "Send at most 200k/s (rows) or 50MB/s")->group(group);
  command->add_option("--max-child-tables", flags->max_child_tables, "Stop before the load makes more than this")
      ->group(group)
      ->capture_default_str();
  command
      ->add_flag("--allow-precision-loss", flags->allow_precision_loss, "Load finer timestamps than the database keeps")
      ->group(group);
  command->add_option("--ttl", flags->ttl, "Days after which the child tables that this load creates are dropped")
      ->group(group);
  const auto* const outcome = "Outcome";
  command->add_option("--rejects", flags->rejects, "Folder (or, with one source, file) for rejected records")
      ->group(outcome)
      ->capture_default_str();
  command->add_option("--max-rejects", flags->max_rejects, "Stop after N rejects, or P% of the rows")->group(outcome);
  command
      ->add_option("--on-existing", flags->on_existing,
                   "Super tables that hold rows: overwrite (rows with equal keys; others stay) or fail-if-not-empty")
      ->group(group)
      ->check(CLI::IsMember({"overwrite", "fail-if-not-empty"}))
      ->capture_default_str();
  command
      ->add_flag("--verify", flags->verify,
                 "Ask the server afterwards whether it holds every row; status 4 when it does not")
      ->group(outcome);
  command
      ->add_flag("--no-preflight", flags->no_preflight,
                 "Do not look at the target and the sources before the first row")
      ->group(group);
  command->add_flag("--rejects-ok", flags->rejects_ok, "End with status 0 although rows were rejected")->group(outcome);
  command->add_option("--report", flags->report, "Write the report as JSON")->group(outcome);
  add_journal_flags(*command, flags->journal);
  command->add_flag("-q,--quiet", flags->quiet, "No progress; a report only if something went wrong")->group(outcome);
  command->callback([flags, &status] {
    LoadPlan plan = check_flags(*flags);
    Lasting lasting;
    lasting.csv->can_begin_anew = can_read_twice(plan.inputs);
    const SignalGuard signals(lasting.stop);
    open_journal(*flags, plan, lasting);
    std::optional<int> ended;
    while (!ended) ended = Load(*flags, plan, lasting).run();
    status = *ended;
  });
}

}  // namespace penstock::cli
