#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// Civil time and time zones. libstdc++ of GCC 12 has no time zone database, so the system's compiled zone files
/// (TZif, RFC 8536) are read here.
namespace penstock {

/// Days from 1970-01-01 of a day of the proleptic Gregorian calendar. `month` 1 to 12.
constexpr std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept {
  // Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March, eras of 400 years.
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto yoe = static_cast<unsigned>(year - era * 400);
  const unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}
constexpr bool is_leap_year(std::int64_t year) noexcept {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}
constexpr unsigned days_in_month(std::int64_t year, unsigned month) noexcept {
  constexpr unsigned char kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap_year(year) ? 29u : kDays[month - 1];
}

/// Offsets of one zone over all times. Immutable; any thread.
class TimeZone {
 public:
  enum class Kind { unique, gap, fold };
  /// What a local time means.
  struct Local {
    Kind kind = Kind::unique;
    std::int32_t first = 0;   ///< seconds east of UTC; gap: before the change; fold: of the first of the two
    std::int32_t second = 0;  ///< gap: after the change; fold: of the second; unique: as `first`
    std::int64_t from = 0;    ///< this answer holds for local seconds in [from, until)
    std::int64_t until = 0;
  };

  /// "Europe/Berlin", "UTC", "+02:00", "local" (this machine's: TZ, else /etc/localtime). Throws Error(Errc::config)
  /// when there is no such zone or the database (package tzdata) is not installed.
  static std::shared_ptr<const TimeZone> load(std::string_view name);
  /// From the bytes of a TZif file. Throws Error(Errc::config) when they are damaged.
  static std::shared_ptr<const TimeZone> from_tzif(std::string_view bytes, std::string_view name);
  static std::shared_ptr<const TimeZone> fixed(std::int32_t offset_seconds, std::string_view name);

  /// `local_seconds`: as if the local clock showed UTC, from 1970.
  [[nodiscard]] Local resolve(std::int64_t local_seconds) const noexcept;
  /// Seconds east of UTC at a UTC time.
  [[nodiscard]] std::int32_t offset_at(std::int64_t utc_seconds) const noexcept;
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  struct Change {
    std::int64_t at;      // UTC
    std::int32_t offset;  // from then on
  };
  struct Segment {
    std::int64_t from;  // local
    Kind kind;
    std::int32_t first;
    std::int32_t second;
  };
  static std::shared_ptr<const TimeZone> local();
  void add_rule(std::string_view rule);
  void make_segments();

  std::string name_;
  std::int32_t initial_ = 0;
  std::vector<Change> changes_;
  std::vector<Segment> segments_;
};

}  // namespace penstock
