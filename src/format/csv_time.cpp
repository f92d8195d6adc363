#include "format/csv_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace penstock::format {
namespace {

using schema::CsvMapping;

constexpr std::int64_t kSecondsPerDay = 86'400;
constexpr std::array<std::int64_t, 10> kPowers{1,       10,        100,        1'000,       10'000,
                                               100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};
/// Epoch values from 1990 to 2100 are taken for times.
constexpr std::uint64_t kPlausibleFirst = 631'152'000;
constexpr std::uint64_t kPlausibleLast = 4'102'444'800;
/// Last second of the year 9999: what lies beyond is a number in another unit, not a time.
constexpr std::int64_t kLastYear9999 = 253'402'300'799;
constexpr std::int64_t kFirstYear0 = -62'167'219'200;

bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }

/// Walks over a text that is being read.
struct Cursor {
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
    while (at != end && count < most && is_digit(*at)) {
      value = value * 10 + (*at++ - '0');
      ++count;
    }
    return count >= least;
  }
  /// Digits behind a decimal point. At least one.
  bool fraction(CivilTime& time) noexcept {
    std::uint32_t value = 0;
    int count = 0;
    for (; at != end && is_digit(*at); ++at, ++count) {
      if (count < 9) value = value * 10 + static_cast<std::uint32_t>(*at - '0');
      else if (*at != '0') time.finer_than_ns = true;
    }
    if (count == 0) return false;
    time.nanoseconds =
        count < 9 ? value * static_cast<std::uint32_t>(kPowers[static_cast<std::size_t>(9 - count)]) : value;
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
    if ((colon || is_digit(peek())) && (!number(2, 2, minutes) || minutes > 59)) return false;
    time.offset = (hours * 60 + minutes) * 60;
    if (sign == '-') time.offset = -time.offset;
    return true;
  }
};

/// Fields of a calendar to seconds; false when there is no such day or time. Second 60 is the next minute's first,
/// 24:00:00 the next day's.
bool to_seconds(int year, int month, int day, int hour, int minute, int second, std::int64_t& seconds) noexcept {
  if (month < 1 || month > 12 || day < 1) return false;
  const auto m = static_cast<unsigned>(month);
  const auto d = static_cast<unsigned>(day);
  if (d > days_in_month(year, m) || minute > 59 || second > 60) return false;
  if (hour > 23 && !(hour == 24 && minute == 0 && second == 0)) return false;
  seconds = days_from_civil(year, m, d) * kSecondsPerDay + hour * 3600 + minute * 60 + second;
  return true;
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

constexpr std::array<std::string_view, 12> kMonths{"january",   "february", "march",    "april",
                                                   "may",       "june",     "july",     "august",
                                                   "september", "october",  "november", "december"};
constexpr std::array<std::string_view, 7> kDays{"sunday",   "monday", "tuesday", "wednesday",
                                                "thursday", "friday", "saturday"};

/// Index of the name at the cursor, in full or by its first three letters, any case; -1: none.
template <std::size_t N>
int eat_name(Cursor& in, const std::array<std::string_view, N>& names) noexcept {
  const auto left = static_cast<std::size_t>(in.end - in.at);
  const auto matches = [&](std::string_view name) {
    return name.size() <= left &&
           std::equal(name.begin(), name.end(), in.at, [](char a, char b) { return a == (b | 0x20); });
  };
  for (std::size_t i = 0; i < N; ++i) {
    for (const auto name : {names[i], names[i].substr(0, 3)}) {
      if (matches(name)) {
        in.at += name.size();
        return static_cast<int>(i);
      }
    }
  }
  return -1;
}

std::uint8_t digits_that_say_something(std::uint32_t nanoseconds) noexcept {
  std::uint8_t digits = 9;
  while (digits > 0 && nanoseconds % 10 == 0) {
    nanoseconds /= 10;
    --digits;
  }
  return digits;
}

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
  TimeReader check(format, data::Precision::milliseconds, nullptr, CsvMapping::DstGap::reject,
                   CsvMapping::DstFold::first);
  return format;
}

bool parse_iso_time(std::string_view text, CivilTime& time) noexcept {
  text = trimmed(text);
  Cursor in{text.data(), text.data() + text.size()};
  int year = 0;
  int month = 0;
  int day = 0;
  if (!in.number(4, 4, year)) return false;
  const char separator = in.peek();
  if (separator != '-' && separator != '/') return false;
  ++in.at;
  if (!in.number(1, 2, month) || !in.eat(separator) || !in.number(1, 2, day)) return false;
  time = CivilTime{};
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (in.done()) {
    time.date_only = true;
    return to_seconds(year, month, day, 0, 0, 0, time.seconds);
  }
  if (!in.eat('T') && !in.eat('t')) {
    if (in.peek() != ' ') return false;
    in.blanks();
  }
  if (!in.number(1, 2, hour) || !in.eat(':') || !in.number(2, 2, minute)) return false;
  if (in.eat(':') && !in.number(2, 2, second)) return false;
  if ((in.eat('.') || in.eat(',')) && !in.fraction(time)) return false;
  in.blanks();
  if (!in.done()) {
    if (!in.offset(time)) return false;
    in.blanks();
    // Go and InfluxDB print "+0000 UTC".
    if (time.offset == 0 && std::string_view(in.at, static_cast<std::size_t>(in.end - in.at)) == "UTC") in.at = in.end;
    if (!in.done()) return false;
  }
  return to_seconds(year, month, day, hour, minute, second, time.seconds);
}

