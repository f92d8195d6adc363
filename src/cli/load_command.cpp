#include "cli/load_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>

#include "base/error.h"
#include "cli/load_run.h"
#include "cli/signals.h"

namespace penstock::cli {
namespace {

LoadPlan check_flags(const LoadFlags& flags) {
  LoadPlan plan;
  plan.source = to_options(flags.source);
  apply(flags.writing, plan.source);
  if (plan.source.forward_lines && flags.verify)
    throw Error(Errc::config,
                "--verify works with --write stmt: with schemaless the server names the tables and the loader does not "
                "know which rows they hold");
  if (plan.source.forward_lines && flags.on_existing != "overwrite")
    throw Error(Errc::config,
                "--on-existing fail-if-not-empty works with --write stmt: with schemaless the server names the tables");
  if (flags.target.to == "null:" && flags.verify)
    throw Error(Errc::config, "--verify asks the server for the rows: --to null: keeps none");
  plan.writing = to_plan(flags.writing);
  if (!flags.ttl.empty()) {
    const char* const end = flags.ttl.data() + flags.ttl.size();
    const auto [at, error] = std::from_chars(flags.ttl.data(), end, plan.writing.write.ttl_days);
    if (error != std::errc() || at != end || plan.writing.write.ttl_days < 1)
      throw Error(Errc::config, fmt::format("--ttl {}: give a number of days, at least 1", flags.ttl));
  }
  plan.inputs = io::expand_inputs(flags.source.sources);
  const auto limit = reject_limit_flag(flags.max_rejects);
  plan.rejects.path = flags.rejects;
  plan.rejects.max_rejects = limit.count;
  plan.rejects.max_share = limit.share;
  if (limit.given) plan.rejects.early_share = 1.0;
  return plan;
}

// What must be the same when a load goes on.
std::vector<std::pair<std::string, std::string>> lasting_settings(const LoadFlags& flags, const std::string& target) {
  auto settings = source_settings(flags.source);
  settings.insert(settings.begin(), {{"target", target}, {"--write", flags.writing.write}});
  return settings;
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
  add_writing_flags(*command, flags->writing);
  const auto* const group = "Writing";
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
