#include "format/influx_csv_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "base/text.h"
#include "format/number.h"
#include "format/payload.h"

namespace penstock::format {
namespace {

using Role = InfluxCsvColumn::Role;
using data::Limits;
using data::Series;
using data::Type;

struct Refusal {
  std::uint16_t code = 0;
  std::string text;
  std::size_t cell = 0;
};

// The rows of one super table that give the same fields.
struct Plan {
  std::string signature;
  data::SuperTableRef* table = nullptr;
  std::vector<std::pair<std::string, Type>> fields;
  bool nullable = false;
  // Of the RowSet being filled:
  std::uint64_t epoch = 0;
  std::uint32_t shape = 0;
};

struct HashText {
  std::size_t operator()(std::string_view text) const noexcept { return hash_bytes(text); }
};

int base64_digit(char c) noexcept {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

bool read_base64(std::string_view text, std::string& out) {
  out.clear();
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return false;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out += static_cast<char>(bits >> held & 0xFF);
    }
  }
  return text.size() % 4 != 1;
}

// As line protocol writes it: the server's names of child tables are made of that.
std::string escaped_measurement(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == ',' || c == ' ') out += '\\';
    out += c;
  }
  return out;
}

void append_part(std::string& key, std::string_view part) {
  const auto size = static_cast<std::uint32_t>(part.size());
  key.append(reinterpret_cast<const char*>(&size), sizeof size);
  key += part;
}

}  // namespace

class InfluxCsvParser::Work {
 public:
  Work(schema::Registry& registry, std::shared_ptr<InfluxCsvOutline> outline, InfluxCsvOptions options)
      : registry_(registry), outline_(std::move(outline)), options_(std::move(options)) {}
  void parse(const io::Chunk& chunk, data::RowSet& rows);

 private:
  struct Given {
    std::string_view name;
    Type type = Type::null;
    data::Slot slot = 0;
    bool null = false;
  };
  bool row(std::string_view record, const InfluxCsvTable& table, std::size_t offset, Refusal& why);
  [[nodiscard]] std::string_view cell(const InfluxCsvTable& table, std::size_t i) const noexcept {
    return cells_[i].empty() && quoted_[i] == 0 ? std::string_view(table.columns[i].fallback) : cells_[i];
  }
  [[nodiscard]] bool is_null(const InfluxCsvTable& table, std::size_t i) const noexcept {
    return cells_[i].empty() && quoted_[i] == 0 && table.columns[i].fallback.empty();
  }
  bool read_value(const InfluxCsvColumn& column, std::string_view text, data::Slot& slot, Refusal& why);
  Series* series_of(const InfluxCsvTable& table, std::string_view measurement, Refusal& why);
  Series* add_series(const InfluxCsvTable& table, std::string_view measurement, Refusal& why);
  Plan* plan_for(data::SuperTableRef* table, bool nullable);

  schema::Registry& registry_;
  std::shared_ptr<InfluxCsvOutline> outline_;
  InfluxCsvOptions options_;
  std::vector<std::string_view> cells_;
  std::vector<char> quoted_;
  std::string scratch_;
  std::vector<Given> given_;
  std::string key_, last_key_, binary_, signature_;
  Series* last_series_ = nullptr;
  schema::NewSeries found_;
  std::vector<std::string_view> sorted_;
  std::deque<Plan> plans_;
  std::unordered_map<std::string_view, Plan*, HashText> plans_by_signature_;
  data::RowSet* rows_ = nullptr;
  std::uint64_t epoch_ = 0;
};

InfluxCsvParser::InfluxCsvParser(schema::Registry& registry, std::shared_ptr<InfluxCsvOutline> outline,
                                 InfluxCsvOptions options)
    : work_(std::make_unique<Work>(registry, std::move(outline), std::move(options))) {}
InfluxCsvParser::~InfluxCsvParser() = default;

void InfluxCsvParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  if (!chunk.oversized) work_->parse(chunk, rows);
}

