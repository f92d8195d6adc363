#include "format/number.h"

#include <fast_float/fast_float.h>
#include <locale.h>
#include <cfloat>
#include <clocale>
#include <cstdlib>
#include <limits>
#include <string>

namespace penstock::format {
namespace {

using data::Type;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Length of the prefix that strtod takes, 0 for none.
std::size_t strtod_prefix(std::string_view text, double& value) {
  std::size_t at = 0;
  const bool plus = !text.empty() && text[0] == '+';
  at += plus || (!text.empty() && text[0] == '-');
  const bool digit =
      at < text.size() && (is_digit(text[at]) || (text[at] == '.' && at + 1 < text.size() && is_digit(text[at + 1])));
  const bool hex = at + 1 < text.size() && text[at] == '0' && (text[at + 1] | 0x20) == 'x';
  if (digit && !hex) {
    const auto result = fast_float::from_chars(text.data() + plus, text.data() + text.size(), value);
    if (result.ec == std::errc{} || result.ec == std::errc::result_out_of_range)
      return static_cast<std::size_t>(result.ptr - text.data());
  }
  // Hexadecimal, nan(…), infinity, leading white space: rare enough for a copy that ends with the text.
  static const locale_t kC = newlocale(LC_ALL_MASK, "C", nullptr);
  const std::string copy(text);
  char* stop = nullptr;
  value = strtod_l(copy.c_str(), &stop, kC);
  return static_cast<std::size_t>(stop - copy.c_str());
}

// What strtoll and strtoull find in base 10, before the sign is applied. False: beyond 2^64.
struct Decimal {
  std::uint64_t magnitude = 0;
  bool negative = false;
  bool fits = true;
};
Decimal decimal_prefix(std::string_view text) noexcept {
  Decimal found;
  std::size_t at = 0;
  while (at < text.size() && is_space(text[at])) ++at;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) found.negative = text[at++] == '-';
  for (; at < text.size() && is_digit(text[at]); ++at) {
    const auto digit = static_cast<std::uint64_t>(text[at] - '0');
    if (found.magnitude > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) {
      found.fits = false;
      return found;
    }
    found.magnitude = found.magnitude * 10 + digit;
  }
  return found;
}

enum class Suffix { none, f64, f32, i8, i16, i32, i64, u8, u16, u32, u64, unknown };

Suffix suffix_of(std::string_view rest) noexcept {
  if (rest.empty()) return Suffix::none;
  const char letter = static_cast<char>(rest[0] | 0x20);
  const auto width = rest.substr(1);
  if (letter == 'f') return width == "64" ? Suffix::f64 : width == "32" ? Suffix::f32 : Suffix::unknown;
  if (letter != 'i' && letter != 'u') return Suffix::unknown;
  const bool i = letter == 'i';
  if (width.empty() || width == "64") return i ? Suffix::i64 : Suffix::u64;
  if (width == "32") return i ? Suffix::i32 : Suffix::u32;
  if (width == "16") return i ? Suffix::i16 : Suffix::u16;
  if (width == "8") return i ? Suffix::i8 : Suffix::u8;
  return Suffix::unknown;
}

// The range is that of the double, the value its integer part: 126.9 is an i8, 127.9 is none.
template <class T>
bool truncated(double value, data::Slot& slot) noexcept {
  if (!(value >= static_cast<double>(std::numeric_limits<T>::min()) &&
        value <= static_cast<double>(std::numeric_limits<T>::max())))
    return false;
  slot = data::slot_of(static_cast<std::int64_t>(value));
  return true;
}

const char* signed64(std::string_view text, data::Slot& slot) noexcept {
  const auto found = decimal_prefix(text);
  const std::uint64_t most = (1ull << 63) - (found.negative ? 0 : 1);
  if (!found.fits || found.magnitude > most)
    return "is outside the range of i64, -9223372036854775808 to 9223372036854775807";
  slot = found.negative ? 0 - found.magnitude : found.magnitude;
  return nullptr;
}

const char* unsigned64(std::string_view text, double value, data::Slot& slot) noexcept {
  const auto found = decimal_prefix(text);
  if (!found.fits || value < 0) return "is outside the range of u64, 0 to 18446744073709551615";
  slot = found.negative ? 0 - found.magnitude : found.magnitude;
  return nullptr;
}

}  // namespace

const char* read_long_double(const char* p, double& value) noexcept {
  const char* stop = p + (*p == '-');
  if (!is_digit(*stop)) return nullptr;
  while (is_digit(*stop) || *stop == '.') ++stop;
  const auto result = fast_float::from_chars(p, stop, value);
  return result.ec == std::errc{} && result.ptr == stop ? stop : nullptr;
}

const char* parse_number(std::string_view text, Number& number) {
  double value = 0;
  const std::size_t used = strtod_prefix(text, value);
  if (used == 0) return "is no number, string or boolean";
  const auto rest = text.substr(used);
  number.suffix_bytes = static_cast<std::uint8_t>(rest.size() > 3 ? 0 : rest.size());
  switch (suffix_of(rest)) {
    case Suffix::none:
    case Suffix::f64:
      number.type = Type::float64;
      number.slot = data::slot_of(value);
      return nullptr;
    case Suffix::f32:
      number.type = Type::float32;
      if (!(value >= -static_cast<double>(FLT_MAX) && value <= static_cast<double>(FLT_MAX)))
        return "is outside the range of f32, -3.402823466e+38 to 3.402823466e+38";
      number.slot = data::slot_of(static_cast<float>(value));
      return nullptr;
    case Suffix::i8:
      number.type = Type::tinyint;
      return truncated<std::int8_t>(value, number.slot) ? nullptr : "is outside the range of i8, -128 to 127";
    case Suffix::i16:
      number.type = Type::smallint;
      return truncated<std::int16_t>(value, number.slot) ? nullptr : "is outside the range of i16, -32768 to 32767";
    case Suffix::i32:
      number.type = Type::integer;
      return truncated<std::int32_t>(value, number.slot) ? nullptr
                                                         : "is outside the range of i32, -2147483648 to 2147483647";
    case Suffix::i64: number.type = Type::bigint; return signed64(text, number.slot);
    case Suffix::u8:
      number.type = Type::utinyint;
      return truncated<std::uint8_t>(value, number.slot) ? nullptr : "is outside the range of u8, 0 to 255";
    case Suffix::u16:
      number.type = Type::usmallint;
      return truncated<std::uint16_t>(value, number.slot) ? nullptr : "is outside the range of u16, 0 to 65535";
    case Suffix::u32:
      number.type = Type::uinteger;
      return truncated<std::uint32_t>(value, number.slot) ? nullptr : "is outside the range of u32, 0 to 4294967295";
    case Suffix::u64: number.type = Type::ubigint; return unsigned64(text, value, number.slot);
    case Suffix::unknown: break;
  }
  return "is no number with one of the suffixes i, i8, i16, i32, i64, u, u8, u16, u32, u64, f32, f64";
}

}  // namespace penstock::format
