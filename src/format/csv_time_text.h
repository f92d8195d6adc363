#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "format/csv_time.h"
#include "base/time_zone.h"

/// How times are read character by character: shared by the parts of csv_time.h, of no use to others.
namespace penstock::format {

inline constexpr std::int64_t kSecondsPerDay = 86'400;
inline constexpr std::array<std::int64_t, 10> kPowersOfTen{1,       10,        100,        1'000,       10'000,
                                                           100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};

inline bool is_time_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }

inline std::string_view time_trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Walks over a text that is being read.
struct TimeCursor {
  const char* at;
  const char* end;

  [[nodiscard]] bool done() const noexcept { return at == end; }
  [[nodiscard]] char peek() const noexcept { return at == end ? '\0' : *at; }
  bool eat(char c) noexcept {
    if (at == end || *at != c) return false;
    ++at;
    return true;
  }
  void blanks() noexcept {
    while (at != end && (*at == ' ' || *at == '\t')) ++at;
  }
  /// `least` to `most` digits.
  bool number(int least, int most, int& value) noexcept {
    int count = 0;
    value = 0;
    while (at != end && count < most && is_time_digit(*at)) {
      value = value * 10 + (*at++ - '0');
      ++count;
    }
    return count >= least;
  }
  /// Digits behind a decimal point. At least one.
  bool fraction(CivilTime& time) noexcept {
    std::uint32_t value = 0;
    int count = 0;
    for (; at != end && is_time_digit(*at); ++at, ++count) {
      if (count < 9) value = value * 10 + static_cast<std::uint32_t>(*at - '0');
      else if (*at != '0') time.finer_than_ns = true;
    }
    if (count == 0) return false;
    time.nanoseconds =
        count < 9 ? value * static_cast<std::uint32_t>(kPowersOfTen[static_cast<std::size_t>(9 - count)]) : value;
    return true;
  }
  /// Z, UTC, GMT, +hh, +hhmm, +hh:mm.
  bool offset(CivilTime& time) noexcept {
    time.has_offset = true;
    time.offset = 0;
    if (eat('Z') || eat('z')) return true;
    for (const std::string_view name : {"UTC", "GMT"}) {
      if (std::string_view(at, static_cast<std::size_t>(end - at)).substr(0, 3) == name) {
        at += 3;
        return true;
      }
    }
    const char sign = peek();
    if (sign != '+' && sign != '-') return false;
    ++at;
    int hours = 0;
    int minutes = 0;
    if (!number(2, 2, hours) || hours > 18) return false;
    const bool colon = eat(':');
    if ((colon || is_time_digit(peek())) && (!number(2, 2, minutes) || minutes > 59)) return false;
    time.offset = (hours * 60 + minutes) * 60;
    if (sign == '-') time.offset = -time.offset;
    return true;
  }
};

/// Fields of a calendar to seconds; false when there is no such day or time. Second 60 is the next minute's first,
/// 24:00:00 the next day's.
inline bool to_seconds(int year, int month, int day, int hour, int minute, int second, std::int64_t& seconds) noexcept {
  if (month < 1 || month > 12 || day < 1) return false;
  const auto m = static_cast<unsigned>(month);
  const auto d = static_cast<unsigned>(day);
  if (d > days_in_month(year, m) || minute > 59 || second > 60) return false;
  if (hour > 23 && !(hour == 24 && minute == 0 && second == 0)) return false;
  seconds = days_from_civil(year, m, d) * kSecondsPerDay + hour * 3600 + minute * 60 + second;
  return true;
}

/// A time of day, perhaps with AM or PM behind it, at the cursor: H:MM[:SS[.fraction]] [AM|PM].
struct ClockTime {
  int hour = 0;
  int minute = 0;
  int second = 0;
};
bool read_clock(TimeCursor& in, ClockTime& clock, CivilTime& time) noexcept;

/// AM or PM at the cursor, any case: 0 or 1; -1: neither, and nothing is taken.
int read_half_day(TimeCursor& in) noexcept;
/// 12-hour clock to 24; false when `hour` is not of 1 to 12.
inline bool apply_half_day(int half, int& hour) noexcept {
  if (hour < 1 || hour > 12) return false;
  hour = hour % 12 + 12 * half;
  return true;
}

/// How many of the nine digits of the fraction say something.
std::uint8_t fraction_digits_of(std::uint32_t nanoseconds) noexcept;

}  // namespace penstock::format
