#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>

#include <bit>
#endif

/// Byte searches of the line parser's hot loop. All read up to 64 bytes past what they find (io::kPadding) and need one
/// of the wanted bytes to come: the parser puts a newline behind every line. Each has a scalar twin.
namespace penstock::format {

namespace scalar {
/// The first blank or newline at or behind `p`.
inline const char* find_blank(const char* p) noexcept {
  while (*p != ' ' && *p != '\n') ++p;
  return p;
}
/// The first newline at or behind `p`.
inline const char* find_newline(const char* p) noexcept {
  while (*p != '\n') ++p;
  return p;
}
/// The first '=' or newline at or behind `p`.
inline const char* find_equals(const char* p) noexcept {
  while (*p != '=' && *p != '\n') ++p;
  return p;
}
/// The first comma, '=', backslash, blank, control or non-ASCII byte at or behind `p`.
inline const char* find_plain_end(const char* p) noexcept {
  while (static_cast<signed char>(*p) > ' ' && *p != ',' && *p != '=' && *p != '\\') ++p;
  return p;
}
/// The first double quote, backslash, control or non-ASCII byte at or behind `p`.
inline const char* find_plain_string_end(const char* p) noexcept {
  while (static_cast<signed char>(*p) >= ' ' && *p != '"' && *p != '\\') ++p;
  return p;
}
/// The first double quote, backslash or newline at or behind `p`.
inline const char* find_string_end(const char* p) noexcept {
  while (*p != '"' && *p != '\\' && *p != '\n') ++p;
  return p;
}
}  // namespace scalar

#if defined(__SSE2__)
inline const char* find_blank(const char* p) noexcept {
  const __m128i blank = _mm_set1_epi8(' ');
  const __m128i newline = _mm_set1_epi8('\n');
  const auto at = [&](const char* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm_or_si128(_mm_cmpeq_epi8(bytes, blank), _mm_cmpeq_epi8(bytes, newline));
  };
  for (;; p += 32) {
    const __m128i low = at(p);
    const __m128i high = at(p + 16);
    if (_mm_movemask_epi8(_mm_or_si128(low, high)) == 0) continue;
    const auto mask =
        static_cast<std::uint32_t>(_mm_movemask_epi8(low)) | static_cast<std::uint32_t>(_mm_movemask_epi8(high)) << 16;
    return p + std::countr_zero(mask);
  }
}

inline const char* find_newline(const char* p) noexcept {
  const __m128i newline = _mm_set1_epi8('\n');
  for (;; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    if (const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, newline))); mask != 0)
      return p + std::countr_zero(mask);
  }
}

inline const char* find_equals(const char* p) noexcept {
  const __m128i equals = _mm_set1_epi8('=');
  const __m128i newline = _mm_set1_epi8('\n');
  const auto at = [&](const char* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(bytes, equals), _mm_cmpeq_epi8(bytes, newline));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(hit));
  };
  // Two words at once: whether a key ends in the first or the second cannot be foretold.
  for (;; p += 32)
    if (const std::uint32_t mask = at(p) | at(p + 16) << 16; mask != 0) return p + std::countr_zero(mask);
}

inline const char* find_plain_end(const char* p) noexcept {
  const __m128i above = _mm_set1_epi8(' ' + 1);
  const __m128i comma = _mm_set1_epi8(',');
  const __m128i equals = _mm_set1_epi8('=');
  const __m128i backslash = _mm_set1_epi8('\\');
  for (;; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, comma), _mm_cmplt_epi8(bytes, above)),
                                     _mm_or_si128(_mm_cmpeq_epi8(bytes, equals), _mm_cmpeq_epi8(bytes, backslash)));
    if (const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(hit)); mask != 0)
      return p + std::countr_zero(mask);
  }
}

inline const char* find_plain_string_end(const char* p) noexcept {
  const __m128i above = _mm_set1_epi8(' ');
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  for (;; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                     _mm_cmplt_epi8(bytes, above));
    if (const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(hit)); mask != 0)
      return p + std::countr_zero(mask);
  }
}

inline const char* find_string_end(const char* p) noexcept {
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i newline = _mm_set1_epi8('\n');
  for (;; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                     _mm_cmpeq_epi8(bytes, newline));
    if (const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(hit)); mask != 0)
      return p + std::countr_zero(mask);
  }
}
#else
using scalar::find_blank;
using scalar::find_equals;
using scalar::find_newline;
using scalar::find_plain_end;
using scalar::find_plain_string_end;
using scalar::find_string_end;
#endif

}  // namespace penstock::format
