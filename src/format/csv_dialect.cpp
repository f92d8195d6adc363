#include "format/csv_dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_infer.h"

namespace penstock::format {
namespace {

using Header = schema::CsvMapping::Header;

constexpr std::size_t kMostRecords = 1'000;
constexpr std::size_t kMostBytes = 1 << 20;

bool is_blank(char c, char delimiter) noexcept { return (c == ' ' || c == '\t') && c != delimiter; }

std::string shown(char c) {
  if (c == '\t') return "tab";
  return c == '\0' ? "none" : fmt::format("'{}'", printable(std::string_view(&c, 1)));
}

/// Records of a sample; the last one only when it is whole.
std::vector<std::vector<std::string_view>> records_of(std::string_view sample, std::size_t begin,
                                                      const Dialect& dialect, std::size_t most) {
  std::vector<std::vector<std::string_view>> records;
  std::vector<std::uint32_t> ends;
  std::vector<std::string_view> fields;
  while (begin < sample.size() && records.size() < most) {
    ends.clear();
    const auto cut = cut_record(sample, begin, dialect, ends);
    if (cut.open) break;
    const bool last = cut.end >= sample.size();
    if (!(last && !records.empty())) {
      fields.clear();
      for (const auto end : ends) {
        fields.push_back(sample.substr(begin, end - begin));
        begin = end + std::size_t{1};
      }
      if (fields.size() > 1 || !fields[0].empty()) records.push_back(fields);
    }
    begin = cut.end + 1;
  }
  return records;
}

struct Score {
  double consistency = 0;
  std::size_t columns = 1;
  std::size_t wrapped[2] = {0, 0};  // fields that stand in double and in single quotes
};

constexpr std::array<char, 2> kQuotes{'"', '\''};

Score score(std::string_view sample, std::size_t begin, Dialect dialect) {
  Score result;
  const auto records = records_of(sample, begin, dialect, kMostRecords);
  std::map<std::size_t, std::size_t> counts;
  for (const auto& record : records) {
    ++counts[record.size()];
    for (const auto field : record) {
      for (std::size_t q = 0; q < kQuotes.size(); ++q) {
        if (field.size() >= 2 && field.front() == kQuotes[q] && field.back() == kQuotes[q]) ++result.wrapped[q];
      }
    }
  }
  std::size_t most = 0;
  for (const auto& [columns, count] : counts) {
    if (count >= most) {
      most = count;
      result.columns = columns;
    }
  }
  if (!records.empty()) result.consistency = static_cast<double>(most) / static_cast<double>(records.size());
  return result;
}

bool name_like(std::string_view text) {
  return !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) != 0 || text[0] == '_' || text[0] == '#' ||
                           (static_cast<unsigned char>(text[0]) & 0x80) != 0);
}

bool is_data(ValueKind kind) {
  return kind == ValueKind::integer || kind == ValueKind::huge_integer || kind == ValueKind::real ||
         kind == ValueKind::time;
}

/// Whether the first record names the columns, and why.
bool has_header(std::string_view sample, std::size_t begin, const Dialect& dialect, std::string& why) {
  const auto records = records_of(sample, begin, dialect, 100);
  if (records.empty()) {
    why = "header: the sample is empty";
    return true;
  }
  std::set<std::string> names;
  std::string repeated;
  for (std::size_t c = 0; c < records[0].size(); ++c) {
    const auto field = unquote(records[0][c], dialect);
    if (is_data(classify(field.text))) {
      why = fmt::format("no header: field {} of the first record is '{}', a value", c + 1, printable(field.text, 30));
      return false;
    }
    if (!field.text.empty() && !names.insert(field.text).second) repeated = field.text;
  }
  for (std::size_t r = 1; r < records.size(); ++r) {
    for (std::size_t c = 0; c < std::min(records[r].size(), records[0].size()); ++c) {
      const auto value = unquote(records[r][c], dialect).text;
      if (is_data(classify(value))) {
        why = fmt::format("header: the first record is text, where record {} has '{}' in column '{}'", r + 1,
                          printable(value, 30), printable(unquote(records[0][c], dialect).text, 30));
        return true;
      }
    }
  }
  if (!repeated.empty()) {
    why = fmt::format("no header: '{}' stands twice in the first record", printable(repeated, 30));
    return false;
  }
  const bool all_names = std::all_of(names.begin(), names.end(), name_like);
  why = all_names ? "header: the first record holds different names" : "no header: the first record holds no names";
  return all_names;
}

}  // namespace

