#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "data/types.h"

/// Time zones and the timestamp literals of SQL.
namespace penstock::sandbox {

/// A time zone. Immutable, any thread.
class TimeZone {
 public:
  virtual ~TimeZone() = default;
  /// Seconds east of UTC at a moment (seconds since the epoch).
  [[nodiscard]] virtual std::int32_t offset_at(std::int64_t seconds) const = 0;
  [[nodiscard]] virtual std::string abbreviation_at(std::int64_t seconds) const = 0;
  /// Seconds since the epoch of a local time given as if it were UTC. An ambiguous one is read as standard time, one
  /// that does not exist is -1, as the server has it.
  [[nodiscard]] std::int64_t from_local(std::int64_t local_seconds) const;
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// IANA names, from the system's files, and POSIX strings ("UTC-8", "EST5EDT,M3.2.0,M11.1.0"); anything else is UTC
  /// under its own name, as the server takes it. "" is UTC.
  static std::shared_ptr<const TimeZone> find(std::string_view name);

 protected:
  explicit TimeZone(std::string name) : name_(std::move(name)) {}

 private:
  std::string name_;
};

/// Days since the epoch of a date of the proleptic Gregorian calendar.
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept;
struct Civil {
  std::int64_t year;
  unsigned month;
  unsigned day;
};
Civil civil_from_days(std::int64_t days) noexcept;

/// Now in units of `precision`.
std::int64_t now_in(data::Precision precision);
/// Midnight of today in the zone.
std::int64_t today_in(data::Precision precision, const TimeZone& zone);

/// A quoted timestamp: "YYYY-MM-DD[ HH:MM:SS[.f…][zone]]". nullopt when it is none. Saturates where it does not fit.
std::optional<std::int64_t> parse_time_text(std::string_view text, data::Precision precision, const TimeZone& zone);

/// Length of a duration "90s" in units of `precision`: units b u a s m h d w. nullopt for other units or no number.
std::optional<std::int64_t> parse_duration(std::string_view text, data::Precision precision);
/// The same of number and unit; saturates.
std::optional<std::int64_t> duration_of(std::int64_t count, char unit, data::Precision precision);

/// "2023-11-14T22:13:20.000+0800" with the digits of `precision`.
std::string format_iso8601(std::int64_t time, data::Precision precision, const TimeZone& zone);
std::string format_iso8601(std::int64_t time, data::Precision precision, std::int32_t offset_seconds,
                           std::string_view suffix);

}  // namespace penstock::sandbox
