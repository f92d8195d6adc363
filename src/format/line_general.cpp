#include <algorithm>
#include <numeric>

#include "format/influx_dump.h"
#include "format/line_work.h"

namespace penstock::format {

using data::Limits;
using data::Series;
using data::Type;

void LineParser::Work::general_line(const char* line, const char* end, std::size_t offset) {
  if (line < end && *line == '#') {
    if (!options_.payload_rules) note_context(*rows_, offset, {line, static_cast<std::size_t>(end - line)});
    return;
  }
  scanner_.start(line, end);
  LineError error;
  const char* const first = scanner_.first();
  const auto refuse = [&] {
    if (!options_.payload_rules && is_dump_statement({line, static_cast<std::size_t>(end - line)})) return;
    const auto column = error.at == nullptr ? 0 : static_cast<std::uint32_t>(error.at - line) + 1;
    rows_->reject({static_cast<std::uint32_t>(offset),
                   static_cast<std::uint32_t>(end - line),
                   column,
                   {error.code, std::move(error.text)}});
  };
  if (first == end) {
    if (!options_.payload_rules) return;
    error = {0x020A, "the line is blank", nullptr};
    return refuse();
  }
  const bool all = options_.naming.uses_all_tags();
  std::string_view raw(first, static_cast<std::size_t>(scanner_.series_end() - first));
  Series* series = all ? registry_.find(hash_bytes(raw), raw) : nullptr;
  std::int64_t time = 0;
  if ((series == nullptr && !scanner_.scan_series(error)) || !general_fields(end, offset, time, error)) return refuse();
  if (!all) {
    raw = set_tags_aside();
    series = registry_.find(hash_bytes(raw), raw);
  }
  if (!check(series, time, error)) return refuse();
  const bool is_new = series == nullptr;
  if (is_new) {
    series = add_series(raw, error);
    if (series == nullptr) return refuse();
  }
  auto* const plan = plan_for(series->child->table);
  auto& memory = memory_of(*series);
  if (plan->duplicate || (memory.plan != plan && memory.other != plan && names_collide(*series, *plan))) {
    error = duplicate_name();
    return refuse();
  }
  // A line that only lacks some fields takes nothing away from what is expected of the next.
  auto*& widest = widest_of(*plan->table);
  if (widest == nullptr || plan->fields.size() > widest->fields.size()) widest = plan;
  if (memory.plan != plan && (memory.plan == nullptr || !memory.plan->add_part(*plan, parts_))) {
    memory.other = memory.plan;
    memory.plan = plan;
    if (widest != plan && widest != memory.other && widest->add_part(*plan, parts_) &&
        !names_collide(*series, *widest)) {
      memory.other = plan;
      memory.plan = widest;
    }
  }
  if (last_series_ != kNoSeries) memory_[last_series_].next = series;
  put_row(series, plan, time, offset, static_cast<std::size_t>(end - line));
}

bool LineParser::Work::general_fields(const char* end, std::size_t offset, std::int64_t& time, LineError& error) {
  if (!scanner_.scan_fields(error)) return false;
  const char* p = scanner_.after_fields();
  while (p < end && *p == ' ') ++p;
  const char* const begin = p;
  while (p < end && !is_space(*p)) ++p;
  if (parse_time({begin, static_cast<std::size_t>(p - begin)}, offset, time)) return true;
  error = {0x0127, "the timestamp is no positive integer, or too large for its unit", begin};
  return false;
}

bool LineParser::Work::parse_time(std::string_view token, std::size_t offset, std::int64_t& time) const {
  if (token.empty() || token == "0") {
    time = time_at(offset);
    return true;
  }
  std::size_t at = token[0] == '-' || token[0] == '+';
  if (at == token.size()) return false;
  std::int64_t count = 0;
  for (; at < token.size(); ++at) {
    if (token[at] < '0' || token[at] > '9') return false;
    const std::int64_t digit = token[at] - '0';
    count = count > (kMaxTime - digit) / 10 ? kMaxTime : count * 10 + digit;  // clamps, as strtoll does
  }
  return token[0] != '-' && scale_.to_ns(count, time);
}

/// What the server checks of a line after it has been read; `known` when its tags were checked before.
bool LineParser::Work::check(const Series* known, std::int64_t time, LineError& error) {
  const auto tags = known != nullptr ? known->tags.size() : scanner_.tag_count();
  if (tags > Limits::tags) {
    error = {0x2643, "there are more than " + std::to_string(Limits::tags) + " tags", nullptr};
    return false;
  }
  if (tags + std::max(scanner_.field_count(), scanner_.fields().size()) + 1 > Limits::columns) {
    error = {0x2640, "timestamp, fields and tags are more than " + std::to_string(Limits::columns), nullptr};
    return false;
  }
  for (const auto& field : scanner_.fields()) {
    if (field.key.find('\0') != std::string_view::npos) error = {0x0200, "a field key holds a NUL", field.raw.data()};
    else if (field.value.type == Type::nchar && !is_valid_utf8(field.value.content))
      error = {0x0200, "an NCHAR value is not valid UTF-8", field.value.begin};
    if (!error.text.empty()) return false;
  }
  if (known == nullptr)
    for (const auto& tag : scanner_.tags()) {
      if (tag.key.find('\0') != std::string_view::npos) error = {0x0200, "a tag key holds a NUL", tag.at};
      else if (!is_valid_utf8(tag.value)) error = {0x0200, "a tag value is not valid UTF-8", tag.at};
      if (!error.text.empty()) return false;
    }
  if (time < options_.range.first || time > options_.range.last) {
    error = {0x060B, "the timestamp is outside the time range of the database", scanner_.after_fields()};
    return false;
  }
  return true;
}

/// Takes out of the scanned tags those that are not wanted, makes fields of those that become columns, and returns
/// what is left of measurement and tags, as in the text.
std::string_view LineParser::Work::set_tags_aside() {
  using TagUse = schema::NamingRules::TagUse;
  kept_ = scanner_.raw_measurement();
  auto& tags = scanner_.tags();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const LineTag tag = tags[i];
    const auto use = options_.naming.use_of(tag.key);
    if (use == TagUse::tag) {
      const char* const end = i + 1 < tags.size() ? tags[i + 1].at - 1 : scanner_.series_end();
      kept_ += ',';
      kept_.append(tag.at, end);
      tags[kept++] = tag;
    } else if (use == TagUse::column) {
      LineField column;
      column.key = column.raw = tag.key;
      column.value.begin = tag.value.data();
      column.value.end = tag.value.data() + tag.value.size();
      column.value.content = tag.value;
      column.value.type = Type::nchar;
      column.value.bytes = static_cast<std::uint32_t>(tag.value.size());
      scanner_.fields().push_back(column);
    }
  }
  tags.resize(kept);
  return kept_;
}

