#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_time_text.h"

namespace penstock::format {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"january",   "february", "march",    "april",
                                                   "may",       "june",     "july",     "august",
                                                   "september", "october",  "november", "december"};
constexpr std::array<std::string_view, 7> kDays{"sunday",   "monday", "tuesday", "wednesday",
                                                "thursday", "friday", "saturday"};

/// Index of the name at the cursor, in full or by its first three letters, any case; -1: none.
template <std::size_t N>
int eat_name(TimeCursor& in, const std::array<std::string_view, N>& names) noexcept {
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

}  // namespace

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
  TimeCursor in{text.data(), text.data() + text.size()};
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
      case 'p':
        afternoon = read_half_day(in);
        ok = afternoon >= 0;
        break;
      case 's': {
        int count = 0;
        const bool negative = in.eat('-');
        for (; !in.done() && is_time_digit(*in.at) && count < 12; ++in.at, ++count) epoch = epoch * 10 + (*in.at - '0');
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
  if (afternoon >= 0 && !apply_half_day(afternoon, hour)) return TimeStatus::bad;
  if (!to_seconds(year, month, day, hour, minute, second, civil.seconds)) return TimeStatus::bad;
  if (day_of_year > 0) {
    if (day_of_year > (is_leap_year(year) ? 366 : 365)) return TimeStatus::bad;
    civil.seconds = days_from_civil(year, 1, 1) * kSecondsPerDay + (day_of_year - 1) * kSecondsPerDay + hour * 3600 +
                    minute * 60 + second;
  }
  return finish(civil, time);
}

std::string suggested_time_format(std::string_view text) {
  text = time_trimmed(text);
  constexpr std::array<std::string_view, 13> kDates{"%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y",   "%d/%m/%Y", "%Y.%m.%d",
                                                    "%d-%b-%Y", "%d %b %Y", "%b %d, %Y",  "%d.%m.%y", "%m/%d/%y",
                                                    "%d-%m-%Y", "%Y%m%d",   "%a %b %d %Y"};
  constexpr std::array<std::string_view, 12> kClocks{
      "",          " %H:%M:%S", " %H:%M",     " %H:%M:%S.%f", " %H:%M:%S,%f", " %I:%M:%S %p",
      " %I:%M %p", "T%H:%M:%S", ", %H:%M:%S", ", %H:%M",      "%H%M%S",       " %H%M%S"};
  std::string padded(text);
  padded.append(16, '\0');
  const auto reads = [&](const std::string& pattern, std::size_t length) {
    TimeReader reader({TimeFormat::Kind::pattern, 0, pattern}, data::Precision::nanoseconds, nullptr,
                      schema::CsvMapping::DstGap::shift, schema::CsvMapping::DstFold::first);
    std::int64_t time = 0;
    return reader.read(std::string_view(padded).substr(0, length), time) == TimeStatus::ok;
  };
  // Behind the time the name of a zone may stand, which a pattern takes as it is.
  auto length = text.size();
  while (length > 0 && text[length - 1] != ' ') --length;
  const auto zone = text.substr(length);
  const bool named = length > 1 && !zone.empty() && !is_time_digit(zone[0]) && zone[0] != '+' && zone[0] != '-' &&
                     zone.find('%') == std::string_view::npos;
  for (const bool with_zone : {false, true}) {
    if (with_zone && !named) break;
    for (const auto date : kDates) {
      for (const auto clock : kClocks) {
        auto pattern = std::string(date) + std::string(clock);
        if (!reads(pattern, with_zone ? length - 1 : text.size())) continue;
        return with_zone ? pattern + " " + std::string(zone) : pattern;
      }
    }
  }
  return {};
}

}  // namespace penstock::format
