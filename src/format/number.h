#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "data/row_set.h"
#include "data/types.h"

/// Numbers of text formats. The inline kernels read up to 32 bytes from where they start, whatever stands there: the
/// text must be padded (io::kPadding) and a byte that is no digit must end it.
namespace penstock::format {

static_assert(std::endian::native == std::endian::little, "the kernels take the first byte as the lowest");

inline std::uint64_t load8(const char* p) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}
inline std::uint32_t load4(const char* p) noexcept {
  std::uint32_t word = 0;
  std::memcpy(&word, p, sizeof word);
  return word;
}

namespace detail {
inline constexpr std::uint64_t kZeros = 0x3030303030303030;
inline constexpr std::uint64_t kPow10[20] = {1ull,
                                             10ull,
                                             100ull,
                                             1'000ull,
                                             10'000ull,
                                             100'000ull,
                                             1'000'000ull,
                                             10'000'000ull,
                                             100'000'000ull,
                                             1'000'000'000ull,
                                             10'000'000'000ull,
                                             100'000'000'000ull,
                                             1'000'000'000'000ull,
                                             10'000'000'000'000ull,
                                             100'000'000'000'000ull,
                                             1'000'000'000'000'000ull,
                                             10'000'000'000'000'000ull,
                                             100'000'000'000'000'000ull,
                                             1'000'000'000'000'000'000ull,
                                             10'000'000'000'000'000'000ull};
inline constexpr double kPow10Double[19] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                            1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};

/// Of eight bytes already freed of '0': how many from the first on are digits (0…8). A carry can only spoil bytes
/// behind the first that is no digit.
inline unsigned digit_run(std::uint64_t values) noexcept {
  const std::uint64_t other = ((values + 0x7676767676767676) | values) & 0x8080808080808080;
  return static_cast<unsigned>(std::countr_zero(other)) / 8;
}
/// Eight digit values, the first the most significant.
inline std::uint64_t join_digits(std::uint64_t values) noexcept {
  values = (values * 10) + (values >> 8);
  return (((values & 0x000000FF000000FF) * 0x000F424000000064) +
          (((values >> 16) & 0x000000FF000000FF) * 0x0000271000000001)) >>
         32;
}
/// The first `run` (0…7) digit values of the word.
inline std::uint64_t join_some(std::uint64_t values, unsigned run) noexcept {
  return join_digits((values << 1) << (63 - 8 * run));
}
}  // namespace detail

/// Reads the decimal digits at `p`. `count`: how many, and at most 19 are read into `value`; 20 stands for more.
/// Returns one past the last digit (of those counted).
inline const char* read_digits(const char* p, std::uint64_t& value, unsigned& count) noexcept {
  const std::uint64_t first = load8(p) ^ detail::kZeros;
  const unsigned run = detail::digit_run(first);
  if (run < 8) [[likely]] {
    value = detail::join_some(first, run);
    count = run;
    return p + run;
  }
  value = detail::join_digits(first);
  const std::uint64_t second = load8(p + 8) ^ detail::kZeros;
  const unsigned run2 = detail::digit_run(second);
  if (run2 < 8) {
    value = value * detail::kPow10[run2] + detail::join_some(second, run2);
    count = 8 + run2;
    return p + 8 + run2;
  }
  value = value * 100'000'000 + detail::join_digits(second);
  const std::uint64_t third = load8(p + 16) ^ detail::kZeros;
  const unsigned run3 = detail::digit_run(third);
  if (run3 > 3) {
    count = 20;
    return p + 16 + run3;
  }
  value = value * detail::kPow10[run3] + detail::join_some(third, run3);
  count = 16 + run3;
  return p + 16 + run3;
}

/// Reads [-]digits[.digits] where the double nearest to it can be had with one exact division (mantissa below 2^53, at
/// most 18 digits): the usual case. nullptr: let the general parser see it. What follows is not looked at.
inline const char* read_plain_double(const char* p, double& value) noexcept {
  const bool negative = *p == '-';
  p += negative;
  std::uint64_t mantissa = 0;
  unsigned digits = 0;
  p = read_digits(p, mantissa, digits);
  if (digits == 0 || digits > 18) [[unlikely]]
    return nullptr;
  double result = 0;
  if (*p == '.') {
    std::uint64_t fraction = 0;
    unsigned places = 0;
    p = read_digits(p + 1, fraction, places);
    if (digits + places > 18) [[unlikely]]
      return nullptr;
    mantissa = mantissa * detail::kPow10[places] + fraction;
    if (mantissa > (1ull << 53)) [[unlikely]]
      return nullptr;
    result = static_cast<double>(mantissa) / detail::kPow10Double[places];
  } else {
    if (mantissa > (1ull << 53)) [[unlikely]]
      return nullptr;
    result = static_cast<double>(mantissa);
  }
  value = negative ? -result : result;
  return p;
}

/// The same with any number of digits, by the general algorithm. nullptr: an unusual spelling.
const char* read_long_double(const char* p, double& value) noexcept;

/// A number with its type suffix, as schemaless insert reads it.
struct Number {
  data::Type type = data::Type::null;
  data::Slot slot = 0;
  std::uint8_t suffix_bytes = 0;  ///< at the end of the text
};

/// Reads the whole of `text` by the rules of TDengine's schemaless protocols: the longest prefix that C's strtod takes
/// ("C" locale; hexadecimal, nan, inf too), then one of "", f64, f32, i8, i16, i32, i64, i, u8 … u; the suffix's letter
/// in any case. i64 and u64 take the decimal integer at the start of the text (1e5i64 is 1), the smaller integers the
/// truncated double. Needs no padding. Allocates for unusual spellings only.
/// Returns nullptr, or what is wrong as half a sentence ("is outside the range of i8, -128 to 127").
const char* parse_number(std::string_view text, Number& number);

}  // namespace penstock::format
