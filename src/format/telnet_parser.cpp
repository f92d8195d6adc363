#include "format/telnet_parser.h"

#include <utility>

#include "format/number.h"
#include "format/telnet_work.h"

namespace penstock::format {

using namespace telnet;
using data::Series;
using data::Type;

TelnetParser::TelnetParser(schema::Registry& registry, TelnetOptions options) {
  if (!options.clock) options.clock = system_time;
  work_ = std::make_unique<Work>(registry, std::move(options));
}
TelnetParser::~TelnetParser() = default;

void TelnetParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  if (!chunk.oversized) work_->parse(chunk, rows);
}

void TelnetParser::Work::parse(const io::Chunk& chunk, data::RowSet& rows) {
  rows_ = &rows;
  source_ = chunk.source;
  chunk_offset_ = chunk.offset;
  rows.set_time_unit(data::Precision::nanoseconds);
  ++epoch_;
  // However the chunk ends, the shapes must tell the truth about the rows that are in.
  struct Closer {
    Work& work;
    ~Closer() { close_shapes(work.open_plans_, *work.rows_); }
  } const closer{*this};
  walk_.over(
      chunk.text, chunk.offset == 0, {options_.payload_rules, options_.predict}, rows,
      [this](const char* line, const char* end, std::size_t offset) { return predicted_line(line, end, offset); },
      [this](const char* line, const char* end, std::size_t offset) { general_line(line, end, offset); });
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
    const auto hash = hash_bytes(key);
    series = registry_.find(hash, key);
    if (series == nullptr) [[unlikely]] {
      series = kins_.enter(registry_, hash, key);
      if (series == nullptr) return nullptr;
      memory_of(*series).metric_bytes = static_cast<std::uint32_t>(metric_end - p);
    }
    if (series->id >= memory_.size() || memory_[series->id].metric_bytes == 0) return nullptr;
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

}  // namespace penstock::format
