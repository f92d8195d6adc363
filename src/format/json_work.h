#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/pages.h"
#include "base/text.h"
#include "format/json_parser.h"
#include "format/json_reader.h"
#include "format/number.h"
#include "format/payload.h"
#include "format/series_kin.h"

/// The inside of JsonParser: json_parser.cpp is the hot path, json_general.cpp the path for any point.
namespace penstock::format {

/// A value or a tag as the server types it.
struct JsonValue {
  data::Type type = data::Type::null;
  data::Slot slot = 0;    ///< fixed types
  std::string_view text;  ///< variable types
};

/// Why a point is refused.
struct JsonError {
  std::uint16_t code = 0;
  std::string text;
  const char* at = nullptr;  ///< nullptr: the point as a whole
};

/// How a timestamp is written: a bare number of 10 or 13 digits, or an object with a unit.
enum class JsonTime : std::uint8_t { digits, seconds, milliseconds, microseconds, nanoseconds };

/// The text of a point but for its four values: what points of one writer have in common.
struct JsonTemplate {
  enum class Hole : std::uint8_t { metric, time, value, tags };
  std::array<std::string, 5> literals;  ///< before each hole, and behind the last
  std::array<Hole, 4> holes{};
  JsonTime time = JsonTime::digits;
  data::Type type = data::Type::null;  ///< of the value
  bool operator==(const JsonTemplate&) const = default;
};

class JsonParser::Work {
 public:
  Work(schema::Registry& registry, JsonOptions options);
  void parse(const io::Chunk& chunk, data::RowSet& rows);

 private:
  /// Shapes of a super table in the row set at hand: one for each type of `_value`.
  struct Table {
    struct Shape {
      std::uint64_t epoch = 0;
      std::uint32_t index = 0;
    };
    data::SuperTableRef* ref = nullptr;
    std::array<Shape, 32> shapes;
  };
  /// What this worker remembers of a series, by Series::id.
  struct Memory {
    data::Series* next = nullptr;  ///< that came behind it last time
    Table* table = nullptr;
    std::uint32_t form = 0;  ///< index of the template of its last point
  };
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  static constexpr std::size_t kKeyPadding = 64;  // behind key_, for SeriesKins

  // json_parser.cpp
  const char* predicted_point(const char* p, const char* end, std::size_t offset);
  const char* predicted_by(std::uint32_t form, data::Series* follower, const char* p, const char* end,
                           std::size_t offset);
  const char* predicted_number(const char* p, const char* end, double& value) const;
  const char* predicted_value(data::Type type, const char* p, const char* end, data::Slot& slot);
  const char* predicted_time(JsonTime kind, const char* p, const char* end, std::int64_t& time) const;
  void finish(data::Row* row, data::Series* series, data::Type type, std::int64_t time, std::size_t offset,
              std::size_t length);
  std::uint32_t shape_of(Table& table, data::Type type);

  // json_general.cpp
  void parse_payload(std::string_view text);
  void broken_record(std::size_t begin, std::size_t end);
  void check_between(std::size_t begin, std::size_t end);
  void general_record(std::size_t begin, std::size_t end);
  bool point(std::uint32_t node, std::size_t begin, std::size_t end, JsonError& error);
  bool read_time(std::uint32_t node, std::int64_t& time, JsonTime& kind, JsonError& error) const;
  bool read_value(std::uint32_t node, JsonValue& value, JsonError& error, bool& typed) const;
  bool read_tags(std::uint32_t node, JsonError& error);
  data::Series* make_series(std::string_view metric, JsonError& error);
  void learn(std::size_t begin, std::size_t end, const std::array<std::uint32_t, 4>& members, JsonTime time,
             data::Type type, data::Series& series);
  void reject(std::size_t begin, std::size_t end, JsonError error);
  void put_columns_row(data::Series* series, const JsonValue& value, std::int64_t time, std::size_t begin,
                       std::size_t end);
  std::string_view key_of(std::string_view metric, std::string_view tags);
  Memory& memory_of(const data::Series& series);
  Table& table_of(data::SuperTableRef* ref);

  schema::Registry& registry_;
  const JsonOptions options_;
  const bool all_tags_;
  JsonReader reader_;
  std::vector<JsonTemplate> forms_;
  SeriesKins kins_;
  GrowingArray<Memory> memory_;
  std::unordered_map<const data::SuperTableRef*, std::unique_ptr<Table>> tables_;
  data::RowSet* rows_ = nullptr;
  std::uint32_t source_ = 0;        // of the chunk at hand
  std::uint64_t chunk_offset_ = 0;  // likewise
  std::size_t record_ = 0;          // offset in it of the record that takes the general path
  std::string_view text_;
  const char* last_quote_ = nullptr;  // strings of the chunk end there at the latest
  std::uint32_t last_series_ = kNone;
  std::uint32_t last_form_ = kNone;
  std::uint64_t epoch_ = 0;
  std::string key_;
  // of the point at hand, on the general path
  struct Tag {
    std::string_view key;
    JsonValue value;
    std::array<char, 8> image{};
    const JsonNode* node = nullptr;
    schema::NamingRules::TagUse use = schema::NamingRules::TagUse::tag;
  };
  std::vector<Tag> tags_;
  std::vector<std::string_view> sorted_;
  std::vector<data::Field> fields_;
  std::unordered_map<std::string, std::uint32_t> column_shapes_;  // of the chunk, by their fields
  schema::NewSeries found_;
};

/// 10 digits are seconds, 13 milliseconds: to nanoseconds, as the server does it. False: refused.
inline bool json_time_of(JsonTime kind, std::uint64_t count, std::int64_t& time) noexcept {
  switch (kind) {
    case JsonTime::seconds:
      if (count > 9'223'372'036) return false;
      time = static_cast<std::int64_t>(count) * 1'000'000'000;
      return true;
    case JsonTime::milliseconds:
      time = count > static_cast<std::uint64_t>(kMaxTime) / 1'000'000 ? kMaxTime
                                                                      : static_cast<std::int64_t>(count) * 1'000'000;
      return true;
    case JsonTime::microseconds:
      time = count > static_cast<std::uint64_t>(kMaxTime) / 1'000 ? kMaxTime : static_cast<std::int64_t>(count) * 1'000;
      return true;
    default: time = static_cast<std::int64_t>(count); return true;
  }
}

/// "a string", "null" …, for messages.
std::string_view json_kind_name(JsonNode::Kind kind) noexcept;
/// A name of the input as messages show it.
inline std::string shown_json(std::string_view text) { return printable(text, 40); }

/// A number as one of the fixed types that a typed value may name; false: outside its range.
bool json_number_as(data::Type type, double number, data::Slot& slot) noexcept;

}  // namespace penstock::format
