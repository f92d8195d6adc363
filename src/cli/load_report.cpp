#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "base/error.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/load_run.h"
#include "cli/secrets.h"
#include "cli/version.h"
#include "data/schema.h"

// How a load ends: its report, its exit status, its journal's last entry.
namespace penstock::cli {
namespace {

// The server's code for a timestamp that the database does not keep.
constexpr std::int32_t kTimeOutOfRange = 0x060B;

report::Tally tally(const pipeline::SourceRows& rows) {
  return {rows.read, rows.written, rows.rejected, rows.left_out, rows.not_done(), rows.merged, rows.text_bytes};
}

std::vector<std::pair<std::string, std::string>> report_settings(const LoadFlags& flags, const LoadPlan& plan) {
  auto settings = settings_of(flags.writing, plan.writing);
  settings.insert(settings.end(), {{"request_timeout", flags.target.request_timeout},
                                   {"max_record", flags.source.max_record},
                                   {"rejects", flags.rejects}});
  return settings;
}

}  // namespace

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
  summary.settings = report_settings(flags_, plan_);
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
  summary.merged_now = counters_.rows_merged;
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
  summary.settings = report_settings(flags_, plan_);
  summary.schema_changes = schema_changes_;
  summary.restarts = lasting_.csv->told;
  summary.memory_peak = budget_.peak();
  summary.version = kVersion;
  summary.target = target_->display();
  report::fill_stages(summary, counters_, plan_.writing.threads, plan_.writing.lanes);
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

}  // namespace penstock::cli
