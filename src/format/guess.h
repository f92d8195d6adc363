#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::format {

enum class Format : std::uint8_t { line, telnet, json, csv, ndjson, influx_csv };

/// "line", "telnet", "json", "csv", "ndjson", "influx-csv".
std::string_view format_name(Format format) noexcept;
std::optional<Format> format_from_name(std::string_view name) noexcept;

struct Guess {
  std::optional<Format> format;
  std::string why;  ///< "the name ends in .csv", "the first record reads as line protocol"
};

/// Guesses the format of a source from its name (compression suffixes are ignored) and its first bytes, decompressed.
/// The bytes decide; the name settles what they leave open. Empty text of an unknown name gives no format.
Guess guess_format(std::string_view name, std::string_view head);

}  // namespace penstock::format
