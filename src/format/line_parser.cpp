#include "format/line_parser.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>

#include "format/line_kernels.h"
#include "format/line_work.h"

namespace penstock::format {
namespace {

using data::Limits;
using data::Series;
using data::Type;

// Prepared shapes are dropped when there are more: input whose every line has other fields must not fill the memory.
constexpr std::size_t kMostPlans = 16'384;

}  // namespace

std::int64_t system_time() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::optional<TimeUnit> time_unit_from_name(std::string_view name) noexcept {
  if (name == "h") return TimeUnit::hours;
  if (name == "m") return TimeUnit::minutes;
  if (name == "s") return TimeUnit::seconds;
  if (name == "ms") return TimeUnit::milliseconds;
  if (name == "us") return TimeUnit::microseconds;
  if (name == "ns" || name == "none") return TimeUnit::nanoseconds;
  return std::nullopt;
}

LineParser::LineParser(schema::Registry& registry, LineOptions options) {
  if (!options.clock) options.clock = system_time;
  work_ = std::make_unique<Work>(registry, std::move(options));
}
LineParser::~LineParser() = default;

void LineParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  if (!chunk.oversized) work_->parse(chunk, rows);
}

void LineParser::Work::parse(const io::Chunk& chunk, data::RowSet& rows) {
  rows_ = &rows;
  source_ = chunk.source;
  chunk_offset_ = chunk.offset;
  missed_ = nullptr;
  rows.set_time_unit(data::Precision::nanoseconds);
  ++epoch_;
  if (plans_.size() > kMostPlans || parts_ > 4 * kMostPlans) {
    parts_ = 0;
    for (auto& memory : memory_) memory.plan = memory.other = nullptr;
    widest_.clear();
    kins_.forget_checks();
    plans_by_signature_.clear();
    plans_by_sorted_.clear();
    plans_.clear();
  }
  // However the chunk ends, the shapes must tell the truth about the rows that are in.
  struct Closer {
    Work& work;
    ~Closer() { close_shapes(work.open_plans_, *work.rows_); }
  } const closer{*this};
  walk_.over(
      chunk.text, chunk.offset == 0, {options_.payload_rules, options_.predict}, rows,
      [this](const char* line, const char* end, std::size_t offset) {
        if (options_.wide)
          if (const char* const next = wide_line(line, end, offset)) return next;
        return predicted_line(line, end, offset);
      },
      [this](const char* line, const char* end, std::size_t offset) { general_line(line, end, offset); });
}

// --- the hot path: lines like those before ---

inline bool ends_value(char c) noexcept { return c == ',' || c == ' ' || c == '\n'; }

[[gnu::always_inline]] inline const char* LineParser::Work::predicted_value(const LineFieldPlan& field, const char* p,
                                                                            data::Slot& slot) {
  const char* const begin = p;
  switch (field.kind) {
    case LineKind::signed_integer: {
      const bool negative = *p == '-';
      std::uint64_t magnitude = 0;
      unsigned digits = 0;
      p = read_digits(p + negative, magnitude, digits);
      const auto value = negative ? -static_cast<std::int64_t>(magnitude) : static_cast<std::int64_t>(magnitude);
      if (digits - 1 < 18 && value >= field.least && value <= field.most &&
          ((load4(p) ^ field.suffix) & field.suffix_mask) == 0 && ends_value(p[field.suffix_bytes])) [[likely]] {
        slot = data::slot_of(value);
        return p + field.suffix_bytes;
      }
      break;
    }
    case LineKind::unsigned_integer: {
      std::uint64_t value = 0;
      unsigned digits = 0;
      p = read_digits(p, value, digits);
      if (digits - 1 < 18 && value <= static_cast<std::uint64_t>(field.most) &&
          ((load4(p) ^ field.suffix) & field.suffix_mask) == 0 && ends_value(p[field.suffix_bytes])) [[likely]] {
        slot = value;
        return p + field.suffix_bytes;
      }
      break;
    }
    case LineKind::float64: {
      double value = 0;
      p = read_plain_double(p, value);
      if (p == nullptr) p = read_long_double(begin, value);
      if (p != nullptr && ((load4(p) ^ field.suffix) & field.suffix_mask) == 0 && ends_value(p[field.suffix_bytes]))
          [[likely]] {
        slot = data::slot_of(value);
        return p + field.suffix_bytes;
      }
      break;
    }
    case LineKind::boolean: {
      const char c = static_cast<char>(*p | 0x20);
      if (ends_value(p[1]) && (c == 't' || c == 'f')) {
        slot = c == 't';
        return p + 1;
      }
      constexpr std::uint32_t kTrue = 0x65757274, kFals = 0x736C6166;
      if (load4(p) == kTrue && ends_value(p[4])) {
        slot = 1;
        return p + 4;
      }
      if (load4(p) == kFals && p[4] == 'e' && ends_value(p[5])) {
        slot = 0;
        return p + 5;
      }
      break;
    }
    case LineKind::nchar:
      if ((*p | 0x20) != 'l') break;
      ++p;
      [[fallthrough]];
    case LineKind::text: {
      if (*p != '"') break;
      const char* const stop = find_string_end(++p);
      if (*stop != '"' || !ends_value(stop[1])) break;
      const std::string_view text(p, static_cast<std::size_t>(stop - p));
      const bool wide = field.kind == LineKind::nchar;
      if (text.size() > (wide ? Limits::nchar : Limits::varchar) || (wide && !is_valid_utf8(text))) break;
      slot = rows_->add_text(text);
      return stop + 1;
    }
    case LineKind::other: break;
  }
  return scanned_value(field, begin, slot);
}

