#include "format/csv_kernels.h"

#include <array>
#include <bit>

#include "format/number.h"

#if defined(__x86_64__)
// GCC 12 takes the undefined registers in its own header for mistakes (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include "simd/cpu.h"
#endif

namespace penstock::format {
namespace {

constexpr std::size_t kBlock = 64;

// --- scalar ---

void masks_scalar(const char* text, std::size_t blocks, char delimiter, char quote, CsvMasks* masks) noexcept {
  for (std::size_t b = 0; b < blocks; ++b, text += kBlock) {
    CsvMasks found;
    for (unsigned i = 0; i < kBlock; ++i) {
      found.delimiters |= static_cast<std::uint64_t>(text[i] == delimiter) << i;
      found.newlines |= static_cast<std::uint64_t>(text[i] == '\n') << i;
      found.quotes |= static_cast<std::uint64_t>(text[i] == quote) << i;
    }
    masks[b] = found;
  }
}

[[gnu::always_inline]] inline void write_positions(const std::uint64_t* words, std::size_t blocks, std::uint32_t base,
                                                   std::uint32_t* out) noexcept {
  for (std::size_t b = 0; b < blocks; ++b, base += kBlock) {
    auto word = words[b];
    const auto count = std::popcount(word);
    // Eight at a time whether there are so many or not: the loop's end is then seldom a surprise.
    for (int done = 0; done < count; done += 8) {
      for (int i = 0; i < 8; ++i) {
        out[done + i] = base + static_cast<std::uint32_t>(std::countr_zero(word));
        word &= word - 1;
      }
    }
    out += count;
  }
}

void positions_scalar(const std::uint64_t* words, std::size_t blocks, std::uint32_t base, std::uint32_t* out) noexcept {
  write_positions(words, blocks, base, out);
}

std::uint32_t integers_scalar(const char* text, const std::uint32_t* ends, unsigned count,
                              const CsvIntegerRanges& ranges, std::uint64_t* values) noexcept {
  std::uint32_t good = 0;
  for (unsigned i = 0; i < count; ++i) {
    const auto begin = ends[static_cast<std::ptrdiff_t>(i) - 1] + 1;
    const auto length = ends[i] - begin;
    if (length - 1 >= 8) continue;
    auto word = load8(text + begin) ^ detail::kZeros;
    const bool negative = text[begin] == '-';
    if (negative) word &= ~std::uint64_t{0xFF};  // in its place a zero
    // The last digit in the highest byte; below the first one zeros.
    word <<= 64 - 8 * length;
    if (detail::digit_run(word) != 8 || length == negative) continue;
    const auto magnitude = static_cast<std::int64_t>(detail::join_digits(word));
    const auto value = negative ? -magnitude : magnitude;
    if (value < ranges.low[i] || value > ranges.high[i]) continue;
    values[i] = static_cast<std::uint64_t>(value);
    good |= 1u << i;
  }
  return good;
}

constexpr CsvKernels kScalar{"scalar", masks_scalar, positions_scalar, integers_scalar};

#if defined(__x86_64__)
// --- SSE2, which every processor of this kind has ---

inline std::uint64_t equal16(const char* text, __m128i pattern) noexcept {
  std::uint64_t bits = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + 16 * i));
    bits |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, pattern))))
            << (16 * i);
  }
  return bits;
}

void masks_sse2(const char* text, std::size_t blocks, char delimiter, char quote, CsvMasks* masks) noexcept {
  const __m128i d = _mm_set1_epi8(delimiter);
  const __m128i n = _mm_set1_epi8('\n');
  const __m128i q = _mm_set1_epi8(quote);
  for (std::size_t b = 0; b < blocks; ++b, text += kBlock)
    masks[b] = {equal16(text, d), equal16(text, n), equal16(text, q)};
}

constexpr CsvKernels kSse2{"SSE2", masks_sse2, positions_scalar, integers_scalar};

// --- AVX2 ---

#define PENSTOCK_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt")))

