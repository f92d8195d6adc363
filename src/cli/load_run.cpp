#include "cli/load_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/instant.h"
#include "cli/preflight.h"
#include "cli/signals.h"
#include "cli/survey.h"
#include "client/connection.h"
#include "report/progress.h"
#include "sink/memory_catalog.h"
#include "sink/null_writer.h"

namespace penstock::cli {
namespace {

struct NothingToRead {};
struct AlreadyLoaded {};

}  // namespace

void Load::say(const std::string& text) const {
  if (!flags_.quiet) fmt::print(stderr, "{}\n", text);
}

void Load::say_notes() {
  for (const auto& note : opener_.take_notes()) say(note);
}

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
    plan_.writing.write.precision = wanted ? *wanted : needed_precision();
    times.precision = plan_.writing.write.precision;
    server_catalog_ = std::make_unique<sink::MemoryCatalog>();
  } else {
    const auto probe = [this] { return needed_precision(); };
    const auto database =
        target_->prepare_database(probe, stop_.get_token(), [this](const std::string& text) { say(text); });
    plan_.writing.write.precision = database.precision;
    times.precision = database.precision;
    times.first_ns = database.first_ns;
    times.last_ns = database.last_ns;
    if (lasting_.journal && lasting_.journal->decide(plan_.inputs, database.made, [this](const std::string& text) {
          say(text);
        }) == LoadJournal::Way::nothing)
      throw AlreadyLoaded();
    server_catalog_ = target_->open_catalog(plan_.writing.write.retry_for, stop_.get_token());
  }
  ExistingTables::HoldsRows holds_rows;
  if (fails_if_not_empty() && !target_->is_null() && !resumed())
    holds_rows = [this](const data::SuperTable& table) { return table_holds_rows(table); };
  catalog_ = std::make_unique<ExistingTables>(*server_catalog_, lasting_.seen, std::move(holds_rows),
                                              [this] { return ledger_.total().read > 0; });
  opener_.set_target(times, *catalog_);
}

// What the target and the heads of the sources tell before the first row. Throws Error(Errc::config) when the load
// cannot work.
void Load::look_before() {
  if (target_->is_null() || std::exchange(lasting_.looked, true)) return;
  if (flags_.no_preflight) {
    // That the tables are empty is asked of the load, not of its chances.
    if (fails_if_not_empty()) sample_heads(plan_.inputs, plan_.source, opener_, times_, std::nullopt, *catalog_);
    return;
  }
  auto connection = client::Connection::open(target_->options());
  const auto target = look_at_target(connection, target_->options().database);
  const auto now = instant_now();
  DataView data;
  data.sample = true;
  if (!plan_.source.forward_lines)
    data = sample_heads(plan_.inputs, plan_.source, opener_, times_, keeps_from(target, now), *catalog_);
  LoadIntent intent;
  intent.allow_precision_loss = flags_.writing.allow_precision_loss;
  intent.max_child_tables = flags_.writing.max_child_tables;
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
  sink::Session session(target_->options(), plan_.writing.write.retry_for, stop_.get_token());
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
  sink::Session session(target_->options(), plan_.writing.write.retry_for, stop_.get_token());
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
    like.threads = plan_.writing.threads;
    like.selection = plan_.source.selection;
    const auto unread = verification_->read_again(like, parts, registry_, stop_.get_token());
    return unread.empty() ? gone : unread;
  } catch (const Error& error) {
    return error.what();
  }
}

std::unique_ptr<sink::Writer> Load::make_writer() {
  if (target_->is_null()) return std::make_unique<sink::NullWriter>(plan_.writing.write, observer_);
  Target::WriterSettings settings;
  if (plan_.source.forward_lines)
    settings.schemaless =
        schemaless_settings(flags_.source.precision, flags_.source.table_name_key, plan_.writing.write.ttl_days);
  return target_->open_writer(settings, plan_.writing.write, observer_, stop_.get_token());
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
    pipeline::LaneGroup lanes(plan_.writing.lanes, plan_.writing.lane, budget_, ledger_, counters_, registry_,
                              [this](std::uint32_t) { return make_writer(); });
    if (flags_.verify) {
      verification_.emplace(plan_.writing.lanes, plan_.writing.write.precision, plan_.writing.memory / 8);
      verification_->watch(lanes);
    }
    const report::Progress progress(counters_,
                                    flags_.quiet ? report::ProgressStyle::none : report::default_progress_style());
    pipeline::RunPlan run;
    run.inputs = plan_.inputs;
    run.open = [this](const io::Input& input, std::uint32_t source) {
      if (!unreadable_[source].empty()) throw Error(Errc::io, unreadable_[source]);
      auto opened = opener_.open(input, source);
      if (lasting_.journal) {
        counters_.skip_to = lasting_.journal->source(source).settled.offset;
        try {
          lasting_.journal->opened(input, source, opened, stop_.get_token());
        } catch (...) {
          counters_.skip_to = 0;
          throw;
        }
        counters_.skip_to = 0;
      }
      return opened;
    };
    run.growth = growth_.get();
    run.lanes = &lanes;
    run.rejects = &rejects_;
    run.ledger = &ledger_;
    run.budget = &budget_;
    run.counters = &counters_;
    run.threads = plan_.writing.threads;
    run.max_child_tables = flags_.writing.max_child_tables;
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

}  // namespace penstock::cli
