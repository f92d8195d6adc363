#include "report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace penstock::report {
namespace {

double milliseconds(std::chrono::nanoseconds time) { return std::chrono::duration<double, std::milli>(time).count(); }

double per_second(double amount, std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  return seconds > 0 ? amount / seconds : 0;
}

double rounded(double value, double step) { return std::round(value / step) * step; }

nlohmann::ordered_json tally_json(const Tally& tally) {
  return {{"read", tally.read},         {"written", tally.written},   {"rejected", tally.rejected},
          {"left_out", tally.left_out}, {"not_done", tally.not_done}, {"merged", tally.merged},
          {"bytes", tally.bytes}};
}

// Dumps of InfluxDB give each field of a row a line of its own.
bool has_lines_to_join(const std::string& format) { return format == "line" || format == "influx-csv"; }

double lines_per_row(const Tally& tally) {
  return static_cast<double>(tally.written) /
         static_cast<double>(std::max<std::uint64_t>(1, tally.written - tally.merged));
}

// As the server got them: rows that were joined count once.
double rows_per_child_table(const Summary& summary) {
  if (summary.runs == 0) return 0;
  const auto sent = summary.total.written - summary.resumed.written - summary.merged_now;
  return static_cast<double>(sent) / static_cast<double>(summary.runs);
}

void verify_text(const VerifySummary& verify, std::string& out) {
  if (!verify.asked) return;
  const auto label = [&](const std::string& text) { out += fmt::format("{:<11}{}\n", "verified", text); };
  if (!verify.not_done.empty()) return label("no: " + verify.not_done);
  std::string text =
      verify.missing + verify.unexpected == 0
          ? fmt::format("{} rows in {} child tables, all there", format_count(verify.rows),
                        format_count(verify.child_tables))
          : fmt::format("{} of {} rows are missing and {} are unexpected, in {} of {} child tables",
                        format_count(verify.missing), format_count(verify.rows), format_count(verify.unexpected),
                        format_count(verify.different), format_count(verify.child_tables));
  if (verify.repeated > 0)
    text += fmt::format("; {} written rows have the key of another one", format_count(verify.repeated));
  if (verify.others > 0) text += fmt::format("; {} rows of others stand among them", format_count(verify.others));
  label(text + fmt::format(", in {}", format_duration(verify.elapsed)));
  if (!verify.only_part.empty()) label(verify.only_part);
  constexpr std::size_t kMost = 20;
  const auto times = [](const std::vector<std::string>& first, std::uint64_t all) {
    std::string list;
    for (const auto& time : first) list += (list.empty() ? " (" : ", ") + time;
    if (!list.empty()) list += all > first.size() ? ", …)" : ")";
    return list;
  };
  for (std::size_t i = 0; i < std::min(kMost, verify.differences.size()); ++i) {
    const auto& one = verify.differences[i];
    out += fmt::format("  {}.{}: {} rows written, {} found", printable(one.super_table, 192),
                       printable(one.child_table, 192), format_count(one.expected), format_count(one.found));
    if (one.missing > 0)
      out += fmt::format("; {} missing{}", format_count(one.missing), times(one.first_missing, one.missing));
    if (one.unexpected > 0)
      out +=
          fmt::format("; {} unexpected{}", format_count(one.unexpected), times(one.first_unexpected, one.unexpected));
    out += '\n';
  }
  if (verify.different > kMost)
    out += fmt::format("  … and {} more child tables (--report FILE lists {})\n",
                       format_count(verify.different - kMost), format_count(verify.differences.size()));
}

nlohmann::ordered_json verify_json(const VerifySummary& verify) {
  nlohmann::ordered_json json{{"done", verify.not_done.empty()}};
  if (!verify.not_done.empty()) json["why_not"] = verify.not_done;
  if (!verify.only_part.empty()) json["only_part"] = verify.only_part;
  json["child_tables"] = verify.child_tables;
  json["rows"] = verify.rows;
  json["repeated"] = verify.repeated;
  json["missing"] = verify.missing;
  json["unexpected"] = verify.unexpected;
  json["others"] = verify.others;
  json["different_child_tables"] = verify.different;
  json["key_bytes"] = verify.key_bytes;
  json["seconds"] = std::chrono::duration<double>(verify.elapsed).count();
  json["differences"] = nlohmann::ordered_json::array();
  for (const auto& one : verify.differences)
    json["differences"].push_back({{"super_table", one.super_table},
                                   {"child_table", one.child_table},
                                   {"written", one.expected},
                                   {"found", one.found},
                                   {"missing", one.missing},
                                   {"unexpected", one.unexpected},
                                   {"first_missing", one.first_missing},
                                   {"first_unexpected", one.first_unexpected}});
  return json;
}

}  // namespace

