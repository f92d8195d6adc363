#include "client/detail/tmq_link.h"
#include "client/detail/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "client/detail/consumer_backend.h"
#include "client/detail/url.h"
#include "wire/bytes.h"
#include "wire/tmq.h"

namespace penstock::client::detail {
void TmqLink::open() {
  close();
  const std::size_t count = options_.endpoints.size();
  std::string others;
  for (std::size_t i = 0; i < count; ++i) {
    const Endpoint& endpoint = options_.endpoints[next_endpoint_ % count];
    next_endpoint_ = (next_endpoint_ + 1) % count;
    endpoint_ = endpoint.text();
    try {
      return connect_to(endpoint);
    } catch (const ClientError& error) {
      drop();
      const bool final = error.code() == Errc::auth || error.code() == Errc::config || error.code() == Errc::stopped;
      if (final || count == 1) throw;
      if (i + 1 == count)
        throw ConnectionError(error.code(), others + error.what(), Place{error.endpoint(), error.action(), 0},
                              error.server_code(), error.message());
      others += std::string(error.what()) + "; and ";
    }
  }
}

void TmqLink::connect_to(const Endpoint& endpoint) {
  if (options_.stop.stop_requested())
    throw ConnectionError(Errc::stopped, fmt::format("stopped before connecting to {}", endpoint_),
                          Place{endpoint_, "connect", 0});
  Options plan = options_;
  // With several endpoints a dead one must not use up the patience of the caller.
  if (options_.endpoints.size() > 1)
    plan.handshake_timeout = std::max(options_.handshake_timeout / static_cast<int>(options_.endpoints.size()),
                                      std::min(options_.handshake_timeout, std::chrono::milliseconds(2'000)));
  const auto deadline =
      std::max(Clock::now() + plan.handshake_timeout, Clock::now() + std::chrono::milliseconds(1'000));
  socket_ = WebSocket::connect(plan, endpoint,
                               options_.token.empty() ? "/rest/tmq" : "/rest/tmq?token=" + url_encoded(options_.token));
  ++epoch_;
  poll_ = 0;
  poll_answer_.reset();
  const auto request = next_request();
  send("version", {}, request, deadline);
  const auto reply = receive(request, deadline);
  if (!reply)
    throw ConnectionError(
        Errc::unreachable,
        fmt::format("{} speaks WebSocket but is no adapter of TDengine: it does not answer", endpoint_),
        Place{endpoint_, "version", 0});
  if (reply->json.code != 0) throw_tmq_error(reply->json.code, reply->json.message, Place{endpoint_, "version", 0});
  version_ = reply->json.version;
}

void TmqLink::close() noexcept {
  if (socket_) socket_->close();
  drop();
}

void TmqLink::drop() noexcept {
  socket_.reset();
  poll_ = 0;
  poll_answer_.reset();
}

void TmqLink::need_socket(std::string_view action) const {
  if (!socket_)
    throw ConnectionError(Errc::unreachable,
                          fmt::format("{}: the connection of the consumer is gone; '{}' was not sent",
                                      endpoint_.empty() ? options_.display() : endpoint_, action),
                          Place{endpoint_, std::string(action), 0});
}

void TmqLink::send(std::string_view action, std::string_view arguments, std::uint64_t request_id, Deadline deadline) {
  need_socket(action);
  const auto request = fmt::format(R"({{"action":"{}","args":{{"req_id":{}{}{}}}}})", action, request_id,
                                   arguments.empty() ? "" : ",", arguments);
  const std::string_view part = request;
  try {
    socket_->send(MessageKind::text, {&part, 1}, deadline);
  } catch (...) {
    drop();
    throw;
  }
}

TmqReply TmqLink::call(std::string_view action, std::string_view arguments, std::uint64_t request_id) {
  auto reply = ask(action, arguments, request_id);
  if (reply.json.code != 0)
    throw_tmq_error(reply.json.code, reply.json.message, Place{endpoint_, std::string(action), reply.json.request_id});
  return reply;
}

TmqReply TmqLink::ask(std::string_view action, std::string_view arguments, std::uint64_t request_id) {
  if (request_id == 0) request_id = next_request();
  const auto deadline = Clock::now() + options_.request_timeout;
  send(action, arguments, request_id, deadline);
  auto reply = receive(request_id, deadline);
  if (!reply) no_answer(action, request_id, deadline);
  return std::move(*reply);
}

void TmqLink::no_answer(std::string_view action, std::uint64_t request_id, Deadline deadline) {
  const Place place{endpoint_, std::string(action), request_id};
  if (options_.stop.stop_requested() && Clock::now() < deadline)
    throw ConnectionError(Errc::stopped, fmt::format("stopped while {} had not answered '{}' yet", endpoint_, action),
                          place);
  // What the server made of the request, and which message it holds now, is not known: a member that goes on would
  // pass over rows.
  drop();
  throw ConnectionError(Errc::timeout,
                        fmt::format("{} did not answer '{}' within {}; the connection of the consumer is given up",
                                    endpoint_, action, seconds_text(options_.request_timeout)),
                        place);
}

void TmqLink::send_poll(std::chrono::milliseconds blocking_time, std::uint64_t last_message) {
  const auto request = next_request();
  send("poll", fmt::format("\"blocking_time\":{},\"message_id\":{}", blocking_time.count(), last_message), request,
       Clock::now() + options_.request_timeout);
  poll_ = request;
  poll_due_ = Clock::now() + blocking_time + options_.request_timeout;
}

std::optional<TmqAnswer> TmqLink::take_poll(Deadline deadline) {
  if (!poll_answer_) {
    deadline = std::min(deadline, poll_due_);
    auto reply = receive(poll_, deadline);
    if (!reply) {
      const auto now = Clock::now();
      if (now >= poll_due_ || (options_.stop.stop_requested() && now < deadline)) no_answer("poll", poll_, deadline);
      return std::nullopt;
    }
    poll_answer_ = std::move(reply->json);
  }
  auto answer = std::move(*poll_answer_);
  poll_answer_.reset();
  poll_ = 0;
  if (answer.code != 0) throw_tmq_error(answer.code, answer.message, Place{endpoint_, "poll", answer.request_id});
  return answer;
}

void TmqLink::idle(Deadline deadline) {
  need_socket("poll");
  // Nothing is awaited: what comes answers requests that were given up.
  receive(0, deadline);
}

std::optional<TmqReply> TmqLink::receive(std::uint64_t request_id, Deadline deadline) {
  need_socket("receive");
  for (;;) {
    std::optional<WsMessage> message;
    try {
      message = socket_->receive(deadline);
    } catch (...) {
      drop();
      throw;
    }
    if (!message) return std::nullopt;
    auto reply = read(std::move(*message), request_id);
    const auto id = reply.json.request_id;
    if (id != 0 && id == request_id) return reply;
    if (id != 0 && id == poll_) poll_answer_ = std::move(reply.json);
  }
}

TmqReply TmqLink::read(WsMessage&& message, std::uint64_t awaited) {
  TmqReply reply;
  if (message.kind == MessageKind::text) {
    auto answer = parse_tmq_answer(message.bytes);
    if (!answer) nonsense("text '" + printable(message.bytes) + "'");
    reply.json = std::move(*answer);
    // Old servers say no id in this answer; it comes first and alone.
    if (reply.json.action == "version" && reply.json.request_id == 0) reply.json.request_id = awaited;
    return reply;
  }
  reply.binary = std::move(message.bytes);
  try {
    if (wire::is_raw_data_answer(reply.binary)) {
      const auto answer = wire::decode_raw_data_answer(reply.binary);
      reply.json.action = "fetch_raw_data";
      reply.json.code = answer.code;
      reply.json.message = answer.message;
      reply.json.request_id = answer.request_id;
      reply.json.message_id = answer.message_id;
    } else {
      // fetch_raw and fetch_block begin alike.
      const auto answer = wire::decode_message_block_answer(reply.binary);
      reply.json.request_id = answer.request_id;
      reply.json.message_id = answer.message_id;
    }
  } catch (const Error& error) {
    nonsense(error.what());
  }
  return reply;
}

void TmqLink::nonsense(const std::string& what) {
  drop();
  throw ConnectionError(
      Errc::protocol,
      fmt::format("{} sent something that no adapter of TDengine sends ({}); the connection is given up", endpoint_,
                  what),
      Place{endpoint_, "receive", 0});
}

}  // namespace penstock::client::detail
