#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/detail/tmq_answer.h"
#include "client/detail/websocket.h"
#include "client/dsn.h"

namespace penstock::client::detail {

/// An answer of `/rest/tmq`.
struct TmqReply {
  TmqAnswer json;      ///< of a binary answer: action, code, message, request id
  std::string binary;  ///< a binary answer as it came, else ""
};

/// `/rest/tmq` of the adapter: requests and their answers. One connection after the other to the endpoints of the
/// options. One thread; a poll may be under way while other requests are made. Bad answers end the connection.
class TmqLink {
 public:
  explicit TmqLink(Options options) : options_(std::move(options)) {}
  TmqLink(const TmqLink&) = delete;
  TmqLink& operator=(const TmqLink&) = delete;
  ~TmqLink() { close(); }

  /// Connects to the first endpoint that answers `version`, beginning with the one after the last. Throws
  /// ConnectionError: that of the last endpoint with those of the others.
  void open();
  void close() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return socket_ != nullptr; }
  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] const std::string& version() const noexcept { return version_; }
  /// Number of the connection.
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

  /// Sends a request and waits for its answer for the options' request time-out. `arguments` are JSON members without
  /// braces, or "". Throws TmqError for a refusal, ConnectionError when the connection is lost, at the time-out (which
  /// ends the connection too) and at a stop. `request_id` 0: the next number.
  TmqReply call(std::string_view action, std::string_view arguments, std::uint64_t request_id = 0);
  /// As call(), but a refusal is returned.
  TmqReply ask(std::string_view action, std::string_view arguments, std::uint64_t request_id = 0);
  std::uint64_t next_request() noexcept { return ++last_request_; }

  /// Sends a poll; there must be none under way. `last_message`: id of the last one that came, so that the server sends
  /// again one that did not; 0: none came.
  void send_poll(std::chrono::milliseconds blocking_time, std::uint64_t last_message);
  [[nodiscard]] bool polling() const noexcept { return poll_ != 0; }
  /// The answer to the poll, which is under way no longer then; nullopt at the deadline, when it still is. Throws as
  /// call() does, also when the poll's answer is overdue by the request time-out.
  std::optional<TmqAnswer> take_poll(Deadline deadline);
  /// Answers the server's pings until then.
  void idle(Deadline deadline);

 private:
  void connect_to(const Endpoint& endpoint);
  void send(std::string_view action, std::string_view arguments, std::uint64_t request_id, Deadline deadline);
  // The answer to a request, sorting out others; nullopt at the deadline.
  std::optional<TmqReply> receive(std::uint64_t request_id, Deadline deadline);
  TmqReply read(WsMessage&& message, std::uint64_t awaited);
  void need_socket(std::string_view action) const;
  void drop() noexcept;
  [[noreturn]] void nonsense(const std::string& what);
  [[noreturn]] void no_answer(std::string_view action, std::uint64_t request_id, Deadline deadline);

  const Options options_;
  std::unique_ptr<WebSocket> socket_;
  std::size_t next_endpoint_ = 0;
  std::string endpoint_;
  std::string version_;
  std::uint64_t epoch_ = 0;
  std::uint64_t last_request_ = 0;
  std::uint64_t poll_ = 0;  ///< the request under way
  Deadline poll_due_{};
  std::optional<TmqAnswer> poll_answer_;
};

}  // namespace penstock::client::detail
