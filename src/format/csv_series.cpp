#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "format/csv_copy.h"
#include "format/csv_steps.h"
#include "io/chunk.h"

namespace penstock::format {

using data::Slot;
using data::Type;
using Role = CsvColumn::Role;

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
  const auto text = csv_trimmed(field.text);
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
      value.given = !field.text.empty() && (field.quoted || !is_null(csv_trimmed(field.text)));
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
      found.child += csv_trimmed(values[*part.column].text);
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

}  // namespace penstock::format
