#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <ratio>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "data/types.h"

/// Single values, as cells of results and as parameters of statements.
namespace penstock::client {

/// A TIMESTAMP as the database holds it: ticks of its precision since 1970-01-01T00:00:00 UTC.
struct Timestamp {
  std::int64_t ticks = 0;
  data::Precision precision = data::Precision::milliseconds;

  /// The same instant; throws Error(Errc::unsupported) where Duration cannot hold it exactly: nanoseconds reach from
  /// 1677 to 2262, and milliseconds have no microseconds.
  template <class Duration = std::chrono::nanoseconds>
  [[nodiscard]] std::chrono::sys_time<Duration> time() const;
  /// Of milliseconds, microseconds or nanoseconds.
  template <class Duration>
  static Timestamp from(std::chrono::sys_time<Duration> time) noexcept;

  bool operator==(const Timestamp&) const = default;
};

/// A DECIMAL: the integer (high, low) in two's complement, divided by ten to the power of `scale`.
struct Decimal {
  std::uint64_t low = 0;
  std::int64_t high = 0;
  std::uint8_t digits = 38;  ///< declared: 1 to 18 (8 bytes) or to 38 (16 bytes)
  std::uint8_t scale = 0;

  /// "-98765.43210": all digits behind the point.
  [[nodiscard]] std::string text() const;
  /// Of "-1.5", "1e3": rounded half away from zero to `scale`. Throws Error(Errc::config) for a text that is no number
  /// or has more than `digits` digits.
  static Decimal parse(std::string_view text, std::uint8_t digits, std::uint8_t scale);
  bool operator==(const Decimal&) const = default;
};

struct Null {
  bool operator==(const Null&) const = default;
};
/// In a bind: the column keeps what it has (an upsert that leaves it out). Never in results.
struct NotGiven {
  bool operator==(const NotGiven&) const = default;
};
/// Text of a JSON tag.
struct Json {
  std::string text;
  bool operator==(const Json&) const = default;
};
/// VARBINARY and BLOB.
struct Binary {
  std::string bytes;
  bool operator==(const Binary&) const = default;
};
/// GEOMETRY as well-known binary.
struct Geometry {
  std::string wkb;
  bool operator==(const Geometry&) const = default;
};

/// One value. From results: BOOL as bool, signed integers as std::int64_t, unsigned ones as std::uint64_t, FLOAT as
/// float, DOUBLE as double, VARCHAR and NCHAR as UTF-8.
using Value = std::variant<Null, NotGiven, bool, std::int64_t, std::uint64_t, float, double, std::string, Json, Binary,
                           Geometry, Timestamp, Decimal>;

// --- implementation ---

template <class Duration>
std::chrono::sys_time<Duration> Timestamp::time() const {
  // Ticks of Duration in a second, both whole numbers for every duration of <chrono> up to seconds.
  using Period = typename Duration::period;
  static_assert(Period::num == 1, "durations of a second or shorter");
  constexpr std::int64_t wanted = Period::den;
  const std::int64_t have = data::units_per_second(precision);
  if (wanted >= have) {
    const std::int64_t factor = wanted / have;
    if (ticks > std::numeric_limits<std::int64_t>::max() / factor ||
        ticks < std::numeric_limits<std::int64_t>::min() / factor)
      throw Error(Errc::unsupported, "the timestamp is too far from 1970 for the wanted unit: take a coarser one");
    return std::chrono::sys_time<Duration>(Duration(ticks * factor));
  }
  const std::int64_t factor = have / wanted;
  if (ticks % factor != 0)
    throw Error(Errc::unsupported, "the timestamp has more digits than the wanted unit: take a finer one");
  return std::chrono::sys_time<Duration>(Duration(ticks / factor));
}

template <class Duration>
Timestamp Timestamp::from(std::chrono::sys_time<Duration> time) noexcept {
  using Period = typename Duration::period;
  static_assert(std::ratio_equal_v<Period, std::milli> || std::ratio_equal_v<Period, std::micro> ||
                    std::ratio_equal_v<Period, std::nano>,
                "a database counts milliseconds, microseconds or nanoseconds: use time_point_cast");
  return {static_cast<std::int64_t>(time.time_since_epoch().count()),
          std::ratio_equal_v<Period, std::milli>   ? data::Precision::milliseconds
          : std::ratio_equal_v<Period, std::micro> ? data::Precision::microseconds
                                                   : data::Precision::nanoseconds};
}

}  // namespace penstock::client
