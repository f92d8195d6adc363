#include "format/line_wide.h"

#include <algorithm>
#include <cstring>

#include "format/line_work.h"
#include "io/chunk.h"
#include "simd/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>

// Attributes and not -m flags: no inline function of a header may be compiled for a processor that nobody looked at.
#define PENSTOCK_AVX2 __attribute__((target("avx2,pclmul,bmi,bmi2,popcnt,lzcnt")))
#endif

namespace penstock::format {
namespace {

using data::Series;

static_assert(io::kPadding >= 64, "as much is looked at from behind a delimiter on, which may be the newline");
// No value is as long: all are read without AVX2.
constexpr std::size_t kOther = std::size_t{1} << 31;
// Everything up to it ends a value or a key; of ASCII '-', '.', digits, letters and '=' are above it.
constexpr char kLastDelimiter = ',';

bool is_plain(std::string_view key) {
  return std::all_of(key.begin(), key.end(), [](char c) { return static_cast<signed char>(c) > kLastDelimiter; });
}

}  // namespace

std::unique_ptr<LineWidePlan> make_wide_plan(const LinePlan& plan) {
  auto wide = std::make_unique<LineWidePlan>();
  std::size_t at = 0;
  std::size_t others = 0;
  for (std::size_t i = 0; i < plan.fields.size(); ++i) {
    const auto& field = plan.fields[i];
    const std::string key = (i == 0 ? " " : ",") + plan.spelling.substr(at, field.key_bytes);
    at += field.key_bytes;
    auto& to = wide->fields.emplace_back();
    if (key.size() > sizeof to.key || !is_plain(std::string_view(key).substr(1))) return nullptr;
    std::memcpy(to.key, key.data(), key.size());
    std::memset(to.key_mask, 0xFF, key.size());
    to.key_bytes = key.size();
    to.keep_cuts = i % 2 == 0 ? ~std::uint64_t{0} : 0;
    std::memset(to.zero, '0', sizeof to.zero);
    std::memset(to.most_over, 9, sizeof to.most_over);
    const std::size_t digits = sizeof to.zero - field.suffix_bytes;
    std::memcpy(to.zero + digits, &field.suffix, field.suffix_bytes);
    std::memset(to.most_over + digits, 0, field.suffix_bytes);
    for (std::size_t b = 0; b < sizeof to.align; ++b)
      to.align[b] = static_cast<char>(b < field.suffix_bytes ? 0x80 : b - field.suffix_bytes);
    to.least = field.least;
    to.most = field.most;
    const auto most_bytes = field.kind == LineKind::float64 ? 15 : sizeof to.zero;
    to.least_bytes = field.suffix_bytes + std::size_t{1};
    to.more_bytes = most_bytes - to.least_bytes;
    switch (field.kind) {
      case LineKind::signed_integer:
      case LineKind::unsigned_integer:
        to.kind = field.type == data::Type::bigint ? LineWideKind::integer : LineWideKind::narrow_integer;
        break;
      case LineKind::float64:
        to.kind = LineWideKind::floating;
        if (field.suffix_bytes != 0) to.least_bytes = kOther;
        break;
      default: to.least_bytes = kOther;
    }
    others += to.least_bytes == kOther;
  }
  // With few numbers it is not worth it.
  return others * 2 > wide->fields.size() ? nullptr : std::move(wide);
}

#if defined(__x86_64__)
bool has_wide_lines() noexcept { return simd::has_avx2_kernels(); }

namespace {

/// Constants and tables behind one pointer, whose value is hidden from the compiler: it would make the constants anew
/// for each value, or turn the comparisons into longer ones.
struct Tables {
  char above[32];        // one more than the last delimiter
  char zero[16];         // '0'
  char point[16];        // the decimal point, less '0'
  char nine[16];         // 9
  std::int16_t tens[8];  // factors that join digits to pairs
  std::int16_t hundreds[8];
  std::int16_t ten_thousands[8];
  unsigned char keep[32];  // from byte n on: 16 bytes with ones in the last n
  // By the place of the decimal point, 16 where there is none: closes the gap; the power of ten to divide by.
  unsigned char close[17][16];
  double divisor[17];
};
constexpr Tables make_tables() {
  Tables all{};
  for (auto& byte : all.above) byte = kLastDelimiter + 1;
  for (int i = 0; i < 16; ++i) {
    all.zero[i] = '0';
    all.point[i] = '.' - '0';
    all.nine[i] = 9;
    all.keep[16 + i] = 0xFF;
  }
  for (int i = 0; i < 8; ++i) {
    all.tens[i] = 10 | 1 << 8;
    all.hundreds[i] = i % 2 == 0 ? 100 : 1;
    all.ten_thousands[i] = i % 2 == 0 ? 10'000 : 1;
  }
  for (int at = 0; at <= 16; ++at) {
    for (int b = 0; b < 16; ++b)
      all.close[at][b] = static_cast<unsigned char>(at == 16 || b > at ? b : b == 0 ? 0x80 : b - 1);
    all.divisor[at] = at == 16 ? 1.0 : detail::kPow10Double[15 - at];
  }
  return all;
}
alignas(32) constexpr Tables kTables = make_tables();

inline const Tables& tables() noexcept {
  const Tables* all = &kTables;
  asm("" : "+r"(all));
  return *all;
}

PENSTOCK_AVX2 inline __m128i load16(const void* p) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
PENSTOCK_AVX2 inline __m256i load32(const void* p) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/// Bit i: p[i] is a delimiter.
PENSTOCK_AVX2 inline std::uint64_t delimiters(const char* p, const Tables& all) noexcept {
  const __m256i above = load32(all.above);
  const auto low = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpgt_epi8(above, load32(p))));
  const auto high = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpgt_epi8(above, load32(p + 32))));
  return low | static_cast<std::uint64_t>(high) << 32;
}

