#include "format/guess.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "format/influx_csv_tables.h"
#include "format/influx_dump.h"
#include "format/json_reader.h"
#include "simd/json.h"

namespace penstock::format {
namespace {

constexpr std::array<std::pair<Format, std::string_view>, 6> kNames{{{Format::line, "line"},
                                                                     {Format::telnet, "telnet"},
                                                                     {Format::json, "json"},
                                                                     {Format::csv, "csv"},
                                                                     {Format::ndjson, "ndjson"},
                                                                     {Format::influx_csv, "influx-csv"}}};

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

// Text that begins with a brace or a bracket: what its first good object is tells.
std::optional<Guess> guess_json(std::string_view text) {
  const auto start = text.find_first_not_of("[ \t\r\n");
  if (start == std::string_view::npos) return std::nullopt;
  if (text[start] != '{') {
    // "[]" is an empty array; "[1] f=1" may be line protocol.
    if (text[start] == ']') return Guess{Format::json, "the text is an empty JSON array"};
    return std::nullopt;
  }
  JsonReader reader;
  for (int records = 0; records < 20; ++records) {
    const auto record = simd::next_json_record(text, false);
    if (record.kind == simd::JsonRecord::Kind::none || record.kind == simd::JsonRecord::Kind::need_more) break;
    const auto object = text.substr(record.begin, record.end - record.begin);
    text.remove_prefix(record.end);
    if (reader.read(object) == JsonReader::kFailed || reader.nodes().front().kind != JsonNode::Kind::object) continue;
    const auto& nodes = reader.nodes();
    int members = 0;
    for (std::uint32_t at = 1; at < nodes.front().next; at = nodes[at].next)
      for (const std::string_view name : {"metric", "timestamp", "value", "tags"})
        members += same_letters(nodes[at].key, name);
    if (members >= 3)
      return Guess{Format::json, "the first object is a point of OpenTSDB: metric, timestamp, value, tags"};
    return Guess{Format::ndjson, "the text consists of JSON objects"};
  }
  // Half an object, or one that is broken.
  if (text.find("\"metric\"") != std::string_view::npos) return Guess{Format::json, "the text begins as OpenTSDB JSON"};
  return Guess{Format::ndjson, "the text begins as a JSON object"};
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
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  if (is_influx_csv(head)) return {Format::influx_csv, "the text begins with annotations of InfluxDB"};
  std::string_view rest = head;
  for (int lines = 0; lines < 50 && !rest.empty(); ++lines) {
    const auto line = trimmed(next_line(rest));
    if (line.empty() || line.front() == '#' || is_dump_statement(line)) continue;
    if (line.front() == '{' || line.front() == '[') {
      const auto begin = static_cast<std::size_t>(line.data() - head.data());
      if (auto json = guess_json(head.substr(begin))) return *std::move(json);
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
  for (const std::string_view known : {"ndjson", "jsonl"})
    if (extension == known) return {Format::ndjson, "the name ends in ." + std::string(extension)};
  rest = head;
  const auto first = next_line(rest);
  for (const char delimiter : {',', ';', '\t', '|'})
    if (first.find(delimiter) != std::string_view::npos)
      return {Format::csv, std::string("the first record has '") +
                               (delimiter == '\t' ? "\\t" : std::string(1, delimiter)) + "' between its fields"};
  return {std::nullopt, ""};
}

}  // namespace penstock::format
