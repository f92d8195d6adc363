#include "cli/found_mapping.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

namespace penstock::cli {
namespace {

std::string time_format(const format::TimeFormat& time) {
  using Kind = format::TimeFormat::Kind;
  if (time.kind == Kind::iso) return "iso";
  if (time.kind == Kind::pattern) return time.pattern;
  return time.digits == 0 ? "s" : time.digits == 3 ? "ms" : time.digits == 6 ? "us" : "ns";
}

// Columns as a mapping names them: by position where the name does not tell one from others.
class Names {
 public:
  explicit Names(const format::CsvPlan& plan) : plan_(plan) {
    for (const auto& column : plan.columns) ++count_[column.csv_name];
  }
  std::string operator[](std::size_t column) const {
    const auto& name = plan_.columns[column].csv_name;
    return name.empty() || count_.at(name) > 1 ? "#" + std::to_string(column + 1) : name;
  }

 private:
  const format::CsvPlan& plan_;
  std::unordered_map<std::string_view, std::size_t> count_;
};

}  // namespace

schema::CsvMapping found_mapping(const format::CsvPlan& plan, const schema::CsvMapping& given, format::Format format) {
  using Role = format::CsvColumn::Role;
  schema::CsvMapping mapping = given;
  const bool one_table = given.table_column.empty() && !plan.table_column;
  if (one_table) mapping.table = plan.table;
  if (format == format::Format::csv) {
    const auto& dialect = plan.dialect;
    mapping.header = dialect.header ? schema::CsvMapping::Header::yes : schema::CsvMapping::Header::no;
    mapping.delimiter = dialect.delimiter;
    mapping.quote = dialect.quote;
    if (dialect.escape != '\0') mapping.escape = dialect.escape;
  }
  mapping.nulls = plan.nulls;
  if (mapping.nulls == schema::default_nulls()) mapping.nulls.clear();
  mapping.precision = plan.time_unit;
  mapping.tags.clear();
  if (one_table) mapping.types.clear();
  // What became of tags stands in the roles of the columns.
  std::erase_if(mapping.constant_tags, [&](const auto& tag) {
    return std::find(given.drop_tags.begin(), given.drop_tags.end(), tag.first) != given.drop_tags.end();
  });
  mapping.drop_tags.clear();
  mapping.tags_as_columns.clear();
  mapping.rename.clear();
  mapping.columns.clear();
  mapping.ignore.clear();
  // A few of many are said by their names, most of a few by the others'.
  const bool many = plan.columns.size() > data::Limits::columns;
  const Names names(plan);
  std::string times;
  bool one_format = true;
  for (std::size_t c = 0; c < plan.columns.size(); ++c) {
    const auto& column = plan.columns[c];
    if (many && column.role == Role::ignored) continue;
    const auto name = names[c];
    if (many && column.role == Role::field) mapping.columns.push_back(name);
    if (column.role == Role::ignored) {
      mapping.ignore.push_back(name);
      continue;
    }
    if (column.role == Role::absent) continue;
    if (column.role == Role::table_name) {
      mapping.table_column = name;
      continue;
    }
    if (column.role == Role::clock) {
      mapping.clock = name;
      one_format = false;
      continue;
    }
    if (column.decimal_comma) mapping.decimal = ',';
    if (column.role == Role::child_name) {
      if (mapping.child_table.empty()) mapping.child_table_column = name;
      continue;
    }
    if (column.column.type == data::Type::timestamp) {
      const auto text = time_format(column.time);
      if (column.role == Role::timestamp) times = text;
      else if (!times.empty() && times != text) one_format = false;
    }
    if (column.column.name != column.csv_name) mapping.rename.emplace_back(name, column.column.name);
    if (column.role == Role::timestamp) {
      mapping.timestamp = name;
      continue;
    }
    if (column.role == Role::tag) mapping.tags.push_back(name);
    if (!one_table) continue;
    auto type = column.column;
    type.name = name;
    mapping.types.push_back(std::move(type));
  }
  // The unit of epochs and the pattern stand for all columns of times; ISO is seen by itself.
  if (one_format && !times.empty()) mapping.time_format = times;
  return mapping;
}

}  // namespace penstock::cli
