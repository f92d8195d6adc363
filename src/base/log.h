#pragma once

#include <string_view>

namespace penstock {

enum class LogLevel { debug, info, warning, error };

/// Writes one line to the log sink (standard error). Any thread. Never on a hot path.
/// Give no secret: callers redact before (base/text.h).
void log(LogLevel level, std::string_view message);

/// Lines below `level` are dropped. Default: warning. Call before threads start.
void set_log_level(LogLevel level);

}  // namespace penstock
