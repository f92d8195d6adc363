#include "options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "shape.h"

namespace penstock::generator {
namespace {

using std::chrono::nanoseconds;

[[noreturn]] void refuse(const std::string& what) { throw Error(Errc::config, what); }

// Reads exactly `digits` decimal digits; false when there are other bytes.
bool take_digits(std::string_view& text, std::size_t digits, int& value) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || text[0] == '-') return false;
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

// "Z", "+02:00" or nothing; false when it is something else.
bool take_offset(std::string_view text, std::int64_t& seconds) {
  seconds = 0;
  if (text.empty() || text == "Z" || text == "z") return true;
  const bool west = text.front() == '-';
  if (!take(text, '+') && !take(text, '-')) return false;
  int hours = 0;
  int minutes = 0;
  if (!take_digits(text, 2, hours)) return false;
  take(text, ':');
  if (!take_digits(text, 2, minutes) || !text.empty()) return false;
  seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
  return true;
}

std::optional<std::int64_t> parse_epoch(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  if (text.size() <= 11)
    return value <= INT64_MAX / 1'000'000'000 ? std::optional(value * 1'000'000'000) : std::nullopt;
  if (text.size() <= 14) return value <= INT64_MAX / 1'000'000 ? std::optional(value * 1'000'000) : std::nullopt;
  if (text.size() <= 17) return value <= INT64_MAX / 1'000 ? std::optional(value * 1'000) : std::nullopt;
  return value;
}

std::size_t widest_table(const Options& options, const Shape& shape) {
  std::size_t columns = 0;
  for (const auto& table : shape.tables)
    if (options.measurement.empty() || options.measurement == table.name)
      columns = std::max(columns, table.columns.size());
  return columns;
}

// The steps that `rows` records take at most. A sparse row lacks some of its fields: a fifth is more than ever happens.
std::int64_t planned_steps(const Options& options, const Shape& shape) {
  if (options.duration.count() > 0) return options.duration / options.interval;
  double per_step = 0;
  for (const auto& table : shape.tables)
    if (options.measurement.empty() || options.measurement == table.name) {
      const bool many =
          options.one_field_per_line || options.format == Format::telnet || options.format == Format::json;
      per_step += many ? static_cast<double>(table.columns.size()) * (shape.sparse ? 0.8 : 1) : 1;
    }
  return static_cast<std::int64_t>(static_cast<double>(options.rows) / (per_step * options.hosts)) + 1;
}

void check_shares(const Options& options) {
  const auto check = [](const char* flag, double share) {
    if (!(share >= 0 && share <= 0.9)) refuse(fmt::format("{} {}: give a share between 0 and 0.9", flag, share));
  };
  check("--disorder", options.disorder);
  if (options.disorder > 0.5) refuse("--disorder: at most 0.5, a late row needs one that overtook it");
  check("--duplicates", options.duplicates);
  check("--bad", options.bad);
  if (options.duplicates + options.bad > 0.95)
    refuse("--duplicates and --bad together leave no new rows: at most 0.95");
}

}  // namespace

std::optional<std::int64_t> parse_time(std::string_view text) {
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) return parse_epoch(text);
  int year = 0;
  int month = 0;
  int day = 0;
  if (!take_digits(text, 4, year) || !take(text, '-') || !take_digits(text, 2, month) || !take(text, '-') ||
      !take_digits(text, 2, day))
    return std::nullopt;
  using namespace std::chrono;
  const year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                            std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || year < 1970 || year > 2261) return std::nullopt;
  std::int64_t time = sys_days(date).time_since_epoch().count() * 86'400'000'000'000;
  if (text.empty()) return time;
  if (!take(text, 'T') && !take(text, ' ')) return std::nullopt;
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (!take_digits(text, 2, hour) || !take(text, ':') || !take_digits(text, 2, minute)) return std::nullopt;
  if (take(text, ':') && !take_digits(text, 2, second)) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  if (take(text, '.')) {
    std::int64_t unit = 100'000'000;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), unit /= 10)
      time += (text.front() - '0') * unit;
  }
  std::int64_t offset = 0;
  if (!take_offset(text, offset)) return std::nullopt;
  return time + (hour * 3600 + minute * 60 + second - offset) * 1'000'000'000;
}

