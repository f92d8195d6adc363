#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "client/dsn.h"

/// The socket below a connection. The implementation (ws_beast.cpp) is the only file that knows Boost and OpenSSL.
namespace penstock::client::detail {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

enum class MessageKind : std::uint8_t { text, binary };

struct WsMessage {
  MessageKind kind = MessageKind::text;
  std::string bytes;
};

/// A WebSocket after its upgrade. One thread. While it waits or polls it answers pings; between calls it does not.
/// Every call but close() throws ConnectionError(Errc::unreachable) once the peer is gone.
class WebSocket {
 public:
  /// Connects to one endpoint and upgrades on `target` ("/ws…"); within options.handshake_timeout. Throws
  /// ConnectionError that says what was found there: nobody, another protocol, TLS or the lack of it, a certificate
  /// that cannot be verified, an HTTP server without this path.
  static std::unique_ptr<WebSocket> connect(const Options& options, const Endpoint& endpoint,
                                            const std::string& target);
  virtual ~WebSocket() = default;

  /// Sends the parts as one message. Throws ConnectionError(Errc::timeout) at the deadline; the socket is dead then,
  /// for part of the message may be out.
  virtual void send(MessageKind kind, std::span<const std::string_view> parts, Deadline deadline) = 0;
  /// The next message in the order of arrival; nullopt at the deadline.
  virtual std::optional<WsMessage> receive(Deadline deadline) = 0;
  /// Does what is due (reads what came, answers pings) and returns at once.
  virtual void poll() = 0;
  /// Says good-bye, waiting for the peer at most half a second.
  virtual void close() noexcept = 0;
};

}  // namespace penstock::client::detail
