#include "client/detail/ws_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/text.h"
#include "client/detail/statement_sql.h"
#include "wire/bytes.h"
#include "wire/errors.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

namespace penstock::client::detail {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  wire::append_json_escaped(out, text);
  return out += '"';
}

// Unreserved characters of a URL stay.
std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// Whether a version such as "3.3.7.5" or "3.3.2.0.alpha" is at least 3.3.2.0.
bool at_least_3320(std::string_view version) {
  constexpr std::array<unsigned, 4> kWanted{3, 3, 2, 0};
  for (const unsigned wanted : kWanted) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), number);
    if (error != std::errc()) return wanted == 0;
    if (number != wanted) return number > wanted;
    version.remove_prefix(static_cast<std::size_t>(end - version.data()));
    if (!version.empty()) version.remove_prefix(1);
  }
  return true;
}

std::string seconds(std::chrono::milliseconds duration) {
  return fmt::format("{:g} s", std::chrono::duration<double>(duration).count());
}

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

WsSession::~WsSession() { close(); }

void WsSession::close() noexcept {
  if (socket_) socket_->close();
  lost();
}

void WsSession::lost() noexcept {
  socket_.reset();
  pending_.clear();
  arrived_.clear();
  version_ticket_ = block_ticket_ = 0;
}

void WsSession::connect_to(const Endpoint& endpoint) {
  const auto begin = Clock::now();
  Options plan = options_;
  // With several endpoints a dead one must not use up the patience of the caller.
  if (options_.endpoints.size() > 1)
    plan.handshake_timeout = std::max(options_.handshake_timeout / static_cast<int>(options_.endpoints.size()),
                                      std::min(options_.handshake_timeout, std::chrono::milliseconds(2'000)));
  const std::string target = options_.token.empty() ? "/ws" : "/ws?token=" + url_encoded(options_.token);
  socket_ = WebSocket::connect(plan, endpoint, target);
  ++epoch_;
  const auto handshake_end = begin + plan.handshake_timeout;
  version_ticket_ = next_ticket();
  const std::string request = fmt::format(R"({{"action":"version","args":{{"req_id":{}}}}})", version_ticket_);
  const std::string_view part = request;
  send(version_ticket_, "version", MessageKind::text, {&part, 1});
  try {
    const auto answer = wait_until(version_ticket_, std::max(handshake_end, Clock::now() + std::chrono::seconds(1)),
                                   plan.handshake_timeout);
    require_json(answer.json);
    version_ = answer.json.version;
  } catch (const ClientError& error) {
    if (error.code() != Errc::timeout && error.code() != Errc::protocol) throw;
    throw ConnectionError(Errc::unreachable,
                          fmt::format("{} speaks WebSocket but is no adapter of TDengine: {}", endpoint_,
                                      error.code() == Errc::timeout ? "it does not answer" : error.what()),
                          Place{endpoint_, "version", 0});
  }
  if (version_.empty())
    throw ConnectionError(
        Errc::unreachable,
        fmt::format("{} speaks WebSocket but is no adapter of TDengine: it told no version", endpoint_),
        Place{endpoint_, "version", 0});
  if (version_.front() == '2')
    throw ConnectionError(Errc::unsupported,
                          fmt::format("{} is TDengine {}: version 3 is needed", endpoint_, printable(version_)),
                          Place{endpoint_, "version", 0});
  binary_query_ = at_least_3320(version_);
  bind_exec_ = true;
  log_in(begin + std::max(options_.connect_timeout, std::chrono::milliseconds(1)));
}

void WsSession::log_in(Deadline deadline) {
  const bool by_token = !options_.token.empty();  // the gateway puts the real ones in
  std::string arguments = fmt::format(
      R"("user":{},"password":{},"db":{},"app":{},"connector":"penstock")", quoted(by_token ? "root" : options_.user),
      quoted(by_token ? "taosdata" : options_.password), quoted(options_.database), quoted(options_.application));
  if (!options_.time_zone.empty()) arguments += ",\"tz\":" + quoted(options_.time_zone);
  if (!options_.bearer_token.empty()) arguments += ",\"bearer_token\":" + quoted(options_.bearer_token);
  if (!options_.totp_code.empty()) arguments += ",\"totp_code\":" + quoted(options_.totp_code);
  const auto ticket = send_json("conn", arguments);
  const auto reply = wait_until(ticket, deadline, options_.connect_timeout);
  const auto& answer = reply.json;
  if (answer.code != 0) throw_login_refused(options_, endpoint_, answer.code, answer.message);
}

void WsSession::need_socket(std::string_view action) const {
  if (!socket_)
    throw ConnectionError(Errc::unreachable,
                          fmt::format("cannot send '{}': the connection to {} is closed", action, endpoint_),
                          Place{endpoint_, std::string(action), 0});
}

void WsSession::send(Ticket ticket, std::string_view action, MessageKind kind, std::span<const std::string_view> parts,
                     std::shared_ptr<StatementState> statement, Step step) {
  need_socket(action);
  if (statement) statement->busy = true;
  pending_[ticket] = {std::string(action), std::move(statement), step, false};
  try {
    socket_->send(kind, parts, Clock::now() + options_.request_timeout);
  } catch (...) {
    lost();
    throw;
  }
}

Ticket WsSession::next_ticket(RequestId wanted) {
  if (wanted != 0) {
    if (pending_.contains(wanted) || arrived_.contains(wanted))
      misuse(fmt::format("another request with the id {} is under way", wanted), "request");
    return wanted;
  }
  do ++last_ticket_;
  while (pending_.contains(last_ticket_) || arrived_.contains(last_ticket_));
  return last_ticket_;
}

Ticket WsSession::send_json(std::string_view action, std::string_view arguments, RequestId request_id) {
  const auto ticket = next_ticket(request_id);
  const auto request = fmt::format(R"({{"action":"{}","args":{{"req_id":{}{}{}}}}})", action, ticket,
                                   arguments.empty() ? "" : ",", arguments);
  const std::string_view part = request;
  send(ticket, action, MessageKind::text, {&part, 1});
  return ticket;
}

Ticket WsSession::send_execute(std::string_view sql, RequestId request_id) {
  if (!is_utf8(sql)) misuse("the SQL is not UTF-8", "query");
  if (sql.empty()) misuse("the SQL is empty", "query");
  if (!binary_query_) return send_json("query", "\"sql\":" + quoted(sql), request_id);
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
        fmt::format(R"({},"get_fields":false,"sql":{})", statement_argument(*state), quoted(sql));
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

Answer WsSession::wait(Ticket ticket, std::chrono::milliseconds timeout) {
  auto json = std::move(wait_reply(ticket, timeout).json);
  return {ticket,
          std::move(json.action),
          json.code,
          std::move(json.message),
          json.affected,
          json.total_rows,
          std::chrono::nanoseconds(json.timing_ns)};
}

Reply WsSession::wait_reply(Ticket ticket, std::chrono::milliseconds timeout) {
  return wait_until(ticket, Clock::now() + timeout, timeout);
}

Reply WsSession::wait_until(Ticket ticket, Deadline deadline, std::chrono::milliseconds timeout) {
  for (;;) {
    if (auto found = arrived_.extract(ticket)) return std::move(found.mapped());
    const auto pending = pending_.find(ticket);
    if (pending == pending_.end()) {
      need_socket("wait");
      misuse("no request with this ticket is under way", "wait");
    }
    std::optional<WsMessage> message;
    try {
      message = socket_->receive(deadline);
    } catch (...) {
      lost();
      throw;
    }
    if (message) {
      take(std::move(*message));
      continue;
    }
    const std::string action = pending->second.action;
    if (pending->second.statement) pending->second.statement->broken = true;
    pending->second.forgotten = true;
    if (options_.stop.stop_requested() && Clock::now() < deadline)
      throw ConnectionError(Errc::stopped, fmt::format("stopped while {} had not answered '{}' yet", endpoint_, action),
                            Place{endpoint_, action, ticket});
    throw ConnectionError(Errc::timeout,
                          fmt::format("{} did not answer '{}' within {}", endpoint_, action, seconds(timeout)),
                          Place{endpoint_, action, ticket});
  }
}

Reply WsSession::require_reply(Ticket ticket) {
  auto reply = wait_reply(ticket, options_.request_timeout);
  require_json(reply.json);
  return reply;
}

void WsSession::require_json(const JsonAnswer& answer) const {
  if (answer.code != 0)
    throw_server_error(answer.code, answer.message, Place{endpoint_, answer.action, answer.request_id});
}

bool WsSession::ready(Ticket ticket) {
  if (!arrived_.contains(ticket)) poll();
  return arrived_.contains(ticket);
}

void WsSession::poll() {
  need_socket("poll");
  try {
    socket_->poll();
    while (auto message = socket_->receive(Deadline::min())) take(std::move(*message));
  } catch (...) {
    lost();
    throw;
  }
}

void WsSession::nonsense(const std::string& what) {
  const Place place{endpoint_, "receive", 0};
  lost();
  throw ConnectionError(
      Errc::protocol,
      fmt::format("{} sent something that no adapter of TDengine sends ({}); the connection is given up", endpoint_,
                  what),
      place);
}

void WsSession::take(WsMessage&& message) {
  if (message.kind == MessageKind::binary) return take_binary(std::move(message.bytes));
  auto answer = parse_answer(message.bytes);
  if (!answer) nonsense("text '" + printable(message.bytes) + "'");
  Ticket ticket = answer->request_id;
  if (answer->action == "version" && version_ticket_ != 0) ticket = version_ticket_;
  // An answer without an id: the server could not read a request. Whoever waits alone is meant.
  if (ticket == 0 && pending_.size() == 1) ticket = pending_.begin()->first;
  if (ticket == 0) nonsense("an answer without request id: " + printable(answer->message));
  take_reply(ticket, Reply{std::move(*answer), {}, {}});
}

void WsSession::take_binary(std::string&& bytes) {
  Reply reply;
  reply.binary = std::move(bytes);
  Ticket ticket = 0;
  try {
    if (wire::is_fetch_answer(reply.binary)) {
      const auto answer = wire::decode_fetch_answer(reply.binary);
      ticket = answer.request_id;
      reply.json.action = "fetch_raw_block";
      reply.json.request_id = ticket;
      reply.json.code = answer.code;
      reply.json.message = answer.message;
      reply.json.id = answer.result_id;
      reply.json.completed = answer.finished;
      reply.block = answer.block;
    } else if (block_ticket_ != 0) {
      const auto answer = wire::decode_fetch_block_answer(reply.binary);
      ticket = std::exchange(block_ticket_, 0);
      reply.json.action = "fetch_block";
      reply.json.id = answer.result_id;
      reply.block = answer.block;
    } else {
      nonsense(fmt::format("{} bytes that answer no request", reply.binary.size()));
    }
  } catch (const ClientError&) {
    throw;
  } catch (const Error& error) {
    nonsense(error.what());
  }
  take_reply(ticket, std::move(reply));
}

void WsSession::take_reply(Ticket ticket, Reply&& reply) {
  const auto found = pending_.extract(ticket);
  if (!found) return;  // nobody waits any more
  const Pending& pending = found.mapped();
  if (pending.action == "fetch_block") block_ticket_ = 0;
  if (const auto& statement = pending.statement) {
    statement->busy = false;
    const bool ok = reply.json.code == 0;
    // A server that does not know the combined request has not touched the statement.
    const bool unknown = pending.action == "stmt2_bind_exec" && reply.json.code == 0xFFFF &&
                         reply.json.message.starts_with("unknown binary action");
    if (unknown) bind_exec_ = false;
    else if (!ok) statement->broken = true;
    statement->bound = ok && pending.step == Step::bind;
  }
  if (pending.forgotten) return;
  if (reply.json.action.empty()) reply.json.action = pending.action;
  arrived_[ticket] = std::move(reply);  // its view stays good: a binary answer is too long for the string itself
}

}  // namespace penstock::client::detail
