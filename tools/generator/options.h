#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::generator {

enum class Format { line, telnet, json, csv };
enum class TimeUnit : std::int64_t { ns = 1, us = 1'000, ms = 1'000'000, s = 1'000'000'000 };  ///< in nanoseconds
enum class TimeText { epoch, rfc3339 };

/// What to write. Shares are of all records, in [0, 0.9].
struct Options {
  std::string shape = "cpu-only";
  Format format = Format::line;
  std::string measurement;    ///< of the case, only this one; empty: all (CSV: the first, a file has one header)
  std::uint32_t hosts = 100;  ///< [1, 100 million]
  std::uint64_t rows = 0;     ///< records in all, good and bad; 0: as many as `duration` has
  std::chrono::nanoseconds duration{0};  ///< 0: as long as `rows` needs
  std::chrono::nanoseconds interval{std::chrono::seconds(10)};
  std::optional<std::int64_t> start_ns;  ///< nanoseconds since 1970; nothing: so that the last row is of now
  std::uint64_t seed = 1;
  std::optional<TimeUnit> precision;     ///< nothing: ns for line and CSV, s or ms for telnet and JSON
  TimeText time_text = TimeText::epoch;  ///< CSV only
  double disorder = 0;                   ///< share of rows that come after a later row of their host, [0, 0.5]
  double duplicates = 0;                 ///< share of records whose key came before; half of them with other values
  double bad = 0;                        ///< share of malformed records
  bool one_field_per_line = false;       ///< line only: series by series, field by field, as an export of a database
};

/// Fills in what depends on other options (rows, start, precision, measurement) and checks all.
/// @throws Error(config) that names the flag
void complete(Options& options, std::chrono::system_clock::time_point now);

/// Reads "2026-01-31", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+02:00", or an epoch: up to 11 digits are
/// seconds, up to 14 milliseconds, up to 17 microseconds, otherwise nanoseconds. nullopt when it is none of these.
std::optional<std::int64_t> parse_time(std::string_view text);

/// "2026-01-31T12:00:00Z", with as many digits behind the point as `unit` asks for.
std::string rfc3339(std::int64_t time_ns, TimeUnit unit);

}  // namespace penstock::generator
