#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "sandbox/engine.h"
#include "sandbox/server_dialogue.h"
#include "sandbox/server_ws_request.h"
#include "sandbox/subscription.h"

namespace penstock::sandbox {

/// The dialogue on one `/rest/tmq` connection: one consumer. Polls are carried out one at a time by a thread of their
/// own and answered out of turn; a poll that waits is replaced by the next one and never answered.
/// What cannot be read gets no answer. Errors of committed, position and fetch_json_meta carry those members too,
/// empty: the real server leaves them out, and clients that need them then wait for their time-out. Source of actions,
/// member order and texts: taosAdapter 3.3.7.5 as recorded.
class TmqDialogue final : public Dialogue {
 public:
  /// `engine` must outlive the dialogue.
  /// `credentials` of the upgrade request count instead of those in `subscribe`.
  explicit TmqDialogue(Engine& engine, std::optional<Credentials> credentials = std::nullopt);
  ~TmqDialogue() override;

  void begin(Send send) override { send_ = std::move(send); }
  std::optional<Reply> handle(WsMessage message) override;
  void end() override;

 private:
  using Action = std::string (TmqDialogue::*)(WsRequest&, const WsArgs&);
  struct ActionEntry;
  static const ActionEntry* find_action(std::string_view name);

  struct Poll {
    WsRequest request;
    std::chrono::milliseconds blocking_time{0};
    std::optional<std::uint64_t> message_id;
  };

  // Each returns the members after the common ones (with a leading comma) or throws RefusalError.
  std::string version(WsRequest&, const WsArgs&);
  std::string subscribe(WsRequest&, const WsArgs&);
  std::string unsubscribe(WsRequest&, const WsArgs&);
  std::string poll(WsRequest&, const WsArgs&);
  std::string fetch(WsRequest&, const WsArgs&);
  std::string fetch_block(WsRequest&, const WsArgs&);
  std::string fetch_raw_data(WsRequest&, const WsArgs&);
  std::string fetch_raw(WsRequest&, const WsArgs&);
  std::string fetch_json_meta(WsRequest&, const WsArgs&);
  std::string commit(WsRequest&, const WsArgs&);
  std::string commit_offset(WsRequest&, const WsArgs&);
  std::string assignment(WsRequest&, const WsArgs&);
  std::string seek(WsRequest&, const WsArgs&);
  std::string committed(WsRequest&, const WsArgs&);
  std::string position(WsRequest&, const WsArgs&);
  std::string list_topics(WsRequest&, const WsArgs&);

  ConsumerOptions read_options(const WsArgs& args);
  Consumer& consumer() const;
  void start_polling();
  void poll_loop(const std::stop_token& stop);
  std::string carry_out(const Poll& poll, const std::stop_token& stop);

  Engine& engine_;
  const std::optional<Credentials> credentials_;
  Send send_;
  std::unique_ptr<Consumer> consumer_;  ///< stays once the polling thread runs
  bool subscribed_ = false;
  bool auto_commit_ = false;
  std::chrono::milliseconds auto_commit_every_{5000};

  std::mutex mutex_;  ///< guards what follows
  std::condition_variable_any asked_;
  std::optional<Poll> waiting_;
  std::optional<Message> message_;  ///< the latest
  std::uint64_t message_id_ = 0;
  std::size_t next_part_ = 0;
  std::string buffer_;  ///< the binary answer made last; fetch_block sends it again with another timing
  std::chrono::steady_clock::time_point next_commit_;

  std::jthread polling_;
};

}  // namespace penstock::sandbox
