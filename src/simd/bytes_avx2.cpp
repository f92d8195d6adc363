#include "simd/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <bit>

#include "simd/cpu.h"

// Target attributes and not -m flags: nothing else of the program, no inline function of a header either, may be
// compiled for a processor that the program has not looked at yet.
#define PENSTOCK_AVX2 __attribute__((target("avx2,pclmul,bmi,bmi2,popcnt,lzcnt")))

namespace penstock::simd {
namespace {

constexpr std::size_t kBlock = 64;

struct Block {
  __m256i low;
  __m256i high;
};

PENSTOCK_AVX2 inline Block load(const char* data) noexcept {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + 32))};
}

/// Bit i: byte i of the block equals `pattern` (a byte repeated).
PENSTOCK_AVX2 inline std::uint64_t equal(const Block& block, __m256i pattern) noexcept {
  const auto low = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(block.low, pattern)));
  const auto high = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(block.high, pattern)));
  return low | (static_cast<std::uint64_t>(high) << 32);
}

/// Bit i: parity of the bits 0..i.
PENSTOCK_AVX2 inline std::uint64_t prefix_xor(std::uint64_t bits) noexcept {
  const __m128i product = _mm_clmulepi64_si128(_mm_set_epi64x(0, static_cast<long long>(bits)), _mm_set1_epi8(-1), 0);
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(product));
}

PENSTOCK_AVX2 std::size_t count_avx2(const char* data, std::size_t size, char byte) noexcept {
  const __m256i pattern = _mm256_set1_epi8(byte);
  std::size_t found = 0;
  std::size_t i = 0;
  for (; i + kBlock <= size; i += kBlock) {
    found += static_cast<std::size_t>(std::popcount(equal(load(data + i), pattern)));
  }
  return found + kScalar.count(data + i, size - i, byte);
}

PENSTOCK_AVX2 std::size_t find_last_avx2(const char* data, std::size_t size, char byte) noexcept {
  const __m256i pattern = _mm256_set1_epi8(byte);
  std::size_t end = size;
  while (end >= kBlock) {
    end -= kBlock;
    const std::uint64_t hits = equal(load(data + end), pattern);
    if (hits != 0) return end + 63 - static_cast<std::size_t>(std::countl_zero(hits));
  }
  return kScalar.find_last(data, end, byte);
}

PENSTOCK_AVX2 std::size_t find_any_avx2(const char* data, std::size_t size, std::array<char, 4> bytes) noexcept {
  const __m256i p0 = _mm256_set1_epi8(bytes[0]);
  const __m256i p1 = _mm256_set1_epi8(bytes[1]);
  const __m256i p2 = _mm256_set1_epi8(bytes[2]);
  const __m256i p3 = _mm256_set1_epi8(bytes[3]);
  std::size_t i = 0;
  for (; i + 32 <= size; i += 32) {
    const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + i));
    const __m256i hit = _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(text, p0), _mm256_cmpeq_epi8(text, p1)),
                                        _mm256_or_si256(_mm256_cmpeq_epi8(text, p2), _mm256_cmpeq_epi8(text, p3)));
    const auto hits = static_cast<std::uint32_t>(_mm256_movemask_epi8(hit));
    if (hits != 0) return i + static_cast<std::size_t>(std::countr_zero(hits));
  }
  const std::size_t rest = kScalar.find_any(data + i, size - i, bytes);
  return rest == kNone ? kNone : i + rest;
}

/// Takes `state` over one block; bit i of the result: byte i is a newline outside quotes.
/// Parity of the quotes gives the same as the state machine as long as each quote that opens stands where a field
/// starts or right behind another quote; a block where one does not, or with an escape, goes byte by byte.
PENSTOCK_AVX2 inline std::uint64_t csv_block(const char* data, CsvMarks marks, __m256i newline, __m256i quote,
                                             __m256i delimiter, __m256i escape, CsvState& state) noexcept {
  const Block block = load(data);
  const std::uint64_t n = equal(block, newline);
  const std::uint64_t q = equal(block, quote);
  const std::uint64_t d = equal(block, delimiter);
  const std::uint64_t e = marks.escape == '\0' ? 0 : equal(block, escape);
  const std::uint64_t before = state == CsvState::quoted ? ~std::uint64_t{0} : 0;
  const std::uint64_t inside = prefix_xor(q) ^ before;
  const bool may_open = state == CsvState::field_start || state == CsvState::quote_in_quoted;
  const std::uint64_t openers = q & inside;
  const std::uint64_t allowed = ((n | d | q) << 1) | (may_open ? 1 : 0);
  const bool irregular =
      (openers & ~allowed) != 0 || e != 0 || state == CsvState::escaped || state == CsvState::escaped_in_quotes;
  if (irregular) [[unlikely]] {
    std::uint64_t ends = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      if (csv_step(data[i], marks, state)) ends |= std::uint64_t{1} << i;
    }
    return ends;
  }
  if ((inside >> 63) != 0) {
    state = CsvState::quoted;
  } else if (((n | d) >> 63) != 0) {
    state = CsvState::field_start;
  } else {
    state = (q >> 63) != 0 ? CsvState::quote_in_quoted : CsvState::unquoted;
  }
  return n & ~inside;
}

PENSTOCK_AVX2 std::size_t csv_last_end_avx2(const char* data, std::size_t size, CsvMarks marks,
                                            CsvState& state) noexcept {
  const __m256i newline = _mm256_set1_epi8('\n');
  const __m256i quote = _mm256_set1_epi8(marks.quote);
  const __m256i delimiter = _mm256_set1_epi8(marks.delimiter);
  const __m256i escape = _mm256_set1_epi8(marks.escape);
  std::size_t last = kNone;
  std::size_t i = 0;
  for (; i + kBlock <= size; i += kBlock) {
    const std::uint64_t ends = csv_block(data + i, marks, newline, quote, delimiter, escape, state);
    if (ends != 0) last = i + 63 - static_cast<std::size_t>(std::countl_zero(ends));
  }
  const std::size_t rest = kScalar.csv_last_end(data + i, size - i, marks, state);
  return rest == kNone ? last : i + rest;
}

PENSTOCK_AVX2 std::size_t csv_first_end_avx2(const char* data, std::size_t size, CsvMarks marks,
                                             CsvState& state) noexcept {
  const __m256i newline = _mm256_set1_epi8('\n');
  const __m256i quote = _mm256_set1_epi8(marks.quote);
  const __m256i delimiter = _mm256_set1_epi8(marks.delimiter);
  const __m256i escape = _mm256_set1_epi8(marks.escape);
  std::size_t i = 0;
  for (; i + kBlock <= size; i += kBlock) {
    const std::uint64_t ends = csv_block(data + i, marks, newline, quote, delimiter, escape, state);
    if (ends != 0) {
      state = CsvState::field_start;
      return i + static_cast<std::size_t>(std::countr_zero(ends));
    }
  }
  const std::size_t rest = kScalar.csv_first_end(data + i, size - i, marks, state);
  return rest == kNone ? kNone : i + rest;
}

constinit const Kernels kAvx2{"avx2", count_avx2, find_last_avx2, find_any_avx2, csv_last_end_avx2, csv_first_end_avx2};

}  // namespace

const Kernels* avx2_kernels() noexcept { return has_avx2_kernels() ? &kAvx2 : nullptr; }

}  // namespace penstock::simd

#else

namespace penstock::simd {
const Kernels* avx2_kernels() noexcept { return nullptr; }
}  // namespace penstock::simd

#endif