PENSTOCK_AVX2 inline std::uint64_t equal32(__m256i low, __m256i high, __m256i pattern) noexcept {
  const auto l = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, pattern)));
  const auto h = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, pattern)));
  return l | static_cast<std::uint64_t>(h) << 32;
}

PENSTOCK_AVX2 void masks_avx2(const char* text, std::size_t blocks, char delimiter, char quote,
                              CsvMasks* masks) noexcept {
  const __m256i d = _mm256_set1_epi8(delimiter);
  const __m256i n = _mm256_set1_epi8('\n');
  const __m256i q = _mm256_set1_epi8(quote);
  for (std::size_t b = 0; b < blocks; ++b, text += kBlock) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text + 32));
    masks[b] = {equal32(low, high, d), equal32(low, high, n), equal32(low, high, q)};
  }
}

PENSTOCK_AVX2 void positions_avx2(const std::uint64_t* words, std::size_t blocks, std::uint32_t base,
                                  std::uint32_t* out) noexcept {
  write_positions(words, blocks, base, out);
}

/// Four fields. As integers_scalar(), in four lanes of 64 bits.
PENSTOCK_AVX2 inline std::uint32_t integers4(const char* text, const std::uint32_t* ends, const std::int64_t* low,
                                             const std::int64_t* high, std::uint64_t* values) noexcept {
  const __m128i last = _mm_loadu_si128(reinterpret_cast<const __m128i*>(ends));
  const __m128i first = _mm_add_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(ends - 1)), _mm_set1_epi32(1));
  const __m256i length = _mm256_cvtepu32_epi64(_mm_sub_epi32(last, first));
  const auto word = [&](int i) {
    return static_cast<long long>(load8(text + ends[static_cast<std::ptrdiff_t>(i) - 1] + 1));
  };
  __m256i words = _mm256_set_epi64x(word(3), word(2), word(1), word(0));
  const __m256i negative =
      _mm256_cmpeq_epi64(_mm256_and_si256(words, _mm256_set1_epi64x(0xFF)), _mm256_set1_epi64x('-'));
  words = _mm256_xor_si256(words, _mm256_set1_epi8('0'));
  words = _mm256_andnot_si256(_mm256_and_si256(negative, _mm256_set1_epi64x(0xFF)), words);
  // Too long a field shifts by a negative count, and an empty one by all bits; both leave a zero.
  const __m256i shift = _mm256_sub_epi64(_mm256_set1_epi64x(64), _mm256_slli_epi64(length, 3));
  words = _mm256_sllv_epi64(words, shift);
  const __m256i odd = _mm256_subs_epu8(words, _mm256_set1_epi8(9));
  __m256i value = _mm256_maddubs_epi16(words, _mm256_set1_epi16(0x010A));
  value = _mm256_madd_epi16(value, _mm256_set1_epi32(0x00010064));
  value = _mm256_add_epi64(_mm256_mul_epu32(value, _mm256_set1_epi64x(10'000)), _mm256_srli_epi64(value, 32));
  value = _mm256_sub_epi64(_mm256_xor_si256(value, negative), negative);
  // A sign needs a digit; lengths are below 2^32 and compare as signed numbers.
  const __m256i least = _mm256_sub_epi64(_mm256_set1_epi64x(0), negative);
  __m256i good = _mm256_and_si256(_mm256_cmpeq_epi64(odd, _mm256_setzero_si256()), _mm256_cmpgt_epi64(length, least));
  good = _mm256_andnot_si256(_mm256_cmpgt_epi64(length, _mm256_set1_epi64x(8)), good);
  const __m256i lows = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low));
  const __m256i highs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high));
  good = _mm256_andnot_si256(_mm256_or_si256(_mm256_cmpgt_epi64(lows, value), _mm256_cmpgt_epi64(value, highs)), good);
  _mm256_maskstore_epi64(reinterpret_cast<long long*>(values), good, value);
  return static_cast<std::uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(good)));
}

