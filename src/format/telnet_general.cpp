#include <algorithm>

#include "format/number.h"
#include "format/telnet_work.h"

/// The path for any record: cuts, checks and finds or makes the series.
namespace penstock::format {

using namespace telnet;
using data::Limits;
using data::Series;
using data::Type;

namespace {

std::string_view next_word(std::string_view& text) noexcept {
  const char* const end = text.data() + text.size();
  const char* const begin = skip_blanks(text.data(), end);
  const char* const stop = find_in(begin, end, ' ');
  text = between(stop, end);
  return between(begin, stop);
}

bool looks_like_time(std::string_view word) noexcept {
  return (word == "0" || word.size() == 10 || word.size() == 13) &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::size_t put_keyword(std::string_view record) noexcept {
  std::string_view rest = record;
  if (next_word(rest) != "put") return 0;
  const char* const after = skip_blanks(rest.data(), rest.data() + rest.size());
  if (looks_like_time(next_word(rest))) {
    next_word(rest);
    if (next_word(rest).find('=') != std::string_view::npos) return 0;
  }
  return static_cast<std::size_t>(after - record.data());
}

std::string_view TelnetParser::Work::key_of(std::string_view metric, std::string_view tags) {
  // The seam is a byte that no record holds: sources in line protocol may share the registry.
  key_.reserve(metric.size() + tags.size() + 1 + kKeyPadding);
  key_.assign(metric);
  key_ += '\n';
  key_ += tags;
  return key_;
}

void TelnetParser::Work::general_line(const char* line, const char* end, std::size_t offset) {
  record_ = offset;
  LineError error;
  const auto refuse = [&] {
    const auto column = error.at == nullptr ? 0 : static_cast<std::uint32_t>(error.at - line) + 1;
    rows_->reject({static_cast<std::uint32_t>(offset),
                   static_cast<std::uint32_t>(end - line),
                   column,
                   {error.code, std::move(error.text)}});
  };
  const char* first = skip_blanks(line, end);
  if (first == end) {
    if (!options_.payload_rules) return;
    error = {0x020A, "the line is blank", nullptr};
    return refuse();
  }
  if (!options_.payload_rules) first += put_keyword(between(first, end));

  Elements elements;
  if (!cut(first, end, elements, error)) return refuse();
  const bool all = options_.naming.uses_all_tags();
  tags_.clear();
  columns_.clear();
  Series* series = nullptr;
  std::string_view key = key_of(elements.metric, elements.tags);
  if (all) series = registry_.find(hash_bytes(key), key);
  if (series == nullptr) {
    if (!cut_tags(elements.tags, error) || !check_tags(error)) return refuse();
    if (!all) {
      kept_tags_.clear();
      for (const auto& tag : tags_) {
        if (!kept_tags_.empty()) kept_tags_ += ' ';
        kept_tags_ += between(tag.key.data(), tag.value.data() + tag.value.size());
      }
      key = key_of(elements.metric, kept_tags_);
      series = registry_.find(hash_bytes(key), key);
    }
  }
  if (elements.time < options_.range.first || elements.time > options_.range.last) {
    error = {0x060B, "the timestamp is outside the time range of the database", elements.time_at};
    return refuse();
  }
  if (series == nullptr) {
    series = add_series(elements.metric, error);
    if (series == nullptr) return refuse();
  } else if (!all && names_collide()) {
    error = {0x263C, "a name stands twice among tags and columns", elements.tags.data()};
    return refuse();
  }
  auto* const plan = plan_for(series->child->table, elements.value.type);
  auto& memory = memory_of(*series);
  memory.plan = plan;
  memory.metric_bytes = static_cast<std::uint32_t>(elements.metric.size());
  if (last_series_ != kNoSeries) memory_[last_series_].next = series;
  put_row(series, *plan, elements, offset, static_cast<std::size_t>(end - line));
}

/// Elements are found as the server finds them: one that the end of the line ends, instead of a blank, is not seen.
bool TelnetParser::Work::cut(const char* p, const char* end, Elements& elements, LineError& error) {
  const auto fail = [&](std::uint16_t code, const char* at, std::string text) {
    error = {code, std::move(text), at};
    return false;
  };
  const char* stop = find_in(p, end, ' ');
  elements.metric = between(p, stop);
  if (stop == end) return fail(0x020A, p, "the line ends behind the metric: timestamp, value and tags are missing");
  if (elements.metric.size() > Limits::table_name)
    return fail(0x020A, p, "the metric is longer than " + std::to_string(Limits::table_name) + " bytes");

  p = skip_blanks(stop, end);
  stop = find_in(p, end, ' ');
  elements.time_at = p;
  if (p == end) return fail(0x3002, p, "the timestamp is missing");
  if (stop == end) return fail(0x3002, p, "the line ends behind the timestamp: value and tags are missing");
  if (!read_time(between(p, stop), elements.time))
    return fail(0x0127, p,
                "the timestamp '" + printable(between(p, stop), 40) +
                    "' is neither 0 nor a count of seconds (10 digits) or milliseconds (13 digits)");

  p = skip_blanks(stop, end);
  stop = find_in(p, end, ' ');
  if (p == end) return fail(0x0203, p, "the value is missing");
  if (stop == end) return fail(0x0203, p, "the line ends behind the value: tags are missing");
  scanner_.images().clear();
  if (!scanner_.read_value(between(p, stop), elements.value, error)) {
    error.code = 0x0203;
    return false;
  }
  if (elements.value.type == Type::nchar && !is_valid_utf8(elements.value.content))
    return fail(0x0200, p, "an NCHAR value is not valid UTF-8");

  p = skip_blanks(stop, end);
  if (p == end) return fail(0x0203, p, "the tags are missing");
  while (end > p && end[-1] == ' ') --end;
  elements.tags = between(p, end);
  return true;
}

bool TelnetParser::Work::read_time(std::string_view word, std::int64_t& time) const {
  if (word == "0") {
    time = options_.record_clock ? options_.record_clock(source_, chunk_offset_ + record_) : options_.clock();
    return true;
  }
  if (word.size() != 10 && word.size() != 13) return false;
  // As strtoll does, and nothing may be left over.
  std::size_t at = 0;
  while (at < word.size() && is_space(word[at])) ++at;
  const bool negative = at < word.size() && word[at] == '-';
  if (at < word.size() && (word[at] == '-' || word[at] == '+')) ++at;
  if (at == word.size()) return false;
  std::uint64_t count = 0;
  for (; at < word.size(); ++at) {
    if (word[at] < '0' || word[at] > '9') return false;
    count = count * 10 + static_cast<std::uint64_t>(word[at] - '0');
  }
  if (negative && count > 0) return false;
  time = saturated(count, word.size() == 10 ? kSecond : kMillisecond);
  return true;
}

bool TelnetParser::Work::cut_tags(std::string_view text, LineError& error) {
  const auto fail = [&](std::uint16_t code, const char* at, std::string what) {
    error = {code, std::move(what), at};
    return false;
  };
  tag_count_ = 0;
  const char* const end = text.data() + text.size();
  for (const char* p = text.data();;) {
    p = skip_blanks(p, end);
    if (p == end || *p == '\0') return true;  // the server takes a NUL there for the end
    const char* const key = p;
    while (p < end && *p != '=') {
      if (*p == ' ') return fail(0x3002, key, "a tag has a blank before its '='");
      ++p;
    }
    if (p == end) return fail(0x021F, key, "the line ends before the '=' of a tag");
    Tag tag{between(key, p), {}, key};
    if (tag.key.empty()) return fail(0x021F, key, "a tag has no key");
    if (tag.key.size() > Limits::column_name)
      return fail(0x021F, key, "a tag key is longer than " + std::to_string(Limits::column_name) + " bytes");
    const char* const value = ++p;
    while (p < end && *p != ' ') {
      if (*p == '=') return fail(0x3002, p, "a tag value holds a '='");
      ++p;
    }
    tag.value = between(value, p);
    if (tag.value.empty()) return fail(0x0203, value, "a tag value is empty");
    const auto use = options_.naming.use_of(tag.key);
    if (use == schema::NamingRules::TagUse::drop) continue;
    const bool column = use == schema::NamingRules::TagUse::column;
    const auto most = column ? Limits::nchar : Limits::nchar_tag;
    if (tag.value.size() > most)
      return fail(0x2642, value, "a tag value is longer than " + std::to_string(most) + " bytes");
    if (column) {
      columns_.push_back(tag);
    } else {
      ++tag_count_;
      if (tags_.size() <= Limits::tags) tags_.push_back(tag);
    }
  }
}

bool TelnetParser::Work::check_tags(LineError& error) {
  if (tag_count_ > Limits::tags) {
    error = {0x2643, "there are more than " + std::to_string(Limits::tags) + " tags", nullptr};
    return false;
  }
  for (const auto* const list : {&tags_, &columns_})
    for (const auto& tag : *list) {
      if (tag.key.find('\0') != std::string_view::npos) error = {0x0200, "a tag key holds a NUL", tag.at};
      else if (!is_valid_utf8(tag.value)) error = {0x0200, "a tag value is not valid UTF-8", tag.at};
      else continue;
      return false;
    }
  return true;
}

bool TelnetParser::Work::names_collide() {
  sorted_.assign({kValue, options_.naming.timestamp_name});
  for (const auto& tag : tags_) sorted_.push_back(tag.key);
  for (const auto& column : columns_) sorted_.push_back(column.key);
  std::sort(sorted_.begin(), sorted_.end());
  return std::adjacent_find(sorted_.begin(), sorted_.end()) != sorted_.end();
}

/// Registers the series whose tags were cut; its key is in `key_`.
Series* TelnetParser::Work::add_series(std::string_view metric, LineError& error) {
  const std::string table = super_table_name(metric, options_.naming);
  if (table.empty()) {
    error = {0x020A, "the metric begins with a NUL", metric.data()};
    return nullptr;
  }
  if (names_collide()) {
    error = {0x263C,
             "a name stands twice among tags, the column '_value' and the timestamp column '" +
                 options_.naming.timestamp_name + "'",
             metric.data() + metric.size()};
    return nullptr;
  }
  found_.table = table;
  found_.tags.clear();
  for (const auto& tag : tags_) found_.tags.push_back({tag.key, Type::nchar, tag.value});
  found_.child = child_table_name(metric, found_.tags, options_.naming);
  if (found_.child == table) {
    error = {0x061D, "the child table would have the name of its super table", metric.data()};
    return nullptr;
  }
  Series* const series = registry_.insert(hash_bytes(key_), key_, found_);
  if (options_.predict) kins_.note(*series, SeriesSyntax::telnet, metric, found_.tags, options_.naming);
  return series;
}

/// The plan of a super table, a type of value, and the tags in `columns_`.
Plan* TelnetParser::Work::plan_for(data::SuperTableRef* table, Type type) {
  signature_.assign(reinterpret_cast<const char*>(&table->id), sizeof table->id);
  signature_ += static_cast<char>(type);
  for (const auto& column : columns_) {
    signature_ += static_cast<char>(column.key.size());  // at most 64
    signature_ += column.key;
  }
  if (const auto at = plans_by_signature_.find(signature_); at != plans_by_signature_.end()) return at->second;
  auto& plan = plans_.emplace_back();
  plan.table = table;
  plan.type = type;
  plan.signature = signature_;
  for (const auto& column : columns_) plan.columns.emplace_back(column.key);
  plan.row_bytes = sizeof(data::Row) + (1 + plan.columns.size()) * sizeof(data::Slot);
  plan.longest.assign(1 + plan.columns.size(), 0);
  plans_by_signature_.emplace(plan.signature, &plan);
  return &plan;
}

TelnetParser::Work::Memory& TelnetParser::Work::memory_of(const Series& series) {
  if (series.id >= memory_.size())
    memory_.resize(std::max<std::size_t>(series.id + std::size_t{1}, memory_.size() * 2));
  return memory_[series.id];
}

void TelnetParser::Work::put_row(Series* series, Plan& plan, const Elements& elements, std::size_t offset,
                                 std::size_t length) {
  auto* const row = rows_->begin_row(plan.row_bytes);
  const auto& value = elements.value;
  data::Slot slot = value.slot;
  if (data::is_variable(value.type)) {
    value.write(rows_->begin_text(value.bytes), scanner_.images());
    slot = rows_->commit_text(value.bytes);
  }
  row->slots()[0] = slot;
  for (std::size_t i = 0; i < plan.columns.size(); ++i) row->slots()[i + 1] = rows_->add_text(columns_[i].value);
  finish(row, series, plan, elements.time, offset, length);
}

std::uint32_t TelnetParser::Work::shape_of(Plan& plan) {
  std::vector<data::Field> fields{{rows_->add_name(kValue), plan.type}};
  for (const auto& column : plan.columns) fields.push_back({rows_->add_name(column), Type::nchar});
  return open_shape(plan, fields, epoch_, open_plans_, *rows_);
}

}  // namespace penstock::format
