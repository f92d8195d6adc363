#include "sandbox/insert_literal.h"

#include <fmt/format.h>

#include <cfloat>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/text.h"

namespace penstock::sandbox {
namespace {

using data::Type;

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string_view type_word(Type type) {
  switch (type) {
    case Type::tinyint: return "tinyint";
    case Type::smallint: return "smallint";
    case Type::integer: return "int";
    case Type::utinyint: return "unsigned tinyint";
    case Type::usmallint: return "unsigned smallint";
    case Type::uinteger: return "unsigned int";
    case Type::ubigint: return "unsigned bigint";
    default: return "bigint";
  }
}

/// The whole text as a double; false when it is none or out of range (also below the smallest normal number).
bool read_double(const std::string& text, double& out) {
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) != 0) return false;
  if (text.size() > 2 && (text[1] == 'b' || text[1] == 'B') && text[0] == '0') {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), value, 2);
    out = static_cast<double>(value);
    return error == std::errc{} && end == text.data() + text.size();
  }
  char* end = nullptr;
  errno = 0;
  out = std::strtod(text.c_str(), &end);
  return *end == '\0' && errno != ERANGE && std::isfinite(out);
}

/// "12", "-12", "0x1F", "0b101" exactly, else by way of double, rounded half away from zero.
bool read_integer(const std::string& text, Type type, Int128& out) {
  std::size_t at = 0;
  const bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) ++at;
  int base = 10;
  if (text.size() > at + 2 && text[at] == '0' && (text[at + 1] | 32) == 'x') base = 16;
  if (text.size() > at + 2 && text[at] == '0' && (text[at + 1] | 32) == 'b') base = 2;
  if (base != 10) at += 2;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value, base);
  if (error == std::errc{} && end == text.data() + text.size()) {
    out = negative ? -static_cast<Int128>(value) : static_cast<Int128>(value);
    return true;
  }
  double d = 0;
  if (!read_double(text, d)) return false;
  d = std::round(d);
  const double most = type == Type::ubigint ? 18446744073709551616.0 : 9223372036854775808.0;
  if (d >= most || d < -9223372036854775808.0) return false;
  out = d >= 9223372036854775808.0 ? static_cast<Int128>(static_cast<std::uint64_t>(d))
                                   : static_cast<Int128>(static_cast<std::int64_t>(d));
  return true;
}

Value bits(std::uint64_t v) { return present(v); }
Value text_value(std::string v) { return present(0, std::move(v)); }

/// Text, or bytes written as '\x0aff'.
std::string binary_text(const data::Column& column, const std::string& text) {
  if (text.size() < 2 || text[0] != '\\' || (text[1] | 32) != 'x') return text;
  const auto wrong = [&] { refuse(0x266A, fmt::format("Invalid varbinary value: {}", column.name)); };
  if (text.size() % 2 != 0) wrong();
  std::string out;
  for (std::size_t i = 2; i < text.size(); i += 2) {
    unsigned byte = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (error != std::errc{} || end != text.data() + i + 2) wrong();
    out += static_cast<char>(byte);
  }
  return out;
}

}  // namespace

void check_width(const data::Column& column, std::string_view text) {
  const bool nchar = column.type == Type::nchar;
  if (nchar && !is_utf8(text)) refuse(0x0200, "Invalid or incomplete multibyte or wide character");
  if ((nchar ? utf8_length(text) : text.size()) > column.width) {
    refuse(0x2653, fmt::format("Value too long for column/tag: {}", column.name));
  }
}

void LiteralReader::fail_near(std::string_view near, std::string_view why) {
  refuse(0x0216, fmt::format("syntax error near '{}' ({})", near.substr(0, 200), why));
}

/// One literal; a sign directly before a number belongs to it.
Token LiteralReader::value_token() {
  Token token = peek();
  const auto near = rest();
  if (token.is("-") || token.is("+")) {
    auto at = token.at + 1;
    const auto sign = token;
    token = next_token(sql_, at);
    const bool number = token.kind == Token::Kind::integer || token.kind == Token::Kind::real;
    if (!number || token.at != sign.at + 1) fail_near(near, "invalid data or symbol");
    token.at = sign.at;
    token.text = sql_.substr(sign.at, token.text.size() + 1);
    at_ = at;
    return token;
  }
  switch (token.kind) {
    case Token::Kind::string:
    case Token::Kind::integer:
    case Token::Kind::real: break;
    case Token::Kind::word:
      if (token.name == "null" || token.name == "true" || token.name == "false") break;
      [[fallthrough]];
    case Token::Kind::question:
      if (token.kind == Token::Kind::question) fail_near(near, "? only used in stmt");
      [[fallthrough]];
    default: fail_near(near, "invalid data or symbol");
  }
  take();
  return token;
}

