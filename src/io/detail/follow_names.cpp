#include "io/detail/follow_names.h"

#include <algorithm>

namespace penstock::io::detail {
namespace {

constexpr std::string_view kCompressed[] = {".gz", ".zst", ".zstd", ".lz4", ".z", ".xz", ".bz2"};

std::string_view without_compression(std::string_view name) {
  for (const std::string_view ending : kCompressed) {
    if (name.size() > ending.size() && name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  }
  return name;
}

bool digit(char c) { return c >= '0' && c <= '9'; }

/// A number or a date with its separator: starts with one of ".-_", holds a digit, and nothing but digits, separators
/// and the letters of dates written as 2026-11-22T13.
bool is_rotation_mark(std::string_view text) {
  if (text == ".old" || text == ".bak" || text == ".prev") return true;
  if (text.size() < 2 || std::string_view(".-_").find(text.front()) == std::string_view::npos) return false;
  return std::any_of(text.begin(), text.end(), digit) && text.find_first_not_of("0123456789.-_:TZ") == text.npos;
}

/// The longest mark at the end of `name`; empty: none.
std::string_view mark_at_end(std::string_view name) {
  for (std::size_t at = name.find_first_of(".-_", 1); at != std::string_view::npos;
       at = name.find_first_of(".-_", at + 1)) {
    if (is_rotation_mark(name.substr(at))) return name.substr(at);
  }
  return {};
}

}  // namespace

std::string_view directory_of(std::string_view path) noexcept {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {};
  return path.substr(0, std::max<std::size_t>(slash, 1));
}

std::string_view name_of(std::string_view path) noexcept { return path.substr(path.rfind('/') + 1); }

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

std::string rotation_base(std::string_view name) {
  name = without_compression(name);
  const std::string_view mark = mark_at_end(name);
  if (!mark.empty()) return std::string(name.substr(0, name.size() - mark.size()));
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return std::string(name);
  const std::string_view inner = mark_at_end(name.substr(0, dot));
  return std::string(name.substr(0, dot - inner.size())).append(name.substr(dot));
}

std::string rotation_group(std::string_view path) {
  return join_path(directory_of(path), rotation_base(name_of(path)));
}

bool is_rotated_name(std::string_view base, std::string_view name) {
  if (name.size() > base.size() && name.starts_with(base)) {
    return is_rotation_mark(without_compression(name).substr(std::min(base.size(), without_compression(name).size())));
  }
  return name != base && rotation_base(name) == base;
}

bool is_older_name(std::string_view a, std::string_view b) {
  const auto number = [](std::string_view name) {
    const std::string_view mark = mark_at_end(without_compression(name_of(name)));
    std::string digits;
    for (const char c : mark) {
      if (digit(c)) digits += c;
    }
    return digits;
  };
  const std::string first = number(a);
  const std::string second = number(b);
  constexpr std::size_t kDateDigits = 6;
  if (first.size() >= kDateDigits && second.size() >= kDateDigits) return first < second;
  return first.size() != second.size() ? first.size() > second.size() : first > second;
}

bool is_longer_name(std::string_view base, std::string_view name) noexcept {
  return name.size() > base.size() && name.starts_with(base) && (name[base.size()] == '.' || name[base.size()] == '-');
}

std::vector<std::string> expand_braces(const std::string& pattern) {
  const std::size_t open = pattern.find('{');
  if (open == std::string::npos) return {pattern};
  std::vector<std::string> middles;
  std::size_t from = open + 1;
  int depth = 1;
  for (std::size_t at = open + 1; at < pattern.size(); ++at) {
    if (pattern[at] == '{') ++depth;
    if (pattern[at] == ',' && depth == 1) {
      middles.push_back(pattern.substr(from, at - from));
      from = at + 1;
    }
    if (pattern[at] != '}' || --depth > 0) continue;
    if (middles.empty()) return {pattern};  // `{x}` is no choice
    middles.push_back(pattern.substr(from, at - from));
    std::vector<std::string> all;
    for (const std::string& middle : middles) {
      for (std::string& one : expand_braces(pattern.substr(0, open) + middle + pattern.substr(at + 1))) {
        all.push_back(std::move(one));
      }
    }
    return all;
  }
  return {pattern};
}

}  // namespace penstock::io::detail
