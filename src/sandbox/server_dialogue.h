#pragma once

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
  virtual ~Dialogue() = default;

  /// The answer to a message; nullopt where the server stays silent. Never throws for what a client can send: whatever
  /// goes wrong is answered as an error.
  virtual std::optional<Reply> handle(WsMessage message) = 0;
};

}  // namespace penstock::sandbox