RecordCut cut_record(std::string_view text, std::size_t begin, const Dialect& dialect,
                     std::vector<std::uint32_t>& ends) {
  const std::size_t size = text.size();
  const std::size_t first = ends.size();
  std::size_t at = begin;
  while (true) {
    // A field begins.
    if (dialect.quote != '\0' && at < size && text[at] == dialect.quote) {
      const std::size_t opened = at++;
      while (true) {
        while (at < size && text[at] != dialect.quote && (dialect.escape == '\0' || text[at] != dialect.escape)) ++at;
        if (at >= size) {
          ends.resize(first);
          const auto line_end = text.find('\n', opened);
          return {line_end == std::string_view::npos ? size : line_end, true, opened};
        }
        const bool doubled = at + 1 < size && text[at + 1] == dialect.quote;
        if (text[at] == dialect.quote && !doubled) break;
        at += 2;  // a doubled quote, or an escape with what it takes
      }
      ++at;
    }
    while (at < size && text[at] != dialect.delimiter && text[at] != '\n') {
      at += dialect.escape != '\0' && text[at] == dialect.escape && at + 1 < size ? 2 : 1;
    }
    if (at >= size || text[at] == '\n') {
      at = std::min(at, size);
      ends.push_back(static_cast<std::uint32_t>(at > begin && text[at - 1] == '\r' ? at - 1 : at));
      return {at, false, 0};
    }
    ends.push_back(static_cast<std::uint32_t>(at));
    ++at;
  }
}

FieldText unquote(std::string_view raw, const Dialect& dialect) {
  FieldText out;
  auto inner = raw;
  while (!inner.empty() && is_blank(inner.front(), dialect.delimiter)) inner.remove_prefix(1);
  while (!inner.empty() && is_blank(inner.back(), dialect.delimiter)) inner.remove_suffix(1);
  if (dialect.quote != '\0' && !inner.empty() && inner.front() == dialect.quote) {
    inner.remove_prefix(1);
    out.text.reserve(inner.size());
    std::size_t i = 0;
    for (; i < inner.size(); ++i) {
      if (inner[i] == dialect.quote) {
        if (i + 1 >= inner.size() || inner[i + 1] != dialect.quote) break;
        ++i;
      } else if (dialect.escape != '\0' && inner[i] == dialect.escape && i + 1 < inner.size()) {
        ++i;
      }
      out.text += inner[i];
    }
    out.quoted = i + 1 == inner.size();
    if (out.quoted) return out;
    out.broken = true;
    out.text = raw;
    return out;
  }
  if (dialect.escape == '\0') {
    out.text = raw;
    return out;
  }
  for (std::size_t i = 0; i < raw.size(); ++i) {
    // An escape before N is the spelling \N of NULL, not an escaped letter.
    if (raw[i] == dialect.escape && i + 1 < raw.size() && raw[i + 1] != 'N') ++i;
    out.text += raw[i];
  }
  return out;
}

std::size_t skip_lines(std::string_view sample, std::uint64_t lines) {
  std::size_t at = 0;
  for (; lines > 0 && at < sample.size(); --lines) {
    const auto end = sample.find('\n', at);
    at = end == std::string_view::npos ? sample.size() : end + 1;
  }
  return at;
}

