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
#include "data/types.h"

namespace penstock::wire {
class Block;
class Stmt2Encoder;
class Stmt2ExecEncoder;
enum class LineProtocol : std::uint8_t;
}  // namespace penstock::wire

/// The client library: one Connection is one session on TDengine's adapter.
namespace penstock::client {

namespace detail {
class Session;
struct StatementState;
struct ResultState;
}  // namespace detail

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

/// A column of a result.
struct Field {
  std::string name;
  data::Type type = data::Type::null;
  std::int32_t length = 0;     ///< as declared: VARCHAR bytes, NCHAR characters, else the size
  std::uint8_t precision = 0;  ///< DECIMAL
  std::uint8_t scale = 0;      ///< DECIMAL
};

/// The result of a query, fetched block by block while it is read. Move-only; destroyed before its end it is freed on
/// the server. Other requests may go over the connection in between. Every call may throw ResultError, ConnectionError.
class Rows {
 public:
  explicit Rows(std::unique_ptr<detail::ResultState> state);
  Rows(Rows&&) noexcept;
  Rows& operator=(Rows&&) noexcept;
  ~Rows();

  /// Empty for a statement without a result.
  [[nodiscard]] const std::vector<Field>& fields() const noexcept;
  /// Of all TIMESTAMP columns.
  [[nodiscard]] data::Precision precision() const noexcept;
  [[nodiscard]] std::int64_t affected_rows() const noexcept;

  /// Fetches the next block; false at the end. At most one fetch is under way.
  bool next_block();
  /// The block fetched last, for reading by column; valid until the next one is fetched.
  [[nodiscard]] const wire::Block& block() const;

  /// Moves to the next row, fetching blocks as needed; false at the end. Do not mix with next_block().
  bool next();
  // Cells of the current row by column index, which must be below fields().size().
  [[nodiscard]] bool is_null(std::size_t column) const;
  /// BOOL, integers and TIMESTAMP, sign- or zero-extended; 0 for NULL.
  [[nodiscard]] std::uint64_t integer(std::size_t column) const;
  /// FLOAT and DOUBLE; 0 for NULL.
  [[nodiscard]] double real(std::size_t column) const;
  /// Any type: text as UTF-8, binary types as their bytes, DECIMAL with all its digits; "" for NULL.
  [[nodiscard]] std::string text(std::size_t column) const;

 private:
  std::unique_ptr<detail::ResultState> state_;
};

/// How the server works a statement: `interlace` for few rows in many child tables of one super table (costs the
/// adapter a thread), `standard` from about a hundred rows a table, and for everything else.
enum class StatementMode : std::uint8_t { standard, interlace };

/// A placeholder of a prepared insert.
struct StatementField {
  enum class Bind : std::uint8_t { column = 1, tag = 2, query = 3, table_name = 4 };
  std::string name;
  data::Type type = data::Type::null;
  Bind bind = Bind::column;
  std::uint8_t precision = 0;  ///< TIMESTAMP: 0 ms, 1 us, 2 ns; DECIMAL: digits
  std::uint8_t scale = 0;
  std::int32_t stored_bytes = 0;  ///< VARCHAR width + 2, NCHAR 4 x width + 2
};

/// A prepared statement of the second generation. Move-only; belongs to the connection that made it and dies with its
/// socket (reopen() does not bring it back). Destroyed, it is closed on the server without waiting.
class Statement {
 public:
  explicit Statement(std::shared_ptr<detail::StatementState> state);
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  [[nodiscard]] bool is_insert() const noexcept;
  /// Placeholders in the order of the SQL; empty for queries.
  [[nodiscard]] const std::vector<StatementField>& fields() const noexcept;
  /// False once a bind or exec failed or was not answered in time, or the connection was lost: prepare a new one.
  [[nodiscard]] bool usable() const noexcept;
  /// The last bind was accepted and not executed yet.
  [[nodiscard]] bool bound() const noexcept;

 private:
  friend class Connection;
  std::shared_ptr<detail::StatementState> state_;
};

/// A session on one of the endpoints. Move-only; one thread at a time. A server's refusal is thrown as the class of
/// client/errors.h that fits; a lost connection as ConnectionError (unreachable), after which is_open() is false and
/// only reopen() helps; no answer in time as ConnectionError (timeout), after which the connection is still usable and
/// the late answer is dropped when it comes.
class Connection {
 public:
  /// Tries the endpoints in their order, then logs in. Wrong credentials (Errc::auth) and a missing database
  /// (Errc::config) end it at once; otherwise the error of the last endpoint is thrown, with those of the others.
  static Connection open(const Options& options);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  /// Says good-bye (at most half a second).
  ~Connection();

  [[nodiscard]] bool is_open() const noexcept;
  /// Connects anew, beginning with the endpoint after the last one. Statements, results and tickets of before are gone.
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
  std::int64_t execute(std::string_view sql);
  Rows query(std::string_view sql);
  /// The session's current database, "" if none.
  std::string current_database();
  /// Throws SchemalessError. `precision` "h" "m" "s" "ms" "u" "ns", "" = not given.
  Answer insert_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                           int ttl_days = 0, std::string_view table_name_key = {});
  /// Prepares an insert or a query with '?'. Throws StatementError.
  Statement prepare(std::string_view sql, StatementMode mode = StatementMode::standard);
  /// Result of a prepared query after its exec; once an exec.
  Rows result(Statement& statement);
  /// Closes it on the server and waits for that.
  void close(Statement& statement);

  // --- several requests under way: send, do something else, wait ---
  // Steps of one statement wait for each other: bind, its answer, exec, its answer. Two statements may be under way in
  // turn. Each throws InterfaceError for a step that the server would die of (exec without an accepted bind, a bind
  // without rows).

  Ticket send_bind(Statement& statement, wire::Stmt2Encoder& encoder);
  Ticket send_exec(Statement& statement);
  /// Bind and exec in one (action 11); servers without it answer 0xFFFF "unknown binary action 11".
  Ticket send_bind_exec(Statement& statement, wire::Stmt2ExecEncoder& encoder, std::uint32_t table_runs);
  Ticket send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                         int ttl_days = 0, std::string_view table_name_key = {});
  /// A statement without a result.
  Ticket send_execute(std::string_view sql);
  /// Any other text action that answers with JSON: `arguments` are members without braces (`"id":3`), or "".
  Ticket send_action(std::string_view action, std::string_view arguments);

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
