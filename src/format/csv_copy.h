#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

/// Texts of CSV fields, copied and compared without calls.
namespace penstock::format {

/// Bytes that copy_text() may write past the end of its target.
inline constexpr std::size_t kCopySlack = 32;

/// Copies `length` bytes, 16 at a time: up to kCopySlack bytes more are read and written. True: all are ASCII.
inline bool copy_text(char* to, const char* from, std::size_t length) noexcept {
  std::uint64_t bits = 0;
  std::size_t at = 0;
  for (; at + 16 <= length; at += 16) {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::memcpy(&low, from + at, 8);
    std::memcpy(&high, from + at + 8, 8);
    std::memcpy(to + at, &low, 8);
    std::memcpy(to + at + 8, &high, 8);
    bits |= low | high;
  }
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::memcpy(&low, from + at, 8);
  std::memcpy(&high, from + at + 8, 8);
  std::memcpy(to + at, &low, 8);
  std::memcpy(to + at + 8, &high, 8);
  // Of the last 0 to 15 bytes only those that belong to the text count.
  const auto left = length - at;
  const auto mask = [](std::size_t bytes) {
    return bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * bytes)) - 1;
  };
  bits |= low & mask(left);
  bits |= high & mask(left > 8 ? left - 8 : 0);
  return (bits & 0x8080808080808080) == 0;
}

/// Whether the `length` bytes at `a` and `b` are the same; no others are read.
inline bool same_text(const char* a, const char* b, std::size_t length) noexcept {
#if defined(__x86_64__)
  if (length >= 16) [[likely]] {
    const auto equal16 = [&](std::size_t at) {
      return _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + at)),
                            _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + at)));
    };
    __m128i equal = equal16(length - 16);
    for (std::size_t at = 0; at + 16 < length; at += 16) equal = _mm_and_si128(equal, equal16(at));
    return _mm_movemask_epi8(equal) == 0xFFFF;
  }
#endif
  return std::memcmp(a, b, length) == 0;
}

}  // namespace penstock::format
