#include "format/csv_infer.h"

#include <fast_float/fast_float.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "format/number.h"
#include "format/wkt.h"

namespace penstock::format {
namespace {

using data::Type;

constexpr std::size_t kExampleBytes = 64;

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

/// Pairs of words that stand for true and false, as TypeSummary::boolean_words counts them.
constexpr std::array<std::string_view, 8> kBooleanWords{"t", "f", "y", "n", "yes", "no", "on", "off"};

std::size_t boolean_word(std::string_view value) noexcept {
  if (value.size() > 3) return kBooleanWords.size();
  std::size_t i = 0;
  while (i < kBooleanWords.size() && !equal_ignoring_case(value, kBooleanWords[i])) ++i;
  return i;
}

/// Whether both words of each pair of which one was seen have been seen: a column of nothing but "n" is no boolean.
bool words_in_pairs(std::uint8_t words) noexcept {
  for (unsigned pair = 0; pair < 8; pair += 2) {
    const auto seen = (words >> pair) & 3u;
    if (seen != 0 && seen != 3) return false;
  }
  return true;
}

/// Whether DOUBLE holds an integer of this text to its last digit.
bool exact_in_double(std::string_view digits) {
  if (!digits.empty() && !is_digit(digits.front())) digits.remove_prefix(1);
  if (digits.size() <= 15) return true;
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude);
  if (error == std::errc()) return magnitude == 0 || std::bit_width(magnitude) - std::countr_zero(magnitude) <= 53;
  double value = 0;
  fast_float::from_chars(digits.data(), digits.data() + digits.size(), value);
  return fmt::format("{:.0f}", value) == digits;
}

/// "\x0aff"; "\x" alone stands for none.
bool is_hex_bytes(std::string_view value) noexcept {
  if (value.size() % 2 != 0 || value.size() < 2 || value[0] != '\\' || (value[1] != 'x' && value[1] != 'X'))
    return false;
  return std::all_of(value.begin() + 2, value.end(),
                     [](char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); });
}

bool looks_like_wkt(std::string_view value) noexcept {
  if (value.size() < 9 || (value.back() != ')' && (value.back() | 0x20) != 'y')) return false;
  constexpr std::array<std::string_view, 7> kNames{"point",      "linestring",   "polygon",           "multipoint",
                                                   "multilines", "multipolygon", "geometrycollection"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view name) { return equal_ignoring_case(value.substr(0, name.size()), name); });
}

/// "3,14", "-1.234,5": a number as German and French programs write it.
bool is_comma_decimal(std::string_view text) noexcept {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const auto comma = text.find(',');
  if (comma == std::string_view::npos || comma == 0 || comma + 1 == text.size() || !is_digit(text.front()))
    return false;
  const auto whole = text.substr(0, comma);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    // Dots only between groups of three.
    if (!(whole[i] == '.' ? (whole.size() - i) % 4 == 0 : is_digit(whole[i]))) return false;
  }
  const auto fraction = text.substr(comma + 1);
  return std::all_of(fraction.begin(), fraction.end(), is_digit);
}

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

/// Words that are nothing but text, told by their first two bytes: not true, off, nan, "POINT (1 2)" or a number.
bool is_plain_word(std::string_view value) noexcept {
  const auto last = value.back();
  if (last == ' ' || last == '\t') return false;
  const auto first = static_cast<char>(value.front() | 0x20);
  if (first < 'a' || first > 'z') return false;
  if (value.size() == 1) return first != 't' && first != 'f' && first != 'y' && first != 'n';
  const auto second = static_cast<char>(value[1] | 0x20);
  switch (first) {
    case 't': return second != 'r';
    case 'f': return second != 'a';
    case 'y': return second != 'e';
    case 'n': return second != 'o' && second != 'a';
    case 'o': return second != 'n' && second != 'f';
    case 'i': return second != 'n';
    case 'p': return second != 'o';
    case 'l': return second != 'i';
    case 'm': return second != 'u';
    case 'g': return second != 'e';
    default: return true;
  }
}

bool is_ascii(std::string_view text) noexcept {
  std::uint64_t bits = 0;
  std::size_t at = 0;
  for (std::uint64_t word = 0; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    bits |= word;
  }
  for (; at < text.size(); ++at) bits |= static_cast<unsigned char>(text[at]);
  return (bits & 0x8080808080808080) == 0;
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
  if (value.size() <= 5 && (equal_ignoring_case(value, "true") || equal_ignoring_case(value, "false")))
    return ValueKind::boolean;
  if (boolean_word(value) < kBooleanWords.size()) return ValueKind::boolean_word;
  if (c == '\\' && is_hex_bytes(value)) return ValueKind::hex_bytes;
  if (looks_like_wkt(value)) {
    std::string wkb;
    if (wkt_to_wkb(value, wkb) == nullptr) return ValueKind::wkt;
  }
  for (const std::string_view special : {"nan", "inf", "infinity"}) {
    if (equal_ignoring_case(value, special)) return ValueKind::real;
  }
  return ValueKind::text;
}

