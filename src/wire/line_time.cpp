#include "wire/line_time.h"

#include <cstdlib>

namespace penstock::wire {
namespace {

using Kind = LineTime::Kind;

std::size_t skip_blanks(std::string_view text, std::size_t at) noexcept {
  while (at < text.size() && text[at] == ' ') ++at;
  return at;
}

bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

LineTime line_time(std::string_view text) noexcept {
  const auto size = text.size();
  std::size_t at = skip_blanks(text, 0);
  std::size_t backslashes = 0;
  const auto literal = [&](char c) {  // follows the run of backslashes in front of `c`
    const bool escaped = backslashes == 1;
    backslashes = c == '\\' ? backslashes + 1 : 0;
    return escaped && c != '\\';
  };
  for (; at < size; ++at)
    if (const bool escaped = literal(text[at]); text[at] == ' ' && !escaped) break;
  const std::size_t fields = at = skip_blanks(text, at);
  bool in_value = false;
  bool quoted = false;
  backslashes = 0;
  for (; at < size; ++at) {
    const char c = text[at];
    if (in_value) {
      const bool odd = backslashes % 2 == 1;
      backslashes = c == '\\' ? backslashes + 1 : 0;
      if (c == '"' && !odd) quoted = !quoted;
      if (quoted) continue;
      if (c == ' ') break;
      if (c == ',') {
        in_value = false;
        backslashes = 0;
      }
    } else {
      const bool escaped = literal(c);
      if (c == ' ' && !escaped) break;
      if (c == '=' && !escaped) {
        in_value = true;
        backslashes = 0;
      }
    }
  }
  if (at == fields) return {};  // no fields
  const std::size_t end_of_fields = at;
  at = skip_blanks(text, at);
  if (at == size) return {Kind::absent, end_of_fields, end_of_fields};
  std::size_t end = at;
  while (end < size && !is_space(text[end])) ++end;
  if (text.substr(at, end - at) != "0") return {};
  return {Kind::now, at, end};
}

LineTime telnet_time(std::string_view text) noexcept {
  std::size_t at = skip_blanks(text, 0);
  while (at < text.size() && text[at] != ' ') ++at;
  at = skip_blanks(text, at);
  std::size_t end = at;
  while (end < text.size() && text[end] != ' ') ++end;
  if (text.substr(at, end - at) != "0") return {};
  return {Kind::now, at, end};
}

// One walk over a JSON object, which other code found to be one.
class Object {
 public:
  explicit Object(std::string_view text) : text_(text) {}

  /// Where the value of a member of the outermost object stands; begin == end when there is none. Names are compared
  /// without case, as the server does.
  LineTime member(std::string_view name) noexcept {
    at_ = 0;
    LineTime found;
    space();
    if (!take('{')) return found;
    for (;;) {
      space();
      std::string_view key;
      if (!string(key)) return found;
      space();
      if (!take(':')) return found;
      space();
      const auto begin = at_;
      value();
      if (at_ == begin) return found;
      if (same(key, name)) {
        found.begin = begin;
        found.end = at_;
      }
      space();
      if (!take(',')) return found;
    }
  }

 private:
  static bool same(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] + 32) : a[i];
      if (c != b[i]) return false;
    }
    return true;
  }
  void space() noexcept {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char c) noexcept {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool string(std::string_view& inside) noexcept {
    if (!take('"')) return false;
    const auto begin = at_;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '"') {
        inside = text_.substr(begin, at_ - begin);
        ++at_;
        return true;
      }
    }
    at_ = text_.size();
    return false;
  }
  void value() noexcept {
    std::string_view ignored;
    if (at_ < text_.size() && text_[at_] == '"') {
      string(ignored);
      return;
    }
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        string(ignored);
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') {
        if (depth == 0) return;
        ++at_;
        if (--depth == 0) return;
        continue;
      }
      if (depth == 0 && (c == ',' || is_space(c))) return;
      ++at_;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// A number whose integer part is 0: the server drops the fraction first.
bool is_zero(std::string_view number) noexcept {
  char copy[64];
  if (number.empty() || number.size() >= sizeof copy) return false;
  number.copy(copy, number.size());
  copy[number.size()] = '\0';
  char* end = nullptr;
  const double value = std::strtod(copy, &end);
  return end == copy + number.size() && value > -1 && value < 1;
}

LineTime json_time(std::string_view text) noexcept {
  LineTime found = Object(text).member("timestamp");
  const auto value = text.substr(found.begin, found.end - found.begin);
  bool now = false;
  if (value.starts_with('{')) {
    const auto inner = Object(value).member("value");
    now = is_zero(value.substr(inner.begin, inner.end - inner.begin));
  } else {
    now = is_zero(value);
  }
  if (!now) return {};
  found.kind = Kind::now;
  return found;
}

}  // namespace

LineTime find_line_time(LineProtocol protocol, std::string_view record) noexcept {
  switch (protocol) {
    case LineProtocol::line: return line_time(record);
    case LineProtocol::telnet: return telnet_time(record);
    case LineProtocol::json: return json_time(record);
  }
  return {};
}

}  // namespace penstock::wire