/// Sixteen digit values to two numbers of eight digits, the first in the lowest 32 bits.
PENSTOCK_AVX2 inline __m128i join_sixteen(__m128i digits, const Tables& all) noexcept {
  const __m128i pairs = _mm_maddubs_epi16(digits, load16(all.tens));
  const __m128i fours = _mm_madd_epi16(pairs, load16(all.hundreds));
  return _mm_madd_epi16(_mm_packus_epi32(fours, fours), load16(all.ten_thousands));
}

/// The field's key stands behind the blank at `before`, whatever delimiter it stood behind when the plan was made.
[[gnu::noinline]] bool stands_first(const LineWideField& field, const char* before) noexcept {
  return std::memcmp(before + 1, field.key + 1, field.key_bytes - 1) == 0;
}

PENSTOCK_AVX2 inline bool same_series(const char* p, std::string_view raw) noexcept {
  if (raw.size() < 32) return std::memcmp(p, raw.data(), raw.size()) == 0;
  const std::size_t last = raw.size() - 32;
  __m256i other = _mm256_xor_si256(load32(p + last), load32(raw.data() + last));
  for (std::size_t at = 0; at < last; at += 32)
    other = _mm256_or_si256(other, _mm256_xor_si256(load32(p + at), load32(raw.data() + at)));
  return _mm256_testz_si256(other, other) != 0;
}

}  // namespace

