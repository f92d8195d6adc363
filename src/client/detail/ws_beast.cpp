// The only file that includes Boost.Beast and OpenSSL: it costs as much to compile as the rest of the room.
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "client/detail/retry_after.h"
#include "client/detail/tls_files.h"
#include "client/detail/websocket.h"
#include "client/errors.h"

namespace penstock::client::detail {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using boost::system::error_code;
using tcp = net::ip::tcp;

// A TCP socket, with TLS on it or not, behind one type with one kind of handler: Beast's operations are instantiated
// once instead of twice.
class Layer {
 public:
  using executor_type = tcp::socket::executor_type;
  using Handler = std::function<void(error_code, std::size_t)>;

  explicit Layer(net::io_context& context) : socket_(context) {}

  void use_tls(net::ssl::context& tls) { tls_.emplace(socket_, tls); }
  executor_type get_executor() noexcept { return socket_.get_executor(); }
  tcp::socket& socket() noexcept { return socket_; }
  net::ssl::stream<tcp::socket&>& tls() { return tls_.value(); }
  /// When bytes came last.
  [[nodiscard]] Deadline heard() const noexcept { return heard_; }

  template <class Buffers, class H>
  void async_read_some(const Buffers& buffers, H&& handler) {
    start(
        [&](Handler erased) {
          if (tls_) tls_->async_read_some(buffers, std::move(erased));
          else socket_.async_read_some(buffers, std::move(erased));
        },
        [this, read = std::forward<H>(handler)](error_code error, std::size_t bytes) mutable {
          if (bytes > 0) heard_ = Clock::now();
          read(error, bytes);
        });
  }
  template <class Buffers, class H>
  void async_write_some(const Buffers& buffers, H&& handler) {
    start(
        [&](Handler erased) {
          if (tls_) tls_->async_write_some(buffers, std::move(erased));
          else socket_.async_write_some(buffers, std::move(erased));
        },
        std::forward<H>(handler));
  }

 private:
  template <class Start, class H>
  static void start(Start&& begin, H&& handler) {
    // std::function wants a copyable handler; Beast's are movable only.
    auto shared = std::make_shared<std::decay_t<H>>(std::forward<H>(handler));
    begin([shared](error_code error, std::size_t bytes) { (*shared)(error, bytes); });
  }

  tcp::socket socket_;
  std::optional<net::ssl::stream<tcp::socket&>> tls_;
  Deadline heard_{};
};

// Found by Beast: what ends the transport after the closing handshake. The peer's TLS closure is not waited for.
[[maybe_unused]] void teardown(beast::role_type, Layer& layer, error_code& error) {
  layer.socket().shutdown(tcp::socket::shutdown_both, error);
}
template <class Handler>
void async_teardown(beast::role_type, Layer& layer, Handler&& handler) {
  error_code error;
  layer.socket().shutdown(tcp::socket::shutdown_both, error);
  net::post(layer.get_executor(), [handler = std::forward<Handler>(handler)]() mutable { handler(error_code()); });
}

void beast_close_socket(Layer& layer) {
  error_code ignored;
  layer.socket().close(ignored);
}

using Stream = websocket::stream<Layer>;

// Masking happens in this buffer, piece by piece, so it should stay in the second-level cache.
constexpr std::size_t kWriteBuffer = 256 * 1024;
// No more messages are read ahead of the caller than this.
constexpr std::size_t kMostWaiting = 64;
// After a stop.
constexpr auto kConnectGrace = std::chrono::seconds(1);

[[noreturn]] void fail(Errc code, const std::string& endpoint, const std::string& what, std::string_view action) {
  throw ConnectionError(code, what, Place{endpoint, std::string(action), 0});
}

// Runs asynchronous operations one after the other on the caller's thread, until a deadline or until the owner's
// patience after a stop is over.
class Runner {
 public:
  Runner(std::stop_token stop, std::chrono::milliseconds grace) : grace_(grace), stop_(std::move(stop)) {}

  net::io_context context{1};

  /// How long after a stop something may still take.
  void set_grace(std::chrono::milliseconds grace) { grace_ = grace; }

  // Until `done()` or the deadline; false at the deadline or when nothing is left to run.
  template <class Done>
  bool until(Deadline deadline, Done&& done) {
    constexpr auto kSlice = std::chrono::milliseconds(250);
    while (!done()) {
      if (context.stopped()) context.restart();
      if (stop_.stop_requested()) {
        if (!stopped_at_) stopped_at_ = Clock::now();
        deadline = std::min(deadline, *stopped_at_ + grace_);
      }
      const auto slice = stop_.stop_possible() ? std::min(deadline, Clock::now() + kSlice) : deadline;
      if (context.run_one_until(slice) > 0) continue;
      if (slice >= deadline || Clock::now() < slice) return done();
    }
    return true;
  }

