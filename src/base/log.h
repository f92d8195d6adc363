#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <variant>

namespace penstock {

enum class LogLevel { debug, info, warning, error };

/// Writes one line to the log sink (standard error). Any thread. Never on a hot path.
/// Give no secret: callers redact before (base/text.h).
void log(LogLevel level, std::string_view message);

/// A named value of an event.
struct LogField {
  std::string_view name;
  std::variant<std::string_view, std::int64_t, double> value;
};

/// As log(), for what programs watch: `code` names the kind of event and stays the same over versions
/// ("target.lost"; all are listed in docs/tail.md). As text the line is `message [code]`, as JSON one object with
/// "time", "level", "code", "message" and the fields.
void log_event(LogLevel level, std::string_view code, std::string_view message,
               std::initializer_list<LogField> fields = {});

/// Lines below `level` are dropped. Default: warning. Call before threads start.
void set_log_level(LogLevel level);

enum class LogFormat {
  text,     ///< "penstock: warning: …"
  dated,    ///< the same behind the time, for services
  journal,  ///< the same behind a syslog priority ("<4>"), as systemd reads it
  json,     ///< one object a line
};
/// Default: text. Call before threads start.
void set_log_format(LogFormat format);

}  // namespace penstock
