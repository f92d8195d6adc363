#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::client::detail {

/// A JSON answer of the adapter: the members of all actions, those that are absent zero or empty.
struct JsonAnswer {
  struct Field {  // of a prepared statement
    std::string name;
    std::int32_t type = 0;
    std::int32_t precision = 0;
    std::int32_t scale = 0;
    std::int32_t bytes = 0;
    std::int32_t bind_type = 0;
  };
  std::int32_t code = 0;
  std::string message;
  std::string action;
  std::uint64_t request_id = 0;
  std::int64_t timing_ns = 0;
  std::string version;
  std::string text;  ///< "db" or "info"
  std::uint64_t id = 0;
  std::uint64_t statement_id = 0;
  std::int64_t affected = 0;  ///< "affected_rows" or "affected"
  std::int64_t total_rows = 0;
  bool is_insert = false;
  bool completed = false;
  std::int32_t precision = 0;
  std::int64_t field_count = 0;
  std::vector<std::string> names;
  std::vector<std::int32_t> types;
  std::vector<std::int32_t> lengths;
  std::vector<std::int32_t> precisions;
  std::vector<std::int32_t> scales;
  std::vector<Field> fields;
};

/// nullopt when the text is no JSON object with an integer `code`: no adapter sends that.
std::optional<JsonAnswer> parse_answer(std::string_view text);

/// The text as a JSON string, in quotes.
std::string json_quoted(std::string_view text);

}  // namespace penstock::client::detail
