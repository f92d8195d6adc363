#include "format/line_scan.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "format/number.h"
#include "format/wkt.h"

namespace penstock::format {
namespace {

using data::Limits;
using data::Type;

constexpr std::uint16_t kBadSyntax = 0x3002;
constexpr std::uint16_t kBadMeasurement = 0x020A;
constexpr std::uint16_t kBadKey = 0x021F;
constexpr std::uint16_t kBadValue = 0x0203;
constexpr std::uint16_t kTooLong = 0x2642;
constexpr std::uint16_t kBadText = 0x0200;
constexpr std::uint16_t kBadGeometry = 0x2803;
constexpr std::uint16_t kBadBinary = 0x266A;
// A tag value longer than this is refused as such; shorter ones meet the limit on the sum of the tags' widths first.
constexpr std::size_t kLongestTag = 16'379;

bool refuse(LineError& error, std::uint16_t code, const char* at, std::string text) {
  error.code = code;
  error.text = std::move(text);
  error.at = at;
  return false;
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Left to right: a backslash before an escapable character goes, and the pair is done with.
char* unescape_into(std::string_view raw, std::string_view escapable, char* out) noexcept {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '\\' && i + 1 < raw.size() && escapable.find(raw[i + 1]) != std::string_view::npos) ++i;
    *out++ = raw[i];
  }
  return out;
}

std::size_t unescaped_size(std::string_view raw, std::string_view escapable) noexcept {
  std::size_t size = 0;
  for (std::size_t i = 0; i < raw.size(); ++i, ++size)
    if (raw[i] == '\\' && i + 1 < raw.size() && escapable.find(raw[i + 1]) != std::string_view::npos) ++i;
  return size;
}

constexpr std::string_view kMeasurementEscapes = ", \\";
constexpr std::string_view kKeyEscapes = ", =\\";
constexpr std::string_view kValueEscapes = "\"\\";

}  // namespace

void LineValue::write(char* out, const std::string& images) const noexcept {
  if (image) std::memcpy(out, images.data() + image_at, bytes);
  else if (escapes) unescape_into(content, kValueEscapes, out);
  else std::memcpy(out, content.data(), bytes);
}

void LineScanner::start(const char* begin, const char* end) {
  line_ = begin;
  end_ = end;
  first_ = begin;
  while (first_ < end && *first_ == ' ') ++first_;
  series_end_ = first_;
  for (;; ++series_end_) {
    const auto* found = static_cast<const char*>(
        series_end_ < end ? std::memchr(series_end_, ' ', static_cast<std::size_t>(end - series_end_)) : nullptr);
    series_end_ = found != nullptr ? found : end;
    if (series_end_ == end || !is_escaped(first_, series_end_)) break;
  }
  tags_.clear();
  fields_.clear();
  tag_count_ = 0;
  field_count_ = 0;
  names_.clear();
  images_.clear();
}

std::string_view LineScanner::unescape(std::string_view raw, std::string_view escapable) {
  if (raw.find('\\') == std::string_view::npos) return raw;
  if (names_.capacity() < static_cast<std::size_t>(end_ - line_) && names_.empty())
    names_.reserve(static_cast<std::size_t>(end_ - line_));
  const auto at = names_.size();
  names_.resize(at + raw.size());
  const char* const stop = unescape_into(raw, escapable, names_.data() + at);
  names_.resize(static_cast<std::size_t>(stop - names_.data()));
  return std::string_view(names_).substr(at);
}

// Up to its live '='; `p` is left behind that.
bool LineScanner::scan_key(const char*& p, std::string_view& raw, std::string_view& key, LineError& error) {
  const char* const begin = p;
  for (; p < end_; ++p) {
    if ((*p == ' ' || *p == ',') && !is_escaped(first_, p))
      return refuse(error, kBadSyntax, p, p == begin ? "a key is missing" : "a key has no '=' and value");
    if (*p == '=' && !is_escaped(first_, p)) break;
  }
  if (p == end_) return refuse(error, kBadKey, begin, "the line ends before the '=' of a key");
  raw = {begin, static_cast<std::size_t>(p - begin)};
  key = unescape(raw, kKeyEscapes);
  if (key.empty()) return refuse(error, kBadKey, begin, "a key is empty");
  if (key.size() > Limits::column_name)
    return refuse(error, kBadKey, begin, "a key is longer than " + std::to_string(Limits::column_name) + " bytes");
  ++p;
  return true;
}

