#include "format/csv_dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

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

Dialect sniff(std::string_view sample, const schema::CsvMapping& given) {
  sample = sample.substr(0, kMostBytes);
  const auto begin = skip_lines(sample, given.skip_lines);
  Dialect best;
  best.escape = given.escape.value_or('\0');
  if (best.escape == given.quote.value_or('"')) best.escape = '\0';  // doubling is understood anyway
  Score best_score;
  bool first = true;
  for (const char delimiter : {',', ';', '\t', '|'}) {
    if (given.delimiter && delimiter != ',') break;
    for (const char quote : kQuotes) {
      if (given.quote && quote != '"') break;
      Dialect candidate = best;
      candidate.delimiter = given.delimiter.value_or(delimiter);
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
  best.why.push_back(given.delimiter    ? fmt::format("delimiter {}: given", shown(best.delimiter))
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
  return best;
}

}  // namespace penstock::format