std::string rfc3339(std::int64_t time_ns, TimeUnit unit) {
  using namespace std::chrono;
  const sys_time<nanoseconds> time{nanoseconds(time_ns)};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  const std::int64_t rest = clock.subseconds().count();
  if (unit == TimeUnit::ms) out += fmt::format(".{:03}", rest / 1'000'000);
  if (unit == TimeUnit::us) out += fmt::format(".{:06}", rest / 1'000);
  if (unit == TimeUnit::ns) out += fmt::format(".{:09}", rest);
  return out + "Z";
}

void complete(Options& options, std::chrono::system_clock::time_point now) {
  const Shape* shape = find_shape(options.shape);
  if (shape == nullptr) refuse(fmt::format("--case {}: there are cpu-only and iot", options.shape));
  if (options.format == Format::csv && options.measurement.empty()) options.measurement = shape->tables[0].name;
  if (widest_table(options, *shape) == 0)
    refuse(fmt::format("--measurement {}: case {} has no such measurement", options.measurement, options.shape));
  if (options.hosts < 1 || options.hosts > 100'000'000) refuse("--hosts: give a number from 1 to 100 million");
  if (options.interval < std::chrono::milliseconds(1)) refuse("--interval: at least 1ms");
  if (options.duration.count() > 0 && options.duration < options.interval)
    refuse("--duration is shorter than --interval: no row fits");
  if (options.one_field_per_line && options.format != Format::line)
    refuse("--one-field-per-line goes with --format line only");
  if (options.time_text == TimeText::rfc3339 && options.format != Format::csv)
    refuse("--time-format rfc3339 goes with --format csv only: the other formats have numbers as timestamps");
  check_shares(options);
  if (options.rows == 0 && options.duration.count() == 0) options.rows = 1'000'000;

  const bool open_tsdb = options.format == Format::telnet || options.format == Format::json;
  if (!options.precision) {
    const bool whole =
        options.interval.count() % 1'000'000'000 == 0 && options.start_ns.value_or(0) % 1'000'000'000 == 0;
    options.precision = !open_tsdb ? TimeUnit::ns : whole ? TimeUnit::s : TimeUnit::ms;
  }
  const auto unit = static_cast<std::int64_t>(*options.precision);
  if (open_tsdb && unit < 1'000'000) refuse("--precision: OpenTSDB has seconds (s) and milliseconds (ms) only");
  if (options.interval.count() % unit != 0)
    refuse("--interval is no multiple of --precision: rows would fall together");

  const std::int64_t steps = planned_steps(options, *shape);
  if (steps > 4'000'000'000) refuse("more than 4 billion rows per host: give more --hosts or fewer --rows");
  const std::int64_t interval = options.interval.count();
  const std::int64_t now_ns = std::chrono::duration_cast<nanoseconds>(now.time_since_epoch()).count();
  if (!options.start_ns) {
    if (now_ns / interval <= steps)
      refuse(
          "so many rows per host do not fit between 1970 and now: give more --hosts, a shorter --interval or --start");
    options.start_ns = (now_ns / interval - steps) * interval;
  }
  options.start_ns = *options.start_ns / unit * unit;
  if (*options.start_ns <= 0) refuse("--start: give a time after 1970-01-01T00:00:00Z");
  // The unit is told from the number of digits, 10 or 13: so it has been since September 2001.
  if (open_tsdb && *options.start_ns < 1'000'000'000'000'000'000)
    refuse("--start: OpenTSDB timestamps have 10 or 13 digits: give a time after 2001-09-09T01:46:40Z");
  if (steps > (INT64_MAX - *options.start_ns) / interval)
    refuse("the last row would be after the year 2262: give more --hosts, fewer --rows or an earlier --start");
}

}  // namespace penstock::generator
