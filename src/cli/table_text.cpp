#include "cli/table_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/text.h"
#include "format/wkt.h"
#include "schema/mapping.h"

namespace penstock::cli {
namespace {

using data::Type;

bool is_binary(Type type) { return type == Type::varbinary || type == Type::geometry || type == Type::blob; }

bool is_number(Type type) {
  switch (type) {
    case Type::tinyint:
    case Type::smallint:
    case Type::integer:
    case Type::bigint:
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint:
    case Type::float32:
    case Type::float64:
    case Type::decimal64:
    case Type::decimal128: return true;
    default: return false;
  }
}

bool is_unsigned(Type type) {
  return type == Type::utinyint || type == Type::usmallint || type == Type::uinteger || type == Type::ubigint;
}

std::string hex(std::string_view bytes) {
  std::string out = "\\x";
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// The fewest digits that read back as the same number. "-0" would read back as the integer 0.
template <class Real>
std::string real_text(Real value) {
  if (std::isnan(value)) return "nan";
  return value == 0 && std::signbit(value) ? "-0.0" : fmt::format("{}", value);
}

std::string cell_text(const client::Rows& rows, std::size_t column) {
  switch (const Type type = rows.fields()[column].type; type) {
    case Type::boolean: return rows.integer(column) != 0 ? "true" : "false";
    case Type::timestamp: return time_text(static_cast<std::int64_t>(rows.integer(column)), rows.precision());
    case Type::float32: return real_text(static_cast<float>(rows.real(column)));
    case Type::float64: return real_text(rows.real(column));
    case Type::geometry: {
      std::string text;
      return format::wkb_to_wkt(rows.text(column), text) ? text : hex(rows.text(column));
    }
    default:
      if (is_binary(type)) return hex(rows.text(column));
      if (type == Type::decimal64 || type == Type::decimal128 || !is_number(type)) return rows.text(column);
      return is_unsigned(type) ? fmt::format("{}", rows.integer(column))
                               : fmt::format("{}", static_cast<std::int64_t>(rows.integer(column)));
  }
}

nlohmann::ordered_json cell_json(const client::Rows& rows, std::size_t column) {
  if (rows.is_null(column)) return nullptr;
  switch (const Type type = rows.fields()[column].type; type) {
    case Type::boolean: return rows.integer(column) != 0;
    case Type::float32:
    case Type::float64: {
      const double value = rows.real(column);
      if (!std::isfinite(value)) return cell_text(rows, column);  // JSON has no word for it
      // A float as the shortest decimal that reads back as the same float.
      if (type == Type::float32) return nlohmann::ordered_json::parse(cell_text(rows, column));
      return value;
    }
    case Type::json: {
      auto parsed = nlohmann::ordered_json::parse(rows.text(column), nullptr, false);
      if (!parsed.is_discarded()) return parsed;
      return rows.text(column);
    }
    default:
      if (!is_number(type) || type == Type::decimal64 || type == Type::decimal128) return cell_text(rows, column);
      if (is_unsigned(type)) return rows.integer(column);
      return static_cast<std::int64_t>(rows.integer(column));
  }
}

// In quotes wherever a reader of CSV could take the text for something else: for NULL, for no quotes at all, for less
// than it is, or for another delimiter.
void append_csv(std::string& out, std::string_view text) {
  const auto& nulls = schema::default_nulls();
  const bool plain = !text.empty() && text.find_first_of(",\"\r\n;\t|") == std::string_view::npos &&
                     text.front() != ' ' && text.back() != ' ' && text.front() != '\'' && text.front() != '#' &&
                     std::find(nulls.begin(), nulls.end(), text) == nulls.end();
  if (plain) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void print_csv(client::Rows& rows, std::FILE* out) {
  const auto& fields = rows.fields();
  std::string line;
  for (std::size_t c = 0; c < fields.size(); ++c) {
    if (c > 0) line += ',';
    append_csv(line, fields[c].name);
  }
  line += '\n';
  while (rows.next()) {
    std::fwrite(line.data(), 1, line.size(), out);
    line.clear();
    for (std::size_t c = 0; c < fields.size(); ++c) {
      if (c > 0) line += ',';
      if (!rows.is_null(c)) append_csv(line, cell_text(rows, c));
    }
    line += '\n';
  }
  std::fwrite(line.data(), 1, line.size(), out);
}

void print_json(client::Rows& rows, std::FILE* out) {
  while (rows.next()) {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (std::size_t c = 0; c < rows.fields().size(); ++c) object[rows.fields()[c].name] = cell_json(rows, c);
    fmt::print(out, "{}\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
}

void print_table(client::Rows& rows, std::FILE* out) {
  // Widths come from the first rows; longer values further down push their line to the right.
  constexpr std::size_t kLook = 1000;
  const auto& fields = rows.fields();
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  for (const auto& field : fields) {
    widths.push_back(utf8_length(field.name));
    right.push_back(is_number(field.type));
  }
  std::vector<std::vector<std::string>> page;
  std::uint64_t count = 0;
  const auto print_row = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const auto length = utf8_length(cells[c]);
      const std::string fill(widths[c] > length ? widths[c] - length : 0, ' ');
      line += c > 0 ? "  " : "";
      line += right[c] ? fill + cells[c] : cells[c] + fill;
    }
    while (line.ends_with(' ')) line.pop_back();
    fmt::print(out, "{}\n", line);
  };
  bool begun = false;
  const auto flush = [&] {
    if (!begun) {
      begun = true;
      std::vector<std::string> names;
      std::vector<std::string> rules;
      for (std::size_t c = 0; c < fields.size(); ++c) {
        names.push_back(fields[c].name);
        rules.emplace_back(widths[c], '-');
      }
      print_row(names);
      print_row(rules);
    }
    for (const auto& row : page) print_row(row);
    page.clear();
  };
  while (rows.next()) {
    std::vector<std::string> cells;
    for (std::size_t c = 0; c < fields.size(); ++c) {
      cells.push_back(rows.is_null(c) ? "NULL" : printable(cell_text(rows, c), 200));
      if (!begun) widths[c] = std::max(widths[c], utf8_length(cells.back()));
    }
    page.push_back(std::move(cells));
    ++count;
    if (begun || page.size() == kLook) flush();
  }
  flush();
  fmt::print(out, "({} row{})\n", format_count(count), count == 1 ? "" : "s");
}

}  // namespace

std::string time_text(std::int64_t time, data::Precision precision) { return client::time_text({time, precision}); }

void print_result(client::Rows& rows, OutputFormat format, std::FILE* out) {
  if (rows.fields().empty()) {
    if (format == OutputFormat::table)
      fmt::print(out, "({} affected)\n", format_count(static_cast<std::uint64_t>(rows.affected_rows())));
    return;
  }
  switch (format) {
    case OutputFormat::table: print_table(rows, out); break;
    case OutputFormat::csv: print_csv(rows, out); break;
    case OutputFormat::json_lines: print_json(rows, out); break;
  }
}

}  // namespace penstock::cli
