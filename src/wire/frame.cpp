#include "wire/frame.h"

#include <bit>

namespace penstock::wire {
namespace {

void put_big_endian(char* at, std::uint64_t value, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes; ++i) at[i] = static_cast<char>(value >> 8 * (bytes - 1 - i));
}

// Copies and masks; `phase` is the number of payload bytes before, and is moved on.
void copy_masked(char* to, std::string_view from, std::uint32_t mask, std::size_t& phase) noexcept {
  const std::uint32_t turned = std::rotr(mask, static_cast<int>(8 * (phase % 4)));
  const std::uint64_t wide = std::uint64_t{turned} << 32 | turned;
  std::size_t at = 0;
  for (; at + 8 <= from.size(); at += 8) store(to + at, load<std::uint64_t>(from.data() + at) ^ wide);
  for (; at < from.size(); ++at) to[at] = static_cast<char>(from[at] ^ static_cast<char>(turned >> 8 * (at % 4)));
  phase += from.size();
}

}  // namespace

void append_masked_frame(Buffer& out, std::span<const std::string_view> parts, std::uint32_t mask) {
  std::size_t payload = 0;
  for (const auto part : parts) payload += part.size();
  const std::size_t length_bytes = payload < 126 ? 0 : payload < 65536 ? 2 : 8;
  char* at = out.grow(2 + length_bytes + 4 + payload);
  *at++ = static_cast<char>(0x82);  // final, binary
  *at++ = static_cast<char>(0x80 | (length_bytes == 0 ? payload : length_bytes == 2 ? 126 : 127));
  put_big_endian(at, payload, length_bytes);
  at += length_bytes;
  store(at, mask);
  at += 4;
  std::size_t phase = 0;
  for (const auto part : parts) {
    copy_masked(at, part, mask, phase);
    at += part.size();
  }
}

}  // namespace penstock::wire
