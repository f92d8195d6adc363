#include "format/csv_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_time_text.h"
#include "format/number.h"

namespace penstock::format {
namespace {

using schema::CsvMapping;

/// Last second of the year 9999: what lies beyond is a number in another unit, not a time.
constexpr std::int64_t kLastYear9999 = 253'402'300'799;
constexpr std::int64_t kFirstYear0 = -62'167'219'200;

}  // namespace

std::string TimeFormat::text() const {
  switch (kind) {
    case Kind::epoch:
      return digits == 0   ? "epoch seconds"
             : digits == 3 ? "epoch milliseconds"
             : digits == 6 ? "epoch microseconds"
                           : "epoch nanoseconds";
    case Kind::iso: return "ISO 8601";
    case Kind::pattern: return fmt::format("pattern '{}'", pattern);
  }
  return {};
}

TimeFormat TimeFormat::parse(std::string_view text) {
  TimeFormat format;
  constexpr std::array<std::pair<std::string_view, std::uint8_t>, 4> kUnits{
      {{"s", 0}, {"ms", 3}, {"us", 6}, {"ns", 9}}};
  for (const auto& [name, digits] : kUnits) {
    if (text == name) {
      format.kind = Kind::epoch;
      format.digits = digits;
      return format;
    }
  }
  if (text == "iso") return format;
  if (text.find('%') == std::string_view::npos)
    throw Error(Errc::config,
                fmt::format("time format '{}' is unknown; give auto, epoch, s, ms, us, ns, iso or a pattern "
                            "such as '%d.%m.%Y %H:%M:%S'",
                            printable(text)));
  format.kind = Kind::pattern;
  format.pattern = text;
  const auto has = [&](std::string_view directives) {
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
      if (text[i] == '%' && directives.find(text[++i]) != std::string_view::npos) return true;
    }
    return false;
  };
  const auto refuse = [&](std::string_view why) {
    throw Error(Errc::config, fmt::format("time format '{}': {}", printable(text), why));
  };
  TimeReader check(format, data::Precision::milliseconds, nullptr, CsvMapping::DstGap::reject,
                   CsvMapping::DstFold::first);
  if (!has("YyFDs"))
    refuse(
        "it has no year (%Y, %y, %F or %D), so all rows would fall into 1970; a date in another column is joined with "
        "--timestamp DATE+TIME");
  if (!has("sFDj") && (!has("mbBh") || !has("de")))
    refuse("it has a year but no month and day (%m or %b, and %d), so all rows would fall on one day of it");
  if (has("I") && !has("p")) refuse("%I counts to 12 and needs %p (AM, PM); the 24-hour clock is %H");
  return format;
}

TimeReader::TimeReader(TimeFormat format, data::Precision unit, std::shared_ptr<const TimeZone> zone,
                       CsvMapping::DstGap gap, CsvMapping::DstFold fold, std::shared_ptr<LocalTimeCounts> counts)
    : format_(std::move(format)),
      unit_digits_(static_cast<std::uint8_t>(3 + 3 * static_cast<int>(unit))),
      per_second_(data::units_per_second(unit)),
      first_second_(std::max(kFirstYear0, INT64_MIN / per_second_ + 1)),
      last_second_(std::min(kLastYear9999, INT64_MAX / per_second_)),
      zone_(std::move(zone)),
      gap_(gap),
      fold_(fold),
      counts_(std::move(counts)) {
  if (format_.kind == TimeFormat::Kind::pattern) steps_ = compile(format_.pattern);
  // A day that the cache truly holds, so that the first comparison needs no flag.
  std::memcpy(&day_text_, "1970-01-", sizeof day_text_);
  std::memcpy(&day_tail_, "01", sizeof day_tail_);
}

TimeStatus TimeReader::local_offset(std::int64_t local_seconds, std::int32_t& offset) noexcept {
  if (local_seconds < local_.from || local_seconds >= local_.until) local_ = zone_->resolve(local_seconds);
  if (local_.kind == TimeZone::Kind::unique) [[likely]] {
    offset = local_.first;
    return TimeStatus::ok;
  }
  if (local_.kind == TimeZone::Kind::gap) {
    if (gap_ == CsvMapping::DstGap::reject) return TimeStatus::gap;
    offset = local_.first;  // as if the clock had not been changed: 02:30 becomes 03:30
    if (counts_) counts_->shifted.fetch_add(1, std::memory_order_relaxed);
    return TimeStatus::ok;
  }
  if (fold_ == CsvMapping::DstFold::reject) return TimeStatus::fold;
  offset = fold_ == CsvMapping::DstFold::first ? local_.first : local_.second;
  if (counts_) counts_->folded.fetch_add(1, std::memory_order_relaxed);
  return TimeStatus::ok;
}

TimeStatus TimeReader::finish(const CivilTime& civil, std::int64_t& time) noexcept {
  auto seconds = civil.seconds;
  if (civil.has_offset) {
    seconds -= civil.offset;
  } else if (zone_ != nullptr) {
    std::int32_t offset = 0;
    if (const auto status = local_offset(seconds, offset); status != TimeStatus::ok) return status;
    seconds -= offset;
  }
  if (seconds < first_second_ || seconds > last_second_) return TimeStatus::out_of_range;
  const auto per_unit = kPowersOfTen[static_cast<std::size_t>(9 - unit_digits_)];
  if (civil.finer_than_ns || civil.nanoseconds % per_unit != 0) return TimeStatus::too_fine;
  // The last second that nanoseconds can say is not a whole one.
  std::int64_t whole = 0;
  if (__builtin_add_overflow(seconds * per_second_, static_cast<std::int64_t>(civil.nanoseconds / per_unit), &whole))
    return TimeStatus::out_of_range;
  time = whole;
  return TimeStatus::ok;
}

