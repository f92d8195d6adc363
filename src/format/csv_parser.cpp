#include "format/csv_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "base/text.h"
#include "format/csv_copy.h"
#include "format/csv_number.h"
#include "format/csv_steps.h"
#include "format/number.h"

namespace penstock::format {
namespace {

using data::Slot;
using data::Type;
using Role = CsvColumn::Role;

constexpr std::uint32_t kNoShape = 0xFFFFFFFF;
/// Series whose followers a parser remembers, at most: 2 MiB.
constexpr std::size_t kMostFollowers = std::size_t{1} << 18;
/// Neighbouring integers that are worth the kernel.
constexpr std::size_t kLeastBlock = 2;
/// "Timestamp data out of range", as the server answers to rows outside KEEP.
constexpr std::uint16_t kOutOfRange = 0x060B;

/// A number for all plans of this process that make the same series of the same bytes: a registry is shared by the
/// parsers of all sources, and the same tag fields under other columns mean another child table.
std::uint32_t plan_number(const std::string& image) {
  static std::mutex mutex;
  static std::map<std::string, std::uint32_t, std::less<>> numbers;
  const std::lock_guard lock(mutex);
  return numbers.try_emplace(image, static_cast<std::uint32_t>(numbers.size())).first->second;
}

std::string plan_image(const CsvPlan& plan) {
  std::string image;
  const auto add = [&](std::string_view text) {
    image += fmt::format("{}:", text.size());
    image += text;
  };
  add(plan.table);
  for (const char c : {plan.dialect.delimiter, plan.dialect.quote, plan.dialect.escape}) image += c;
  for (std::size_t c = 0; c < plan.columns.size(); ++c) {
    const auto& column = plan.columns[c];
    if (column.role != Role::tag && !column.names_child) continue;
    image += fmt::format("{}/{}/{}/{}/{}/", c, static_cast<int>(column.role), static_cast<int>(column.column.type),
                         column.column.precision, column.column.scale);
    add(column.column.name);
    add(column.time.text());
  }
  for (const auto& tag : plan.constant_tags) {
    image += fmt::format("{}/", static_cast<int>(tag.column.type));
    add(tag.column.name);
    add(tag.value);
  }
  for (const auto& part : plan.child_name) {
    add(part.text);
    image += fmt::format("{}/{}/", part.column ? static_cast<long>(*part.column) : -1L,
                         part.constant ? static_cast<long>(*part.constant) : -1L);
  }
  for (const auto& null : plan.nulls) add(null);
  add(plan.zone == nullptr ? std::string_view() : plan.zone->name());
  image += static_cast<char>(plan.time_unit);
  return image;
}

}  // namespace

CsvParser::CsvParser(schema::Registry& registry, const CsvPlan& plan, CsvOptions options)
    : registry_(registry), plan_(plan), options_(std::move(options)), nulls_first_(256, '\0') {
  table_ = registry_.table(plan.table);
  times_.reserve(plan.columns.size());
  for (std::size_t c = 0; c < plan.columns.size(); ++c) {
    const auto& column = plan.columns[c];
    Step step;
    step.column = &column;
    step.index = static_cast<std::uint32_t>(c);
    step.plain_quotes = plan.dialect.quote != '\0' && plan.dialect.escape == '\0';
    step.type = column.column.type;
    step.precision = column.column.precision;
    step.scale = column.column.scale;
    if (column.role != Role::ignored && step.type == Type::timestamp) {
      times_.emplace_back(column.time, plan.time_unit, plan.zone, plan.dst_gap, plan.dst_fold, plan.local_times);
      step.times = &times_.back();
    }
    if (column.role == Role::timestamp) step.how = plan.clock ? CsvHow::joined_time : CsvHow::time;
    if (column.role == Role::absent) step.how = CsvHow::absent;
    if (column.required) least_fields_ = c + 1;
    if (column.role == Role::tag || column.names_child) {
      if (!key_runs_.empty() && key_runs_.back().last + 1 == c) key_runs_.back().last = c;
      else key_runs_.push_back({c, c});
    }
    if (column.role == Role::field) {
      step.slot = static_cast<std::uint32_t>(fields_.size());
      fields_.push_back(c);
      step.how = CsvHow::other;
      const auto integer = [&](std::int64_t low, std::int64_t high) {
        step.how = CsvHow::integer;
        step.low = low;
        step.high = high;
      };
      switch (step.type) {
        case Type::tinyint: integer(INT8_MIN, INT8_MAX); break;
        case Type::smallint: integer(INT16_MIN, INT16_MAX); break;
        case Type::integer: integer(INT32_MIN, INT32_MAX); break;
        case Type::bigint: integer(INT64_MIN, INT64_MAX); break;
        case Type::utinyint: integer(0, UINT8_MAX); break;
        case Type::usmallint: integer(0, UINT16_MAX); break;
        case Type::uinteger: integer(0, UINT32_MAX); break;
        case Type::ubigint: integer(0, INT64_MAX); break;
        case Type::float64: step.how = CsvHow::real; break;
        case Type::varchar: step.how = CsvHow::varchar; break;
        case Type::nchar: step.how = CsvHow::nchar; break;
        default: break;
      }
      if (column.decimal_comma) step.how = CsvHow::other;
      if (data::is_variable(step.type)) texts_.push_back(step.slot);
    }
    steps_.push_back(step);
  }
  for (const auto& null : plan.nulls) {
    if (null.empty()) continue;
    nulls_first_[static_cast<unsigned char>(null[0])] = '\1';
    if (classify(null) != ValueKind::text) numeric_nulls_ = true;
  }
  if (numeric_nulls_) {  // such a spelling must be looked for before the number is read
    for (auto& step : steps_) {
      if (step.how == CsvHow::integer || step.how == CsvHow::real) step.how = CsvHow::other;
    }
  }
  for (const auto c : {std::optional(plan.timestamp), plan.clock}) {
    if (c) least_fields_ = std::max(least_fields_, *c + 1);
  }
  gather_steps();
  remembers_time_ = plan.zone == nullptr;  // daylight saving counts each time
  null_words_.assign(fields_.size() / 64 + 1, 0);
  row_bytes_ = sizeof(data::Row) + (fields_.size() + null_words_.size()) * sizeof(Slot);
  // No line of another format starts so: 0xFF is in no UTF-8 text.
  key_prefix_ =
      "\xFF"
      "csv";
  const auto number = plan_number(plan_image(plan));
  key_prefix_.append(reinterpret_cast<const char*>(&number), sizeof number);
}

CsvParser::~CsvParser() = default;

void CsvParser::gather_steps() {
  for (std::size_t c = 0; c < steps_.size();) {
    std::size_t count = 0;
    // The kernel looks at the end of the field before the first one.
    while (c > 0 && c + count < steps_.size() && count < kCsvLanes && steps_[c + count].how == CsvHow::integer) ++count;
    if (count < kLeastBlock) {
      if (steps_[c].how != CsvHow::pass) active_.push_back(steps_[c]);
      ++c;
      continue;
    }
    auto& block = active_.emplace_back(steps_[c]);
    block.how = CsvHow::integers;
    block.count = static_cast<std::uint32_t>(count);
    block.block = static_cast<std::uint32_t>(ranges_.size());
    auto& ranges = ranges_.emplace_back();
    for (std::size_t i = 0; i < count; ++i, ++c) {
      ranges.low[i] = steps_[c].low;
      ranges.high[i] = steps_[c].high;
    }
  }
}

void CsvParser::begin(const io::Chunk& chunk, data::RowSet& rows) {
  chunk_ = &chunk;
  rows_ = &rows;
  rows.set_time_unit(plan_.time_unit);
  shapes_.assign(2 * fields_.size() + 2, kNoShape);
}

void CsvParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  begin(chunk, rows);
  if (chunk.oversized) return;  // a piece of a record that is a reject already
  for_each_csv_record(index_, chunk, plan_, [&](const CsvRecord& record) {
    if (record.broken_at) [[unlikely]]
      return reject_broken(record.begin, record.end, *record.broken_at);
    parse_record(record.begin, record.end, record.ends, record.count);
  });
  rows.set_lines(index_.lines());
}

