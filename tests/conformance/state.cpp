#include "conformance/state.h"

#include <chrono>
#include <cmath>
#include <map>
#include <set>

#include "base/text.h"
#include "data/schema.h"

namespace penstock::conformance {
namespace {

using data::Type;

json shown_text(const std::string& text) {
  if (is_utf8(text)) return text;
  return json{{"hex", to_hex(text)}};
}

std::string plain(const json& value) {
  return value.is_object() ? from_hex(value.at("hex").get<std::string>()) : value.get<std::string>();
}

json shown_real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

json cell(const client::Rows& rows, std::size_t column) {
  if (rows.is_null(column)) return nullptr;
  switch (rows.fields()[column].type) {
    case Type::boolean: return rows.integer(column) != 0;
    case Type::tinyint:
    case Type::smallint:
    case Type::integer:
    case Type::bigint:
    case Type::timestamp: return static_cast<std::int64_t>(rows.integer(column));
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: return rows.integer(column);
    case Type::float32:
    case Type::float64: return shown_real(rows.real(column));
    case Type::varbinary:
    case Type::geometry:
    case Type::blob: return json{{"hex", to_hex(rows.text(column))}};
    default: return shown_text(rows.text(column));
  }
}

std::string table_in(const std::string& database, const std::string& table) {
  return data::quote_identifier(database) + "." + data::quote_identifier(table);
}

json describe(client::Connection& connection, const std::string& database, const std::string& table) {
  json columns = json::array();
  auto rows = connection.query("DESCRIBE " + table_in(database, table));
  while (rows.next())
    columns.push_back({{"name", shown_text(rows.text(0))},
                       {"type", rows.text(1)},
                       {"bytes", rows.integer(2)},
                       {"note", rows.text(3)}});
  return columns;
}

// Without regard to the order of tables; that of columns, tags and rows counts.
std::map<std::string, json> by_name(const json& list, const char* member) {
  std::map<std::string, json> out;
  for (const auto& item : list) out[plain(item.at(member))] = item;
  return out;
}

std::string names_differ(const char* what, const std::map<std::string, json>& wanted,
                         const std::map<std::string, json>& have) {
  for (const auto& [name, item] : wanted)
    if (!have.contains(name)) return std::string(what) + " missing: " + name;
  for (const auto& [name, item] : have)
    if (!wanted.contains(name)) return std::string(what) + " too much: " + name;
  return "";
}

std::int64_t now_in(const std::string& precision) {
  using namespace std::chrono;
  const auto ns = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  return precision == "ms" ? ns / 1'000'000 : precision == "us" ? ns / 1'000 : ns;
}

bool same_time(const json& wanted, const json& have, const std::string& precision) {
  if (wanted == have) return true;
  // Both "now": within ten minutes of this moment.
  const std::int64_t second = precision == "ms" ? 1'000 : precision == "us" ? 1'000'000 : 1'000'000'000;
  const std::int64_t minute = 60 * second;
  const auto recent = [&](const json& time) {
    if (!time.is_number()) return time == "now";
    return std::llabs(time.get<std::int64_t>() - now_in(precision)) < 10 * minute;
  };
  return recent(wanted) && recent(have);
}

bool same_value(const json& wanted, const json& have) {
  if (wanted.is_number() && have.is_number() && (wanted.is_number_float() || have.is_number_float())) {
    const auto a = wanted.get<double>(), b = have.get<double>();
    return a == b && std::signbit(a) == std::signbit(b);
  }
  if (wanted.is_object() && have.is_string()) return plain(wanted) == have.get<std::string>();
  return wanted == have;
}

std::string columns_of(const json& table) {
  std::string text;
  for (const auto& column : table.at("columns"))
    text += plain(column["name"]) + " " + column["type"].get<std::string>() + "(" + column["bytes"].dump() + ")" +
            column["note"].get<std::string>() + ", ";
  return text;
}

std::string compare_child(const std::string& name, const json& wanted, const json& have, const Comparison& how) {
  if (wanted["super_table"] != have["super_table"]) return "super table of " + name;
  if (how.ttl && wanted["ttl"] != have["ttl"])
    return "ttl of " + name + " is " + have["ttl"].dump() + ", not " + wanted["ttl"].dump();
  if (how.winner_open) return "";
  if (wanted["tags"].size() != have["tags"].size()) return "number of tags of " + name;
  for (std::size_t i = 0; i < wanted["tags"].size(); ++i) {
    const auto& tag = wanted["tags"][i];
    const auto& other = have["tags"][i];
    if (tag["name"] != other["name"] || tag["type"] != other["type"] || tag["text"] != other["text"])
      return "tag of " + name + ": " + other.dump() + ", not " + tag.dump();
  }
  return "";
}

std::string compare_rows(const std::string& name, const json& wanted, const json& have, const std::string& precision,
                         const Comparison& how) {
  if (wanted.contains("read_error") || have.contains("read_error")) return "";
  if (wanted["columns"] != have["columns"]) return "columns of the rows of " + name;
  const auto& left = wanted["values"];
  const auto& right = have["values"];
  if (left.size() != right.size())
    return "rows of " + name + ": " + std::to_string(right.size()) + ", not " + std::to_string(left.size());
  for (std::size_t r = 0; r < left.size(); ++r) {
    if (!same_time(left[r][0], right[r][0], precision))
      return "time: " + right[r][0].dump() + ", not " + left[r][0].dump();
    if (how.winner_open) continue;
    for (std::size_t c = 1; c < left[r].size(); ++c)
      if (!same_value(left[r][c], right[r][c]) && !same_time(left[r][c], right[r][c], "none"))
        return "value of " + plain(wanted["columns"][c]) + ": " + right[r][c].dump().substr(0, 80) + ", not " +
               left[r][c].dump().substr(0, 80);
  }
  return "";
}

}  // namespace

json read_state(client::Connection& connection, const std::string& database) {
  const auto quoted = data::quote_text(database);
  json state{{"super_tables", json::array()}, {"child_tables", json::array()}, {"rows", json::array()}};
  {
    auto names = connection.query("SELECT stable_name FROM information_schema.ins_stables WHERE db_name = " + quoted);
    std::vector<std::string> stables;
    while (names.next()) stables.push_back(names.text(0));
    for (const auto& name : stables)
      state["super_tables"].push_back({{"name", shown_text(name)}, {"columns", describe(connection, database, name)}});
  }
  std::map<std::string, json> tags;
  {
    auto rows = connection.query(
        "SELECT table_name, tag_name, tag_type, tag_value FROM information_schema.ins_tags WHERE db_name = " + quoted);
    while (rows.next())
      tags[rows.text(0)].push_back({{"name", shown_text(rows.text(1))},
                                    {"type", rows.text(2)},
                                    {"text", rows.is_null(3) ? json() : shown_text(rows.text(3))}});
  }
  std::vector<std::string> tables;
  {
    auto rows = connection.query(
        "SELECT table_name, stable_name, `ttl` FROM information_schema.ins_tables WHERE db_name = " + quoted);
    while (rows.next()) {
      const auto name = rows.text(0);
      tables.push_back(name);
      const auto of = tags.find(name);
      state["child_tables"].push_back({{"name", shown_text(name)},
                                       {"super_table", rows.is_null(1) ? json() : shown_text(rows.text(1))},
                                       {"ttl", static_cast<std::int64_t>(rows.integer(2))},
                                       {"tags", of == tags.end() ? json::array() : of->second}});
    }
  }
  for (const auto& table : tables) {
    json entry{{"table", shown_text(table)}, {"columns", json::array()}, {"values", json::array()}};
    try {
      auto rows = connection.query("SELECT * FROM " + table_in(database, table));
      for (const auto& field : rows.fields()) entry["columns"].push_back(shown_text(field.name));
      while (rows.next()) {
        json values = json::array();
        for (std::size_t c = 0; c < rows.fields().size(); ++c) values.push_back(cell(rows, c));
        entry["values"].push_back(std::move(values));
      }
    } catch (const client::DatabaseError& error) {
      entry["read_error"] = error.what();
    }
    state["rows"].push_back(std::move(entry));
  }
  return state;
}

std::string compare_states(const json& wanted, const json& have, const std::string& db_precision, Comparison how) {
  const auto stables = by_name(wanted["super_tables"], "name");
  const auto stables_here = by_name(have["super_tables"], "name");
  if (auto text = names_differ("super table", stables, stables_here); !text.empty() && !how.winner_open) return text;
  for (const auto& [name, table] : stables) {
    if (!stables_here.contains(name)) continue;
    const auto want = columns_of(table), got = columns_of(stables_here.at(name));
    if (want != got && !how.winner_open) return "columns of " + name + ": " + got + "not " + want;
  }
  const auto children = by_name(wanted["child_tables"], "name");
  const auto children_here = by_name(have["child_tables"], "name");
  if (auto text = names_differ("child table", children, children_here); !text.empty()) return text;
  for (const auto& [name, child] : children)
    if (auto text = compare_child(name, child, children_here.at(name), how); !text.empty()) return text;
  const auto rows = by_name(wanted["rows"], "table");
  const auto rows_here = by_name(have["rows"], "table");
  if (auto text = names_differ("rows of", rows, rows_here); !text.empty()) return text;
  for (const auto& [name, table] : rows)
    if (auto text = compare_rows(name, table, rows_here.at(name), db_precision, how); !text.empty()) return text;
  return "";
}

}  // namespace penstock::conformance
