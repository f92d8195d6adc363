#include "sandbox/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/text.h"

namespace penstock::sandbox {
namespace {

using data::Type;

double text_to_double(const std::string& text) noexcept { return std::strtod(text.c_str(), nullptr); }

Int128 unpack(std::string_view bytes) noexcept {
  Int128 value = 0;
  if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// A number of a fixed type as the widest of its kind.
double fixed_to_double(const Datum& v) noexcept {
  if (v.type == Type::float32) {
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(v.bits)));
  }
  if (v.type == Type::float64) return std::bit_cast<double>(v.bits);
  if (is_decimal(v.type)) {
    return static_cast<double>(static_cast<long double>(decimal_of(v)) / std::pow(10.0L, v.scale));
  }
  if (is_unsigned(v.type)) return static_cast<double>(v.bits);
  return static_cast<double>(v.as_int64());
}

int sign_of(auto a, auto b) noexcept { return a < b ? -1 : a > b ? 1 : 0; }

}  // namespace

Datum Datum::of_decimal(Int128 v, std::uint8_t precision, std::uint8_t scale) {
  Datum d;
  d.null = false;
  d.precision = precision;
  d.scale = scale;
  d.bits = static_cast<std::uint64_t>(v);
  d.type = precision <= 18 ? Type::decimal64 : Type::decimal128;
  if (d.type == Type::decimal128) {
    d.text.resize(sizeof v);
    std::memcpy(d.text.data(), &v, sizeof v);
  }
  return d;
}

std::int64_t smallest(Type type) noexcept {
  switch (type) {
    case Type::tinyint: return INT8_MIN;
    case Type::smallint: return INT16_MIN;
    case Type::integer: return INT32_MIN;
    case Type::bigint:
    case Type::timestamp: return INT64_MIN;
    default: return 0;
  }
}

std::uint64_t largest(Type type) noexcept {
  switch (type) {
    case Type::boolean: return 1;
    case Type::tinyint: return INT8_MAX;
    case Type::smallint: return INT16_MAX;
    case Type::integer: return INT32_MAX;
    case Type::utinyint: return UINT8_MAX;
    case Type::usmallint: return UINT16_MAX;
    case Type::uinteger: return UINT32_MAX;
    case Type::ubigint: return UINT64_MAX;
    default: return INT64_MAX;
  }
}

TypeInfo type_info(const data::Column& column) noexcept {
  TypeInfo info{column.type, static_cast<std::int32_t>(column.width), column.precision, column.scale};
  if (column.type == Type::json) info.length = static_cast<std::int32_t>(data::Limits::json_tag);
  if (column.type == Type::blob) info.length = static_cast<std::int32_t>(data::Limits::blob);
  if (!data::is_variable(column.type)) info.length = static_cast<std::int32_t>(data::fixed_size(column.type));
  return info;
}

std::int32_t stored_bytes(const TypeInfo& type) noexcept {
  switch (type.type) {
    case Type::varchar:
    case Type::varbinary:
    case Type::geometry: return type.length + 2;
    case Type::nchar: return 4 * type.length + 2;
    case Type::json: return 16384;
    case Type::blob: return 5;
    default: return static_cast<std::int32_t>(data::fixed_size(type.type));
  }
}

Int128 decimal_of(const Datum& v) noexcept {
  if (v.type == Type::decimal128) return unpack(v.text);
  if (is_unsigned(v.type)) return static_cast<Int128>(v.bits);
  return static_cast<Int128>(v.as_int64());
}

double to_double(const Datum& v) noexcept {
  if (v.null) return 0;
  if (data::is_variable(v.type)) return text_to_double(v.text);
  return fixed_to_double(v);
}

