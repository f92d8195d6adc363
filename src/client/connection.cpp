#include "client/connection.h"

#include <utility>

#include "client/detail/session.h"

namespace penstock::client {

Connection Connection::open(const Options& options) {
  auto session = detail::Session::make(options);
  session->open(0);
  return Connection(std::move(session));
}

Connection Connection::open(std::string_view dsn) { return open(Options::parse(dsn)); }

Connection::Connection(std::shared_ptr<detail::Session> session) : session_(std::move(session)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&& other) noexcept {
  if (session_ && session_ != other.session_) session_->end();
  session_ = std::move(other.session_);
  return *this;
}
Connection::~Connection() {
  if (session_) session_->end();  // statements and results may keep the session itself
}

bool Connection::is_open() const noexcept { return session_ && session_->is_open(); }
void Connection::reopen() { session_->reopen(); }
void Connection::close() noexcept { session_->end(); }
const std::string& Connection::endpoint() const noexcept { return session_->endpoint(); }
const std::string& Connection::server_version() const noexcept { return session_->version(); }
const Options& Connection::options() const noexcept { return session_->options(); }
void Connection::poll() { session_->poll(); }
bool Connection::ready(Ticket ticket) { return session_->ready(ticket); }

std::int64_t Connection::execute(std::string_view sql, RequestId request_id) {
  return query(sql, request_id).affected_rows();
}

Rows Connection::query(std::string_view sql, RequestId request_id) {
  session_->revive();
  return Rows(session_->query(sql, request_id));
}

std::string Connection::current_database() {
  session_->revive();
  return session_->current_database();
}

Ticket Connection::send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                                   int ttl_days, std::string_view table_name_key, RequestId request_id) {
  return session_->send_schemaless(protocol, precision, text, ttl_days, table_name_key, request_id);
}

Answer Connection::insert_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                                     int ttl_days, std::string_view table_name_key, RequestId request_id) {
  session_->revive();
  return session_->require(send_schemaless(protocol, precision, text, ttl_days, table_name_key, request_id));
}

Ticket Connection::send_execute(std::string_view sql, RequestId request_id) {
  return session_->send_execute(sql, request_id);
}

Ticket Connection::send_action(std::string_view action, std::string_view arguments) {
  return session_->send_action(action, arguments);
}

Answer Connection::wait(Ticket ticket, std::optional<std::chrono::milliseconds> timeout) {
  return session_->wait(ticket, timeout.value_or(options().request_timeout));
}

void Connection::require(const Answer& answer) const { session_->require(answer); }

Statement Connection::prepare(std::string_view sql, StatementMode mode) {
  session_->revive();
  return Statement(session_->prepare(sql, mode));
}

Ticket Connection::send_bind(Statement& statement, wire::Stmt2Encoder& encoder) {
  return session_->send_bind(statement.state_, encoder);
}

Ticket Connection::send_exec(Statement& statement) { return session_->send_exec(statement.state_); }

Ticket Connection::send_bind_exec(Statement& statement, wire::Stmt2ExecEncoder& encoder, std::uint32_t table_runs) {
  return session_->send_bind_exec(statement.state_, encoder, table_runs);
}

Rows Connection::result(Statement& statement) { return Rows(session_->result(statement.state_)); }

void Connection::close(Statement& statement) { session_->close_statement(*statement.state_); }

}  // namespace penstock::client
