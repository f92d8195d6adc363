#include "format/csv_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "base/hash.h"
#include "base/text.h"
#include "format/csv_copy.h"
#include "format/number.h"

namespace penstock::format {
namespace {

using data::Slot;
using data::Type;
using Role = CsvColumn::Role;

constexpr std::uint32_t kNoShape = 0xFFFFFFFF;
/// "Timestamp data out of range", as the server answers to rows outside KEEP.
constexpr std::uint16_t kOutOfRange = 0x060B;

/// How the value of a column is read; the first group has a fast path in parse_record().
enum class How : std::uint8_t { pass, time, integer, real, varchar, nchar, other };

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

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
    if (column.role != Role::tag && column.role != Role::child_name) continue;
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

/// What becomes of one column, laid out for the loop over the fields.
struct CsvParser::Step {
  How how = How::pass;
  Type type = Type::null;
  std::uint8_t precision = 0;
  std::uint8_t scale = 0;
  std::uint32_t slot = 0;
  std::int64_t low = 0;  // integers
  std::int64_t high = 0;
  TimeReader* times = nullptr;
  const CsvColumn* column = nullptr;
};

/// A field without its quotes; views the record or `unquoted_`.
struct CsvParser::Field {
  std::string_view text;
  bool quoted = false;
};

CsvParser::CsvParser(schema::Registry& registry, const CsvPlan& plan, CsvOptions options)
    : registry_(registry), plan_(plan), options_(std::move(options)), nulls_first_(256, '\0') {
  table_ = registry_.table(plan.table);
  times_.reserve(plan.columns.size());
  for (std::size_t c = 0; c < plan.columns.size(); ++c) {
    const auto& column = plan.columns[c];
    Step step;
    step.column = &column;
    step.type = column.column.type;
    step.precision = column.column.precision;
    step.scale = column.column.scale;
    if (column.role != Role::ignored && step.type == Type::timestamp) {
      times_.emplace_back(column.time, plan.time_unit, plan.zone, plan.dst_gap, plan.dst_fold);
      step.times = &times_.back();
    }
    if (column.role == Role::timestamp) step.how = How::time;
    if (column.role == Role::tag || column.role == Role::child_name) {
      if (!key_runs_.empty() && key_runs_.back().last + 1 == c) key_runs_.back().last = c;
      else key_runs_.push_back({c, c});
    }
    if (column.role == Role::field) {
      step.slot = static_cast<std::uint32_t>(fields_.size());
      fields_.push_back(c);
      step.how = How::other;
      const auto integer = [&](std::int64_t low, std::int64_t high) {
        step.how = How::integer;
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
        case Type::float64: step.how = How::real; break;
        case Type::varchar: step.how = How::varchar; break;
        case Type::nchar: step.how = How::nchar; break;
        default: break;
      }
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
      if (step.how == How::integer || step.how == How::real) step.how = How::other;
    }
  }
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

void CsvParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  chunk_ = &chunk;
  rows_ = &rows;
  rows.set_time_unit(plan_.time_unit);
  shapes_.assign(2 * fields_.size() + 2, kNoShape);
  if (chunk.oversized) return;  // a piece of a record that is a reject already
  index_.start(chunk.text, plan_.dialect);
  while (index_.next()) {
    auto* const ends = index_.ends();
    auto begin = index_.window_begin();
    auto broken = index_.broken().begin();
    std::uint32_t first = 0;
    for (std::uint32_t r = 0; r < index_.record_ends().size(); ++r) {
      const auto last = index_.record_ends()[r];
      const auto line_end = ends[last - 1];
      auto end = line_end;
      if (end > begin && chunk.text[end - 1] == '\r') --end;
      ends[last - 1] = end;
      const bool header = chunk.offset + begin < plan_.data_begin;
      if (broken != index_.broken().end() && broken->record == r) {
        if (!header) reject_broken(begin, end, broken->at);
        ++broken;
      } else if (!header && end > begin) {
        parse_record(begin, end, ends + first, last - first);
      }
      begin = line_end + 1;
      first = last;
    }
  }
  rows.set_lines(index_.lines());
}

void CsvParser::parse_record(std::uint32_t begin, std::uint32_t end, std::uint32_t* ends, std::size_t count) {
  record_begin_ = begin;
  record_end_ = end;
  const char* const text = chunk_->text.data();
  std::size_t given = count;
  if (count > steps_.size()) [[unlikely]] {
    given = steps_.size();
    for (std::size_t c = given; c < count; ++c) {
      const auto extra = raw_field(ends, count, c);
      if (trimmed(extra).empty()) continue;
      return reject(
          static_cast<std::size_t>(extra.data() - text), 0,
          fmt::format("the record has {} fields, the file {} columns, and field {} holds '{}' (is a delimiter inside a "
                      "value without quotes?)",
                      count, steps_.size(), c + 1, printable(extra, 40)));
    }
  }
  // A record that ends before its timestamp has none.
  if (given <= plan_.timestamp) [[unlikely]] {
    return reject(record_end_, 0,
                  fmt::format("the record has {} of {} fields and ends before the timestamp '{}'", count, steps_.size(),
                              steps_.empty() ? "" : printable(plan_.columns[plan_.timestamp].csv_name)));
  }
  auto* const row = rows_->begin_row(row_bytes_);
  Slot* const slots = row->slots();
  bool nulls = false;
  std::size_t fields = 0;
  std::uint32_t from = begin;
  for (std::size_t c = 0; c < given; ++c) {
    const Step& step = steps_[c];
    const char* const b = text + from;
    const char* const e = text + ends[c];
    from = ends[c] + 1;
    switch (step.how) {
      case How::pass: continue;
      case How::time:
        if (!read_time(step, {b, static_cast<std::size_t>(e - b)})) return;
        continue;
      case How::integer: {
        const bool negative = *b == '-';
        std::uint64_t magnitude = 0;
        unsigned digits = 0;
        const char* const stop = read_digits(b + negative, magnitude, digits);
        const auto value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
        if (stop != e || digits - 1 > 17 || value < step.low || value > step.high) [[unlikely]]
          break;
        slots[step.slot] = data::slot_of(value);
        ++fields;
        continue;
      }
      case How::real: {
        double value = 0;
        if (read_plain_double(b, value) != e || b == e) [[unlikely]]
          break;
        slots[step.slot] = data::slot_of(value);
        ++fields;
        continue;
      }
      case How::varchar:
      case How::nchar: {
        const auto length = static_cast<std::size_t>(e - b);
        if (length == 0 || length > data::Limits::nchar || *b == plan_.dialect.quote || *b == ' ' || *b == '\t' ||
            plan_.dialect.escape != '\0' || nulls_first_[static_cast<unsigned char>(*b)] != '\0')
          break;
        char* const to = rows_->begin_text(length + kCopySlack);
        if (!copy_text(to, b, length) && step.how == How::nchar && !is_utf8({b, length})) [[unlikely]]
          break;
        slots[step.slot] = rows_->commit_text(static_cast<std::uint32_t>(length));
        ++fields;
        continue;
      }
      case How::other: break;
    }
    ++fields;
    switch (read_slowly(step, {b, static_cast<std::size_t>(e - b)}, slots[step.slot])) {
      case Outcome::value: break;
      case Outcome::null:
        if (!nulls) std::fill(null_words_.begin(), null_words_.end(), 0);
        nulls = true;
        slots[step.slot] = 0;
        null_words_[step.slot / 64] |= std::uint64_t{1} << (step.slot % 64);
        break;
      case Outcome::bad: return;
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
  const auto key = series_key(ends, given);
  const auto hash = hash_bytes(key);
  auto* series = registry_.find(hash, key);
  if (series == nullptr) [[unlikely]] {
    series = make_series(hash, key, ends, given);
    if (series == nullptr) return;
  }
  row->child = series->child->id;
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

bool CsvParser::is_null(std::string_view text) const noexcept {
  if (text.empty()) return true;
  if (nulls_first_[static_cast<unsigned char>(text.front())] == '\0') return false;
  return std::find(plan_.nulls.begin(), plan_.nulls.end(), text) != plan_.nulls.end();
}

bool CsvParser::decode(std::string_view raw, Field& field) {
  const auto bare = trimmed(raw);
  const bool quoted = plan_.dialect.quote != '\0' && !bare.empty() && bare.front() == plan_.dialect.quote;
  if (!quoted && plan_.dialect.escape == '\0') {
    field = {raw, false};
    return true;
  }
  if (quoted && plan_.dialect.escape == '\0' && bare.size() >= 2 && bare.back() == plan_.dialect.quote) {
    // The usual case: nothing inside needs to be changed.
    const auto inner = bare.substr(1, bare.size() - 2);
    if (inner.empty() || std::memchr(inner.data(), plan_.dialect.quote, inner.size()) == nullptr) {
      field = {inner, true};
      return true;
    }
  }
  auto decoded = unquote(raw, plan_.dialect);
  if (decoded.broken) {
    const auto at = static_cast<std::size_t>(bare.data() - chunk_->text.data());
    reject(at, 0,
           fmt::format("text stands behind the closing quote of field '{}' (a quote inside quotes is doubled)",
                       printable(raw, 40)));
    return false;
  }
  unquoted_.assign(decoded.text);
  unquoted_.append(io::kPadding, '\0');  // the number kernels read past the end
  field = {std::string_view(unquoted_).substr(0, decoded.text.size()), decoded.quoted};
  return true;
}

bool CsvParser::read_time(const Step& step, std::string_view raw) {
  auto status = TimeStatus::bad;
  if (!raw.empty() && static_cast<unsigned char>(raw.front() - '0') < 10 && !numeric_nulls_) [[likely]] {
    status = step.times->read(raw, time_);
    if (status == TimeStatus::ok) [[likely]]
      return true;
  }
  Field field;
  if (!decode(raw, field)) return false;
  const auto text = trimmed(field.text);
  if (is_null(text)) {
    reject(static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0,
           fmt::format("the timestamp '{}' is {}", printable(step.column->csv_name), text.empty() ? "empty" : "NULL"));
    return false;
  }
  status = step.times->read(text, time_);
  if (status == TimeStatus::ok) return true;
  refuse_time(step, raw, status);
  return false;
}

CsvParser::Outcome CsvParser::read_slowly(const Step& step, std::string_view raw, Slot& slot) {
  Field field;
  if (!decode(raw, field)) return Outcome::bad;
  if (step.type == Type::varchar || step.type == Type::nchar) {
    // Quoted, a null spelling is text; and so is nothing at all.
    if (!field.quoted && is_null(trimmed(field.text))) return Outcome::null;
    return read_text(step, field, raw, slot);
  }
  const auto text = trimmed(field.text);
  if (data::is_variable(step.type)) {
    if (text.empty() ? (!field.quoted || step.type == Type::geometry) : (!field.quoted && is_null(text)))
      return Outcome::null;
    return read_text(step, field, raw, slot);
  }
  if (is_null(text)) return Outcome::null;
  if (step.type == Type::timestamp) {
    std::int64_t time = 0;
    const auto status = step.times->read(text, time);
    if (status != TimeStatus::ok) {
      refuse_time(step, raw, status);
      return Outcome::bad;
    }
    slot = data::slot_of(time);
    return Outcome::value;
  }
  auto fit = Fit::ok;
  if (step.type == Type::decimal128) {
    std::array<char, 16> image{};
    fit = read_decimal128(step.precision, step.scale, text, image);
    if (fit == Fit::ok) {
      char* const to = rows_->begin_text(image.size());
      std::memcpy(to, image.data(), image.size());
      rows_->commit_text(image.size());
      slot = reinterpret_cast<Slot>(to);
    }
  } else {
    fit = read_fixed(step.type, step.precision, step.scale, text, slot);
  }
  if (fit == Fit::ok) return Outcome::value;
  refuse_value(step, raw, fit, {});
  return Outcome::bad;
}

CsvParser::Outcome CsvParser::read_text(const Step& step, const Field& field, std::string_view raw, Slot& slot) {
  std::string_view bytes;
  const char* why = nullptr;
  const auto fit = read_variable(step.type, field.text, scratch_, bytes, why);
  if (fit != Fit::ok) {
    refuse_value(step, raw, fit, why == nullptr ? std::string_view() : std::string_view(why));
    return Outcome::bad;
  }
  slot = rows_->add_text(bytes);
  return Outcome::value;
}

std::string_view CsvParser::series_key(const std::uint32_t* ends, std::size_t count) {
  // The fields stand joined by the delimiter, as in the record: unambiguous, for inside a field it stands only in
  // quotes. Room for a whole record and a delimiter a run is always enough.
  const auto needed = key_prefix_.size() + (record_end_ - record_begin_) + key_runs_.size() + kCopySlack;
  if (key_.size() < needed) [[unlikely]] {
    key_.resize(std::max(needed, std::size_t{1024}) * 2);
    std::memcpy(key_.data(), key_prefix_.data(), key_prefix_.size());
  }
  char* at = key_.data() + key_prefix_.size();
  const char* const text = chunk_->text.data();
  for (const auto run : key_runs_) {
    if (run.first < count) {
      const auto from = run.first == 0 ? record_begin_ : ends[run.first - 1] + 1;
      const auto length = ends[std::min(run.last, count - 1)] - from;
      copy_text(at, text + from, length);
      at += length;
    }
    *at++ = plan_.dialect.delimiter;
  }
  return {key_.data(), static_cast<std::size_t>(at - key_.data())};
}

bool CsvParser::tag_value(const data::Column& column, TimeReader* times, const Field& field, std::string_view raw,
                          std::string& image) {
  Step step;
  CsvColumn shown;
  shown.csv_name = shown.column.name = column.name;
  step.column = &shown;
  step.type = column.type;
  step.precision = column.precision;
  step.scale = column.scale;
  const auto text = trimmed(field.text);
  if (column.type == Type::timestamp) {
    std::int64_t time = 0;
    const auto status = times == nullptr ? TimeStatus::bad : times->read(text, time);
    if (status != TimeStatus::ok) {
      shown.time = times == nullptr ? TimeFormat{} : times->format();
      refuse_time(step, raw, status);
      return false;
    }
    image.assign(reinterpret_cast<const char*>(&time), sizeof time);
    return true;
  }
  auto fit = Fit::ok;
  const char* why = nullptr;
  if (data::is_variable(column.type)) {
    std::string_view bytes;
    fit = read_variable(column.type, field.text, scratch_, bytes, why);
    const auto length = column.type == Type::nchar && fit == Fit::ok ? utf8_length(bytes) : bytes.size();
    if (fit == Fit::ok && length > (column.type == Type::nchar  ? data::Limits::nchar_tag
                                    : column.type == Type::json ? data::Limits::json_tag
                                                                : data::Limits::varchar_tag))
      fit = Fit::too_long;
    image.assign(bytes);
  } else if (column.type == Type::decimal128) {
    std::array<char, 16> bytes{};
    fit = read_decimal128(column.precision, column.scale, text, bytes);
    image.assign(bytes.data(), bytes.size());
  } else {
    Slot slot = 0;
    fit = read_fixed(column.type, column.precision, column.scale, text, slot);
    image.assign(reinterpret_cast<const char*>(&slot), data::fixed_size(column.type));
  }
  if (fit == Fit::ok) return true;
  refuse_value(step, raw, fit, why == nullptr ? std::string_view() : std::string_view(why));
  return false;
}

data::Series* CsvParser::make_series(std::uint64_t hash, std::string_view key, const std::uint32_t* ends,
                                     std::size_t count) {
  // Once per spelling of the tags: the heap may be used.
  struct Value {
    std::string text;
    std::string image;
    bool given = false;
  };
  std::vector<Value> values(steps_.size());
  std::vector<Value> constants(plan_.constant_tags.size());
  schema::NewSeries found;
  std::vector<schema::NewSeries::Tag> hashed;
  const auto add = [&](const data::Column& column, const Value& value) {
    found.tags.push_back({column.name, column.type, value.image});
    hashed.push_back({column.name, Type::nchar, value.text});
  };
  for (const auto run : key_runs_) {
    for (auto c = run.first; c <= run.last && c < count; ++c) {
      const auto raw = raw_field(ends, count, c);
      Field field;
      if (!decode(raw, field)) return nullptr;
      auto& value = values[c];
      value.given = !field.text.empty() && (field.quoted || !is_null(trimmed(field.text)));
      value.text = field.text;
      const auto& column = plan_.columns[c];
      if (!value.given || column.role != Role::tag) continue;
      const std::string padded = value.text + std::string(io::kPadding, '\0');
      const Field copy{std::string_view(padded).substr(0, value.text.size()), field.quoted};
      if (!tag_value(column.column, steps_[c].times, copy, raw, value.image)) return nullptr;
      add(column.column, value);
    }
  }
  for (std::size_t t = 0; t < constants.size(); ++t) {
    const auto& tag = plan_.constant_tags[t];
    auto& value = constants[t];
    value.text = tag.value;
    const std::string padded = value.text + std::string(io::kPadding, '\0');
    TimeReader times({}, plan_.time_unit, plan_.zone, plan_.dst_gap, plan_.dst_fold);
    if (!tag_value(tag.column, &times, {std::string_view(padded).substr(0, value.text.size()), true},
                   chunk_->text.substr(record_begin_, 0), value.image))
      return nullptr;
    add(tag.column, value);
  }
  if (plan_.child_name.empty()) {
    found.child = schema::child_table_name(plan_.table, hashed, options_.naming);
  } else {
    for (const auto& part : plan_.child_name) {
      found.child += part.text;
      if (part.constant) found.child += constants[*part.constant].text;
      if (!part.column) continue;
      if (!values[*part.column].given) {
        const auto raw = raw_field(ends, count, *part.column);
        reject(raw.data() == nullptr ? record_end_ : static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0,
               fmt::format("column '{}' names the child table and is NULL or empty",
                           printable(plan_.columns[*part.column].csv_name)));
        return nullptr;
      }
      found.child += trimmed(values[*part.column].text);
    }
    // As in schemaless names: SQL cannot write a table's name that has a dot.
    std::replace(found.child.begin(), found.child.end(), '.', '_');
    if (found.child.size() > data::Limits::table_name || found.child.find('\0') != std::string::npos ||
        !is_utf8(found.child)) {
      reject(record_begin_, 0,
             fmt::format("the child table's name '{}' is longer than {} bytes or no text", printable(found.child, 60),
                         data::Limits::table_name));
      return nullptr;
    }
  }
  found.table = plan_.table;
  return registry_.insert(hash, key, found);
}

void CsvParser::reject(std::size_t from, std::uint16_t code, std::string text) {
  const auto begin = std::min<std::size_t>(record_begin_, from);
  rows_->reject({record_begin_,
                 record_end_ - record_begin_,
                 static_cast<std::uint32_t>(from - begin + 1),
                 {code, std::move(text)}});
}

void CsvParser::reject_broken(std::uint32_t begin, std::uint32_t end, std::uint32_t at) {
  record_begin_ = begin;
  record_end_ = end;
  reject(at, 0, "a quote opens a field here and is not closed; --quote '' reads quotes as text");
}

void CsvParser::refuse_value(const Step& step, std::string_view raw, Fit fit, std::string_view detail) {
  const auto& name = step.column->csv_name;
  const auto type = step.type == Type::decimal64 || step.type == Type::decimal128
                        ? fmt::format("DECIMAL({},{})", step.precision, step.scale)
                        : std::string(data::type_name(step.type));
  const auto value = printable(raw, 40);
  std::string text;
  switch (fit) {
    case Fit::out_of_range: {
      const auto range = range_text(step.type);
      text = fmt::format("'{}' in column '{}' does not fit {}{}; a wider type takes it (--type '{}=…')", value, name,
                         type, range.empty() ? std::string() : fmt::format(" ({})", range), name);
      break;
    }
    case Fit::too_long:
      text = fmt::format("the value of column '{}' has {} bytes, more than {} can hold", name, raw.size(), type);
      break;
    case Fit::not_utf8:
      text = fmt::format(
          "'{}' in column '{}' is not UTF-8; convert the file first (iconv), or take it as bytes with --type "
          "'{}=VARCHAR'",
          value, name, name);
      break;
    default:
      text = fmt::format(
          "'{}' in column '{}' is no {}{}{}; --null '{}' reads it as NULL, --type '{}=VARCHAR' the column as text",
          value, name, type, detail.empty() ? "" : ": ", detail, value, name);
  }
  reject(static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0, std::move(text));
}

void CsvParser::refuse_time(const Step& step, std::string_view raw, TimeStatus status) {
  const auto value = printable(raw, 40);
  const auto& name = step.column->csv_name;
  const auto zone = plan_.zone == nullptr ? std::string("UTC") : plan_.zone->name();
  std::string text;
  switch (status) {
    case TimeStatus::too_fine:
      text = fmt::format("time '{}' in column '{}' is finer than {}; read it with --precision us or ns", value, name,
                         data::precision_name(plan_.time_unit));
      break;
    case TimeStatus::out_of_range:
      text = fmt::format("time '{}' in column '{}', read as {}, is outside what {} can hold", value, name,
                         step.column->time.text(),
                         plan_.time_unit == data::Precision::nanoseconds ? "nanoseconds (1677 to 2262)"
                                                                         : "a timestamp (0000 to 9999)");
      break;
    case TimeStatus::gap:
      text = fmt::format(
          "local time '{}' in column '{}' does not exist in {}: daylight saving skips it; --dst-gap shift moves it on",
          value, name, zone);
      break;
    case TimeStatus::fold:
      text = fmt::format("local time '{}' in column '{}' comes twice in {}; --dst-fold first or second takes one",
                         value, name, zone);
      break;
    default:
      text = fmt::format("'{}' in column '{}' is no time ({} is expected); --time-format tells another form", value,
                         name, step.column->time.text());
  }
  reject(static_cast<std::size_t>(raw.data() - chunk_->text.data()), 0, std::move(text));
}

}  // namespace penstock::format