/// Parses the line when it has the series, fields and types that it should have. Returns the start of the next line, or
/// nullptr: nothing was kept, the general path must look at it.
const char* LineParser::Work::predicted_line(const char* line, const char* end, std::size_t offset) {
  const char* p = line;
  Series* const series = predicted_series(p, end);
  if (series == nullptr) [[unlikely]]
    return missed_ == line ? kin_line(line, end, offset) : nullptr;
  auto& memory = memory_[series->id];
  LinePlan* plan = memory.plan;
  if (plan == nullptr) [[unlikely]] {
    LinePlan* const widest = widest_of(*series->child->table);
    if (widest == nullptr || names_collide(*series, *widest)) return nullptr;
    plan = memory.plan = widest;
  }
  if (memory.next != nullptr) {
    // The registry lays the raw bytes behind the head of a series.
    const auto* const next = reinterpret_cast<const char*>(memory.next);
    for (std::size_t at = 0; at < 256; at += 64) __builtin_prefetch(next + at);
  }

  if (has_wide(*plan) && line != tried_)
    if (const char* const next = wide_fields(line, p, offset, series, memory)) return next;

  do ++p;
  while (*p == ' ');
  auto* row = rows_->begin_row(plan->row_bytes);
  const char* after = predicted_fields(plan, p, end, row->slots());
  if (after == nullptr) [[unlikely]] {
    if (memory.other == nullptr) return nullptr;
    std::swap(memory.plan, memory.other);
    plan = memory.plan;
    row = rows_->begin_row(plan->row_bytes);
    after = predicted_fields(plan, p, end, row->slots());
    if (after == nullptr) return nullptr;
  }
  std::int64_t time = 0;
  const char* line_end = nullptr;
  const char* const next = predicted_time(after, offset, time, line_end);
  if (next == nullptr || time < options_.range.first || time > options_.range.last) [[unlikely]]
    return nullptr;
  finish(row, series, *plan, time, offset, static_cast<std::size_t>(line_end - line));
  if (plan != memory.plan) [[unlikely]]
    note_part(memory, plan);
  return next;
}

/// Reads the fields of the plan and no other. `plan` becomes another one where some of the fields are not there.
/// Returns where they end, or nullptr.
inline const char* LineParser::Work::predicted_fields(LinePlan*& plan, const char* p, const char* end,
                                                      data::Slot* slots) {
  const LineFieldPlan* const first = plan->fields.data();
  const std::size_t count = plan->fields.size();
  for (std::size_t i = 0;;) {
    const auto& field = first[i];
    if (!field.matches(p, end - p)) [[unlikely]]
      return scattered_fields(plan, i, p, end, slots);
    p = any_value(field, p + field.key_bytes, slots[i]);
    if (p == nullptr) [[unlikely]]
      return nullptr;
    if (++i == count) break;
    if (*p != ',') [[unlikely]]
      return scattered_fields(plan, i, p, end, slots);
    ++p;
  }
  return *p == ',' ? nullptr : p;
}

/// The same where the fields from the `at`th on stand in another order or some are missing. `p`: at the next key, or at
/// the blank behind the last value.
const char* LineParser::Work::scattered_fields(LinePlan*& plan, std::size_t at, const char* p, const char* end,
                                               data::Slot* slots) {
  const LinePlan& whole = *plan;
  const LineFieldPlan* const fields = whole.fields.data();
  const std::size_t count = whole.fields.size();
  auto& seen = plan->seen;
  for (std::size_t word = 0; word < seen.size(); ++word)
    seen[word] = at >= (word + 1) * 64 ? ~std::uint64_t{0}
                 : at <= word * 64     ? 0
                                       : (std::uint64_t{1} << (at - word * 64)) - 1;
  std::size_t met = at;
  bool ordered = true;
  for (std::size_t i = at + 1; *p != ' ' && *p != '\n'; ++i) {
    // Most often the next one of the plan, or the one behind that; not where fields stand in any order.
    if (ordered && i < count && fields[i].matches(p, end - p)) {
    } else if (ordered && i + 1 < count && fields[i + 1].matches(p, end - p)) {
      ++i;
    } else {
      i = whole.find(p, end - p);
      ordered = false;
    }
    if (i == LinePlan::kNone) return nullptr;
    const auto bit = std::uint64_t{1} << (i % 64);
    auto& word = seen[i / 64];
    if ((word & bit) != 0) return nullptr;
    word |= bit;
    const auto& field = fields[i];
    p = predicted_value(field, p + field.key_bytes, slots[i]);
    if (p == nullptr) return nullptr;
    ++met;
    if (*p != ',') break;
    if (*++p == ' ') return nullptr;
  }
  if (met == count) return *p == ',' ? nullptr : p;
  if (seen.size() != 1 || *p == ',') return nullptr;
  auto* const part = whole.part(seen[0]);
  if (part == nullptr) return nullptr;
  std::size_t to = 0;
  for (auto left = seen[0]; left != 0; left &= left - 1) slots[to++] = slots[std::countr_zero(left)];
  plan = part;
  return p;
}