PENSTOCK_AVX2 std::uint32_t integers_avx2(const char* text, const std::uint32_t* ends, unsigned count,
                                          const CsvIntegerRanges& ranges, std::uint64_t* values) noexcept {
  std::uint32_t good = 0;
  unsigned done = 0;
  for (; done + 4 <= count; done += 4)
    good |= integers4(text, ends + done, ranges.low + done, ranges.high + done, values + done) << done;
  if (done == count) return good;
  CsvIntegerRanges rest;
  for (unsigned i = done; i < count; ++i) {
    rest.low[i - done] = ranges.low[i];
    rest.high[i - done] = ranges.high[i];
  }
  return good | integers_scalar(text, ends + done, count - done, rest, values + done) << done;
}

constexpr CsvKernels kAvx2{"AVX2", masks_avx2, positions_avx2, integers_avx2};

// --- AVX-512 with VBMI2 ---

#define PENSTOCK_AVX512 \
  __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2")))

bool has_avx512() noexcept {
  return simd::has_avx2_kernels() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
}

PENSTOCK_AVX512 void masks_avx512(const char* text, std::size_t blocks, char delimiter, char quote,
                                  CsvMasks* masks) noexcept {
  const __m512i d = _mm512_set1_epi8(delimiter);
  const __m512i n = _mm512_set1_epi8('\n');
  const __m512i q = _mm512_set1_epi8(quote);
  for (std::size_t b = 0; b < blocks; ++b, text += kBlock) {
    const __m512i bytes = _mm512_loadu_si512(text);
    masks[b] = {_mm512_cmpeq_epi8_mask(bytes, d), _mm512_cmpeq_epi8_mask(bytes, n), _mm512_cmpeq_epi8_mask(bytes, q)};
  }
}

PENSTOCK_AVX512 void positions_avx512(const std::uint64_t* words, std::size_t blocks, std::uint32_t base,
                                      std::uint32_t* out) noexcept {
  alignas(64) static constexpr auto kEach = [] {
    std::array<std::uint8_t, kBlock> each{};
    for (std::size_t i = 0; i < kBlock; ++i) each[i] = static_cast<std::uint8_t>(i);
    return each;
  }();
  const __m512i each = _mm512_load_si512(kEach.data());
  __m512i bases = _mm512_set1_epi32(static_cast<int>(base));
  const __m512i step = _mm512_set1_epi32(static_cast<int>(kBlock));
  for (std::size_t b = 0; b < blocks; ++b) {
    const auto word = words[b];
    const auto count = std::popcount(word);
    const __m512i offsets = _mm512_maskz_compress_epi8(word, each);
    const auto sixteen = [&](__m128i part, int at) PENSTOCK_AVX512 {
      _mm512_storeu_si512(out + at, _mm512_add_epi32(bases, _mm512_cvtepu8_epi32(part)));
    };
    sixteen(_mm512_castsi512_si128(offsets), 0);
    if (count > 16) {
      sixteen(_mm512_extracti32x4_epi32(offsets, 1), 16);
      if (count > 32) {
        sixteen(_mm512_extracti32x4_epi32(offsets, 2), 32);
        sixteen(_mm512_extracti32x4_epi32(offsets, 3), 48);
      }
    }
    out += count;
    bases = _mm512_add_epi32(bases, step);
  }
}

/// Bytes of fields, right-aligned in eight lanes; what is no character of the field is '0'. One of those that may be
/// good has one to eight of them.
PENSTOCK_AVX512 inline __m512i aligned_fields(const char* text, const std::uint32_t* ends, __m256i first,
                                              __m512i length, unsigned count, __mmask8 good) noexcept {
  const auto begin = ends[-1] + 1;
  if (ends[count - 1] - begin <= kBlock) [[likely]] {
    // All lie in one register.
    const __m512i bytes = _mm512_loadu_si512(text + begin);
    const __m512i last = _mm512_cvtepu32_epi64(_mm256_sub_epi32(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ends)), _mm256_set1_epi32(static_cast<int>(begin))));
    const __m512i spread = _mm512_set4_epi64(0x0808080808080808, 0, 0x0808080808080808, 0);
    const __m512i each = _mm512_set1_epi64(0x0706050403020100);
    const __m512i from = _mm512_add_epi8(_mm512_shuffle_epi8(last, spread), _mm512_sub_epi8(each, _mm512_set1_epi8(8)));
    const auto inside =
        _mm512_cmpge_epu8_mask(each, _mm512_sub_epi8(_mm512_set1_epi8(8), _mm512_shuffle_epi8(length, spread)));
    return _mm512_mask_permutexvar_epi8(_mm512_set1_epi8('0'), inside, from, bytes);
  }
  const __m512i words = _mm512_mask_i32gather_epi64(_mm512_setzero_si512(), good, first, text, 1);
  const __m512i shift = _mm512_sub_epi64(_mm512_set1_epi64(64), _mm512_slli_epi64(length, 3));
  return _mm512_xor_si512(_mm512_sllv_epi64(_mm512_xor_si512(words, _mm512_set1_epi8('0')), shift),
                          _mm512_set1_epi8('0'));
}

