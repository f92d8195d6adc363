#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/detail/consumer_backend.h"
#include "client/detail/tmq_link.h"

namespace penstock::client::detail {

struct Reach;

/// A consumer over WebSocket: one connection to `/rest/tmq`.
class WsConsumer final : public ConsumerBackend {
 public:
  /// Connects; throws ConnectionError.
  explicit WsConsumer(ConsumerPlan plan);
  ~WsConsumer() override;

  void subscribe(std::span<const std::string> topics) override;
  void unsubscribe() override;
  [[nodiscard]] std::vector<std::string> topics() const override { return topics_; }
  std::unique_ptr<MessageState> poll(std::chrono::milliseconds timeout) override;
  void commit() override;
  void commit(const MessageState& message) override;
  void commit(const Offset& offset) override;
  std::vector<Assignment> assignment(std::string_view topic) override;
  void seek(const Offset& offset) override;
  std::optional<std::int64_t> committed(std::string_view topic, std::int32_t vgroup) override;
  std::optional<std::int64_t> position(std::string_view topic, std::int32_t vgroup) override;
  void close() override;

 private:
  // Makes the connection and the subscription anew where they were lost; throws InterfaceError after close().
  void revive(std::string_view action);
  void need_topics(std::string_view action) const;
  void send_subscribe();
  [[nodiscard]] std::string subscribe_arguments(bool batch_meta) const;
  [[noreturn]] void refuse_subscription(const TmqAnswer& answer);
  std::unique_ptr<MessageState> deliver(TmqAnswer&& answer);
  // Waits for a poll that is under way; its message stays for the next call.
  void settle();
  void commit_behind(const std::string& topic, std::int32_t vgroup, const Reach& reach);
  std::optional<std::int64_t> offset_of(std::string_view action, std::string_view topic, std::int32_t vgroup);
  void forget_messages() noexcept;

  const ConsumerPlan plan_;
  const std::shared_ptr<TmqLink> link_;
  std::vector<std::string> topics_;
  std::uint64_t subscribed_ = 0;  ///< the connection on which the topics were subscribed to
  bool closed_ = false;
  std::uint64_t last_message_ = 0;
  std::unique_ptr<MessageState> waiting_;  ///< came late: for the next poll
  std::map<std::pair<std::string, std::int32_t>, std::shared_ptr<Reach>> delivered_;
};

}  // namespace penstock::client::detail
