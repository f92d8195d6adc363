#include "cli/instant.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_time.h"

namespace penstock::cli {
namespace {

using pipeline::Instant;

constexpr std::int64_t kNs = 1'000'000'000;

Instant from_parts(std::int64_t seconds, std::int64_t nanoseconds) {
  // Nanoseconds count forward from the second, also before 1970.
  const auto carry = nanoseconds < 0 ? -1 : nanoseconds / kNs;
  return {seconds + carry, static_cast<std::uint32_t>(nanoseconds - carry * kNs)};
}

std::optional<Instant> from_epoch(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const std::int64_t per_second = unit == "s" ? 1 : unit == "ms" ? 1'000 : unit == "us" ? 1'000'000 : kNs;
  if (per_second == kNs && unit != "ns") return std::nullopt;
  return from_parts(value / per_second, value % per_second * (kNs / per_second));
}

}  // namespace

Instant instant_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  return from_parts(ns / kNs, ns % kNs);
}

Instant instant_flag(const std::string& flag, const std::string& text, const std::string& timezone, Instant now) {
  if (text == "now") return now;
  if (text.starts_with('-')) {
    if (const auto before = parse_duration(std::string_view(text).substr(1))) {
      const auto ms = before->count();
      return from_parts(now.seconds - ms / 1000, static_cast<std::int64_t>(now.nanoseconds) - ms % 1000 * 1'000'000);
    }
  }
  if (const auto instant = from_epoch(text)) return *instant;
  format::CivilTime civil;
  if (!format::parse_iso_time(text, civil))
    throw Error(Errc::config,
                fmt::format("{} {}: give a time such as 2024-05-01T06:00:00+02:00, an epoch with its unit "
                            "such as 1714536000s or 1714536000000ms, or -7d for seven days ago",
                            flag, printable(text)));
  if (civil.has_offset) return {civil.seconds - civil.offset, civil.nanoseconds};
  if (timezone.empty()) return {civil.seconds, civil.nanoseconds};
  const auto zone = TimeZone::load(timezone);
  return {civil.seconds - zone->resolve(civil.seconds).first, civil.nanoseconds};
}

}  // namespace penstock::cli