void InfluxCsvParser::Work::parse(const io::Chunk& chunk, data::RowSet& rows) {
  rows_ = &rows;
  rows.set_time_unit(data::Precision::nanoseconds);
  ++epoch_;
  auto state = outline_->take(chunk.offset);
  const auto text = chunk.text;
  rows.set_lines(static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')));
  const char* const end = text.data() + text.size();
  const char* p = text.data() + (chunk.offset == 0 && text.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  const InfluxCsvTable* noted = nullptr;
  const auto note_head = [&](const char* at) {
    const auto* const table = state.table().get();
    if (table == noted) return;
    noted = table;
    rows.note_mark({static_cast<std::uint32_t>(at - text.data()), rows.add_name(table->head), data::Mark::Kind::head});
  };
  note_head(p);
  while (p < end) {
    const char* const stop = influx_csv_record_end(p, end);
    std::string_view record(p, static_cast<std::size_t>(stop - p));
    const auto offset = static_cast<std::size_t>(p - text.data());
    p = stop == end ? end : stop + 1;
    if (state.take(record)) {
      note_head(p);
      continue;
    }
    if (record.ends_with('\r')) record.remove_suffix(1);
    Refusal why;
    if (row(record, *state.table(), offset, why)) continue;
    const auto column = why.cell < cells_.size() && quoted_[why.cell] == 0 && !cells_[why.cell].empty() && why.cell > 0
                            ? static_cast<std::uint32_t>(cells_[why.cell].data() - record.data()) + 1
                            : 0;
    rows.reject({static_cast<std::uint32_t>(offset),
                 static_cast<std::uint32_t>(record.size()),
                 column,
                 {why.code, std::move(why.text)}});
  }
}

bool InfluxCsvParser::Work::row(std::string_view record, const InfluxCsvTable& table, std::size_t offset,
                                Refusal& why) {
  const auto refuse = [&](std::uint16_t code, std::size_t at, std::string text) {
    why = {code, std::move(text), at};
    return false;
  };
  split_influx_csv(record, cells_, quoted_, scratch_);
  const auto& columns = table.columns;
  if (cells_.size() != columns.size())
    return refuse(0, 0, fmt::format("the row has {} fields, its table's header {}", cells_.size(), columns.size()));
  if (table.error >= 0)
    return refuse(0, static_cast<std::size_t>(table.error),
                  fmt::format("InfluxDB reported an error instead of rows: {}",
                              printable(cells_[static_cast<std::size_t>(table.error)], 200)));
  if (!table.problem.empty()) return refuse(0, 0, table.problem);

  const auto time_at = static_cast<std::size_t>(table.time);
  std::int64_t time = 0;
  unsigned digits = 0;
  if (!read_influx_time(cell(table, time_at), time, digits))
    return refuse(0x0127, time_at,
                  fmt::format("the time '{}' is not in RFC 3339, or outside of what nanoseconds can say",
                              printable(cell(table, time_at), 40)));
  if (time < options_.range.first || time > options_.range.last)
    return refuse(0x060B, time_at, "the timestamp is outside the time range of the database");
  std::string_view measurement = options_.table;
  if (table.measurement >= 0) measurement = cell(table, static_cast<std::size_t>(table.measurement));
  if (measurement.empty() || measurement.size() > Limits::table_name)
    return refuse(0x020A, 0, "the measurement is empty or longer than 192 bytes");

  given_.clear();
  bool nullable = false;
  const auto take = [&](std::size_t i, std::string_view name) {
    if (name.empty() || name.size() > Limits::column_name)
      return refuse(0x021F, i, "the name of a field is empty or longer than 64 bytes");
    Given given{name, columns[i].type, 0, is_null(table, i)};
    if (!given.null && !read_value(columns[i], cell(table, i), given.slot, why)) return why.cell = i, false;
    nullable = nullable || given.null;
    given_.push_back(given);
    return true;
  };
  if (table.field_name >= 0) {
    if (!take(static_cast<std::size_t>(table.field_value), cell(table, static_cast<std::size_t>(table.field_name))))
      return false;
  } else {
    std::size_t empty = 0;
    for (std::size_t i = columns.size(); i-- > 0;) {
      if (columns[i].role != Role::field) continue;
      empty = i;
    }
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (columns[i].role == Role::field && !is_null(table, i) && !take(i, columns[i].name)) return false;
    if (given_.empty() && !take(empty, columns[empty].name)) return false;
  }
  using TagUse = schema::NamingRules::TagUse;
  if (!options_.naming.uses_all_tags())
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].role != Role::tag || options_.naming.use_of(columns[i].name) != TagUse::column) continue;
      const auto value = cell(table, i);
      if (value.empty()) continue;
      if (!is_valid_utf8(value)) return refuse(0x0200, i, "a tag value is not valid UTF-8");
      given_.push_back({columns[i].name, Type::nchar, rows_->add_text(value), false});
    }
  auto* const series = series_of(table, measurement, why);
  if (series == nullptr) return false;
  // A name that is tag and field, or the timestamp's: told by names, once a row (tables have few).
  sorted_.clear();
  for (const auto& given : given_) {
    for (const auto& column : columns)
      if (column.role == Role::tag && column.name == given.name && given.type != Type::nchar)
        return refuse(0x263C, 0, fmt::format("'{}' is both a tag and a field", printable(given.name)));
    sorted_.push_back(given.name);
  }
  sorted_.push_back(options_.naming.timestamp_name);
  std::sort(sorted_.begin(), sorted_.end());
  if (std::adjacent_find(sorted_.begin(), sorted_.end()) != sorted_.end())
    return refuse(0x263C, 0, "a name stands twice among fields and the timestamp column");

  auto* const plan = plan_for(series->child->table, nullable);
  auto& shape = rows_->shape(plan->shape);
  const auto bytes = shape.row_bytes();
  auto* const made = rows_->begin_row(bytes);
  made->child = series->child_id;
  made->shape = plan->shape;
  made->offset = static_cast<std::uint32_t>(offset);
  made->length = static_cast<std::uint32_t>(record.size());
  made->time = time;
  for (std::size_t word = 0; word < shape.null_words(); ++word) made->slots()[given_.size() + word] = 0;
  for (std::size_t i = 0; i < given_.size(); ++i) {
    made->slots()[i] = given_[i].slot;
    if (given_[i].null) made->slots()[given_.size() + i / 64] |= std::uint64_t{1} << (i % 64);
    else if (data::is_variable(given_[i].type))
      shape.max_length[i] =
          std::max(shape.max_length[i], static_cast<std::uint32_t>(data::text_of(given_[i].slot).size()));
  }
  if (series->state() != Series::State::admitted) rows_->note_fresh(series, made);
  ++shape.rows;
  rows_->commit_row(bytes);
  return true;
}

