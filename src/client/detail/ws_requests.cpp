#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "client/detail/statement_sql.h"
#include "client/detail/ws_session.h"
#include "wire/bytes.h"
#include "wire/messages.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

/// What goes over the WebSocket: requests, and the results and statements that they make. The socket and the matching
/// of answers are in ws_session.cpp.
namespace penstock::client::detail {
namespace {

// What a server says of the fields of a table that it does not know yet; which of the two depends on its version.
constexpr std::int32_t kTableMissing = 0x2603;
constexpr std::int32_t kNoTableName = 0x022B;

std::string statement_argument(const WsStatement& statement) { return fmt::format("\"stmt_id\":{}", statement.id); }

// A result on the adapter. While one block is read the next one is under way.
class WsResult final : public ResultState {
 public:
  WsResult(std::shared_ptr<WsSession> owner, std::uint64_t id) : owner_(std::move(owner)), id_(id) {}
  ~WsResult() override {
    if (finished_ || !alive()) return;
    if (ahead_ != 0) owner_->forget(ahead_);
    try {
      owner_->send_and_forget("free_result", fmt::format("\"id\":{}", id_), false);
    } catch (const Error&) {
      // The connection is gone, and with it the result.
    }
  }

  std::string_view fetch() override {
    if (!alive())
      throw ResultError(Errc::unreachable, "the result was lost with its connection; run the query again",
                        Place{owner_->endpoint(), "fetch", 0});
    if (!owner_->has_binary_query()) {
      reply_ = owner_->fetch_in_two_steps(id_);
    } else {
      if (ahead_ == 0) ahead_ = owner_->send_fetch(id_);
      try {
        reply_ = owner_->require_reply(std::exchange(ahead_, 0));
      } catch (const DatabaseError&) {
        finished_ = true;  // the server has freed it
        throw;
      }
      if (!reply_.json.completed) ahead_ = owner_->send_fetch(id_);
    }
    finished_ = reply_.json.completed;
    return finished_ ? std::string_view() : reply_.block;
  }

 private:
  [[nodiscard]] bool alive() const noexcept { return owner_->is_open() && owner_->epoch() == epoch; }

  const std::shared_ptr<WsSession> owner_;
  const std::uint64_t id_;
  Reply reply_;       // holds the block's bytes
  Ticket ahead_ = 0;  // of the fetch under way
  bool finished_ = false;
};

}  // namespace

WsStatement::~WsStatement() {
  const auto owner = std::static_pointer_cast<WsSession>(session.lock());
  // A step under way may still be worked on; the server frees the statement with the connection.
  if (closed || busy || id == 0 || !owner || !owner->is_open() || owner->epoch() != epoch) return;
  try {
    owner->send_and_forget("stmt2_close", statement_argument(*this), true);
  } catch (const Error&) {
    // The connection is gone, and with it the statement.
  }
}

Ticket WsSession::send_execute(std::string_view sql, RequestId request_id) {
  if (!is_utf8(sql)) misuse("the SQL is not UTF-8", "query");
  if (sql.empty()) misuse("the SQL is empty", "query");
  if (!binary_query_) return send_json("query", "\"sql\":" + json_quoted(sql), request_id);
  const auto ticket = next_ticket(request_id);
  const auto request = wire::encode_query(ticket, sql);
  const std::string_view part = request;
  send(ticket, "query", MessageKind::binary, {&part, 1});
  return ticket;
}

std::unique_ptr<ResultState> WsSession::query(std::string_view sql, RequestId request_id) {
  return make_result(std::move(require_reply(send_execute(sql, request_id)).json));
}

std::string WsSession::current_database() { return require_reply(send_json("get_current_db", {})).json.text; }

Ticket WsSession::send_action(std::string_view action, std::string_view arguments) {
  return send_json(action, arguments);
}

Ticket WsSession::send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                                  int ttl_days, std::string_view table_name_key, RequestId request_id) {
  const auto ticket = next_ticket(request_id);
  std::string request;
  const auto bad = wire::encode_schemaless(request, {ticket, protocol, precision, ttl_days, table_name_key}, text);
  if (bad)
    throw SchemalessError(Errc::unsupported,
                          fmt::format("lines were not sent to {}: byte {} of {} is not UTF-8 ('{}')", endpoint_, *bad,
                                      text.size(), printable(text.substr(*bad, 16))),
                          Place{endpoint_, "insert", ticket});
  const std::string_view part = request;
  send(ticket, "insert", MessageKind::text, {&part, 1});
  return ticket;
}

std::shared_ptr<StatementState> WsSession::make_statement(std::string_view sql, StatementMode mode) {
  if (!is_utf8(sql)) misuse("the SQL is not UTF-8", "stmt2_prepare");
  auto state = std::make_shared<WsStatement>();  // closes it should a step fail
  state->session = weak_from_this();
  state->sql = sql;
  state->mode = mode;
  const auto init =
      require_reply(send_json("stmt2_init", fmt::format(R"("single_stb_insert":{0},"single_table_bind_once":{0})",
                                                        mode == StatementMode::interlace)));
  state->epoch = epoch_;
  state->id = init.json.statement_id;
  std::string arguments = statement_argument(*state) + ",\"get_fields\":true,\"sql\":\"";
  wire::append_json_escaped(arguments, sql);
  Reply reply;
  try {
    reply = require_reply(send_json("stmt2_prepare", arguments + '"'));
  } catch (const StatementError& error) {
    if ((error.server_code() != kTableMissing && error.server_code() != kNoTableName) || !names_table_when_bound(sql))
      throw;
    const auto without_fields =
        fmt::format(R"({},"get_fields":false,"sql":{})", statement_argument(*state), json_quoted(sql));
    reply = require_reply(send_json("stmt2_prepare", without_fields));
  }
  state->is_insert = reply.json.is_insert;
  if (!state->is_insert)
    state->parameter_count = static_cast<std::size_t>(std::max<std::int64_t>(0, reply.json.field_count));
  for (auto& field : reply.json.fields)
    state->fields.push_back(
        {std::move(field.name), static_cast<data::Type>(field.type), static_cast<StatementField::Bind>(field.bind_type),
         static_cast<std::uint8_t>(field.precision), static_cast<std::uint8_t>(field.scale), field.bytes});
  return state;
}

