#include "format/json_reader.h"

#include <fast_float/fast_float.h>

#include <algorithm>
#include <cstring>

namespace penstock::format {
namespace {

constexpr unsigned kMostDepth = 1000;
constexpr std::ptrdiff_t kMostNumber = 63;

bool is_number_part(char c) noexcept {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

// Four hexadecimal digits; anything else counts as 0.
std::uint32_t hex4(const char* p) noexcept {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    const char letter = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') value = value * 16 + static_cast<std::uint32_t>(c - '0');
    else if (letter >= 'a' && letter <= 'f') value = value * 16 + static_cast<std::uint32_t>(letter - 'a') + 10;
    else return 0;
  }
  return value;
}

void append_utf8(std::string& text, std::uint32_t code) {
  const auto add = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      add(0xE0 | code >> 12);
    } else {
      add(0xF0 | code >> 18);
      add(0x80 | ((code >> 12) & 0x3F));
    }
    add(0x80 | ((code >> 6) & 0x3F));
  }
  add(0x80 | (code & 0x3F));
}

}  // namespace

const char* read_json_number(const char* p, const char* end, double& value) noexcept {
  if (p == end || !(*p == '-' || (*p >= '0' && *p <= '9'))) return nullptr;
  const char* stop = p;
  while (stop < end && stop - p < kMostNumber && is_number_part(*stop)) ++stop;
  const auto result = fast_float::from_chars(p, stop, value);
  if (result.ec != std::errc{} && result.ec != std::errc::result_out_of_range) return nullptr;
  return result.ptr;
}

bool same_letters(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

std::size_t JsonReader::read(std::string_view text, std::size_t at) {
  nodes_.clear();
  decoded_.clear();
  // A decoded string is never longer than its text.
  if (decoded_.capacity() < text.size() - at) decoded_.reserve(std::max(text.size() - at, 2 * decoded_.capacity()));
  begin_ = text.data();
  at_ = begin_ + at;
  end_ = begin_ + text.size();
  if (!value(0)) return kFailed;
  return static_cast<std::size_t>(at_ - begin_);
}

bool JsonReader::fail(const char* at, const char* why) {
  error_at_ = static_cast<std::size_t>(at - begin_);
  error_ = why;
  return false;
}

void JsonReader::skip_blanks() noexcept {
  while (at_<end_&& * at_> '\0' && *at_ <= ' ') ++at_;
}

bool JsonReader::literal(std::string_view word) {
  if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).substr(0, word.size()) != word)
    return fail("here stands no JSON value");
  at_ += word.size();
  return true;
}

bool JsonReader::value(unsigned depth) {
  skip_blanks();
  if (at_ == end_) return fail("the text ends where a value should stand");
  const std::size_t index = nodes_.size();
  {
    auto& node = nodes_.emplace_back();
    node.begin = at_;
  }
  using Kind = JsonNode::Kind;
  Kind kind = Kind::null;
  bool good = false;
  switch (*at_) {
    case '{':
    case '[':
      kind = *at_ == '{' ? Kind::object : Kind::array;
      good = container(kind == Kind::object, depth);
      break;
    case '"':
      kind = Kind::string;
      {
        std::string_view text;
        good = string(text);
        nodes_[index].text = text;
      }
      break;
    case 't':
    case 'f':
      kind = Kind::boolean;
      nodes_[index].truth = *at_ == 't';
      good = literal(*at_ == 't' ? "true" : "false");
      break;
    case 'n': good = literal("null"); break;
    default: {
      kind = Kind::number;
      const char* const stop = read_json_number(at_, end_, nodes_[index].number);
      if (stop == nullptr) return fail("here stands no JSON value");
      at_ = stop;
      good = true;
    }
  }
  if (!good) return false;
  auto& node = nodes_[index];
  node.kind = kind;
  node.end = at_;
  node.next = static_cast<std::uint32_t>(nodes_.size());
  return true;
}

bool JsonReader::container(bool object, unsigned depth) {
  if (depth >= kMostDepth) return fail("values are nested more than 1000 deep");
  const char close = object ? '}' : ']';
  const std::size_t index = nodes_.size() - 1;
  ++at_;
  skip_blanks();
  if (at_ < end_ && *at_ == close) {
    ++at_;
    return true;
  }
  for (;;) {
    std::string_view key;
    if (object) {
      skip_blanks();
      if (at_ == end_ || *at_ != '"') return fail("a member of an object begins with its name in double quotes");
      if (!string(key)) return false;
      skip_blanks();
      if (at_ == end_ || *at_ != ':') return fail("the ':' behind a name is missing");
      ++at_;
    }
    const std::size_t child = nodes_.size();
    if (!value(depth + 1)) return false;
    nodes_[child].key = key;
    ++nodes_[index].children;
    skip_blanks();
    if (at_ == end_) return fail(object ? "the object has no end" : "the array has no end");
    if (*at_ == close) {
      ++at_;
      return true;
    }
    if (*at_ != ',') return fail(object ? "',' or '}' is missing here" : "',' or ']' is missing here");
    ++at_;
  }
}

bool JsonReader::string(std::string_view& text) {
  const char* const first = ++at_;
  const char* p = first;
  while (p < end_ && *p != '"' && *p != '\\' && *p != '\0') ++p;
  if (p < end_ && *p == '"') {
    text = {first, static_cast<std::size_t>(p - first)};
    at_ = p + 1;
    return true;
  }
  const std::size_t start = decoded_.size();
  decoded_.append(first, p);
  for (;;) {
    if (p == end_) return fail(first - 1, "a string has no end");
    if (*p == '"') break;
    if (*p == '\0') return fail(p, "a NUL byte stands in a string");
    if (*p != '\\') {
      decoded_ += *p++;
    } else if (!escape(p)) {
      return false;
    }
  }
  at_ = p + 1;
  text = std::string_view(decoded_).substr(start);
  text = text.substr(0, text.find('\0'));  // the server takes it as a C string
  return true;
}

bool JsonReader::escape(const char*& p) {
  if (p + 1 >= end_) return fail(p, "a string has no end");
  switch (p[1]) {
    case 'b': decoded_ += '\b'; break;
    case 'f': decoded_ += '\f'; break;
    case 'n': decoded_ += '\n'; break;
    case 'r': decoded_ += '\r'; break;
    case 't': decoded_ += '\t'; break;
    case '"':
    case '\\':
    case '/': decoded_ += p[1]; break;
    case 'u': {
      if (end_ - p < 6) return fail(p, "a \\u escape has no end");
      std::uint32_t code = hex4(p + 2);
      if (code >= 0xDC00 && code <= 0xDFFF) return fail(p, "the second half of a surrogate pair stands alone");
      if (code >= 0xD800 && code <= 0xDBFF) {
        const std::uint32_t low = end_ - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : 0;
        if (low < 0xDC00 || low > 0xDFFF) return fail(p, "the first half of a surrogate pair stands alone");
        code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
        p += 6;
      }
      append_utf8(decoded_, code);
      p += 6;
      return true;
    }
    default: return fail(p, "no such escape in JSON");
  }
  p += 2;
  return true;
}

}  // namespace penstock::format
