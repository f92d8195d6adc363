#include "cli/check_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "cli/check_report.h"
#include "cli/exit_status.h"
#include "cli/explain_line.h"
#include "cli/flags.h"
#include "cli/found_mapping.h"
#include "cli/instant.h"
#include "cli/planning_catalog.h"
#include "cli/preflight.h"
#include "cli/signals.h"
#include "cli/sources.h"
#include "cli/survey.h"
#include "cli/table_text.h"
#include "cli/target.h"

namespace penstock::cli {
namespace {

struct CheckFlags {
  SourceFlags source;
  TargetFlags target;
  unsigned threads = 0;
  std::string memory = "512M";
  std::string rate;
  std::string line;
  std::string save_mapping;
  bool force = false;
  bool json = false;
};

constexpr const char* kDefaultRate = "500k/s";
constexpr auto kCatalogRetries = std::chrono::seconds(10);

// The server that --to names, looked at once; empty members without --to.
struct Server {
  std::unique_ptr<Target> target;
  TargetView view;
  std::unique_ptr<schema::Catalog> catalog;  ///< nullptr: there is no database yet
};

Server look_at_server(const CheckFlags& flags, const std::stop_token& stop) {
  Server server;
  if (flags.target.to.empty()) return server;
  server.target = Target::resolve(flags.target);
  if (server.target->is_null()) return server;
  auto connection = server.target->connect_without_database(stop, [](const std::string&) {});
  server.view = look_at_target(connection, server.target->options().database);
  if (server.view.database) server.catalog = server.target->open_catalog(kCatalogRetries, stop);
  return server;
}

class Check {
 public:
  Check(const CheckFlags& flags, const Server& server, std::shared_ptr<CsvKnowledge> knowledge)
      : flags_(flags),
        server_(server),
        inputs_(io::expand_inputs(flags.source.sources)),
        budget_(size_flag("--memory", flags.memory)),
        ledger_(inputs_.size()),
        rejects_(reject_options(), reject_sources(inputs_)),
        options_(to_options(flags.source)),
        opener_(options_, registry_, &budget_, std::move(knowledge)),
        catalog_(server.catalog.get()),
        survey_(keeps_from(server.view, instant_now())),
        threads_(flags.threads > 0 ? flags.threads : std::max(1u, std::thread::hardware_concurrency())) {}

  /// The exit status; empty: a type that was inferred proved too narrow, and all must be looked at once more.
  std::optional<int> run(std::stop_source& stop);

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
  CheckReport report(const pipeline::RunResult& result, const schema::Growth& growth);
  void add_tables(CheckReport& report, const schema::Growth& growth);
  void save_mapping(CheckReport& report) const;