  // One operation to its end; timed_out at the deadline, when the operation is left running.
  template <class Start>
  error_code operation(Deadline deadline, Start&& start) {
    struct State {
      bool done = false;
      error_code error;
    };
    const auto state = std::make_shared<State>();  // the handler may outlive this call
    start([state](error_code error, auto&&...) {
      state->done = true;
      state->error = error;
    });
    if (!until(deadline, [&] { return state->done; })) return net::error::timed_out;
    return state->error;
  }

  void poll() {
    if (context.stopped()) context.restart();
    while (context.poll() > 0) {
    }
  }

 private:
  std::chrono::milliseconds grace_;
  const std::stop_token stop_;
  std::optional<Deadline> stopped_at_;
};

std::vector<tcp::endpoint> resolve(Runner& runner, const Endpoint& endpoint) {
  error_code error;
  tcp::resolver resolver(runner.context);
  const auto found = resolver.resolve(endpoint.host, std::to_string(endpoint.port), error);
  if (error)
    fail(Errc::unreachable, endpoint.text(),
         fmt::format("cannot find the host '{}': {}; check the spelling and the name service", printable(endpoint.host),
                     error.message()),
         "connect");
  std::vector<tcp::endpoint> addresses;
  for (const auto& entry : found) addresses.push_back(entry.endpoint());
  return addresses;
}

void connect_tcp(Runner& runner, tcp::socket& socket, const std::vector<tcp::endpoint>& addresses,
                 const Endpoint& endpoint, Deadline deadline) {
  const auto error =
      runner.operation(deadline, [&](auto handler) { net::async_connect(socket, addresses, std::move(handler)); });
  if (error == net::error::timed_out)
    fail(Errc::unreachable, endpoint.text(),
         fmt::format("cannot reach {}: no answer to the connection request; check the address and firewalls",
                     endpoint.text()),
         "connect");
  if (error)
    fail(Errc::unreachable, endpoint.text(),
         fmt::format("cannot reach {}: {}; is TDengine's adapter (taosAdapter) running there? Its port is 6041 unless "
                     "configured otherwise",
                     endpoint.text(), error.message()),
         "connect");
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(net::socket_base::keep_alive(true), ignored);
  // A peer that vanished is noticed by unanswered probes after 30 + 4 x 10 s even while nothing is sent.
  const auto set = [&](int option, int value) {
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  };
  set(TCP_KEEPIDLE, 30);
  set(TCP_KEEPINTVL, 10);
  set(TCP_KEEPCNT, 4);
  // And data that it does not take (probes are not sent then), or takes nothing of, for this many milliseconds.
  set(TCP_USER_TIMEOUT, 60'000);
}

// --- what is behind a port that does not speak as expected ---

// Whether a TLS server answers there.
bool speaks_tls(Runner& runner, const std::vector<tcp::endpoint>& addresses, Deadline deadline) {
  net::ssl::context tls(net::ssl::context::tls_client);
  net::ssl::stream<tcp::socket> stream(runner.context, tls);
  if (runner.operation(deadline,
                       [&](auto handler) { net::async_connect(stream.next_layer(), addresses, std::move(handler)); }))
    return false;
  return !runner.operation(
      deadline, [&](auto handler) { stream.async_handshake(net::ssl::stream_base::client, std::move(handler)); });
}

// The first bytes of the answer to a plain HTTP request, or "".
std::string plain_answer(Runner& runner, const std::vector<tcp::endpoint>& addresses, Deadline deadline) {
  tcp::socket socket(runner.context);
  if (runner.operation(deadline, [&](auto handler) { net::async_connect(socket, addresses, std::move(handler)); }))
    return {};
  const std::string_view request = "GET /-/ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (runner.operation(deadline,
                       [&](auto handler) { net::async_write(socket, net::buffer(request), std::move(handler)); }))
    return {};
  const auto answer = std::make_shared<std::array<char, 8>>();  // outlives a read that is cut off
  runner.operation(deadline, [&](auto handler) {
    net::async_read(socket, net::buffer(*answer),
                    [answer, handler](error_code error, std::size_t n) mutable { handler(error, n); });
  });
  return std::string(answer->data(), answer->size());
}

