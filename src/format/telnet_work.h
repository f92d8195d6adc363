#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/pages.h"
#include "format/line_kernels.h"
#include "format/line_scan.h"
#include "format/line_walk.h"
#include "format/payload.h"
#include "format/series_kin.h"
#include "format/telnet_parser.h"

/// The inside of TelnetParser: telnet_parser.cpp is the hot path, telnet_general.cpp the path for any record.
namespace penstock::format {
namespace telnet {

inline constexpr std::string_view kValue = "_value";
inline constexpr std::uint64_t kSecond = 1'000'000'000;
inline constexpr std::uint64_t kMillisecond = 1'000'000;

inline std::string_view between(const char* begin, const char* end) noexcept {
  return {begin, static_cast<std::size_t>(end - begin)};
}

inline const char* skip_blanks(const char* p, const char* end) noexcept {
  while (p < end && *p == ' ') ++p;
  return p;
}

inline const char* find_in(const char* p, const char* end, char wanted) noexcept {
  const auto* const found =
      p < end ? static_cast<const char*>(std::memchr(p, wanted, static_cast<std::size_t>(end - p))) : nullptr;
  return found != nullptr ? found : end;
}

inline std::int64_t saturated(std::uint64_t count, std::uint64_t factor) noexcept {
  return count > static_cast<std::uint64_t>(kMaxTime) / factor ? kMaxTime : static_cast<std::int64_t>(count * factor);
}

struct HashText {
  std::size_t operator()(std::string_view text) const noexcept { return hash_bytes(text); }
};

// Where rows of one super table with one type of value go. Tags that became columns follow the value.
struct Plan {
  data::SuperTableRef* table = nullptr;
  data::Type type = data::Type::null;
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

}  // namespace telnet

class TelnetParser::Work {
 public:
  Work(schema::Registry& registry, TelnetOptions options) : registry_(registry), options_(std::move(options)) {
    // Which tags make the child table is told by the general path.
    if (!options_.naming.uses_all_tags()) options_.predict = false;
  }

  void parse(const io::Chunk& chunk, data::RowSet& rows);

 private:
  using Plan = telnet::Plan;
  using Tag = telnet::Tag;
  using Elements = telnet::Elements;
  using Series = data::Series;
  using Type = data::Type;

  /// What this worker remembers of a series, by Series::id.
  struct Memory {
    Series* next = nullptr;  ///< that came behind it last time: files repeat their order
    Plan* plan = nullptr;    ///< of its last record
    std::uint32_t metric_bytes = 0;
  };
  static constexpr std::uint32_t kNoSeries = 0xFFFFFFFF;
  static constexpr std::size_t kKeyPadding = 64;  // behind key_, for SeriesKins

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
  std::unordered_map<std::string_view, Plan*, telnet::HashText> plans_by_signature_;
  std::vector<Plan*> open_plans_;  // with a shape in rows_
  GrowingArray<Memory> memory_;
  SeriesKins kins_;
  std::uint32_t last_series_ = kNoSeries;
  data::RowSet* rows_ = nullptr;
  std::uint32_t source_ = 0;        // of the chunk at hand
  std::uint64_t chunk_offset_ = 0;  // likewise
  std::size_t record_ = 0;          // offset in it of the record that takes the general path
  std::uint64_t epoch_ = 0;
  LineWalk walk_;
};

/// Keeps the row, whose slots are filled.
inline void TelnetParser::Work::finish(data::Row* row, data::Series* series, telnet::Plan& plan, std::int64_t time,
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

}  // namespace penstock::format