bool LineScanner::scan_series(LineError& error) {
  const char* p = first_;
  if (p < end_ && *p == ',') return refuse(error, kBadSyntax, p, "the measurement is missing");
  while (p < series_end_ && !(*p == ',' && !is_escaped(first_, p))) ++p;
  raw_measurement_ = {first_, static_cast<std::size_t>(p - first_)};
  measurement_ = unescape(raw_measurement_, kMeasurementEscapes);
  if (measurement_.empty()) return refuse(error, kBadMeasurement, first_, "the measurement is missing");
  // The server takes the limit of the raw form too (its client crashes beyond it).
  if (raw_measurement_.size() > Limits::table_name)
    return refuse(error, kBadMeasurement, first_,
                  "the measurement is longer than " + std::to_string(Limits::table_name) + " bytes");
  if (p < series_end_) ++p;  // the comma

  while (p < series_end_) {
    LineTag tag;
    tag.at = p;
    std::string_view raw;
    if (!scan_key(p, raw, tag.key, error)) return false;
    const char* const begin = p;
    while (p < series_end_ && !(*p == ',' && !is_escaped(first_, p))) {
      if (*p == '=' && !is_escaped(first_, p))
        return refuse(error, kBadSyntax, p, "a tag value holds an '=' that no backslash escapes");
      ++p;
    }
    if (p == begin) return refuse(error, kBadSyntax, p, "a tag value is empty");
    tag.value = unescape({begin, static_cast<std::size_t>(p - begin)}, kKeyEscapes);
    if (tag.value.size() > kLongestTag)
      return refuse(error, kTooLong, begin, "a tag value is longer than " + std::to_string(kLongestTag) + " bytes");
    ++tag_count_;
    if (tags_.size() <= Limits::tags) tags_.push_back(tag);
    if (p < series_end_) ++p;
  }
  return true;
}

bool LineScanner::scan_fields(LineError& error) {
  const char* p = series_end_;
  while (p < end_ && *p == ' ') ++p;
  if (p == end_) return refuse(error, kBadSyntax, p, "the line has no fields");
  while (p < end_) {
    if (*p == ' ') break;  // behind a comma: "f=1, 1626006833639" has one field
    LineField field;
    if (!scan_key(p, field.raw, field.key, error)) return false;
    p = scan_value(p, end_, field.value, error);
    if (p == nullptr) return false;
    ++field_count_;
    if (fields_.size() <= Limits::columns) fields_.push_back(field);
    if (p < end_ && *p == ',') ++p;
  }
  after_fields_ = p;
  return true;
}

const char* LineScanner::scan_value(const char* p, const char* end, LineValue& value, LineError& error) {
  const char* const begin = p;
  const char* pair_end = nullptr;  // second byte of the last escape
  unsigned quotes = 0;
  value = LineValue{};
  for (; p < end; ++p) {
    const char c = *p;
    if (c == '"' || c == '\\') {
      if (p[-1] == '\\' && p - 1 != pair_end && p > begin) {
        pair_end = p;
        value.escapes = true;
      } else if (c == '"' && ++quotes > 2) {
        break;
      }
    } else if (quotes != 1 && (c == ' ' || c == ',') && !is_escaped(begin - 1, p)) {
      break;
    }
  }
  if (quotes != 0 && quotes != 2) {
    refuse(error, kBadSyntax, begin, "the quotes of a value are not balanced");
    return nullptr;
  }
  if (p == begin) {
    refuse(error, kBadSyntax, begin, "a field value is missing");
    return nullptr;
  }
  value.begin = begin;
  value.end = p;
  return parse_value(value, error) ? p : nullptr;
}

