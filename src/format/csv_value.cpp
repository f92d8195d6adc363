#include "format/csv_value.h"

#include <fast_float/fast_float.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/text.h"
#include "format/wkt.h"

namespace penstock::format {
namespace {

using data::Slot;
using data::Type;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

Fit read_bool(std::string_view text, Slot& slot) noexcept {
  std::array<char, 6> lower{};
  if (text.empty() || text.size() > 5) return Fit::no_value;
  for (std::size_t i = 0; i < text.size(); ++i)
    lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] | 0x20) : text[i];
  const std::string_view word(lower.data(), text.size());
  for (const std::string_view yes : {"true", "1", "t", "yes", "y", "on"}) {
    if (word == yes) {
      slot = 1;
      return Fit::ok;
    }
  }
  for (const std::string_view no : {"false", "0", "f", "no", "n", "off"}) {
    if (word == no) {
      slot = 0;
      return Fit::ok;
    }
  }
  return Fit::no_value;
}

struct Range {
  std::int64_t first;
  std::uint64_t last;
};
template <class Integer>
constexpr Range range_of() {
  return {static_cast<std::int64_t>(std::numeric_limits<Integer>::min()),
          static_cast<std::uint64_t>(std::numeric_limits<Integer>::max())};
}
Range range_of(Type type) noexcept {
  switch (type) {
    case Type::tinyint: return range_of<std::int8_t>();
    case Type::smallint: return range_of<std::int16_t>();
    case Type::integer: return range_of<std::int32_t>();
    case Type::utinyint: return range_of<std::uint8_t>();
    case Type::usmallint: return range_of<std::uint16_t>();
    case Type::uinteger: return range_of<std::uint32_t>();
    case Type::ubigint: return {0, std::numeric_limits<std::uint64_t>::max()};
    default: return range_of<std::int64_t>();
  }
}

Fit read_integer(Type type, std::string_view text, Slot& slot) noexcept {
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  std::size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) ++digits;
  if (digits == 0) return Fit::no_value;
  // "5." and "5.00" are what programs write that keep integers as doubles: nothing is lost.
  if (auto rest = text.substr(digits); !rest.empty()) {
    if (rest.front() != '.') return Fit::no_value;
    rest.remove_prefix(1);
    const auto other = rest.find_first_not_of('0');
    if (other != std::string_view::npos) return is_digit(rest[other]) ? Fit::out_of_range : Fit::no_value;
  }
  std::uint64_t magnitude = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + digits, magnitude);
  if (parsed.ec != std::errc()) return Fit::out_of_range;
  const auto range = range_of(type);
  if (negative) {
    const auto most = static_cast<std::uint64_t>(0) - static_cast<std::uint64_t>(range.first);
    if (magnitude > most) return Fit::out_of_range;
    slot = static_cast<Slot>(0) - magnitude;
  } else {
    if (magnitude > range.last) return Fit::out_of_range;
    slot = magnitude;
  }
  return Fit::ok;
}

template <class Float>
Fit read_float(std::string_view text, Slot& slot) noexcept {
  if (text.front() == '+') text.remove_prefix(1);
  if (text.empty() || text.back() == ')') return Fit::no_value;  // "nan(1)" is no spelling of CSV files
  Float value = 0;
  const auto* const last = text.data() + text.size();
  const auto [end, error] = fast_float::from_chars(text.data(), last, value);
  if (error == std::errc::result_out_of_range && end == last) return Fit::out_of_range;
  if (error != std::errc() || end != last) return Fit::no_value;
  const char first = text.front() == '-' && text.size() > 1 ? text[1] : text.front();
  if (std::isinf(value) && (is_digit(first) || first == '.')) return Fit::out_of_range;
  slot = data::slot_of(value);
  return Fit::ok;
}

/// GCC's 128-bit integers are no ISO C++, which -Wpedantic says unless told.
__extension__ using Wide = __int128;

