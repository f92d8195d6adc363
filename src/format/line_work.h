#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/pages.h"
#include "format/line_kernels.h"
#include "format/line_parser.h"
#include "format/line_plan.h"
#include "format/line_scan.h"
#include "format/line_walk.h"
#include "format/line_wide.h"
#include "format/number.h"
#include "format/payload.h"
#include "format/series_kin.h"

/// The inside of LineParser: line_parser.cpp is the hot path, line_general.cpp the path for any line.
namespace penstock::format {

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
  std::int64_t coarse = 1;          ///< units to milliseconds
  std::int64_t factor = 1'000'000;  ///< from there to nanoseconds
};

class LineParser::Work {
 public:
  Work(schema::Registry& registry, LineOptions options)
      : registry_(registry), options_(std::move(options)), scale_(options_.precision) {
    // Which tags make the child table is told by the general path.
    if (!options_.naming.uses_all_tags()) options_.predict = false;
    options_.wide = options_.wide && has_wide_lines();
  }

  void parse(const io::Chunk& chunk, data::RowSet& rows);

 private:
  /// What this worker remembers of a series, by Series::id.
  struct Memory {
    data::Series* next = nullptr;  ///< that came behind it last time: files repeat their order
    LinePlan* plan = nullptr;      ///< of its last line; names known not to collide with its tags
    LinePlan* other = nullptr;     ///< of a line before, with other fields
  };
  static constexpr std::uint32_t kNoSeries = 0xFFFFFFFF;

  const char* wide_line(const char* line, const char* end, std::size_t offset);
  const char* wide_fields(const char* line, const char* p, std::size_t offset, data::Series* series, Memory& memory);
  const char* wide_row(const char* line, const char* p, std::size_t offset, data::Series* series, Memory& memory);
  bool has_wide(LinePlan& plan) const {
    if (!options_.wide) return false;
    if (!plan.wide_tried) [[unlikely]] {
      plan.wide_tried = true;
      plan.wide = make_wide_plan(plan);
    }
    return plan.wide != nullptr;
  }
  void note_part(Memory& memory, LinePlan* part);
  void note_failure(LinePlan& plan);
  const char* predicted_line(const char* line, const char* end, std::size_t offset);
  const char* kin_line(const char* line, const char* end, std::size_t offset);
  bool goes_with(SeriesKin& kin, const LinePlan& plan) const;
  data::Series* predicted_series(const char*& p, const char* end);
  const char* predicted_fields(LinePlan*& plan, const char* p, const char* end, data::Slot* slots);
  const char* scattered_fields(LinePlan*& plan, std::size_t at, const char* p, const char* end, data::Slot* slots);
  const char* predicted_value(const LineFieldPlan& field, const char* p, data::Slot& slot);
  const char* any_value(const LineFieldPlan& field, const char* p, data::Slot& slot);
  const char* scanned_value(const LineFieldPlan& field, const char* p, data::Slot& slot);
  const char* predicted_time(const char* p, std::size_t offset, std::int64_t& time, const char*& line_end);
  /// Time of a line that gives none.
  [[nodiscard]] std::int64_t time_at(std::size_t offset) const {
    return options_.record_clock ? options_.record_clock(source_, chunk_offset_ + offset) : options_.clock();
  }

  void general_line(const char* line, const char* end, std::size_t offset);
  bool general_fields(const char* end, std::size_t offset, std::int64_t& time, LineError& error);
  bool parse_time(std::string_view token, std::size_t offset, std::int64_t& time) const;
  bool check(const data::Series* known, std::int64_t time, LineError& error);
  LineError duplicate_name() const {
    return {0x263C,
            "a name stands twice among tags, fields and the timestamp column '" + options_.naming.timestamp_name + "'",
            nullptr};
  }
  std::string_view set_tags_aside();
  data::Series* add_series(std::string_view raw, LineError& error);
  LinePlan* plan_for(data::SuperTableRef* table);
  bool names_collide(const data::Series& series, const LinePlan& plan);
  std::string_view tag_key_name(std::uint16_t key);
  Memory& memory_of(const data::Series& series);
  /// Enters the new series of kin_ and remembers what its line was like.
  data::Series* enter_kin(const Memory& memory) {
    auto* const series = registry_.insert(missed_hash_, missed_raw_, kin_->found());
    memory_of(*series) = memory;
    if (last_series_ != kNoSeries) memory_[last_series_].next = series;
    return series;
  }
  LinePlan*& widest_of(const data::SuperTableRef& table) {
    if (table.id >= widest_.size()) widest_.resize(table.id + std::size_t{1});
    return widest_[table.id];
  }
  void put_row(data::Series* series, LinePlan* plan, std::int64_t time, std::size_t offset, std::size_t length);
  std::uint32_t shape_of(LinePlan& plan);
  void finish(data::Row* row, data::Series* series, LinePlan& plan, std::int64_t time, std::size_t offset,
              std::size_t length);

