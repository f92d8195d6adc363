#include "format/guess.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "format/influx_dump.h"

namespace penstock::format {
namespace {

constexpr std::array<std::pair<Format, std::string_view>, 5> kNames{{{Format::line, "line"},
                                                                     {Format::telnet, "telnet"},
                                                                     {Format::json, "json"},
                                                                     {Format::csv, "csv"},
                                                                     {Format::ndjson, "ndjson"}}};

std::string_view next_line(std::string_view& text) {
  const auto end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view next_word(std::string_view& text) {
  text = trimmed(text);
  const auto end = text.find(' ');
  const auto word = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end);
  return word;
}

bool is_integer(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// [put] metric timestamp value tag=value …
bool reads_as_telnet(std::string_view line) {
  std::string_view word = next_word(line);
  if (word == "put") word = next_word(line);
  if (word.empty() || word.find('=') != std::string_view::npos) return false;
  if (!is_integer(next_word(line)) || next_word(line).empty()) return false;
  return next_word(line).find('=') != std::string_view::npos;
}

// measurement[,tags] field=value[,…] [timestamp]: the part behind the first unescaped blank has a '='.
bool reads_as_line(std::string_view line) {
  std::size_t blank = std::string_view::npos;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == ' ') {
      blank = i;
      break;
    }
  }
  if (blank == std::string_view::npos || blank == 0) return false;
  const auto fields = trimmed(line.substr(blank));
  const auto equals = fields.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  const auto key = fields.substr(0, equals);
  // In CSV or prose a '=' may stand anywhere; a field key has neither a blank nor a quote.
  return std::all_of(key.begin(), key.end(), [](char c) { return c != ' ' && c != '"' && c != ','; });
}

std::string_view without_compression(std::string_view name) {
  for (const std::string_view suffix : {".gz", ".zst", ".zstd", ".lz4"})
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  return name;
}

}  // namespace

std::string_view format_name(Format format) noexcept { return kNames[static_cast<std::size_t>(format)].second; }

std::optional<Format> format_from_name(std::string_view name) noexcept {
  for (const auto& [format, text] : kNames)
    if (text == name) return format;
  return std::nullopt;
}

Guess guess_format(std::string_view name, std::string_view head) {
  std::string_view rest = head;
  for (int lines = 0; lines < 50 && !rest.empty(); ++lines) {
    const auto line = trimmed(next_line(rest));
    if (line.empty() || line.front() == '#' || is_dump_statement(line)) continue;
    if (line.front() == '{' || line.front() == '[') {
      const bool points = head.find("\"metric\"") != std::string_view::npos;
      if (points || line.front() == '[') return {Format::json, "the text begins as JSON"};
      return {Format::ndjson, "each line is a JSON object without \"metric\""};
    }
    if (reads_as_telnet(line)) return {Format::telnet, "the first record reads as OpenTSDB telnet"};
    if (reads_as_line(line)) return {Format::line, "the first record reads as line protocol"};
    break;
  }
  name = without_compression(name);
  const auto dot = name.rfind('.');
  const auto extension = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  for (const std::string_view known : {"line", "lp", "influx", "ilp"})
    if (extension == known) return {Format::line, "the name ends in ." + std::string(extension)};
  for (const std::string_view known : {"csv", "tsv", "psv"})
    if (extension == known) return {Format::csv, "the name ends in ." + std::string(extension)};
  if (extension == "telnet") return {Format::telnet, "the name ends in .telnet"};
  if (extension == "json") return {Format::json, "the name ends in .json"};
  rest = head;
  const auto first = next_line(rest);
  for (const char delimiter : {',', ';', '\t', '|'})
    if (first.find(delimiter) != std::string_view::npos)
      return {Format::csv, std::string("the first record has '") +
                               (delimiter == '\t' ? "\\t" : std::string(1, delimiter)) + "' between its fields"};
  return {std::nullopt, ""};
}

}  // namespace penstock::format