namespace {

std::string_view line_at(std::string_view text, std::size_t begin) {
  auto line = text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// "sep=;", as Excel writes and reads it in the first line.
std::optional<char> separator_line(std::string_view line) {
  if (line.size() != 5 && !(line.size() == 7 && line[4] == '"' && line[6] == '"')) return std::nullopt;
  std::string start(line.substr(0, 4));
  for (auto& c : start) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (start != "sep=") return std::nullopt;
  return line.size() == 5 ? line[4] : line[5];
}

/// How many lines at `begin` are comments.
std::uint64_t comment_lines(std::string_view sample, std::size_t begin) {
  std::uint64_t lines = 0;
  for (auto at = begin; at < sample.size() && sample[at] == '#'; at += skip_lines(sample.substr(at), 1)) ++lines;
  return lines;
}

std::size_t fields_of_line(std::string_view sample, std::size_t begin, const Dialect& dialect) {
  std::vector<std::uint32_t> ends;
  cut_record(sample, begin, dialect, ends);
  return ends.size();
}

/// Lines before the header: comments, and free text without a delimiter where the records below have many fields.
std::uint64_t preamble_lines(std::string_view sample, std::size_t begin, std::uint64_t comments,
                             const Dialect& dialect) {
  if (comments > 0) {
    // "#time,value" in the last of them names the columns, but not in annotated CSV.
    const auto text = sample.substr(begin, skip_lines(sample.substr(begin), comments));
    const bool annotated =
        text.find("#datatype") != std::string_view::npos || text.find("#group") != std::string_view::npos;
    const auto last = begin + skip_lines(sample.substr(begin), comments - 1);
    const auto next = begin + text.size();
    const bool named =
        !annotated && dialect.columns > 1 && fields_of_line(sample, last, dialect) == dialect.columns &&
        next < sample.size() &&
        is_data(classify(
            unquote(line_at(sample, next).substr(0, line_at(sample, next).find(dialect.delimiter)), dialect).text));
    return named ? comments - 1 : comments;
  }
  constexpr std::uint64_t kMost = 50;
  if (dialect.columns < 2) return 0;
  std::uint64_t lines = 0;
  auto at = begin;
  while (lines < kMost && at < sample.size() && line_at(sample, at).find(dialect.delimiter) == std::string_view::npos) {
    at += skip_lines(sample.substr(at), 1);
    ++lines;
  }
  return at < sample.size() && fields_of_line(sample, at, dialect) == dialect.columns ? lines : 0;
}

/// Whether the field is a time as the taos shell writes it: "2023-11-14 22:13:20.000", in quotes.
bool is_shell_time(std::string_view field) {
  if (field.size() != 25 && field.size() != 28 && field.size() != 31) return false;
  if (field.front() != '"' || field.back() != '"' || field[11] != ' ' || field[20] != '.') return false;
  CivilTime time;
  return parse_iso_time(field.substr(1, field.size() - 2), time) && !time.has_offset;
}

/// The taos shell writes a bare header, CRLF, texts and times in quotes, numbers (perhaps behind blanks) and NULL bare.
bool is_taos_export(std::string_view sample, std::size_t begin, const Dialect& dialect) {
  if (!dialect.header || dialect.delimiter != ',' || dialect.quote != '"') return false;
  const auto line_end = sample.find('\n', begin);
  if (line_end == std::string_view::npos || line_end == begin || sample[line_end - 1] != '\r') return false;
  const auto records = records_of(sample, begin, dialect, 100);
  if (records.size() < 2) return false;
  for (const auto name : records[0]) {
    if (name.empty() || name.front() == '"') return false;
  }
  bool times = false;
  for (std::size_t r = 1; r < records.size(); ++r) {
    for (auto field : records[r]) {
      while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
      if (field.empty() || field == "NULL") continue;
      times = times || is_shell_time(field);
      const auto kind = classify(field);
      const bool bare = kind == ValueKind::integer || kind == ValueKind::unsigned_integer || kind == ValueKind::real ||
                        kind == ValueKind::huge_integer || kind == ValueKind::wkt;
      if (field.front() != '"' && !bare) return false;
    }
  }
  return times;
}

/// How much of a sample is looked at: its first MiB, and wherever that ends within the first two records, these. Half a
/// header would be another one: its last name may be the start of "c10", and then "c1" stands there twice.
std::size_t sniffed_bytes(std::string_view sample, const schema::CsvMapping& given) {
  const auto skipped = skip_lines(sample, given.skip_lines);
  auto rest = sample.substr(skipped);
  std::uint64_t before = separator_line(line_at(rest, 0)) ? 1 : 0;
  before += comment_lines(rest, skip_lines(rest, before));
  const auto begin = skip_lines(rest, before);
  const auto first_end = rest.find('\n', begin);
  // A header without an end is no header, whoever looks at it; megabytes of it tell nothing more.
  if (first_end == std::string_view::npos) return skipped + std::max(begin, kMostBytes);
  return skipped + std::max(kMostBytes, first_end + 1 + skip_lines(rest.substr(first_end + 1), 1));
}

}  // namespace

Dialect sniff(std::string_view sample, const schema::CsvMapping& given) {
  sample = sample.substr(0, sniffed_bytes(sample, given));
  const auto first_return = sample.find('\r');
  if (first_return != std::string_view::npos && sample.find('\n') == std::string_view::npos &&
      first_return + 1 < sample.size())
    throw Error(Errc::io,
                "its lines end with CR alone, as on old Macintosh systems; change that first: tr '\\r' '\\n' < FILE");
  const auto start = skip_lines(sample, given.skip_lines);
  Dialect best;
  const auto separator = separator_line(line_at(sample, start));
  if (separator) best.preamble = 1;
  const auto comments = comment_lines(sample, start + skip_lines(sample.substr(start), best.preamble));
  auto begin = start + skip_lines(sample.substr(start), best.preamble + comments);
  const auto delimiter_given = given.delimiter ? given.delimiter : separator;
  best.escape = given.escape.value_or('\0');
  if (best.escape == given.quote.value_or('"')) best.escape = '\0';  // doubling is understood anyway
  Score best_score;
  bool first = true;
  for (const char delimiter : {',', ';', '\t', '|'}) {
    if (delimiter_given && delimiter != ',') break;
    for (const char quote : kQuotes) {
      if (given.quote && quote != '"') break;
      Dialect candidate = best;
      candidate.delimiter = delimiter_given.value_or(delimiter);
      candidate.quote = given.quote.value_or(quote);
      const auto found = score(sample, begin, candidate);
      // Single quotes only where they wrap whole fields and double quotes wrap none: they are apostrophes otherwise.
      if (!given.quote && quote == '\'' && (found.wrapped[1] == 0 || found.wrapped[0] > 0)) continue;
      const bool splits = found.columns > 1;
      const bool best_splits = best_score.columns > 1;
      const bool better =
          splits != best_splits ? splits
          : found.consistency != best_score.consistency
              ? found.consistency > best_score.consistency + 0.02 ||
                    (found.consistency > best_score.consistency - 0.02 && found.columns > best_score.columns)
              : found.columns > best_score.columns ||
                    (found.columns == best_score.columns && quote == '\'' && found.wrapped[1] > 0);
      if (first || better) {
        best.delimiter = candidate.delimiter;
        best.quote = candidate.quote;
        best_score = found;
        first = false;
      }
    }
  }
  best.columns = best_score.columns;
  const auto first_line = start + skip_lines(sample.substr(start), best.preamble);
  best.preamble += preamble_lines(sample, first_line, comments, best);
  begin = start + skip_lines(sample.substr(start), best.preamble);
  if (const auto behind = begin - first_line; behind > 0)
    best.why.push_back(fmt::format("passed over {} line{} before the {}: {}", best.preamble,
                                   best.preamble > 1 ? "s" : "", "records",
                                   printable(line_at(sample, first_line), 60)));
  best.why.push_back(separator          ? fmt::format("delimiter {}: the first line says so", shown(best.delimiter))
                     : given.delimiter  ? fmt::format("delimiter {}: given", shown(best.delimiter))
                     : best.columns > 1 ? fmt::format("delimiter {}: {:.0f} % of the sample's records have {} fields",
                                                      shown(best.delimiter), best_score.consistency * 100, best.columns)
                                        : std::string("delimiter ',': no other one cuts the records into fields"));
  if (given.quote) best.why.push_back(fmt::format("quote {}: given", shown(best.quote)));
  else if (best.quote == '\'') best.why.push_back("quote \"'\": it wraps whole fields");
  if (given.header != Header::automatic) {
    best.header = given.header == Header::yes;
    best.why.push_back(best.header ? "header: given" : "no header: given");
  } else if (!given.names.empty()) {
    best.header = false;
    best.why.push_back("no header: the column names are given");
  } else {
    std::string why;
    best.header = has_header(sample, begin, best, why);
    best.why.push_back(std::move(why));
  }
  best.taos_export = is_taos_export(sample, begin, best);
  if (best.taos_export) best.why.emplace_back("written by the taos shell: bare header, CRLF, quoted local times");
  return best;
}

}  // namespace penstock::format