void TimeSummary::add(std::string_view text) noexcept {
  text = trimmed(text);
  if (text.size() >= 8 && is_digit(text[0]) && (text[4] == '-' || text[4] == '/')) {
    CivilTime time;
    if (!parse_iso_time(text, time)) return;
    ++iso;
    if (!time.date_only) ++with_clock;
    if (time.has_offset) ++with_offset;
    fraction_digits = std::max(fraction_digits, digits_that_say_something(time.nanoseconds));
    return;
  }
  Cursor in{text.data(), text.data() + text.size()};
  const bool negative = in.eat('-');
  std::uint64_t value = 0;
  int count = 0;
  for (; !in.done() && is_digit(*in.at) && count < 19; ++in.at, ++count)
    value = value * 10 + static_cast<std::uint64_t>(*in.at - '0');
  if (count == 0) return;
  CivilTime fraction;
  if (in.eat('.') && !in.fraction(fraction)) return;
  if (!in.done()) return;
  largest = std::max(largest, value);
  epoch_digits = std::max(epoch_digits, digits_that_say_something(fraction.nanoseconds));
  std::uint64_t scale = 1;
  for (auto& counter : epoch) {
    if (!negative && value >= kPlausibleFirst * scale && value <= kPlausibleLast * scale) {
      ++counter;
      return;
    }
    scale *= 1000;
  }
  ++other_numbers;
}

void TimeSummary::merge(const TimeSummary& other) noexcept {
  iso += other.iso;
  with_clock += other.with_clock;
  with_offset += other.with_offset;
  for (std::size_t i = 0; i < 4; ++i) epoch[i] += other.epoch[i];
  other_numbers += other.other_numbers;
  largest = std::max(largest, other.largest);
  fraction_digits = std::max(fraction_digits, other.fraction_digits);
  epoch_digits = std::max(epoch_digits, other.epoch_digits);
}

std::uint8_t TimeSummary::unit_digits() const noexcept {
  const auto* const most = std::max_element(epoch, epoch + 4);
  if (*most > 0) return static_cast<std::uint8_t>((most - epoch) * 3);
  return largest < 100'000'000'000 ? 0 : largest < 100'000'000'000'000 ? 3 : largest < 100'000'000'000'000'000 ? 6 : 9;
}

TimeReader::TimeReader(TimeFormat format, data::Precision unit, std::shared_ptr<const TimeZone> zone,
                       CsvMapping::DstGap gap, CsvMapping::DstFold fold)
    : format_(std::move(format)),
      unit_digits_(static_cast<std::uint8_t>(3 + 3 * static_cast<int>(unit))),
      per_second_(data::units_per_second(unit)),
      first_second_(std::max(kFirstYear0, INT64_MIN / per_second_ + 1)),
      last_second_(std::min(kLastYear9999, INT64_MAX / per_second_ - 1)),
      zone_(std::move(zone)),
      gap_(gap),
      fold_(fold) {
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
    return TimeStatus::ok;
  }
  if (fold_ == CsvMapping::DstFold::reject) return TimeStatus::fold;
  offset = fold_ == CsvMapping::DstFold::first ? local_.first : local_.second;
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
  const auto per_unit = kPowers[static_cast<std::size_t>(9 - unit_digits_)];
  if (civil.finer_than_ns || civil.nanoseconds % per_unit != 0) return TimeStatus::too_fine;
  time = seconds * per_second_ + civil.nanoseconds / per_unit;
  return TimeStatus::ok;
}

