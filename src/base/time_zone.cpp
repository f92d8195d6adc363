#include "base/time_zone.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace penstock {
namespace {

constexpr std::int64_t kSecondsPerDay = 86'400;
/// The rule behind the listed changes is written out up to here; later times keep the last offset.
constexpr std::int64_t kLastRuleYear = 2500;

[[noreturn]] void damaged(std::string_view name) {
  throw Error(Errc::config, fmt::format("time zone '{}': its file is damaged; reinstall the package tzdata", name));
}

std::int64_t big_endian(std::string_view bytes) {
  std::uint64_t value = (static_cast<unsigned char>(bytes[0]) & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return static_cast<std::int64_t>(value);
}

struct TzifHeader {
  std::size_t isut, isstd, leaps, times, types, chars;
  [[nodiscard]] std::size_t body(std::size_t time_bytes) const {
    return times * time_bytes + times + types * 6 + chars + leaps * (time_bytes + 4) + isstd + isut;
  }
};

TzifHeader read_header(std::string_view bytes, std::string_view name) {
  if (bytes.size() < 44 || bytes.substr(0, 4) != "TZif") damaged(name);
  const auto count = [&](std::size_t i) { return static_cast<std::size_t>(big_endian(bytes.substr(20 + 4 * i, 4))); };
  const TzifHeader header{count(0), count(1), count(2), count(3), count(4), count(5)};
  for (const auto c : {header.isut, header.isstd, header.leaps, header.times, header.types, header.chars}) {
    if (c > 1'000'000) damaged(name);
  }
  return header;
}

/// Parser of the POSIX TZ text at the end of a TZif file: "CET-1CEST,M3.5.0,M10.5.0/3".
struct RuleText {
  std::string_view rest;
  bool ok = true;

  bool eat(char c) {
    if (rest.empty() || rest.front() != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  void zone_name() {
    if (eat('<')) {
      const auto end = rest.find('>');
      if (end == std::string_view::npos) ok = false;
      else rest.remove_prefix(end + 1);
      return;
    }
    while (!rest.empty() && std::isalpha(static_cast<unsigned char>(rest.front())) != 0) rest.remove_prefix(1);
  }
  std::int32_t number() {
    std::int32_t value = 0;
    bool any = false;
    while (!rest.empty() && rest.front() >= '0' && rest.front() <= '9' && value < 100'000) {
      value = value * 10 + (rest.front() - '0');
      rest.remove_prefix(1);
      any = true;
    }
    if (!any) ok = false;
    return value;
  }
  std::int32_t clock() {
    const bool negative = eat('-');
    if (!negative) eat('+');
    const std::int32_t hours = number();
    const std::int32_t minutes = eat(':') ? number() : 0;
    const std::int32_t seconds = eat(':') ? number() : 0;
    ok = ok && hours <= 167 && minutes <= 59 && seconds <= 59;
    if (!ok) return 0;
    const std::int32_t all = hours * 3600 + minutes * 60 + seconds;
    return negative ? -all : all;
  }
};

/// When in a year the clock changes.
struct RuleDate {
  char kind = 'M';  // 'M' month.week.weekday, 'J' day without 29 February, 'D' day of the year from 0
  std::int32_t a = 0, b = 0, c = 0;
  std::int32_t time = 7200;

  static RuleDate parse(RuleText& in) {
    RuleDate date;
    if (in.eat('M')) {
      date.a = in.number();
      in.ok = in.ok && in.eat('.');
      date.b = in.number();
      in.ok = in.ok && in.eat('.');
      date.c = in.number();
      in.ok = in.ok && date.a >= 1 && date.a <= 12 && date.b >= 1 && date.b <= 5 && date.c <= 6;
    } else {
      date.kind = in.eat('J') ? 'J' : 'D';
      date.a = in.number();
      in.ok = in.ok && date.a <= 365;
    }
    if (in.eat('/')) date.time = in.clock();
    return date;
  }
  /// Local seconds of the change, by the clock before it.
  [[nodiscard]] std::int64_t in_year(std::int64_t year) const {
    std::int64_t day = 0;
    if (kind == 'M') {
      const auto month = static_cast<unsigned>(a);
      const auto first = days_from_civil(year, month, 1);
      const auto weekday = ((first + 4) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
      std::int64_t nth = (c - weekday + 7) % 7 + (b - 1) * 7;
      while (nth >= days_in_month(year, month)) nth -= 7;
      day = first + nth;
    } else if (kind == 'J') {
      day = days_from_civil(year, 1, 1) + a - 1 + (is_leap_year(year) && a >= 60 ? 1 : 0);
    } else {
      day = days_from_civil(year, 1, 1) + a;
    }
    return day * kSecondsPerDay + time;
  }
};

std::optional<std::int32_t> fixed_offset(std::string_view text) {
  if (text.size() < 3 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  std::string digits;
  for (const char c : text.substr(1)) {
    if (c == ':' && digits.size() == 2) continue;
    if (c < '0' || c > '9') return std::nullopt;
    digits += c;
  }
  if (digits.size() != 2 && digits.size() != 4) return std::nullopt;
  if (digits.size() == 2) digits += "00";
  const int hours = (digits[0] - '0') * 10 + digits[1] - '0';
  const int minutes = (digits[2] - '0') * 10 + digits[3] - '0';
  if (hours > 18 || minutes > 59) return std::nullopt;
  const int seconds = hours * 3600 + minutes * 60;
  return text[0] == '-' ? -seconds : seconds;
}

std::optional<std::string> read_file(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;  // reading a folder throws
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad() || bytes.empty()) return std::nullopt;
  return bytes;
}

}  // namespace

std::shared_ptr<const TimeZone> TimeZone::fixed(std::int32_t offset_seconds, std::string_view name) {
  auto zone = std::make_shared<TimeZone>();
  zone->name_ = name;
  zone->initial_ = offset_seconds;
  zone->make_segments();
  return zone;
}

// As the C library finds it: the variable TZ, else /etc/localtime, else UTC.
std::shared_ptr<const TimeZone> TimeZone::local() {
  if (const char* const set = std::getenv("TZ"); set != nullptr) {
    std::string_view text = set;
    if (text.starts_with(':')) text.remove_prefix(1);
    if (text.empty() || text == "local") return fixed(0, "UTC");
    if (text.starts_with('/')) {
      const auto bytes = read_file(std::string(text));
      return bytes ? from_tzif(*bytes, text) : fixed(0, "UTC");
    }
    try {
      return load(text);
    } catch (const Error&) {  // "CET-1CEST,M3.5.0,M10.5.0/3", or nothing that the C library knows either
      auto zone = std::make_shared<TimeZone>();
      zone->name_ = text;
      RuleText in{text};
      in.zone_name();
      zone->initial_ = -in.clock();
      if (!in.ok) return fixed(0, "UTC");
      zone->add_rule(text);
      zone->make_segments();
      return zone;
    }
  }
  constexpr std::string_view kFolder = "zoneinfo/";
  std::error_code ignored;
  auto name = std::filesystem::read_symlink("/etc/localtime", ignored).string();
  const auto at = name.rfind(kFolder);
  name = at == std::string::npos ? "local" : name.substr(at + kFolder.size());
  const auto bytes = read_file("/etc/localtime");
  return bytes ? from_tzif(*bytes, name) : fixed(0, "UTC");
}

std::shared_ptr<const TimeZone> TimeZone::load(std::string_view name) {
  if (name.empty() || name == "UTC" || name == "utc" || name == "Z" || name == "GMT") return fixed(0, "UTC");
  if (const auto offset = fixed_offset(name)) return fixed(*offset, name);
  if (name == "local") return local();
  const bool safe =
      name.front() != '/' && name.find("..") == std::string_view::npos &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '_' || c == '-' || c == '+';
      });
  const char* const set = std::getenv("TZDIR");
  const std::string folder = set != nullptr && *set != '\0' ? set : "/usr/share/zoneinfo";
  if (safe) {
    if (const auto bytes = read_file(folder + '/' + std::string(name)); bytes && bytes->substr(0, 4) == "TZif")
      return from_tzif(*bytes, name);
  }
  const bool database = static_cast<bool>(std::ifstream(folder + "/Europe/Berlin"));
  throw Error(Errc::config,
              database ? fmt::format("there is no time zone '{}'; name one like Europe/Berlin, America/New_York, UTC, "
                                     "+02:00 or local (the list is under {})",
                                     printable(name), folder)
                       : fmt::format("time zone '{}': no time zone database under {}; install the package tzdata",
                                     printable(name), folder));
}

std::shared_ptr<const TimeZone> TimeZone::from_tzif(std::string_view bytes, std::string_view name) {
  auto header = read_header(bytes, name);
  std::size_t time_bytes = 4;
  if (bytes[4] >= '2') {  // the second block has 64-bit times
    const auto skip = 44 + header.body(4);
    if (bytes.size() < skip) damaged(name);
    bytes.remove_prefix(skip);
    header = read_header(bytes, name);
    time_bytes = 8;
  }
  bytes.remove_prefix(44);
  if (bytes.size() < header.body(time_bytes) || header.types == 0) damaged(name);
  const auto times = bytes.substr(0, header.times * time_bytes);
  const auto kinds = bytes.substr(times.size(), header.times);
  const auto types = bytes.substr(times.size() + kinds.size(), header.types * 6);
  const auto offset_of = [&](std::size_t type) {
    if (type >= header.types) damaged(name);
    const auto offset = big_endian(types.substr(type * 6, 4));
    if (offset < -90'000 || offset > 90'000) damaged(name);
    return static_cast<std::int32_t>(offset);
  };
  auto zone = std::make_shared<TimeZone>();
  zone->name_ = name;
  zone->initial_ = offset_of(0);
  for (std::size_t i = 0; i < header.times; ++i) {
    const Change change{big_endian(times.substr(i * time_bytes, time_bytes)),
                        offset_of(static_cast<unsigned char>(kinds[i]))};
    if (!zone->changes_.empty() && change.at <= zone->changes_.back().at) damaged(name);
    zone->changes_.push_back(change);
  }
  if (time_bytes == 8) {
    auto rule = bytes.substr(header.body(8));
    if (rule.size() >= 2 && rule.front() == '\n') {
      rule.remove_prefix(1);
      zone->add_rule(rule.substr(0, rule.find('\n')));
    }
  }
  zone->make_segments();
  return zone;
}

void TimeZone::add_rule(std::string_view rule) {
  RuleText in{rule};
  in.zone_name();
  const auto standard = -in.clock();
  if (!in.ok || in.rest.empty()) return;  // one offset for ever: the last change already leads to it
  in.zone_name();
  auto summer = standard + 3600;
  if (!in.rest.empty() && in.rest.front() != ',') summer = -in.clock();
  if (!in.eat(',')) return;
  const auto start = RuleDate::parse(in);
  if (!in.eat(',')) return;
  const auto end = RuleDate::parse(in);
  if (!in.ok) return;
  const auto last = changes_.empty() ? std::int64_t{0} : changes_.back().at;
  for (std::int64_t year = 1970 + last / (366 * kSecondsPerDay); year <= kLastRuleYear; ++year) {
    Change to_summer{start.in_year(year) - standard, summer};
    Change to_standard{end.in_year(year) - summer, standard};
    if (to_summer.at > to_standard.at) std::swap(to_summer, to_standard);
    for (const auto& change : {to_summer, to_standard}) {
      if (changes_.empty() || change.at > changes_.back().at) changes_.push_back(change);
    }
  }
}

void TimeZone::make_segments() {
  std::int32_t before = initial_;
  segments_.push_back({std::numeric_limits<std::int64_t>::min(), Kind::unique, before, before});
  for (const auto& change : changes_) {
    const auto after = change.offset;
    if (after != before) {
      const auto from = std::max(change.at + std::min(before, after), segments_.back().from);
      const auto until = std::max(change.at + std::max(before, after), from);
      segments_.push_back({from, after > before ? Kind::gap : Kind::fold, before, after});
      segments_.push_back({until, Kind::unique, after, after});
    }
    before = after;
  }
}

TimeZone::Local TimeZone::resolve(std::int64_t local_seconds) const noexcept {
  const auto next = std::upper_bound(segments_.begin(), segments_.end(), local_seconds,
                                     [](std::int64_t at, const Segment& segment) { return at < segment.from; });
  const auto& found = *std::prev(next);  // the first segment begins before everything
  return {found.kind, found.first, found.second, found.from,
          next == segments_.end() ? std::numeric_limits<std::int64_t>::max() : next->from};
}

std::int32_t TimeZone::offset_at(std::int64_t utc_seconds) const noexcept {
  const auto next = std::upper_bound(changes_.begin(), changes_.end(), utc_seconds,
                                     [](std::int64_t at, const Change& change) { return at < change.at; });
  return next == changes_.begin() ? initial_ : std::prev(next)->offset;
}

}  // namespace penstock
