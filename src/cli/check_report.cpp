#include "cli/check_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace penstock::cli {
namespace {

constexpr std::size_t kShownColumns = 200;

double share(std::uint64_t part, std::uint64_t whole) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(1, whole));
}

std::string code_text(std::int32_t code) { return code != 0 ? fmt::format(" [0x{:04X}]", code) : ""; }

}  // namespace

std::string to_text(const CheckReport& report) {
  std::string out;
  for (const auto& source : report.sources) {
    out +=
        fmt::format("source   {}: {}{}, {} rows, {} rejected{}, {}\n", printable(source.name, 400),
                    source.format.empty() ? "not read" : source.format,
                    source.compression.empty() || source.compression == "none" ? "" : " (" + source.compression + ")",
                    format_count(source.rows), format_count(source.rejected),
                    source.left_out > 0 ? fmt::format(", {} left out", format_count(source.left_out)) : "",
                    format_bytes(static_cast<double>(source.bytes)));
    if (!source.error.empty()) out += fmt::format("failed   {}\n", source.error);
  }
  for (const auto& note : report.notes) out += fmt::format("note     {}\n", note);
  for (const auto& source : report.sources) {
    if (source.columns.empty()) continue;
    out += fmt::format("columns  of {}\n", printable(source.name, 400));
    for (const auto& why : source.why) out += fmt::format("  {}\n", why);
    for (std::size_t i = 0; i < std::min(kShownColumns, source.columns.size()); ++i) {
      const auto& column = source.columns[i];
      // The evidence begins with the type that it speaks for, which stands before it with its width.
      const auto colon = column.evidence.find(": ");
      const bool repeated = colon != std::string::npos && column.type.starts_with(column.evidence.substr(0, colon));
      const auto evidence = repeated ? column.evidence.substr(colon + 2) : column.evidence;
      out += fmt::format("  {}: {}{}{}\n", printable(column.name), column.becomes,
                         column.type.empty() ? "" : " " + column.type, evidence.empty() ? "" : " (" + evidence + ")");
    }
    if (source.columns.size() > kShownColumns)
      out += fmt::format("  … and {} more (all of them with --json)\n", source.columns.size() - kShownColumns);
  }
  for (const auto& table : report.tables) {
    out += fmt::format("\n{};{}\n", table.ddl, table.exists ? "  -- exists; shown as the load would leave it" : "");
    if (table.rows > 0)
      out += fmt::format("  {} rows from {} to {}, {:.1f} % older than the row before in their child table\n",
                         format_count(table.rows), table.first, table.last, share(table.out_of_order, table.rows));
  }
  out += fmt::format("\nchild tables  {}\n", format_count(report.child_tables));
  out += fmt::format("load time     about {} at {}{}\n",
                     format_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(report.seconds * 1e9))),
                     report.rate, report.rate_given ? "" : " (an assumption: --rate says another)");
  if (!report.rejects.empty()) out += "rejects\n";
  for (const auto& group : report.rejects) {
    out += fmt::format("  {:>10}  {}{}\n", format_count(group.count), group.reason, code_text(group.code));
    for (const auto& example : group.examples) out += fmt::format("{:14}{}: {}\n", "", example.place, example.record);
  }
  if (!report.target.empty()) out += fmt::format("target   {}\n{}", report.target, to_text(report.findings));
  if (!report.saved_mapping.empty())
    out += fmt::format("mapping  written to {}; edit it, then load with --mapping {}\n", report.saved_mapping,
                       report.saved_mapping);
  return out;
}

std::string to_json(const CheckReport& report) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["sources"] = Json::array();
  for (const auto& source : report.sources) {
    Json one{{"name", source.name},
             {"format", source.format},
             {"compression", source.compression},
             {"rows", source.rows},
             {"rejected", source.rejected},
             {"left_out", source.left_out},
             {"bytes", source.bytes},
             {"why", source.why}};
    one["columns"] = Json::array();
    for (const auto& column : source.columns)
      one["columns"].push_back(
          {{"name", column.name}, {"becomes", column.becomes}, {"type", column.type}, {"evidence", column.evidence}});
    if (!source.error.empty()) one["error"] = source.error;
    json["sources"].push_back(std::move(one));
  }
  json["notes"] = report.notes;
  json["tables"] = Json::array();
  for (const auto& table : report.tables)
    json["tables"].push_back({{"name", table.name},
                              {"ddl", table.ddl},
                              {"exists", table.exists},
                              {"rows", table.rows},
                              {"first", table.first},
                              {"last", table.last},
                              {"out_of_order", table.out_of_order}});
  json["child_tables"] = report.child_tables;
  json["rejects"] = Json::array();
  for (const auto& group : report.rejects) {
    Json one{{"reason", group.reason}, {"code", group.code}, {"count", group.count}, {"first", group.first}};
    one["examples"] = Json::array();
    for (const auto& example : group.examples)
      one["examples"].push_back({{"place", example.place}, {"record", example.record}});
    json["rejects"].push_back(std::move(one));
  }
  json["estimate"] = {{"rate", report.rate}, {"rate_given", report.rate_given}, {"seconds", report.seconds}};
  if (!report.target.empty()) {
    auto& target = json["target"];
    target["dsn"] = report.target;
    target["findings"] = Json::array();
    for (const auto& finding : report.findings)
      target["findings"].push_back({{"level", level_name(finding.level)},
                                    {"subject", finding.subject},
                                    {"text", finding.text},
                                    {"mend", finding.mend}});
  }
  if (!report.saved_mapping.empty()) json["saved_mapping"] = report.saved_mapping;
  json["exit_status"] = report.exit_status;
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace penstock::cli
