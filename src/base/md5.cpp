#include "base/md5.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace penstock {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kBlock = 64;
// Of a last block: one byte ends the text, eight tell its length.
constexpr std::size_t kTail = 9;

struct State {
  std::uint32_t a = 0x67452301, b = 0xEFCDAB89, c = 0x98BADCFE, d = 0x10325476;
};

// The four rounds' functions, in the forms with the shortest way from b to the result.
constexpr auto kF = [](std::uint32_t b, std::uint32_t c, std::uint32_t d) { return d ^ (b & (c ^ d)); };
// The sum stands for the "or" of two that share no bit: one of them is there before b is.
constexpr auto kG = [](std::uint32_t b, std::uint32_t c, std::uint32_t d) { return (~d & c) + (d & b); };
constexpr auto kH = [](std::uint32_t b, std::uint32_t c, std::uint32_t d) { return b ^ (c ^ d); };
constexpr auto kI = [](std::uint32_t b, std::uint32_t c, std::uint32_t d) { return c ^ (b | ~d); };

template <int Shift, class Function>
inline void step(Function function, std::uint32_t& a, std::uint32_t b, std::uint32_t c, std::uint32_t d,
                 std::uint32_t word, std::uint32_t constant) {
  a = std::rotl(a + word + constant + function(b, c, d), Shift) + b;
}

template <int S0, int S1, int S2, int S3, class Function>
inline void four(Function function, State& s, const std::uint32_t (&w)[4], const std::uint32_t (&k)[4]) {
  step<S0>(function, s.a, s.b, s.c, s.d, w[0], k[0]);
  step<S1>(function, s.d, s.a, s.b, s.c, w[1], k[1]);
  step<S2>(function, s.c, s.d, s.a, s.b, w[2], k[2]);
  step<S3>(function, s.b, s.c, s.d, s.a, w[3], k[3]);
}

void add_block(State& state, const char* block) noexcept {
  std::uint32_t w[16];
  std::memcpy(w, block, sizeof w);
  State s = state;
  four<7, 12, 17, 22>(kF, s, {w[0], w[1], w[2], w[3]}, {0xD76AA478, 0xE8C7B756, 0x242070DB, 0xC1BDCEEE});
  four<7, 12, 17, 22>(kF, s, {w[4], w[5], w[6], w[7]}, {0xF57C0FAF, 0x4787C62A, 0xA8304613, 0xFD469501});
  four<7, 12, 17, 22>(kF, s, {w[8], w[9], w[10], w[11]}, {0x698098D8, 0x8B44F7AF, 0xFFFF5BB1, 0x895CD7BE});
  four<7, 12, 17, 22>(kF, s, {w[12], w[13], w[14], w[15]}, {0x6B901122, 0xFD987193, 0xA679438E, 0x49B40821});
  four<5, 9, 14, 20>(kG, s, {w[1], w[6], w[11], w[0]}, {0xF61E2562, 0xC040B340, 0x265E5A51, 0xE9B6C7AA});
  four<5, 9, 14, 20>(kG, s, {w[5], w[10], w[15], w[4]}, {0xD62F105D, 0x02441453, 0xD8A1E681, 0xE7D3FBC8});
  four<5, 9, 14, 20>(kG, s, {w[9], w[14], w[3], w[8]}, {0x21E1CDE6, 0xC33707D6, 0xF4D50D87, 0x455A14ED});
  four<5, 9, 14, 20>(kG, s, {w[13], w[2], w[7], w[12]}, {0xA9E3E905, 0xFCEFA3F8, 0x676F02D9, 0x8D2A4C8A});
  four<4, 11, 16, 23>(kH, s, {w[5], w[8], w[11], w[14]}, {0xFFFA3942, 0x8771F681, 0x6D9D6122, 0xFDE5380C});
  four<4, 11, 16, 23>(kH, s, {w[1], w[4], w[7], w[10]}, {0xA4BEEA44, 0x4BDECFA9, 0xF6BB4B60, 0xBEBFBC70});
  four<4, 11, 16, 23>(kH, s, {w[13], w[0], w[3], w[6]}, {0x289B7EC6, 0xEAA127FA, 0xD4EF3085, 0x04881D05});
  four<4, 11, 16, 23>(kH, s, {w[9], w[12], w[15], w[2]}, {0xD9D4D039, 0xE6DB99E5, 0x1FA27CF8, 0xC4AC5665});
  four<6, 10, 15, 21>(kI, s, {w[0], w[7], w[14], w[5]}, {0xF4292244, 0x432AFF97, 0xAB9423A7, 0xFC93A039});
  four<6, 10, 15, 21>(kI, s, {w[12], w[3], w[10], w[1]}, {0x655B59C3, 0x8F0CCC92, 0xFFEFF47D, 0x85845DD1});
  four<6, 10, 15, 21>(kI, s, {w[8], w[15], w[6], w[13]}, {0x6FA87E4F, 0xFE2CE6E0, 0xA3014314, 0x4E0811A1});
  four<6, 10, 15, 21>(kI, s, {w[4], w[11], w[2], w[9]}, {0xF7537E82, 0xBD3AF235, 0x2AD7D2BB, 0xEB86D391});
  state.a += s.a;
  state.b += s.b;
  state.c += s.c;
  state.d += s.d;
}

}  // namespace

Md5 md5(std::string_view bytes) noexcept {
  State state;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= kBlock; at += kBlock, left -= kBlock) add_block(state, at);
  char last[2 * kBlock] = {};
  if (left > 0) std::memcpy(last, at, left);
  last[left] = static_cast<char>(0x80);
  const std::size_t size = left + kTail <= kBlock ? kBlock : 2 * kBlock;
  const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
  std::memcpy(last + size - sizeof bits, &bits, sizeof bits);
  for (std::size_t done = 0; done < size; done += kBlock) add_block(state, last + done);
  Md5 digest;
  std::memcpy(digest.data(), &state, sizeof state);
  return digest;
}

}  // namespace penstock
