#include "format/line_parser.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <limits>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/text.h"
#include "format/line_kernels.h"
#include "format/line_plan.h"
#include "format/line_scan.h"
#include "format/number.h"

namespace penstock::format {
namespace {

using data::Limits;
using data::Series;
using data::Type;

constexpr std::int64_t kMaxTime = std::numeric_limits<std::int64_t>::max();
// Prepared shapes are dropped when there are more: input whose every line has other fields must not fill the memory.
constexpr std::size_t kMostPlans = 16'384;

std::int64_t system_time() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_valid_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8)
    if ((load8(text.data() + at) & 0x8080808080808080) != 0) break;
  return is_utf8(text.substr(at));
}

struct HashSignature {
  std::size_t operator()(std::string_view text) const noexcept { return hash_bytes(text); }
};

/// Turns a positive count of units into nanoseconds. ms and us saturate at INT64_MAX; coarser units fail where they
/// overflow 64 bits of milliseconds: that is what the server does.
struct TimeScale {
  explicit TimeScale(TimeUnit unit) {
    switch (unit) {
      case TimeUnit::hours: coarse = 3'600'000; break;
      case TimeUnit::minutes: coarse = 60'000; break;
      case TimeUnit::seconds: coarse = 1'000; break;
      case TimeUnit::milliseconds: break;
      case TimeUnit::microseconds: factor = 1'000; break;
      case TimeUnit::nanoseconds: factor = 1; break;
    }
  }
  bool to_ns(std::int64_t count, std::int64_t& ns) const noexcept {
    if (count <= 0) return false;
    if (coarse != 1) {
      if (coarse > kMaxTime / count) return false;
      count *= coarse;
    }
    ns = count > kMaxTime / factor ? kMaxTime : count * factor;
    return true;
  }
  std::int64_t coarse = 1;           ///< units to milliseconds
  std::int64_t factor = 1'000'000;   ///< from there to nanoseconds
};

}  // namespace

std::optional<TimeUnit> time_unit_from_name(std::string_view name) noexcept {
  if (name == "h") return TimeUnit::hours;
  if (name == "m") return TimeUnit::minutes;
  if (name == "s") return TimeUnit::seconds;
  if (name == "ms") return TimeUnit::milliseconds;
  if (name == "us") return TimeUnit::microseconds;
  if (name == "ns" || name == "none") return TimeUnit::nanoseconds;
  return std::nullopt;
}

class LineParser::Work {
 public:
  Work(schema::Registry& registry, LineOptions options)
      : registry_(registry), options_(std::move(options)), scale_(options_.precision) {
    if (!options_.clock) options_.clock = system_time;
  }

  void parse(std::string_view text, bool first, data::RowSet& rows);

 private:
  /// What this worker remembers of a series, by Series::id.
  struct Memory {
    Series* next = nullptr;     ///< that came behind it last time: files repeat their order
    LinePlan* plan = nullptr;   ///< of its last line; names known not to collide with its tags
    LinePlan* other = nullptr;  ///< of a line before, with other fields
  };
  static constexpr std::uint32_t kNoSeries = 0xFFFFFFFF;

  void run(const char* begin, const char* end, std::size_t offset);
  const char* predicted_line(const char* line, const char* end, std::size_t offset);
  Series* predicted_series(const char*& p, const char* end);
  const char* predicted_fields(LinePlan& plan, const char* p, const char* end, data::Slot* slots);
  const char* permuted_fields(LinePlan& plan, std::size_t at, const char* p, const char* end, data::Slot* slots);
  const char* predicted_value(const LineFieldPlan& field, const char* p, data::Slot& slot);
  const char* scanned_value(const LineFieldPlan& field, const char* p, data::Slot& slot);
  const char* predicted_time(const char* p, std::int64_t& time, const char*& line_end);

  void general_line(const char* line, const char* end, std::size_t offset);
  bool general_fields(const char* end, std::int64_t& time, LineError& error);
  bool parse_time(std::string_view token, std::int64_t& time) const;
  bool check(const Series* known, std::int64_t time, LineError& error);
  LineError duplicate_name() const {
    return {0x263C, "a name stands twice among tags, fields and the timestamp column '" +
                        options_.naming.timestamp_name + "'",
            nullptr};
  }
  Series* add_series(LineError& error);
  LinePlan* plan_for(data::SuperTableRef* table);
  bool names_collide(const Series& series, const LinePlan& plan);
  std::string_view tag_key_name(std::uint16_t key);
  Memory& memory_of(const Series& series);
  void put_row(Series* series, LinePlan* plan, std::int64_t time, std::size_t offset, std::size_t length);
  std::uint32_t shape_of(LinePlan& plan);
  void finish(data::Row* row, Series* series, LinePlan& plan, std::int64_t time, std::size_t offset,
              std::size_t length);
  void close_shapes();

