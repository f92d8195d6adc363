#include "client/connection.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "client/detail/session.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

namespace penstock::client {
namespace {

using detail::MessageKind;
using detail::Session;
using detail::StatementState;

std::string statement_argument(const StatementState& statement) { return fmt::format("\"stmt_id\":{}", statement.id); }

// Steps of one statement wait for each other, and none goes to a statement that failed.
void need_usable(const Session& session, const StatementState& statement, std::string_view action) {
  if (!statement.usable())
    session.misuse("the statement cannot be used any more after a failed step or a lost connection: prepare a new one",
                   action);
  if (statement.busy) session.misuse("another step of the statement has not been answered yet", action);
}

void close_quietly(StatementState& statement) noexcept {
  const auto session = statement.session.lock();
  // A step under way may still be worked on; the server frees the statement with the connection.
  if (statement.closed || statement.busy || !session || !session->is_open() || session->epoch() != statement.epoch)
    return;
  statement.closed = true;
  try {
    session->send_and_forget("stmt2_close", statement_argument(statement), true);
  } catch (const Error&) {
    // The connection is gone, and with it the statement.
  }
}

Answer to_answer(Ticket ticket, detail::Reply&& reply) {
  auto& json = reply.json;
  return {ticket,
          std::move(json.action),
          json.code,
          std::move(json.message),
          json.affected,
          json.total_rows,
          std::chrono::nanoseconds(json.timing_ns)};
}

}  // namespace

Statement::Statement(std::shared_ptr<StatementState> state) : state_(std::move(state)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement& Statement::operator=(Statement&& other) noexcept {
  if (state_ && state_ != other.state_) close_quietly(*state_);
  state_ = std::move(other.state_);
  return *this;
}
Statement::~Statement() {
  if (state_) close_quietly(*state_);
}

bool Statement::is_insert() const noexcept { return state_->is_insert; }
const std::vector<StatementField>& Statement::fields() const noexcept { return state_->fields; }
bool Statement::usable() const noexcept { return state_ && state_->usable(); }
bool Statement::bound() const noexcept { return state_ && state_->bound; }

Connection Connection::open(const Options& options) {
  auto session = std::make_shared<Session>(options);
  session->open(0);
  return Connection(std::move(session));
}

Connection::Connection(std::shared_ptr<Session> session) : session_(std::move(session)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&& other) noexcept {
  if (session_ && session_ != other.session_) session_->close();
  session_ = std::move(other.session_);
  return *this;
}
Connection::~Connection() {
  if (session_) session_->close();  // statements and results may keep the session itself
}

bool Connection::is_open() const noexcept { return session_ && session_->is_open(); }
void Connection::reopen() { session_->reopen(); }
void Connection::close() noexcept { session_->close(); }
const std::string& Connection::endpoint() const noexcept { return session_->endpoint(); }
const std::string& Connection::server_version() const noexcept { return session_->version(); }
const Options& Connection::options() const noexcept { return session_->options(); }
void Connection::poll() { session_->poll(); }
bool Connection::ready(Ticket ticket) { return session_->ready(ticket); }

std::int64_t Connection::execute(std::string_view sql) { return query(sql).affected_rows(); }

Rows Connection::query(std::string_view sql) {
  auto reply = session_->require(session_->send_query(sql));
  return Rows(detail::make_result(session_, std::move(reply.json)));
}

std::string Connection::current_database() {
  return session_->require(session_->send_json("get_current_db", {})).json.text;
}

Ticket Connection::send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                                   int ttl_days, std::string_view table_name_key) {
  const auto ticket = session_->next_ticket();
  std::string request;
  const auto bad = wire::encode_schemaless(request, {ticket, protocol, precision, ttl_days, table_name_key}, text);
  if (bad)
    throw SchemalessError(Errc::unsupported,
                          fmt::format("lines were not sent to {}: byte {} of {} is not UTF-8 ('{}')", endpoint(), *bad,
                                      text.size(), printable(text.substr(*bad, 16))),
                          Place{endpoint(), "insert", ticket});
  const std::string_view part = request;
  session_->send(ticket, "insert", MessageKind::text, {&part, 1});
  return ticket;
}

Answer Connection::insert_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                                     int ttl_days, std::string_view table_name_key) {
  const auto ticket = send_schemaless(protocol, precision, text, ttl_days, table_name_key);
  return to_answer(ticket, session_->require(ticket));
}

