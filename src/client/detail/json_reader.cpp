#include "client/detail/json_reader.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace penstock::client::detail {
namespace {

constexpr std::size_t kDeepest = 1'000;

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// Four hexadecimal digits; -1 when they are none.
std::int32_t code_unit(std::string_view text) noexcept {
  if (text.size() < 4) return -1;
  std::int32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value << 4 | digit;
  }
  return value;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](unsigned shift) { out += static_cast<char>(0x80U | (code >> shift & 0x3FU)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0U | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0U | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

char JsonReader::peek() noexcept {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonReader::take(char c) noexcept {
  if (peek() != c || at_ == text_.size()) return false;
  ++at_;
  return true;
}

std::optional<std::string_view> JsonReader::string(std::string& memory) {
  if (!take('"')) return std::nullopt;
  const auto begin = at_;
  while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\') ++at_;
  if (at_ == text_.size()) return std::nullopt;
  if (text_[at_] == '"') return text_.substr(begin, at_++ - begin);
  memory.assign(text_, begin, at_ - begin);
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"') return memory;
    if (c != '\\') {
      memory += c;
      continue;
    }
    if (at_ == text_.size()) return std::nullopt;
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char name = text_[at_++];
    if (const auto simple = kNames.find(name); simple != std::string_view::npos) {
      memory += kMeanings[simple];
      continue;
    }
    const auto unit = name == 'u' ? code_unit(text_.substr(at_)) : -1;
    if (unit < 0) return std::nullopt;
    at_ += 4;
    auto code = static_cast<std::uint32_t>(unit);
    if (code >= 0xD800 && code < 0xE000) {
      const auto rest = text_.substr(at_);
      const auto second = rest.starts_with("\\u") ? code_unit(rest.substr(2)) : -1;
      if (code < 0xDC00 && second >= 0xDC00 && second < 0xE000) {
        code = 0x10000U + ((code - 0xD800U) << 10) + static_cast<std::uint32_t>(second - 0xDC00);
        at_ += 6;
      } else {
        code = 0xFFFD;
      }
    }
    append_utf8(memory, code);
  }
  return std::nullopt;
}

bool JsonReader::skip_string() noexcept {
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '\\') {
      if (++at_ == text_.size()) return false;
    } else if (text_[at_] == '"') {
      ++at_;
      return true;
    }
  }
  return false;
}

std::string_view JsonReader::scalar() noexcept {
  peek();
  const auto begin = at_;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' || c == 'E';
    if (!word) break;
    ++at_;
  }
  return text_.substr(begin, at_ - begin);
}

std::string_view JsonReader::raw() {
  const char first = peek();
  const auto begin = at_;
  if (first == '"') return skip_string() ? text_.substr(begin, at_ - begin) : std::string_view();
  if (first != '{' && first != '[') return scalar();
  std::string closing;  // what has to close, the innermost last
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      if (!skip_string()) return {};
      continue;
    }
    ++at_;
    if (c == '{' || c == '[') {
      if (closing.size() == kDeepest) return {};
      closing += c == '{' ? '}' : ']';
    } else if (c == '}' || c == ']') {
      if (closing.back() != c) return {};
      closing.pop_back();
      if (closing.empty()) return text_.substr(begin, at_ - begin);
    }
  }
  return {};
}

}  // namespace penstock::client::detail
