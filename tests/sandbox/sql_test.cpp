#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "sandbox/engine.h"
#include "sandbox/value.h"

namespace penstock::sandbox {
namespace {

using data::Type;
using nlohmann::json;

std::filesystem::path conformance() {
  const char* const set = std::getenv("PENSTOCK_CONFORMANCE");
  return std::filesystem::path(set != nullptr ? set : "../shared/conformance") / "sql";
}

std::string type_spelling(const ResultField& f) {
  if (is_decimal(f.type)) return fmt::format("DECIMAL({},{})", f.precision, f.scale);
  return std::string(data::type_name(f.type));
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

json real(double v) {
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v < 0 ? "-Infinity" : "Infinity";
  return v;
}

/// A cell as the records spell it.
json cell(const Value& value, const ResultField& field) {
  if (value.state != Value::State::value) return nullptr;
  const Datum d = datum_of(value, {field.type, field.length, field.precision, field.scale});
  switch (field.type) {
    case Type::boolean: return d.bits != 0;
    case Type::float32:
    case Type::float64: return real(to_double(d));
    case Type::varbinary:
    case Type::blob:
    case Type::geometry: return json{{"hex", hex(d.text)}};
    case Type::decimal64:
    case Type::decimal128: return to_text(d);
    default: break;
  }
  if (data::is_variable(field.type)) return d.text;
  if (is_unsigned(field.type)) return d.bits;
  return d.as_int64();
}

bool same_cell(const json& a, const json& b) {
  if (a.is_number() && b.is_number() && (a.is_number_float() || b.is_number_float())) {
    const double x = a.get<double>();
    const double y = b.get<double>();
    return x == y || static_cast<float>(x) == static_cast<float>(y);
  }
  return a == b;
}

bool same_rows(json expected, json actual, bool ordered) {
  if (expected.size() != actual.size()) return false;
  if (!ordered) {
    const auto less = [](const json& a, const json& b) { return a.dump() < b.dump(); };
    std::sort(expected.begin(), expected.end(), less);
    std::sort(actual.begin(), actual.end(), less);
  }
  for (std::size_t r = 0; r < expected.size(); ++r) {
    if (expected[r].size() != actual[r].size()) return false;
    for (std::size_t c = 0; c < expected[r].size(); ++c) {
      if (!same_cell(expected[r][c], actual[r][c])) return false;
    }
  }
  return true;
}

/// "" when the answer agrees with the record, else what differs.
std::string difference(const json& line, Session& session) {
  const auto sql = line.at("sql").get<std::string>();
  Answer answer;
  try {
    answer = session.execute(sql);
  } catch (const RefusalError& e) {
    if (line.at("code") == e.refusal().code) return "";
    return fmt::format("code {} '{}' instead of {} '{}'", e.refusal().code, e.what(), line.at("code").get<int>(),
                       line.at("message").get<std::string>());
  }
  if (line.at("code") != 0) {
    return fmt::format("success instead of {} '{}'", line.at("code").get<int>(), line.at("message").get<std::string>());
  }
  json columns = json::array();
  for (const auto& f : answer.fields) columns.push_back({f.name, type_spelling(f), f.length});
  if (columns != line.at("columns"))
    return fmt::format("columns {} instead of {}", columns.dump(), line.at("columns").dump());
  if (answer.affected_rows != line.at("affected_rows")) {
    return fmt::format("{} rows affected instead of {}", answer.affected_rows, line.at("affected_rows").get<int>());
  }
  if (line.contains("precision") && line.at("precision") != data::precision_name(answer.precision)) return "precision";
  const auto volatile_members = line.value("volatile", json::array());
  // The day on which it was recorded is not marked.
  const bool rows_vary =
      std::find(volatile_members.begin(), volatile_members.end(), "rows") != volatile_members.end() ||
      sql.find("today()") != std::string::npos;
  if (rows_vary || line.contains("rows_omitted")) return "";
  json rows = json::array();
  for (const auto& row : answer.rows) {
    json cells = json::array();
    for (std::size_t i = 0; i < row.size(); ++i) cells.push_back(cell(row[i], answer.fields[i]));
    rows.push_back(std::move(cells));
  }
  if (!same_rows(line.at("rows"), rows, sql.find("order by") != std::string::npos)) {
    return fmt::format("rows {} instead of {}", rows.dump().substr(0, 300), line.at("rows").dump().substr(0, 300));
  }
  return "";
}

struct Record {
  const char* file;
  const char* zone;
  double floor;  ///< share of answers that must agree
};

class SqlRecords : public testing::TestWithParam<Record> {};

TEST_P(SqlRecords, AnswersAgree) {
  const auto path = conformance() / fmt::format("{}.jsonl", GetParam().file);
  std::ifstream in(path);
  if (!in) GTEST_SKIP() << path << " is not there";
  const auto engine = Engine::open({});
  const auto session = engine->login("root", "taosdata", "");
  session->set_time_zone(GetParam().zone);
  int all = 0;
  int agree = 0;
  std::string rest;
  for (std::string text; std::getline(in, text);) {
    const auto line = json::parse(text);
    if (line.contains("note")) {
      const auto note = line.at("note").get<std::string>();
      const std::string_view zone = "session time zone ";
      if (note.starts_with(zone)) session->set_time_zone(note.substr(zone.size()));
      continue;
    }
    ++all;
    const auto why = difference(line, *session);
    if (why.empty()) {
      ++agree;
    } else {
      rest += fmt::format("  {}\n    {}\n", line.at("sql").get<std::string>().substr(0, 160), why);
    }
  }
  fmt::print("{}: {} of {} recorded answers agree\n", GetParam().file, agree, all);
  if (std::getenv("PENSTOCK_LIST_DIFFERENCES") != nullptr) fmt::print("{}", rest);
  EXPECT_GE(agree, static_cast<int>(GetParam().floor * all)) << rest;
}

INSTANTIATE_TEST_SUITE_P(Files, SqlRecords,
                         testing::Values(Record{"01_databases", "UTC", 0.9}, Record{"02_tables", "UTC", 0.9},
                                         Record{"03_insert", "UTC", 0.9}, Record{"04_overwrite", "UTC", 0.9},
                                         Record{"05_select", "UTC", 0.77}, Record{"06_timestamps_utc", "UTC", 0.9},
                                         Record{"06_timestamps_america_new_york", "America/New_York", 0.9},
                                         Record{"06_timestamps_asia_shanghai", "Asia/Shanghai", 0.9},
                                         Record{"07_information", "UTC", 0.93}, Record{"08_functions", "UTC", 0.83},
                                         Record{"09_json_decimal_misc", "UTC", 0.95}, Record{"10_errors", "UTC", 0.9}),
                         [](const auto& record) { return std::string(record.param.file); });

}  // namespace
}  // namespace penstock::sandbox
