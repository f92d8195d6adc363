#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/net.h"

namespace penstock::sandbox {

/// A whole data message of a client: fragments joined, unmasked, inflated.
struct WsMessage {
  bool binary = false;
  std::string payload;
};

/// The server's end of one WebSocket after the upgrade (RFC 6455, permessage-deflate RFC 7692 without context
/// takeover). receive() is for one thread; send_*() for any.
///
/// As the recorded server: text is not checked for UTF-8; the answer to CLOSE is the end of the TCP connection; an
/// empty PING goes out every 54 s; 114 s without a data message or PONG end the connection without a CLOSE.
class WsStream {
 public:
  struct Timing {
    std::chrono::milliseconds ping_every{54'000};
    std::chrono::milliseconds silence{114'000};
  };
  WsStream(Socket& socket, bool deflate, Timing timing);
  ~WsStream();

  /// The next data message; answers PINGs meanwhile. nullopt: the connection is over.
  std::optional<WsMessage> receive();
  /// Sends one message, in frames of 4096 bytes when compression was negotiated. False: the connection is over.
  bool send_text(std::string_view text) { return send_data(1, text); }
  /// `tail` follows `bytes` in the same message.
  bool send_binary(std::string_view bytes, std::string_view tail = {}) { return send_data(2, bytes, tail); }

  /// Sends a frame that tells of the whole payload and holds half of it: what a broken connection leaves. For tests.
  void send_half(bool binary, std::string_view payload);

  /// Longest message taken, on the wire and inflated. The real server has no bound; this one only keeps a wrong length
  /// or a deflate bomb from eating the machine.
  static constexpr std::size_t kMaxMessageBytes = std::size_t{1} << 30;

 private:
  struct Frame {
    bool final = false;
    bool compressed = false;
    std::uint8_t opcode = 0;
    std::uint64_t length = 0;
    std::uint32_t mask = 0;
  };
  struct Deflate;

  bool read_exactly(char* to, std::size_t count);
  std::optional<Frame> read_frame_header();
  bool read_payload(const Frame& frame, std::string& to);
  bool handle_control(const Frame& frame);
  bool inflate_message(std::string& payload);
  static std::string frame_head(std::uint8_t first_byte, std::size_t length);
  bool send_data(std::uint8_t opcode, std::string_view payload, std::string_view tail = {});
  bool send_frame(std::uint8_t first_byte, std::string_view payload, std::string_view tail = {});  // write_mutex_ held
  void fail(std::uint16_t code, std::string_view reason);
  void heard() { silent_after_ = Socket::Clock::now() + timing_.silence; }

  Socket& socket_;
  const Timing timing_;
  Socket::Clock::time_point next_ping_;
  Socket::Clock::time_point silent_after_;
  bool in_message_ = false;  ///< a fragmented message has begun
  std::mutex write_mutex_;   ///< guards writes and deflate_'s compressor
  std::unique_ptr<Deflate> deflate_;
};

/// "258EAF…" digest of RFC 6455 for a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);

}  // namespace penstock::sandbox
