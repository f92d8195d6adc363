#include "format/csv_index.h"

#include <algorithm>
#include <bit>

#include "io/chunk.h"
#if defined(__x86_64__)
#include "simd/cpu.h"
#endif

namespace penstock::format {
namespace {

constexpr std::size_t kBlock = 64;
static_assert(io::kPadding >= kBlock, "the last block is read whole");
constexpr std::size_t kLeastWindow = 1024;
constexpr std::size_t kMostWindow = 16 * 1024;

/// Bit i: parity of the bits 0..i.
std::uint64_t prefix_xor(std::uint64_t bits) noexcept {
  for (unsigned shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
  return bits;
}

}  // namespace

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
  records_ = 0;
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
  records_ = 0;
  broken_.clear();
  window_begin_ = static_cast<std::uint32_t>(record_begin_);
  while (records_ == 0 && record_begin_ < text_.size()) {
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
    if (ends_.size() < field_count_ + 1 + kCsvLanes) ends_.resize(field_count_ + 1 + kCsvLanes);
    ends_[field_count_++] = static_cast<std::uint32_t>(text_.size());
    end_record();
    record_begin_ = text_.size();
  }
  return records_ > 0;
}

void CsvIndex::end_record() {
  if (record_ends_.size() <= records_) record_ends_.resize(records_ * 2 + 1);
  record_ends_[records_++] = static_cast<std::uint32_t>(field_count_);
  record_fields_ = field_count_;
}

/// Where fields and records end in `blocks` blocks, by their masks, which are without what lies behind the text.
/// Returns how many blocks it could tell: in the next one the records must be cut slowly.
[[gnu::always_inline]] inline std::size_t CsvIndex::walk_masks(std::size_t blocks) {
  const bool quotes = dialect_.quote != '\0';
  auto inside = inside_;
  auto field_start = field_start_;
  auto lines = lines_;
  auto fields = static_cast<std::uint32_t>(field_count_);
  auto* record_end = record_ends_.data() + records_;
  const CsvMasks* const masks = masks_.data();
  auto* const all_cuts = cuts_.data();
  std::size_t b = 0;
  for (; b < blocks; ++b) {
    auto newlines = masks[b].newlines;
    auto cuts = masks[b].delimiters | newlines;
    const auto quote = quotes ? masks[b].quotes : 0;
    const auto all_newlines = newlines;
    if ((quote | inside) != 0) {
      const auto within = prefix_xor(quote) ^ inside;  // with the opening quotes, without the closing ones
      newlines &= ~within;
      cuts &= ~within;
      // Parity is right as long as each quote that opens stands at the start of a field or right behind another one.
      const auto closing = quote & ~within;
      const auto may_open = (cuts | closing) << 1 | field_start;
      if ((quote & within & ~may_open) != 0) [[unlikely]]
        break;
      field_start = (cuts | closing) >> 63;
      inside = static_cast<std::uint64_t>(static_cast<std::int64_t>(within) >> 63);
    } else {
      field_start = cuts >> 63;
    }
    lines += static_cast<unsigned>(std::popcount(all_newlines));
    all_cuts[b] = cuts;
    if (newlines != 0) {
      record_begin_ = position_ + b * kBlock + 64 - static_cast<std::size_t>(std::countl_zero(newlines));
      do {
        const auto upto = newlines ^ (newlines - 1);  // the lowest bit and all below
        *record_end++ = fields + static_cast<std::uint32_t>(std::popcount(cuts & upto));
        newlines &= newlines - 1;
      } while (newlines != 0);
      record_fields_ = record_end[-1];
    }
    fields += static_cast<std::uint32_t>(std::popcount(cuts));
  }
  inside_ = inside;
  field_start_ = field_start;
  lines_ = lines;
  records_ = static_cast<std::size_t>(record_end - record_ends_.data());
  field_count_ = fields;
  return b;
}

#if defined(__x86_64__)
// The same with instructions that count bits, which the baseline lacks.
__attribute__((target("popcnt,bmi,lzcnt"))) std::size_t CsvIndex::walk_masks_popcnt(std::size_t blocks) {
  return walk_masks(blocks);
}
#endif

void CsvIndex::walk(std::size_t blocks) {
  if (masks_.size() < blocks) {
    masks_.resize(kMostWindow / kBlock);
    cuts_.resize(kMostWindow / kBlock);
  }
  const auto needed = field_count_ + blocks * kBlock + kBlock + kCsvLanes;
  if (ends_.size() < needed) ends_.resize(needed * 2);
  if (record_ends_.size() < records_ + blocks * kBlock) record_ends_.resize(records_ + blocks * kBlock);
  // Without a quote character the newline's mask stands in for it and is not looked at.
  const bool quotes = dialect_.quote != '\0';
  kernels_->masks(text_.data() + position_, blocks, dialect_.delimiter, quotes ? dialect_.quote : '\n', masks_.data());
  if (const auto left = text_.size() - position_; left < blocks * kBlock) {
    const auto valid = (std::uint64_t{1} << left % kBlock) - 1;
    auto& last = masks_[blocks - 1];
    last.delimiters &= valid;
    last.newlines &= valid;
    last.quotes &= valid;
  }
  auto* const ends = ends_.data() + field_count_;
#if defined(__x86_64__)
  static const bool kCounts = simd::has_avx2_kernels();
  const auto done = kCounts ? walk_masks_popcnt(blocks) : walk_masks(blocks);
#else
  const auto done = walk_masks(blocks);
#endif
  kernels_->positions(cuts_.data(), done, static_cast<std::uint32_t>(position_), ends);
  position_ += done * kBlock;
  counted_to_ = std::min(position_, text_.size());
  window_bytes_ = std::min(window_bytes_ * 2, kMostWindow);
  if (done < blocks) {
    cut_slowly();
    window_bytes_ = kLeastWindow;
  }
}

void CsvIndex::cut_slowly() {
  slow_ends_.clear();
  const auto cut = cut_record(text_, record_begin_, dialect_, slow_ends_);
  field_count_ = record_fields_;
  if (cut.open) {
    broken_.push_back({static_cast<std::uint32_t>(records_), static_cast<std::uint32_t>(cut.at)});
    slow_ends_.push_back(static_cast<std::uint32_t>(cut.end));
  }
  // As the fast path leaves it: the record's end is that of its line, with the '\r'.
  slow_ends_.back() = static_cast<std::uint32_t>(cut.end);
  if (const auto needed = field_count_ + slow_ends_.size() + kCsvLanes; ends_.size() < needed) ends_.resize(needed * 2);
  std::copy(slow_ends_.begin(), slow_ends_.end(), ends_.begin() + static_cast<std::ptrdiff_t>(field_count_));
  field_count_ += slow_ends_.size();
  end_record();
  record_begin_ = position_ = std::min(cut.end + 1, text_.size());
  inside_ = 0;
  field_start_ = 1;
  count_lines_to(position_);
}

}  // namespace penstock::format
