#include "format/json_parser.h"

#include <algorithm>
#include <cstring>

#include "format/json_work.h"
#include "format/line_kernels.h"
#include "simd/bytes.h"
#include "simd/json.h"

namespace penstock::format {

using data::Limits;
using data::Series;
using data::Type;

namespace {
constexpr std::ptrdiff_t kMostNesting = 8;  // of arrays around points
}

JsonParser::JsonParser(schema::Registry& registry, JsonOptions options) {
  if (!options.clock) options.clock = system_time;
  work_ = std::make_unique<Work>(registry, std::move(options));
}
JsonParser::~JsonParser() = default;

void JsonParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  if (!chunk.oversized) work_->parse(chunk, rows);
}

JsonParser::Work::Work(schema::Registry& registry, JsonOptions options)
    : registry_(registry), options_(std::move(options)), all_tags_(options_.naming.uses_all_tags()) {}

void JsonParser::Work::parse(const io::Chunk& chunk, data::RowSet& rows) {
  rows_ = &rows;
  source_ = chunk.source;
  chunk_offset_ = chunk.offset;
  rows.set_time_unit(data::Precision::nanoseconds);
  ++epoch_;
  column_shapes_.clear();
  text_ = chunk.text;
  if (options_.payload_rules) {
    text_ = text_.substr(0, text_.find('\0'));
    return parse_payload(text_);
  }
  const auto quote = simd::find_last(text_, '"');
  last_quote_ = quote == simd::kNone ? nullptr : text_.data() + quote;
  const char* const begin = text_.data();
  const char* const end = begin + text_.size();
  const bool predict = options_.predict && all_tags_;
  const char* p = begin;
  if (chunk.offset == 0 && text_.starts_with("\xEF\xBB\xBF")) p += 3;
  for (;;) {
    const char* const between = p;
    while (p < end && ((*p > '\0' && *p <= ' ') || *p == ',' || *p == '[' || *p == ']')) ++p;
    if (p - between > kMostNesting) [[unlikely]]
      check_between(static_cast<std::size_t>(between - begin), static_cast<std::size_t>(p - begin));
    if (p == end) break;
    if (predict) [[likely]] {
      if (const char* const next = predicted_point(p, end, static_cast<std::size_t>(p - begin))) [[likely]] {
        p = next;
        continue;
      }
    }
    const auto at = static_cast<std::size_t>(p - begin);
    const auto record = simd::next_json_record(text_.substr(at), true);
    if (record.kind == simd::JsonRecord::Kind::object) general_record(at + record.begin, at + record.end);
    else broken_record(at + record.begin, at + record.end);
    p += record.end;
  }
  rows.set_lines(simd::count(text_, '\n'));
}

/// What stands between points opens and closes arrays. Many brackets that have no partner are no such thing: they are
/// one bad record. (A few may have theirs in another chunk.)
void JsonParser::Work::check_between(std::size_t begin, std::size_t end) {
  std::ptrdiff_t opened = 0, closed = 0;
  std::size_t first = end, last = begin;
  for (std::size_t i = begin; i < end; ++i) {
    if (text_[i] == '[') {
      ++opened;
    } else if (text_[i] == ']') {
      if (opened > 0) --opened;
      else ++closed;
    } else if (text_[i] != ',') {
      continue;
    }
    first = std::min(first, i);
    last = i + 1;
  }
  if (std::max(opened, closed) > kMostNesting)
    reject(first, last, {0x0221, "brackets that open or close no array of points", nullptr});
}

/// Parses the point when its text is that of a known template and its series is known. Returns where it ends, or
/// nullptr: nothing was kept, the general path must look at it.
const char* JsonParser::Work::predicted_point(const char* p, const char* end, std::size_t offset) {
  if (last_form_ == kNone) return nullptr;
  Series* const follower = last_series_ == kNone ? nullptr : memory_[last_series_].next;
  const std::uint32_t form = follower == nullptr ? last_form_ : memory_[follower->id].form;
  if (const char* const next = predicted_by(form, follower, p, end, offset)) [[likely]]
    return next;
  // Points of a few kinds in no order that could be foretold.
  constexpr std::uint32_t kTried = 8;
  for (std::uint32_t other = 0; other < std::min<std::size_t>(forms_.size(), kTried); ++other)
    if (other != form)
      if (const char* const next = predicted_by(other, follower, p, end, offset)) return next;
  return nullptr;
}

