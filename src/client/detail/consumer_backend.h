#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/consumer.h"
#include "client/dsn.h"
#include "client/errors.h"

/// What is behind Consumer and Message: one abstract consumer, an implementation a transport (ws_consumer.h,
/// native_consumer.h).
namespace penstock::client::detail {

/// Behind Message. It may outlive its consumer: then what was not fetched yet is gone.
struct MessageState {
  Message::Kind kind = Message::Kind::data;
  std::string topic;
  std::string database;
  std::int32_t vgroup = 0;
  std::int64_t offset = 0;

  MessageState() = default;
  MessageState(const MessageState&) = delete;
  MessageState& operator=(const MessageState&) = delete;
  /// Frees what the transport holds; never throws.
  virtual ~MessageState() = default;
  // As those of Message; the kind was looked at before: blocks() comes for data and meta_and_data, json() for meta and
  // meta_and_data.
  virtual std::vector<Message::Block> blocks() = 0;
  virtual std::string json() = 0;
  virtual Message::Raw raw() = 0;
};

/// A consumer as it is to be made.
struct ConsumerPlan {
  Options options;              ///< with td.connect.* applied
  Consumer::Config properties;  ///< the others as they were given, checked; group.id is there
  bool auto_commit = true;      ///< enable.auto.commit
  std::chrono::milliseconds commit_interval{5'000};

  /// The property, or "".
  [[nodiscard]] std::string_view property(std::string_view name) const;
};
/// Applies td.connect.* and checks the values of the properties that are known. Throws InterfaceError that names the
/// property.
ConsumerPlan plan_consumer(const Options& options, const Consumer::Config& config);

/// The calls of Consumer of the same names. The first call that needs the server connects; subscribe() comes before
/// those that need a subscription. A call on a consumer that was closed throws InterfaceError.
class ConsumerBackend {
 public:
  ConsumerBackend() = default;
  ConsumerBackend(const ConsumerBackend&) = delete;
  ConsumerBackend& operator=(const ConsumerBackend&) = delete;
  /// Ends the connection without waiting; never throws.
  virtual ~ConsumerBackend() = default;

  /// At least one topic. Leaves those of before.
  virtual void subscribe(std::span<const std::string> topics) = 0;
  virtual void unsubscribe() = 0;
  [[nodiscard]] virtual std::vector<std::string> topics() const = 0;
  /// Null: nothing came.
  virtual std::unique_ptr<MessageState> poll(std::chrono::milliseconds timeout) = 0;
  virtual void commit() = 0;
  virtual void commit(const MessageState& message) = 0;
  virtual void commit(const Offset& offset) = 0;
  virtual std::vector<Assignment> assignment(std::string_view topic) = 0;
  virtual void seek(const Offset& offset) = 0;
  virtual std::optional<std::int64_t> committed(std::string_view topic, std::int32_t vgroup) = 0;
  virtual std::optional<std::int64_t> position(std::string_view topic, std::int32_t vgroup) = 0;
  virtual void close() = 0;
};

/// Throws what fits a refusal: ConnectionError for a refused login, else TmqError. `server_code`: low 16 bits.
[[noreturn]] void throw_tmq_error(std::int32_t server_code, const std::string& message, const Place& place);

/// What the engine answers for an offset that there is not, as a value: nothing committed, nothing read yet.
inline constexpr std::int64_t kNoOffset = -2147467247;  // 0x80004011

}  // namespace penstock::client::detail
