#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

/// "1,234,567".
std::string format_count(std::uint64_t value);
/// "1.23 GB", "345 B"; powers of 1000.
std::string format_bytes(double bytes);
/// "12.3 s", "2 m 05 s", "1 h 02 m".
std::string format_duration(std::chrono::nanoseconds duration);

/// Reads "512M", "4MiB", "1.5G", "100k", "1048576". Suffixes k m g t (powers of 1024 for memory sizes: `base` 1024;
/// powers of 1000 for rates: `base` 1000), an optional "i" and "B". nullopt when it is no size.
std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t base = 1024);

/// Reads "5s", "200ms", "5m", "1h", "2d"; a bare number is seconds. nullopt when it is no duration.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// A text fit for a message: control bytes as \xNN, cut to `max_bytes` with "…" at a character boundary.
std::string printable(std::string_view text, std::size_t max_bytes = 80);

/// A DSN or URL with password, tokens and one-time codes replaced by "***".
std::string redact(std::string_view dsn);

/// True when `text` is well-formed UTF-8 (no surrogates, nothing above U+10FFFF).
bool is_utf8(std::string_view text) noexcept;
/// Number of characters of a well-formed UTF-8 text.
std::size_t utf8_length(std::string_view text) noexcept;

}  // namespace penstock
