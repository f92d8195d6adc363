#include "cli/tail_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "cli/signals.h"
#include "cli/tail_run.h"

namespace penstock::cli {
namespace {

TailPlan check_flags(const TailFlags& flags) {
  TailPlan plan;
  plan.source = to_options(flags.source);
  plan.source.use_mmap = false;  // files that are truncated under it are a tail's daily bread
  apply(flags.writing, plan.source);
  if (plan.source.format == format::Format::influx_csv)
    throw Error(Errc::config, "--format influx-csv: annotated CSV does not grow line by line; use penstock load");
  plan.follow.sources = flags.source.sources;
  plan.follow.from_end = flags.from == "end";
  plan.follow.poll = duration_flag("--poll", flags.poll);
  plan.follow.inotify = !flags.no_inotify;
  plan.follow.finish_after = duration_flag("--finish-after", flags.finish_after);
  plan.follow.max_open_files = std::max(4u, flags.max_open_files);
  plan.follow.max_record = plan.source.max_record;
  plan.writing = to_plan(flags.writing);
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

}  // namespace

void add_tail_command(CLI::App& program, int& status) {
  auto* const command = program.add_subcommand("tail", "Follow growing files into TDengine, as a service");
  const auto flags = std::make_shared<TailFlags>();
  flags->writing.linger = "200ms";
  flags->writing.memory = "256M";
  flags->writing.retry_for = "forever";
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
  add_writing_flags(*command, flags->writing);
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
