#include "schema/coerce.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "base/text.h"

namespace penstock::schema {
namespace {

using data::Type;
__extension__ using Wide = __int128;

constexpr bool is_signed(Type type) noexcept {
  return type == Type::tinyint || type == Type::smallint || type == Type::integer || type == Type::bigint;
}
constexpr bool is_unsigned(Type type) noexcept {
  return type == Type::utinyint || type == Type::usmallint || type == Type::uinteger || type == Type::ubigint;
}
constexpr bool is_integer(Type type) noexcept { return is_signed(type) || is_unsigned(type); }
constexpr bool is_float(Type type) noexcept { return type == Type::float32 || type == Type::float64; }
constexpr bool is_text(Type type) noexcept { return type == Type::varchar || type == Type::nchar; }
constexpr bool is_decimal(Type type) noexcept { return type == Type::decimal64 || type == Type::decimal128; }

// A decimal number by its digits: 0.<nothing> is no digits. "1.50", "15e-1" and "1.5" are the same.
struct Number {
  bool negative = false;
  std::string digits;  // without zeros at either end
  long exponent = 0;   // of the last digit
  bool operator==(const Number&) const = default;
};

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Only what is a number and nothing else: no sign +, no leading zeros, no blanks.
std::optional<Number> number_of(std::string_view text) {
  Number number;
  std::size_t at = 0;
  if (at < text.size() && text[at] == '-') {
    number.negative = true;
    ++at;
  }
  if (at >= text.size() || !is_digit(text[at])) return std::nullopt;
  if (text[at] == '0' && at + 1 < text.size() && is_digit(text[at + 1])) return std::nullopt;
  while (at < text.size() && is_digit(text[at])) number.digits += text[at++];
  if (at < text.size() && text[at] == '.') {
    if (++at >= text.size() || !is_digit(text[at])) return std::nullopt;
    while (at < text.size() && is_digit(text[at])) {
      number.digits += text[at++];
      --number.exponent;
    }
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && text[at] == '+') ++at;
    int exponent = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), exponent);
    if (error != std::errc() || std::abs(exponent) > 10'000) return std::nullopt;
    at = static_cast<std::size_t>(end - text.data());
    number.exponent += exponent;
  }
  if (at != text.size()) return std::nullopt;
  while (!number.digits.empty() && number.digits.back() == '0') {
    number.digits.pop_back();
    ++number.exponent;
  }
  number.digits.erase(0, number.digits.find_first_not_of('0'));
  if (number.digits.empty()) number = {};
  return number;
}

// digits * 10^(exponent + shift), when that is an integer of at most `most` digits (38 fit into a Wide).
std::optional<Wide> integer_of(const Number& number, long shift, std::size_t most) {
  if (number.digits.empty()) return Wide{0};
  const long zeros = number.exponent + shift;
  if (zeros < 0 || number.digits.size() > most || static_cast<std::size_t>(zeros) > most - number.digits.size())
    return std::nullopt;
  Wide value = 0;
  for (const char c : number.digits) value = value * 10 + (c - '0');
  for (long i = 0; i < zeros; ++i) value *= 10;
  return number.negative ? -value : value;
}

bool put_integer(Wide value, Type to, data::Slot& bits) noexcept {
  if (to == Type::boolean) {
    if (value != 0 && value != 1) return false;
  } else {
    const int width = static_cast<int>(8 * data::fixed_size(to));
    const Wide span = Wide{1} << (is_signed(to) ? width - 1 : width);
    if (value >= span || value < (is_signed(to) ? -span : Wide{0})) return false;
  }
  bits = value < 0 ? data::slot_of(static_cast<std::int64_t>(value)) : static_cast<data::Slot>(value);
  return true;
}

// A DOUBLE whose integral value a Wide can hold for sure.
std::optional<Wide> integral(double value) noexcept {
  if (!(std::abs(value) < 0x1p64) || std::trunc(value) != value) return std::nullopt;
  return static_cast<Wide>(value);
}

template <class Float>
bool put_float(Wide value, data::Slot& bits) noexcept {
  constexpr Wide kExact = Wide{1} << std::numeric_limits<Float>::digits;
  if (value > kExact || value < -kExact) return false;
  bits = data::slot_of(static_cast<Float>(value));
  return true;
}

template <class Float>
bool put_float(const Number& number, std::string_view text, data::Slot& bits) {
  Float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (number_of(fmt::format("{}", std::abs(value))) != Number{false, number.digits, number.exponent}) return false;
  bits = data::slot_of(value);
  return true;
}

bool put_decimal(const Number& number, const data::Column& to, data::Slot& bits, std::string& text) {
  const auto value = integer_of(number, to.scale, to.precision);
  if (!value) return false;
  if (to.type == Type::decimal64) {
    bits = data::slot_of(static_cast<std::int64_t>(*value));
  } else {
    text.resize(sizeof *value);
    std::memcpy(text.data(), &*value, sizeof *value);
  }
  return true;
}