Ticket WsSession::send_bind(const std::shared_ptr<StatementState>& statement, wire::Stmt2Encoder& encoder) {
  need_usable(*statement, "stmt2_bind");
  const auto ticket = next_ticket();
  const auto parts = encoder.parts(ticket, static_cast<WsStatement&>(*statement).id);
  send(ticket, "stmt2_bind", MessageKind::binary, parts, statement, Step::bind);
  return ticket;
}

Ticket WsSession::send_exec(const std::shared_ptr<StatementState>& statement) {
  need_usable(*statement, "stmt2_exec");
  if (!statement->bound) misuse("nothing is bound; the server would die of this", "stmt2_exec");
  const auto ticket = next_ticket();
  const auto request = fmt::format(R"({{"action":"stmt2_exec","args":{{"req_id":{},{}}}}})", ticket,
                                   statement_argument(static_cast<WsStatement&>(*statement)));
  const std::string_view part = request;
  send(ticket, "stmt2_exec", MessageKind::text, {&part, 1}, statement, Step::exec);
  return ticket;
}

Ticket WsSession::send_bind_exec(const std::shared_ptr<StatementState>& statement, wire::Stmt2ExecEncoder& encoder,
                                 std::uint32_t table_runs) {
  need_usable(*statement, "stmt2_bind_exec");
  const auto ticket = next_ticket();
  const auto parts = encoder.parts(ticket, static_cast<WsStatement&>(*statement).id, table_runs);
  send(ticket, "stmt2_bind_exec", MessageKind::binary, parts, statement, Step::exec);
  return ticket;
}

std::unique_ptr<ResultState> WsSession::result(const std::shared_ptr<StatementState>& statement) {
  need_usable(*statement, "stmt2_result");
  if (statement->is_insert) misuse("an insert has no result", "stmt2_result");
  if (statement->bound) misuse("it was not executed yet; the server would die of this", "stmt2_result");
  auto reply = require_reply(send_json("stmt2_result", statement_argument(static_cast<WsStatement&>(*statement))));
  return make_result(std::move(reply.json));
}

void WsSession::close_statement(StatementState& statement) {
  if (statement.closed || !is_open() || epoch_ != statement.epoch) return;
  if (statement.busy) misuse("a step of the statement has not been answered yet", "stmt2_close");
  statement.closed = true;
  require_reply(send_json("stmt2_close", statement_argument(static_cast<WsStatement&>(statement))));
}

std::unique_ptr<ResultState> WsSession::make_result(JsonAnswer&& answer) {
  std::unique_ptr<ResultState> result;
  if (answer.field_count > 0)
    result = std::make_unique<WsResult>(std::static_pointer_cast<WsSession>(shared_from_this()), answer.id);
  else result = std::make_unique<ResultState>();
  result->session = shared_from_this();
  result->epoch = epoch_;
  result->affected_rows = answer.affected;
  result->precision = answer.precision == 1   ? data::Precision::microseconds
                      : answer.precision == 2 ? data::Precision::nanoseconds
                                              : data::Precision::milliseconds;
  const auto at = [](const std::vector<std::int32_t>& values, std::size_t i) {
    return i < values.size() ? values[i] : 0;
  };
  for (std::size_t i = 0; i < answer.names.size() && answer.field_count > 0; ++i)
    result->fields.push_back({std::move(answer.names[i]), static_cast<data::Type>(at(answer.types, i)),
                              at(answer.lengths, i), static_cast<std::uint8_t>(at(answer.precisions, i)),
                              static_cast<std::uint8_t>(at(answer.scales, i))});
  return result;
}

Ticket WsSession::send_fetch(std::uint64_t result_id) {
  const auto ticket = next_ticket();
  const auto request = wire::encode_fetch(ticket, result_id);
  const std::string_view part = request;
  send(ticket, "fetch_raw_block", MessageKind::binary, {&part, 1});
  return ticket;
}

Reply WsSession::fetch_in_two_steps(std::uint64_t result_id) {
  auto head = require_reply(send_json("fetch", fmt::format("\"id\":{}", result_id)));
  if (head.json.completed) return head;
  return require_reply(send_fetch_block(result_id));
}

void WsSession::forget(Ticket ticket) noexcept {
  arrived_.erase(ticket);
  if (const auto found = pending_.find(ticket); found != pending_.end()) found->second.forgotten = true;
}

Ticket WsSession::send_fetch_block(std::uint64_t result_id) {
  if (block_ticket_ != 0) misuse("another fetch_block is under way", "fetch_block");
  const auto ticket = send_json("fetch_block", fmt::format("\"id\":{}", result_id));
  block_ticket_ = ticket;
  return ticket;
}

void WsSession::send_and_forget(std::string_view action, std::string_view arguments, bool answered) {
  const auto ticket = send_json(action, arguments);
  if (answered) pending_[ticket].forgotten = true;
  else pending_.erase(ticket);
}

}  // namespace penstock::client::detail