/// A time as most files write it, or one that stood in the record before. False: read_time() knows what it is.
inline bool CsvParser::read_usual_time(const Step& step, std::string_view raw) {
  if (numeric_nulls_ || static_cast<unsigned char>(raw.data()[0] - '0') >= 10) return false;
  if (raw.size() == time_length_ && same_text(raw.data(), time_text_.data(), raw.size())) {
    time_ = remembered_time_;
    return true;
  }
  if (step.times->read(raw, time_) != TimeStatus::ok) return false;
  if (remembers_time_ && raw.size() <= kTimeText) {
    std::memcpy(time_text_.data(), raw.data(), kTimeText);
    time_length_ = raw.size();
    remembered_time_ = time_;
  }
  return true;
}

/// The value of a field on its own.
[[gnu::always_inline]] inline CsvParser::Outcome CsvParser::read_field(const Step& step, std::string_view raw,
                                                                       Slot& slot) {
  const char* const b = raw.data();
  const char* const e = b + raw.size();
  switch (step.how) {
    case CsvHow::integer: {
      const char* p = b;
      const auto sign = -static_cast<std::int64_t>(*p == '-');
      p -= sign;
      if (const auto length = static_cast<std::size_t>(e - p); length - 1 < 8) [[likely]] {
        // Up to eight digits, the last one in the highest byte; below them zeros.
        const auto values = (load8(p) ^ detail::kZeros) << (64 - 8 * length);
        const auto value = (static_cast<std::int64_t>(detail::join_digits(values)) ^ sign) - sign;
        if (detail::digit_run(values) == 8 && value >= step.low && value <= step.high) [[likely]] {
          slot = data::slot_of(value);
          return Outcome::value;
        }
      }
      p = b;
      while (*p == ' ' && p != e) ++p;  // numbers that stand to the right of their field
      const bool negative = *p == '-';
      std::uint64_t magnitude = 0;
      unsigned digits = 0;
      const char* const stop = read_digits(p + negative, magnitude, digits);
      const auto value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
      if (stop != e || digits - 1 > 17 || value < step.low || value > step.high) [[unlikely]]
        break;
      slot = data::slot_of(value);
      return Outcome::value;
    }
    case CsvHow::real: {
      double value = 0;
      if (read_whole_double(b, e, value)) [[likely]] {
        slot = data::slot_of(value);
        return Outcome::value;
      }
      const char* p = b;
      while (*p == ' ' && p != e) ++p;
      if (read_plain_double(p, value) != e || p == e) [[unlikely]]
        break;
      slot = data::slot_of(value);
      return Outcome::value;
    }
    case CsvHow::varchar:
    case CsvHow::nchar: {
      if (raw.empty() || raw.size() > data::Limits::nchar || *b == plan_.dialect.quote || *b == ' ' || *b == '\t' ||
          plan_.dialect.escape != '\0' || nulls_first_[static_cast<unsigned char>(*b)] != '\0')
        break;
      char* const to = rows_->begin_text(raw.size() + kCopySlack);
      if (!copy_text(to, b, raw.size()) && step.how == CsvHow::nchar && !is_utf8(raw)) [[unlikely]]
        break;
      slot = rows_->commit_text(static_cast<std::uint32_t>(raw.size()));
      return Outcome::value;
    }
    default: break;
  }
  if (*b == plan_.dialect.quote && read_quoted(step, raw, slot)) return Outcome::value;
  return read_slowly(step, raw, slot);
}

