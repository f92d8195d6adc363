#include "cli/bench_write_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/version.h"

namespace penstock::cli {
namespace {

using Json = nlohmann::ordered_json;

// What `load` has without --memory, and the least that it takes.
constexpr double kLoadMemory = 512.0 * (1 << 20);
constexpr double kLeastMemory = 16.0 * (1 << 20);
// Windows of `load` close at this many rows a child table where the memory reaches.
constexpr std::uint32_t kLoadRowsPerTable = 400;
constexpr double kAsGood = 0.97;

double milliseconds(std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1e6; }

double rows_per_table(const BenchResult& result) {
  return static_cast<double>(result.summary.total.written) /
         static_cast<double>(std::max<std::uint64_t>(1, result.summary.runs));
}

double cpu_ns_per_row(const BenchResult& result) {
  return result.cpu_seconds * 1e9 / static_cast<double>(std::max<std::uint64_t>(1, result.summary.total.written));
}

// Half of the memory is for windows; they must hold that many rows of every child table.
std::string memory_flag(const WriteLine& line) {
  if (line.setting.rows_per_table == 0) return "";
  const double rows = std::min(line.setting.rows_per_table, kLoadRowsPerTable);
  const double need = 2 * rows * line.middle([](const BenchResult& result) {
    return static_cast<double>(result.child_tables) * result.row_bytes;
  });
  if (line.setting.rows_per_table >= kLoadRowsPerTable && need <= kLoadMemory) return "";
  return fmt::format(" --memory {:.0f}M", std::ceil(std::max(need, kLeastMemory) / (1 << 20)));
}

std::string load_flags(const WriteLine& line, const WriteSetting& loads_own) {
  std::string flags;
  if (line.setting.lanes != loads_own.lanes) flags += fmt::format(" --lanes {}", line.setting.lanes);
  if (line.setting.batch_rows != loads_own.batch_rows)
    flags += fmt::format(" --batch-rows {}", line.setting.batch_rows);
  return flags + memory_flag(line);
}

int deviations(const WriteSetting& setting, const WriteSetting& loads_own) {
  return int{setting.lanes != loads_own.lanes} + int{setting.batch_rows != loads_own.batch_rows} +
         int{setting.rows_per_table != loads_own.rows_per_table};
}

const WriteLine* best_line(const WriteReport& report, std::size_t target) {
  std::vector<const WriteLine*> lines;
  for (const auto& line : report.lines)
    if (line.target == target && line.path.kind == BenchPath::Kind::stmt && line.measured()) lines.push_back(&line);
  if (lines.size() < 2) return nullptr;
  double most = 0;
  for (const auto* line : lines) most = std::max(most, line->rows_per_second());
  std::erase_if(lines, [&](const WriteLine* line) { return line->rows_per_second() < most * kAsGood; });
  return *std::min_element(lines.begin(), lines.end(), [&](const WriteLine* a, const WriteLine* b) {
    const auto of = [&](const WriteLine* line) {
      return std::pair(deviations(line->setting, report.loads_own), -line->rows_per_second());
    };
    return of(a) < of(b);
  });
}

std::string shown(std::uint32_t rows_per_table) {
  return rows_per_table == 0 ? "load" : std::to_string(rows_per_table);
}

}  // namespace

bool WriteLine::measured() const {
  return std::any_of(runs.begin(), runs.end(),
                     [](const Run& run) { return run.error.empty() && run.result.summary.total.written > 0; });
}

std::string recommendation(const WriteReport& report, std::size_t target) {
  const auto* const best = best_line(report, target);
  if (best == nullptr) return "";
  const auto flags = load_flags(*best, report.loads_own);
  const auto rate = best->rows_per_second();
  const auto& name = report.targets[target].name;
  auto text = fmt::format("best: penstock load SOURCE --to {}{}{}  ({:.3f} M rows/s", name,
                          name.starts_with("sandbox:") ? "" : "/DATABASE", flags, rate / 1e6);
  for (const auto& line : report.lines)
    if (line.target == target && line.path.kind == BenchPath::Kind::stmt && line.measured() &&
        line.setting == report.loads_own && &line != best)
      text += fmt::format("; {:.2f} times as fast as without flags", rate / line.rows_per_second());
  return text + (flags.empty() ? "; no flags needed)" : ")");
}

std::string to_text(const WriteReport& report) {
  auto out = fmt::format("rows      {}\n", report.input);
  for (const auto& target : report.targets)
    out += target.version.empty() ? fmt::format("target    {}\n", target.name)
                                  : fmt::format("target    {}: TDengine {}, scratch database {} ({})\n", target.name,
                                                target.version, report.database, report.precision);
  out += fmt::format("\n{:<22} {:>5} {:>8} {:>10} {:>9} {:>8} {:>8} {:>8} {:>7} {:>6}\n", "path", "lanes", "rows/req",
                     "rows/table", "M rows/s", "MB/s", "p50 ms", "p99 ms", "CPU ns", "ratio");
  const WriteLine* first = nullptr;
  std::size_t target = 0;
  for (const auto& line : report.lines) {
    if (line.target != target) out += fmt::format("{}\n", report.targets[line.target].name);
    target = line.target;
    const auto name =
        line.path.kind == BenchPath::Kind::null
            ? std::string("null:")
            : fmt::format("{} over {}",
                          line.path.name().starts_with("rest-") ? line.path.name().substr(5) : line.path.name(),
                          line.path.road());
    out += fmt::format("{:<22} {:>5} {:>8} ", name, line.setting.lanes, line.setting.batch_rows);
    if (line.measured()) {
      if (first == nullptr) first = &line;
      const auto of = [&](auto&& what) { return line.middle(what); };
      // The server sorts what is forwarded as it comes: nobody here knows its child tables.
      const auto per_table = line.path.forwards() ? std::string("-") : fmt::format("{:.1f}", of(rows_per_table));
      out += fmt::format("{:>10} {:>9.3f} {:>8.1f} {:>8.2f} {:>8.2f} {:>7.0f} {:>6.2f}\n", per_table,
                         line.rows_per_second() / 1e6,
                         of([](const BenchResult& result) { return result.bytes_per_second(); }) / 1e6,
                         of([](const BenchResult& result) { return milliseconds(result.summary.p50); }),
                         of([](const BenchResult& result) { return milliseconds(result.summary.p99); }),
                         of(cpu_ns_per_row), line.rows_per_second() / first->rows_per_second());
    }
    for (const auto& run : line.runs)
      if (!run.error.empty()) {
        out += fmt::format("{}failed: {}\n", line.measured() ? "  " : "", printable(run.error, 1000));
        break;
      }
    if (!line.left_out.empty()) out += fmt::format("left out: {}\n", printable(line.left_out, 1000));
    if (!line.wrong.empty()) out += fmt::format("  WRONG: {}\n", line.wrong);
    for (const auto& run : line.runs)
      if (run.result.summary.total.rejected > 0) {
        const auto& rejects = run.result.summary.rejects;
        out += fmt::format("  {} rows rejected{}\n", format_count(run.result.summary.total.rejected),
                           rejects.empty() ? "" : ": " + printable(rejects.front().reason, 400));
        break;
      }
  }
  for (std::size_t i = 0; i < report.targets.size(); ++i)
    if (const auto best = recommendation(report, i); !best.empty()) out += "\n" + best + "\n";
  return out;
}

std::string to_json(const WriteReport& report) {
  Json out{{"version", kVersion},     {"what", "bench write"},       {"input", report.input},
           {"rounds", report.rounds}, {"database", report.database}, {"precision", report.precision}};
  auto& targets = out["targets"] = Json::array();
  for (std::size_t i = 0; i < report.targets.size(); ++i) {
    Json one{{"to", report.targets[i].name}, {"server_version", report.targets[i].version}};
    if (const auto best = recommendation(report, i); !best.empty()) {
      one["best"] = best;
      one["best_flags"] = load_flags(*best_line(report, i), report.loads_own);
    }
    targets.push_back(std::move(one));
  }
  auto& lines = out["lines"] = Json::array();
  double first = 0;
  for (const auto& line : report.lines) {
    Json one{{"to", report.targets[line.target].name}, {"path", line.path.name()},
             {"transport", line.path.road()},          {"lanes", line.setting.lanes},
             {"batch_rows", line.setting.batch_rows},  {"window", shown(line.setting.rows_per_table)}};
    if (!line.left_out.empty()) one["left_out"] = line.left_out;
    if (!line.wrong.empty()) one["wrong"] = line.wrong;
    if (line.measured()) {
      if (first == 0) first = line.rows_per_second();
      one["rows_per_second"] = line.rows_per_second();
      one["bytes_per_second"] = line.middle([](const BenchResult& result) { return result.bytes_per_second(); });
      one["cpu_ns_per_row"] = line.middle(cpu_ns_per_row);
      one["ratio"] = line.rows_per_second() / first;
    }
    auto& runs = one["runs"] = Json::array();
    for (const auto& run : line.runs) {
      const auto& [result, counted, error] = run;
      const auto& summary = result.summary;
      Json stages = Json::object();
      for (const auto& [name, busy] : summary.stages) stages[name] = busy;
      Json entry{{"seconds", result.seconds()},
                 {"read", summary.total.read},
                 {"written", summary.total.written},
                 {"rejected", summary.total.rejected},
                 {"left_out", summary.total.left_out},
                 {"not_done", summary.total.not_done},
                 {"merged", summary.total.merged},
                 {"counted", counted},
                 {"bytes", summary.total.bytes},
                 {"requests", summary.requests},
                 {"request_bytes", summary.request_bytes},
                 {"retries", summary.retries},
                 {"rows_per_table", line.path.forwards() ? Json() : Json(rows_per_table(result))},
                 {"child_tables", result.child_tables},
                 {"p50_ms", milliseconds(summary.p50)},
                 {"p90_ms", milliseconds(summary.p90)},
                 {"p99_ms", milliseconds(summary.p99)},
                 {"max_ms", milliseconds(summary.max)},
                 {"cpu_seconds", result.cpu_seconds},
                 {"busy", std::move(stages)},
                 {"limit", summary.limit}};
      if (!error.empty()) entry["error"] = error;
      runs.push_back(std::move(entry));
    }
    lines.push_back(std::move(one));
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace penstock::cli
