#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/ws_frames.h"

namespace penstock::sandbox {

/// Who logs in.
struct Credentials {
  std::string user;
  std::string password;
};

/// The dialogue on one WebSocket connection: messages in, answers out, no sockets. One thread at a time.
class Dialogue {
 public:
  struct Reply {
    bool binary = false;
    std::string payload;
    std::string_view tail;  ///< rest of the message, sent from where it lies; valid until the next handle()
  };
  /// Sends an answer; any thread.
  using Send = std::function<void(const Reply&)>;
  virtual ~Dialogue() = default;

  /// Comes before the first message: how to send answers that are ready later than their turn.
  virtual void begin(Send) {}
  /// Comes behind the last message: nothing is sent any more once it returns.
  virtual void end() {}

  /// The answer to a message; nullopt where the server stays silent. Never throws for what a client can send: whatever
  /// goes wrong is answered as an error.
  virtual std::optional<Reply> handle(WsMessage message) = 0;
};

}  // namespace penstock::sandbox