inline const char* JsonParser::Work::predicted_by(std::uint32_t form_index, Series* follower, const char* p,
                                                  const char* end, std::size_t offset) {
  const char* const begin = p;
  std::string_view expected_metric, expected_tags;
  if (follower != nullptr) {
    // The registry lays the key behind the head of a series: see key_of().
    const char* const raw = follower->raw.data();
    const std::uint32_t metric_bytes = load4(raw + 2);
    expected_metric = {raw + 6, metric_bytes};
    expected_tags = {raw + 6 + metric_bytes, follower->raw.size() - 6 - metric_bytes};
  }
  const JsonTemplate& form = forms_[form_index];
  const auto matches = [&](std::string_view expected) {
    return end - p > static_cast<std::ptrdiff_t>(expected.size()) &&
           std::memcmp(p, expected.data(), expected.size()) == 0;
  };
  std::string_view metric, tags;
  bool foretold = follower != nullptr;
  std::int64_t time = 0;
  auto* const row = rows_->begin_row(sizeof(data::Row) + sizeof(data::Slot));
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& literal = form.literals[i];
    if (!matches(literal)) [[unlikely]]
      return nullptr;
    p += literal.size();
    switch (form.holes[i]) {
      case JsonTemplate::Hole::metric:
        if (follower != nullptr && matches(expected_metric)) [[likely]] {
          metric = {p, expected_metric.size()};
        } else {
          foretold = false;
          if (*p != '"' || p >= last_quote_) return nullptr;
          const char* const stop = find_string_end(p + 1);
          if (*stop != '"') return nullptr;
          metric = {p, static_cast<std::size_t>(stop + 1 - p)};
        }
        p += metric.size();
        break;
      case JsonTemplate::Hole::time:
        p = predicted_time(form.time, p, end, time);
        if (p == nullptr) [[unlikely]]
          return nullptr;
        break;
      case JsonTemplate::Hole::value:
        p = predicted_value(form.type, p, end, row->slots()[0]);
        if (p == nullptr) [[unlikely]]
          return nullptr;
        break;
      case JsonTemplate::Hole::tags:
        if (follower != nullptr && matches(expected_tags)) [[likely]] {
          tags = {p, expected_tags.size()};
        } else {
          foretold = false;
          if (*p != '{') return nullptr;
          const auto found = simd::json_object_end({p, static_cast<std::size_t>(end - p)});
          if (found.kind != simd::JsonEnd::Kind::whole) return nullptr;
          tags = {p, found.at};
        }
        p += tags.size();
        break;
    }
  }
  const auto& literal = form.literals[4];
  if (end - p < static_cast<std::ptrdiff_t>(literal.size()) || std::memcmp(p, literal.data(), literal.size()) != 0)
    return nullptr;
  p += literal.size();
  if (time < options_.range.first || time > options_.range.last) [[unlikely]]
    return nullptr;
  Series* series = follower;
  if (!foretold) {
    const auto key = key_of(metric, tags);
    const auto hash = hash_bytes(key);
    series = registry_.find(hash, key);
    if (series == nullptr) [[unlikely]] {
      series = kins_.enter(registry_, hash, key);
      if (series == nullptr) return nullptr;
    }
  }
  auto& memory = memory_of(*series);
  if (memory.table == nullptr) {
    memory.table = &table_of(series->child->table);
    memory.form = form_index;
  }
  finish(row, series, form.type, time, offset, static_cast<std::size_t>(p - begin));
  memory_[series->id].form = last_form_ = form_index;
  return p;
}

