#include "client/detail/retry_after.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace penstock::client::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Numbers that nobody means are cut here; whoever waits has a limit of its own.
constexpr std::int64_t kMost = 365 * 86'400;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range && !text.starts_with('-')) return kMost;
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return std::min(value, kMost * 100);
}

std::optional<unsigned> month(std::string_view name) {
  constexpr std::array<std::string_view, 12> kNames{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto* const found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<unsigned>(found - kNames.begin()) + 1;
}

// "08:49:37" as seconds of the day.
std::optional<seconds> clock(std::string_view text) {
  if (text.size() != 8 || text[2] != ':' || text[5] != ':') return std::nullopt;
  const auto h = number(text.substr(0, 2)), m = number(text.substr(3, 2)), s = number(text.substr(6, 2));
  if (!h || !m || !s || *h > 23 || *m > 59 || *s > 60) return std::nullopt;
  return seconds(*h * 3600 + *m * 60 + *s);
}

// The words of a date: "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994".
std::optional<std::chrono::sys_seconds> date(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = text.find_first_not_of(" ,-", at);
    if (begin == std::string_view::npos) break;
    at = std::min(text.find_first_of(" ,-", begin), text.size());
    words.push_back(text.substr(begin, at - begin));
  }
  const bool asctime = words.size() == 5;
  if (!asctime && (words.size() != 6 || words[5] != "GMT")) return std::nullopt;
  const auto day = number(words[asctime ? 2 : 1]);
  const auto name = month(words[asctime ? 1 : 2]);
  auto year = number(words[asctime ? 4 : 3]);
  const auto time = clock(words[asctime ? 3 : 4]);
  if (!day || !name || !year || !time) return std::nullopt;
  if (*year < 100) *year += *year < 70 ? 2000 : 1900;
  if (*year > 9999) return std::nullopt;
  const std::chrono::year_month_day found{std::chrono::year(static_cast<int>(*year)), std::chrono::month(*name),
                                          std::chrono::day(static_cast<unsigned>(std::min<std::int64_t>(*day, 99)))};
  if (!found.ok()) return std::nullopt;
  return std::chrono::sys_days(found) + *time;
}

}  // namespace

std::optional<milliseconds> parse_retry_after(std::string_view value, std::chrono::system_clock::time_point now) {
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
  if (const auto time = number(value)) return seconds(std::min(*time, kMost));
  const auto when = date(value);
  if (!when) return std::nullopt;
  // In whole seconds first: a date far away is more nanoseconds than there are numbers.
  const auto present = std::chrono::floor<milliseconds>(now);
  const auto whole = std::chrono::floor<seconds>(present);
  const auto wait = std::clamp<seconds>(*when - whole, seconds(0), seconds(kMost));
  return std::max<milliseconds>(milliseconds(0), wait - (present - whole));
}

}  // namespace penstock::client::detail
