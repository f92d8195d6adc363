#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/dsn.h"
#include "client/errors.h"
#include "client/rows.h"
#include "client/statement.h"
#include "data/types.h"

namespace penstock::wire {
class Block;
class Stmt2Encoder;
class Stmt2ExecEncoder;
enum class LineProtocol : std::uint8_t;
}  // namespace penstock::wire

/// The client library: one Connection is one session on TDengine, over WebSocket, native or REST.
namespace penstock::client {

namespace detail {
class Session;
}

/// A request under way on one connection; its answer is fetched with wait(). Never 0, never used twice.
using Ticket = std::uint64_t;

/// The server's answer to a request.
struct Answer {
  Ticket ticket = 0;
  std::string action;
  std::int32_t code = 0;  ///< 0 = done; else low 16 bits of the server's code
  std::string message;    ///< the server's text
  std::int64_t affected_rows = 0;
  std::int64_t total_rows = 0;  ///< schemaless: lines that the server counted
  std::chrono::nanoseconds server_time{0};

  [[nodiscard]] bool ok() const noexcept { return code == 0; }
};

/// Marks a statement in the logs of the server; 0: a number of the library's own. Any number that is not under way.
using RequestId = std::uint64_t;

/// A session on one of the endpoints. Move-only; one thread at a time (docs/clients.md). A server's refusal is thrown
/// as the class of client/errors.h that fits; a lost connection as ConnectionError (unreachable), after which is_open()
/// is false until reopen(), or the next call with Options::reconnect; no answer in time as ConnectionError (timeout),
/// after which the connection is still usable and the late answer is dropped when it comes.
///
/// | transport | SQL | schemaless | statements |
/// |---|---|---|---|
/// | WebSocket | yes | yes | yes |
/// | native | yes | yes | yes |
/// | REST | yes; each request is a session of its own, USE is remembered here | yes | InterfaceError |
class Connection {
 public:
  /// Tries the endpoints in their order, then logs in. Wrong credentials (Errc::auth) and a missing database
  /// (Errc::config) end it at once; otherwise the error of the last endpoint is thrown, with those of the others.
  /// Native: throws InterfaceError when the client library of TDengine cannot be loaded or lacks a function.
  static Connection open(const Options& options);
  /// As above, from a DSN (Options::parse).
  static Connection open(std::string_view dsn);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  /// Says good-bye (at most half a second).
  ~Connection();

  [[nodiscard]] bool is_open() const noexcept;
  /// Connects anew, beginning with the endpoint after the last one. Results and tickets of before are gone; statements
  /// are prepared anew when they are next used.
  void reopen();
  /// Ends the session now. Idempotent.
  void close() noexcept;
  /// "host:port" of the endpoint in use.
  [[nodiscard]] const std::string& endpoint() const noexcept;
  /// As the server says it: "3.3.7.5".
  [[nodiscard]] const std::string& server_version() const noexcept;
  [[nodiscard]] const Options& options() const noexcept;

  // --- one request, one answer ---

  /// Runs a statement without a result (the result of others is thrown away); affected rows.
  std::int64_t execute(std::string_view sql, RequestId request_id = 0);
  Rows query(std::string_view sql, RequestId request_id = 0);
  /// The session's current database, "" if none.
  std::string current_database();
  /// Lines of a protocol separated by '\n', or a JSON document. Throws SchemalessError. `precision` "h" "m" "s" "ms"
  /// "u" "ns", "" = not given. `table_name_key`: the tag whose value names the child table.
  Answer insert_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                           int ttl_days = 0, std::string_view table_name_key = {}, RequestId request_id = 0);
  /// Prepares an insert or a query with '?'. Throws StatementError.
  Statement prepare(std::string_view sql, StatementMode mode = StatementMode::standard);

  // --- several requests under way: send, do something else, wait ---
  // Steps of one statement wait for each other: bind, its answer, exec, its answer. Two statements may be under way in
  // turn. Each throws InterfaceError for a step that the server would die of (exec without an accepted bind, a bind
  // without rows). A statement of a connection that is gone is refused here; the calls of Statement prepare it anew.

  /// The encoder must stay as it is until the bind is answered (natively it is read while it is carried out).
  Ticket send_bind(Statement& statement, wire::Stmt2Encoder& encoder);
  Ticket send_exec(Statement& statement);
  /// Bind and exec in one (action 11); servers without it answer 0xFFFF "unknown binary action 11". WebSocket only.
  Ticket send_bind_exec(Statement& statement, wire::Stmt2ExecEncoder& encoder, std::uint32_t table_runs);
  Ticket send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                         int ttl_days = 0, std::string_view table_name_key = {}, RequestId request_id = 0);
  /// A statement without a result.
  Ticket send_execute(std::string_view sql, RequestId request_id = 0);
  /// Any other text action of the WebSocket interface that answers with JSON: `arguments` are members without braces
  /// (`"id":3`), or "". InterfaceError over other transports.
  Ticket send_action(std::string_view action, std::string_view arguments);
  /// Result of a prepared query after its exec; once an exec.
  Rows result(Statement& statement);
  /// Closes it on the server and waits for that.
  void close(Statement& statement);

  /// The answer, refusals included (no throw for those); answers to other tickets are kept. Waits at most `timeout`
  /// (default: the options' request time-out).
  Answer wait(Ticket ticket, std::optional<std::chrono::milliseconds> timeout = std::nullopt);
  /// Whether wait() would return at once. Does what poll() does.
  bool ready(Ticket ticket);
  /// Throws what fits an answer that is not ok().
  void require(const Answer& answer) const;

  /// Reads what came and answers the server's pings, without waiting. An idle owner calls it every few seconds: the
  /// server drops who has not answered for 114 s. Throws ConnectionError when the connection is gone.
  void poll();

 private:
  explicit Connection(std::shared_ptr<detail::Session> session);
  std::shared_ptr<detail::Session> session_;
};

}  // namespace penstock::client
