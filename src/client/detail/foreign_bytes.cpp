#include "client/detail/foreign_bytes.h"

#include "base/text.h"

namespace penstock::client::detail {
namespace {

constexpr std::uint32_t kFirst = 0x10F000;
constexpr std::uint32_t kVariants = 15;

// Bytes of the well-formed character at the front, 0 when there is none.
std::size_t length_of(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text[0]);
  const std::size_t length = byte < 0x80 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 0;
  if (length == 0 || length > text.size() || !is_utf8(text.substr(0, length))) return 0;
  return length;
}

std::uint32_t code_point(std::string_view four) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(four[i]); };
  if ((byte(0) & 0xF8U) != 0xF0) return 0;
  return (byte(0) & 7U) << 18 | (byte(1) & 0x3FU) << 12 | (byte(2) & 0x3FU) << 6 | (byte(3) & 0x3FU);
}

}  // namespace

std::string ForeignBytes::character(std::uint32_t n) const {
  const std::uint32_t code = kFirst + 256U * variant_ + n;
  return {static_cast<char>(0xF0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 0x3F)),
          static_cast<char>(0x80 | (code >> 6 & 0x3F)), static_cast<char>(0x80 | (code & 0x3F))};
}

void ForeignBytes::hide(std::string& text) {
  // Characters that the text has not.
  for (variant_ = 0; variant_ < kVariants - 1; ++variant_) {
    if (text.find(character(0).substr(0, 3)) == std::string::npos &&
        text.find(character(64).substr(0, 3)) == std::string::npos)
      break;
  }
  std::string out;
  out.reserve(text.size() + text.size() / 8 + 64);
  for (std::size_t at = 0; at < text.size();) {
    const auto length = length_of(std::string_view(text).substr(at));
    if (length == 0) out += character(static_cast<unsigned char>(text[at]) - 0x80U);
    else out.append(text, at, length);
    at += length == 0 ? 1 : length;
  }
  text = std::move(out);
  used_ = true;
}

std::string_view ForeignBytes::show(std::string_view text, std::string& memory) const {
  if (!used_) return text;
  const auto first = kFirst + 256U * variant_;
  memory.clear();
  for (std::size_t at = 0; at < text.size();) {
    const auto code = text.size() - at >= 4 ? code_point(text.substr(at, 4)) : 0;
    if (code >= first && code < first + 128) {
      memory += static_cast<char>(0x80 + (code - first));
      at += 4;
    } else {
      memory += text[at++];
    }
  }
  return memory;
}

}  // namespace penstock::client::detail
