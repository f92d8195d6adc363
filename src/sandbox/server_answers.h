#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "sandbox/faults.h"
#include "sandbox/net.h"
#include "sandbox/server_dialogue.h"
#include "sandbox/ws_frames.h"

namespace penstock::sandbox {

/// Kinds of faults that need the answer, so that the request is carried out.
bool needs_answer(FaultRule::Kind kind) noexcept;

/// Sends the answers of one WebSocket connection, spoilt as the rules for its endpoint have it.
/// All that is given must outlive this.
class WsAnswers {
 public:
  WsAnswers(WsStream& stream, Socket& socket, Faults& faults, std::string endpoint)
      : stream_(stream), socket_(socket), faults_(faults), endpoint_(std::move(endpoint)) {}

  /// Carries a request out and answers it. False: the connection is over. One thread.
  using Handle = std::function<std::optional<Dialogue::Reply>(WsMessage)>;
  bool answer(WsMessage message, const Handle& handle);
  /// Sends an answer out of its turn, as the rule says that its request fell under. Any thread.
  void send_later(const Dialogue::Reply& reply);

 private:
  /// False: the connection is over.
  bool send(Dialogue::Reply reply, const FaultRule* fault);

  WsStream& stream_;
  Socket& socket_;
  Faults& faults_;
  const std::string endpoint_;
  std::mutex mutex_;
  std::map<std::uint64_t, FaultRule> later_;  ///< by the ids of requests that are not answered yet
};

}  // namespace penstock::sandbox