/// Reads the row whose fields begin behind the blank at `p`, and keeps it. Fields of the plan may be missing. `series`
/// nullptr: the new one of kin_. Returns the start of the next line, or nullptr: nothing was kept.
[[gnu::always_inline]] PENSTOCK_AVX2 inline const char* LineParser::Work::wide_row(const char* line, const char* p,
                                                                                   std::size_t offset, Series* series,
                                                                                   Memory& memory) {
  // Sixteen bytes are read that end with a value.
  if (offset < 16) [[unlikely]]
    return nullptr;
  LinePlan* plan = memory.plan;
  auto& wide = *plan->wide;
  const auto& all = tables();
  auto* const row = rows_->begin_row(plan->row_bytes);
  data::Slot* slot = row->slots();
  const char* before = p;
  const char* base = p;
  std::uint64_t cuts = 0;  // delimiters from `base` on, those behind `before`
  __m128i no_digit = _mm_setzero_si128();
  std::uint64_t missing = 0;
  std::uint32_t slow = 0;
  const LineWideField* const first = wide.fields.data();
  const LineWideField* const last = first + wide.fields.size();
  for (const LineWideField* field = first; field != last; ++field) {
    if (!_mm256_testz_si256(_mm256_xor_si256(load32(before), load32(field->key)), load32(field->key_mask)))
        [[unlikely]] {
      if (before != p || !stands_first(*field, before)) {
        missing |= std::uint64_t{1} << ((field - first) & 63);
        continue;
      }
    }
    if (cuts == 0) {
      base = before + 1;
      cuts = delimiters(base, all);
    }
    const char* const begin = before + field->key_bytes;
    const char* const stop = base + _tzcnt_u64(cuts);
    cuts = _blsr_u64(cuts) & field->keep_cuts;
    // Of the characters of a number '-' alone is below the point.
    const std::int64_t sign = (std::int64_t{static_cast<signed char>(*begin)} - '.') >> 63;
    const auto bytes = static_cast<std::size_t>(stop - begin + sign);
    __m128i values = load16(stop - 16);
    if (bytes - field->least_bytes > field->more_bytes) [[unlikely]]
      goto slowly;
    if (field->kind != LineWideKind::floating) {
      values = _mm_and_si128(_mm_sub_epi8(values, load16(field->zero)), load16(all.keep + bytes));
      no_digit = _mm_or_si128(no_digit, _mm_subs_epu8(values, load16(field->most_over)));
      const auto halves = static_cast<std::uint64_t>(
          _mm_cvtsi128_si64(join_sixteen(_mm_shuffle_epi8(values, load16(field->align)), all)));
      const auto magnitude = (halves & 0xFFFFFFFF) * 100'000'000 + (halves >> 32);
      const auto value = (static_cast<std::int64_t>(magnitude) ^ sign) - sign;
      if (field->kind == LineWideKind::narrow_integer && (value < field->least || value > field->most)) [[unlikely]]
        return nullptr;
      *slot = data::slot_of(value);
    } else {
      values = _mm_and_si128(_mm_sub_epi8(values, load16(all.zero)), load16(all.keep + bytes));
      const auto points = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(values, load16(all.point)))) | 0x10000;
      const unsigned point = _tzcnt_u32(points);
      if (point + bytes == 16) [[unlikely]]
        goto slowly;  // no digit before it
      values = _mm_shuffle_epi8(values, load16(all.close[point]));
      no_digit = _mm_or_si128(no_digit, _mm_subs_epu8(values, load16(all.nine)));
      const __m128d halves = _mm_cvtepi32_pd(join_sixteen(values, all));
      // At most fifteen digits: exact up to the division, which rounds once.
      const double mantissa = _mm_cvtsd_f64(halves) * 1e8 + _mm_cvtsd_f64(_mm_unpackhi_pd(halves, halves));
      *slot = data::slot_of(mantissa / all.divisor[point]) | static_cast<std::uint64_t>(sign) << 63;
    }
    ++slot;
    before = stop;
    continue;
  slowly:
    before = any_value(plan->fields[static_cast<std::size_t>(field - first)], begin, *slot);
    if (before == nullptr) return nullptr;
    ++slot;
    cuts = 0;
    slow += field->least_bytes != kOther;
  }
  if ((*before != ' ' && *before != '\n') || before == p || !_mm_testz_si128(no_digit, no_digit)) [[unlikely]]
    return nullptr;
  if (missing != 0) [[unlikely]] {
    if (last - first > 64) return nullptr;
    plan = plan->part(~missing & (~std::uint64_t{0} >> (64 - (last - first))));
    if (plan == nullptr) return nullptr;
  }

  const char* const stamp = before + 1;
  const char* line_end = stamp + 19;
  const char* next = line_end + 1;
  const std::uint64_t words[3] = {load8(stamp), load8(stamp + 8), load8(stamp + 11)};
  std::int64_t time = last_time_;
  if (*before != ' ' || *line_end != '\n' ||
      ((words[0] ^ last_stamp_[0]) | (words[1] ^ last_stamp_[1]) | (words[2] ^ last_stamp_[2])) != 0) {
    next = predicted_time(before, offset, time, line_end);
    if (next == nullptr || time < options_.range.first || time > options_.range.last) return nullptr;
    if (line_end - stamp == 19 && *stamp != ' ') {
      std::copy_n(words, 3, last_stamp_);
      last_time_ = time;
    }
  }
  ++wide.rows;
  if ((missing | slow) != 0) [[unlikely]] {
    if (slow * 2 > last - first) note_failure(*memory.plan);
    if (missing != 0) note_part(memory, plan);
  }
  if (series == nullptr) [[unlikely]]
    series = enter_kin(memory);
  finish(row, series, *plan, time, offset, static_cast<std::size_t>(line_end - line));
  return next;
}

/// Parses the line when its series is the one that should come and its plan a wide one.
PENSTOCK_AVX2 const char* LineParser::Work::wide_line(const char* line, const char* end, std::size_t offset) {
  if (last_series_ == kNoSeries) return nullptr;
  Series* const series = memory_[last_series_].next;
  if (series == nullptr) return nullptr;
  auto& memory = memory_[series->id];
  if (memory.plan == nullptr || memory.plan->wide == nullptr) return nullptr;
  const auto raw = series->raw;
  const char* const p = line + raw.size();
  if (end - line <= static_cast<std::ptrdiff_t>(raw.size()) || *p != ' ' || *line == '#') return nullptr;
  if (memory.next != nullptr) {
    // The registry lays the raw bytes behind the head of a series.
    const auto* const next = reinterpret_cast<const char*>(memory.next);
    for (std::size_t at = 0; at < 256; at += 64) __builtin_prefetch(next + at);
  }
  if (!same_series(line, raw)) return nullptr;
  const char* const next = wide_row(line, p, offset, series, memory);
  if (next == nullptr) [[unlikely]]
    tried_ = line, note_failure(*memory.plan);
  return next;
}

PENSTOCK_AVX2 const char* LineParser::Work::wide_fields(const char* line, const char* p, std::size_t offset,
                                                        Series* series, Memory& memory) {
  const char* const next = wide_row(line, p, offset, series, memory);
  if (next == nullptr) note_failure(*memory.plan);
  return next;
}
#else
bool has_wide_lines() noexcept { return false; }
const char* LineParser::Work::wide_line(const char*, const char*, std::size_t) { return nullptr; }
const char* LineParser::Work::wide_fields(const char*, const char*, std::size_t, Series*, Memory&) { return nullptr; }
#endif

/// Gives the wide reader up for fields whose values it seldom understands.
void LineParser::Work::note_failure(LinePlan& plan) {
  auto& wide = *plan.wide;
  if (++wide.failed < 64) return;
  if (wide.failed >= wide.rows) plan.wide.reset();
  else wide.failed = wide.rows = 0;
}

}  // namespace penstock::format
