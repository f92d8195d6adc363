#include "format/csv_infer.h"

#include <fast_float/fast_float.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/text.h"

namespace penstock::format {
namespace {

using data::Type;

constexpr std::size_t kExampleBytes = 64;
constexpr std::size_t kFirstRecords = 1'000;
constexpr std::size_t kFirstFields = 100'000;

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool equal_ignoring_case(std::string_view a, std::string_view lower) noexcept {
  return a.size() == lower.size() && std::equal(a.begin(), a.end(), lower.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? static_cast<char>(x | 0x20) : x) == y;
         });
}

std::size_t index(ValueKind kind) noexcept { return static_cast<std::size_t>(kind); }

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

ValueKind classify_number(std::string_view value) noexcept {
  const bool negative = value.front() == '-';
  auto digits = value;
  if (negative || value.front() == '+') digits.remove_prefix(1);
  if (digits.empty()) return ValueKind::text;
  if (digits.size() > 1 && digits[0] == '0' && is_digit(digits[1])) return ValueKind::text;
  if (std::all_of(digits.begin(), digits.end(), is_digit)) {
    std::uint64_t magnitude = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude);
    if (error != std::errc()) return ValueKind::huge_integer;
    const auto most = static_cast<std::uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    if (magnitude <= most) return ValueKind::integer;
    return negative ? ValueKind::huge_integer : ValueKind::unsigned_integer;
  }
  double parsed = 0;
  const auto* const last = digits.data() + digits.size();
  const auto [end, error] = fast_float::from_chars(digits.data(), last, parsed);
  if (error != std::errc() || end != last) return ValueKind::text;
  if (!is_digit(digits[0]) && digits[0] != '.') {  // nan, inf: but not nan(1)
    return digits.find('(') == std::string_view::npos ? ValueKind::real : ValueKind::text;
  }
  return std::isinf(parsed) ? ValueKind::text : ValueKind::real;
}

}  // namespace

ValueKind classify(std::string_view value) noexcept {
  value = trimmed(value);
  if (value.empty()) return ValueKind::empty;
  const char c = value.front();
  if (is_digit(c) && value.size() >= 8 && (value[4] == '-' || value[4] == '/')) {
    CivilTime time;
    if (parse_iso_time(value, time)) return ValueKind::time;
  }
  if (is_digit(c) || c == '-' || c == '+' || c == '.') return classify_number(value);
  if ((c | 0x20) == 't' || (c | 0x20) == 'f')
    return equal_ignoring_case(value, "true") || equal_ignoring_case(value, "false") ? ValueKind::boolean
                                                                                     : ValueKind::text;
  for (const std::string_view special : {"nan", "inf", "infinity"}) {
    if (equal_ignoring_case(value, special)) return ValueKind::real;
  }
  return ValueKind::text;
}

void TypeSummary::add(std::string_view value) {
  const auto kind = classify(value);
  ++counts[index(kind)];
  if (trimmed(value).substr(0, 1) == "-") ++negative;
  if (examples[index(kind)].empty()) examples[index(kind)] = value.substr(0, kExampleBytes);
  longest_bytes = std::max(longest_bytes, static_cast<std::uint32_t>(std::min<std::size_t>(value.size(), UINT32_MAX)));
  if (std::any_of(value.begin(), value.end(), [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; })) {
    ++non_ascii;
    if (!is_utf8(value)) ++bad_utf8;
  }
  longest_chars =
      std::max(longest_chars, static_cast<std::uint32_t>(std::min<std::size_t>(utf8_length(value), UINT32_MAX)));
  times.add(value);
}

void TypeSummary::merge(const TypeSummary& other) {
  for (std::size_t k = 0; k < kKinds; ++k) {
    counts[k] += other.counts[k];
    if (examples[k].empty()) examples[k] = other.examples[k];
  }
  nulls += other.nulls;
  negative += other.negative;
  non_ascii += other.non_ascii;
  bad_utf8 += other.bad_utf8;
  longest_bytes = std::max(longest_bytes, other.longest_bytes);
  longest_chars = std::max(longest_chars, other.longest_chars);
  times.merge(other.times);
}

