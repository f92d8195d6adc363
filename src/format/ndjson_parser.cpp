#include "format/ndjson_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "simd/bytes.h"

namespace penstock::format {

using data::Type;

void NdjsonExtras::add(const std::string& path, std::uint64_t objects) {
  const std::lock_guard lock(mutex_);
  counts_[path] += objects;
}

std::map<std::string, std::uint64_t> NdjsonExtras::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(counts_, {});
}

CsvPlan ndjson_plan(CsvPlan plan) {
  plan.data_begin = 0;
  plan.header.clear();
  return plan;
}

NdjsonParser::NdjsonParser(std::shared_ptr<const Source> source, std::unique_ptr<Parser> csv)
    : source_(std::move(source)), csv_(std::move(csv)), transcoder_(source_->columns) {
  const auto& columns = source_->plan->columns;
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (columns[c].role == CsvColumn::Role::field) column_of_.emplace(columns[c].column.name, c);
}

void NdjsonParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  if (chunk.oversized) return;
  auto text = chunk.text;
  std::size_t skipped = 0;
  if (chunk.offset == 0 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(skipped = 3);
  transcoder_.transcode(text);
  for (const auto& bad : transcoder_.bad()) rows.reject({bad.begin, bad.length, 0, {0, bad.why}});
  auto& csv = transcoder_.csv();
  const auto size = csv.size();
  csv.append(io::kPadding, '\0');
  io::Chunk records;
  records.seq = chunk.seq;
  records.source = chunk.source;
  records.offset = 1;  // nothing of it is a header or a byte order mark
  records.text = std::string_view(csv).substr(0, size);
  const auto& list = transcoder_.records();
  shapes_.clear();
  extra_at_ = 0;
  if (std::none_of(list.begin(), list.end(), [](const auto& record) { return record.sparse; })) {
    // Every object has all members: the rows are right as they are.
    data::RowSet& parsed = rows;
    const auto before = rows.rejects().size();
    csv_->parse(records, parsed);
    std::vector<data::Reject> rejects(
        std::make_move_iterator(rows.rejects().begin() + static_cast<std::ptrdiff_t>(before)),
        std::make_move_iterator(rows.rejects().end()));
    rows.rejects().erase(rows.rejects().begin() + static_cast<std::ptrdiff_t>(before), rows.rejects().end());
    take_rejects(rejects, rows);
    std::size_t record = 0;
    rows.for_each_row([&](data::Row& row) {
      while (record + 1 < list.size() && list[record + 1].csv <= row.offset) ++record;
      row.offset = list[record].begin;
      row.length = list[record].length;
    });
  } else {
    data::RowSet parsed;
    csv_->parse(records, parsed);
    rows.set_time_unit(parsed.time_unit());
    take_rejects(parsed.rejects(), rows);
    take_rows(parsed, rows);
  }
  if (skipped > 0) {
    const auto shift = static_cast<std::uint32_t>(skipped);
    rows.for_each_row([&](data::Row& row) { row.offset += shift; });
    for (auto& reject : rows.rejects()) reject.offset += shift;
  }
  rows.set_lines(simd::count(chunk.text, '\n'));
}

std::size_t NdjsonParser::record_at(std::uint32_t csv) const noexcept {
  const auto& list = transcoder_.records();
  const auto behind = std::upper_bound(list.begin(), list.end(), csv,
                                       [](std::uint32_t at, const auto& record) { return at < record.csv; });
  return static_cast<std::size_t>(behind - list.begin()) - 1;
}

void NdjsonParser::take_rejects(std::vector<data::Reject>& rejects, data::RowSet& rows) const {
  for (auto& reject : rejects) {
    const auto& record = transcoder_.records()[record_at(reject.offset)];
    rows.reject({record.begin, record.length, 0, std::move(reject.reason)});
  }
}

void NdjsonParser::take_rows(data::RowSet& parsed, data::RowSet& rows) {
  const auto& list = transcoder_.records();
  std::size_t record = 0;
  std::size_t fresh_at = 0;
  const auto fresh = parsed.fresh();
  parsed.for_each_row([&](data::Row& row) {
    while (record + 1 < list.size() && list[record + 1].csv <= row.offset) ++record;
    data::Series* series = nullptr;
    if (fresh_at < fresh.size() && fresh[fresh_at].row == &row) series = fresh[fresh_at++].series;
    take_row(parsed.shapes()[row.shape], row, record, series, rows);
  });
}