double real_of(const Scalar& value) noexcept {
  return value.type == Type::float32 ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value.bits)))
                                     : std::bit_cast<double>(value.bits);
}

Wide whole_of(const Scalar& value) noexcept {
  return is_signed(value.type) ? Wide{static_cast<std::int64_t>(value.bits)} : Wide{value.bits};
}

std::string number_text(const Scalar& value) {
  if (value.type == Type::boolean) return value.bits != 0 ? "true" : "false";
  if (is_signed(value.type)) return fmt::format("{}", static_cast<std::int64_t>(value.bits));
  if (is_unsigned(value.type)) return fmt::format("{}", value.bits);
  if (value.type == Type::float32)
    return fmt::format("{}", std::bit_cast<float>(static_cast<std::uint32_t>(value.bits)));
  return fmt::format("{}", std::bit_cast<double>(value.bits));
}

bool from_text(std::string_view from, const data::Column& to, data::Slot& bits, std::string& text) {
  if (to.type == Type::boolean) {
    bits = from == "true" ? 1 : 0;
    return from == "true" || from == "false";
  }
  const auto number = number_of(from);
  if (!number) return false;
  if (is_decimal(to.type)) return put_decimal(*number, to, bits, text);
  if (to.type == Type::float64) return put_float<double>(*number, from, bits);
  if (to.type == Type::float32) return put_float<float>(*number, from, bits);
  const auto value = integer_of(*number, 0, 20);
  return value && put_integer(*value, to.type, bits);
}

}  // namespace

Scalar scalar_of(const data::Tag& tag) noexcept {
  if (data::is_variable(tag.type)) return {tag.type, 0, tag.value()};
  data::Slot bits = 0;
  const std::size_t size = std::min<std::size_t>(sizeof bits, tag.length);
  std::memcpy(&bits, tag.bytes, size);
  // Slots hold signed integers with their sign up to the top.
  if (is_signed(tag.type) && size < sizeof bits && ((bits >> (8 * size - 1)) & 1) != 0)
    bits |= ~data::Slot{0} << (8 * size);
  return {tag.type, bits, {}};
}

Scalar scalar_of(Type type, data::Slot slot) noexcept {
  if (data::is_variable(type)) return {type, 0, data::text_of(slot)};
  return {type, slot, {}};
}

bool may_coerce(Type from, Type to) noexcept {
  if (from == to) return true;
  const bool number = is_integer(from) || is_float(from);
  if (is_text(from))
    return is_text(to) || to == Type::varbinary || to == Type::boolean || is_integer(to) || is_float(to) ||
           is_decimal(to);
  if (from == Type::boolean) return is_integer(to) || is_text(to);
  if (number && (is_integer(to) || is_float(to) || is_text(to) || is_decimal(to))) return true;
  return is_integer(from) && to == Type::boolean;
}

bool coerce(const Scalar& value, const data::Column& to, data::Slot& bits, std::string& text) {
  if (!may_coerce(value.type, to.type)) return false;
  bits = value.bits;
  text = value.text;
  if (value.type == to.type) return true;
  if (is_text(value.type)) {
    if (is_text(to.type)) return to.type != Type::nchar || is_utf8(value.text);
    return to.type == Type::varbinary || from_text(value.text, to, bits, text);
  }
  if (is_text(to.type)) {
    text = number_text(value);
    return true;
  }
  if (is_decimal(to.type)) {
    const auto number = number_of(number_text(value));  // NaN and infinities are none
    return number && put_decimal(*number, to, bits, text);
  }
  if (is_float(value.type)) {
    const double real = real_of(value);
    if (to.type == Type::float64) bits = data::slot_of(real);
    if (to.type == Type::float32) {
      const auto narrow = static_cast<float>(real);  // beyond FLT_MAX it becomes infinite and so differs
      bits = data::slot_of(narrow);
      return std::isnan(real) || static_cast<double>(narrow) == real;
    }
    if (to.type == Type::float64) return true;
    const auto whole = integral(real);
    return whole && put_integer(*whole, to.type, bits);
  }
  const Wide whole = whole_of(value);
  if (to.type == Type::float64) return put_float<double>(whole, bits);
  if (to.type == Type::float32) return put_float<float>(whole, bits);
  return put_integer(whole, to.type, bits);
}

std::string shown(const Scalar& value) {
  if (!data::is_variable(value.type)) return number_text(value);
  constexpr std::size_t kMost = 40;
  if (!is_utf8(value.text)) return fmt::format("{} bytes", value.text.size());
  std::size_t end = std::min(value.text.size(), kMost);
  while (end < value.text.size() && (static_cast<unsigned char>(value.text[end]) & 0xC0) == 0x80) --end;
  return fmt::format("'{}'{}", value.text.substr(0, end), end < value.text.size() ? "…" : "");
}

}  // namespace penstock::schema
