#include "sandbox/ws_frames.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/error.h"

namespace penstock::sandbox {
namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kCompressed = 0x40;
constexpr std::uint8_t kContinuation = 0;
constexpr std::uint8_t kText = 1;
constexpr std::uint8_t kBinary = 2;
constexpr std::uint8_t kClose = 8;
constexpr std::uint8_t kPing = 9;
constexpr std::uint8_t kPong = 10;
constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kBadData = 1007;
constexpr std::uint16_t kTooBig = 1009;
constexpr std::size_t kCompressedFrameBytes = 4096;
/// Payloads are read in steps, so that a header that promises too much costs no memory.
constexpr std::size_t kReadStep = std::size_t{1} << 20;
constexpr std::string_view kDeflateTail("\x00\x00\xff\xff", 4);

/// XORs with the mask; `phase` is the offset of data[0] in the payload.
void unmask(char* data, std::size_t count, std::uint32_t mask, std::size_t phase) {
  const auto turned = std::rotr(mask, static_cast<int>(8 * (phase % 4)));  // little-endian: byte 0 is the lowest
  const std::uint64_t wide = (std::uint64_t{turned} << 32) | turned;
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, data + i, 8);
    word ^= wide;
    std::memcpy(data + i, &word, 8);
  }
  for (; i < count; ++i) data[i] = static_cast<char>(data[i] ^ static_cast<char>(wide >> (8 * (i % 8))));
}

}  // namespace

struct WsStream::Deflate {
  z_stream in{};
  z_stream out{};
  Deflate() {
    // Raw deflate with the largest window: what a peer compressed with a smaller one inflates too.
    if (inflateInit2(&in, -15) != Z_OK) throw Error(Errc::io, "cannot set up zlib for a WebSocket: out of memory");
    if (deflateInit2(&out, Z_BEST_SPEED, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      inflateEnd(&in);
      throw Error(Errc::io, "cannot set up zlib for a WebSocket: out of memory");
    }
  }
  ~Deflate() {
    inflateEnd(&in);
    deflateEnd(&out);
  }
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;
};

WsStream::WsStream(Socket& socket, bool deflate, Timing timing)
    : socket_(socket),
      timing_(timing),
      next_ping_(Socket::Clock::now() + timing.ping_every),
      silent_after_(Socket::Clock::now() + timing.silence),
      deflate_(deflate ? std::make_unique<Deflate>() : nullptr) {}

WsStream::~WsStream() = default;

bool WsStream::read_exactly(char* to, std::size_t count) {
  while (count > 0) {
    const auto now = Socket::Clock::now();
    if (now >= silent_after_) return false;
    if (now >= next_ping_) {
      next_ping_ = now + timing_.ping_every;
      const std::lock_guard lock(write_mutex_);
      if (!send_frame(kFinal | kPing, {})) return false;
    }
    if (socket_.wait_readable(std::min(next_ping_, silent_after_)) == Socket::Wait::timed_out) continue;
    const std::size_t got = socket_.read_some(to, count);
    if (got == 0) return false;
    to += got;
    count -= got;
  }
  return true;
}

std::optional<WsStream::Frame> WsStream::read_frame_header() {
  std::array<std::uint8_t, 8> bytes{};
  const auto read = [&](std::size_t count) { return read_exactly(reinterpret_cast<char*>(bytes.data()), count); };
  if (!read(2)) return std::nullopt;
  Frame frame;
  frame.final = (bytes[0] & kFinal) != 0;
  frame.compressed = (bytes[0] & kCompressed) != 0;
  frame.opcode = bytes[0] & 0x0f;
  const bool control = frame.opcode >= kClose;
  const bool masked = (bytes[1] & 0x80) != 0;
  frame.length = bytes[1] & 0x7f;
  std::string_view problem;
  if (frame.compressed && (!deflate_ || control || frame.opcode == kContinuation)) {
    problem = "RSV1 set";
  } else if ((bytes[0] & 0x30) != 0) {
    problem = "RSV2 or RSV3 set";
  } else if (control && frame.opcode > kPong) {
    problem = "bad opcode";
  } else if (control && frame.length > 125) {
    problem = "len > 125 for control";
  } else if (control && !frame.final) {
    problem = "FIN not set on control";
  } else if (!control && frame.opcode > kBinary) {
    problem = "bad opcode";
  } else if (!control && (frame.opcode == kContinuation) != in_message_) {
    problem = in_message_ ? "data before FIN" : "continuation after FIN";
  } else if (!masked) {
    problem = "bad MASK";
  }
  if (!problem.empty()) {
    fail(kProtocolError, problem);
    return std::nullopt;
  }
  if (frame.length >= 126) {
    const std::size_t width = frame.length == 126 ? 2 : 8;
    if (!read(width)) return std::nullopt;
    frame.length = 0;
    for (std::size_t i = 0; i < width; ++i) frame.length = (frame.length << 8) | bytes[i];
  }
  if (!read(4)) return std::nullopt;
  std::memcpy(&frame.mask, bytes.data(), 4);
  return frame;
}

bool WsStream::read_payload(const Frame& frame, std::string& to) {
  if (frame.length > kMaxMessageBytes - std::min(kMaxMessageBytes, to.size())) {
    fail(kTooBig, "message too big");
    return false;
  }
  auto left = static_cast<std::size_t>(frame.length);
  std::size_t phase = 0;
  while (left > 0) {
    const std::size_t step = std::min(left, std::max(kReadStep, to.size()));
    const std::size_t begin = to.size();
    to.resize(begin + step);
    if (!read_exactly(to.data() + begin, step)) return false;
    unmask(to.data() + begin, step, frame.mask, phase);
    phase += step;
    left -= step;
  }
  return true;
}

bool WsStream::handle_control(const Frame& frame) {
  std::string payload;
  if (!read_payload(frame, payload)) return false;
  if (frame.opcode == kClose) return false;
  if (frame.opcode == kPong) {
    heard();
    return true;
  }
  const std::lock_guard lock(write_mutex_);
  return send_frame(kFinal | kPong, payload);
}

std::optional<WsMessage> WsStream::receive() {
  WsMessage message;
  bool compressed = false;
  for (;;) {
    const auto frame = read_frame_header();
    if (!frame) return std::nullopt;
    if (frame->opcode >= kClose) {
      if (!handle_control(*frame)) return std::nullopt;
      continue;
    }
    if (frame->opcode != kContinuation) {
      message.binary = frame->opcode == kBinary;
      compressed = frame->compressed;
    }
    if (!read_payload(*frame, message.payload)) return std::nullopt;
    in_message_ = !frame->final;
    if (!frame->final) continue;
    heard();
    if (compressed && !inflate_message(message.payload)) {
      fail(kBadData, "cannot inflate message");
      return std::nullopt;
    }
    return message;
  }
}

bool WsStream::inflate_message(std::string& payload) {
  payload.append(kDeflateTail);
  z_stream& stream = deflate_->in;
  if (inflateReset(&stream) != Z_OK) return false;
  std::string plain;
  stream.next_in = reinterpret_cast<Bytef*>(payload.data());
  stream.avail_in = static_cast<uInt>(payload.size());  // payload <= kMaxMessageBytes + 4
  for (;;) {
    const std::size_t begin = plain.size();
    const std::size_t room = std::clamp<std::size_t>(begin, 4096, std::size_t{1} << 26);
    if (begin + room > kMaxMessageBytes) return false;
    plain.resize(begin + room);
    stream.next_out = reinterpret_cast<Bytef*>(plain.data() + begin);
    stream.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream, Z_SYNC_FLUSH);
    plain.resize(plain.size() - stream.avail_out);
    if (status == Z_STREAM_END) break;  // a peer that ends the deflate stream: nothing may follow
    if (status != Z_OK && status != Z_BUF_ERROR) return false;
    if (stream.avail_in == 0 && stream.avail_out > 0) break;
    if (status == Z_BUF_ERROR && stream.avail_out > 0) return false;
  }
  payload = std::move(plain);
  return true;
}

