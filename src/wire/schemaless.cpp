#include "wire/schemaless.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/text.h"
#include "wire/bytes.h"

namespace penstock::wire {
namespace {

constexpr std::size_t kBlock = 16;
constexpr std::size_t kLongestEscape = 6;

// Writes the escape of `c`, which needs one, and returns the end.
char* put_escape(char* out, char c) noexcept {
  *out++ = '\\';
  switch (c) {
    case '"':
    case '\\': *out++ = c; return out;
    case '\n': *out++ = 'n'; return out;
    case '\r': *out++ = 'r'; return out;
    case '\t': *out++ = 't'; return out;
    default: break;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  for (const char digit : {'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]}) *out++ = digit;
  return out;
}

bool needs_escape(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

// Bit i set: byte i of the 16 at `at` needs an escape.
std::uint32_t escapes_in_block(const char* at) noexcept {
#if defined(__SSE2__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const __m128i control = _mm_cmpeq_epi8(_mm_max_epu8(bytes, _mm_set1_epi8(0x20)), bytes);  // 0 where < 0x20
  const __m128i quote =
      _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
  const auto plain = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_andnot_si128(quote, control)));
  return ~plain & 0xFFFF;
#else
  std::uint32_t mask = 0;
  for (std::size_t i = 0; i < kBlock; ++i) mask |= static_cast<std::uint32_t>(needs_escape(at[i])) << i;
  return mask;
#endif
}

// Escapes [at, end) to `out`, which has room for six bytes a byte of input plus a block. Returns the end.
char* escape(char* out, const char* at, const char* end) noexcept {
  while (static_cast<std::size_t>(end - at) >= kBlock) {
    std::uint32_t mask = escapes_in_block(at);
    std::memcpy(out, at, kBlock);
    if (mask == 0) [[likely]] {
      at += kBlock;
      out += kBlock;
      continue;
    }
    const auto plain = std::countr_zero(mask);
    out = put_escape(out + plain, at[plain]);
    at += plain + 1;
  }
  for (; at != end; ++at) {
    if (needs_escape(*at)) out = put_escape(out, *at);
    else *out++ = *at;
  }
  return out;
}

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
  // In pieces, so that the room for the worst case (six bytes a byte) stays small beside the text.
  constexpr std::size_t kPiece = 16 * 1024;
  std::array<char, kPiece * kLongestEscape + kBlock> room;  // NOLINT: filled before it is read
  out.reserve(out.size() + text.size() + text.size() / 16);
  for (std::size_t at = 0; at < text.size(); at += kPiece) {
    const auto piece = text.substr(at, kPiece);
    const char* const end = escape(room.data(), piece.data(), piece.data() + piece.size());
    out.append(room.data(), static_cast<std::size_t>(end - room.data()));
  }
}

std::optional<std::size_t> encode_schemaless(std::string& out, const SchemalessHead& head, std::string_view text) {
  out.clear();
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    // Rare: find the place, character by character.
    std::size_t good = 0;
    for (std::size_t length = 1; length <= 4 && good + length <= text.size();) {
      const bool whole = is_utf8(text.substr(good, length));
      good += whole ? length : 0;
      length = whole ? 1 : length + 1;
    }
    return good;
  }
  out.reserve(text.size() + text.size() / 16 + 256);
  out = fmt::format(R"({{"action":"insert","args":{{"req_id":{},"protocol":{},"precision":")", head.request_id,
                    number(head.protocol));
  append_json_escaped(out, head.precision);
  out += fmt::format(R"(","ttl":{},"table_name_key":")", head.ttl_days);
  append_json_escaped(out, head.table_name_key);
  out += R"(","data":")";
  append_json_escaped(out, text);
  out += "\"}}";
  return std::nullopt;
}

}  // namespace penstock::wire