void fill_stages(Summary& summary, const Counters& counters, unsigned parse_threads, unsigned lanes) {
  const double elapsed = static_cast<double>(std::max<std::int64_t>(1, summary.elapsed.count()));
  std::size_t busiest = 0;
  double most = 0;
  for (std::size_t i = 0; i < kStages; ++i) {
    const auto stage = static_cast<Stage>(i);
    const double width = stage == Stage::parse                            ? parse_threads
                         : stage == Stage::read || stage == Stage::schema ? 1
                                                                          : lanes;
    const double share =
        static_cast<double>(counters.busy_ns[i].load(std::memory_order_relaxed)) / (elapsed * std::max(1.0, width));
    summary.stages.emplace_back(std::string(kStageNames[i]), rounded(std::min(share, 1.0), 0.001));
    if (share > most) {
      most = share;
      busiest = i;
    }
  }
  summary.limit = std::string(kStageNames[busiest]);
}

std::optional<double> could_feed(double busy) {
  return busy > 0 ? std::optional(rounded(1 / busy, 0.1)) : std::nullopt;
}

std::string headroom_text(const Summary& summary) {
  std::vector<std::pair<double, std::string_view>> others;
  for (const auto& [name, busy] : summary.stages)
    if (const auto times = could_feed(busy); times && name != summary.limit) others.emplace_back(*times, name);
  std::stable_sort(others.begin(), others.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  // The next two limits: what is behind them has even more to spare.
  others.resize(std::min<std::size_t>(others.size(), 2));
  std::string text;
  for (const auto& [times, name] : others)
    text += text.empty() ? fmt::format("; {} could feed {:.1f} times as much", name, times)
                         : fmt::format(", {} {:.1f} times", name, times);
  return text;
}

std::string to_text(const Summary& summary) {
  std::string out;
  const auto line = [&](std::string_view label, const std::string& text) {
    out += fmt::format("{:<11}{}\n", label, text);
  };
  const Tally& t = summary.total;
  line("result", summary.outcome);
  line("rows", fmt::format("{} read = {} written + {} rejected + {}{} not done", format_count(t.read),
                           format_count(t.written), format_count(t.rejected),
                           t.left_out > 0 ? format_count(t.left_out) + " left out + " : "", format_count(t.not_done)));
  if (summary.resumed.resumed)
    line("resumed", fmt::format("run {} of a load begun on {}: {} rows were written{} before", summary.resumed.runs,
                                summary.resumed.started, format_count(summary.resumed.written),
                                summary.resumed.rejected > 0
                                    ? fmt::format(" and {} rejected", format_count(summary.resumed.rejected))
                                    : ""));
  if (t.merged > 0) {
    std::string text = fmt::format(
        "{} of the written rows had the key of another row of the same request and were "
        "joined with it",
        format_count(t.merged));
    if (summary.merged_by_precision > 0)
      text += fmt::format("; {} only because the database's precision is coarser",
                          format_count(summary.merged_by_precision));
    line("merged", text);
    Tally joined;
    for (const auto& source : summary.sources) {
      if (!has_lines_to_join(source.format)) continue;
      joined.written += source.tally.written;
      joined.merged += source.tally.merged;
    }
    if (joined.merged > 0)
      line("joined", fmt::format("{} lines became {} rows: {:.2f} lines a row", format_count(joined.written),
                                 format_count(joined.written - joined.merged), lines_per_row(joined)));
  }
  line("speed", fmt::format("{} rows/s, {}/s, {} in {}",
                            format_count(static_cast<std::uint64_t>(
                                per_second(static_cast<double>(t.written - summary.resumed.written), summary.elapsed))),
                            format_bytes(per_second(static_cast<double>(t.bytes), summary.elapsed)),
                            format_bytes(static_cast<double>(t.bytes)), format_duration(summary.elapsed)));
  if (summary.requests > 0)
    line("requests", fmt::format("{}, {:.0f} rows per child table in a request; p50 {:.1f} ms, p90 {:.1f} ms, "
                                 "p99 {:.1f} ms, max {:.1f} ms; {} retries",
                                 format_count(summary.requests), rows_per_child_table(summary),
                                 milliseconds(summary.p50), milliseconds(summary.p90), milliseconds(summary.p99),
                                 milliseconds(summary.max), format_count(summary.retries)));
  if (!summary.stages.empty()) {
    std::string text;
    for (const auto& [name, busy] : summary.stages)
      text += fmt::format("{}{} {:.0f} %", text.empty() ? "" : ", ", name, 100 * busy);
    line("busy", text + " (limit: " + summary.limit + headroom_text(summary) + ")");
  }
  if (!summary.schema_changes.empty())
    line("schema",
         fmt::format("{} change{}", summary.schema_changes.size(), summary.schema_changes.size() == 1 ? "" : "s"));
  for (const auto& restart : summary.restarts) line("restarted", restart);
  if (!summary.rejects.empty()) {
    line("rejected", summary.rejects_file.empty() ? "" : "records in " + summary.rejects_file);
    for (const auto& reject : summary.rejects) {
      const std::string code = reject.code != 0 ? fmt::format(" [0x{:04X}]", reject.code) : "";
      out +=
          fmt::format("  {:>10}  {}{}  (first: {})\n", format_count(reject.count), reject.reason, code, reject.first);
    }
  }
  verify_text(summary.verify, out);
  if (!summary.advice.empty()) line("advice", summary.advice);
  if (summary.sources.size() > 1) {
    constexpr std::size_t kMost = 20;
    line("sources", format_count(summary.sources.size()));
    for (std::size_t i = 0; i < std::min(kMost, summary.sources.size()); ++i) {
      const auto& s = summary.sources[i];
      out += fmt::format("  {}: {} read, {} written, {} rejected{}{}\n", printable(s.name, 400),
                         format_count(s.tally.read), format_count(s.tally.written), format_count(s.tally.rejected),
                         s.tally.left_out > 0 ? fmt::format(", {} left out", format_count(s.tally.left_out)) : "",
                         s.tally.not_done > 0 ? fmt::format(", {} not done", format_count(s.tally.not_done)) : "");
    }
    if (summary.sources.size() > kMost)
      out += fmt::format("  … and {} more (all of them with --report FILE)\n", summary.sources.size() - kMost);
  }
  for (const auto& source : summary.sources)
    if (!source.error.empty()) line("failed", source.error);
  return out;
}

std::string to_json(const Summary& summary) {
  nlohmann::ordered_json json;
  auto& total = json["total"];
  total = tally_json(summary.total);
  total["merged_by_precision"] = summary.merged_by_precision;
  const double seconds = std::chrono::duration<double>(summary.elapsed).count();
  total["seconds"] = seconds;
  total["rows_per_second"] =
      rounded(per_second(static_cast<double>(summary.total.written - summary.resumed.written), summary.elapsed), 0.1);
  json["outcome"] = summary.outcome;
  json["exit_status"] = summary.exit_status;
  json["target"] = summary.target;
  json["sources"] = nlohmann::ordered_json::array();
  for (const auto& source : summary.sources) {
    nlohmann::ordered_json one{{"name", source.name}, {"format", source.format}, {"compression", source.compression}};
    one.update(tally_json(source.tally));
    if (!source.error.empty()) one["error"] = source.error;
    if (has_lines_to_join(source.format) && source.tally.merged > 0)
      one["lines_per_row"] = rounded(lines_per_row(source.tally), 0.01);
    json["sources"].push_back(std::move(one));
  }
  json["rejects"] = nlohmann::ordered_json::array();
  for (const auto& reject : summary.rejects)
    json["rejects"].push_back(
        {{"reason", reject.reason}, {"code", reject.code}, {"count", reject.count}, {"first", reject.first}});
  if (summary.resumed.resumed)
    json["resumed"] = {{"run", summary.resumed.runs},
                       {"started", summary.resumed.started},
                       {"written_before", summary.resumed.written},
                       {"rejected_before", summary.resumed.rejected}};
  if (!summary.rejects_file.empty()) json["rejects_file"] = summary.rejects_file;
  if (!summary.advice.empty()) json["advice"] = summary.advice;
  json["requests"] = {{"count", summary.requests},
                      {"p50_ms", rounded(milliseconds(summary.p50), 0.001)},
                      {"p90_ms", rounded(milliseconds(summary.p90), 0.001)},
                      {"p99_ms", rounded(milliseconds(summary.p99), 0.001)},
                      {"max_ms", rounded(milliseconds(summary.max), 0.001)},
                      {"retries", summary.retries},
                      {"reconnects", summary.reconnects},
                      {"bytes", summary.request_bytes},
                      {"rows_per_child_table", rounded(rows_per_child_table(summary), 0.01)}};
  json["stages"] = nlohmann::ordered_json::array();
  for (const auto& [name, busy] : summary.stages) {
    json["stages"].push_back({{"name", name}, {"busy", busy}});
    if (const auto times = could_feed(busy)) json["stages"].back()["could_feed"] = *times;
  }
  json["limit"] = summary.limit;
  json["schema_changes"] = summary.schema_changes;
  json["restarts"] = summary.restarts;
  if (summary.verify.asked) json["verify"] = verify_json(summary.verify);
  json["memory_peak"] = summary.memory_peak;
  auto& settings = json["settings"];
  settings = nlohmann::ordered_json::object();
  for (const auto& [name, value] : summary.settings) settings[name] = value;
  json["version"] = summary.version;
  // Names and reasons may quote bytes of the input that are no UTF-8.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace penstock::report