/// The series of the line at `p`, which is left at the blank behind it.
inline Series* LineParser::Work::predicted_series(const char*& p, const char* end) {
  Series* follower = nullptr;
  if (last_series_ != kNoSeries) [[likely]] {
    follower = memory_[last_series_].next;
    if (follower != nullptr) {
      const auto raw = follower->raw;
      // A registered series ends at a live blank: so does this one where the bytes are the same.
      if (end - p > static_cast<std::ptrdiff_t>(raw.size()) && p[raw.size()] == ' ' &&
          std::memcmp(p, raw.data(), raw.size()) == 0 && *p != '#')
        return p += raw.size(), follower;
    }
  }
  const char* stop = find_blank(p);
  while (*stop == ' ' && is_escaped(p, stop)) stop = find_blank(stop + 1);
  if (*stop != ' ' || *p == '#') return nullptr;
  const std::string_view raw(p, static_cast<std::size_t>(stop - p));
  const auto hash = hash_bytes(raw);
  Series* const series = registry_.find(hash, raw);
  if (series == nullptr) [[unlikely]] {
    missed_ = p;
    missed_raw_ = raw;
    missed_hash_ = hash;
    return nullptr;
  }
  if (series->id >= memory_.size()) return nullptr;
  if (last_series_ != kNoSeries) memory_[last_series_].next = series;
  p = stop;
  return series;
}

/// The same for a line whose series is new (predicted_series() missed it) and differs from one that came before in the
/// values of its tags only. The series is entered once the line is known to be good.
const char* LineParser::Work::kin_line(const char* line, const char* end, std::size_t offset) {
  const char* p = line + missed_raw_.size();
  kin_ = kins_.find(missed_raw_);
  if (kin_ == nullptr) return nullptr;
  LinePlan* plan = widest_of(*kin_->table());
  if (plan == nullptr || !goes_with(*kin_, *plan)) return nullptr;
  Memory memory;
  memory.plan = plan;
  if (has_wide(*plan))
    if (const char* const next = wide_fields(line, p, offset, nullptr, memory)) return next;
  do ++p;
  while (*p == ' ');
  auto* const row = rows_->begin_row(plan->row_bytes);
  const char* const after = predicted_fields(plan, p, end, row->slots());
  if (after == nullptr) return nullptr;
  std::int64_t time = 0;
  const char* line_end = nullptr;
  const char* const next = predicted_time(after, offset, time, line_end);
  if (next == nullptr || time < options_.range.first || time > options_.range.last) return nullptr;
  if (plan != memory.plan) note_part(memory, plan);
  finish(row, enter_kin(memory), *plan, time, offset, static_cast<std::size_t>(line_end - line));
  return next;
}

/// As names_collide(), for a series that is not there yet.
bool LineParser::Work::goes_with(SeriesKin& kin, const LinePlan& plan) const {
  if (kin.checked == &plan) return true;
  const auto& tags = kin.layout().parts;
  if (tags.size() + plan.names.size() + 1 > Limits::columns) return false;
  for (const auto& tag : tags)
    for (const auto& field : plan.names)
      if (field.name == tag.name) return false;
  kin.checked = &plan;
  return true;
}

/// The same as one function: it is long.
const char* LineParser::Work::any_value(const LineFieldPlan& field, const char* p, data::Slot& slot) {
  return predicted_value(field, p, slot);
}

/// A value in an unusual spelling: the general rules; nullptr unless it has the predicted type.
const char* LineParser::Work::scanned_value(const LineFieldPlan& field, const char* p, data::Slot& slot) {
  const char* end = find_newline(p);
  if (!options_.payload_rules && end > p && end[-1] == '\r') --end;
  LineValue value;
  LineError error;
  scanner_.images().clear();
  const char* const stop = scanner_.scan_value(p, end, value, error);
  if (stop == nullptr || value.type != field.type) return nullptr;
  if (!data::is_variable(field.type)) {
    slot = value.slot;
    return stop;
  }
  if (field.type == Type::nchar && !is_valid_utf8(value.content)) return nullptr;
  value.write(rows_->begin_text(value.bytes), scanner_.images());
  slot = rows_->commit_text(value.bytes);
  return stop;
}

std::uint32_t LineParser::Work::shape_of(LinePlan& plan) {
  std::vector<data::Field> fields;
  fields.reserve(plan.names.size());
  for (const auto& field : plan.names) fields.push_back({rows_->add_name(field.name), field.type});
  return open_shape(plan, fields, epoch_, open_plans_, *rows_);
}

}  // namespace penstock::format
