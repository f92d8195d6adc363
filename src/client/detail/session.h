#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "client/connection.h"
#include "client/detail/json_answer.h"
#include "client/detail/websocket.h"
#include "wire/block.h"
#include "wire/messages.h"

namespace penstock::client::detail {

/// What the server and this side know of a prepared statement.
struct StatementState {
  std::weak_ptr<Session> session;
  std::uint64_t epoch = 0;  ///< of the session's socket
  std::uint64_t id = 0;
  bool is_insert = true;
  std::vector<StatementField> fields;
  bool bound = false;   ///< bind accepted, not executed
  bool broken = false;  ///< a step failed: the server repeats the error or dies of the next
  bool closed = false;
  bool busy = false;  ///< a step is under way

  [[nodiscard]] bool usable() const noexcept;
};

/// A message that answers a request.
struct Reply {
  JsonAnswer json;         ///< also filled from binary answers: code, message, id, completed
  std::string binary;      ///< answer to a fetch; empty otherwise
  std::string_view block;  ///< in `binary`
};

/// One socket after the other to the endpoints of the options; matches answers to requests.
class Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(Options options) : options_(std::move(options)) {}
  ~Session();

  /// Connects and logs in, beginning with endpoint `first`.
  void open(std::size_t first);
  void reopen() { open(current_ + 1); }
  void close() noexcept;

  [[nodiscard]] bool is_open() const noexcept { return socket_ != nullptr; }
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] const std::string& version() const noexcept { return version_; }
  /// Binary query and fetch (from 3.3.2.0 on).
  [[nodiscard]] bool has_binary_query() const noexcept { return binary_query_; }

  enum class Step : std::uint8_t { none, bind, exec };

  /// A number for the next request.
  Ticket next_ticket() noexcept { return ++last_ticket_; }
  /// Sends a request made with `ticket`; `statement`'s state follows the answer.
  void send(Ticket ticket, std::string_view action, MessageKind kind, std::span<const std::string_view> parts,
            std::shared_ptr<StatementState> statement = nullptr, Step step = Step::none);
  Ticket send_json(std::string_view action, std::string_view arguments);
  Ticket send_query(std::string_view sql);
  /// At most one at a time: its answer names no request.
  Ticket send_fetch_block(std::uint64_t result_id);
  /// Sends a request whose answer nobody waits for. `answered`: the server sends one all the same.
  void send_and_forget(std::string_view action, std::string_view arguments, bool answered);

  Reply wait(Ticket ticket, std::chrono::milliseconds timeout);
  Reply wait(Ticket ticket) { return wait(ticket, options_.request_timeout); }
  /// As wait(), and throws for a code other than 0.
  Reply require(Ticket ticket);
  bool ready(Ticket ticket);
  void poll();
  void require(const JsonAnswer& answer) const;

  [[noreturn]] void misuse(const std::string& what, std::string_view action) const;

 private:
  struct Pending {
    std::string action;
    std::shared_ptr<StatementState> statement;
    Step step = Step::none;
    bool forgotten = false;
  };

  void connect_to(const Endpoint& endpoint);
  void log_in(Deadline deadline);
  Reply wait_until(Ticket ticket, Deadline deadline, std::chrono::milliseconds timeout);
  void take(Message&& message);
  void take_reply(Ticket ticket, Reply&& reply);
  void take_binary(std::string&& bytes);
  void need_socket(std::string_view action) const;
  void lost() noexcept;
  [[noreturn]] void nonsense(const std::string& what);

  Options options_;
  std::unique_ptr<WebSocket> socket_;
  std::size_t current_ = 0;
  std::string endpoint_;
  std::string version_;
  bool binary_query_ = true;
  std::uint64_t epoch_ = 0;
  Ticket last_ticket_ = 0;
  Ticket version_ticket_ = 0;  ///< its answer carries no request id on old servers
  Ticket block_ticket_ = 0;    ///< fetch_block: its binary answer carries none
  std::unordered_map<Ticket, Pending> pending_;
  std::unordered_map<Ticket, Reply> arrived_;
};

/// Behind Rows.
struct ResultState {
  std::shared_ptr<Session> session;
  std::uint64_t epoch = 0;
  std::uint64_t id = 0;
  std::vector<Field> fields;
  data::Precision precision = data::Precision::milliseconds;
  std::int64_t affected_rows = 0;
  bool finished = true;
  Reply reply;  ///< holds the block's bytes
  std::optional<wire::Block> block;
  std::uint32_t row = 0;  ///< the next one of the block

  ~ResultState();
};

/// Reads the members of an answer that describe a result.
std::unique_ptr<ResultState> make_result(const std::shared_ptr<Session>& session, JsonAnswer&& answer);

}  // namespace penstock::client::detail