std::string native_hint(const Endpoint& endpoint) {
  return endpoint.port >= 6030 && endpoint.port < 6041
             ? fmt::format("; {} looks like the native port of the database: give the adapter's, usually 6041",
                           endpoint.port)
             : std::string("; give the port of TDengine's adapter, usually 6041");
}

// --- TLS ---

void set_verification(SSL* ssl, const Options& options, const std::string& host) {
  error_code ignored;
  const bool address = (net::ip::make_address(host, ignored), !ignored);
  std::string name = host;
  if (!address) SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
  SSL_set_verify(ssl, options.verify == Options::Verify::none ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  if (options.verify != Options::Verify::full) return;
  auto* const parameters = SSL_get0_param(ssl);
  if (address) X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str());
  else X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size());
}

// --- the socket ---

class BeastSocket final : public WebSocket {
 public:
  BeastSocket(const Options& options, const Endpoint& endpoint)
      : name_(endpoint.text()),
        endpoint_(endpoint),
        runner_(options.stop, kConnectGrace),
        tls_(net::ssl::context::tls_client),
        options_(options) {}

  // Members go in reverse order: the stream before the context that its operations belong to. Handlers still queued
  // are destroyed with the context without being called.
  ~BeastSocket() override {
    if (!stream_) return;
    error_code ignored;
    socket().close(ignored);
  }

  void open(const std::string& target) {
    const auto begin = Clock::now();
    const auto end = begin + options_.handshake_timeout;
    // The last part is kept for finding out what else might be listening.
    const auto patience = begin + options_.handshake_timeout * 7 / 10;
    const auto addresses = resolve(runner_, endpoint_);
    make_stream();
    connect_tcp(runner_, socket(), addresses, endpoint_, end);
    shake_hands(addresses, patience, end);
    upgrade(target, addresses, patience, end);
    runner_.set_grace(options_.stop_grace);
    start_reading();
  }

  void send(MessageKind kind, std::span<const std::string_view> parts, Deadline deadline) override {
    if (error_) throw_lost("send");
    stream_->binary(kind == MessageKind::binary);
    buffers_.clear();
    for (const auto part : parts)
      if (!part.empty()) buffers_.emplace_back(part.data(), part.size());
    const auto error =
        runner_.operation(deadline, [&](auto handler) { stream_->async_write(buffers_, std::move(handler)); });
    if (!error) return;
    if (error == net::error::timed_out) {
      error_ = error;
      drop();
      fail(Errc::timeout, name_, fmt::format("{} did not take a request in time; the connection is given up", name_),
           "send");
    }
    if (!error_) error_ = error;
    throw_lost("send");
  }

  std::optional<WsMessage> receive(Deadline deadline) override {
    const auto ready = [&] { return !inbox_.empty() || error_; };
    if (!ready() && deadline <= Clock::now()) {  // run_one_until() would do nothing
      runner_.poll();
    } else {
      wait_for(ready, deadline);
    }
    if (inbox_.empty()) {
      if (error_) throw_lost("receive");
      return std::nullopt;
    }
    std::optional<WsMessage> message(std::move(inbox_.front()));
    inbox_.pop_front();
    if (!reading_ && !error_) start_reading();
    return message;
  }

  void poll() override {
    runner_.poll();
    if (!error_) {
      // An idle connection is read only now and then, so only a ping that was answered by nothing since tells.
      if (pinged_ && stream_->next_layer().heard() > *pinged_) pinged_.reset();
      if (pinged_ && Clock::now() - *pinged_ > options_.silence_limit) give_up();
      if (!pinged_ && Clock::now() - stream_->next_layer().heard() > options_.ping_after) ping();
      runner_.poll();
    }
    if (error_ && inbox_.empty()) throw_lost("receive");
  }

  void close() noexcept override {
    if (error_ || !stream_) return;
    try {
      runner_.operation(Clock::now() + std::chrono::milliseconds(500),
                        [&](auto handler) { stream_->async_close(websocket::close_code::normal, std::move(handler)); });
    } catch (const std::exception&) {
      // Nothing to tell anybody: the socket goes away right after.
    }
    error_ = net::error::operation_aborted;
    drop();
  }

 private:
  tcp::socket& socket() { return stream_->next_layer().socket(); }

