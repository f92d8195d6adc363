#include "simd/json.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <bit>
#include <cstdint>
#include <cstring>

#include "simd/cpu.h"

#define PENSTOCK_AVX2 __attribute__((target("avx2,pclmul,bmi,bmi2,popcnt,lzcnt")))

namespace penstock::simd {
namespace {

constexpr std::size_t kBlock = 64;

struct Masks {
  std::uint64_t quote;
  std::uint64_t backslash;
  std::uint64_t bracket;  // any of []{}
  std::uint64_t follow;   // what may stand behind a string
};

PENSTOCK_AVX2 inline std::uint64_t bits(__m256i low, __m256i high) noexcept {
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(low)) |
         static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(high))) << 32;
}

PENSTOCK_AVX2 inline Masks masks_of(const char* data) noexcept {
  __m256i quote[2], backslash[2], bracket[2], follow[2];
  for (int half = 0; half < 2; ++half) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + 32 * half));
    const auto is = [&](char c) PENSTOCK_AVX2 { return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(c)); };
    // '[' and '{' differ in one bit, so do ']' and '}'; no other byte becomes one of them.
    const __m256i folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    const __m256i opening = _mm256_cmpeq_epi8(folded, _mm256_set1_epi8('{'));
    const __m256i closing = _mm256_cmpeq_epi8(folded, _mm256_set1_epi8('}'));
    // 1…32: blanks. Bytes from 0x80 on are negative here.
    const __m256i blank = _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(33), bytes),
                                           _mm256_cmpgt_epi8(bytes, _mm256_setzero_si256()));
    quote[half] = is('"');
    backslash[half] = is('\\');
    bracket[half] = _mm256_or_si256(opening, closing);
    follow[half] = _mm256_or_si256(_mm256_or_si256(blank, closing), _mm256_or_si256(is(','), is(':')));
  }
  return {bits(quote[0], quote[1]), bits(backslash[0], backslash[1]), bits(bracket[0], bracket[1]),
          bits(follow[0], follow[1])};
}

PENSTOCK_AVX2 inline std::uint64_t prefix_xor(std::uint64_t bits) noexcept {
  const __m128i product = _mm_clmulepi64_si128(_mm_set_epi64x(0, static_cast<long long>(bits)), _mm_set1_epi8(-1), 0);
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(product));
}

/// Bytes that a backslash takes the meaning from; `carry`: the block before ended in such a backslash.
PENSTOCK_AVX2 inline std::uint64_t escaped_bytes(std::uint64_t backslash, std::uint64_t& carry) noexcept {
  if (backslash == 0) [[likely]] {
    const auto escaped = carry;
    carry = 0;
    return escaped;
  }
  // As simdjson: in a run of backslashes each second one is escaped, and so is the byte behind an odd run.
  backslash &= ~carry;
  const std::uint64_t follows = backslash << 1 | carry;
  constexpr std::uint64_t kEven = 0x5555555555555555;
  const std::uint64_t odd_starts = backslash & ~kEven & ~follows;
  std::uint64_t even_runs = 0;
  carry = __builtin_add_overflow(odd_starts, backslash, &even_runs) ? 1 : 0;
  return (kEven ^ (even_runs << 1)) & follows;
}

PENSTOCK_AVX2 JsonEnd object_end(std::string_view text) noexcept {
  const char* const data = text.data();
  const std::size_t size = text.size();
  std::uint64_t escape_carry = 0;
  std::uint64_t in_string = 0;    // all bits set: the block before ended inside a string
  std::uint64_t close_carry = 0;  // 1: it ended with a closing quote
  std::size_t depth = 0;
  std::size_t brackets = 0;
  alignas(64) char rest[kBlock];
  for (std::size_t at = 0; at < size; at += kBlock) {
    const char* block = data + at;
    std::uint64_t valid = ~std::uint64_t{0};
    if (size - at < kBlock) {
      std::memset(rest, ' ', sizeof rest);
      std::memcpy(rest, block, size - at);
      block = rest;
      valid = (std::uint64_t{1} << (size - at)) - 1;
    }
    const Masks masks = masks_of(block);
    const std::uint64_t quotes = masks.quote & ~escaped_bytes(masks.backslash, escape_carry);
    const std::uint64_t inside = prefix_xor(quotes) ^ in_string;  // from each opening quote up to the closing one
    in_string = static_cast<std::uint64_t>(static_cast<std::int64_t>(inside) >> 63);
    const std::uint64_t closing = quotes & ~inside;
    std::uint64_t wrong = (closing << 1 | close_carry) & ~masks.follow & valid;
    close_carry = closing >> 63;
    std::uint64_t structure = masks.bracket & ~inside;
    const std::uint64_t first_wrong = wrong & (0 - wrong);
    if (wrong != 0) [[unlikely]]
      structure &= first_wrong - 1;
    for (; structure != 0; structure &= structure - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(structure));
      switch (block[i]) {
        case '{':
          if (depth > 0 && brackets == 0) {
            const char* before = data + at + i;
            do --before;
            while (*before > '\0' && *before <= ' ');
            if (*before != ':') [[unlikely]]
              return {JsonEnd::Kind::broken, at + i};
          }
          if (++depth > kMostJsonDepth) [[unlikely]]
            return {JsonEnd::Kind::broken, at + i};
          break;
        case '}':
          if (--depth == 0) {
            // A quote without a successor would be undecided in the twin: a brace is always behind it.
            return {JsonEnd::Kind::whole, at + i + 1};
          }
          break;
        case '[': ++brackets; break;
        default: brackets -= brackets > 0 ? 1 : 0; break;
      }
    }
    if (wrong != 0) [[unlikely]]
      return {JsonEnd::Kind::broken, at + static_cast<std::size_t>(std::countr_zero(wrong))};
  }
  return {JsonEnd::Kind::open, 0};
}

}  // namespace

JsonObjectEnd json_object_end_avx2() noexcept { return has_avx2_kernels() ? &object_end : nullptr; }

}  // namespace penstock::simd

#else

namespace penstock::simd {
JsonObjectEnd json_object_end_avx2() noexcept { return nullptr; }
}  // namespace penstock::simd

#endif
