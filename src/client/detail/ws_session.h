#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "client/detail/json_answer.h"
#include "client/detail/session.h"
#include "client/detail/websocket.h"

namespace penstock::client::detail {

/// A statement on the adapter.
struct WsStatement : StatementState {
  ~WsStatement() override;
  std::uint64_t id = 0;
};

/// A message that answers a request.
struct Reply {
  JsonAnswer json;         ///< also filled from binary answers: code, message, id, completed
  std::string binary;      ///< answer to a fetch; empty otherwise
  std::string_view block;  ///< in `binary`
};

/// `/ws` of the adapter: matches answers to requests.
class WsSession final : public Session {
 public:
  explicit WsSession(Options options);
  ~WsSession() override;

  void close() noexcept override;
  [[nodiscard]] bool is_open() const noexcept override { return socket_ != nullptr; }

  Ticket send_execute(std::string_view sql, RequestId request_id) override;
  std::unique_ptr<ResultState> query(std::string_view sql, RequestId request_id) override;
  std::string current_database() override;
  Ticket send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text, int ttl_days,
                         std::string_view table_name_key, RequestId request_id) override;
  Ticket send_action(std::string_view action, std::string_view arguments) override;
  std::shared_ptr<StatementState> make_statement(std::string_view sql, StatementMode mode) override;
  Ticket send_bind(const std::shared_ptr<StatementState>& statement, wire::Stmt2Encoder& encoder) override;
  Ticket send_exec(const std::shared_ptr<StatementState>& statement) override;
  Ticket send_bind_exec(const std::shared_ptr<StatementState>& statement, wire::Stmt2ExecEncoder& encoder,
                        std::uint32_t table_runs) override;
  [[nodiscard]] bool can_bind_exec() const noexcept override { return bind_exec_; }
  std::unique_ptr<ResultState> result(const std::shared_ptr<StatementState>& statement) override;
  void close_statement(StatementState& statement) override;
  Answer wait(Ticket ticket, std::chrono::milliseconds timeout) override;
  bool ready(Ticket ticket) override;
  void poll() override;

  // --- for the results and statements of this session ---

  /// Asks for the next block of a result; answered with a Reply that has one or is completed.
  Ticket send_fetch(std::uint64_t result_id);
  /// The reply; throws for a code other than 0.
  Reply require_reply(Ticket ticket);
  Reply wait_reply(Ticket ticket, std::chrono::milliseconds timeout);
  /// Nobody waits for this answer any more.
  void forget(Ticket ticket) noexcept;
  /// Binary query and fetch (from 3.3.2.0 on).
  [[nodiscard]] bool has_binary_query() const noexcept { return binary_query_; }
  /// The older way: fetch moves to the next block, fetch_block brings it.
  Reply fetch_in_two_steps(std::uint64_t result_id);
  /// Sends a request whose answer nobody waits for. `answered`: the server sends one all the same.
  void send_and_forget(std::string_view action, std::string_view arguments, bool answered);

 private:
  enum class Step : std::uint8_t { none, bind, exec };
  struct Pending {
    std::string action;
    std::shared_ptr<StatementState> statement;
    Step step = Step::none;
    bool forgotten = false;
  };

  void connect_to(const Endpoint& endpoint) override;
  void log_in(Deadline deadline);
  /// A number for the next request: `wanted`, or the next one when that is 0. Throws InterfaceError when it is in use.
  Ticket next_ticket(RequestId wanted = 0);
  void send(Ticket ticket, std::string_view action, MessageKind kind, std::span<const std::string_view> parts,
            std::shared_ptr<StatementState> statement = nullptr, Step step = Step::none);
  Ticket send_json(std::string_view action, std::string_view arguments, RequestId request_id = 0);
  Ticket send_fetch_block(std::uint64_t result_id);
  Reply wait_until(Ticket ticket, Deadline deadline, std::chrono::milliseconds timeout);
  void require_json(const JsonAnswer& answer) const;
  void take(WsMessage&& message);
  void take_reply(Ticket ticket, Reply&& reply);
  void take_binary(std::string&& bytes);
  void need_socket(std::string_view action) const;
  void lost() noexcept;
  [[noreturn]] void nonsense(const std::string& what);
  std::unique_ptr<ResultState> make_result(JsonAnswer&& answer);

  std::unique_ptr<WebSocket> socket_;
  bool binary_query_ = true;
  bool bind_exec_ = true;  ///< not refused as unknown yet
  Ticket last_ticket_;
  Ticket version_ticket_ = 0;  ///< its answer carries no request id on old servers
  Ticket block_ticket_ = 0;    ///< fetch_block: its binary answer carries none
  std::unordered_map<Ticket, Pending> pending_;
  std::unordered_map<Ticket, Reply> arrived_;
};

}  // namespace penstock::client::detail