namespace {

/// Two digits to a number; 255 when one is none.
unsigned two_digits(const char* at) noexcept {
  const auto high = static_cast<unsigned>(static_cast<unsigned char>(at[0] - '0'));
  const auto low = static_cast<unsigned>(static_cast<unsigned char>(at[1] - '0'));
  return high > 9 || low > 9 ? 255 : high * 10 + low;
}

}  // namespace

TimeStatus TimeReader::read(std::string_view text, std::int64_t& time) noexcept {
  if (format_.kind == TimeFormat::Kind::epoch) return read_epoch(text, time);
  if (format_.kind == TimeFormat::Kind::pattern) return read_pattern(text, time);
  CivilTime civil;
  const char* const p = text.data();
  if (text.size() >= 19 && (p[10] == ' ' || p[10] == 'T') && p[13] == ':' && p[16] == ':') [[likely]] {
    std::uint16_t tail = 0;
    std::memcpy(&tail, p + 8, sizeof tail);
    const auto head = load8(p);
    if (head != day_text_ || tail != day_tail_) {
      CivilTime day;
      if (!parse_iso_time(text.substr(0, 10), day)) return TimeStatus::bad;
      day_text_ = head;
      day_tail_ = tail;
      day_seconds_ = day.seconds;
    }
    const auto hour = two_digits(p + 11);
    const auto minute = two_digits(p + 14);
    const auto second = two_digits(p + 17);
    if (hour <= 23 && minute <= 59 && second <= 60) [[likely]] {
      civil.seconds = day_seconds_ + hour * 3600 + minute * 60 + second;
      TimeCursor in{p + 19, p + text.size()};
      if ((in.eat('.') || in.eat(',')) && !in.fraction(civil)) return TimeStatus::bad;
      if (in.done()) return finish(civil, time);
      if (*in.at == 'Z' && in.at + 1 == in.end) {
        civil.has_offset = true;
        return finish(civil, time);
      }
    }
  }
  if (!parse_iso_time(text, civil)) return TimeStatus::bad;
  return finish(civil, time);
}

TimeStatus TimeReader::read_epoch(std::string_view text, std::int64_t& time) const noexcept {
  TimeCursor in{text.data(), text.data() + text.size()};
  const bool negative = in.eat('-');
  std::uint64_t value = 0;
  int count = 0;
  for (; count <= 8 && in.end - in.at >= 8; in.at += 8, count += 8) {
    const auto digits = load8(in.at) ^ detail::kZeros;
    if (detail::digit_run(digits) < 8) break;
    value = value * 100'000'000 + detail::join_digits(digits);
  }
  for (; in.at != in.end && is_time_digit(*in.at); ++in.at) {
    value = value * 10 + static_cast<std::uint64_t>(*in.at - '0');
    if (++count > 19) return TimeStatus::out_of_range;
  }
  if (count == 0) return TimeStatus::bad;
  CivilTime fraction;
  if (in.eat('.') && !in.done() && !in.fraction(fraction)) return TimeStatus::bad;
  if (!in.done()) return TimeStatus::bad;
  if (value > static_cast<std::uint64_t>(INT64_MAX)) return TimeStatus::out_of_range;
  auto whole = static_cast<std::int64_t>(value);
  // The largest value that is still a time of the year 9999.
  if (format_.digits <= 6 && whole / kPowersOfTen[format_.digits] > kLastYear9999) return TimeStatus::out_of_range;
  std::int64_t rest = fraction.nanoseconds;  // billionths of the unit of the text
  std::int64_t scaled = 0;
  if (unit_digits_ >= format_.digits) {
    const auto up = static_cast<std::size_t>(unit_digits_ - format_.digits);
    const auto per_unit = kPowersOfTen[9 - up];
    if (rest % per_unit != 0 || fraction.finer_than_ns) return TimeStatus::too_fine;
    if (__builtin_mul_overflow(whole, kPowersOfTen[up], &scaled) ||
        __builtin_add_overflow(scaled, rest / per_unit, &scaled))
      return TimeStatus::out_of_range;
  } else {
    const auto down = kPowersOfTen[static_cast<std::size_t>(format_.digits - unit_digits_)];
    if (whole % down != 0 || rest != 0 || fraction.finer_than_ns) return TimeStatus::too_fine;
    scaled = whole / down;
  }
  time = negative ? -scaled : scaled;
  return TimeStatus::ok;
}

TimeStatus TimeReader::read_joined(std::string_view date, std::string_view clock, std::int64_t& time) noexcept {
  const bool iso = format_.kind == TimeFormat::Kind::iso;
  if (iso && date.size() > 12 && (date[10] == ' ' || date[10] == 'T') &&
      date.substr(11).find_first_not_of("0:.Z") == std::string_view::npos)
    date = date.substr(0, 10);
  constexpr std::size_t kSlack = 16;  // a whole hour's ":00" and what read() may look at behind the text
  if (date.size() + clock.size() + 1 + kSlack > joined_.size()) return TimeStatus::bad;
  char* to = std::copy(date.begin(), date.end(), joined_.data());
  *to++ = ' ';
  to = std::copy(clock.begin(), clock.end(), to);
  const bool hour_only =
      clock.size() <= 2 && !clock.empty() && is_time_digit(clock.front()) && is_time_digit(clock.back());
  if (iso && hour_only) to = std::copy_n(":00", 3, to);
  std::fill_n(to, 8, '\0');
  return read({joined_.data(), static_cast<std::size_t>(to - joined_.data())}, time);
}

}  // namespace penstock::format