/// One of several that the kernel leaves.
CsvParser::Outcome CsvParser::read_odd_integer(const Step& step, std::string_view raw, Slot& slot) {
  return read_field(step, raw, slot);
}

void CsvParser::parse_record(std::uint32_t begin, std::uint32_t end, const std::uint32_t* ends, std::size_t count) {
  record_begin_ = begin;
  record_end_ = end;
  const char* const text = chunk_->text.data();
  std::size_t given = count;
  if (count > steps_.size()) [[unlikely]] {
    given = steps_.size();
    for (std::size_t c = given; c < count; ++c) {
      const auto extra = raw_field(ends, count, c);
      if (csv_trimmed(extra).empty()) continue;
      return reject(
          static_cast<std::size_t>(extra.data() - text), 0,
          fmt::format("the record has {} fields, the file {} columns, and field {} holds '{}' (is a delimiter inside a "
                      "value without quotes?)",
                      count, steps_.size(), c + 1, printable(extra, 40)));
    }
  }
  if (given < least_fields_) [[unlikely]] {
    const bool timestamp = given <= plan_.timestamp || (plan_.clock && given <= *plan_.clock);
    return reject(record_end_, 0,
                  fmt::format("the record has {} of {} fields and ends before the {} '{}'", count, steps_.size(),
                              timestamp ? "timestamp" : "key column",
                              printable(plan_.columns[timestamp ? plan_.timestamp : least_fields_ - 1].csv_name)));
  }
  auto* const row = rows_->begin_row(row_bytes_);
  Slot* const slots = row->slots();
  bool nulls = false;
  std::size_t fields = 0;
  // Asked for first: what memory has to deliver for it comes while the fields are read.
  auto* series = predicted_series(ends, given);
  const bool predicted = series != nullptr;
  // What comes of a field that has no value. False: the record is rejected.
  const auto take_null = [&](const Step& step, std::string_view raw, Outcome outcome) {
    if (outcome == Outcome::bad) return false;
    if (step.column->required) [[unlikely]] {
      reject(static_cast<std::size_t>(raw.data() - text), 0,
             fmt::format("'{}' is part of the super table's composite key and cannot be NULL",
                         printable(step.column->csv_name)));
      return false;
    }
    if (!nulls) std::fill(null_words_.begin(), null_words_.end(), 0);
    nulls = true;
    slots[step.slot] = 0;
    null_words_[step.slot / 64] |= std::uint64_t{1} << (step.slot % 64);
    return true;
  };
  for (const Step& step : active_) {
    const std::size_t c = step.index;
    if (c >= given) break;
    const char* const b = text + (c == 0 ? begin : ends[c - 1] + 1);
    const std::string_view raw(b, static_cast<std::size_t>(text + ends[c] - b));
    switch (step.how) {
      case CsvHow::absent:
        if (!raw.empty() && refuse_absent(step, raw)) [[unlikely]]
          return;
        continue;
      case CsvHow::joined_time:
        if (!read_joined_time(step, raw, raw_field(ends, given, *plan_.clock))) return;
        continue;
      case CsvHow::time:
        if (!read_usual_time(step, raw) && !read_time(step, raw)) return;
        continue;
      case CsvHow::integers: {
        const auto some = static_cast<unsigned>(std::min<std::size_t>(step.count, given - c));
        const auto good = kernels_->integers(text, ends + c, some, ranges_[step.block], slots + step.slot);
        fields += some;
        for (auto rest = ((1u << some) - 1) ^ good; rest != 0; rest &= rest - 1) {
          const auto i = c + static_cast<std::size_t>(std::countr_zero(rest));
          const Step& one = steps_[i];
          const auto odd = raw_field(ends, given, i);
          const auto outcome = read_odd_integer(one, odd, slots[one.slot]);
          if (outcome != Outcome::value && !take_null(one, odd, outcome)) return;
        }
        continue;
      }
      default: {
        ++fields;
        const auto outcome = read_field(step, raw, slots[step.slot]);
        if (outcome != Outcome::value && !take_null(step, raw, outcome)) return;
      }
    }
  }
  if (fields == 0) [[unlikely]]
    return reject(record_end_, 0,
                  fmt::format("the record has {} of {} fields and gives no value", count, steps_.size()));
  if (time_ < options_.range.first || time_ > options_.range.last) [[unlikely]] {
    const auto raw = raw_field(ends, given, plan_.timestamp);
    return reject(static_cast<std::size_t>(raw.data() - text), kOutOfRange,
                  fmt::format("timestamp '{}' is outside the time range of the database", printable(raw, 40)));
  }
  if (!predicted) {
    const auto key = series_key(ends, given);
    const auto hash = hash_bytes(key);
    series = registry_.find(hash, key);
    if (series == nullptr) [[unlikely]] {
      series = make_series(hash, key, ends, given);
      if (series == nullptr) return;
    }
    remember_series(series);
  }
  last_series_ = series->id;
  row->child = series->child_id;
  row->shape = shape_of(fields, nulls);
  row->offset = begin;
  row->length = end - begin;
  row->time = time_;
  auto& shape = rows_->shape(row->shape);
  if (nulls) std::memcpy(slots + fields, null_words_.data(), shape.null_words() * sizeof(std::uint64_t));
  for (const auto slot : texts_) {
    if (slot >= fields) break;
    if (slots[slot] == 0) continue;
    std::uint32_t length = 0;
    std::memcpy(&length, reinterpret_cast<const char*>(slots[slot]), sizeof length);
    if (length > shape.max_length[slot]) shape.max_length[slot] = length;
  }
  ++shape.rows;
  if (series->state() != data::Series::State::admitted) rows_->note_fresh(series, row);
  rows_->commit_row(sizeof(data::Row) + (fields + (nulls ? shape.null_words() : 0)) * sizeof(Slot));
}

