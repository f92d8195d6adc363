#include "sandbox/sql_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace penstock::sandbox {
namespace {

using data::Type;

/// Words that cannot be names without backquotes. The server reserves more; these are needed to read statements.
constexpr std::string_view kReserved[] = {
    "add",      "all",          "alter",        "and",          "as",       "asc",    "between",   "bigint",
    "binary",   "blob",         "bool",         "by",           "case",     "cast",   "column",    "contains",
    "create",   "database",     "databases",    "decimal",      "delete",   "desc",   "describe",  "distinct",
    "double",   "drop",         "else",         "end",          "every",    "exists", "explain",   "fill",
    "float",    "from",         "geometry",     "group",        "having",   "if",     "import",    "in",
    "insert",   "int",          "integer",      "interval",     "into",     "is",     "join",      "json",
    "keep",     "like",         "limit",        "match",        "modify",   "nchar",  "nmatch",    "not",
    "null",     "nulls",        "offset",       "on",           "or",       "order",  "partition", "precision",
    "primary",  "rename",       "select",       "session",      "set",      "show",   "slimit",    "sliding",
    "smallint", "soffset",      "stable",       "stables",      "table",    "tables", "tags",      "tbname",
    "then",     "timestamp",    "tinyint",      "union",        "unsigned", "use",    "using",     "value",
    "values",   "varbinary",    "varchar",      "vgroups",      "when",     "where",  "duration",  "replica",
    "columns",  "ttl",          "meta",         "schema",       "strict",   "buffer", "pages",     "pagesize",
    "comp",     "true",         "false",        "tag",          "user",     "users",  "now",       "today",
    "timezone", "state_window", "event_window", "count_window", "range"};

bool is_reserved(std::string_view word) noexcept {
  return std::find(std::begin(kReserved), std::end(kReserved), word) != std::end(kReserved);
}

}  // namespace

void refuse(std::int32_t code, std::string message) { throw RefusalError(code, std::move(message)); }
void unsupported(std::string_view what) { refuse(0x2600, fmt::format("{} is not supported by the sandbox", what)); }

void Cursor::syntax_error() const {
  const auto& token = peek();
  if (token.kind == Token::Kind::end) refuse(0x2601, "Incomplete SQL statement");
  if (token.kind == Token::Kind::bad) refuse(0x2600, fmt::format("unrecognized token: \"{}\"", token.text));
  refuse(0x2600, fmt::format("syntax error near \"{}\"", sql_.substr(token.at)));
}

bool Cursor::accept_all(std::initializer_list<std::string_view> words) {
  std::size_t ahead = 0;
  for (const auto word : words) {
    if (!peek(ahead++).is(word)) return false;
  }
  for (std::size_t i = 0; i < words.size(); ++i) take();
  return true;
}

bool Cursor::at_identifier() const {
  return peek().kind == Token::Kind::quoted_name || (peek().kind == Token::Kind::word && !is_reserved(peek().name));
}

std::string Cursor::identifier(std::size_t most) {
  if (!at_identifier()) syntax_error();
  const auto& token = take();
  if (token.name.size() > most) {
    refuse(0x2617, fmt::format("Invalid identifier name: {}", sql_.substr(token.at + (token.text[0] == '`' ? 1 : 0))));
  }
  if (token.name.empty()) refuse(0x2617, "Invalid identifier name: ");
  return token.name;
}

std::int64_t Cursor::integer() {
  std::int64_t value = 0;
  const auto text = peek().text;
  if (peek().kind != Token::Kind::integer ||
      std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) {
    syntax_error();
  }
  take();
  return value;
}

std::string Cursor::string_literal() {
  if (peek().kind != Token::Kind::string) syntax_error();
  return take().name;
}

void Cursor::finish() {
  if (!at_end()) syntax_error();
}

std::string_view Cursor::text_from(std::size_t offset) const {
  const auto& last = tokens_[at_ == 0 ? 0 : at_ - 1];
  return sql_.substr(offset, last.at + last.text.size() - offset);
}

TableName parse_table_name(Cursor& in) {
  TableName name;
  name.table = in.identifier();
  if (in.accept(".")) {
    name.database = std::move(name.table);
    name.table = in.identifier();
  }
  return name;
}

data::Column parse_type(Cursor& in, bool optional_width) {
  data::Column column;
  if (in.peek().kind != Token::Kind::word) in.syntax_error();
  const auto type = in.peek().name == "unsigned" ? std::nullopt : data::type_from_name(in.peek().name);
  if (!type || *type == Type::decimal64) {
    if (in.peek().name != "decimal") in.syntax_error();
  }
  const bool decimal = in.peek().name == "decimal";
  in.take();
  column.type = decimal ? Type::decimal64 : *type;
  if (is_integer(column.type) && in.accept("unsigned")) {
    column.type = static_cast<Type>(static_cast<int>(column.type) - static_cast<int>(Type::tinyint) +
                                    static_cast<int>(Type::utinyint));
  }
  column.width = static_cast<std::uint32_t>(data::fixed_size(column.type));
  if (decimal) {
    in.expect("(");
    const auto precision = in.integer();
    const auto scale = in.accept(",") ? in.integer() : 0;
    in.expect(")");
    if (precision < 1 || precision > 38 || scale > precision) {
      refuse(0x2602, fmt::format("Invalid column type DECIMAL({},{}) , invalid precision or scale", precision, scale));
    }
    column.precision = static_cast<std::uint8_t>(precision);
    column.scale = static_cast<std::uint8_t>(scale);
    column.type = precision <= 18 ? Type::decimal64 : Type::decimal128;
    column.width = precision <= 18 ? 8 : 16;
    return column;
  }
  if (column.type == Type::json) column.width = data::Limits::json_tag;
  if (column.type == Type::blob || column.type == Type::mediumblob) column.width = data::Limits::blob;
  const bool sized = is_text(column.type) || column.type == Type::varbinary || column.type == Type::geometry;
  if (!sized) return column;
  if (optional_width && !in.peek().is("(")) {
    column.width = static_cast<std::uint32_t>(column.type == Type::nchar ? data::Limits::nchar : data::Limits::varchar);
    return column;
  }
  in.expect("(");
  const auto width = in.integer();
  in.expect(")");
  column.width = static_cast<std::uint32_t>(std::clamp<std::int64_t>(width, 0, 1'000'000));
  return column;
}

bool same(const Expr& a, const Expr& b) noexcept {
  if (a.kind != b.kind || a.name != b.name || a.negated != b.negated || a.unit != b.unit || a.index != b.index ||
      a.args.size() != b.args.size()) {
    return false;
  }
  if (a.kind == Expr::Kind::column && a.column != b.column) return false;
  if (a.kind == Expr::Kind::literal && (a.value.null != b.value.null || a.value.type != b.value.type ||
                                        a.value.bits != b.value.bits || a.value.text != b.value.text)) {
    return false;
  }
  for (std::size_t i = 0; i < a.args.size(); ++i) {
    if (!same(*a.args[i], *b.args[i])) return false;
  }
  return true;
}

}  // namespace penstock::sandbox
