#include "client/detail/ws_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/text.h"
#include "client/detail/server_version.h"
#include "client/detail/url.h"
#include "wire/bytes.h"
#include "wire/messages.h"

namespace penstock::client::detail {
// Request ids stand in the logs of the server: those of several connections should not be the same. They stay below
// 2^53, up to which every JSON reader keeps them.
WsSession::WsSession(Options options)
    : Session(std::move(options)), last_ticket_(std::uint64_t{std::random_device{}()} << 20) {}

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
  binary_query_ = version_at_least(version_, kBinaryQuerySince);
  bind_exec_ = true;
  log_in(begin + std::max(options_.connect_timeout, std::chrono::milliseconds(1)));
}

void WsSession::log_in(Deadline deadline) {
  const bool by_token = !options_.token.empty();  // the gateway puts the real ones in
  std::string arguments = fmt::format(R"("user":{},"password":{},"db":{},"app":{},"connector":"penstock")",
                                      json_quoted(by_token ? "root" : options_.user),
                                      json_quoted(by_token ? "taosdata" : options_.password),
                                      json_quoted(options_.database), json_quoted(options_.application));
  if (!options_.time_zone.empty()) arguments += ",\"tz\":" + json_quoted(options_.time_zone);
  if (!options_.bearer_token.empty()) arguments += ",\"bearer_token\":" + json_quoted(options_.bearer_token);
  if (!options_.totp_code.empty()) arguments += ",\"totp_code\":" + json_quoted(options_.totp_code);
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
                          fmt::format("{} did not answer '{}' within {}", endpoint_, action, seconds_text(timeout)),
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
