#include "format/csv_index.h"

#include <algorithm>
#include <bit>

#include "io/chunk.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace penstock::format {
namespace {

constexpr std::size_t kBlock = 64;
static_assert(io::kPadding >= kBlock, "the last block is read whole");
constexpr std::size_t kLeastWindow = 1024;
constexpr std::size_t kMostWindow = 16 * 1024;

#if defined(__x86_64__)
inline std::uint64_t equal16(const char* text, __m128i pattern) noexcept {
  std::uint64_t bits = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + 16 * i));
    bits |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, pattern))))
            << (16 * i);
  }
  return bits;
}

void csv_masks_sse2(const char* text, std::size_t blocks, char delimiter, char quote, CsvMasks* masks) noexcept {
  const __m128i d = _mm_set1_epi8(delimiter);
  const __m128i n = _mm_set1_epi8('\n');
  const __m128i q = _mm_set1_epi8(quote);
  for (std::size_t b = 0; b < blocks; ++b, text += kBlock)
    masks[b] = {equal16(text, d), equal16(text, n), equal16(text, q)};
}

__attribute__((target("avx2"))) inline std::uint64_t equal32(__m256i low, __m256i high, __m256i pattern) noexcept {
  const auto l = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, pattern)));
  const auto h = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, pattern)));
  return l | static_cast<std::uint64_t>(h) << 32;
}