std::int64_t to_int64(const Datum& v) noexcept {
  if (v.null) return 0;
  if (v.type == Type::boolean || is_integer(v.type) || v.type == Type::timestamp) return v.as_int64();
  if (is_decimal(v.type)) {
    Int128 whole = decimal_of(v);
    for (unsigned i = 0; i < v.scale; ++i) whole /= 10;
    return static_cast<std::int64_t>(whole);
  }
  if (data::is_variable(v.type)) {
    char* end = nullptr;
    errno = 0;
    const auto integer = std::strtoll(v.text.c_str(), &end, 10);
    return integer;
  }
  const double d = fixed_to_double(v);
  if (std::isnan(d)) return 0;
  if (d >= 9.2233720368547758e18) return INT64_MAX;
  if (d <= -9.2233720368547758e18) return INT64_MIN;
  return static_cast<std::int64_t>(d);
}

std::string to_text(const Datum& v) {
  if (v.null) return "NULL";
  switch (v.type) {
    case Type::boolean: return v.bits != 0 ? "true" : "false";
    case Type::float32:
    case Type::float64: return fmt::format("{:.6f}", fixed_to_double(v));
    case Type::decimal64:
    case Type::decimal128: return format_decimal(decimal_of(v), v.scale);
    case Type::varbinary:
    case Type::blob: {
      std::string out = "\\x";
      for (const char c : v.text) out += fmt::format("{:02X}", static_cast<unsigned char>(c));
      return out;
    }
    case Type::geometry: return geometry_text(v.text);
    default: break;
  }
  if (data::is_variable(v.type)) return v.text;
  if (is_unsigned(v.type)) return fmt::format("{}", v.bits);
  return fmt::format("{}", v.as_int64());
}

bool is_true(const Datum& v) noexcept { return !v.null && to_double(v) != 0; }

int compare(const Datum& a, const Datum& b) noexcept {
  const bool text_a = data::is_variable(a.type);
  const bool text_b = data::is_variable(b.type);
  if (text_a && text_b) return sign_of(a.text.compare(b.text), 0);
  if (text_a != text_b) return sign_of(to_double(a), to_double(b));
  if (is_decimal(a.type) || is_decimal(b.type)) {
    if (is_float(a.type) || is_float(b.type)) return sign_of(to_double(a), to_double(b));
    const auto wide = std::max(a.scale, b.scale);
    const auto x = rescale(decimal_of(a), a.scale, wide, 38);
    const auto y = rescale(decimal_of(b), b.scale, wide, 38);
    if (x && y) return sign_of(*x, *y);
    return sign_of(to_double(a), to_double(b));
  }
  if (is_float(a.type) || is_float(b.type)) return sign_of(fixed_to_double(a), fixed_to_double(b));
  const bool u_a = is_unsigned(a.type);
  const bool u_b = is_unsigned(b.type);
  if (u_a == u_b) return u_a ? sign_of(a.bits, b.bits) : sign_of(a.as_int64(), b.as_int64());
  if (u_a) return b.as_int64() < 0 ? 1 : sign_of(a.bits, b.bits);
  return a.as_int64() < 0 ? -1 : sign_of(a.bits, b.bits);
}

void append_key(const Datum& v, std::string& key) {
  if (v.null) {
    key += '\0';
    return;
  }
  key += '\1';
  if (data::is_variable(v.type) || v.type == Type::decimal128) {
    const auto size = static_cast<std::uint32_t>(v.text.size());
    key.append(reinterpret_cast<const char*>(&size), sizeof size);
    key += v.text;
  } else {
    key.append(reinterpret_cast<const char*>(&v.bits), sizeof v.bits);
  }
}

Datum datum_of(const Value& value, const TypeInfo& type) {
  Datum d;
  d.type = type.type;
  d.precision = type.precision;
  d.scale = type.scale;
  if (value.state != Value::State::value) return d;
  d.null = false;
  d.bits = value.bits;
  d.text = value.text;
  return d;
}

