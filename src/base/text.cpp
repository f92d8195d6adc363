#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace penstock {

std::string format_count(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string format_bytes(double bytes) {
  static constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {  // what would round to 1000
    bytes /= 1000;
    ++unit;
  }
  if (unit == 0 || bytes >= 999.5) return fmt::format("{:.0f} {}", bytes, kUnits[unit]);
  return fmt::format("{:.3g} {}", bytes, kUnits[unit]);
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} m {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} m", whole / 3600, whole / 60 % 60);
}

namespace {

// Splits "12.5xyz" into the number and its unit; false when there is no number.
bool split_number(std::string_view text, double& number, std::string_view& unit) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number >= 0) || !std::isfinite(number)) return false;
  unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  return true;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t base) {
  double number = 0;
  std::string_view unit;
  if (!split_number(text, number, unit)) return std::nullopt;
  double factor = 1;
  if (!unit.empty()) {
    static constexpr std::string_view kPowers = "kmgt";
    const auto power = kPowers.find(lower(unit.front()));
    if (power != std::string_view::npos) {
      unit.remove_prefix(1);
      if (!unit.empty() && lower(unit.front()) == 'i') {
        base = 1024;
        unit.remove_prefix(1);
      }
      factor = std::pow(static_cast<double>(base), static_cast<double>(power + 1));
    }
    if (!unit.empty() && lower(unit.front()) == 'b') unit.remove_prefix(1);
    if (!unit.empty()) return std::nullopt;
  }
  const double value = number * factor;
  if (value > 9e18) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(value));
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  double number = 0;
  std::string_view unit;
  if (!split_number(text, number, unit)) return std::nullopt;
  double factor = 0;
  if (unit == "ms") factor = 1;
  else if (unit.empty() || unit == "s") factor = 1000;
  else if (unit == "m" || unit == "min") factor = 60e3;
  else if (unit == "h") factor = 3600e3;
  else if (unit == "d") factor = 86400e3;
  else return std::nullopt;
  const double value = number * factor;
  if (value > 9e15) return std::nullopt;
  return std::chrono::milliseconds(std::llround(value));
}

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  const bool cut = text.size() > max_bytes;
  if (cut) {
    std::size_t end = max_bytes;
    // A character has at most three bytes behind its first; more are no text and are shown as what they are.
    std::size_t back = 0;
    while (back < 4 && back < end && (static_cast<unsigned char>(text[end - back]) & 0xC0) == 0x80) ++back;
    if (back < 4) end -= back;
    text = text.substr(0, end);
  }
  const bool utf8 = is_utf8(text);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (byte < 0x20 || byte == 0x7F || (byte >= 0x80 && !utf8)) out += fmt::format("\\x{:02x}", byte);
    else out += c;
  }
  if (cut) out += "…";
  return out;
}

namespace {

// Length of "scheme://" at the start; 0 without one. ("user:a://b@host" has none.)
std::size_t scheme_length(std::string_view dsn) {
  const auto end = dsn.find("://");
  if (end == std::string_view::npos) return 0;
  const bool plain = std::all_of(dsn.begin(), dsn.begin() + static_cast<std::ptrdiff_t>(end), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
  return plain ? end + 3 : 0;
}

}  // namespace

std::string redact(std::string_view dsn) {
  std::string out(dsn);
  // user:password@ between the scheme and the path. A password may hold an unescaped '/', '?' or '@' by mistake: the
  // last '@' decides.
  const auto start = scheme_length(dsn);
  const auto at = out.rfind('@');
  if (at != std::string::npos && at >= start) {
    const auto colon = out.find(':', start);
    if (colon != std::string::npos && colon < at) out.replace(colon + 1, at - colon - 1, "***");
  }
  std::string small = out;
  std::transform(small.begin(), small.end(), small.begin(), lower);
  for (const std::string_view name : {"token=", "totp_code=", "password="}) {
    for (std::size_t from = 0;;) {
      const auto found = small.find(name, from);
      if (found == std::string::npos) break;
      const auto value = found + name.size();
      auto end = out.find_first_of("&# ", value);
      if (end == std::string::npos) end = out.size();
      out.replace(value, end - value, "***");
      small.replace(value, end - value, "***");
      from = value + 3;
    }
  }
  return out;
}

bool is_utf8(std::string_view text) noexcept {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  while (p < end) {
    if (*p < 0x80) {
      ++p;
      continue;
    }
    const std::ptrdiff_t left = end - p;
    if (*p >= 0xC2 && *p <= 0xDF) {
      if (left < 2 || (p[1] & 0xC0) != 0x80) return false;
      p += 2;
    } else if ((*p & 0xF0) == 0xE0) {
      if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return false;
      if (*p == 0xE0 && p[1] < 0xA0) return false;
      if (*p == 0xED && p[1] > 0x9F) return false;
      p += 3;
    } else if (*p >= 0xF0 && *p <= 0xF4) {
      if (left < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) return false;
      if (*p == 0xF0 && p[1] < 0x90) return false;
      if (*p == 0xF4 && p[1] > 0x8F) return false;
      p += 4;
    } else {
      return false;
    }
  }
  return true;
}

std::size_t utf8_length(std::string_view text) noexcept {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

}  // namespace penstock
