#include "simd/json.h"

#include <algorithm>

namespace penstock::simd {
namespace {

constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

// As the server's reader: every control byte counts as a blank. NUL is none: it ends a text there.
bool is_blank(char c) noexcept { return c > '\0' && c <= ' '; }
bool is_separator(char c) noexcept { return is_blank(c) || c == ',' || c == '[' || c == ']'; }
bool may_follow_string(char c) noexcept { return is_blank(c) || c == ',' || c == ':' || c == '}' || c == ']'; }

// Chosen once; constant-initialised, so that a call from another static initialiser is safe too.
constinit JsonObjectEnd chosen = &json_object_end_scalar;
struct Choose {
  Choose() noexcept {
    if (const auto best = json_object_end_avx2()) chosen = best;
  }
} const choose;

struct Resync {
  std::size_t at = kNowhere;  // of the next object
  bool undecided = false;     // the text ends too early
};

// Where the next object seems to start in text[from, …), the brace being followed by a quote.
Resync find_start(std::string_view text, std::size_t from, bool last) noexcept {
  JsonResync resync;
  for (std::size_t i = from; i < text.size(); ++i) {
    if (!resync.starts_here(text[i])) continue;
    std::size_t next = i + 1;
    while (next < text.size() && is_blank(text[next])) ++next;
    if (next == text.size()) return last ? Resync{} : Resync{kNowhere, true};
    if (text[next] == '"') return {i, false};
  }
  return {kNowhere, !last};
}

// Without the blanks at the end; and without the separators too where the record itself ends in a brace.
std::size_t trimmed_end(std::string_view text, std::size_t begin, std::size_t end) noexcept {
  while (end > begin && is_blank(text[end - 1])) --end;
  std::size_t close = end;
  while (close > begin && is_separator(text[close - 1])) --close;
  return close > begin && text[close - 1] == '}' ? close : end;
}

// What is no object and no separator: to the end of the line, or to the next separator or object.
JsonRecord other_record(std::string_view text, std::size_t begin, bool last) noexcept {
  std::size_t at = begin;
  if (text[at] == '"') {
    const auto close = text.find_first_of("\"\n", at + 1);
    if (close == std::string_view::npos && !last) return {JsonRecord::Kind::need_more, begin, begin};
    if (close != std::string_view::npos && text[close] == '"') at = close;
  }
  const auto stop = text.find_first_of(",[]{\n", at);
  if (stop == std::string_view::npos && !last) return {JsonRecord::Kind::need_more, begin, begin};
  const auto end = trimmed_end(text, begin, std::min(stop, text.size()));
  return {JsonRecord::Kind::broken, begin, end};
}

}  // namespace

bool JsonResync::starts_here(char byte) noexcept {
  if (byte == '\n') {
    new_line_ = at_line_start_ = true;
    return false;
  }
  if (is_blank(byte) || byte == '[') {
    at_line_start_ = at_line_start_ && byte == '[';
    return false;
  }
  const bool starts =
      byte == '{' && ((before_ == ',' && before_that_ == '}') || before_ == '}' ||
                      (before_ == ']' && before_that_ == '}') || (new_line_ && before_ != ':') || at_line_start_);
  before_that_ = before_;
  before_ = byte;
  new_line_ = at_line_start_ = false;
  return starts;
}

JsonEnd json_object_end(std::string_view text) noexcept { return chosen(text); }

JsonEnd json_object_end_scalar(std::string_view text) noexcept {
  std::size_t depth = 0;
  std::size_t brackets = 0;
  char before = '\0';  // the last byte outside strings that is no blank
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '"':
        for (++i; i < text.size() && text[i] != '"'; ++i) i += text[i] == '\\';
        if (i + 1 >= text.size()) return {JsonEnd::Kind::open, 0};
        if (!may_follow_string(text[i + 1])) return {JsonEnd::Kind::broken, i + 1};
        break;
      case '{':
        if (depth > 0 && brackets == 0 && before != ':') return {JsonEnd::Kind::broken, i};
        if (++depth > kMostJsonDepth) return {JsonEnd::Kind::broken, i};
        break;
      case '}':
        if (--depth == 0) return {JsonEnd::Kind::whole, i + 1};
        break;
      case '[': ++brackets; break;
      case ']': brackets -= brackets > 0 ? 1 : 0; break;
      case '\\':  // no JSON, but the twins must agree
        if (i + 1 < text.size() && (text[i + 1] == '\\' || text[i + 1] == '"')) ++i;
        break;
      default: break;
    }
    if (!is_blank(c)) before = c;
  }
  return {JsonEnd::Kind::open, 0};
}

JsonRecord next_json_record(std::string_view text, bool last) noexcept {
  std::size_t begin = 0;
  while (begin < text.size() && is_separator(text[begin])) ++begin;
  if (begin == text.size()) return {JsonRecord::Kind::none, begin, begin};
  if (text[begin] != '{') return other_record(text, begin, last);
  const auto found = json_object_end(text.substr(begin));
  if (found.kind == JsonEnd::Kind::whole) return {JsonRecord::Kind::object, begin, begin + found.at};
  if (found.kind == JsonEnd::Kind::open && !last) return {JsonRecord::Kind::need_more, begin, begin};
  const auto next = find_start(text, begin + 1, last);
  if (next.undecided) return {JsonRecord::Kind::need_more, begin, begin};
  return {JsonRecord::Kind::broken, begin, trimmed_end(text, begin, std::min(next.at, text.size()))};
}

}  // namespace penstock::simd
