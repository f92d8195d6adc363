#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "base/rate_limiter.h"
#include "cli/csv_sources.h"
#include "cli/existing_tables.h"
#include "cli/flags.h"
#include "cli/journal_load.h"
#include "cli/observer.h"
#include "cli/sources.h"
#include "cli/target.h"
#include "cli/verify_load.h"
#include "cli/writing_flags.h"
#include "pipeline/run.h"
#include "report/summary.h"

namespace penstock::cli {

/// The flags of `load`, as they were typed.
struct LoadFlags {
  SourceFlags source;
  TargetFlags target;
  WritingFlags writing;
  std::string rejects = "penstock-rejects/";
  std::string max_rejects;
  bool rejects_ok = false;
  bool no_preflight = false;
  std::string on_existing = "overwrite";
  bool verify = false;
  std::string report;
  std::string ttl;
  bool quiet = false;
  JournalFlags journal;
};

/// The same after they were checked: everything a load needs to know.
struct LoadPlan {
  SourceOptions source;
  std::vector<io::Input> inputs;
  WritingPlan writing;
  pipeline::Rejects::Options rejects;
};

/// What stays when a load begins anew because the types of a CSV proved too narrow.
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

/// One attempt at a load: its parts, made in this order, ended in the other. One thread.
class Load {
 public:
  Load(const LoadFlags& flags, LoadPlan plan, Lasting& lasting)
      : flags_(flags),
        plan_(std::move(plan)),
        budget_(plan_.writing.memory),
        ledger_(plan_.inputs.size()),
        rejects_(plan_.rejects, reject_sources(plan_)),
        lasting_(lasting),
        opener_(told(plan_.source, counters_), registry_, &budget_, lasting.csv),
        row_rate_(plan_.writing.rate.rows_per_second),
        byte_rate_(plan_.writing.rate.bytes_per_second),
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
  // The sources tell the counters how far they have skipped.
  static SourceOptions told(SourceOptions options, report::Counters& counters) {
    options.skipped = &counters.skipped;
    return options;
  }
  void say(const std::string& text) const;
  void say_notes();
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

}  // namespace penstock::cli