bool InfluxCsvParser::Work::read_value(const InfluxCsvColumn& column, std::string_view text, data::Slot& slot,
                                       Refusal& why) {
  const auto refuse = [&](std::uint16_t code, std::string what) {
    why = {code, std::move(what), 0};
    return false;
  };
  const char* const end = text.data() + text.size();
  const auto whole = [&](auto& value) {
    const auto [stop, error] = std::from_chars(text.data() + (text.starts_with('+') ? 1 : 0), end, value);
    return error == std::errc() && stop == end;
  };
  const auto wrong = [&](const char* what) {
    return refuse(0x0203, fmt::format("value '{}' is no {}", printable(text, 40), what));
  };
  switch (column.type) {
    case Type::bigint: {
      std::int64_t value = 0;
      if (!whole(value)) return wrong("long");
      slot = data::slot_of(value);
      return true;
    }
    case Type::ubigint: {
      std::uint64_t value = 0;
      if (!whole(value)) return wrong("unsignedLong");
      slot = value;
      return true;
    }
    case Type::float64: {
      Number number;
      if (parse_number(text, number) != nullptr || number.type != Type::float64 || number.suffix_bytes != 0)
        return wrong("double");
      slot = number.slot;
      return true;
    }
    case Type::boolean: {
      const auto is = [&](std::string_view word) {
        return text.size() == word.size() &&
               std::equal(text.begin(), text.end(), word.begin(), [](char a, char b) { return (a | 0x20) == b; });
      };
      if (!is("true") && !is("t") && !is("false") && !is("f")) return wrong("boolean");
      slot = is("true") || is("t");
      return true;
    }
    case Type::timestamp: {
      std::int64_t ns = 0;
      unsigned digits = 0;
      if (!read_influx_time(text, ns, digits)) return wrong("time in RFC 3339");
      slot = data::slot_of(ns);
      return true;
    }
    default: break;
  }
  if (column.base64) {
    if (!read_base64(text, binary_)) return wrong("base64Binary");
    text = binary_;
  }
  if (text.size() > Limits::varchar)
    return refuse(0x2642,
                  fmt::format("a {} value is longer than {} bytes", data::type_name(column.type), Limits::varchar));
  slot = rows_->add_text(text);
  return true;
}

