#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "format/number.h"

/// Numbers of CSV fields, whose ends are known before they are read: no digit is looked at twice.
namespace penstock::format {

/// GCC's 128-bit integers are no ISO C++, which -Wpedantic says unless told.
__extension__ using Word128 = unsigned __int128;

/// Reads [-]digits[.[digits]] that takes all of [p, end) and at most 16 bytes without its sign: the double nearest to
/// it. False: let read_plain_double() or the general parser see it. 17 bytes from `p` on are read, whatever they are.
inline bool read_whole_double(const char* p, const char* end, double& value) noexcept {
  const bool negative = *p == '-';
  p += negative;
  const auto length = static_cast<std::size_t>(end - p);
  if (length - 1 >= 16) [[unlikely]]
    return false;
  constexpr std::uint64_t kEach = 0x0101010101010101;
  constexpr std::uint64_t kTop = 0x8080808080808080;
  constexpr std::uint64_t kPoints = kEach * ('.' ^ '0');
  std::uint64_t mantissa = 0;
  unsigned places = 0;
  if (length <= 8) {
    // The last character in the highest byte; below them zeros, which are no points.
    auto word = (load8(p) ^ detail::kZeros) << (64 - 8 * length);
    const auto other = word ^ kPoints;
    if (const auto points = (other - kEach) & ~other & kTop; points != 0) {
      const auto at = static_cast<unsigned>(std::countr_zero(points)) - 7;  // bits below the point
      if (at <= 64 - 8 * length) [[unlikely]]
        return false;  // no digit before it
      const auto whole = word & ((std::uint64_t{1} << at) - 1);
      word = (word >> at >> 8 << at << 8) | whole << 8;
      places = 7 - at / 8;
    }
    if ((((word + 0x7676767676767676) | word) & kTop) != 0) [[unlikely]]
      return false;
    mantissa = detail::join_digits(word);
  } else {
    auto words = static_cast<Word128>(load8(p + 8) ^ detail::kZeros) << 64 | (load8(p) ^ detail::kZeros);
    words <<= 128 - 8 * length;
    const auto low = static_cast<std::uint64_t>(words) ^ kPoints;
    const auto high = static_cast<std::uint64_t>(words >> 64) ^ kPoints;
    const auto low_points = (low - kEach) & ~low & kTop;
    const auto high_points = (high - kEach) & ~high & kTop;
    if ((low_points | high_points) != 0) {
      const auto at =
          static_cast<unsigned>(low_points != 0 ? std::countr_zero(low_points) : 64 + std::countr_zero(high_points)) -
          7;
      if (at <= 128 - 8 * length) [[unlikely]]
        return false;
      const auto whole = words & ((Word128{1} << at) - 1);
      words = (words >> at >> 8 << at << 8) | whole << 8;
      places = 15 - at / 8;
    }
    const auto first = static_cast<std::uint64_t>(words);
    const auto second = static_cast<std::uint64_t>(words >> 64);
    if ((((first + 0x7676767676767676) | first | (second + 0x7676767676767676) | second) & kTop) != 0) [[unlikely]]
      return false;
    mantissa = detail::join_digits(first) * 100'000'000 + detail::join_digits(second);
    if (mantissa > (1ull << 53)) [[unlikely]]
      return false;
  }
  const double result = static_cast<double>(mantissa) / detail::kPow10Double[places];
  value = negative ? -result : result;
  return true;
}

}  // namespace penstock::format