  // Waits, with an eye on a peer that is gone without a word or hangs: what was sent to it would be waited for in vain
  // until the request's time is over.
  template <class Ready>
  void wait_for(const Ready& ready, Deadline deadline) {
    const auto interval = std::max<Clock::duration>(options_.ping_after / 4, std::chrono::milliseconds(5));
    auto quiet_since = Clock::now();
    int unsent = unacknowledged();
    pinged_.reset();
    while (!runner_.until(std::min(deadline, Clock::now() + interval), ready)) {
      const auto now = Clock::now();
      if (now >= deadline || options_.stop.stop_requested()) {
        runner_.until(deadline, ready);
        return;
      }
      // What is still going out over a slow line is a sign of life too.
      const int left = unacknowledged();
      const bool moves = left < unsent;
      unsent = left;
      if (moves || stream_->next_layer().heard() > quiet_since) {
        quiet_since = moves ? now : stream_->next_layer().heard();
        pinged_.reset();
      }
      if (pinged_ && now - quiet_since > options_.silence_limit) give_up();
      if (!pinged_ && now - quiet_since > options_.ping_after) ping();
    }
  }

  // Bytes that the peer's system has not confirmed.
  int unacknowledged() {
    int bytes = 0;
    return ::ioctl(socket().native_handle(), SIOCOUTQ, &bytes) == 0 ? bytes : 0;
  }

  void ping() {
    pinged_ = Clock::now();
    stream_->async_ping({}, [](error_code) {});  // an error meets the reading too
  }

  [[noreturn]] void give_up() {
    error_ = net::error::timed_out;
    drop();
    fail(Errc::timeout, name_,
         fmt::format("no sign of life from {} for {:g} s, not even to a ping: the connection is given up", name_,
                     std::chrono::duration<double>(options_.silence_limit).count()),
         "receive");
  }

  void drop() noexcept {
    error_code ignored;
    socket().close(ignored);
  }

  void make_stream() {
    stream_.emplace(runner_.context);
    if (options_.tls) {
      tls_.set_options(net::ssl::context::default_workarounds | net::ssl::context::no_tlsv1 |
                       net::ssl::context::no_tlsv1_1);
      load_tls_files(tls_.native_handle(), options_, name_);
      stream_->next_layer().use_tls(tls_);
      set_verification(stream_->next_layer().tls().native_handle(), options_, endpoint_.host);
    }
    stream_->read_message_max(0);  // a block may have any size
    stream_->auto_fragment(false);
    stream_->write_buffer_bytes(kWriteBuffer);
    websocket::permessage_deflate deflate;
    deflate.client_enable = options_.compression;
    deflate.compLevel = 1;
    stream_->set_option(deflate);
  }

  void shake_hands(const std::vector<tcp::endpoint>& addresses, Deadline patience, Deadline end) {
    if (!options_.tls) return;
    auto& layer = stream_->next_layer().tls();
    const auto error = runner_.operation(
        patience, [&](auto handler) { layer.async_handshake(net::ssl::stream_base::client, std::move(handler)); });
    if (!error) return;
    const auto verdict = SSL_get_verify_result(layer.native_handle());
    if (verdict != X509_V_OK)
      fail(Errc::unreachable, name_,
           fmt::format(
               "the certificate of {} cannot be trusted: {}; give the authority that signed it (tls_ca=FILE), or "
               "tls_verify=ca to accept any host name, tls_verify=none to accept anything",
               name_, X509_verify_cert_error_string(verdict)),
           "connect");
    const auto reason = error == net::error::timed_out ? std::string("no answer to the TLS greeting") : error.message();
    drop();
    if (plain_answer(runner_, addresses, end).starts_with("HTTP/"))
      fail(Errc::unreachable, name_, fmt::format("{} speaks plain HTTP, not TLS: use ws:// instead of wss://", name_),
           "connect");
    fail(Errc::unreachable, name_, fmt::format("{} does not speak TLS ({}){}", name_, reason, native_hint(endpoint_)),
         "connect");
  }

  void upgrade(const std::string& target, const std::vector<tcp::endpoint>& addresses, Deadline patience,
               Deadline end) {
    stream_->set_option(websocket::stream_base::decorator(
        [](websocket::request_type& request) { request.set(beast::http::field::user_agent, "penstock"); }));
    auto& response = response_;
    const auto error =
        runner_.operation(std::max(patience, Clock::now() + (end - Clock::now()) / 2),
                          [&](auto handler) { stream_->async_handshake(response, name_, target, std::move(handler)); });
    if (!error) return;
    if (error == websocket::error::upgrade_declined || error == websocket::error::bad_http_version ||
        error.category() == make_error_code(websocket::error::upgrade_declined).category())
      explain_response();
    const auto reason = error == net::error::timed_out ? std::string("no answer to the WebSocket upgrade")
                        : error == beast::http::error::end_of_stream || error == net::error::eof ||
                                error == net::error::connection_reset
                            ? std::string("it closed the connection")
                            : fmt::format("its answer is no HTTP ({})", error.message());
    drop();
    if (!options_.tls && speaks_tls(runner_, addresses, end))
      fail(Errc::unreachable, name_, fmt::format("{} speaks TLS: use wss:// instead of ws://", name_), "connect");
    fail(Errc::unreachable, name_,
         fmt::format("{} is no adapter of TDengine: {}{}", name_, reason, native_hint(endpoint_)), "connect");
  }