bool WsStream::send_data(std::uint8_t opcode, std::string_view payload, std::string_view tail) {
  const std::lock_guard lock(write_mutex_);
  if (!deflate_) return send_frame(kFinal | opcode, payload, tail);
  std::string joined;
  if (!tail.empty()) payload = joined.append(payload).append(tail);

  z_stream& stream = deflate_->out;
  deflateReset(&stream);
  std::string packed(deflateBound(&stream, static_cast<uLong>(payload.size())) + 16, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(payload.data()));  // zlib only reads it
  stream.avail_in = static_cast<uInt>(payload.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_SYNC_FLUSH) != Z_OK) return false;
  packed.resize(packed.size() - stream.avail_out - kDeflateTail.size());

  std::string_view rest = packed;
  std::uint8_t first = kCompressed | opcode;
  do {
    const auto part = rest.substr(0, kCompressedFrameBytes);
    rest.remove_prefix(part.size());
    if (!send_frame(static_cast<std::uint8_t>(first | (rest.empty() ? kFinal : 0)), part)) return false;
    first = kContinuation;
  } while (!rest.empty());
  return true;
}

std::string WsStream::frame_head(std::uint8_t first_byte, std::size_t length) {
  std::string head(1, static_cast<char>(first_byte));
  if (length < 126) return head += static_cast<char>(length);
  const std::size_t width = length <= 0xffff ? 2 : 8;
  head += static_cast<char>(width == 2 ? 126 : 127);
  for (std::size_t i = 0; i < width; ++i) head += static_cast<char>(std::uint64_t{length} >> (8 * (width - 1 - i)));
  return head;
}

bool WsStream::send_frame(std::uint8_t first_byte, std::string_view payload, std::string_view tail) {
  std::string head = frame_head(first_byte, payload.size() + tail.size());
  if (tail.empty()) return socket_.write_all(head, payload);
  return socket_.write_all(head.append(payload), tail);
}

void WsStream::send_half(bool binary, std::string_view payload) {
  const std::lock_guard lock(write_mutex_);
  const auto head = frame_head(static_cast<std::uint8_t>(kFinal | (binary ? 2 : 1)), payload.size());
  socket_.write_all(head, payload.substr(0, payload.size() / 2));
}

void WsStream::fail(std::uint16_t code, std::string_view reason) {
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  payload += reason;
  const std::lock_guard lock(write_mutex_);
  send_frame(kFinal | kClose, payload);
}

std::string websocket_accept(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, 4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1> encoded{};
  const int length = EVP_EncodeBlock(encoded.data(), digest.data(), SHA_DIGEST_LENGTH);
  return std::string(encoded.begin(), encoded.begin() + length);
}

}  // namespace penstock::sandbox
