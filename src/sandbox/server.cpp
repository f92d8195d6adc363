#include "sandbox/server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "base/bounded_queue.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "sandbox/canned_source.h"
#include "sandbox/http_message.h"
#include "sandbox/server_answers.h"
#include "sandbox/server_rest.h"
#include "sandbox/server_tmq.h"
#include "sandbox/server_ws.h"
#include "sandbox/ws_frames.h"

namespace penstock::sandbox {
namespace {

/// Requests of one connection that wait for their turn; beyond it the socket is not read.
constexpr std::size_t kWaitingRequests = 16;

/// How long a request to HTTP may stay without an answer on purpose; longer than any client waits.
constexpr std::chrono::minutes kSilence{10};

/// A file descriptor that is closed.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  [[nodiscard]] int get() const { return value_; }

 private:
  int value_;
};

Descriptor listen_on(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) {
    throw Error(Errc::config, fmt::format("cannot serve the sandbox on '{}': {}; give an address of this machine, "
                                          "such as 127.0.0.1",
                                          address, ::gai_strerror(status)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, &::freeaddrinfo);
  Descriptor listener(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener.get() < 0 || ::bind(listener.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(listener.get(), 256) != 0) {
    const int reason = errno;
    const char* advice = reason == EADDRINUSE      ? "stop what listens there or choose another port (0: a free one)"
                         : reason == EACCES        ? "choose a port from 1024 on"
                         : reason == EADDRNOTAVAIL ? "give an address of this machine, such as 127.0.0.1"
                                                   : "choose another address or port";
    throw Error(Errc::io,
                fmt::format("cannot serve the sandbox on {}:{}: {}; {}", address, port, errno_text(reason), advice));
  }
  return listener;
}

std::uint16_t bound_port(int listener) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size);
  return ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(name).sin6_port
                                          : reinterpret_cast<const sockaddr_in&>(name).sin_port);
}

/// At most `limit` holders at once; 0: any number.
class Turnstile {
 public:
  explicit Turnstile(std::size_t limit) : free_(limit), limited_(limit > 0) {}
  void enter() {
    if (!limited_) return;
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return free_ > 0; });
    --free_;
  }
  void leave() {
    if (!limited_) return;
    {
      const std::lock_guard lock(mutex_);
      ++free_;
    }
    freed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  std::size_t free_;
  const bool limited_;
};

