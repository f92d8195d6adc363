#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time_zone.h"
#include "data/types.h"

namespace penstock::client::detail {

/// A time as REST prints it: "2023-11-14T22:13:20.000Z", "…+08:00", with 3, 6 or 9 digits behind the point.
struct PrintedTime {
  std::int64_t ticks = 0;
  data::Precision precision = data::Precision::milliseconds;
};
/// nullopt when the text is none. `zone`: in which it was printed, or null.
std::optional<PrintedTime> read_printed_time(std::string_view text, const TimeZone* zone);

}  // namespace penstock::client::detail