/// The decimal number times 10^scale, exactly. At most 38 digits.
Fit read_decimal(std::uint8_t precision, std::uint8_t scale, std::string_view text, Wide& value) noexcept {
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (negative || text.front() == '+')) text.remove_prefix(1);
  int exponent = 0;
  if (const auto e = text.find_first_of("eE"); e != std::string_view::npos) {
    auto power = text.substr(e + 1);
    if (!power.empty() && power.front() == '+') power.remove_prefix(1);
    const auto parsed = std::from_chars(power.data(), power.data() + power.size(), exponent);
    if (parsed.ec != std::errc() || parsed.ptr != power.data() + power.size()) return Fit::no_value;
    if (exponent > 1000 || exponent < -1000) return Fit::out_of_range;
    text = text.substr(0, e);
  }
  const auto point = text.find('.');
  const auto whole = text.substr(0, point);
  const auto fraction = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  if (whole.empty() && fraction.empty()) return Fit::no_value;
  for (const auto part : {whole, fraction}) {
    for (const char c : part) {
      if (!is_digit(c)) return Fit::no_value;
    }
  }
  // Digit i of the text stands for 10^(whole - 1 - i + exponent); after scaling those below 10^0 must be 0.
  const auto digits = static_cast<int>(whole.size() + fraction.size());
  const int top =
      static_cast<int>(whole.size()) + exponent + scale;  // digits of the scaled integer, with leading zeros
  Wide sum = 0;
  int used = 0;
  for (int i = 0; i < std::max(digits, top); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const int digit = i >= digits ? 0 : (at < whole.size() ? whole[at] : fraction[at - whole.size()]) - '0';
    if (i >= top) {
      if (digit != 0) return Fit::out_of_range;
      continue;
    }
    if (used > 0 || digit != 0) ++used;
    if (used > precision || used > 38) return Fit::out_of_range;
    sum = sum * 10 + digit;
  }
  value = negative ? -sum : sum;
  return Fit::ok;
}

int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

Fit read_fixed(Type type, std::uint8_t precision, std::uint8_t scale, std::string_view text, Slot& slot) noexcept {
  if (text.empty()) return Fit::no_value;
  switch (type) {
    case Type::boolean: return read_bool(text, slot);
    case Type::float32: return read_float<float>(text, slot);
    case Type::float64: return read_float<double>(text, slot);
    case Type::decimal64: {
      Wide value = 0;
      const auto fit = read_decimal(precision, scale, text, value);
      if (fit == Fit::ok) slot = data::slot_of(static_cast<std::int64_t>(value));
      return fit;
    }
    default: return read_integer(type, text, slot);
  }
}

Fit read_decimal128(std::uint8_t precision, std::uint8_t scale, std::string_view text,
                    std::array<char, 16>& image) noexcept {
  Wide value = 0;
  const auto fit = read_decimal(precision, scale, text, value);
  static_assert(std::endian::native == std::endian::little && sizeof value == 16);
  if (fit == Fit::ok) std::memcpy(image.data(), &value, sizeof value);
  return fit;
}

Fit read_variable(Type type, std::string_view text, std::string& scratch, std::string_view& bytes, const char*& why) {
  bytes = text;
  switch (type) {
    case Type::nchar:
      if (!is_utf8(text)) return Fit::not_utf8;
      return text.size() > data::Limits::nchar && utf8_length(text) > data::Limits::nchar ? Fit::too_long : Fit::ok;
    case Type::varchar:  // any bytes: who declares VARCHAR for text that is not ASCII gets what stands in the file
      return text.size() > data::Limits::varchar ? Fit::too_long : Fit::ok;
    case Type::geometry:
      scratch.clear();
      why = wkt_to_wkb(text, scratch);
      bytes = scratch;
      if (why != nullptr) return Fit::no_value;
      return bytes.size() > data::Limits::varchar ? Fit::too_long : Fit::ok;
    case Type::json:
      if (!is_utf8(text)) return Fit::not_utf8;
      return text.size() > data::Limits::json_tag ? Fit::too_long : Fit::ok;
    default: break;
  }
  if (text.size() >= 2 && text[0] == '\\' && (text[1] == 'x' || text[1] == 'X')) {
    if (text.size() % 2 != 0) return Fit::no_value;
    scratch.clear();
    for (std::size_t i = 2; i < text.size(); i += 2) {
      const int high = hex_digit(text[i]);
      const int low = hex_digit(text[i + 1]);
      if (high < 0 || low < 0) return Fit::no_value;
      scratch += static_cast<char>(high * 16 + low);
    }
    bytes = scratch;
  }
  return bytes.size() > (type == Type::varbinary ? data::Limits::varchar : data::Limits::blob) ? Fit::too_long
                                                                                               : Fit::ok;
}

std::string_view range_text(Type type) noexcept {
  switch (type) {
    case Type::tinyint: return "-128 to 127";
    case Type::smallint: return "-32768 to 32767";
    case Type::integer: return "-2147483648 to 2147483647";
    case Type::bigint: return "-9223372036854775808 to 9223372036854775807";
    case Type::utinyint: return "0 to 255";
    case Type::usmallint: return "0 to 65535";
    case Type::uinteger: return "0 to 4294967295";
    case Type::ubigint: return "0 to 18446744073709551615";
    default: return "";
  }
}

}  // namespace penstock::format
