#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/detail/consumer_backend.h"
#include "client/detail/native_tmq_link.h"

namespace penstock::client::detail {

/// A consumer over TDengine's own client library, which commits by itself where enable.auto.commit is set. Its calls
/// run on a thread of the consumer, so that time-outs and stops hold.
class NativeConsumer final : public ConsumerBackend {
 public:
  /// Connects; throws InterfaceError, ConnectionError, TmqError.
  explicit NativeConsumer(ConsumerPlan plan);
  ~NativeConsumer() override;

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
  /// What a poll brought.
  struct Polled {
    native::Res* result = nullptr;
    int kind = 0;
    std::string topic;
    std::string database;
    std::int32_t vgroup = 0;
    std::int64_t offset = 0;
  };

  void open();
  void join();
  void revive(std::string_view action);
  void need_topics(std::string_view action) const;
  void settle();
  std::unique_ptr<MessageState> deliver(NativeCall<Polled>& polled);
  std::optional<std::int64_t> offset_of(std::string_view action, std::string_view topic, std::int32_t vgroup,
                                        std::int64_t (*ask)(native::Tmq*, const char*, std::int32_t));

  const ConsumerPlan plan_;
  const NativeLibrary& library_;
  std::shared_ptr<NativeTmqLink> link_;
  std::size_t next_endpoint_ = 0;
  std::vector<std::string> topics_;
  bool closed_ = false;
  std::shared_ptr<NativeCall<Polled>> polling_;  ///< came to no end yet
  std::unique_ptr<MessageState> waiting_;        ///< came late: for the next poll
};

}  // namespace penstock::client::detail
