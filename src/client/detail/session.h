#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/connection.h"
#include "wire/block.h"

/// What is behind Connection, Rows and Statement: one abstract session, an implementation a transport (ws_session.h,
/// native_session.h, rest_session.h).
namespace penstock::client::detail {

class Session;
struct StatementBatch;

/// Behind Rows: a result of which blocks are fetched.
struct ResultState {
  std::shared_ptr<Session> session;
  std::uint64_t epoch = 0;  ///< of the session's connection
  std::vector<Field> fields;
  data::Precision precision = data::Precision::milliseconds;
  std::int64_t affected_rows = 0;

  std::optional<wire::Block> block;
  std::uint32_t row = 0;  ///< the next one of the block
  bool finished = false;

  ResultState() = default;
  ResultState(const ResultState&) = delete;
  ResultState& operator=(const ResultState&) = delete;
  /// Frees the result where it is; never throws.
  virtual ~ResultState() = default;
  /// The next raw block (wire/block.h), empty at the end (then it is not called again). Its bytes stay until the next
  /// call. This one: a statement without a result.
  virtual std::string_view fetch() { return {}; }
  /// In which its timestamps are printed.
  [[nodiscard]] virtual std::string_view time_zone() const;
};

/// What the server and this side know of a prepared statement. Destroyed, it is closed on the server without waiting.
struct StatementState {
  std::weak_ptr<Session> session;
  std::uint64_t epoch = 0;  ///< of the session's connection
  std::string sql;
  StatementMode mode = StatementMode::standard;
  bool is_insert = true;
  std::vector<StatementField> fields;
  std::size_t parameter_count = 0;  ///< of a query
  bool bound = false;               ///< bind accepted, not executed
  bool broken = false;              ///< a step failed: the server repeats the error or dies of the next
  bool closed = false;
  bool busy = false;                      ///< a step is under way
  std::unique_ptr<StatementBatch> batch;  ///< of the calls of Statement

  StatementState();
  StatementState(const StatementState&) = delete;
  StatementState& operator=(const StatementState&) = delete;
  virtual ~StatementState();
  [[nodiscard]] bool usable() const noexcept;
};

/// One connection after the other to the endpoints of the options. One thread at a time. Tickets are never used twice.
class Session : public std::enable_shared_from_this<Session> {
 public:
  /// Of the transport of the options; not open yet.
  static std::shared_ptr<Session> make(Options options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] const std::string& version() const noexcept { return version_; }
  /// Number of the connection: results, statements and tickets of another one are gone.
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }

  /// Connects and logs in, beginning with endpoint `first`, as Connection::open() says.
  void open(std::size_t first);
  void reopen() { open(current_ + 1); }
  /// close(), and for good: revive() does nothing until the next open().
  void end() noexcept {
    ended_ = true;
    close();
  }
  /// Connects anew where the connection was lost and Options::reconnect is set; throws what open() throws.
  void revive();
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual bool is_open() const noexcept = 0;

  // Requests. A connection that is lost throws ConnectionError(Errc::unreachable) and is closed.

  /// `request_id` 0: one of the session's own.
  virtual Ticket send_execute(std::string_view sql, RequestId request_id) = 0;
  /// Waits; throws for a refusal. A statement without a result: no fields, affected_rows.
  virtual std::unique_ptr<ResultState> query(std::string_view sql, RequestId request_id) = 0;
  virtual std::string current_database() = 0;
  virtual Ticket send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                                 int ttl_days, std::string_view table_name_key, RequestId request_id) = 0;
  virtual Ticket send_action(std::string_view action, std::string_view arguments);

  /// make_statement(), and asks for what the server does not tell of the placeholders: digits and scale of DECIMAL.
  std::shared_ptr<StatementState> prepare(std::string_view sql, StatementMode mode);
  virtual Ticket send_bind(const std::shared_ptr<StatementState>& statement, wire::Stmt2Encoder& encoder);
  virtual Ticket send_exec(const std::shared_ptr<StatementState>& statement);
  virtual Ticket send_bind_exec(const std::shared_ptr<StatementState>& statement, wire::Stmt2ExecEncoder& encoder,
                                std::uint32_t table_runs);
  /// Whether the combined bind and execute is worth a try: true until the server says that it does not know it.
  [[nodiscard]] virtual bool can_bind_exec() const noexcept { return false; }
  virtual std::unique_ptr<ResultState> result(const std::shared_ptr<StatementState>& statement);
  virtual void close_statement(StatementState& statement);

  /// As Connection's. At the time-out (or a stop) the answer is forgotten, and a statement it belongs to is broken.
  virtual Answer wait(Ticket ticket, std::chrono::milliseconds timeout) = 0;
  virtual bool ready(Ticket ticket) = 0;
  virtual void poll() = 0;

  /// Throws for an answer that is not ok().
  virtual void require(const Answer& answer) const;
  /// wait() for the options' request time-out and require().
  Answer require(Ticket ticket);

 protected:
  explicit Session(Options options) : options_(std::move(options)) {}

  virtual std::shared_ptr<StatementState> make_statement(std::string_view sql, StatementMode mode);
  /// One endpoint: connects and logs in, sets version_. Throws ConnectionError; leaves nothing behind then.
  virtual void connect_to(const Endpoint& endpoint) = 0;
  /// Throws InterfaceError: `action` was not sent, because of `what`.
  [[noreturn]] void misuse(const std::string& what, std::string_view action) const;
  /// Throws InterfaceError: this transport has no such thing.
  [[noreturn]] void unsupported(std::string_view what) const;
  /// Throws InterfaceError for a statement that is not usable or has a step under way.
  void need_usable(const StatementState& statement, std::string_view action) const;

  Options options_;
  std::size_t current_ = 0;  ///< endpoint
  std::string endpoint_;     ///< its text
  std::string version_;
  std::uint64_t epoch_ = 0;
  bool ended_ = false;
};

/// "2.5 s", for errors.
std::string seconds_text(std::chrono::milliseconds duration);

/// How every transport reports a refused login: wrong user or password (Errc::auth), a missing database (Errc::config),
/// an address that is not let in. `code`: low 16 bits of the server's.
[[noreturn]] void throw_login_refused(const Options& options, const std::string& endpoint, std::int32_t code,
                                      const std::string& message);

}  // namespace penstock::client::detail
