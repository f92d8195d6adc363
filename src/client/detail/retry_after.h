#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace penstock::client::detail {

/// Reads the value of a Retry-After header: seconds, or a date of HTTP (IMF-fixdate, RFC 850, asctime), which becomes
/// the time from `now` until then (0 for one that is past). nullopt when it is neither. Source: RFC 9110, 10.2.3.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value,
                                                           std::chrono::system_clock::time_point now);

}  // namespace penstock::client::detail