Ticket Connection::send_execute(std::string_view sql) { return session_->send_query(sql); }

Ticket Connection::send_action(std::string_view action, std::string_view arguments) {
  return session_->send_json(action, arguments);
}

Answer Connection::wait(Ticket ticket, std::optional<std::chrono::milliseconds> timeout) {
  return to_answer(ticket, session_->wait(ticket, timeout.value_or(options().request_timeout)));
}

void Connection::require(const Answer& answer) const {
  if (!answer.ok()) throw_server_error(answer.code, answer.message, Place{endpoint(), answer.action, answer.ticket});
}

Statement Connection::prepare(std::string_view sql, StatementMode mode) {
  if (!is_utf8(sql)) session_->misuse("the SQL is not UTF-8", "stmt2_prepare");
  auto state = std::make_shared<StatementState>();
  state->session = session_;
  const bool interlace = mode == StatementMode::interlace;
  const auto init = session_->require(session_->send_json(
      "stmt2_init", fmt::format(R"("single_stb_insert":{0},"single_table_bind_once":{0})", interlace)));
  state->epoch = session_->epoch();
  state->id = init.json.statement_id;
  Statement statement(state);  // closes it should the next step fail
  std::string arguments = statement_argument(*state) + ",\"get_fields\":true,\"sql\":\"";
  wire::append_json_escaped(arguments, sql);
  auto reply = session_->require(session_->send_json("stmt2_prepare", arguments + '"'));
  state->is_insert = reply.json.is_insert;
  for (auto& field : reply.json.fields)
    state->fields.push_back(
        {std::move(field.name), static_cast<data::Type>(field.type), static_cast<StatementField::Bind>(field.bind_type),
         static_cast<std::uint8_t>(field.precision), static_cast<std::uint8_t>(field.scale), field.bytes});
  return statement;
}

Ticket Connection::send_bind(Statement& statement, wire::Stmt2Encoder& encoder) {
  need_usable(*session_, *statement.state_, "stmt2_bind");
  const auto ticket = session_->next_ticket();
  const auto parts = encoder.parts(ticket, statement.state_->id);
  session_->send(ticket, "stmt2_bind", MessageKind::binary, parts, statement.state_, Session::Step::bind);
  return ticket;
}

Ticket Connection::send_exec(Statement& statement) {
  auto& state = *statement.state_;
  need_usable(*session_, state, "stmt2_exec");
  if (!state.bound) session_->misuse("nothing is bound; the server would die of this", "stmt2_exec");
  const auto ticket = session_->next_ticket();
  const auto request =
      fmt::format(R"({{"action":"stmt2_exec","args":{{"req_id":{},{}}}}})", ticket, statement_argument(state));
  const std::string_view part = request;
  session_->send(ticket, "stmt2_exec", MessageKind::text, {&part, 1}, statement.state_, Session::Step::exec);
  return ticket;
}

Ticket Connection::send_bind_exec(Statement& statement, wire::Stmt2ExecEncoder& encoder, std::uint32_t table_runs) {
  need_usable(*session_, *statement.state_, "stmt2_bind_exec");
  const auto ticket = session_->next_ticket();
  const auto parts = encoder.parts(ticket, statement.state_->id, table_runs);
  session_->send(ticket, "stmt2_bind_exec", MessageKind::binary, parts, statement.state_, Session::Step::exec);
  return ticket;
}

Rows Connection::result(Statement& statement) {
  need_usable(*session_, *statement.state_, "stmt2_result");
  if (statement.state_->is_insert) session_->misuse("an insert has no result", "stmt2_result");
  if (statement.state_->bound)
    session_->misuse("it was not executed yet; the server would die of this", "stmt2_result");
  auto reply = session_->require(session_->send_json("stmt2_result", statement_argument(*statement.state_)));
  return Rows(detail::make_result(session_, std::move(reply.json)));
}

void Connection::close(Statement& statement) {
  auto& state = *statement.state_;
  if (state.closed || !session_->is_open() || session_->epoch() != state.epoch) return;
  if (state.busy) session_->misuse("a step of the statement has not been answered yet", "stmt2_close");
  state.closed = true;
  session_->require(session_->send_json("stmt2_close", statement_argument(state)));
}

}  // namespace penstock::client