std::string_view kind_name(ValueKind kind) noexcept {
  switch (kind) {
    case ValueKind::boolean:
    case ValueKind::boolean_word: return "BOOL";
    case ValueKind::integer: return "BIGINT";
    case ValueKind::unsigned_integer: return "BIGINT UNSIGNED";
    case ValueKind::huge_integer: return "a number beyond BIGINT UNSIGNED";
    case ValueKind::real: return "DOUBLE";
    case ValueKind::time: return "TIMESTAMP";
    case ValueKind::hex_bytes: return "VARBINARY";
    case ValueKind::wkt: return "GEOMETRY";
    default: return "text";
  }
}

void TypeSummary::count(ValueKind kind, std::string_view value) {
  ++counts[index(kind)];
  if (auto& example = examples[index(kind)]; example.empty()) [[unlikely]]
    example = value.substr(0, kExampleBytes);
  const auto bytes = static_cast<std::uint32_t>(std::min<std::size_t>(value.size(), UINT32_MAX));
  longest_bytes = std::max(longest_bytes, bytes);
  std::uint32_t chars = bytes;
  if (kind == ValueKind::text || kind == ValueKind::wkt) {
    if (!is_ascii(value)) {
      ++non_ascii;
      if (!is_utf8(value)) ++bad_utf8;
      chars = static_cast<std::uint32_t>(std::min<std::size_t>(utf8_length(value), UINT32_MAX));
    }
  }
  longest_chars = std::max(longest_chars, chars);
}

/// Integers that BIGINT holds, numbers with a point, and times that begin with year, month and day.
bool TypeSummary::add_number(std::string_view value, bool padded) {
  const char* p = value.data();
  const char* const end = p + value.size();
  const bool minus = *p == '-';
  p += minus;
  if (p == end || (*p == '0' && end - p > 1 && is_digit(p[1]))) return false;
  std::uint64_t whole = 0;
  unsigned digits = 0;
  if (padded) {
    p = read_digits(p, whole, digits);
    if (p > end) [[unlikely]]
      return false;
  } else {
    for (; p != end && is_digit(*p) && digits < 20; ++p, ++digits)
      whole = whole * 10 + static_cast<std::uint64_t>(*p - '0');
  }
  if (digits == 0 || digits > 19 || whole > static_cast<std::uint64_t>(INT64_MAX)) return false;
  if (p == end) {
    count(ValueKind::integer, value);
    zero_or_one += value.size() == 1 && whole <= 1;
    inexact += digits > 15 && std::bit_width(whole) - std::countr_zero(whole) > 53;
    negative += minus;
    times.add_number(minus, whole, 0);
    return true;
  }
  if (*p == '.') {
    const char* const point = p++;
    std::uint64_t fraction = 0;
    for (; p != end && is_digit(*p); ++p) {
      if (p - point <= 9) fraction = fraction * 10 + static_cast<std::uint64_t>(*p - '0');
    }
    const auto places = p - point - 1;
    if (p != end || places == 0) return false;
    for (auto i = places; i < 9; ++i) fraction *= 10;
    count(ValueKind::real, value);
    negative += minus;
    times.add_number(minus, whole, static_cast<std::uint32_t>(fraction));
    return true;
  }
  if ((*p != '-' && *p != '/') || digits != 4 || minus || value.size() < 8) return false;
  CivilTime time;
  if (!parse_iso_time(value, time)) return false;
  count(ValueKind::time, value);
  times.add_iso(time);
  return true;
}

void TypeSummary::add(std::string_view value, bool padded) {
  if (!value.empty()) [[likely]] {
    if (is_digit(value.front()) || value.front() == '-') {
      if (add_number(value, padded)) return;
    } else if (is_plain_word(value)) {
      return count(ValueKind::text, value);
    }
  }
  add_thoroughly(value);
}

void TypeSummary::add_thoroughly(std::string_view value) {
  const auto kind = classify(value);
  const auto bare = trimmed(value);
  count(kind, value);
  switch (kind) {
    case ValueKind::boolean_word: boolean_words |= static_cast<std::uint8_t>(1u << boolean_word(bare)); break;
    case ValueKind::integer:
      zero_or_one += bare == "0" || bare == "1";
      inexact += bare.size() > 15 && !exact_in_double(bare);
      break;
    case ValueKind::unsigned_integer:
    case ValueKind::huge_integer: inexact += !exact_in_double(bare); break;
    case ValueKind::hex_bytes:
      longest_binary = std::max(longest_binary, static_cast<std::uint32_t>(bare.size() / 2 - 1));
      break;
    case ValueKind::wkt: {
      std::string wkb;
      wkt_to_wkb(bare, wkb);
      longest_binary = std::max(longest_binary, static_cast<std::uint32_t>(wkb.size()));
      break;
    }
    case ValueKind::text: comma_decimals += is_comma_decimal(bare); break;
    default: break;
  }
  if (!bare.empty() && bare.front() == '-') ++negative;
  times.add(value);
}

