#include "format/telnet_parser.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "format/line_kernels.h"
#include "format/line_scan.h"
#include "format/number.h"
#include "format/payload.h"

namespace penstock::format {
namespace {

using data::Limits;
using data::Series;
using data::Type;

constexpr std::string_view kValue = "_value";
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kMillisecond = 1'000'000;

std::string_view between(const char* begin, const char* end) noexcept {
  return {begin, static_cast<std::size_t>(end - begin)};
}

const char* skip_blanks(const char* p, const char* end) noexcept {
  while (p < end && *p == ' ') ++p;
  return p;
}

const char* find_in(const char* p, const char* end, char wanted) noexcept {
  const auto* const found =
      p < end ? static_cast<const char*>(std::memchr(p, wanted, static_cast<std::size_t>(end - p))) : nullptr;
  return found != nullptr ? found : end;
}

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

std::int64_t saturated(std::uint64_t count, std::uint64_t factor) noexcept {
  return count > static_cast<std::uint64_t>(kMaxTime) / factor ? kMaxTime : static_cast<std::int64_t>(count * factor);
}

struct HashText {
  std::size_t operator()(std::string_view text) const noexcept { return hash_bytes(text); }
};

// Where rows of one super table with one type of value go. Tags that became columns follow the value.
struct Plan {
  data::SuperTableRef* table = nullptr;
  Type type = Type::null;
  std::string signature;
  std::vector<std::string> columns;  // besides the value
  std::size_t row_bytes = 0;
  // Of the RowSet being filled:
  std::uint64_t epoch = 0;
  std::uint32_t shape = 0;
  std::uint32_t rows = 0;
  std::vector<std::uint32_t> longest;
};

struct Tag {
  std::string_view key;
  std::string_view value;
  const char* at = nullptr;
};

// A record cut into its elements.
struct Elements {
  std::string_view metric;
  const char* time_at = nullptr;
  std::int64_t time = 0;
  LineValue value;
  std::string_view tags;  // trimmed of blanks
};

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

class TelnetParser::Work {
 public:
  Work(schema::Registry& registry, TelnetOptions options) : registry_(registry), options_(std::move(options)) {
    // Which tags make the child table is told by the general path.
    if (!options_.naming.uses_all_tags()) options_.predict = false;
  }

  void parse(std::string_view text, bool first, data::RowSet& rows);

 private:
  /// What this worker remembers of a series, by Series::id.
  struct Memory {
    Series* next = nullptr;  ///< that came behind it last time: files repeat their order
    Plan* plan = nullptr;    ///< of its last record
    std::uint32_t metric_bytes = 0;
  };
  static constexpr std::uint32_t kNoSeries = 0xFFFFFFFF;

  void run(const char* begin, const char* end, std::size_t offset);
  const char* predicted_line(const char* line, const char* end, std::size_t offset);
  void general_line(const char* line, const char* end, std::size_t offset);
  bool cut(const char* p, const char* end, Elements& elements, LineError& error);
  bool read_time(std::string_view word, std::int64_t& time) const;
  bool cut_tags(std::string_view text, LineError& error);
  bool check_tags(LineError& error);
  Series* add_series(std::string_view metric, LineError& error);
  bool names_collide();
  std::string_view key_of(std::string_view metric, std::string_view tags);
  Plan* plan_for(data::SuperTableRef* table, Type type);
  Memory& memory_of(const Series& series);
  void put_row(Series* series, Plan& plan, const Elements& elements, std::size_t offset, std::size_t length);
  std::uint32_t shape_of(Plan& plan);
  void finish(data::Row* row, Series* series, Plan& plan, std::int64_t time, std::size_t offset, std::size_t length);
  void close_shapes();