  schema::Registry& registry_;
  LineOptions options_;
  TimeScale scale_;
  LineScanner scanner_;
  schema::NewSeries found_;
  std::string signature_;
  std::string kept_;  // measurement and the tags that are kept, as in the text
  std::vector<std::string_view> sorted_;
  std::deque<LinePlan> plans_;
  std::unordered_map<std::string_view, LinePlan*, HashSignature> plans_by_signature_;
  std::unordered_map<std::string_view, LinePlan*, HashSignature> plans_by_sorted_;
  std::vector<std::uint16_t> order_;
  std::vector<LinePlan*> open_plans_;  // with a shape in rows_
  GrowingArray<Memory> memory_;
  std::vector<std::string_view> tag_key_names_;
  std::size_t parts_ = 0;          // that plans know of each other
  std::vector<LinePlan*> widest_;  // by table: the plan with the most fields so far, which new series begin with
  std::uint32_t last_series_ = kNoSeries;

  SeriesKins kins_;
  SeriesKin* kin_ = nullptr;  // of the new series of the line at hand
  // The line whose series predicted_series() did not find.
  const char* missed_ = nullptr;
  std::string_view missed_raw_;
  std::uint64_t missed_hash_ = 0;

  data::RowSet* rows_ = nullptr;
  std::uint32_t source_ = 0;        // of the chunk at hand
  std::uint64_t chunk_offset_ = 0;  // likewise
  std::uint64_t epoch_ = 0;
  LineWalk walk_;

  // Of line_wide.cpp:
  const char* tried_ = nullptr;  // the line that wide_line() could not read
  // The last timestamp of 19 digits: bytes 0..7, 8..15, 11..18. As it begins it is none.
  std::uint64_t last_stamp_[3] = {0, 0, 1};
  std::int64_t last_time_ = 0;  // in nanoseconds, and within the range
};

/// Behind a row that lacked fields of the plan expected.
inline void LineParser::Work::note_part(Memory& memory, LinePlan* part) {
  // The same fewer fields twice in a row: that is what to expect from now on.
  if (memory.other == part) std::swap(memory.plan, memory.other);
  else memory.other = part;
}

/// Reads the timestamp behind the fields and finds the end of the line. Returns the start of the next one.
inline const char* LineParser::Work::predicted_time(const char* p, std::size_t offset, std::int64_t& time,
                                                    const char*& line_end) {
  if (*p == '\r') [[unlikely]]
    return nullptr;
  while (*p == ' ') ++p;
  std::uint64_t count = 0;
  unsigned digits = 0;
  const char* const begin = p;
  p = read_digits(p, count, digits);
  if (digits == 0) {
    if (*p != '\n') return nullptr;
    time = time_at(offset);
    line_end = p;
    return p + 1;
  }
  // "0" is the clock's too, but rare; 20 digits and more are clamped elsewhere.
  if (digits > 19 || count == 0 || count > static_cast<std::uint64_t>(kMaxTime)) [[unlikely]]
    return nullptr;
  if (!scale_.to_ns(static_cast<std::int64_t>(count), time)) [[unlikely]]
    return nullptr;
  if (*p == '\n') [[likely]] {
    line_end = p;
    return p + 1;
  }
  if (p == begin || !is_space(*p)) return nullptr;
  const char* const newline = find_newline(p);
  line_end = newline[-1] == '\r' && !options_.payload_rules ? newline - 1 : newline;
  return newline + 1;
}

/// Keeps the row, whose slots are filled.
inline void LineParser::Work::finish(data::Row* row, data::Series* series, LinePlan& plan, std::int64_t time,
                                     std::size_t offset, std::size_t length) {
  row->child = series->child_id;
  row->shape = plan.epoch == epoch_ ? plan.shape : shape_of(plan);
  row->offset = static_cast<std::uint32_t>(offset);
  row->length = static_cast<std::uint32_t>(length);
  row->time = time;
  if (plan.has_text)
    for (std::size_t i = 0; i < plan.fields.size(); ++i)
      if (data::is_variable(plan.fields[i].type))
        plan.longest[i] = std::max(plan.longest[i], static_cast<std::uint32_t>(data::text_of(row->slots()[i]).size()));
  if (series->state() != data::Series::State::admitted) [[unlikely]]
    rows_->note_fresh(series, row);
  ++plan.rows;
  rows_->commit_row(plan.row_bytes);
  last_series_ = series->id;
}

}  // namespace penstock::format