  schema::Registry& registry_;
  LineOptions options_;
  TimeScale scale_;
  LineScanner scanner_;
  schema::NewSeries found_;
  std::string signature_;
  std::vector<std::string_view> sorted_;
  std::deque<LinePlan> plans_;
  std::unordered_map<std::string_view, LinePlan*, HashSignature> plans_by_signature_;
  std::unordered_map<std::string_view, LinePlan*, HashSignature> plans_by_sorted_;
  std::vector<std::uint16_t> order_;
  std::vector<LinePlan*> open_plans_;  // with a shape in rows_
  std::vector<Memory> memory_;
  std::vector<std::string_view> tag_key_names_;
  LinePlan* last_plan_ = nullptr;
  std::uint32_t last_series_ = kNoSeries;
  data::RowSet* rows_ = nullptr;
  std::uint64_t epoch_ = 0;
  std::string tail_;
};

LineParser::LineParser(schema::Registry& registry, LineOptions options)
    : work_(std::make_unique<Work>(registry, std::move(options))) {}
LineParser::~LineParser() = default;

void LineParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  if (!chunk.oversized) work_->parse(chunk.text, chunk.offset == 0, rows);
}

void LineParser::Work::parse(std::string_view text, bool first, data::RowSet& rows) {
  rows_ = &rows;
  rows.set_time_unit(data::Precision::nanoseconds);
  ++epoch_;
  if (plans_.size() > kMostPlans) {
    for (auto& memory : memory_) memory.plan = memory.other = nullptr;
    last_plan_ = nullptr;
    plans_by_signature_.clear();
    plans_by_sorted_.clear();
    plans_.clear();
  }
  // However the chunk ends, the shapes must tell the truth about the rows that are in.
  struct Closer {
    Work& work;
    ~Closer() { work.close_shapes(); }
  } const closer{*this};

  // The hot loop relies on a newline behind every line; a last line without one is parsed in a copy that has it.
  const auto newline = text.rfind('\n');
  const std::size_t whole = newline == std::string_view::npos ? 0 : newline + 1;
  // The server would make a byte order mark part of the first measurement; no file means that.
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

void LineParser::Work::run(const char* begin, const char* end, std::size_t offset) {
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

// --- the hot path: lines like those before ---

/// Parses the line when it has the series, fields and types that it should have. Returns the start of the next line, or
/// nullptr: nothing was kept, the general path must look at it.
inline const char* LineParser::Work::predicted_line(const char* line, const char* end, std::size_t offset) {
  const char* p = line;
  Series* const series = predicted_series(p, end);
  if (series == nullptr) return nullptr;
  auto& memory = memory_[series->id];
  LinePlan* plan = memory.plan;
  if (plan == nullptr) [[unlikely]] {
    if (last_plan_ == nullptr || last_plan_->table != series->child->table || names_collide(*series, *last_plan_))
      return nullptr;
    plan = memory.plan = last_plan_;
  }
  if (memory.next != nullptr) {
    // The registry lays the raw bytes behind the head of a series.
    const auto* const next = reinterpret_cast<const char*>(memory.next);
    for (std::size_t at = 0; at < 256; at += 64) __builtin_prefetch(next + at);
  }

  do ++p;
  while (*p == ' ');
  auto* row = rows_->begin_row(plan->row_bytes);
  const char* after = predicted_fields(*plan, p, end, row->slots());
  if (after == nullptr) [[unlikely]] {
    if (memory.other == nullptr) return nullptr;
    std::swap(memory.plan, memory.other);
    plan = memory.plan;
    row = rows_->begin_row(plan->row_bytes);
    after = predicted_fields(*plan, p, end, row->slots());
    if (after == nullptr) return nullptr;
  }
  std::int64_t time = 0;
  const char* line_end = nullptr;
  const char* const next = predicted_time(after, time, line_end);
  if (next == nullptr || time < options_.range.first || time > options_.range.last) [[unlikely]] return nullptr;
  finish(row, series, *plan, time, offset, static_cast<std::size_t>(line_end - line));
  return next;
}

/// Reads the fields of the plan, all of them and no other. Returns where they end, or nullptr.
inline const char* LineParser::Work::predicted_fields(LinePlan& plan, const char* p, const char* end,
                                                      data::Slot* slots) {
  const LineFieldPlan* const first = plan.fields.data();
  const std::size_t count = plan.fields.size();
  for (std::size_t i = 0;;) {
    const auto& field = first[i];
    if (!field.matches(p, end - p)) [[unlikely]] return permuted_fields(plan, i, p, end, slots);
    p = predicted_value(field, p + field.key_bytes, slots[i]);
    if (p == nullptr) [[unlikely]] return nullptr;
    if (++i == count) break;
    if (*p++ != ',') [[unlikely]] return nullptr;
  }
  return *p == ',' ? nullptr : p;
}

/// The same where the fields from the `at`th on stand in another order.
const char* LineParser::Work::permuted_fields(LinePlan& plan, std::size_t at, const char* p, const char* end,
                                              data::Slot* slots) {
  if (++plan.stamp == 0) {
    std::fill(plan.seen.begin(), plan.seen.end(), 0);
    plan.stamp = 1;
  }
  std::fill_n(plan.seen.begin(), at, plan.stamp);
  for (;;) {
    const std::size_t i = plan.find(p, end - p);
    if (i == LinePlan::kNone || plan.seen[i] == plan.stamp) return nullptr;
    plan.seen[i] = plan.stamp;
    const auto& field = plan.fields[i];
    p = predicted_value(field, p + field.key_bytes, slots[i]);
    if (p == nullptr) return nullptr;
    if (++at == plan.fields.size()) break;
    if (*p++ != ',') return nullptr;
  }
  return *p == ',' ? nullptr : p;
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
  Series* const series = registry_.find(hash_bytes(raw), raw);
  if (series == nullptr || series->id >= memory_.size()) return nullptr;
  if (last_series_ != kNoSeries) memory_[last_series_].next = series;
  p = stop;
  return series;
}

inline bool ends_value(char c) noexcept { return c == ',' || c == ' ' || c == '\n'; }

inline const char* LineParser::Work::predicted_value(const LineFieldPlan& field, const char* p, data::Slot& slot) {
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

/// Reads the timestamp behind the fields and finds the end of the line. Returns the start of the next one.
inline const char* LineParser::Work::predicted_time(const char* p, std::int64_t& time, const char*& line_end) {
  if (*p == '\r') [[unlikely]] return nullptr;
  while (*p == ' ') ++p;
  std::uint64_t count = 0;
  unsigned digits = 0;
  const char* const begin = p;
  p = read_digits(p, count, digits);
  if (digits == 0) {
    if (*p != '\n') return nullptr;
    time = options_.clock();
    line_end = p;
    return p + 1;
  }
  // "0" is the clock's too, but rare; 20 digits and more are clamped elsewhere.
  if (digits > 19 || count == 0 || count > static_cast<std::uint64_t>(kMaxTime)) [[unlikely]] return nullptr;
  if (!scale_.to_ns(static_cast<std::int64_t>(count), time)) [[unlikely]] return nullptr;
  if (*p == '\n') [[likely]] {
    line_end = p;
    return p + 1;
  }
  if (p == begin || !is_space(*p)) return nullptr;
  const char* const newline = find_newline(p);
  line_end = newline[-1] == '\r' && !options_.payload_rules ? newline - 1 : newline;
  return newline + 1;
}

inline void LineParser::Work::finish(data::Row* row, Series* series, LinePlan& plan, std::int64_t time,
                                     std::size_t offset, std::size_t length) {
  row->child = series->child_id;
  row->shape = plan.epoch == epoch_ ? plan.shape : shape_of(plan);
  row->offset = static_cast<std::uint32_t>(offset);
  row->length = static_cast<std::uint32_t>(length);
  row->time = time;
  if (plan.has_text)
    for (std::size_t i = 0; i < plan.fields.size(); ++i)
      if (data::is_variable(plan.fields[i].type))
        plan.longest[i] =
            std::max(plan.longest[i], static_cast<std::uint32_t>(data::text_of(row->slots()[i]).size()));
  if (series->state() != Series::State::admitted) [[unlikely]] rows_->note_fresh(series, row);
  ++plan.rows;
  rows_->commit_row(plan.row_bytes);
  last_series_ = series->id;
  last_plan_ = &plan;
}

std::uint32_t LineParser::Work::shape_of(LinePlan& plan) {
  std::vector<data::Field> fields;
  fields.reserve(plan.names.size());
  for (const auto& field : plan.names) fields.push_back({rows_->add_name(field.name), field.type});
  plan.shape = rows_->add_shape(plan.table, fields);
  plan.epoch = epoch_;
  plan.rows = 0;
  std::fill(plan.longest.begin(), plan.longest.end(), 0);
  open_plans_.push_back(&plan);
  return plan.shape;
}

void LineParser::Work::close_shapes() {
  for (auto* plan : open_plans_) {
    auto& shape = rows_->shape(plan->shape);
    shape.rows = plan->rows;
    shape.max_length = plan->longest;
  }
  open_plans_.clear();
}

// --- the general path: any line ---

void LineParser::Work::general_line(const char* line, const char* end, std::size_t offset) {
  if (line < end && *line == '#') return;
  scanner_.start(line, end);
  LineError error;
  const char* const first = scanner_.first();
  const auto refuse = [&] {
    const auto column = error.at == nullptr ? 0 : static_cast<std::uint32_t>(error.at - line) + 1;
    rows_->reject({static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(end - line), column,
                   {error.code, std::move(error.text)}});
  };
  if (first == end) {
    if (!options_.payload_rules) return;
    error = {0x020A, "the line is blank", nullptr};
    return refuse();
  }
  const std::string_view raw(first, static_cast<std::size_t>(scanner_.series_end() - first));
  const auto hash = hash_bytes(raw);
  Series* series = registry_.find(hash, raw);
  std::int64_t time = 0;
  if ((series == nullptr && !scanner_.scan_series(error)) || !general_fields(end, time, error) ||
      !check(series, time, error))
    return refuse();
  const bool is_new = series == nullptr;
  if (is_new) {
    series = add_series(error);
    if (series == nullptr) return refuse();
  }
  auto* const plan = plan_for(series->child->table);
  auto& memory = memory_of(*series);
  if (plan->duplicate || (memory.plan != plan && memory.other != plan && names_collide(*series, *plan))) {
    error = duplicate_name();
    return refuse();
  }
  if (memory.plan != plan) {
    memory.other = memory.plan;
    memory.plan = plan;
  }
  if (last_series_ != kNoSeries) memory_[last_series_].next = series;
  put_row(series, plan, time, offset, static_cast<std::size_t>(end - line));
}

bool LineParser::Work::general_fields(const char* end, std::int64_t& time, LineError& error) {
  if (!scanner_.scan_fields(error)) return false;
  const char* p = scanner_.after_fields();
  while (p < end && *p == ' ') ++p;
  const char* const begin = p;
  while (p < end && !is_space(*p)) ++p;
  if (parse_time({begin, static_cast<std::size_t>(p - begin)}, time)) return true;
  error = {0x0127, "the timestamp is no positive integer, or too large for its unit", begin};
  return false;
}

bool LineParser::Work::parse_time(std::string_view token, std::int64_t& time) const {
  if (token.empty() || token == "0") {
    time = options_.clock();
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
  if (tags + scanner_.field_count() + 1 > Limits::columns) {
    error = {0x2640, "timestamp, fields and tags are more than " + std::to_string(Limits::columns), nullptr};
    return false;
  }
  for (const auto& field : scanner_.fields()) {
    if (field.key.find('\0') != std::string_view::npos)
      error = {0x0200, "a field key holds a NUL", field.raw.data()};
    else if (field.value.type == Type::nchar && !is_valid_utf8(field.value.content))
      error = {0x0200, "an NCHAR value is not valid UTF-8", field.value.begin};
    if (!error.text.empty()) return false;
  }
  if (known == nullptr)
    for (const auto& tag : scanner_.tags()) {
      if (tag.key.find('\0') != std::string_view::npos)
        error = {0x0200, "a tag key holds a NUL", tag.at};
      else if (!is_valid_utf8(tag.value))
        error = {0x0200, "a tag value is not valid UTF-8", tag.at};
      if (!error.text.empty()) return false;
    }
  if (time < options_.range.first || time > options_.range.last) {
    error = {0x060B, "the timestamp is outside the time range of the database", scanner_.after_fields()};
    return false;
  }
  return true;
}

/// Registers the series of the scanned line.
Series* LineParser::Work::add_series(LineError& error) {
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
  const std::string_view raw(scanner_.first(), static_cast<std::size_t>(scanner_.series_end() - scanner_.first()));
  return registry_.insert(hash_bytes(raw), raw, found_);
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
  if (series.id >= memory_.size()) memory_.resize(std::max<std::size_t>(series.id + std::size_t{1}, memory_.size() * 2));
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