std::uint64_t TypeSummary::values() const noexcept {
  std::uint64_t sum = 0;
  for (std::size_t k = 1; k < kKinds; ++k) sum += counts[k];
  return sum;
}

data::Column TypeSummary::type() const {
  const auto count = [&](ValueKind kind) { return counts[index(kind)]; };
  const auto all = values();
  const auto whole = count(ValueKind::integer) + count(ValueKind::unsigned_integer);
  const auto numbers = whole + count(ValueKind::huge_integer) + count(ValueKind::real);
  data::Column column;
  const auto set = [&](Type type) {
    column.type = type;
    column.width = static_cast<std::uint32_t>(data::fixed_size(type));
    return column;
  };
  if (all > 0) {
    if (count(ValueKind::boolean) == all) return set(Type::boolean);
    if (count(ValueKind::integer) == all) return set(Type::bigint);
    if (whole == all && negative == 0) return set(Type::ubigint);
    if (numbers == all && count(ValueKind::real) > 0) return set(Type::float64);
    if (count(ValueKind::time) == all && times.with_clock == all) return set(Type::timestamp);
  }
  column.type = non_ascii > 0 ? Type::nchar : Type::varchar;
  column.width = data::schemaless_width(column.type, non_ascii > 0 ? longest_chars : longest_bytes);
  return column;
}

std::string TypeSummary::evidence() const {
  const auto column = type();
  const auto all = values();
  const auto name = data::type_name(column.type);
  const auto of = [&](std::uint64_t part, std::string_view what, ValueKind example) {
    return fmt::format("{}: {} of {} values are {}, e.g. {}", name, part, all, what,
                       printable(examples[index(example)], 40));
  };
  const auto count = [&](ValueKind kind) { return counts[index(kind)]; };
  switch (column.type) {
    case Type::boolean: return of(all, "true or false", ValueKind::boolean);
    case Type::bigint: return of(all, "integers", ValueKind::integer);
    case Type::ubigint:
      return of(count(ValueKind::unsigned_integer), "integers above the BIGINT range", ValueKind::unsigned_integer);
    case Type::float64:
      return of(count(ValueKind::real), "numbers with a point or an exponent", ValueKind::real) +
             (count(ValueKind::real) < all ? ", the others integers" : "");
    case Type::timestamp: return of(all, "date and time", ValueKind::time);
    default: break;
  }
  if (all == 0) return fmt::format("{}: no value in the sample", name);
  const auto length = column.type == Type::nchar ? fmt::format("longest {} characters", longest_chars)
                                                 : fmt::format("longest {} bytes", longest_bytes);
  const auto texts = count(ValueKind::text);
  if (texts == all) return of(texts, "text", ValueKind::text) + ", " + length;
  if (texts > 0)
    return fmt::format("{}, the others numbers, times or booleans; {}", of(texts, "text", ValueKind::text), length);
  const auto kind = static_cast<ValueKind>(std::max_element(counts.begin() + 1, counts.end()) - counts.begin());
  return fmt::format("{}: its values are of several kinds or too large for numbers, e.g. {}; {}", name,
                     printable(examples[index(kind)], 40), length);
}

CsvSample::CsvSample(Dialect dialect, const schema::CsvMapping& mapping)
    : dialect_(std::move(dialect)),
      skip_lines_(mapping.skip_lines),
      given_names_(mapping.names),
      nulls_(mapping.nulls.empty() ? schema::default_nulls() : mapping.nulls) {}

bool CsvSample::is_null(const FieldText& field) const {
  return field.text.empty() ||
         (!field.quoted && std::find(nulls_.begin(), nulls_.end(), trimmed(field.text)) != nulls_.end());
}