inline data::Series* CsvParser::predicted_series(const std::uint32_t* ends, std::size_t count) {
  if (last_series_ >= followers_.size()) return nullptr;
  auto* const follower = followers_[last_series_];
  if (follower == nullptr) return nullptr;
  const auto raw = follower->raw;
  if (key_runs_.size() == 1 && key_runs_[0].last < count) [[likely]] {
    // As series_key() would join it: the prefix is the same for all that this parser found.
    const auto [first, last] = key_runs_[0];
    const auto from = first == 0 ? record_begin_ : ends[first - 1] + 1;
    const std::size_t length = ends[last] - from;
    const auto prefix = key_prefix_.size();
    return raw.size() == prefix + length + 1 && same_text(raw.data() + prefix, chunk_->text.data() + from, length)
               ? follower
               : nullptr;
  }
  return raw == series_key(ends, count) ? follower : nullptr;
}

void CsvParser::remember_series(data::Series* series) {
  if (series->id >= kMostFollowers) return;
  if (series->id >= followers_.size())
    followers_.resize(
        std::min(kMostFollowers, std::max<std::size_t>(1024, std::bit_ceil(series->id + std::size_t{1}))));
  if (last_series_ < followers_.size()) followers_[last_series_] = series;
}

std::uint32_t CsvParser::shape_of(std::size_t fields, bool nullable) {
  auto& index = shapes_[2 * fields + (nullable ? 1 : 0)];
  if (index != kNoShape) return index;
  std::vector<data::Field> list;
  list.reserve(fields);
  for (std::size_t f = 0; f < fields; ++f) {
    const auto& column = plan_.columns[fields_[f]].column;
    list.push_back({rows_->add_name(column.name), column.type});
  }
  index = rows_->add_shape(table_, list, nullable);
  return index;
}

std::string_view CsvParser::raw_field(const std::uint32_t* ends, std::size_t count, std::size_t column) const noexcept {
  if (column >= count) return {};
  const auto from = column == 0 ? record_begin_ : ends[column - 1] + 1;
  return chunk_->text.substr(from, ends[column] - from);
}

}  // namespace penstock::format