Series* InfluxCsvParser::Work::series_of(const InfluxCsvTable& table, std::string_view measurement, Refusal& why) {
  // No other format makes a key of this kind: theirs hold no line end at the start.
  key_ = "\ninflux";
  append_part(key_, measurement);
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    if (column.role != Role::tag || options_.naming.use_of(column.name) != schema::NamingRules::TagUse::tag) continue;
    const auto value = cell(table, i);
    if (value.empty()) continue;
    append_part(key_, column.name);
    append_part(key_, value);
  }
  if (last_series_ != nullptr && key_ == last_key_) return last_series_;
  auto* series = registry_.find(hash_bytes(key_), key_);
  if (series == nullptr) series = add_series(table, measurement, why);
  if (series != nullptr) {
    last_series_ = series;
    last_key_ = key_;
  }
  return series;
}

Series* InfluxCsvParser::Work::add_series(const InfluxCsvTable& table, std::string_view measurement, Refusal& why) {
  const auto refuse = [&](std::uint16_t code, std::size_t at, std::string text) {
    why = {code, std::move(text), at};
    return nullptr;
  };
  found_.tags.clear();
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    if (column.role != Role::tag || options_.naming.use_of(column.name) != schema::NamingRules::TagUse::tag) continue;
    const auto value = cell(table, i);
    if (value.empty()) continue;
    if (column.name.empty() || column.name.size() > Limits::column_name)
      return refuse(0x021F, i, "the name of a tag is empty or longer than 64 bytes");
    if (value.size() > Limits::nchar) return refuse(0x2642, i, "a tag value is longer than 16379 bytes");
    if (!is_valid_utf8(value) || !is_valid_utf8(column.name)) return refuse(0x0200, i, "a tag is not valid UTF-8");
    found_.tags.push_back({column.name, Type::nchar, value});
  }
  if (found_.tags.size() > Limits::tags)
    return refuse(0x2643, 0, fmt::format("there are more than {} tags", Limits::tags));
  sorted_.assign({std::string_view(options_.naming.timestamp_name)});
  for (const auto& tag : found_.tags) sorted_.push_back(tag.key);
  for (const auto& given : given_) sorted_.push_back(given.name);
  std::sort(sorted_.begin(), sorted_.end());
  if (std::adjacent_find(sorted_.begin(), sorted_.end()) != sorted_.end())
    return refuse(0x263C, 0, "a name stands twice among tags, fields and the timestamp column");
  const std::string name = super_table_name(measurement, options_.naming);
  if (name.empty()) return refuse(0x020A, 0, "the measurement begins with a NUL");
  found_.table = name;
  found_.child = child_table_name(escaped_measurement(measurement), found_.tags, options_.naming);
  if (found_.child == name) return refuse(0x061D, 0, "the child table would have the name of its super table");
  return registry_.insert(hash_bytes(key_), key_, found_);
}

Plan* InfluxCsvParser::Work::plan_for(data::SuperTableRef* table, bool nullable) {
  signature_.assign(reinterpret_cast<const char*>(&table->id), sizeof table->id);
  signature_ += nullable ? 'n' : ' ';
  for (const auto& given : given_) {
    signature_ += static_cast<char>(given.type);
    signature_ += static_cast<char>(given.name.size());  // at most 64
    signature_ += given.name;
  }
  Plan* plan = nullptr;
  if (const auto at = plans_by_signature_.find(signature_); at != plans_by_signature_.end()) {
    plan = at->second;
  } else {
    plan = &plans_.emplace_back();
    plan->signature = signature_;
    plan->table = table;
    plan->nullable = nullable;
    for (const auto& given : given_) plan->fields.emplace_back(given.name, given.type);
    plans_by_signature_.emplace(plan->signature, plan);
  }
  if (plan->epoch != epoch_) {
    std::vector<data::Field> fields;
    for (const auto& [name, type] : plan->fields) fields.push_back({rows_->add_name(name), type});
    plan->shape = rows_->add_shape(plan->table, fields, plan->nullable);
    plan->epoch = epoch_;
  }
  return plan;
}

}  // namespace penstock::format