class Turn {
 public:
  explicit Turn(Turnstile& turnstile) : turnstile_(turnstile) { turnstile_.enter(); }
  ~Turn() { turnstile_.leave(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Turnstile& turnstile_;
};

class Closer {
 public:
  explicit Closer(BoundedQueue<WsMessage>& queue) : queue_(queue) {}
  ~Closer() { queue_.close(); }
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

 private:
  BoundedQueue<WsMessage>& queue_;
};

/// The dialogue behind a path; nullptr: it is no WebSocket's.
std::unique_ptr<Dialogue> make_dialogue(std::string_view path, Engine& engine, const Server::Options& options,
                                        std::optional<Credentials> credentials, const CannedSource* canned) {
  if (path == "/rest/tmq") return std::make_unique<TmqDialogue>(engine, std::move(credentials));
  WsDialogue::Options how;
  how.credentials = std::move(credentials);
  how.bind_exec = options.stmt2_bind_exec;
  how.canned = canned;
  if (path == "/rest/ws") {
    how.endpoint = WsDialogue::Endpoint::rest_ws;
  } else if (path == "/rest/stmt") {
    how.endpoint = WsDialogue::Endpoint::rest_stmt;
  } else if (path == "/rest/schemaless") {
    how.endpoint = WsDialogue::Endpoint::rest_schemaless;
  } else if (path != "/ws") {
    return nullptr;
  }
  return std::make_unique<WsDialogue>(engine, how);
}

HttpResponse upgrade_error(int status, std::string body) {
  HttpResponse response{status,
                        {{"Content-Type", "text/plain; charset=utf-8"},
                         {"Sec-Websocket-Version", "13"},
                         {"X-Content-Type-Options", "nosniff"}},
                        std::move(body),
                        false};
  if (status == 426) response.headers.emplace_back("Upgrade", "websocket");
  return response;
}

/// The answer to an upgrade request; status 101 when it is one.
HttpResponse upgrade_response(const HttpRequest& request) {
  if (!request.header_has("Connection", "upgrade")) return upgrade_error(400, "Bad Request\n");
  if (!request.header_has("Upgrade", "websocket")) return upgrade_error(426, "Upgrade Required\n");
  const auto key = request.header("Sec-WebSocket-Key");
  const bool sixteen_bytes =
      key && key->size() == 24 && key->ends_with("==") &&
      key->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == 22;
  if (!sixteen_bytes || !request.header_has("Sec-WebSocket-Version", "13")) return upgrade_error(400, "Bad Request\n");
  HttpResponse response{
      101,
      {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Accept", websocket_accept(*key)}},
      "",
      false};
  if (request.header_has("Sec-WebSocket-Extensions", "permessage-deflate")) {
    response.headers.emplace_back("Sec-WebSocket-Extensions",
                                  "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
  }
  if (request.header("Origin")) {
    response.headers.emplace_back("Access-Control-Expose-Headers", "Authorization");
    response.headers.emplace_back("Access-Control-Allow-Origin", "*");
  }
  return response;
}

}  // namespace

class Server::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        engine_(Engine::open(options_.engine)),
        http_{*engine_, {options_.token, {options_.engine.user, options_.engine.password}}},
        canned_(options_.canned_rows == 0 ? nullptr : std::make_unique<CannedSource>(options_.canned_rows)),
        faults_(options_.faults),
        turnstile_(options_.threads),
        listener_(listen_on(options_.address, options_.port)),
        port_(bound_port(listener_.get())),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        acceptor_([this](const std::stop_token& stop) { accept_loop(stop); }) {}

  ~Impl() { stop(); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] Faults& faults() { return faults_; }

  [[nodiscard]] std::size_t connection_count() const {
    const std::lock_guard lock(mutex_);
    return connections_.size();
  }

  void stop() {
    const std::lock_guard one_at_a_time(stop_mutex_);
    if (!acceptor_.joinable()) return;
    stopping_ = true;
    faults_.stop();
    acceptor_.request_stop();
    wake();
    acceptor_.join();
    listener_ = Descriptor();
    std::list<Connection> ending;
    {
      const std::lock_guard lock(mutex_);
      ending.swap(connections_);
      for (auto& connection : ending) connection.socket.shut_down();
    }
    for (auto& connection : ending) connection.thread.join();
  }

 private:
  struct Connection {
    explicit Connection(int descriptor) : socket(descriptor) {}
    Socket socket;
    std::atomic<bool> done{false};
    std::jthread thread;
  };

  void wake() const {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the loop is awake anyway.
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
  }

  void accept_loop(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd waiting[2] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
      if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
      std::uint64_t count = 0;
      [[maybe_unused]] const auto drained = ::read(wake_.get(), &count, sizeof count);
      reap();
      if (stop.stop_requested()) return;
      const int descriptor = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (descriptor >= 0) {
        begin(descriptor);
      } else if (errno == EMFILE || errno == ENFILE) {
        log(LogLevel::warning,
            "sandbox: out of file descriptors, a connection has to wait; raise the limit (ulimit -n)");
        // The listener stays readable; wait for an ending connection instead of spinning.
        ::poll(&waiting[1], 1, 1000);
      }
    }
  }

  void begin(int descriptor) {
    const std::lock_guard lock(mutex_);
    Connection& connection = connections_.emplace_back(descriptor);
    try {
      connection.thread = std::jthread([this, &connection] {
        try {
          serve(connection.socket);
        } catch (const std::exception& error) {
          if (options_.log) log(LogLevel::warning, fmt::format("sandbox: connection ended: {}", error.what()));
        }
        connection.socket.shut_down();
        connection.done = true;
        wake();
      });
    } catch (const std::system_error&) {
      log(LogLevel::warning, "sandbox: no thread for another connection; it was closed");
      connections_.pop_back();
    }
  }

  void reap() {
    std::list<Connection> finished;
    const std::lock_guard lock(mutex_);
    for (auto it = connections_.begin(); it != connections_.end();) {
      const auto next = std::next(it);
      if (it->done) finished.splice(finished.end(), connections_, it);
      it = next;
    }
  }

  void serve(Socket& socket) {
    for (;;) {
      std::optional<HttpResponse> refusal;
      const auto request = read_request(socket, refusal);
      if (!request) {
        if (refusal) write_response(socket, nullptr, *refusal);
        return;
      }
      if (options_.log) {
        // The path of a login holds the password.
        const bool secret = request->path.starts_with("/rest/login/");
        log(LogLevel::info,
            fmt::format("sandbox: {} {}", request->method, secret ? "/rest/login/***" : printable(request->raw_path)));
      }
      const auto token = http_.gateway.check(*request);
      const auto dialogue =
          request->method == "GET"
              ? make_dialogue(request->path, *engine_, options_,
                              token == Gateway::Verdict::right ? std::optional(http_.gateway.stands_for) : std::nullopt,
                              canned_.get())
              : nullptr;
      if (dialogue) {
        const HttpResponse response =
            token == Gateway::Verdict::wrong ? upgrade_error(401, "Unauthorized\n") : upgrade_response(*request);
        if (const auto fault = faults_.on_connect(request->path)) {
          if (fault->kind == FaultRule::Kind::delay && !faults_.wait(fault->wait)) return;
          if (fault->kind == FaultRule::Kind::refuse) {
            const int status = fault->http_status == 0 ? 503 : fault->http_status;
            write_response(socket, &*request, upgrade_error(status, fault->text + "\n"));
            return;
          }
          if (fault->kind == FaultRule::Kind::silence) socket.wait_for_more(Socket::Clock::now() + kSilence);
          if (fault->kind != FaultRule::Kind::delay) return;
        }
        const bool upgraded = response.status == 101;
        if (!write_response(socket, upgraded ? nullptr : &*request, response)) return;
        if (upgraded) {
          return serve_websocket(socket, request->header_has("Sec-WebSocket-Extensions", "permessage-deflate"),
                                 *dialogue, request->path);
        }
      } else {
        if (!answer_http(socket, *request)) return;
      }
      if (!request->keep_alive) return;
    }
  }

  void serve_websocket(Socket& socket, bool deflate, Dialogue& dialogue, std::string_view endpoint) {
    WsStream stream(socket, deflate, {options_.ping_every, options_.silence});
    BoundedQueue<WsMessage> waiting(kWaitingRequests);
    WsAnswers answers(stream, socket, faults_, std::string(endpoint));
    dialogue.begin([&answers](const Dialogue::Reply& reply) { answers.send_later(reply); });
    // This thread goes on reading, so PINGs are answered while a statement runs.
    std::jthread worker([&] {
      try {
        answer_requests(answers, waiting, dialogue);
      } catch (const std::exception& error) {
        log(LogLevel::warning, fmt::format("sandbox: a connection was ended: {}", error.what()));
      }
      dialogue.end();
      socket.shut_down();
      waiting.close();
    });
    // Lets the worker end before it is joined, also when receive() throws.
    const Closer closer(waiting);
    while (auto message = stream.receive()) {
      if (!waiting.push(std::move(*message), {})) break;
    }
  }

  /// False: the connection is over.
  bool answer_http(Socket& socket, const HttpRequest& request) {
    const auto fault = faults_.on_http(request.path, request.method, request.body);
    const bool carried_out = !fault || fault->when == FaultRule::When::after || needs_answer(fault->kind);
    HttpResponse response;
    if (carried_out) {
      const Turn turn(turnstile_);
      response = handle_http(http_, request);
    }
    if (fault) {
      switch (fault->kind) {
        case FaultRule::Kind::drop: return false;
        case FaultRule::Kind::silence: socket.wait_for_more(Socket::Clock::now() + kSilence); return false;
        case FaultRule::Kind::delay:
          if (!faults_.wait(fault->wait)) return false;
          break;
        case FaultRule::Kind::refuse: {
          int status = 200;
          std::string body = fault_http_body(*fault, request.path, status);
          response = json_response(status, std::move(body));
          break;
        }
        case FaultRule::Kind::cut_off: response.half = true; break;
        default: response.body = fault_spoil(fault->kind, true, std::move(response.body)); break;
      }
    }
    return write_response(socket, &request, response);
  }

  void answer_requests(WsAnswers& answers, BoundedQueue<WsMessage>& waiting, Dialogue& dialogue) {
    const auto handle = [&](WsMessage message) {
      const Turn turn(turnstile_);
      return dialogue.handle(std::move(message));
    };
    // What a client sent before it went away is carried out; what waits when the server stops is not.
    while (auto message = waiting.pop({})) {
      if (stopping_ || !answers.answer(std::move(*message), handle)) return;
    }
  }

  const Options options_;
  const std::unique_ptr<Engine> engine_;
  const HttpService http_;
  const std::unique_ptr<const CannedSource> canned_;
  Faults faults_;
  Turnstile turnstile_;
  Descriptor listener_;
  const std::uint16_t port_;
  const Descriptor wake_;
  std::atomic<bool> stopping_{false};
  std::mutex stop_mutex_;
  mutable std::mutex mutex_;  ///< guards connections_
  std::list<Connection> connections_;
  std::jthread acceptor_;
};

Server::Server(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Server::~Server() = default;
std::uint16_t Server::port() const noexcept { return impl_->port(); }
Faults& Server::faults() noexcept { return impl_->faults(); }
std::size_t Server::connection_count() const { return impl_->connection_count(); }
void Server::stop() { impl_->stop(); }

}  // namespace penstock::sandbox