bool LineScanner::read_value(std::string_view text, LineValue& value, LineError& error) {
  value = LineValue{};
  value.begin = text.data();
  value.end = text.data() + text.size();
  return parse_value(value, error);
}

bool LineScanner::parse_value(LineValue& value, LineError& error) {
  const std::string_view text(value.begin, static_cast<std::size_t>(value.end - value.begin));
  const auto is = [&](std::string_view word) {
    return text.size() == word.size() &&
           std::equal(text.begin(), text.end(), word.begin(), [](char a, char b) { return (a | 0x20) == b; });
  };
  switch (text[0]) {
    case '"': value.type = Type::varchar; return parse_quoted(value, error, 0);
    case 'l':
    case 'L': value.type = Type::nchar; return parse_quoted(value, error, 1);
    case 'g':
    case 'G': value.type = Type::geometry; return parse_quoted(value, error, 1);
    case 'b':
    case 'B': value.type = Type::varbinary; return parse_quoted(value, error, 1);
    case 't':
    case 'T':
    case 'f':
    case 'F': {
      const bool yes = (text[0] | 0x20) == 't';
      if (!(text.size() == 1 || is(yes ? "true" : "false")))
        return refuse(error, kBadValue, value.begin, "a value is no number, string or boolean");
      value.type = Type::boolean;
      value.slot = yes ? 1 : 0;
      return true;
    }
    default: break;
  }
  Number number;
  if (const char* const wrong = parse_number(text, number))
    return refuse(error, kBadValue, value.begin, "value '" + printable(text, 40) + "' " + wrong);
  value.type = number.type;
  value.slot = number.slot;
  value.suffix_bytes = number.suffix_bytes;
  return true;
}

bool LineScanner::parse_quoted(LineValue& value, LineError& error, std::size_t prefix) {
  const std::string_view text(value.begin, static_cast<std::size_t>(value.end - value.begin));
  if (text.size() < prefix + 2 || text[prefix] != '"' || text.back() != '"')
    return refuse(error, kBadValue, value.begin, "a value is no number, string or boolean");
  const auto content = text.substr(prefix + 1, text.size() - prefix - 2);
  value.content = content;
  const std::size_t size = value.escapes ? unescaped_size(content, kValueEscapes) : content.size();
  const std::size_t most = value.type == Type::nchar ? Limits::nchar : Limits::varchar;

  if (value.type == Type::varbinary && content.substr(0, 2) == "\\x") {
    value.image = true;
    value.image_at = images_.size();
    if (content.size() % 2 != 0)
      return refuse(error, kBadBinary, value.begin, "a hexadecimal VARBINARY value has an odd number of digits");
    for (std::size_t i = 2; i < content.size(); i += 2) {
      const int high = hex_digit(content[i]);
      const int low = hex_digit(content[i + 1]);
      if (high < 0 || low < 0)
        return refuse(error, kBadBinary, value.begin,
                      "a VARBINARY value beginning with \\x holds other than hexadecimal digits");
      images_.push_back(static_cast<char>(high * 16 + low));
    }
  } else if (value.type == Type::geometry) {
    value.image = true;
    value.image_at = images_.size();
    const char* wrong = nullptr;
    if (value.escapes) {
      std::string plain(size, '\0');
      unescape_into(content, kValueEscapes, plain.data());
      wrong = wkt_to_wkb(plain, images_);
    } else {
      wrong = wkt_to_wkb(content, images_);
    }
    if (wrong != nullptr)
      return refuse(error, kBadGeometry, value.begin, std::string("a geometry is not valid: ") + wrong);
  }
  value.bytes = static_cast<std::uint32_t>(value.image ? images_.size() - value.image_at : size);
  if ((value.image ? std::size_t{value.bytes} : size) > most)
    return refuse(
        error, kTooLong, value.begin,
        "a " + std::string(data::type_name(value.type)) + " value is longer than " + std::to_string(most) + " bytes");
  return true;
}

}  // namespace penstock::format
