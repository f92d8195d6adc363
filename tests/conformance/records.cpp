#include "conformance/records.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>

namespace penstock::conformance {
namespace {

int code_of(const json& result) {
  return static_cast<int>(std::stoul(result.at("code").get<std::string>(), nullptr, 16) & 0xFFFF);
}

Step step_of(const json& from, LineProtocol protocol) {
  Step step;
  if (from.contains("sql")) {
    step.sql = from["sql"].get<std::string>();
    return step;
  }
  if (from.contains("payload_hex")) {
    step.payload = from_hex(from["payload_hex"].get<std::string>());
  } else if (from.contains("payload")) {
    step.payload = from["payload"].get<std::string>();
  } else if (from.contains("lines")) {
    for (const auto& line : from["lines"]) {
      const auto text = line.get<std::string>();
      const bool one_line = text.find('\n') == std::string::npos ||
                            (&line == &from["lines"].back() && text.find('\n') == text.size() - 1);
      step.only_array |= text.empty() || !one_line || text.starts_with('#');
      // Line protocol passes over a newline at the end of an element; here it belongs to the last value.
      step.only_array |= protocol == LineProtocol::telnet && text.ends_with('\n');
      if (!step.payload.empty()) step.payload += '\n';
      step.payload += text;
    }
  }
  const auto& result = from.at("result");
  step.code = code_of(result);
  step.affected = result.value("affected_rows", std::int64_t{0});
  step.total = result.value("total_rows", std::int64_t{0});
  step.ttl = from.value("ttl", 0);
  step.table_name_key = from.value("table_name_key", std::string());
  return step;
}

Record record_of(const json& from, LineProtocol protocol) {
  Record record;
  record.protocol = protocol;
  record.name = from.at("name").get<std::string>();
  record.precision = from.at("precision").get<std::string>();
  record.db_precision = from.at("db_precision").get<std::string>();
  record.db_options = from.value("db_options", std::string());
  for (const auto& sql : from.at("setup_sql")) record.setup.push_back(sql.get<std::string>());
  if (from.contains("client_settings"))
    for (const auto& [key, value] : from["client_settings"].items()) record.settings[key] = value.get<std::string>();
  if (from.contains("calls")) {
    for (const auto& call : from["calls"]) record.steps.push_back(step_of(call, protocol));
  } else {
    record.steps.push_back(step_of(from, protocol));
  }
  record.array_call = from.contains("api");
  record.hash_order = from.value("hash_order", false);
  for (const char* part : {"super_tables", "child_tables", "rows"}) record.state[part] = from.at(part);
  return record;
}

}  // namespace

bool Record::accepted() const {
  return std::all_of(steps.begin(), steps.end(), [](const Step& step) { return step.code == 0; });
}

schema::NamingRules Record::naming(const Step& step) const {
  schema::NamingRules rules;
  const auto take = [&](const char* setting, std::string& into) {
    if (const auto found = settings.find(setting); found != settings.end()) into = found->second;
  };
  if (const auto found = settings.find("smlDot2Underline"); found != settings.end())
    rules.dot_to_underscore = found->second != "0";
  take("smlTsDefaultName", rules.timestamp_name);
  take("smlTagName", rules.default_tag);
  take("smlChildTableName", rules.child_table_tag);
  take("smlAutoChildTableNameDelimiter", rules.child_table_delimiter);
  rules.table_name_key = step.table_name_key;
  return rules;
}

const char* protocol_name(LineProtocol protocol) {
  switch (protocol) {
    case LineProtocol::telnet: return "telnet";
    case LineProtocol::json: return "json";
    default: return "line";
  }
}

std::filesystem::path record_file(LineProtocol protocol) {
  const char* const folder = std::getenv("PENSTOCK_CONFORMANCE");
  return std::filesystem::path(folder != nullptr ? folder : "../shared/conformance") / "schemaless" /
         (std::string(protocol_name(protocol)) + ".jsonl");
}

const std::vector<Record>& records(LineProtocol protocol) {
  static std::map<LineProtocol, std::vector<Record>> all;
  const auto [at, is_new] = all.try_emplace(protocol);
  if (is_new) {
    std::ifstream file(record_file(protocol));
    for (std::string line; std::getline(file, line);) at->second.push_back(record_of(json::parse(line), protocol));
  }
  return at->second;
}

const Expectations& expectations(LineProtocol protocol) {
  static const Expectations none;
  switch (protocol) {
    case LineProtocol::line: return line_expectations();
    case LineProtocol::telnet: return telnet_expectations();
    case LineProtocol::json: return json_expectations();
    default: return none;
  }
}

const std::vector<LineProtocol>& tested_protocols() {
  static const std::vector<LineProtocol> tested{LineProtocol::line, LineProtocol::telnet, LineProtocol::json};
  return tested;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

void Tally::print(const std::string& title) const {
  std::size_t all = agree_ + differ_.size();
  for (const auto& [why, names] : aside_) all += names.size();
  std::cout << title << ": " << agree_ << " of " << all << " agree, " << differ_.size() << " differ\n";
  for (const auto& [why, names] : aside_) {
    std::cout << "  " << names.size() << " set aside, " << why << ":";
    for (const auto& name : names) std::cout << ' ' << name.substr(name.find('/') + 1);
    std::cout << '\n';
  }
  for (const auto& [name, how] : differ_) std::cout << "  differs: " << name << ": " << how << '\n';
}

}  // namespace penstock::conformance
