#include "cli/check_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/flags.h"
#include "cli/signals.h"
#include "cli/sources.h"
#include "cli/table_text.h"
#include "sink/memory_catalog.h"

namespace penstock::cli {
namespace {

struct CheckFlags {
  SourceFlags source;
  unsigned threads = 0;
  std::string memory = "512M";
};

// What was seen of one super table.
struct Seen {
  std::uint64_t rows = 0;
  std::uint64_t out_of_order = 0;  ///< rows older than the one before them in the table
  std::int64_t first = INT64_MAX;
  std::int64_t last = INT64_MIN;
  std::int64_t previous = INT64_MIN;
  data::Precision unit = data::Precision::nanoseconds;
};

class Check {
 public:
  Check(const CheckFlags& flags, std::shared_ptr<CsvKnowledge> knowledge)
      : inputs_(io::expand_inputs(flags.source.sources)),
        budget_(size_flag("--memory", flags.memory)),
        ledger_(inputs_.size()),
        rejects_(reject_options(), reject_sources(inputs_)),
        options_(to_options(flags.source)),
        opener_(options_, registry_, &budget_, std::move(knowledge)),
        threads_(flags.threads > 0 ? flags.threads : std::max(1u, std::thread::hardware_concurrency())) {}

  /// The exit status; empty: a type that was inferred proved too narrow, and all must be looked at once more.
  std::optional<int> run();

 private:
  static pipeline::Rejects::Options reject_options() {
    pipeline::Rejects::Options options;
    options.discard = true;
    options.max_rejects = UINT64_MAX;
    options.early_share = 2;  // look at everything
    return options;
  }
  static std::vector<pipeline::Rejects::Source> reject_sources(const std::vector<io::Input>& inputs) {
    std::vector<pipeline::Rejects::Source> sources;
    for (const auto& input : inputs) sources.push_back({input.name, "", "", "", ""});
    return sources;
  }
  void look(sink::ParsedChunk& chunk);
  void print(const pipeline::RunResult& result, const schema::Growth& growth) const;

  std::vector<io::Input> inputs_;
  MemoryBudget budget_;
  schema::Registry registry_;
  report::Counters counters_;
  pipeline::Ledger ledger_;
  pipeline::Rejects rejects_;
  SourceOptions options_;
  SourceOpener opener_;
  unsigned threads_;
  std::map<const data::SuperTableRef*, Seen> seen_;
};

void Check::look(sink::ParsedChunk& chunk) {
  chunk.rows.for_each_row([&](data::Row& row) {
    if (row.shape == data::kRefusedShape) return;
    auto& seen = seen_[chunk.rows.shape(row.shape).table];
    ++seen.rows;
    seen.unit = chunk.rows.time_unit();
    seen.first = std::min(seen.first, row.time);
    seen.last = std::max(seen.last, row.time);
    seen.out_of_order += row.time < seen.previous;
    seen.previous = row.time;
  });
}

std::optional<int> Check::run() {
  sink::MemoryCatalog catalog;
  schema::Growth::Options growth_options;
  growth_options.timestamp_name = options_.naming.timestamp_name;
  growth_options.default_tag = options_.naming.default_tag;
  growth_options.coerce = options_.coerce;
  schema::Growth growth(catalog, registry_, growth_options);
  opener_.keep_plans();
  std::stop_source stop;
  const SignalGuard signals(stop);
  pipeline::RunPlan plan;
  plan.inputs = inputs_;
  plan.open = [this](const io::Input& input, std::uint32_t source) { return opener_.open(input, source); };
  plan.growth = &growth;
  plan.rejects = &rejects_;
  plan.ledger = &ledger_;
  plan.budget = &budget_;
  plan.counters = &counters_;
  plan.threads = threads_;
  plan.selection = options_.selection;
  plan.look = [this](sink::ParsedChunk& chunk) { look(chunk); };
  const auto result = pipeline::run(plan, stop);
  try {
    if (result.error) std::rethrow_exception(result.error);
  } catch (const format::Contradiction& found) {
    if (opener_.learn(found, inputs_, threads_, stop.get_token())) return std::nullopt;
    return kInterrupted;
  }
  print(result, growth);
  int status = rejects_.count() > 0 ? kRejects : kOk;
  for (const auto& source : result.sources)
    if (!source.error.empty()) status = kStopped;
  if (SignalGuard::received() != 0) status = kInterrupted;
  return status;
}

void Check::print(const pipeline::RunResult& result, const schema::Growth& growth) const {
  const auto rows = ledger_.sources();
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    fmt::print("source   {}: {}, {} rows, {} rejected, {}\n", inputs_[i].name,
               result.sources[i].format.empty() ? "not read" : result.sources[i].format, format_count(rows[i].read),
               format_count(rows[i].rejected), format_bytes(static_cast<double>(rows[i].text_bytes)));
    if (!result.sources[i].error.empty()) fmt::print("failed   {}\n", result.sources[i].error);
  }
  for (const auto& [name, plan] : opener_.plans()) {
    fmt::print("columns  of {}\n", name);
    for (const auto& why : plan->dialect.why) fmt::print("  {}\n", why);
    for (const auto& column : plan->columns)
      fmt::print("  {}: {}\n", column.csv_name, column.evidence.empty() ? "left out" : column.evidence);
  }
  for (const auto& table : growth.tables()) {
    if (!table.refused.text.empty()) continue;
    fmt::print("\n{};\n", data::create_statement(table.on_server));
    const auto found = seen_.find(table.ref);
    if (found == seen_.end()) continue;
    const Seen& seen = found->second;
    fmt::print(
        "  {} rows from {} to {}, {:.1f} % older than the row before\n", format_count(seen.rows),
        time_text(seen.first, seen.unit), time_text(seen.last, seen.unit),
        100.0 * static_cast<double>(seen.out_of_order) / static_cast<double>(std::max<std::uint64_t>(1, seen.rows)));
  }
  fmt::print("\nchild tables  {}\n", format_count(registry_.child_count()));
  const auto groups = rejects_.groups();
  if (!groups.empty()) fmt::print("rejects\n");
  for (const auto& group : groups)
    fmt::print("  {:>10}  {}{}  (first: {})\n", format_count(group.count), group.reason,
               group.code != 0 ? fmt::format(" [0x{:04X}]", group.code) : "", group.first);
}

}  // namespace

void add_check_command(CLI::App& program, int& status) {
  auto* const command = program.add_subcommand(
      "check", "Read and parse only: which tables and columns a load would make, and what it would reject");
  const auto flags = std::make_shared<CheckFlags>();
  add_source_flags(*command, flags->source);
  command->add_option("--threads", flags->threads, "Parsing threads (default: as many as cores)");
  command->add_option("--memory", flags->memory, "Memory for rows")->capture_default_str();
  command->callback([flags, &status] {
    const auto knowledge = std::make_shared<CsvKnowledge>();
    knowledge->can_begin_anew = can_read_twice(io::expand_inputs(flags->source.sources));
    std::optional<int> ended;
    while (!ended) ended = Check(*flags, knowledge).run();
    status = *ended;
  });
}

}  // namespace penstock::cli
