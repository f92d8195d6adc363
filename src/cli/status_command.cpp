#include "cli/status_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/journal_files.h"
#include "cli/journal_load.h"
#include "pipeline/journal.h"

namespace penstock::cli {
namespace {

namespace fs = std::filesystem;
using pipeline::JournalContent;
using pipeline::JournalHolder;
using pipeline::JournalState;

struct StatusFlags {
  std::string journal;
  bool json = false;
  bool all = false;
};

// Of a journal with thousands of sources, what fits a screen.
constexpr std::size_t kMostSources = 50;

// "running", "killed", "interrupted", "finished": a run that holds its journal is at work.
std::string state_of(const JournalContent& content, const JournalHolder& holder) {
  if (holder.held) return "running";
  return content.head.state == JournalState::running ? "killed" : to_string(content.head.state);
}

nlohmann::ordered_json rows_json(const pipeline::SourceRows& rows) {
  return {{"read", rows.read},         {"written", rows.written}, {"rejected", rows.rejected},
          {"left_out", rows.left_out}, {"merged", rows.merged},   {"text_bytes", rows.text_bytes}};
}

pipeline::SourceRows total_of(const JournalContent& content) {
  pipeline::SourceRows total;
  for (const auto& source : content.sources) total += source.settled.rows;
  return total;
}

nlohmann::ordered_json to_json(const fs::path& file, const JournalContent& content, const JournalHolder& holder) {
  const auto& head = content.head;
  nlohmann::ordered_json json{
      {"journal", file.string()}, {"command", head.command},       {"state", state_of(content, holder)},
      {"target", head.target},    {"started_ns", head.started_ns}, {"updated_ns", head.updated_ns},
      {"runs", head.runs}};
  if (holder.held && holder.pid > 0) json["pid"] = holder.pid;
  if (head.exit_status >= 0) json["exit_status"] = head.exit_status;
  if (!head.outcome.empty()) json["outcome"] = head.outcome;
  json["total"] = rows_json(total_of(content));
  json["settings"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : head.settings) json["settings"][name] = value;
  json["sources"] = nlohmann::ordered_json::array();
  for (const auto& source : content.sources) {
    nlohmann::ordered_json one{{"name", source.name},
                               {"path", source.path.string()},
                               {"format", source.format},
                               {"compression", source.compression},
                               {"size", source.identity.size},
                               {"offset", source.settled.offset},
                               {"line", source.settled.lines + 1},
                               {"finished", source.settled.finished}};
    one.update(rows_json(source.settled.rows));
    if (!source.rejects.records.empty()) one["rejects"] = source.rejects.records.string();
    json["sources"].push_back(std::move(one));
  }
  return json;
}

void print(const fs::path& file, const JournalContent& content, const JournalHolder& holder, bool all) {
  const auto& head = content.head;
  const auto line = [](const char* label, const std::string& text) { fmt::print("{:<11}{}\n", label, text); };
  std::string state = head.command + ", " + state_of(content, holder);
  if (holder.held && holder.pid > 0) state += fmt::format(" (process {})", holder.pid);
  if (!holder.held && head.exit_status >= 0 && head.state != JournalState::running)
    state += fmt::format(" with status {}", head.exit_status);
  line("journal", file.string());
  line("state", state);
  if (!holder.held && !head.outcome.empty() && head.state != JournalState::running) line("outcome", head.outcome);
  line("target", head.target);
  line("time", fmt::format("begun {}, last entry {}{}", local_time(head.started_ns), local_time(head.updated_ns),
                           head.runs > 1 ? fmt::format(", run {}", head.runs) : ""));
  const auto total = total_of(content);
  line("rows", fmt::format("{} written, {} rejected{}", format_count(total.written), format_count(total.rejected),
                           total.left_out > 0 ? fmt::format(", {} left out", format_count(total.left_out)) : ""));
  if (head.command == "load" && head.state != JournalState::finished) line("settled", progress_of(content));
  std::size_t shown = 0;
  for (const auto& source : content.sources) {
    if (!all && shown++ == kMostSources) {
      fmt::print("  … and {} more sources (--all lists them)\n", format_count(content.sources.size() - kMostSources));
      break;
    }
    const auto& settled = source.settled;
    std::string place = settled.finished ? "finished" : fmt::format("byte {}", format_count(settled.offset));
    if (!settled.finished && source.identity.size > 0)
      place += fmt::format(" of {}{}", format_count(source.identity.size),
                           source.compression == "none" || source.compression.empty() ? "" : " compressed");
    fmt::print("  {}: {}, line {}, {} written, {} rejected\n", printable(source.name, 300), place,
               format_count(settled.lines + 1), format_count(settled.rows.written),
               format_count(settled.rows.rejected));
  }
}

int status_of_journals(const StatusFlags& flags) {
  std::vector<fs::path> files;
  if (!flags.journal.empty()) files.emplace_back(flags.journal);
  else files = journals_in(state_directory());
  auto list = nlohmann::ordered_json::array();
  int status = kOk;
  bool first = true;
  for (const auto& file : files) {
    std::optional<JournalContent> content;
    try {
      content = pipeline::Journal::read(file);
    } catch (const Error& error) {
      if (!flags.journal.empty()) throw;
      // One that was made but not begun, or that another version wrote, must not hide the others.
      fmt::print(stderr, "penstock: {}\n", error.what());
      continue;
    }
    const auto holder = pipeline::Journal::holder(file);
    if (flags.json) {
      list.push_back(to_json(file, *content, holder));
      continue;
    }
    if (!std::exchange(first, false)) fmt::print("\n");
    print(file, *content, holder, flags.all || !flags.journal.empty());
  }
  if (flags.json)
    fmt::print(
        "{}\n",
        (flags.journal.empty() ? list : list.at(0)).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  else if (first) fmt::print("no journals in {}\n", state_directory().string());
  if (std::fflush(stdout) != 0) throw Error(Errc::io, "cannot write to standard output");
  return status;
}

}  // namespace

void add_status_command(CLI::App& program, int& status) {
  auto* const command = program.add_subcommand("status", "Show how far loads are, by their journals");
  const auto flags = std::make_shared<StatusFlags>();
  command->add_option("JOURNAL", flags->journal, "A journal (default: all in $XDG_STATE_HOME/penstock)");
  command->add_flag("--json", flags->json, "As JSON");
  command->add_flag("--all", flags->all, "All sources, however many");
  command->callback([flags, &status] { status = status_of_journals(*flags); });
}

}  // namespace penstock::cli