/// Reads the members of the record that the plan does not know into values_. False: `why` says what is wrong.
bool NdjsonParser::add_extras(std::size_t record, std::string& why) {
  const auto& extras = transcoder_.extras();
  while (extra_at_ < extras.size() && extras[extra_at_].record < record) ++extra_at_;
  for (; extra_at_ < extras.size() && extras[extra_at_].record == record; ++extra_at_) {
    const auto& extra = extras[extra_at_];
    source_->extras->add(extra.path, 1);
    if (!source_->add_columns) continue;
    Value value;
    value.name = schema::legal_column_name(extra.path);
    if (value.name.empty()) value.name = "_";
    for (const auto& other : values_) {
      if ((other.name.empty() ? other.field.name : other.name) != value.name) continue;
      why = fmt::format("member '{}' would have the column '{}' of another one", printable(extra.path, 60), value.name);
      return false;
    }
    switch (extra.kind) {
      case JsonNode::Kind::boolean:
        value.field.type = Type::boolean;
        value.slot = extra.truth ? 1 : 0;
        break;
      case JsonNode::Kind::number:
        value.field.type = Type::float64;
        value.slot = data::slot_of(extra.number);
        break;
      default:
        value.field.type = Type::varchar;
        value.text = &extra.text;
        if (extra.text.size() > data::Limits::varchar) {
          why = fmt::format("member '{}' holds {} bytes, more than any column", printable(extra.path, 60),
                            extra.text.size());
          return false;
        }
    }
    values_.push_back(std::move(value));
  }
  return true;
}

void NdjsonParser::take_row(const data::Shape& shape, const data::Row& from, std::size_t record, data::Series* fresh,
                            data::RowSet& rows) {
  const auto& place = transcoder_.records()[record];
  values_.clear();
  const auto count = shape.fields.size();
  for (std::size_t f = 0; f < count; ++f) {
    Value value;
    value.field = shape.fields[f];
    value.slot = from.slots()[f];
    value.null = shape.nullable && data::Shape::is_null(from, count, f);
    if (value.null) {
      const auto column = column_of_.find(std::string(value.field.name));
      if (column == column_of_.end() || !transcoder_.given(record, column->second)) continue;
    }
    values_.push_back(std::move(value));
  }
  std::string why;
  if (!add_extras(record, why)) {
    rows.reject({place.begin, place.length, 0, {0, std::move(why)}});
    return;
  }
  if (values_.empty()) {
    rows.reject({place.begin, place.length, 0, {0, "the object gives no value besides timestamp and tags"}});
    return;
  }
  const bool nullable = std::any_of(values_.begin(), values_.end(), [](const Value& value) { return value.null; });
  const auto* const table = &shape.table;
  std::string key(reinterpret_cast<const char*>(table), sizeof *table);
  key += nullable ? '\1' : '\0';
  for (const auto& value : values_) {
    key += static_cast<char>(value.field.type);
    key += value.name.empty() ? value.field.name : std::string_view(value.name);
    key += '\0';
  }
  auto [at, is_new] = shapes_.try_emplace(std::move(key), 0);
  if (is_new) {
    std::vector<data::Field> fields;
    for (const auto& value : values_)
      fields.push_back(
          {rows.add_name(value.name.empty() ? value.field.name : std::string_view(value.name)), value.field.type});
    at->second = rows.add_shape(shape.table, fields, nullable);
  }
  auto& made = rows.shape(at->second);
  auto* const row = rows.begin_row(made.row_bytes());
  *row = from;
  row->shape = at->second;
  row->offset = place.begin;
  row->length = place.length;
  auto* const slots = row->slots();
  if (nullable) std::fill_n(slots + values_.size(), made.null_words(), std::uint64_t{0});
  for (std::size_t f = 0; f < values_.size(); ++f) {
    const auto& value = values_[f];
    if (value.null) {
      slots[f] = 0;
      slots[values_.size() + f / 64] |= std::uint64_t{1} << (f % 64);
    } else if (data::is_variable(value.field.type)) {
      const auto text = value.text != nullptr ? std::string_view(*value.text) : data::text_of(value.slot);
      slots[f] = rows.add_text(text);
      made.max_length[f] = std::max(made.max_length[f], static_cast<std::uint32_t>(text.size()));
    } else if (value.field.type == Type::decimal128) {
      char* const to = rows.begin_text(16);
      std::memcpy(to, reinterpret_cast<const char*>(value.slot), 16);
      rows.commit_text(16);
      slots[f] = reinterpret_cast<data::Slot>(to);
    } else {
      slots[f] = value.slot;
    }
  }
  ++made.rows;
  if (fresh != nullptr) rows.note_fresh(fresh, row);
  rows.commit_row(made.row_bytes());
}

}  // namespace penstock::format
