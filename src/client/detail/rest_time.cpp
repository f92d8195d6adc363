#include "client/detail/rest_time.h"

#include <charconv>

namespace penstock::client::detail {

std::optional<PrintedTime> read_printed_time(std::string_view text, const TimeZone* zone) {
  const auto take = [&](std::size_t least, std::size_t most) -> std::optional<std::int64_t> {
    std::size_t digits = 0;
    while (digits < text.size() && digits < most && text[digits] >= '0' && text[digits] <= '9') ++digits;
    if (digits < least) return std::nullopt;
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + digits, value);
    text.remove_prefix(digits);
    return value;
  };
  const auto skip = [&](char c) {
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
  };
  const bool before_christ = skip('-');
  const auto year = take(4, 9);
  if (!year || !skip('-')) return std::nullopt;
  const auto month = take(2, 2);
  if (!month || *month < 1 || *month > 12 || !skip('-')) return std::nullopt;
  const auto day = take(2, 2);
  if (!day || *day < 1 || *day > 31 || !skip('T')) return std::nullopt;
  const auto hour = take(2, 2);
  if (!hour || *hour > 23 || !skip(':')) return std::nullopt;
  const auto minute = take(2, 2);
  if (!minute || *minute > 59 || !skip(':')) return std::nullopt;
  const auto second = take(2, 2);
  if (!second || *second > 60 || !skip('.')) return std::nullopt;
  const auto before = text.size();
  const auto fraction = take(3, 9);
  const auto digits = before - text.size();
  if (!fraction || (digits != 3 && digits != 6 && digits != 9)) return std::nullopt;
  std::int64_t offset = 0;
  if (!skip('Z')) {
    const bool west = skip('-');
    if (!west && !skip('+')) return std::nullopt;
    const auto hours = take(2, 2);
    if (!hours || !skip(':')) return std::nullopt;
    const auto minutes = take(2, 2);
    if (!minutes) return std::nullopt;
    offset = (*hours * 60 + *minutes) * 60 * (west ? -1 : 1);
  }
  if (!text.empty()) return std::nullopt;
  const auto days =
      days_from_civil(before_christ ? -*year : *year, static_cast<unsigned>(*month), static_cast<unsigned>(*day));
  const auto local = days * 86'400 + *hour * 3'600 + *minute * 60 + *second;
  if (zone != nullptr && offset != 0) {
    // Zones of before about 1900 have seconds, which the text leaves out of its offset only.
    const std::int64_t real = zone->offset_at(local - offset);
    if (real / 60 == offset / 60) offset = real;
  }
  PrintedTime time;
  time.precision = digits == 3   ? data::Precision::milliseconds
                   : digits == 6 ? data::Precision::microseconds
                                 : data::Precision::nanoseconds;
  const auto units = data::units_per_second(time.precision);
  std::int64_t ticks = 0;
  // The first nanosecond that there is has a whole second below the range.
  const auto seconds = local - offset;
  const bool below = seconds < 0 && *fraction != 0;
  if (__builtin_mul_overflow(below ? seconds + 1 : seconds, units, &ticks) ||
      __builtin_add_overflow(ticks, below ? *fraction - units : *fraction, &ticks))
    return std::nullopt;
  time.ticks = ticks;
  return time;
}

}  // namespace penstock::client::detail
