// Replays the recorded answers of a real server to schemaless calls, as far as a parser alone can give them.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/text.h"
#include "format/json_parser.h"
#include "format/line_test_text.h"

namespace penstock::format {
namespace {

using data::Type;
using nlohmann::json;

constexpr std::int64_t kDay = 86'400'000'000'000;
constexpr std::int64_t kRecorded = 1'795'305'600'000'000'000;  // 2026-11-22, the day of the recording
constexpr std::int64_t kClock = kRecorded + 12'345;

std::filesystem::path records() {
  const char* const folder = std::getenv("PENSTOCK_CONFORMANCE");
  return std::filesystem::path(folder != nullptr ? folder : "../shared/conformance") / "schemaless/json.jsonl";
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// Names and texts: a string, or {"hex": …} where the bytes are no UTF-8.
std::string text_of_json(const json& value) {
  return value.is_object() ? from_hex(value.at("hex").get<std::string>()) : value.get<std::string>();
}

std::string payload_of(const json& call) {
  if (call.contains("payload_hex")) return from_hex(call["payload_hex"].get<std::string>());
  return call.contains("payload") && call["payload"].is_string() ? call["payload"].get<std::string>() : "";
}

int code_of(const json& call) {
  return static_cast<int>(std::stoul(call["result"]["code"].get<std::string>(), nullptr, 16) & 0xFFFF);
}

std::int64_t in_precision(std::int64_t ns, const std::string& precision) {
  return precision == "ms" ? ns / 1'000'000 : precision == "us" ? ns / 1'000 : ns;
}

TimeRange range_of(const json& record) {
  std::int64_t keep = 3650;
  const auto options = record.value("db_options", std::string());
  if (const auto at = options.find("keep "); at != std::string::npos) keep = std::atoll(options.c_str() + at + 5);
  TimeRange range;
  range.first = kRecorded - keep * kDay;
  if (record["db_precision"] == "ns") range.last = 9'214'646'400'000'000'000;
  return range;
}

// A value as the record would show it.
json shown(Type type, data::Slot slot) {
  const auto number = [](double value) -> json {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    return value;
  };
  switch (type) {
    case Type::boolean: return slot != 0;
    case Type::float32: return number(std::bit_cast<float>(static_cast<std::uint32_t>(slot)));
    case Type::float64: return number(std::bit_cast<double>(slot));
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: return slot;
    default: break;
  }
  if (!data::is_variable(type)) return static_cast<std::int64_t>(slot);
  return json::array({std::string(data::text_of(slot))});  // an array marks raw bytes
}

bool same_value(const json& expected, const json& got) {
  if (got.is_array()) {
    if (expected.is_null()) return false;
    return (expected.is_string() || expected.is_object()) &&
           text_of_json(expected) == got[0].get_ref<const std::string&>();
  }
  if (expected.is_number() && got.is_number()) {
    if (expected.is_number_float() || got.is_number_float()) {
      const double a = expected.get<double>(), b = got.get<double>();
      return a == b && std::signbit(a) == std::signbit(b);
    }
    return expected == got;
  }
  return expected == got;
}

json shown_tag(const data::Tag& tag) {
  if (data::is_variable(tag.type)) return json::array({std::string(tag.value())});
  data::Slot slot = 0;
  std::memcpy(&slot, tag.bytes, tag.length);
  if (tag.type == Type::tinyint) slot = data::slot_of(std::int64_t{static_cast<std::int8_t>(slot)});
  if (tag.type == Type::smallint) slot = data::slot_of(std::int64_t{static_cast<std::int16_t>(slot)});
  if (tag.type == Type::integer) slot = data::slot_of(std::int64_t{static_cast<std::int32_t>(slot)});
  return shown(tag.type, slot);
}

// What stands in the database after rows were written: growth in order of appearance, equal timestamps merged.
struct Store {
  struct Table {
    std::vector<std::pair<std::string, std::string>> columns;  // name, type
    std::vector<std::string> tags;                             // name and type
  };
  struct Child {
    std::string table;
    std::map<std::string, json> tags;
    std::map<std::int64_t, std::map<std::string, json>> rows;
  };
  std::map<std::string, Table> tables;
  std::map<std::string, Child> children;

  void add(const schema::Registry& registry, data::RowSet& rows, const std::string& precision,
           const schema::NamingRules& rules) {
    std::map<const data::Row*, data::Series*> fresh;
    for (const auto& [series, row] : rows.fresh()) fresh[row] = series;
    rows.for_each_row([&](const data::Row& row) {
      const auto& shape = rows.shapes()[row.shape];
      auto& table = tables[shape.table->name];
      const auto& series = *fresh.at(&row);
      auto [at, is_new] = children.try_emplace(std::string(series.child->name));
      auto& child = at->second;
      if (is_new) child.table = shape.table->name;
      for (const auto& tag : series.tags) {
        const std::string key(registry.tag_key_name(tag.key));
        if (is_new) child.tags[key] = shown_tag(tag);
        const auto declared = key + " " + std::string(data::type_name(tag.type)) + " TAG";
        if (std::find(table.tags.begin(), table.tags.end(), declared) == table.tags.end())
          table.tags.push_back(declared);
      }
      auto& cells = child.rows[in_precision(row.time, precision)];
      for (std::size_t i = 0; i < shape.fields.size(); ++i) {
        const std::pair column(std::string(shape.fields[i].name), std::string(data::type_name(shape.fields[i].type)));
        if (std::find(table.columns.begin(), table.columns.end(), column) == table.columns.end())
          table.columns.push_back(column);
        cells[column.first] = shown(shape.fields[i].type, row.slots()[i]);
      }
    });
    for (auto& [name, table] : tables)
      if (table.tags.empty()) table.tags.push_back(rules.default_tag + " NCHAR TAG");
  }

  // "" when everything that the record shows is here and nothing else.
  [[nodiscard]] std::string differs(const json& record, const schema::NamingRules& rules) const {
    const auto precision = record["db_precision"].get<std::string>();
    std::set<std::string> names;
    for (const auto& wanted : record["super_tables"]) {
      const auto name = text_of_json(wanted["name"]);
      names.insert(name);
      const auto at = tables.find(name);
      if (at == tables.end()) return "super table missing: " + name;
      std::vector<std::string> have{rules.timestamp_name + " TIMESTAMP"}, want;
      for (const auto& [column, type] : at->second.columns) have.push_back(column + " " + type);
      for (const auto& tag : at->second.tags) have.push_back(tag);
      for (const auto& column : wanted["columns"])
        want.push_back(text_of_json(column["name"]) + " " + column["type"].get<std::string>() +
                       (column["note"] == "TAG" ? " TAG" : ""));
      if (have != want) return "columns of " + name;
    }
    if (names.size() != tables.size()) return "other super tables";

    for (const auto& wanted : record["child_tables"]) {
      const auto name = text_of_json(wanted["name"]);
      const auto at = children.find(name);
      if (at == children.end()) return "child table missing: " + name;
      if (at->second.table != text_of_json(wanted["super_table"])) return "super table of " + name;
      for (const auto& tag : wanted["tags"]) {
        const auto have = at->second.tags.find(text_of_json(tag["name"]));
        if (tag["value"].is_null() ? have != at->second.tags.end()
                                   : have == at->second.tags.end() || !same_value(tag["value"], have->second))
          return "tags of " + name;
      }
    }
    if (children.size() != record["child_tables"].size()) return "other child tables";

    for (const auto& wanted : record["rows"]) {
      if (!wanted.contains("values")) continue;  // the server could not read them itself
      const auto& child = children.at(text_of_json(wanted["table"]));
      if (child.rows.size() != wanted["values"].size()) return "number of rows";
      auto row = child.rows.begin();
      for (const auto& values : wanted["values"]) {
        const auto time = values[0] == "now" ? in_precision(kClock, precision) : values[0].get<std::int64_t>();
        if (row->first != time) return "timestamp " + std::to_string(row->first);
        for (std::size_t i = 1; i < values.size(); ++i) {
          const auto cell = row->second.find(text_of_json(wanted["columns"][i]));
          if (!same_value(values[i], cell == row->second.end() ? json() : cell->second))
            return "value of " + text_of_json(wanted["columns"][i]);
        }
        ++row;
      }
    }
    return "";
  }
};

int answer(const data::RowSet& rows, const std::vector<data::Reject>& rejects) {
  return rejects.empty() && rows.row_count() == 0 ? 0x0221 : rejects.empty() ? 0 : rejects.front().reason.code;
}

// What a parser cannot know: why a record is left out, or nullptr.
const char* out_of_scope(const json& record) {
  static const std::map<std::string, const char*> kReasons{
      {"0x8000263d", "sum of tag widths: schema stage"},
      {"0x8000263e", "sum of column widths: schema stage"},
      {"0x80000115", "union of columns: schema stage"},
      {"0x80003001", "precision argument: caller"},
  };
  const auto name = record["name"].get<std::string>();
  if (!record["setup_sql"].empty()) return "depends on what exists";
  for (const char* part : {"schema/type_conflict_", "schema/tag_type_conflict_", "schema/nchar_value_growth"})
    if (name.find(part) != std::string::npos) return "types and widths over several points: schema stage";
  // The server says these times right once the table exists, and saturated before: we saturate always.
  if (name.find("timestamp/") != std::string::npos && name.find("far_future") != std::string::npos &&
      name.ends_with("_known_table"))
    return "times beyond 2262 depend on what the client knows of the table";
  if (record.contains("api")) return "array of lines";
  const auto reason = [&](const json& call) -> const char* {
    if (!call.contains("result")) return "SQL between calls";
    const auto at = kReasons.find(call["result"]["code"].get<std::string>());
    return at == kReasons.end() ? nullptr : at->second;
  };
  if (!record.contains("calls")) return reason(record);
  for (const auto& call : record["calls"])
    if (const char* const why = reason(call)) return why;
  return nullptr;
}

schema::NamingRules rules_of(const json& record, const json& call) {
  schema::NamingRules rules;
  const auto settings = record.value("client_settings", json::object());
  rules.dot_to_underscore = settings.value("smlDot2Underline", "1") != "0";
  rules.timestamp_name = settings.value("smlTsDefaultName", "_ts");
  rules.default_tag = settings.value("smlTagName", "_tag_null");
  rules.child_table_tag = settings.value("smlChildTableName", "");
  rules.child_table_delimiter = settings.value("smlAutoChildTableNameDelimiter", "");
  rules.table_name_key = call.value("table_name_key", "");
  return rules;
}

// "" when the parser does with the record what the server did.
std::string replay(const json& record) {
  Store store;
  schema::NamingRules rules;
  const json calls = record.contains("calls") ? record["calls"] : json::array({record});
  for (const auto& call : calls) {
    rules = rules_of(record, call);
    JsonOptions options;
    options.naming = rules;
    options.range = range_of(record);
    options.clock = [] { return kClock; };
    options.payload_rules = true;
    schema::Registry registry;
    JsonParser parser(registry, options);
    data::RowSet rows;
    parser.parse(padded_chunk(payload_of(call)), rows);
    const int expected = code_of(call);
    const int got = answer(rows, rows.rejects());
    if (got != expected) {
      char text[64];
      std::snprintf(text, sizeof text, "code 0x%04x instead of 0x%04x", got, expected);
      return text;
    }
    if (got == 0) store.add(registry, rows, record["db_precision"].get<std::string>(), rules);
  }
  // Rows of a refused call may leave tables behind; only what was accepted as a whole is compared.
  for (const auto& call : calls)
    if (code_of(call) != 0) return "";
  if (record.contains("hash_order")) return "";
  return store.differs(record, rules);
}

TEST(JsonRecords, AreAnsweredAsTheServerDid) {
  std::ifstream file(records());
  if (!file) GTEST_SKIP() << "no records at " << records();
  int all = 0, agree = 0;
  std::map<std::string, std::vector<std::string>> left_out;
  std::map<std::string, std::string> differ;
  for (std::string line; std::getline(file, line);) {
    const auto record = json::parse(line);
    ++all;
    const auto name = record["name"].get<std::string>();
    if (const char* const why = out_of_scope(record)) {
      left_out[why].push_back(name);
      continue;
    }
    if (const auto difference = replay(record); difference.empty()) ++agree;
    else differ[name] = difference;
  }
  std::cout << agree << " of " << all << " records agree\n";
  for (const auto& [why, names] : left_out) {
    std::cout << names.size() << " left out, " << why << ":";
    for (const auto& name : names) std::cout << ' ' << name.substr(5);
    std::cout << '\n';
  }
  for (const auto& [name, difference] : differ) std::cout << "differs: " << name << ": " << difference << '\n';
  EXPECT_TRUE(differ.empty());
  EXPECT_GE(agree, 392);
}

}  // namespace
}  // namespace penstock::format
