#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "base/text.h"
#include "format/number.h"

/// What the schemaless protocols have in common.
namespace penstock::format {

inline constexpr std::int64_t kMaxTime = std::numeric_limits<std::int64_t>::max();

/// C's isspace() in the "C" locale.
inline bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// As is_utf8(), quick where the text is ASCII.
inline bool is_valid_utf8(std::string_view text) noexcept {
  std::size_t at = 0;
  for (; at + 8 <= text.size(); at += 8)
    if ((load8(text.data() + at) & 0x8080808080808080) != 0) break;
  return is_utf8(text.substr(at));
}

/// The clock for records without a time: nanoseconds since 1970.
std::int64_t system_time();

}  // namespace penstock::format