  [[noreturn]] void explain_response() {
    const auto status = response_.result_int();
    const std::string body = response_.body();
    if (status == 400 && (body.find("HTTPS") != std::string::npos || body.find("SSL") != std::string::npos))
      fail(Errc::unreachable, name_, fmt::format("{} speaks TLS: use wss:// instead of ws://", name_), "connect");
    if (status == 401 || status == 403)
      fail(Errc::auth, name_,
           fmt::format("{} refused the WebSocket upgrade with HTTP {}: check the token and the allowed addresses",
                       name_, status),
           "connect");
    if (status >= 300 && status < 400)
      fail(Errc::unreachable, name_,
           fmt::format("{} answered HTTP {} and refers to '{}': use that address{}", name_, status,
                       printable(std::string(response_[beast::http::field::location])),
                       options_.tls ? "" : " (wss:// if it begins with https)"),
           "connect");
    if (status == 429 || status >= 500) {
      ConnectionError error(Errc::unreachable,
                            fmt::format("{} answered HTTP {} to the WebSocket upgrade: the adapter or the gateway in "
                                        "front of it is not ready; try again later",
                                        name_, status),
                            Place{name_, "connect", 0});
      error.set_retry_after(parse_retry_after(std::string_view(response_[beast::http::field::retry_after]),
                                              std::chrono::system_clock::now()));
      throw error;
    }
    fail(Errc::unreachable, name_,
         fmt::format("{} is an HTTP server but no adapter of TDengine: it answered {} {} to GET /ws{}", name_, status,
                     printable(std::string(response_.reason())), native_hint(endpoint_)),
         "connect");
  }

  // One read is under way at all times, so that pings are answered whenever the context runs.
  void start_reading() {
    reading_ = true;
    stream_->async_read(incoming_, [this](error_code error, std::size_t) {
      reading_ = false;
      if (error) {
        if (!error_) error_ = error;
        return;
      }
      const auto data = incoming_.data();
      inbox_.push_back({stream_->got_text() ? MessageKind::text : MessageKind::binary,
                        std::string(static_cast<const char*>(data.data()), data.size())});
      incoming_.consume(data.size());
      if (inbox_.size() < kMostWaiting) start_reading();
    });
  }

  [[noreturn]] void throw_lost(std::string_view action) {
    const bool closed = error_ == websocket::error::closed || error_ == net::error::eof ||
                        error_ == net::error::connection_reset || error_ == net::ssl::error::stream_truncated ||
                        error_ == net::error::broken_pipe;
    std::string why = closed ? "the server closed it" : error_.message();
    if (error_ == websocket::error::closed && stream_->reason().code != websocket::close_code::none)
      why += fmt::format(" (close code {}{}{})", static_cast<unsigned>(stream_->reason().code),
                         stream_->reason().reason.empty() ? "" : ": ",
                         printable(std::string(stream_->reason().reason.data(), stream_->reason().reason.size())));
    const bool spoken = !closed && error_.category() == make_error_code(websocket::error::closed).category();
    fail(spoken ? Errc::protocol : Errc::unreachable, name_,
         fmt::format("the connection to {} was lost: {}", name_, why), action);
  }

  const std::string name_;
  const Endpoint endpoint_;
  Runner runner_;
  net::ssl::context tls_;
  const Options options_;
  websocket::response_type response_;
  std::optional<Stream> stream_;
  beast::flat_buffer incoming_;
  std::deque<WsMessage> inbox_;
  std::vector<net::const_buffer> buffers_;
  bool reading_ = false;
  std::optional<Deadline> pinged_;  // since when an answer to a ping is due
  error_code error_;                // the first that ended the connection
};

}  // namespace

std::unique_ptr<WebSocket> WebSocket::connect(const Options& options, const Endpoint& endpoint,
                                              const std::string& target) {
  try {
    auto socket = std::make_unique<BeastSocket>(options, endpoint);
    socket->open(target);
    return socket;
  } catch (const boost::system::system_error& error) {
    fail(Errc::unreachable, endpoint.text(), fmt::format("cannot reach {}: {}", endpoint.text(), error.what()),
         "connect");
  }
}

}  // namespace penstock::client::detail
