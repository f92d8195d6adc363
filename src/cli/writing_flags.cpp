#include "cli/writing_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <thread>

#include "base/error.h"

namespace penstock::cli {
namespace {

constexpr const char* kForever = "forever";
// Long past any outage, and far from where times overflow.
constexpr auto kLongTime = std::chrono::milliseconds(std::chrono::hours(24 * 365 * 100));

}  // namespace

void add_writing_flags(CLI::App& command, WritingFlags& flags) {
  const auto* const group = "Writing";
  command.add_option("--write", flags.write, "stmt (our parsers, parameter binding) or schemaless (the server parses)")
      ->group(group)
      ->check(CLI::IsMember({"stmt", "schemaless"}))
      ->capture_default_str();
  command.add_option("--lanes", flags.lanes, "Connections (default: as many as cores, 2 to 8)")->group(group);
  command.add_option("--threads", flags.threads, "Parsing threads (default: as many as cores)")->group(group);
  command.add_option("--batch-rows", flags.batch_rows, "Most rows of a request")->group(group)->capture_default_str();
  command.add_option("--linger", flags.linger, "Longest time a row waits for others before it is sent")
      ->group(group)
      ->capture_default_str();
  command.add_option("--memory", flags.memory, "Memory for rows and requests; more means longer runs per child table")
      ->group(group)
      ->capture_default_str();
  command.add_option("--retry-for", flags.retry_for, "Give up after this time without progress, or forever")
      ->group(group)
      ->capture_default_str();
  command.add_option("--max-rate", flags.max_rate, "Send at most 200k/s (rows) or 50MB/s")->group(group);
  command.add_option("--max-child-tables", flags.max_child_tables, "Stop before more child tables than this are made")
      ->group(group)
      ->capture_default_str();
  command
      .add_flag("--allow-precision-loss", flags.allow_precision_loss, "Take finer timestamps than the database keeps")
      ->group(group);
}

WritingPlan to_plan(const WritingFlags& flags) {
  WritingPlan plan;
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  plan.threads = flags.threads > 0 ? flags.threads : cores;
  plan.lanes = flags.lanes > 0 ? flags.lanes : std::clamp(cores, 2u, 8u);
  if (flags.batch_rows == 0) throw Error(Errc::config, "--batch-rows 0: a request holds at least one row");
  plan.write.batch_rows = flags.batch_rows;
  plan.write.retry_for = flags.retry_for == kForever ? kLongTime : duration_flag("--retry-for", flags.retry_for);
  plan.lane.linger = duration_flag("--linger", flags.linger);
  plan.lane.first_window_rows = flags.batch_rows;
  plan.memory = size_flag("--memory", flags.memory);
  if (plan.memory < std::size_t{16} << 20) throw Error(Errc::config, "--memory " + flags.memory + ": at least 16M");
  // Half for what lanes gather, half for what they send and what is parsed meanwhile.
  plan.lane.max_window_bytes = pipeline::window_share(plan.memory, plan.lanes);
  plan.rate = rate_flag("--max-rate", flags.max_rate);
  return plan;
}

void apply(const WritingFlags& flags, SourceOptions& options) {
  options.forward_lines = flags.forwards();
  options.allow_precision_loss = flags.allow_precision_loss;
  if (!options.forward_lines) return;
  if (options.selection.since || options.selection.until)
    throw Error(Errc::config,
                "--since and --until need the times of the lines, which --write schemaless does not read");
  if (!options.naming.uses_all_tags())
    throw Error(Errc::config,
                "--drop-tag and --tag-as-column work with --write stmt: with schemaless the server reads the tags");
  if (options.coerce)
    throw Error(Errc::config, "--coerce works with --write stmt: with schemaless the server reads the values");
}

std::vector<std::pair<std::string, std::string>> settings_of(const WritingFlags& flags, const WritingPlan& plan) {
  return {{"write", flags.write},
          {"lanes", std::to_string(plan.lanes)},
          {"threads", std::to_string(plan.threads)},
          {"batch_rows", std::to_string(plan.write.batch_rows)},
          {"linger", flags.linger},
          {"memory", flags.memory},
          {"retry_for", flags.retry_for},
          {"max_rate", flags.max_rate}};
}

}  // namespace penstock::cli