void CsvSample::add_record(std::string_view text, std::size_t begin, std::span<const std::uint32_t> ends) {
  const bool keep = first_.size() < kFirstRecords && first_fields_ + ends.size() <= kFirstFields;
  if (keep) first_.emplace_back();
  for (std::size_t c = 0; c < ends.size(); ++c) {
    const auto field = unquote(text.substr(begin, ends[c] - begin), dialect_);
    begin = ends[c] + std::size_t{1};
    if (keep) first_.back().push_back(field.text);
    if (c >= columns_.size()) {  // ragged: more fields than columns; only empty ones are harmless
      continue;
    }
    if (is_null(field)) ++columns_[c].nulls;
    else columns_[c].add(field.text);
  }
  if (keep) first_fields_ += ends.size();
  ++records_;
}

void CsvSample::add_records(std::string_view text, std::size_t begin, bool whole) {
  std::vector<std::uint32_t> ends;
  while (begin < text.size()) {
    ends.clear();
    const auto cut = cut_record(text, begin, dialect_, ends);
    if ((cut.open || cut.end >= text.size()) && !whole) return;
    const bool blank = ends.size() == 1 && ends[0] == begin;
    if (!cut.open && !blank) {
      if (columns_.empty()) columns_.resize(ends.size());
      add_record(text, begin, ends);
    }
    begin = cut.end + 1;
  }
}

void CsvSample::add_head(std::string_view text, std::uint64_t offset, bool whole) {
  auto begin = skip_lines(text, skip_lines_);
  if (dialect_.header) {
    std::vector<std::uint32_t> ends;
    // Blank lines before the header are passed over.
    while (begin < text.size() &&
           (text[begin] == '\n' || (text[begin] == '\r' && begin + 1 < text.size() && text[begin + 1] == '\n')))
      begin += text[begin] == '\n' ? 1 : 2;
    if (begin < text.size()) {
      const auto cut = cut_record(text, begin, dialect_, ends);
      for (const auto end : ends) {
        names_.push_back(unquote(text.substr(begin, end - begin), dialect_).text);
        begin = end + std::size_t{1};
      }
      begin = std::min(cut.end + 1, text.size());
    }
    columns_.resize(names_.size());
  }
  data_begin_ = offset + begin;
  if (!given_names_.empty()) names_ = given_names_;
  if (!dialect_.header && dialect_.columns > 0) columns_.resize(std::max(dialect_.columns, names_.size()));
  add_records(text, begin, whole);
  for (auto& name : names_) name = std::string(trimmed(name));
  while (names_.size() < columns_.size()) names_.push_back(fmt::format("c{}", names_.size() + 1));
  for (std::size_t c = 0; c < names_.size(); ++c) {
    if (names_[c].empty()) names_[c] = fmt::format("c{}", c + 1);
  }
  if (columns_.size() < names_.size()) columns_.resize(names_.size());
}

void CsvSample::add_middle(std::string_view text) {
  const auto line_end = text.find('\n');
  if (line_end == std::string_view::npos) return;
  std::vector<std::uint32_t> ends;
  for (std::size_t begin = line_end + 1; begin < text.size();) {
    ends.clear();
    const auto cut = cut_record(text, begin, dialect_, ends);
    if (cut.open || cut.end >= text.size()) return;
    if (ends.size() == columns_.size()) add_record(text, begin, ends);
    begin = cut.end + 1;
  }
}

void CsvSample::merge(const CsvSample& other) {
  if (columns_.empty()) columns_.resize(other.columns_.size());
  for (std::size_t c = 0; c < std::min(columns_.size(), other.columns_.size()); ++c)
    columns_[c].merge(other.columns_[c]);
  records_ += other.records_;
}

CsvPlan infer(std::string_view head, const schema::CsvMapping& mapping, std::string_view default_table,
              const data::SuperTable* target, bool whole) {
  CsvSample sample(sniff(head, mapping), mapping);
  sample.add_head(head, 0, whole);
  return make_plan(sample, mapping, default_table, target);
}

}  // namespace penstock::format
