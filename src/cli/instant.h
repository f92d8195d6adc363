#pragma once

#include <string>

#include "pipeline/run.h"

namespace penstock::cli {

/// The moment that a flag names: ISO 8601 ("2024-05-01", "2024-05-01T06:00:00.5+02:00"; without an offset in
/// `timezone`, empty: UTC), an epoch with its unit ("1714521600s", ms, us, ns), "now", or a time before `now` ("-7d",
/// "-90m"). Throws Error(Errc::config) naming the flag.
pipeline::Instant instant_flag(const std::string& flag, const std::string& text, const std::string& timezone,
                               pipeline::Instant now);
/// This machine's clock.
pipeline::Instant instant_now();

}  // namespace penstock::cli
