#include "sandbox/value_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <vector>

namespace penstock::sandbox {
namespace {

constexpr std::int64_t kDay = 86400;

std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept { return a / b - (a % b < 0 ? 1 : 0); }

/// "EST5EDT,M3.2.0/2,M11.1.0/2", as in the footer of TZif files (RFC 8536) and POSIX.
struct PosixRule {
  struct Change {
    int month = 0, week = 0, weekday = 0, time = 7200;
  };
  std::string standard = "UTC", daylight;
  std::int32_t standard_offset = 0, daylight_offset = 0;  // seconds east
  Change start, end;

  static std::optional<PosixRule> parse(std::string_view text);

  [[nodiscard]] static std::int64_t moment(std::int64_t year, const Change& c) {
    const auto first = days_from_civil(year, static_cast<unsigned>(c.month), 1);
    const auto weekday = ((first % 7) + 11) % 7;  // 1970-01-01 was a Thursday
    auto day = first + (c.weekday - weekday + 7) % 7 + 7 * (c.week - 1);
    const auto next =
        c.month == 12 ? days_from_civil(year + 1, 1, 1) : days_from_civil(year, static_cast<unsigned>(c.month) + 1, 1);
    while (day >= next) day -= 7;
    return day * kDay + c.time;
  }
  [[nodiscard]] bool is_daylight(std::int64_t seconds) const {
    if (daylight.empty()) return false;
    const auto year = civil_from_days(floor_div(seconds + standard_offset, kDay)).year;
    const auto on = moment(year, start) - standard_offset;
    const auto off = moment(year, end) - daylight_offset;
    return on < off ? seconds >= on && seconds < off : seconds >= on || seconds < off;
  }
};

class PosixReader {
 public:
  explicit PosixReader(std::string_view text) : text_(text) {}
  bool name(std::string& out) {
    if (peek() == '<') {
      const auto end = text_.find('>', at_);
      if (end == std::string_view::npos) return false;
      out = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      return true;
    }
    const auto begin = at_;
    while (std::isalpha(static_cast<unsigned char>(peek())) != 0) ++at_;
    out = text_.substr(begin, at_ - begin);
    return out.size() >= 3;
  }
  bool number(int& out) {
    const auto* const first = text_.data() + at_;
    const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), out);
    if (error != std::errc{}) return false;
    at_ += static_cast<std::size_t>(end - first);
    return true;
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  /// "[+-]hh[:mm[:ss]]" in seconds.
  bool clock(int& out) {
    const bool negative = peek() == '-';
    if (peek() == '-' || peek() == '+') ++at_;
    int h = 0, m = 0, s = 0;
    if (std::isdigit(static_cast<unsigned char>(peek())) == 0 || !number(h)) return false;
    if (take(':') && !number(m)) return false;
    if (take(':') && !number(s)) return false;
    if (h > 167 || m > 59 || s > 59 || m < 0 || s < 0) return false;
    out = (h * 3600 + m * 60 + s) * (negative ? -1 : 1);
    return true;
  }
  bool change(PosixRule::Change& out) {
    if (!take('M') || !number(out.month) || !take('.') || !number(out.week) || !take('.') || !number(out.weekday)) {
      return false;
    }
    if (out.month < 1 || out.month > 12 || out.week < 1 || out.week > 5 || out.weekday < 0 || out.weekday > 6) {
      return false;
    }
    return !take('/') || clock(out.time);
  }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  [[nodiscard]] bool done() const { return at_ == text_.size(); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<PosixRule> PosixRule::parse(std::string_view text) {
  PosixRule rule;
  PosixReader in(text);
  int west = 0;
  if (!in.name(rule.standard) || !in.clock(west)) return std::nullopt;
  rule.standard_offset = -west;
  if (in.done()) return rule;
  if (!in.name(rule.daylight)) return std::nullopt;
  rule.daylight_offset = rule.standard_offset + 3600;
  if (in.peek() != ',' && !in.done()) {
    if (!in.clock(west)) return std::nullopt;
    rule.daylight_offset = -west;
  }
  if (in.done()) {
    rule.start = {3, 2, 0, 7200};
    rule.end = {11, 1, 0, 7200};
    return rule;
  }
  if (!in.take(',') || !in.change(rule.start) || !in.take(',') || !in.change(rule.end) || !in.done())
    return std::nullopt;
  return rule;
}

class PosixZone final : public TimeZone {
 public:
  PosixZone(std::string name, PosixRule rule) : TimeZone(std::move(name)), rule_(std::move(rule)) {}
  [[nodiscard]] std::int32_t offset_at(std::int64_t s) const override {
    return rule_.is_daylight(s) ? rule_.daylight_offset : rule_.standard_offset;
  }
  [[nodiscard]] std::string abbreviation_at(std::int64_t s) const override {
    return rule_.is_daylight(s) ? rule_.daylight : rule_.standard;
  }

 private:
  PosixRule rule_;
};

/// A zone from a TZif file (RFC 8536), version 2 and later.
class FileZone final : public TimeZone {
 public:
  static std::shared_ptr<const TimeZone> load(const std::string& name, const std::string& bytes);
  explicit FileZone(std::string name) : TimeZone(std::move(name)) {}

  [[nodiscard]] std::int32_t offset_at(std::int64_t s) const override {
    if (const auto* const local = local_at(s)) return local->offset;
    return rule_.is_daylight(s) ? rule_.daylight_offset : rule_.standard_offset;
  }
  [[nodiscard]] std::string abbreviation_at(std::int64_t s) const override {
    if (const auto* const local = local_at(s)) return local->name;
    return rule_.is_daylight(s) ? rule_.daylight : rule_.standard;
  }

 private:
  struct Local {
    std::int32_t offset = 0;
    std::string name;
  };
  [[nodiscard]] const Local* local_at(std::int64_t s) const {
    const auto after = std::upper_bound(times_.begin(), times_.end(), s);
    if (after == times_.end() && has_rule_) return nullptr;
    if (after == times_.begin()) return &locals_[first_];
    return &locals_[kinds_[static_cast<std::size_t>(after - times_.begin()) - 1]];
  }
  std::vector<std::int64_t> times_;
  std::vector<std::uint8_t> kinds_;
  std::vector<Local> locals_;
  std::size_t first_ = 0;
  bool has_rule_ = false;
  PosixRule rule_;
};

std::int64_t big_endian(std::string_view bytes) {
  std::uint64_t value = static_cast<unsigned char>(bytes[0]) >= 0x80 ? ~std::uint64_t{0} : 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<std::int64_t>(value);
}

struct TzifCounts {
  std::size_t utc, standard, leap, times, types, chars;
  [[nodiscard]] std::size_t size(std::size_t time_bytes) const {
    return times * time_bytes + times + types * 6 + chars + leap * (time_bytes + 4) + standard + utc;
  }
};

std::optional<TzifCounts> tzif_header(std::string_view bytes) {
  if (bytes.size() < 44 || bytes.substr(0, 4) != "TZif") return std::nullopt;
  const auto count = [&](std::size_t i) { return static_cast<std::size_t>(big_endian(bytes.substr(20 + 4 * i, 4))); };
  const TzifCounts counts{count(0), count(1), count(2), count(3), count(4), count(5)};
  for (const auto n : {counts.utc, counts.standard, counts.leap, counts.times, counts.types, counts.chars}) {
    if (n > 100'000) return std::nullopt;
  }
  return counts;
}

std::shared_ptr<const TimeZone> FileZone::load(const std::string& name, const std::string& bytes) {
  std::string_view in = bytes;
  const auto old = tzif_header(in);
  if (!old || in[4] < '2' || in.size() < 44 + old->size(4)) return nullptr;
  in.remove_prefix(44 + old->size(4));
  const auto counts = tzif_header(in);
  if (!counts || counts->types == 0 || in.size() < 44 + counts->size(8)) return nullptr;
  in.remove_prefix(44);
  auto zone = std::make_shared<FileZone>(name);
  for (std::size_t i = 0; i < counts->times; ++i) zone->times_.push_back(big_endian(in.substr(8 * i, 8)));
  in.remove_prefix(8 * counts->times);
  for (std::size_t i = 0; i < counts->times; ++i) {
    const auto kind = static_cast<std::uint8_t>(in[i]);
    if (kind >= counts->types) return nullptr;
    zone->kinds_.push_back(kind);
  }
  in.remove_prefix(counts->times);
  const auto names = in.substr(6 * counts->types, counts->chars);
  for (std::size_t i = 0; i < counts->types; ++i) {
    const auto begin = std::min<std::size_t>(static_cast<unsigned char>(in[6 * i + 5]), names.size());
    const auto text = names.substr(begin);
    zone->locals_.push_back(
        {static_cast<std::int32_t>(big_endian(in.substr(6 * i, 4))), std::string(text.substr(0, text.find('\0')))});
  }
  in.remove_prefix(counts->size(8) - 9 * counts->times);
  if (in.size() > 2 && in.front() == '\n') {
    in.remove_prefix(1);
    if (auto rule = PosixRule::parse(in.substr(0, in.find('\n')))) {
      zone->rule_ = *rule;
      zone->has_rule_ = true;
    }
  }
  return zone;
}

std::shared_ptr<const TimeZone> load_zone(const std::string& name) {
  const bool plain = !name.empty() && name.front() != '/' && name.find("..") == std::string::npos &&
                     name.find('\0') == std::string::npos && name.size() < 100;
  if (plain) {
    std::ifstream file("/usr/share/zoneinfo/" + name, std::ios::binary);
    std::ostringstream bytes;
    if (file && (bytes << file.rdbuf())) {
      if (auto zone = FileZone::load(name, bytes.str())) return zone;
    }
  }
  if (auto rule = PosixRule::parse(name)) return std::make_shared<PosixZone>(name, *rule);
  return std::make_shared<PosixZone>(name.empty() ? "UTC" : name, PosixRule{});
}

bool digits(std::string_view& in, std::size_t most, unsigned& out) {
  std::size_t n = 0;
  out = 0;
  while (n < most && n < in.size() && in[n] >= '0' && in[n] <= '9')
    out = out * 10 + static_cast<unsigned>(in[n++] - '0');
  in.remove_prefix(n);
  return n > 0;
}

bool take(std::string_view& in, char c) {
  if (in.empty() || in.front() != c) return false;
  in.remove_prefix(1);
  return true;
}

/// "Z", "+08:00", "+0800", "+08" to the end of the text.
bool zone_suffix(std::string_view in, std::int32_t& offset) {
  if (in == "Z" || in == "z") {
    offset = 0;
    return true;
  }
  const bool negative = in.front() == '-';
  in.remove_prefix(1);
  unsigned h = 0, m = 0;
  const auto before = in.size();
  if (!digits(in, 2, h) || before - in.size() != 2) return false;
  take(in, ':');
  if (!in.empty() && (in.size() != 2 || !digits(in, 2, m) || !in.empty())) return false;
  if (h > 13 || m > 59) return false;
  offset = static_cast<std::int32_t>(h * 3600 + m * 60) * (negative ? -1 : 1);
  return true;
}

std::int64_t saturated(std::int64_t seconds, std::int64_t fraction, data::Precision precision) {
  std::int64_t out = 0;
  if (__builtin_mul_overflow(seconds, data::units_per_second(precision), &out) ||
      __builtin_add_overflow(out, fraction, &out)) {
    return seconds < 0 ? INT64_MIN : INT64_MAX;
  }
  return out;
}

}  // namespace

std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) noexcept {
  year -= month <= 2 ? 1 : 0;
  const auto era = floor_div(year, 400);
  const auto yoe = year - era * 400;
  const auto doy = (153 * (static_cast<std::int64_t>(month) + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

Civil civil_from_days(std::int64_t days) noexcept {
  days += 719468;
  const auto era = floor_div(days, 146097);
  const auto doe = days - era * 146097;
  const auto yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const auto doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const auto mp = (5 * doy + 2) / 153;
  const auto month = static_cast<unsigned>(mp < 10 ? mp + 3 : mp - 9);
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month, static_cast<unsigned>(doy - (153 * mp + 2) / 5 + 1)};
}

std::int64_t TimeZone::from_local(std::int64_t local) const {
  // Offsets a day before and after cover both sides of a change.
  const auto before = local - offset_at(local - kDay);
  const auto after = local - offset_at(local + kDay);
  const bool fits_before = before + offset_at(before) == local;
  const bool fits_after = after + offset_at(after) == local;
  if (fits_before && fits_after) return std::max(before, after);
  if (fits_before) return before;
  if (fits_after) return after;
  return -1;
}

std::shared_ptr<const TimeZone> TimeZone::find(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const TimeZone>, std::less<>> zones;
  const std::lock_guard lock(mutex);
  if (const auto found = zones.find(name); found != zones.end()) return found->second;
  if (zones.size() > 1000) zones.clear();
  auto zone = load_zone(std::string(name));
  zones.emplace(name, zone);
  return zone;
}

std::int64_t now_in(data::Precision precision) {
  const auto ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return ns / (1'000'000'000 / data::units_per_second(precision));
}

std::int64_t today_in(data::Precision precision, const TimeZone& zone) {
  const auto seconds = now_in(precision) / data::units_per_second(precision);
  const auto local = floor_div(seconds + zone.offset_at(seconds), kDay) * kDay;
  return zone.from_local(local) * data::units_per_second(precision);
}

std::optional<std::int64_t> parse_time_text(std::string_view in, data::Precision precision, const TimeZone& zone) {
  while (!in.empty() && (in.front() == ' ' || in.front() == '\t')) in.remove_prefix(1);
  unsigned year = 0, month = 0, day = 0, h = 0, m = 0, s = 0;
  if (!digits(in, 4, year) || !take(in, '-') || !digits(in, 2, month) || !take(in, '-') || !digits(in, 2, day)) {
    return std::nullopt;
  }
  static constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1) return std::nullopt;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (day > kDays[month - 1] + (month == 2 && leap ? 1 : 0)) return std::nullopt;
  std::int64_t fraction = 0;
  if (!in.empty()) {
    if (!take(in, 'T')) {
      if (in.front() != ' ') return std::nullopt;
      while (take(in, ' ')) {
      }
    }
    if (!digits(in, 2, h) || !take(in, ':') || !digits(in, 2, m) || !take(in, ':') || !digits(in, 2, s)) {
      return std::nullopt;
    }
    if (h > 23 || m > 59 || s > 61) return std::nullopt;
    if (take(in, '.')) {
      std::int64_t unit = data::units_per_second(precision);
      bool any = false;
      for (; !in.empty() && in.front() >= '0' && in.front() <= '9'; in.remove_prefix(1), any = true) {
        unit /= 10;
        fraction += unit * (in.front() - '0');
      }
      if (!any) return std::nullopt;
    }
  }
  const auto local = days_from_civil(year, month, day) * kDay + h * 3600 + m * 60 + s;
  if (in.empty()) return saturated(zone.from_local(local), fraction, precision);
  std::int32_t offset = 0;
  if (in.front() != 'Z' && in.front() != 'z' && in.front() != '+' && in.front() != '-') return std::nullopt;
  if (!zone_suffix(in, offset)) return std::nullopt;
  const auto seconds = local - offset;
  if (seconds == -1) return std::nullopt;  // the server takes it for its failure code
  return saturated(seconds, fraction, precision);
}

std::optional<std::int64_t> duration_of(std::int64_t count, char unit, data::Precision precision) {
  std::int64_t ns = 0;
  switch (unit) {
    case 'b': ns = 1; break;
    case 'u': ns = 1'000; break;
    case 'a': ns = 1'000'000; break;
    case 's': ns = 1'000'000'000; break;
    case 'm': ns = 60'000'000'000; break;
    case 'h': ns = 3'600'000'000'000; break;
    case 'd': ns = 86'400'000'000'000; break;
    case 'w': ns = 604'800'000'000'000; break;
    default: return std::nullopt;
  }
  const auto per_unit = 1'000'000'000 / data::units_per_second(precision);
  if (ns < per_unit) return count / (per_unit / ns);
  std::int64_t out = 0;
  if (__builtin_mul_overflow(count, ns / per_unit, &out)) return count < 0 ? INT64_MIN : INT64_MAX;
  return out;
}

std::optional<std::int64_t> parse_duration(std::string_view text, data::Precision precision) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || end + 1 != text.data() + text.size()) return std::nullopt;
  return duration_of(count, *end, precision);
}

std::string format_iso8601(std::int64_t time, data::Precision precision, std::int32_t offset, std::string_view suffix) {
  const auto units = data::units_per_second(precision);
  const auto seconds = floor_div(time, units);
  const auto fraction = time - seconds * units;
  const auto local = seconds + offset;
  const auto days = floor_div(local, kDay);
  const auto clock = local - days * kDay;
  const auto date = civil_from_days(days);
  const int width = units == 1'000 ? 3 : units == 1'000'000 ? 6 : 9;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:0{}}{}", date.year, date.month, date.day, clock / 3600,
                     clock / 60 % 60, clock % 60, fraction, width, suffix);
}

std::string format_iso8601(std::int64_t time, data::Precision precision, const TimeZone& zone) {
  const auto offset = zone.offset_at(floor_div(time, data::units_per_second(precision)));
  const auto minutes = std::abs(offset) / 60;
  return format_iso8601(time, precision, offset,
                        fmt::format("{}{:02}{:02}", offset < 0 ? '-' : '+', minutes / 60, minutes % 60));
}

}  // namespace penstock::sandbox