std::int64_t LiteralReader::time_part(const Token& token, std::string_view near) {
  const auto invalid = [&] { fail_near(near, "invalid timestamp"); };
  if (token.is("now") || token.is("today")) {
    if (peek().is("(")) {
      take();
      if (!accept(")")) invalid();
    }
    return token.name == "now" ? now_in(precision_) : today_in(precision_, *zone_);
  }
  if (token.kind == Token::Kind::integer) {
    Int128 value = 0;
    if (!read_integer(std::string(token.text), Type::bigint, value) || value > INT64_MAX || value < INT64_MIN)
      invalid();
    return static_cast<std::int64_t>(value);
  }
  if (token.kind != Token::Kind::string) invalid();
  const auto word = lower(token.name);
  if (word == "now" || word == "now()") return now_in(precision_);
  if (word == "today" || word == "today()") return today_in(precision_, *zone_);
  std::int64_t number = 0;
  const auto& t = token.name;
  const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), number);
  if (error == std::errc{} && end == t.data() + t.size()) return number;
  const auto time = parse_time_text(t, precision_, *zone_);
  if (!time) invalid();
  return *time;
}

Value LiteralReader::read_time(const data::Column&, Role role) {
  const auto near = rest();
  Token token = peek();
  if (token.is("null")) {
    if (role == Role::primary_time) fail_near(near, "Primary timestamp column should not be null");
    take();
    return {};
  }
  if (token.is("now") || token.is("today")) {
    take();
  } else {
    if (token.kind == Token::Kind::duration) fail_near(near, "invalid timestamp");
    token = value_token();
  }
  auto time = time_part(token, near);
  const auto op = peek();
  if (op.is("+") || op.is("-")) {
    take();
    const auto duration = take();
    const auto length =
        duration.kind == Token::Kind::duration ? parse_duration(duration.text, precision_) : std::nullopt;
    if (!length || peek().is("+") || peek().is("-")) fail_near(near, "invalid timestamp");
    const auto moved = op.is("+") ? static_cast<std::uint64_t>(time) + static_cast<std::uint64_t>(*length)
                                  : static_cast<std::uint64_t>(time) - static_cast<std::uint64_t>(*length);
    time = static_cast<std::int64_t>(moved);
  }
  return bits(static_cast<std::uint64_t>(time));
}

std::string LiteralReader::read_name() {
  const auto token = value_token();
  if (token.is("null")) refuse(0x0200, "tbname column should not be null");
  const auto name = token.kind == Token::Kind::string ? token.name : std::string(token.text);
  if (name.empty()) refuse(0x0200, "tbname column should not be null");
  if (name.size() > data::Limits::table_name) refuse(0x2617, fmt::format("Invalid identifier name: {}", name));
  if (name.find('.') != std::string::npos) refuse(0x2617, "The table name cannot contain '.'");
  return name;
}

Value LiteralReader::read(const data::Column& column, Role role) {
  if (column.type == Type::timestamp) return read_time(column, role);
  const auto near = rest();
  const auto token = value_token();
  const bool quoted = token.kind == Token::Kind::string;
  const auto text = quoted ? token.name : std::string(token.text);
  if (token.is("null") || (quoted && !is_text(column.type) && column.type != Type::json && lower(text) == "null"))
    return {};
  const bool boolean = token.kind == Token::Kind::word;
  const auto shown = quoted ? std::string_view(text) : near;
  switch (column.type) {
    case Type::boolean: {
      if (boolean || quoted) {
        if (lower(text) == "true") return bits(1);
        if (lower(text) == "false") return bits(0);
      }
      double d = 0;
      if (!read_double(text, d)) fail_near(shown, "invalid bool data");
      return bits(d != 0 ? 1 : 0);
    }
    case Type::float32:
    case Type::float64: {
      double d = 0;
      if (boolean || !read_double(text, d)) fail_near(shown, "illegal float data");
      if (column.type == Type::float64) return bits(std::bit_cast<std::uint64_t>(d));
      if (std::abs(d) > static_cast<double>(FLT_MAX)) fail_near(shown, "illegal float data");
      return bits(std::bit_cast<std::uint32_t>(static_cast<float>(d)));
    }
    case Type::varchar:
    case Type::nchar: check_width(column, text); return text_value(text);
    case Type::varbinary:
    case Type::blob: {
      if (!quoted) refuse(0x266A, fmt::format("Invalid varbinary value: {}", column.name));
      auto made = binary_text(column, text);
      check_width(column, made);
      return text_value(std::move(made));
    }
    case Type::geometry: {
      const auto wkb = quoted ? geometry_image(text) : std::nullopt;
      if (!wkb) fail_near(shown, "Invalid function para value");
      check_width(column, *wkb);
      return text_value(*wkb);
    }
    case Type::json: {
      const auto json = json_tag(text);
      return json.null ? Value{} : text_value(json.text);
    }
    case Type::decimal64:
    case Type::decimal128: {
      const auto value = parse_decimal(boolean ? "0" : text, column.precision, column.scale);
      if (!value) refuse(0x013D, "Decimal value overflow");
      const auto d = Datum::of_decimal(*value, column.precision, column.scale);
      return present(d.bits, d.text);
    }
    default: break;
  }
  const auto word = type_word(column.type);
  Int128 value = 0;
  if (quoted && text.empty()) fail_near("", "invalid numeric data");
  if (boolean || !read_integer(text, column.type, value)) fail_near(shown, fmt::format("invalid {} data", word));
  if (value < smallest(column.type) || value > static_cast<Int128>(largest(column.type))) {
    fail_near(shown, fmt::format("{} data overflow", word));
  }
  return bits(static_cast<std::uint64_t>(value));
}

}  // namespace penstock::sandbox