  schema::Registry& registry_;
  TelnetOptions options_;
  LineScanner scanner_;
  LineValue value_;
  schema::NewSeries found_;
  std::vector<Tag> tags_;     // that make the child table
  std::vector<Tag> columns_;  // tags that became columns
  std::size_t tag_count_ = 0;
  std::string key_;
  std::string kept_tags_;
  std::string signature_;
  std::vector<std::string_view> sorted_;
  std::deque<Plan> plans_;
  std::unordered_map<std::string_view, Plan*, HashText> plans_by_signature_;
  std::vector<Plan*> open_plans_;  // with a shape in rows_
  std::vector<Memory> memory_;
  std::uint32_t last_series_ = kNoSeries;
  data::RowSet* rows_ = nullptr;
  std::uint64_t epoch_ = 0;
  std::string tail_;
};

TelnetParser::TelnetParser(schema::Registry& registry, TelnetOptions options) {
  if (!options.clock) options.clock = system_time;
  work_ = std::make_unique<Work>(registry, std::move(options));
}
TelnetParser::~TelnetParser() = default;

void TelnetParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  if (!chunk.oversized) work_->parse(chunk.text, chunk.offset == 0, rows);
}

void TelnetParser::Work::parse(std::string_view text, bool first, data::RowSet& rows) {
  rows_ = &rows;
  rows.set_time_unit(data::Precision::nanoseconds);
  ++epoch_;
  // However the chunk ends, the shapes must tell the truth about the rows that are in.
  struct Closer {
    Work& work;
    ~Closer() { work.close_shapes(); }
  } const closer{*this};

  // The hot loop relies on a newline behind every line; a last line without one is parsed in a copy that has it.
  const auto newline = text.rfind('\n');
  const std::size_t whole = newline == std::string_view::npos ? 0 : newline + 1;
  const std::size_t start = first && !options_.payload_rules && text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  if (start < whole) run(text.data() + start, text.data() + whole, start);
  const std::size_t rest = std::max(start, whole);
  if (rest < text.size()) {
    tail_.assign(text, rest);
    tail_ += '\n';
    const auto size = tail_.size();
    tail_.append(io::kPadding, '\0');
    run(tail_.data(), tail_.data() + size, rest);
    rows.set_lines(rows.lines() - 1);
  }
}

void TelnetParser::Work::run(const char* begin, const char* end, std::size_t offset) {
  std::uint64_t lines = 0;
  for (const char* line = begin; line < end; ++lines) {
    const std::size_t at = offset + static_cast<std::size_t>(line - begin);
    if (options_.predict) [[likely]] {
      if (const char* const next = predicted_line(line, end, at)) [[likely]] {
        line = next;
        continue;
      }
    }
    const char* const newline = find_newline(line);
    const char* stop = newline;
    if (!options_.payload_rules && stop > line && stop[-1] == '\r') --stop;
    general_line(line, stop, at);
    line = newline + 1;
  }
  rows_->set_lines(rows_->lines() + lines);
}

// --- the hot path: records of known series ---

/// Returns the start of the next line, or nullptr: nothing was kept, the general path must look at it.
inline const char* TelnetParser::Work::predicted_line(const char* line, const char* end, std::size_t offset) {
  const char* p = line;
  constexpr std::uint32_t kPut = 0x20747570;
  if (load4(p) == kPut && !options_.payload_rules) {
    p += 4;
    while (*p == ' ') ++p;
    if (*p >= '0' && *p <= '9') [[unlikely]]
      return nullptr;  // perhaps a metric of that name
  }

  Series* series = last_series_ != kNoSeries ? memory_[last_series_].next : nullptr;
  std::string_view raw;
  const char* metric_end = nullptr;
  if (series != nullptr) [[likely]] {
    raw = series->raw;
    const auto bytes = memory_[series->id].metric_bytes;
    if (end - p > static_cast<std::ptrdiff_t>(raw.size()) && p[bytes] == ' ' && std::memcmp(p, raw.data(), bytes) == 0)
        [[likely]]
      metric_end = p + bytes;
  }
  if (metric_end == nullptr) {
    series = nullptr;
    metric_end = find_blank(p);
    if (metric_end == p || *metric_end != ' ') return nullptr;
  }

  const char* q = metric_end;
  do ++q;
  while (*q == ' ');
  std::uint64_t count = 0;
  unsigned digits = 0;
  q = read_digits(q, count, digits);
  if (*q != ' ' || (digits != 10 && digits != 13)) [[unlikely]]
    return nullptr;
  const std::int64_t time = saturated(count, digits == 10 ? kSecond : kMillisecond);
  if (time < options_.range.first || time > options_.range.last) [[unlikely]]
    return nullptr;
  do ++q;
  while (*q == ' ');

  Type type = Type::float64;
  data::Slot slot = 0;
  double number = 0;
  const char* value_end = read_plain_double(q, number);
  if (value_end != nullptr && *value_end == ' ') [[likely]] {
    slot = data::slot_of(number);
  } else {
    value_end = find_blank(q);
    if (*value_end != ' ') return nullptr;
    LineError error;
    scanner_.images().clear();
    if (!scanner_.read_value(between(q, value_end), value_, error)) return nullptr;
    type = value_.type;
    slot = value_.slot;
    if (type == Type::nchar && !is_valid_utf8(value_.content)) return nullptr;
  }
  const char* const tags = skip_blanks(value_end, end);

  const char* line_end = nullptr;
  if (series != nullptr) [[likely]] {
    const auto wanted = raw.substr(metric_end - p + std::size_t{1});
    if (end - tags > static_cast<std::ptrdiff_t>(wanted.size()) && std::memcmp(tags, wanted.data(), wanted.size()) == 0)
        [[likely]] {
      line_end = tags + wanted.size();
      if (*line_end != '\n' && !(line_end[0] == '\r' && line_end[1] == '\n' && !options_.payload_rules))
        line_end = nullptr;
    }
  }
  if (line_end == nullptr) {
    line_end = find_newline(tags);
    if (line_end > tags && line_end[-1] == '\r' && !options_.payload_rules) --line_end;
    const char* tags_end = line_end;
    while (tags_end > tags && tags_end[-1] == ' ') --tags_end;
    const auto key = key_of(between(p, metric_end), between(tags, tags_end));
    series = registry_.find(hash_bytes(key), key);
    if (series == nullptr || series->id >= memory_.size() || memory_[series->id].metric_bytes == 0) return nullptr;
    if (last_series_ != kNoSeries) memory_[last_series_].next = series;
  }

  auto& memory = memory_[series->id];
  if (memory.next != nullptr) {
    // The registry lays the raw bytes behind the head of a series.
    const auto* const next = reinterpret_cast<const char*>(memory.next);
    __builtin_prefetch(next);
    __builtin_prefetch(next + 64);
    __builtin_prefetch(next + 128);
  }
  if (memory.plan == nullptr || memory.plan->type != type) [[unlikely]] {
    columns_.clear();
    memory.plan = plan_for(series->child->table, type);
  }
  auto* const row = rows_->begin_row(memory.plan->row_bytes);
  if (data::is_variable(type)) {
    value_.write(rows_->begin_text(value_.bytes), scanner_.images());
    slot = rows_->commit_text(value_.bytes);
  }
  row->slots()[0] = slot;
  finish(row, series, *memory.plan, time, offset, static_cast<std::size_t>(line_end - line));
  return *line_end == '\n' ? line_end + 1 : line_end + 2;
}

inline void TelnetParser::Work::finish(data::Row* row, Series* series, Plan& plan, std::int64_t time,
                                       std::size_t offset, std::size_t length) {
  row->child = series->child_id;
  row->shape = plan.epoch == epoch_ ? plan.shape : shape_of(plan);
  row->offset = static_cast<std::uint32_t>(offset);
  row->length = static_cast<std::uint32_t>(length);
  row->time = time;
  if (data::is_variable(plan.type))
    plan.longest[0] = std::max(plan.longest[0], static_cast<std::uint32_t>(data::text_of(row->slots()[0]).size()));
  for (std::size_t i = 1; i < plan.longest.size(); ++i)
    plan.longest[i] = std::max(plan.longest[i], static_cast<std::uint32_t>(data::text_of(row->slots()[i]).size()));
  if (series->state() != Series::State::admitted) [[unlikely]]
    rows_->note_fresh(series, row);
  ++plan.rows;
  rows_->commit_row(plan.row_bytes);
  last_series_ = series->id;
}

std::string_view TelnetParser::Work::key_of(std::string_view metric, std::string_view tags) {
  // The seam is a byte that no record holds: sources in line protocol may share the registry.
  key_.assign(metric);
  key_ += '\n';
  key_ += tags;
  return key_;
}

// --- the path for any line ---

void TelnetParser::Work::general_line(const char* line, const char* end, std::size_t offset) {
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
    time = options_.clock();
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
  return registry_.insert(hash_bytes(key_), key_, found_);
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
  plan.shape = rows_->add_shape(plan.table, fields);
  plan.epoch = epoch_;
  plan.rows = 0;
  std::fill(plan.longest.begin(), plan.longest.end(), 0);
  open_plans_.push_back(&plan);
  return plan.shape;
}

void TelnetParser::Work::close_shapes() {
  for (auto* plan : open_plans_) {
    auto& shape = rows_->shape(plan->shape);
    shape.rows = plan->rows;
    shape.max_length = plan->longest;
  }
  open_plans_.clear();
}

}  // namespace penstock::format
