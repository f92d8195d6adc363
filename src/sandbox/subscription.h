#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/engine.h"

/// Consumers of topics, without sockets: what /rest/tmq and the C API's tmq_* functions are made of.
///
///   ConsumerOptions options;
///   set_option(options, "group.id", "g1");
///   auto consumer = engine.consumer(options);         // throws RefusalError: no group, wrong password
///   consumer->subscribe({"topic"});
///   while (auto message = consumer->poll(500ms)) {
///     for (const auto& part : message->parts) …        // rows of one table, or of the topic's query
///     consumer->commit(*message);
///   }
namespace penstock::sandbox {

/// Options of a consumer; the names that users give them are those of set_option().
struct ConsumerOptions {
  enum class Reset { latest, earliest, none };
  std::string user = "root";
  std::string password = "taosdata";
  std::string group;   ///< group.id; needed
  std::string client;  ///< client.id
  Reset reset = Reset::latest;
  bool auto_commit = true;
  std::chrono::milliseconds auto_commit_every{5000};
  bool with_table_name = false;
  bool snapshot = false;  ///< taken, without effect: a topic's log begins with what the store has
  bool batch_meta = false;
  bool raw_data = false;  ///< rows come as Message::Type::raw
  bool skip_replicated = false;
  std::chrono::milliseconds session_timeout{12'000};  ///< only checked and shown: nobody is put out for silence
  std::chrono::milliseconds max_poll_interval{300'000};
};

/// As tmq_conf_set answers.
enum class OptionResult : std::int8_t { ok = 0, invalid = -1, unknown = -2 };
/// Sets an option by its documented name ("group.id", "auto.offset.reset" …). What only concerns connections
/// ("td.connect.ip" …) is taken and ignored.
OptionResult set_option(ConsumerOptions& options, std::string_view key, std::string_view value);

/// What committed() says when nothing was committed: the engine's code as a number of 32 bits.
inline constexpr std::int64_t kNothingCommitted = -2147467247;

/// One message. Owns all that it has.
struct Message {
  enum class Type : std::uint8_t { data = 1, meta = 2, data_and_meta = 3, raw = 4 };
  /// Rows of one table written by one statement, or of the topic's query over them.
  struct Part {
    std::string table;                ///< empty in topics on queries
    Answer rows;                      ///< `fields`, `rows`, `precision`; result_block(rows, 0, n, 2) makes the block
    std::vector<std::uint8_t> flags;  ///< by field: as the schema in the payload tells them
    std::vector<std::int32_t> ids;    ///< by field
  };
  Type type = Type::data;
  std::string topic;
  std::string database;
  std::int32_t vgroup = 0;
  std::int64_t offset = 0;  ///< as the server reports it: where the rows begin, or behind the meta
  std::int64_t from = 0;    ///< places in the vgroup's log that the message covers: [from, next)
  std::int64_t next = 0;
  bool with_tables = false;  ///< of topics on databases and super tables
  std::vector<Part> parts;
  std::string json;            ///< of meta and data_and_meta: what tmq_get_json_meta gives
  std::uint16_t raw_type = 2;  ///< see wire::RawType
};

/// The payload of fetch_raw_data and tmq_get_raw; its type is Message::raw_type. That of meta messages is their JSON:
/// the sandbox's own way, as the payload of the engine is nobody else's business.
std::string message_payload(const Message& message);

/// One consumer of a group. Any thread; poll() waits without keeping the others out.
class Consumer {
 public:
  struct Assignment {
    std::int32_t vgroup = 0;
    std::int64_t offset = 0;  ///< where the message polled last begins
    std::int64_t begin = 0;   ///< of the log
    std::int64_t end = 0;
  };

  /// Leaves the group; what was committed stays.
  virtual ~Consumer() = default;
  /// Joins the group of each topic. Throws RefusalError 0x03E1 for a topic that does not exist; then nothing changed.
  /// No topics: the consumer is none for poll().
  virtual void subscribe(std::span<const std::string> topics) = 0;
  virtual void unsubscribe() = 0;
  [[nodiscard]] virtual std::vector<std::string> topics() const = 0;

  /// The next message; nullopt after `timeout` (negative: never), when `stop` is requested, or without a subscription.
  /// Throws RefusalError 0x03E6 for a consumer that never had topics.
  virtual std::optional<Message> poll(std::chrono::milliseconds timeout, const std::stop_token& stop = {}) = 0;

  /// Commits all that was polled.
  virtual void commit() = 0;
  /// Commits up to and with the message.
  virtual void commit(const Message& message) = 0;
  // Those below throw RefusalError 0x4009 (topic is none of this consumer), 0x4008 (vgroup is), 0x4007 (offset beyond
  // the log).
  virtual void commit_offset(std::string_view topic, std::int32_t vgroup, std::int64_t offset) = 0;
  virtual std::vector<Assignment> assignment(std::string_view topic) = 0;
  virtual void seek(std::string_view topic, std::int32_t vgroup, std::int64_t offset) = 0;
  /// The next offset that would be read after a restart, or kNothingCommitted.
  virtual std::int64_t committed(std::string_view topic, std::int32_t vgroup) = 0;
  /// The next offset that poll() reads.
  virtual std::int64_t position(std::string_view topic, std::int32_t vgroup) = 0;
};

}  // namespace penstock::sandbox
