#include "data/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace penstock::data {
namespace {

std::optional<std::size_t> find(const std::vector<Column>& columns, std::string_view name) {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& c) { return c.name == name; });
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

std::string column_list(const std::vector<Column>& columns) {
  std::string list;
  for (const auto& column : columns) {
    if (!list.empty()) list += ", ";
    list += quote_identifier(column.name) + ' ' + sql_type(column);
    if (column.composite_key) list += " PRIMARY KEY";
  }
  return list;
}

}  // namespace

std::optional<std::size_t> SuperTable::column(std::string_view column_name) const { return find(columns, column_name); }
std::optional<std::size_t> SuperTable::tag(std::string_view tag_name) const { return find(tags, tag_name); }

std::string quote_identifier(std::string_view name) {
  std::string out = "`";
  for (const char c : name) {
    if (c == '`') out += '`';
    out += c;
  }
  return out + '`';
}

std::string quote_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + '\'';
}

std::string sql_type(const Column& column) {
  switch (column.type) {
    case Type::varchar:
    case Type::nchar:
    case Type::varbinary:
    case Type::geometry: return fmt::format("{}({})", type_name(column.type), column.width);
    case Type::decimal64:
    case Type::decimal128: return fmt::format("DECIMAL({},{})", column.precision, column.scale);
    default: return std::string(type_name(column.type));
  }
}

std::string create_statement(const SuperTable& table, bool if_not_exists) {
  return fmt::format("CREATE STABLE {}{} ({}) TAGS ({})", if_not_exists ? "IF NOT EXISTS " : "",
                     quote_identifier(table.name), column_list(table.columns), column_list(table.tags));
}

std::size_t declared_bytes(const Column& column) noexcept {
  switch (column.type) {
    case Type::varchar:
    case Type::varbinary:
    case Type::geometry: return column.width + std::size_t{2};
    case Type::nchar: return 4 * std::size_t{column.width} + 2;
    default: return fixed_size(column.type);
  }
}

std::uint32_t schemaless_width(Type type, std::size_t length) noexcept {
  const std::size_t wanted = length >= 1024 ? length : std::bit_ceil(length + 1);
  const std::size_t most = type == Type::nchar ? Limits::nchar : Limits::varchar;
  return static_cast<std::uint32_t>(std::min(wanted, most));
}

}  // namespace penstock::data
