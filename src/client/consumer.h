#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/dsn.h"
#include "client/rows.h"

namespace penstock::client {

namespace detail {
class ConsumerBackend;
struct MessageState;
}  // namespace detail

/// Place in the log of a vgroup, of a topic.
struct Offset {
  std::string topic;
  std::int32_t vgroup = 0;
  std::int64_t offset = 0;  ///< from where is read

  bool operator==(const Offset&) const = default;
};

/// A vgroup that a consumer reads: where it stands and what there is.
struct Assignment {
  std::int32_t vgroup = 0;
  std::int64_t offset = 0;  ///< current
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// What a poll delivered. What is in it is fetched when it is asked for and stays good; what was not asked for before
/// the next poll may be gone by then (TmqError). Move-only; the thread of its consumer.
class Message {
 public:
  enum class Kind : std::uint8_t {
    data = 1,
    meta = 2,           ///< tables were made, changed or dropped: json()
    meta_and_data = 3,  ///< a table made by the insert that follows
    raw = 4,            ///< only with msg.consume.rawdata
  };
  /// Rows of one table.
  struct Block {
    std::string table;  ///< "" unless msg.with.table.name is set (and for topics on queries)
    Rows rows;          ///< one block; needs neither the message nor the consumer any more
  };
  /// A message as the server's log has it, for tools that pass it on (tmq_write_raw).
  struct Raw {
    std::uint16_t type = 0;  ///< wire::RawType
    std::string bytes;
  };

  explicit Message(std::unique_ptr<detail::MessageState> state);
  Message(Message&&) noexcept;
  Message& operator=(Message&&) noexcept;
  ~Message();

  [[nodiscard]] Kind kind() const noexcept;
  [[nodiscard]] const std::string& topic() const noexcept;
  [[nodiscard]] const std::string& database() const noexcept;
  [[nodiscard]] std::int32_t vgroup() const noexcept;
  /// Where in the log of the vgroup the message was read from (meta: where its reading ended); -1 in snapshots. To go
  /// on behind the message is Consumer::commit(message).
  [[nodiscard]] std::int64_t offset() const noexcept;

  /// The rows, block by block, of one table each; the same again when called again. Empty for Kind::meta. Throws
  /// TmqError, ConnectionError; InterfaceError for Kind::raw.
  std::vector<Block> blocks();
  /// What happened to tables, as JSON; "" for Kind::data and Kind::raw. Throws TmqError, ConnectionError.
  std::string json();
  /// All of it, undecoded. Throws TmqError, ConnectionError.
  Raw raw();

 private:
  friend class Consumer;
  std::unique_ptr<detail::MessageState> state_;
};

/// Reads topics: a member of a consumer group, over WebSocket (`/rest/tmq`) or natively. Move-only; one thread at a
/// time. A consumer whose connection was lost, or whose server did not answer within Options::request_timeout
/// (ConnectionError), is opened anew by the next call where Options::reconnect is set, and goes on at what was
/// committed: messages behind that come again. Between polls nobody answers the server's pings: a consumer that is not
/// polled for 114 s loses its connection (and its place in the group after max.poll.interval.ms).
class Consumer {
 public:
  /// Properties by the names of the documentation: group.id (needed), client.id, auto.offset.reset (earliest, latest,
  /// none), enable.auto.commit (default true), auto.commit.interval.ms (default 5000), msg.with.table.name,
  /// session.timeout.ms, max.poll.interval.ms, experimental.snapshot.enable, msg.enable.batchmeta,
  /// msg.consume.excluded, msg.consume.rawdata, td.connect.ip, .port, .user, .pass, .db, .token, and any other, which
  /// is passed on to the server.
  using Config = std::map<std::string, std::string, std::less<>>;

  /// `options` say where and as whom; td.connect.* in `config` come before them. Throws InterfaceError for a transport
  /// without subscriptions (REST) and a value that cannot be, ConnectionError.
  static Consumer open(const Options& options, const Config& config);
  /// As above, from a DSN.
  static Consumer open(std::string_view dsn, const Config& config);
  Consumer(Consumer&&) noexcept;
  Consumer& operator=(Consumer&&) noexcept;
  /// Leaves the group; what was read and not committed comes again.
  ~Consumer();

  /// Joins the group for these topics; throws TmqError for one that does not exist. Takes a second or two.
  void subscribe(std::span<const std::string> topics);
  void subscribe(std::initializer_list<std::string> topics) { subscribe(std::span(topics.begin(), topics.size())); }
  void unsubscribe();
  /// Topics subscribed to.
  [[nodiscard]] std::vector<std::string> topics() const;

  /// The next message, or nullopt after `timeout`. With enable.auto.commit what earlier polls delivered is committed
  /// here when its interval is over.
  std::optional<Message> poll(std::chrono::milliseconds timeout);

  /// Commits all that was delivered. Waits for the server, as all commits here.
  void commit();
  void commit(const Message& message);
  void commit(const Offset& offset);
  /// The vgroups of a topic that this consumer reads.
  std::vector<Assignment> assignment(std::string_view topic);
  /// The next poll reads from there. Throws TmqError outside of what there is.
  void seek(const Offset& offset);
  void seek_to_beginning(std::string_view topic);
  void seek_to_end(std::string_view topic);
  /// The offset committed; nullopt: none yet.
  std::optional<std::int64_t> committed(std::string_view topic, std::int32_t vgroup);
  /// The offset of the next message; nullopt: not known yet.
  std::optional<std::int64_t> position(std::string_view topic, std::int32_t vgroup);
  /// Ends the membership and the connection. Idempotent; throws what the server says against it.
  void close();

 private:
  explicit Consumer(std::unique_ptr<detail::ConsumerBackend> backend);
  std::unique_ptr<detail::ConsumerBackend> backend_;
};

}  // namespace penstock::client