const char* JsonParser::Work::predicted_number(const char* p, const char* end, double& value) const {
  const char* const stop = read_plain_double(p, value);
  if (stop != nullptr && stop < end && *stop != 'e' && *stop != 'E' && *stop != '.') [[likely]]
    return stop - p > 60 || stop[-1] == '.' || (*p == '-' && p[1] == '.') ? nullptr : stop;
  return read_json_number(p, end, value);
}

const char* JsonParser::Work::predicted_value(Type type, const char* p, const char* end, data::Slot& slot) {
  double number = 0;
  switch (type) {
    case Type::float64:
      p = predicted_number(p, end, number);
      slot = data::slot_of(number);
      return p;
    case Type::boolean:
      if (end - p < 6) return nullptr;
      slot = *p == 't';
      if (load4(p) == 0x65757274) return p + 4;                        // "true"
      return load4(p) == 0x736C6166 && p[4] == 'e' ? p + 5 : nullptr;  // "fals"
    case Type::varchar:
    case Type::nchar:
    case Type::varbinary: {
      if (*p != '"' || p >= last_quote_) return nullptr;
      const char* const stop = find_string_end(++p);
      if (*stop != '"') return nullptr;
      const std::string_view text(p, static_cast<std::size_t>(stop - p));
      if (text.size() > (type == Type::nchar ? Limits::nchar : Limits::varchar)) return nullptr;
      if (type == Type::nchar && !is_valid_utf8(text)) return nullptr;
      if (std::memchr(text.data(), '\0', text.size()) != nullptr) return nullptr;
      slot = rows_->add_text(text);
      return stop + 1;
    }
    default:
      p = predicted_number(p, end, number);
      return p != nullptr && json_number_as(type, number, slot) ? p : nullptr;
  }
}

const char* JsonParser::Work::predicted_time(JsonTime kind, const char* p, const char* end, std::int64_t& time) const {
  std::uint64_t count = 0;
  unsigned digits = 0;
  p = read_digits(p, count, digits);
  // Fractions, exponents, 0 for the clock and leading zeros are rare enough for the general path.
  if (digits == 0 || digits > 19 || count == 0 || p >= end || *p == '.' || *p == 'e' || *p == 'E') return nullptr;
  if (kind == JsonTime::digits) {
    if (digits == 10 && count >= 1'000'000'000) kind = JsonTime::seconds;
    else if (digits == 13 && count >= 1'000'000'000'000) kind = JsonTime::milliseconds;
    else return nullptr;
  }
  const double number = static_cast<double>(count);  // as the server
  if (number >= 9223372036854775808.0) return nullptr;
  return json_time_of(kind, static_cast<std::uint64_t>(number), time) ? p : nullptr;
}

std::uint32_t JsonParser::Work::shape_of(Table& table, Type type) {
  auto& shape = table.shapes[static_cast<std::size_t>(type)];
  if (shape.epoch != epoch_) [[unlikely]] {
    const data::Field field{"_value", type};
    shape = {epoch_, rows_->add_shape(table.ref, {&field, 1})};
  }
  return shape.index;
}

/// Keeps the row, whose slot is filled.
void JsonParser::Work::finish(data::Row* row, Series* series, Type type, std::int64_t time, std::size_t offset,
                              std::size_t length) {
  row->child = series->child_id;
  row->shape = shape_of(*memory_[series->id].table, type);
  row->offset = static_cast<std::uint32_t>(offset);
  row->length = static_cast<std::uint32_t>(length);
  row->time = time;
  auto& shape = rows_->shape(row->shape);
  if (data::is_variable(type))
    shape.max_length[0] =
        std::max(shape.max_length[0], static_cast<std::uint32_t>(data::text_of(row->slots()[0]).size()));
  ++shape.rows;
  if (series->state() != Series::State::admitted) [[unlikely]]
    rows_->note_fresh(series, row);
  rows_->commit_row(sizeof(data::Row) + sizeof(data::Slot));
  if (last_series_ != kNone) memory_[last_series_].next = series;
  last_series_ = series->id;
}

}  // namespace penstock::format