__attribute__((target("avx2"))) void csv_masks_avx2(const char* text, std::size_t blocks, char delimiter, char quote,
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
#endif

/// Bit i: parity of the bits 0..i.
std::uint64_t prefix_xor(std::uint64_t bits) noexcept {
  for (unsigned shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
  return bits;
}

}  // namespace

void csv_masks_scalar(const char* text, std::size_t blocks, char delimiter, char quote, CsvMasks* masks) noexcept {
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

std::vector<CsvMaskKernel> csv_mask_kernels() {
  std::vector<CsvMaskKernel> kernels{csv_masks_scalar};
#if defined(__x86_64__)
  kernels.push_back(csv_masks_sse2);
  if (__builtin_cpu_supports("avx2")) kernels.push_back(csv_masks_avx2);
#endif
  return kernels;
}

CsvMaskKernel csv_mask_kernel() noexcept {
#if defined(__x86_64__)
  static const CsvMaskKernel kBest = __builtin_cpu_supports("avx2") ? csv_masks_avx2 : csv_masks_sse2;
  return kBest;
#else
  return csv_masks_scalar;
#endif
}

void CsvIndex::start(std::string_view text, const Dialect& dialect) {
  text_ = text;
  dialect_.delimiter = dialect.delimiter;
  dialect_.quote = dialect.quote;
  dialect_.escape = dialect.escape;
  slow_ = dialect.escape != '\0';
  position_ = record_begin_ = field_count_ = record_fields_ = counted_to_ = 0;
  window_bytes_ = kMostWindow;
  inside_ = 0;
  field_start_ = 1;
  lines_ = 0;
  record_ends_.clear();
  broken_.clear();
}

void CsvIndex::count_lines_to(std::size_t position) {
  const auto between = [&](std::size_t from, std::size_t to) {
    return static_cast<std::uint64_t>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(from),
                                                 text_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
  };
  if (position >= counted_to_) lines_ += between(counted_to_, position);
  else lines_ -= between(position, counted_to_);
  counted_to_ = position;
}

bool CsvIndex::next() {
  // What is known of the unfinished record moves to the front.
  std::copy(ends_.begin() + static_cast<std::ptrdiff_t>(record_fields_),
            ends_.begin() + static_cast<std::ptrdiff_t>(field_count_), ends_.begin());
  field_count_ -= record_fields_;
  record_fields_ = 0;
  record_ends_.clear();
  broken_.clear();
  window_begin_ = static_cast<std::uint32_t>(record_begin_);
  while (record_ends_.empty() && record_begin_ < text_.size()) {
    if (slow_) {
      const auto until = record_begin_ + kMostWindow;
      while (record_begin_ < text_.size() && record_begin_ < until) cut_slowly();
      continue;
    }
    if (position_ < text_.size()) {
      const auto bytes = std::min(window_bytes_, text_.size() - position_);
      walk((bytes + kBlock - 1) / kBlock);
      continue;
    }
    // The end: a record without newline, or a quote without end.
    if (inside_ != 0) {
      cut_slowly();
      continue;
    }
    if (ends_.size() < field_count_ + 1) ends_.resize(field_count_ + 1);
    ends_[field_count_++] = static_cast<std::uint32_t>(text_.size());
    record_ends_.push_back(static_cast<std::uint32_t>(field_count_));
    record_fields_ = field_count_;
    record_begin_ = text_.size();
  }
  return !record_ends_.empty();
}

[[gnu::always_inline]] inline void CsvIndex::walk_masks(std::size_t blocks) {
  const bool quotes = dialect_.quote != '\0';
  auto* const ends = ends_.data();
  for (std::size_t b = 0; b < blocks; ++b) {
    const auto base = static_cast<std::uint32_t>(position_);
    auto newlines = masks_[b].newlines;
    auto delimiters = masks_[b].delimiters;
    auto quote = quotes ? masks_[b].quotes : 0;
    const auto left = text_.size() - position_;
    if (left < kBlock) [[unlikely]] {
      const auto valid = (std::uint64_t{1} << left) - 1;
      newlines &= valid;
      delimiters &= valid;
      quote &= valid;
    }
    const auto all_newlines = newlines;
    std::uint64_t cuts = delimiters | newlines;
    if ((quote | inside_) != 0) {
      const auto within = prefix_xor(quote) ^ inside_;  // with the opening quotes, without the closing ones
      newlines &= ~within;
      cuts &= ~within;
      // Parity is right as long as each quote that opens stands at the start of a field or right behind another one.
      const auto closing = quote & ~within;
      const auto may_open = (cuts | closing) << 1 | field_start_;
      if ((quote & within & ~may_open) != 0) [[unlikely]] {
        cut_slowly();
        window_bytes_ = kLeastWindow / 2;
        return;
      }
      field_start_ = (cuts | closing) >> 63;
      inside_ = static_cast<std::uint64_t>(static_cast<std::int64_t>(within) >> 63);
    } else {
      field_start_ = cuts >> 63;
    }
    lines_ += static_cast<unsigned>(std::popcount(all_newlines));
    for (auto rest = newlines; rest != 0; rest &= rest - 1) {
      const auto upto = rest ^ (rest - 1);  // the lowest bit and all below
      record_ends_.push_back(static_cast<std::uint32_t>(field_count_) +
                             static_cast<std::uint32_t>(std::popcount(cuts & upto)));
    }
    if (newlines != 0) {
      record_begin_ = position_ + 64 - static_cast<std::size_t>(std::countl_zero(newlines));
      record_fields_ = record_ends_.back();
    }
    const auto count = static_cast<std::size_t>(std::popcount(cuts));
    auto* out = ends + field_count_;
    field_count_ += count;
    // Eight at a time whether there are so many or not: the loop's end is then seldom a surprise.
    for (std::size_t done = 0; done < count; done += 8) {
      for (int i = 0; i < 8; ++i) {
        *out++ = base + static_cast<std::uint32_t>(std::countr_zero(cuts));
        cuts &= cuts - 1;
      }
    }
    position_ += kBlock;
    counted_to_ = std::min(position_, text_.size());
  }
}

#if defined(__x86_64__)
// The same with instructions that count bits, which the baseline lacks.
__attribute__((target("popcnt,bmi"))) void CsvIndex::walk_masks_popcnt(std::size_t blocks) { walk_masks(blocks); }
#endif

void CsvIndex::walk(std::size_t blocks) {
  if (masks_.size() < blocks) masks_.resize(kMostWindow / kBlock);
  const auto needed = field_count_ + blocks * kBlock + 16;
  if (ends_.size() < needed) ends_.resize(needed * 2);
  // Without a quote character the newline's mask stands in for it and is not looked at.
  const bool quotes = dialect_.quote != '\0';
  csv_mask_kernel()(text_.data() + position_, blocks, dialect_.delimiter, quotes ? dialect_.quote : '\n',
                    masks_.data());
#if defined(__x86_64__)
  static const bool kCounts = __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi");
  if (kCounts) walk_masks_popcnt(blocks);
  else walk_masks(blocks);
#else
  walk_masks(blocks);
#endif
  window_bytes_ = std::min(window_bytes_ * 2, kMostWindow);
}

void CsvIndex::cut_slowly() {
  slow_ends_.clear();
  const auto cut = cut_record(text_, record_begin_, dialect_, slow_ends_);
  field_count_ = record_fields_;
  if (cut.open) {
    broken_.push_back({static_cast<std::uint32_t>(record_ends_.size()), static_cast<std::uint32_t>(cut.at)});
    slow_ends_.push_back(static_cast<std::uint32_t>(cut.end));
  }
  // As the fast path leaves it: the record's end is that of its line, with the '\r'.
  slow_ends_.back() = static_cast<std::uint32_t>(cut.end);
  if (ends_.size() < field_count_ + slow_ends_.size()) ends_.resize((field_count_ + slow_ends_.size()) * 2);
  std::copy(slow_ends_.begin(), slow_ends_.end(), ends_.begin() + static_cast<std::ptrdiff_t>(field_count_));
  field_count_ += slow_ends_.size();
  record_ends_.push_back(static_cast<std::uint32_t>(field_count_));
  record_fields_ = field_count_;
  record_begin_ = position_ = std::min(cut.end + 1, text_.size());
  inside_ = 0;
  field_start_ = 1;
  count_lines_to(position_);
}

}  // namespace penstock::format