void TypeSummary::merge(const TypeSummary& other) {
  for (std::size_t k = 0; k < kKinds; ++k) {
    counts[k] += other.counts[k];
    if (examples[k].empty()) examples[k] = other.examples[k];
  }
  nulls += other.nulls;
  negative += other.negative;
  zero_or_one += other.zero_or_one;
  inexact += other.inexact;
  comma_decimals += other.comma_decimals;
  boolean_words |= other.boolean_words;
  non_ascii += other.non_ascii;
  bad_utf8 += other.bad_utf8;
  longest_bytes = std::max(longest_bytes, other.longest_bytes);
  longest_chars = std::max(longest_chars, other.longest_chars);
  longest_binary = std::max(longest_binary, other.longest_binary);
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
    const auto booleans = count(ValueKind::boolean) + count(ValueKind::boolean_word);
    if (booleans > 0 && words_in_pairs(boolean_words) &&
        (booleans == all || (count(ValueKind::boolean) > 0 && booleans + zero_or_one == all)))
      return set(Type::boolean);
    if (count(ValueKind::integer) == all) return set(Type::bigint);
    if (whole == all && negative == 0) return set(Type::ubigint);
    if (numbers == all && count(ValueKind::real) > 0 && inexact == 0) return set(Type::float64);
    if (count(ValueKind::time) == all && times.with_clock == all) return set(Type::timestamp);
    for (const auto& [kind, type] :
         {std::pair(ValueKind::hex_bytes, Type::varbinary), {ValueKind::wkt, Type::geometry}}) {
      if (count(kind) < all) continue;
      column.type = type;
      column.width = data::schemaless_width(type, longest_binary);
      return column;
    }
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
    case Type::boolean:
      if (count(ValueKind::boolean) == all) return of(all, "true or false", ValueKind::boolean);
      return of(all, "words for true and false",
                count(ValueKind::boolean_word) > 0 ? ValueKind::boolean_word : ValueKind::boolean);
    case Type::bigint: return of(all, "integers", ValueKind::integer);
    case Type::ubigint:
      return of(count(ValueKind::unsigned_integer), "integers above the BIGINT range", ValueKind::unsigned_integer);
    case Type::float64:
      return of(count(ValueKind::real), "numbers with a point or an exponent", ValueKind::real) +
             (count(ValueKind::real) < all ? ", the others integers" : "");
    case Type::timestamp: return of(all, "date and time", ValueKind::time);
    case Type::varbinary: return of(all, "bytes in hexadecimal", ValueKind::hex_bytes);
    case Type::geometry: return of(all, "well-known text", ValueKind::wkt);
    default: break;
  }
  if (all == 0) return fmt::format("{}: no value in the sample", name);
  const auto length = column.type == Type::nchar ? fmt::format("longest {} characters", longest_chars)
                                                 : fmt::format("longest {} bytes", longest_bytes);
  const auto texts = count(ValueKind::text);
  if (count(ValueKind::real) > 0 && inexact > 0 && texts == 0)
    return fmt::format("{}: {} of {} values are integers with more digits than DOUBLE holds; {}", name, inexact, all,
                       length);
  if (texts == all) return of(texts, "text", ValueKind::text) + ", " + length;
  if (texts > 0)
    return fmt::format("{}, the others numbers, times or booleans; {}", of(texts, "text", ValueKind::text), length);
  const auto kind = static_cast<ValueKind>(std::max_element(counts.begin() + 1, counts.end()) - counts.begin());
  return fmt::format("{}: its values are of several kinds or too large for numbers, e.g. {}; {}", name,
                     printable(examples[index(kind)], 40), length);
}

bool TypeSummary::decimal_comma() const noexcept {
  return comma_decimals > 0 && counts[index(ValueKind::text)] == comma_decimals &&
         comma_decimals + counts[index(ValueKind::integer)] == values() && inexact == 0;
}

std::optional<std::size_t> column_by_name(std::span<const std::string> names, std::string_view text) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (trimmed(names[i]) == text) return i;
  }
  if (text.size() > 1 && text[0] == '#' && std::all_of(text.begin() + 1, text.end(), is_digit)) {
    std::size_t position = 0;
    std::from_chars(text.data() + 1, text.data() + text.size(), position);
    if (position >= 1 && position <= names.size()) return position - 1;
  }
  std::string lower(text);
  for (auto& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (equal_ignoring_case(trimmed(names[i]), lower)) return i;
  }
  return std::nullopt;
}

CsvPlan infer(std::string_view head, const schema::CsvMapping& mapping, std::string_view default_table,
              const data::SuperTable* target, bool whole) {
  CsvSample sample(sniff(head, mapping), mapping);
  sample.add_head(head, 0, whole);
  return make_plan(sample, mapping, default_table, target);
}

}  // namespace penstock::format
