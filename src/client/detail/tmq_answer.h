#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/consumer.h"

namespace penstock::client::detail {

/// A JSON answer of `/rest/tmq`: the members of all actions, those that are absent zero or empty.
struct TmqAnswer {
  std::int32_t code = 0;  ///< low 16 bits
  std::string message;
  std::string action;
  std::uint64_t request_id = 0;
  std::string version;

  // poll
  bool have_message = false;
  std::string topic;
  std::string database;
  std::int32_t vgroup = 0;
  std::int32_t message_type = 0;
  std::uint64_t message_id = 0;
  std::int64_t offset = 0;

  // fetch
  bool completed = false;
  std::string table;
  std::int32_t precision = 0;
  std::vector<std::string> names;
  std::vector<std::int32_t> types;
  std::vector<std::int32_t> lengths;

  std::vector<Assignment> assignment;
  std::vector<std::int64_t> offsets;  ///< committed, position
  std::string data;                   ///< fetch_json_meta: JSON without white space; "" for null
};

/// nullopt when the text is no JSON object with an integer `code`: no adapter sends that.
std::optional<TmqAnswer> parse_tmq_answer(std::string_view text);

}  // namespace penstock::client::detail
