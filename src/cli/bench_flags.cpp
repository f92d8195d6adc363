#include "cli/bench_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/secrets.h"

namespace penstock::cli {

void add_bench_flags(CLI::App& command, BenchFlags& flags) {
  add_source_flags(command, flags.source);
  command.get_option("SOURCE")->required(false)->description("Files, as for load (default: generated rows)");
  const auto* const made = "Generated rows";
  command.add_option("--case", flags.shape, "cpu-only (10 tags, 10 integers) or iot (trucks; floats, gaps)")
      ->group(made)
      ->check(CLI::IsMember({"cpu-only", "iot"}))
      ->capture_default_str();
  auto* const columns = command.get_option("--columns");
  columns->description(columns->get_description() + "; without a source: how many BIGINT columns, instead of a case");
  command.add_option("--child-tables", flags.child_tables, "Child tables")->group(made)->capture_default_str();
  const auto* const runs = "Runs";
  command.add_option("--rows", flags.rows, "Rows of a run, 500k or 10M; of sources: at most")->group(runs);
  command.add_option("--rounds", flags.rounds, "Runs of each kind, in turns; their median is shown")
      ->group(runs)
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  command.add_option("--threads", flags.threads, "Parsing threads (default: as many as cores)")->group(runs);
  command.add_option("--memory", flags.memory, "Memory for rows and requests")->group(runs)->capture_default_str();
  command.add_option("--db-precision", flags.precision, "Of the database: ms, us, ns (default: the input's)")
      ->group(runs)
      ->check(CLI::IsMember({"ms", "us", "ns"}));
  const auto* const outcome = "Outcome";
  command.add_flag("--json", flags.json, "Print everything as one JSON object")->group(outcome);
  command.add_option("--report", flags.report, "Write the same JSON to a file")->group(outcome);
}

namespace {

// Of CSV the names of columns, of generated rows their number.
std::uint32_t columns_flag(const std::vector<std::string>& columns) {
  const auto count = columns.size() == 1 ? parse_size(columns.front(), 1000) : std::nullopt;
  if (!count || *count == 0 || *count > 100'000)
    throw Error(Errc::config, fmt::format("--columns {}: how many columns generated rows have; names go with a SOURCE",
                                          printable(fmt::format("{}", fmt::join(columns, ",")))));
  return static_cast<std::uint32_t>(*count);
}

}  // namespace

std::uint64_t count_flag(const std::string& flag, const std::string& text) {
  const auto count = parse_size(text, 1000);
  if (!count || *count == 0) throw Error(Errc::config, fmt::format("{} {}: give a number, 500k or 10M", flag, text));
  return *count;
}

BenchInput bench_input(const BenchFlags& flags, std::uint64_t default_rows, std::uint64_t most_generated) {
  BenchInput input;
  auto& rows = input.rows;
  auto source = flags.source;
  std::uint32_t columns = 0;
  if (source.sources.empty() && !source.columns.empty()) {
    columns = columns_flag(source.columns);
    source.columns.clear();
  }
  rows.options = to_options(source);
  rows.options.allow_precision_loss = true;  // it changes no times of the bench
  if (!flags.rows.empty()) rows.rows = count_flag("--rows", flags.rows);
  if (!flags.source.sources.empty()) {
    rows.inputs = io::expand_inputs(flags.source.sources);
    for (const auto& one : rows.inputs)
      if (one.standard_input)
        throw Error(Errc::config, "SOURCE -: a bench reads its rows more than once, which a pipe cannot give");
    input.what = rows.inputs.size() == 1 ? printable(rows.inputs.front().name, 400)
                                         : fmt::format("{} files", rows.inputs.size());
    return input;
  }
  if (!flags.source.format.empty() && flags.source.format != "line")
    throw Error(Errc::config,
                fmt::format("--format {}: generated rows are line protocol; name a SOURCE", flags.source.format));
  if (flags.rows.empty()) rows.rows = default_rows;
  rows.options.format = format::Format::line;
  input.generated = std::make_unique<GeneratedLines>(
      BenchShape{flags.shape, columns, flags.child_tables, std::min(rows.rows, most_generated)});
  rows.generated = input.generated.get();
  input.what = input.generated->what();
  return input;
}

int show_bench(const BenchFlags& flags, const std::string& text, const std::string& json) {
  fmt::print("{}", flags.json ? json : text);
  if (flags.report.empty()) return kOk;
  const auto failure = write_private(flags.report, json);
  if (failure.empty()) return kOk;
  fmt::print(stderr, "penstock: cannot write the report '{}': {}\n", flags.report, failure);
  return kStopped;
}

}  // namespace penstock::cli