namespace {

std::uint64_t load8(const char* at) noexcept {
  std::uint64_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

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
      Cursor in{p + 19, p + text.size()};
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
  Cursor in{text.data(), text.data() + text.size()};
  const bool negative = in.eat('-');
  std::uint64_t value = 0;
  int count = 0;
  for (; in.at != in.end && is_digit(*in.at); ++in.at) {
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
  if (format_.digits <= 6 && whole / kPowers[format_.digits] > kLastYear9999) return TimeStatus::out_of_range;
  std::int64_t rest = fraction.nanoseconds;  // billionths of the unit of the text
  std::int64_t scaled = 0;
  if (unit_digits_ >= format_.digits) {
    const auto up = static_cast<std::size_t>(unit_digits_ - format_.digits);
    const auto per_unit = kPowers[9 - up];
    if (rest % per_unit != 0 || fraction.finer_than_ns) return TimeStatus::too_fine;
    if (__builtin_mul_overflow(whole, kPowers[up], &scaled) || __builtin_add_overflow(scaled, rest / per_unit, &scaled))
      return TimeStatus::out_of_range;
  } else {
    const auto down = kPowers[static_cast<std::size_t>(format_.digits - unit_digits_)];
    if (whole % down != 0 || rest != 0 || fraction.finer_than_ns) return TimeStatus::too_fine;
    scaled = whole / down;
  }
  time = negative ? -scaled : scaled;
  return TimeStatus::ok;
}

std::vector<TimeReader::PatternStep> TimeReader::compile(std::string_view pattern) {
  std::vector<PatternStep> steps;
  const auto literal = [&](char c) {
    if (c == ' ' || c == '\t') steps.push_back({' ', '\0'});
    else steps.push_back({'\0', c});
  };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      literal(pattern[i]);
      continue;
    }
    const char directive = i + 1 < pattern.size() ? pattern[++i] : '\0';
    switch (directive) {
      case '%': literal('%'); break;
      case 'F':
        for (const auto& s : compile("%Y-%m-%d")) steps.push_back(s);
        break;
      case 'T':
        for (const auto& s : compile("%H:%M:%S")) steps.push_back(s);
        break;
      case 'R':
        for (const auto& s : compile("%H:%M")) steps.push_back(s);
        break;
      case 'D':
        for (const auto& s : compile("%m/%d/%y")) steps.push_back(s);
        break;
      case 'Y':
      case 'y':
      case 'm':
      case 'd':
      case 'e':
      case 'H':
      case 'I':
      case 'M':
      case 'S':
      case 'f':
      case 'z':
      case 'Z':
      case 'b':
      case 'B':
      case 'h':
      case 'a':
      case 'A':
      case 'j':
      case 'p':
      case 's': steps.push_back({directive, '\0'}); break;
      default:
        throw Error(
            Errc::config,
            fmt::format("time format '{}': '%{}' is unknown; known are %Y %y %m %d %e %b %B %j %a %A %H %I %p %M %S "
                        "%f %z %Z %s %F %T %R %D %%",
                        printable(pattern), printable(std::string_view(&directive, directive == '\0' ? 0 : 1))));
    }
  }
  return steps;
}

TimeStatus TimeReader::read_pattern(std::string_view text, std::int64_t& time) noexcept {
  Cursor in{text.data(), text.data() + text.size()};
  int year = 1970;
  int month = 1;
  int day = 1;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int day_of_year = 0;
  int afternoon = -1;
  bool have_epoch = false;
  std::int64_t epoch = 0;
  CivilTime civil;
  for (const auto step : steps_) {
    bool ok = true;
    switch (step.directive) {
      case '\0': ok = in.eat(step.literal); break;
      case ' ': in.blanks(); break;
      case 'Y': ok = in.number(4, 4, year); break;
      case 'y':
        ok = in.number(2, 2, year);
        year += year < 69 ? 2000 : 1900;
        break;
      case 'm': ok = in.number(1, 2, month); break;
      case 'd':
      case 'e':
        in.blanks();
        ok = in.number(1, 2, day);
        break;
      case 'H':
      case 'I': ok = in.number(1, 2, hour) && (step.directive == 'H' || (hour >= 1 && hour <= 12)); break;
      case 'M': ok = in.number(1, 2, minute); break;
      case 'S': ok = in.number(1, 2, second); break;
      case 'f': ok = in.fraction(civil); break;
      case 'z':
      case 'Z': ok = in.offset(civil); break;
      case 'b':
      case 'B':
      case 'h':
        month = eat_name(in, kMonths) + 1;
        ok = month > 0;
        break;
      case 'a':
      case 'A': ok = eat_name(in, kDays) >= 0; break;
      case 'j': ok = in.number(1, 3, day_of_year) && day_of_year >= 1; break;
      case 'p': {
        const char c = static_cast<char>(in.peek() | 0x20);
        ok = c == 'a' || c == 'p';
        if (ok) {
          afternoon = c == 'p' ? 1 : 0;
          ++in.at;
          ok = (in.peek() | 0x20) == 'm';
          if (ok) ++in.at;
        }
        break;
      }
      case 's': {
        int count = 0;
        const bool negative = in.eat('-');
        for (; !in.done() && is_digit(*in.at) && count < 12; ++in.at, ++count) epoch = epoch * 10 + (*in.at - '0');
        if (negative) epoch = -epoch;
        have_epoch = ok = count > 0;
        break;
      }
      default: ok = false;
    }
    if (!ok) return TimeStatus::bad;
  }
  in.blanks();
  if (!in.done()) return TimeStatus::bad;
  if (have_epoch) {
    civil.seconds = epoch;
    civil.has_offset = true;
    civil.offset = 0;
    return finish(civil, time);
  }
  if (afternoon >= 0) {
    if (hour < 1 || hour > 12) return TimeStatus::bad;
    hour = hour % 12 + 12 * afternoon;
  }
  if (!to_seconds(year, month, day, hour, minute, second, civil.seconds)) return TimeStatus::bad;
  if (day_of_year > 0) {
    if (day_of_year > (is_leap_year(year) ? 366 : 365)) return TimeStatus::bad;
    civil.seconds = days_from_civil(year, 1, 1) * kSecondsPerDay + (day_of_year - 1) * kSecondsPerDay + hour * 3600 +
                    minute * 60 + second;
  }
  return finish(civil, time);
}

}  // namespace penstock::format