PENSTOCK_AVX512 std::uint32_t integers_avx512(const char* text, const std::uint32_t* ends, unsigned count,
                                              const CsvIntegerRanges& ranges, std::uint64_t* values) noexcept {
  const __m256i first =
      _mm256_add_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(ends - 1)), _mm256_set1_epi32(1));
  const __m512i length =
      _mm512_cvtepu32_epi64(_mm256_sub_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(ends)), first));
  const auto wanted = static_cast<__mmask8>((1u << count) - 1);
  auto good =
      _mm512_mask_cmplt_epu64_mask(wanted, _mm512_sub_epi64(length, _mm512_set1_epi64(1)), _mm512_set1_epi64(8));
  __m512i words = aligned_fields(text, ends, first, length, count, good);
  // A sign in the place of the first character becomes a zero; it needs a digit behind it.
  const __m512i place =
      _mm512_sllv_epi64(_mm512_set1_epi64(0xFF), _mm512_sub_epi64(_mm512_set1_epi64(64), _mm512_slli_epi64(length, 3)));
  words = _mm512_xor_si512(words, _mm512_set1_epi8('0'));
  const auto negative =
      _mm512_cmpeq_epi64_mask(_mm512_and_si512(words, place), _mm512_and_si512(place, _mm512_set1_epi8('-' ^ '0')));
  words = _mm512_mask_andnot_epi64(words, negative, place, words);
  good = _mm512_mask_testn_epi64_mask(good, _mm512_subs_epu8(words, _mm512_set1_epi8(9)), _mm512_set1_epi64(-1));
  good = static_cast<__mmask8>(good & ~_mm512_mask_cmpeq_epi64_mask(negative, length, _mm512_set1_epi64(1)));
  __m512i value = _mm512_maddubs_epi16(words, _mm512_set1_epi16(0x010A));
  value = _mm512_madd_epi16(value, _mm512_set1_epi32(0x00010064));
  value = _mm512_add_epi64(_mm512_mul_epu32(value, _mm512_set1_epi64(10'000)), _mm512_srli_epi64(value, 32));
  value = _mm512_mask_sub_epi64(value, negative, _mm512_setzero_si512(), value);
  good = _mm512_mask_cmple_epi64_mask(good, _mm512_loadu_si512(ranges.low), value);
  good = _mm512_mask_cmple_epi64_mask(good, value, _mm512_loadu_si512(ranges.high));
  _mm512_mask_storeu_epi64(values, good, value);
  return good;
}

constexpr CsvKernels kAvx512{"AVX-512", masks_avx512, positions_avx512, integers_avx512};
#endif

}  // namespace

std::vector<const CsvKernels*> all_csv_kernels() {
  std::vector<const CsvKernels*> kernels{&kScalar};
#if defined(__x86_64__)
  kernels.push_back(&kSse2);
  if (simd::has_avx2_kernels()) kernels.push_back(&kAvx2);
  if (has_avx512()) kernels.push_back(&kAvx512);
#endif
  return kernels;
}

const CsvKernels& csv_kernels() noexcept {
#if defined(__x86_64__)
  static const CsvKernels& kBest = has_avx512() ? kAvx512 : simd::has_avx2_kernels() ? kAvx2 : kSse2;
  return kBest;
#else
  return kScalar;
#endif
}

}  // namespace penstock::format
