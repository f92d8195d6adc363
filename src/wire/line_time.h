#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wire/schemaless.h"

namespace penstock::wire {

/// Whether a schemaless record says when it was, or leaves that to the server, which then takes the time of each
/// attempt: repeated, such a record would be stored twice.
struct LineTime {
  enum class Kind : std::uint8_t {
    given,   ///< or no record at all: the server will say so
    absent,  ///< line protocol without a timestamp
    now,     ///< 0, which means the server's present time
  };
  Kind kind = Kind::given;
  std::size_t begin = 0;  ///< where a time belongs: of `now`, the first byte of what stands there,
  std::size_t end = 0;    ///< and one past its last; of `absent` both are one past the last field
};

/// Looks for the time of one record (a line, or one JSON object). Never fails. The rules are those of the server's own
/// parser: a blank ends measurement and names unless exactly one backslash is in front of it, and the fields when it is
/// outside of quotes.
LineTime find_line_time(LineProtocol protocol, std::string_view record) noexcept;

}  // namespace penstock::wire