Value value_of(const Datum& datum, const TypeInfo& type) {
  Value v;
  if (datum.null) return v;
  v.state = Value::State::value;
  if (datum.type == type.type) {
    v.bits = datum.bits;
    v.text = datum.text;
    return v;
  }
  const Datum made = cast_to(datum, type, data::Precision::milliseconds);
  if (made.null) return {};
  v.bits = made.bits;
  v.text = made.text;
  return v;
}

bool like(std::string_view text, std::string_view pattern) noexcept {
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t star = std::string_view::npos;
  std::size_t mark = 0;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto step = [&](std::size_t at) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    return at;
  };
  while (t < text.size()) {
    const bool escape =
        p + 1 < pattern.size() && pattern[p] == '\\' && (pattern[p + 1] == '%' || pattern[p + 1] == '_');
    if (p < pattern.size() && pattern[p] == '%') {
      star = ++p;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == '_') {
      t = step(t);
      ++p;
    } else if (escape && pattern[p + 1] == text[t]) {
      ++t;
      p += 2;
    } else if (!escape && p < pattern.size() && lower(pattern[p]) == lower(text[t])) {
      ++t;
      ++p;
    } else if (star != std::string_view::npos) {
      p = star;
      t = mark = step(mark);
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

// --- DECIMAL ---

std::optional<Int128> rescale(Int128 value, unsigned from, unsigned to, unsigned precision) {
  const bool negative = value < 0;
  auto magnitude = negative ? -value : value;
  Int128 limit = 1;
  for (unsigned i = 0; i < precision && i < 38; ++i) limit *= 10;
  for (; from < to; ++from) {
    if (magnitude >= limit) return std::nullopt;
    magnitude *= 10;
  }
  bool up = false;
  for (; from > to; --from) {
    up = magnitude % 10 >= 5;
    magnitude /= 10;
  }
  if (up) ++magnitude;
  if (magnitude >= limit) return std::nullopt;
  return negative ? -magnitude : magnitude;
}

std::optional<Int128> parse_decimal(std::string_view text, unsigned precision, unsigned scale) {
  std::size_t at = 0;
  bool negative = false;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) negative = text[at++] == '-';
  std::string digits;
  int point = 0;
  bool seen_point = false;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && !seen_point) {
      seen_point = true;
    } else if (text[at] >= '0' && text[at] <= '9') {
      digits += text[at];
      if (!seen_point) ++point;
    } else {
      break;
    }
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E') && !digits.empty()) {
    const std::string rest(text.substr(at + 1));
    point += static_cast<int>(std::clamp(std::strtol(rest.c_str(), nullptr, 10), -10000L, 10000L));
  }
  Int128 value = 0;
  Int128 limit = 1;
  for (unsigned i = 0; i < precision && i < 38; ++i) limit *= 10;
  const int wanted = point + static_cast<int>(scale);
  if (digits.find_first_not_of('0') == std::string::npos) return Int128{0};
  for (int i = 0; i < wanted; ++i) {
    const auto index = static_cast<std::size_t>(i);
    value = value * 10 + (index < digits.size() ? digits[index] - '0' : 0);
    if (value >= limit) return std::nullopt;
  }
  if (wanted >= 0 && static_cast<std::size_t>(wanted) < digits.size() &&
      digits[static_cast<std::size_t>(wanted)] >= '5') {
    ++value;
  }
  if (value >= limit) return std::nullopt;
  return negative ? -value : value;
}

std::string format_decimal(Int128 value, unsigned scale) {
  const bool negative = value < 0;
  std::string digits;
  // The most negative value has no counterpart: work on negative digits.
  for (Int128 rest = negative ? value : -value; rest != 0; rest /= 10) {
    digits += static_cast<char>('0' - static_cast<int>(rest % 10));
  }
  while (digits.size() <= scale) digits += '0';
  std::reverse(digits.begin(), digits.end());
  if (scale > 0) digits.insert(digits.size() - scale, 1, '.');
  return negative ? "-" + digits : digits;
}

}  // namespace penstock::sandbox
