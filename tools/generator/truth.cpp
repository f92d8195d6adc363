#include "truth.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace penstock::generator {
namespace {

using Json = nlohmann::ordered_json;

std::string_view name_of(Format format) {
  switch (format) {
    case Format::line: return "line";
    case Format::telnet: return "telnet";
    case Format::json: return "json";
    case Format::csv: return "csv";
  }
  return "";
}

std::string_view name_of(TimeUnit unit) {
  switch (unit) {
    case TimeUnit::ns: return "ns";
    case TimeUnit::us: return "us";
    case TimeUnit::ms: return "ms";
    case TimeUnit::s: return "s";
  }
  return "";
}

bool is_open_tsdb(const Options& options) { return options.format == Format::telnet || options.format == Format::json; }

// Integers stay integers; a sum of decimals is within 1 ulp of the exact one.
Json sum_of(const Truth::ColumnTruth& truth, const Column& column) {
  if (column.decimals == 0) return truth.sum;
  return static_cast<double>(truth.sum) / std::pow(10.0, column.decimals);
}

Json column_json(const Truth::ColumnTruth& truth, const Column& column) {
  return {{"values", truth.stored}, {"sum", sum_of(truth, column)}};
}

Json tables_json(const Truth& truth, const Options& options, const Shape& shape) {
  Json tables = Json::object();
  for (std::size_t t = 0; t < truth.tables.size(); ++t) {
    const auto& table = truth.tables[t];
    if (table.records == 0) continue;
    Json columns = Json::object();
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      const auto& column = table.columns[c];
      const auto& shape_column = shape.tables[t].columns[c];
      if (column.records == 0) continue;
      if (is_open_tsdb(options)) {
        tables[fmt::format("{}.{}", shape.tables[t].name, shape_column.name)] = {
            {"records", column.records},
            {"distinct_keys", column.stored},
            {"child_tables", column.child_tables},
            {"columns", {{"_value", column_json(column, shape_column)}}}};
      } else {
        columns[std::string(shape_column.name)] = column_json(column, shape_column);
      }
    }
    if (!is_open_tsdb(options))
      tables[std::string(shape.tables[t].name)] = {{"records", table.records},
                                                   {"distinct_keys", table.distinct_keys},
                                                   {"child_tables", table.child_tables},
                                                   {"columns", columns}};
  }
  return tables;
}

}  // namespace

std::uint64_t Truth::distinct_keys(bool record_per_field) const noexcept {
  std::uint64_t keys = 0;
  for (const auto& table : tables) {
    if (!record_per_field) keys += table.distinct_keys;
    else
      for (const auto& column : table.columns) keys += column.stored;
  }
  return keys;
}

std::string Truth::to_json(const Options& options, const Shape& shape) const {
  std::uint64_t children = 0;
  for (const auto& table : tables) {
    if (!is_open_tsdb(options)) children += table.child_tables;
    else
      for (const auto& column : table.columns) children += column.child_tables;
  }
  const auto time_of = [&](std::uint32_t step) { return *options.start_ns + options.interval.count() * step; };
  Json json = {{"case", options.shape},
               {"format", name_of(options.format)},
               {"seed", options.seed},
               {"precision", name_of(*options.precision)},
               {"start_ns", *options.start_ns},
               {"interval_ns", options.interval.count()},
               {"bytes", bytes},
               {"lines", lines},
               {"records", records()},
               {"good", good},
               {"bad", bad},
               {"duplicates", duplicates},
               {"changed_duplicates", changed_duplicates},
               {"late", late},
               {"distinct_keys", distinct_keys(is_open_tsdb(options))},
               {"child_tables", children},
               {"hosts", hosts}};
  if (good > 0) {
    json["min_time_ns"] = time_of(first_step);
    json["max_time_ns"] = time_of(last_step);
    json["min_time"] = rfc3339(time_of(first_step), *options.precision);
    json["max_time"] = rfc3339(time_of(last_step), *options.precision);
  }
  json["bad_kinds"] = Json::object();
  for (std::size_t i = 0; i < bad_by_kind.size(); ++i)
    if (bad_by_kind[i] > 0) json["bad_kinds"][std::string(bad_kinds[i])] = bad_by_kind[i];
  json["tables"] = tables_json(*this, options, shape);
  return json.dump(2) + "\n";
}

}  // namespace penstock::generator