  const CheckFlags& flags_;
  const Server& server_;
  std::vector<io::Input> inputs_;
  MemoryBudget budget_;
  schema::Registry registry_;
  report::Counters counters_;
  pipeline::Ledger ledger_;
  pipeline::Rejects rejects_;
  SourceOptions options_;
  SourceOpener opener_;
  PlanningCatalog catalog_;
  std::vector<std::string> statements_;
  Survey survey_;
  unsigned threads_;
};

std::optional<int> Check::run(std::stop_source& stop) {
  auto growing = growth_options(options_);
  growing.on_change = [this](const std::string& statement) { statements_.push_back(statement); };
  schema::Growth growth(catalog_, registry_, growing);
  opener_.keep_plans();
  if (catalog_.has_server()) opener_.set_target({}, catalog_);
  pipeline::RunPlan plan;
  plan.inputs = inputs_;
  plan.open = [this](const io::Input& input, std::uint32_t source) {
    survey_.note_precision(input.name, opener_.probe(input));
    return opener_.open(input, source);
  };
  plan.growth = &growth;
  plan.rejects = &rejects_;
  plan.ledger = &ledger_;
  plan.budget = &budget_;
  plan.counters = &counters_;
  plan.threads = threads_;
  plan.selection = options_.selection;
  plan.look = [this](sink::ParsedChunk& chunk) { survey_.take(chunk.rows); };
  const auto result = pipeline::run(plan, stop);
  try {
    if (result.error) std::rethrow_exception(result.error);
  } catch (const format::Contradiction& found) {
    if (opener_.learn(found, inputs_, threads_, stop.get_token())) return std::nullopt;
    return kInterrupted;
  }
  auto found = report(result, growth);
  found.exit_status = rejects_.count() > 0 ? kRejects : kOk;
  for (const auto& source : result.sources)
    if (!source.error.empty()) found.exit_status = kStopped;
  for (const auto& finding : found.findings)
    if (finding.level == Finding::Level::failure) found.exit_status = std::max<int>(found.exit_status, kUsage);
  if (SignalGuard::received() != 0) found.exit_status = kInterrupted;
  fmt::print("{}", flags_.json ? to_json(found) : to_text(found));
  return found.exit_status;
}

std::string becomes(const format::CsvColumn& column) {
  using Role = format::CsvColumn::Role;
  const auto name = data::quote_identifier(column.column.name);
  switch (column.role) {
    case Role::timestamp: return "the timestamp " + name;
    case Role::tag: return "tag " + name;
    case Role::field: return "column " + name;
    case Role::child_name: return "the child table's name";
    case Role::clock: return "the time of day of the timestamp";
    case Role::table_name: return "the super table's name";
    default: return "left out";
  }
}

CheckReport Check::report(const pipeline::RunResult& result, const schema::Growth& growth) {
  CheckReport found;
  const auto rows = ledger_.sources();
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    CheckReport::Source source;
    source.name = inputs_[i].name;
    source.format = result.sources[i].format;
    source.compression = result.sources[i].compression;
    source.error = result.sources[i].error;
    source.rows = rows[i].read;
    source.rejected = rows[i].rejected;
    source.left_out = rows[i].left_out;
    source.bytes = rows[i].text_bytes;
    for (const auto& [name, plan] : opener_.plans()) {
      if (name != source.name) continue;
      source.why = plan->dialect.why;
      for (const auto& column : plan->columns) {
        const bool typed = column.role == format::CsvColumn::Role::tag || column.role == format::CsvColumn::Role::field;
        source.columns.push_back(
            {column.csv_name, becomes(column), typed ? data::sql_type(column.column) : "", column.evidence});
      }
    }
    found.sources.push_back(std::move(source));
  }
  found.notes = opener_.take_notes();
  add_tables(found, growth);
  found.child_tables = survey_.child_tables();
  found.rejects = rejects_.groups();
  found.rate = flags_.rate.empty() ? kDefaultRate : flags_.rate;
  found.rate_given = !flags_.rate.empty();
  const auto rate = rate_flag("--rate", found.rate);
  const auto total = ledger_.total();
  found.seconds = rate.rows_per_second > 0
                      ? static_cast<double>(total.read - total.rejected - total.left_out) / rate.rows_per_second
                      : static_cast<double>(total.text_bytes) / rate.bytes_per_second;
  if (server_.target) {
    found.target = server_.target->display();
    if (!server_.target->is_null()) {
      LoadIntent intent;
      intent.create_database = server_.target->makes_database();
      intent.keep = flags_.target.keep;
      intent.vgroups = flags_.target.vgroups;
      found.findings = judge(server_.view, survey_.view(growth, catalog_, statements_, false), intent, instant_now());
    }
  }
  save_mapping(found);
  return found;
}

void Check::add_tables(CheckReport& report, const schema::Growth& growth) {
  for (const auto& state : growth.tables()) {
    if (!state.refused.text.empty()) continue;
    CheckReport::Table table;
    table.name = state.ref->name;
    table.ddl = data::create_statement(state.on_server);
    const auto* const there = catalog_.on_server(table.name);
    table.exists = there != nullptr && there->kind == schema::Catalog::Kind::super_table;
    const auto* const seen = survey_.table(state.ref);
    // A table whose rows were all refused is not made.
    if ((seen == nullptr || seen->rows == 0) && !table.exists) continue;
    if (seen != nullptr && seen->rows > 0) {
      table.rows = seen->rows;
      table.out_of_order = seen->out_of_order;
      table.first = time_text(seen->first, seen->unit);
      table.last = time_text(seen->last, seen->unit);
    }
    report.tables.push_back(std::move(table));
  }
}

void Check::save_mapping(CheckReport& report) const {
  const auto& path = flags_.save_mapping;
  if (path.empty()) return;
  std::optional<schema::CsvMapping> mapping;
  std::string first;
  for (const auto& [name, plan] : opener_.plans()) {
    const auto source = std::find_if(report.sources.begin(), report.sources.end(),
                                     [&, &of = name](const auto& one) { return one.name == of; });
    const auto format = source == report.sources.end() ? std::nullopt : format::format_from_name(source->format);
    auto found = found_mapping(*plan, options_.mapping, format.value_or(format::Format::csv));
    if (mapping && *mapping != found)
      throw Error(Errc::config, fmt::format("--save-mapping {}: '{}' and '{}' need different mappings; check them one "
                                            "at a time",
                                            path, first, name));
    mapping = std::move(found);
    first = name;
  }
  if (!mapping)
    throw Error(
        Errc::config,
        fmt::format("--save-mapping {}: only CSV and NDJSON have a mapping; the other formats say themselves what "
                    "their records are",
                    path));
  // Made beside and renamed, so that no half of it stays; "noreplace" as far as rename can.
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << fmt::format("# How penstock reads '{}'. Edit it, then: penstock load … --mapping {}\n", printable(first),
                      path)
       << schema::to_toml(*mapping);
  file.close();
  if (!file) throw Error(Errc::config, fmt::format("--save-mapping {}: cannot write the file", path));
  report.saved_mapping = path;
}

int run_check(const CheckFlags& flags) {
  rate_flag("--rate", flags.rate);
  if (!flags.save_mapping.empty() && !flags.force && std::filesystem::exists(flags.save_mapping))
    throw Error(Errc::config,
                fmt::format("--save-mapping {}: the file exists; --force replaces it", flags.save_mapping));
  std::stop_source stop;
  const SignalGuard signals(stop);
  const auto server = look_at_server(flags, stop.get_token());
  if (!flags.line.empty()) {
    const auto explained = explain_line(flags.line, to_options(flags.source), server.catalog.get());
    fmt::print("{}", flags.json ? explained.json : explained.text);
    return explained.rejected ? kRejects : kOk;
  }
  if (flags.source.sources.empty()) throw Error(Errc::config, "SOURCE is missing: name files, directories, or --line");
  const auto knowledge = std::make_shared<CsvKnowledge>();
  knowledge->can_begin_anew = can_read_twice(io::expand_inputs(flags.source.sources));
  std::optional<int> ended;
  while (!ended) ended = Check(flags, server, knowledge).run(stop);
  return *ended;
}

}  // namespace

void add_check_command(CLI::App& program, int& status) {
  auto* const command = program.add_subcommand(
      "check", "Read and parse only: which tables and columns a load would make, and what it would reject");
  const auto flags = std::make_shared<CheckFlags>();
  add_target_flags(*command, flags->target);
  add_source_flags(*command, flags->source);
  command->get_option("SOURCE")->required(false);
  const auto* const group = "Outcome";
  command->add_option("--line", flags->line, "Explain one line, FILE:N: how it is cut, and what would be sent")
      ->group(group);
  command->add_option("--rate", flags->rate, "Estimate the load time at this rate: 500k/s (rows) or 50MB/s")
      ->group(group);
  command->add_option("--save-mapping", flags->save_mapping, "Write the mapping that was found, to edit (CSV, NDJSON)")
      ->group(group);
  command->add_flag("--force", flags->force, "Replace the file of --save-mapping")->group(group);
  command->add_flag("--json", flags->json, "Print everything as one JSON object")->group(group);
  command->add_option("--threads", flags->threads, "Parsing threads (default: as many as cores)");
  command->add_option("--memory", flags->memory, "Memory for rows")->capture_default_str();
  command->callback([flags, &status] { status = run_check(*flags); });
}

}  // namespace penstock::cli
