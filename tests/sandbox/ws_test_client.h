#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// A WebSocket and HTTP client over a bare socket, for tests: it can also break the rules. Written apart from the
/// server's code, so that they do not share their mistakes.
namespace penstock::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpReply {
  int status = 0;  ///< 0: the server closed without an answer
  Headers headers;
  std::string body;                                               ///< unchunked and inflated
  [[nodiscard]] std::string header(std::string_view name) const;  ///< "" when absent
};

/// A TCP connection to 127.0.0.1. Throws std::runtime_error when it cannot connect.
class RawConnection {
 public:
  explicit RawConnection(std::uint16_t port);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  /// False when the server has gone.
  bool send(std::string_view bytes);
  void close_sending();
  /// Bytes that came, at least one; "" at the end; nullopt after `timeout`.
  std::optional<std::string> receive_some(std::chrono::milliseconds timeout);
  /// Sends one request and reads its answer; the connection stays usable.
  HttpReply exchange(std::string_view method, std::string_view target, const Headers& headers,
                     std::optional<std::string_view> body);

 protected:
  bool fill(std::chrono::milliseconds timeout);  // false: end or time-out
  std::string buffer_;
  bool ended_ = false;

 private:
  int descriptor_ = -1;
};

/// One exchange on a connection of its own.
HttpReply http(std::uint16_t port, std::string_view method, std::string_view target, const Headers& headers = {},
               std::optional<std::string_view> body = std::nullopt);

class WsTestClient : public RawConnection {
 public:
  static constexpr std::uint8_t kText = 1;
  static constexpr std::uint8_t kBinary = 2;
  static constexpr std::uint8_t kClose = 8;
  static constexpr std::uint8_t kPing = 9;
  static constexpr std::uint8_t kPong = 10;

  struct Message {
    std::uint8_t opcode = 0;  ///< of the first frame
    std::string payload;      ///< fragments joined, inflated
    bool compressed = false;
    int frames = 0;
  };
  struct How {
    bool masked = true;
    bool compressed = false;
    int frames = 1;
  };

  explicit WsTestClient(std::uint16_t port, std::string_view path = "/ws", bool deflate = false);
  /// With headers of the caller's choice; `upgrade` has the answer.
  WsTestClient(std::uint16_t port, std::string_view path, const Headers& headers, std::string_view method = "GET");

  HttpReply upgrade;
  bool send_message(std::uint8_t opcode, std::string_view payload, How how);
  bool send_message(std::uint8_t opcode, std::string_view payload) { return send_message(opcode, payload, How{}); }
  /// The next whole message or control frame. nullopt: the end (see ended()) or the time-out.
  std::optional<Message> receive(std::chrono::milliseconds timeout = std::chrono::seconds(20));
  [[nodiscard]] bool ended() const { return ended_; }

  /// Sends a text request and returns the next data message's payload ("" at the end); answers no PING.
  std::string ask(std::string_view json);
  std::string ask_binary(std::string_view bytes);
};

/// Headers of a plain upgrade request.
Headers upgrade_headers();

std::string from_hex(std::string_view hex);
std::string to_hex(std::string_view bytes);

}  // namespace penstock::test