/// Registers the series of the scanned line, `raw` in the text.
Series* LineParser::Work::add_series(std::string_view raw, LineError& error) {
  const std::string table = super_table_name(scanner_.measurement(), options_.naming);
  if (table.empty()) {
    error = {0x020A, "the measurement begins with a NUL", scanner_.first()};
    return nullptr;
  }
  found_.table = table;
  found_.tags.clear();
  for (const auto& tag : scanner_.tags()) found_.tags.push_back({tag.key, Type::nchar, tag.value});
  found_.child = child_table_name(scanner_.raw_measurement(), found_.tags, options_.naming);

  if (found_.child == table) {
    error = {0x061D, "the child table would have the name of its super table", scanner_.first()};
    return nullptr;
  }
  // With the fields, so that no line that is refused leaves a child table behind.
  sorted_.clear();
  for (const auto& tag : found_.tags) sorted_.push_back(tag.key);
  for (const auto& field : scanner_.fields()) sorted_.push_back(field.key);
  sorted_.push_back(options_.naming.timestamp_name);
  std::sort(sorted_.begin(), sorted_.end());
  if (std::adjacent_find(sorted_.begin(), sorted_.end()) != sorted_.end()) {
    error = duplicate_name();
    return nullptr;
  }
  Series* const series = registry_.insert(hash_bytes(raw), raw, found_);
  if (options_.predict)
    kins_.note(*series, SeriesSyntax::line, scanner_.raw_measurement(), found_.tags, options_.naming);
  return series;
}

/// The plan of the scanned fields. `order_` tells which slot each takes; empty: the one of its own place.
LinePlan* LineParser::Work::plan_for(data::SuperTableRef* table) {
  const auto& fields = scanner_.fields();
  order_.clear();
  LinePlan::signature_of(*table, fields, order_, signature_);
  if (const auto at = plans_by_signature_.find(signature_); at != plans_by_signature_.end()) return at->second;

  std::vector<std::uint16_t> sorted(fields.size());
  std::iota(sorted.begin(), sorted.end(), std::uint16_t{0});
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::uint16_t a, std::uint16_t b) { return fields[a].key < fields[b].key; });
  LinePlan::signature_of(*table, fields, sorted, signature_);
  if (const auto at = plans_by_sorted_.find(signature_); at != plans_by_sorted_.end()) {
    order_.resize(fields.size());
    for (std::size_t i = 0; i < fields.size(); ++i) order_[sorted[i]] = at->second->sorted[i];
    return at->second;
  }
  auto& plan = plans_.emplace_back(table, fields, std::move(sorted), options_.naming.timestamp_name);
  plans_by_signature_.emplace(plan.signature, &plan);
  plans_by_sorted_.emplace(plan.sorted_signature, &plan);
  return &plan;
}

bool LineParser::Work::names_collide(const Series& series, const LinePlan& plan) {
  for (const auto& tag : series.tags) {
    const auto key = tag_key_name(tag.key);
    for (const auto& field : plan.names)
      if (field.name == key) return true;
  }
  return series.tags.size() + plan.names.size() + 1 > Limits::columns;
}

std::string_view LineParser::Work::tag_key_name(std::uint16_t key) {
  if (key >= tag_key_names_.size()) tag_key_names_.resize(key + std::size_t{1});
  auto& name = tag_key_names_[key];
  if (name.empty()) name = registry_.tag_key_name(key);  // takes a lock; the name stays where it is
  return name;
}

LineParser::Work::Memory& LineParser::Work::memory_of(const Series& series) {
  if (series.id >= memory_.size())
    memory_.resize(std::max<std::size_t>(series.id + std::size_t{1}, memory_.size() * 2));
  return memory_[series.id];
}

void LineParser::Work::put_row(Series* series, LinePlan* plan, std::int64_t time, std::size_t offset,
                               std::size_t length) {
  auto* const row = rows_->begin_row(plan->row_bytes);
  const auto& fields = scanner_.fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto& value = fields[i].value;
    auto& slot = row->slots()[order_.empty() ? i : order_[i]];
    if (data::is_variable(value.type)) {
      value.write(rows_->begin_text(value.bytes), scanner_.images());
      slot = rows_->commit_text(value.bytes);
    } else {
      slot = value.slot;
    }
  }
  finish(row, series, *plan, time, offset, length);
}

}  // namespace penstock::format
