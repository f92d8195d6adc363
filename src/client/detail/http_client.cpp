// The only file of the room that includes the HTTP library.
#include "client/detail/http_client.h"

#include <fmt/format.h>
#include <httplib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <zlib.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/text.h"
#include "client/detail/retry_after.h"
#include "client/detail/tls_files.h"
#include "client/errors.h"

namespace penstock::client::detail {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Shorter bodies are not worth deflating.
constexpr std::size_t kDeflateFrom = 1'024;

[[noreturn]] void fail(Errc code, const std::string& endpoint, const std::string& what, std::string_view action) {
  throw ConnectionError(code, what, Place{endpoint, std::string(action), 0});
}

// Ends a request of the library, which has no deadline for the whole of one, from a thread of its own.
class Watch {
 public:
  enum class Fired : std::uint8_t { no, deadline, stop };

  Watch(std::stop_token stop, milliseconds grace, std::function<void()> cut)
      : stop_(std::move(stop)),
        grace_(grace),
        cut_(std::move(cut)),
        thread_([this](const std::stop_token& end) { run(end); }) {}

  void begin(Clock::time_point deadline) {
    const std::lock_guard lock(mutex_);
    deadline_ = deadline;
    fired_ = Fired::no;
    ++requests_;
    changed_.notify_all();
  }
  /// Why the request was cut off, if it was. What follows cannot be meant any more.
  Fired end() {
    std::unique_lock lock(mutex_);
    deadline_.reset();
    changed_.notify_all();
    changed_.wait(lock, [&] { return !cutting_; });
    return fired_;
  }

 private:
  void run(const std::stop_token& end) {
    std::stop_callback wake(stop_, [this] {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      changed_.notify_all();
    });
    std::unique_lock lock(mutex_);
    while (!end.stop_requested()) {
      if (!deadline_ || fired_ != Fired::no) {
        changed_.wait(lock, end, [&] { return deadline_ && fired_ == Fired::no; });
        continue;
      }
      if (stopped_ && !stop_deadline_) stop_deadline_ = Clock::now() + grace_;
      const bool by_stop = stop_deadline_ && *stop_deadline_ < *deadline_;
      const auto until = by_stop ? *stop_deadline_ : *deadline_;
      if (Clock::now() < until) {
        changed_.wait_until(lock, end, until, [&, stopped = stopped_, request = requests_] {
          return !deadline_ || requests_ != request || stopped_ != stopped;
        });
        continue;
      }
      fired_ = by_stop ? Fired::stop : Fired::deadline;
      cutting_ = true;
      lock.unlock();
      cut_();
      lock.lock();
      cutting_ = false;
      changed_.notify_all();
    }
  }

  const std::stop_token stop_;
  const milliseconds grace_;
  const std::function<void()> cut_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<Clock::time_point> deadline_;  // of the request under way
  std::optional<Clock::time_point> stop_deadline_;
  std::uint64_t requests_ = 0;  // begun
  bool stopped_ = false;
  bool cutting_ = false;
  Fired fired_ = Fired::no;
  std::jthread thread_;  // last: it uses the others
};

std::string gzip(const std::string& body) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(deflateBound(&stream, body.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int state = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return state == Z_STREAM_END ? out : std::string();
}

class Client final : public HttpClient {
 public:
  Client(const Options& options, const Endpoint& endpoint)
      : options_(options), name_(endpoint.text()), host_(endpoint.host), port_(endpoint.port) {
    if (options.tls) {
      auto client = std::make_unique<httplib::SSLClient>(endpoint.host, endpoint.port);
      set_up_tls(client->ssl_context());
      client->enable_server_certificate_verification(false);  // set_up_tls() does it, as for WebSocket
      client_ = std::move(client);
    } else {
      client_ = std::make_unique<httplib::ClientImpl>(endpoint.host, endpoint.port);
    }
    client_->set_tcp_nodelay(true);
    client_->set_keep_alive(true);
    client_->set_follow_location(false);
    client_->set_decompress(true);
    client_->set_url_encode(false);
    const auto micro = std::chrono::duration_cast<std::chrono::microseconds>(options.handshake_timeout).count();
    client_->set_connection_timeout(micro / 1'000'000, micro % 1'000'000);
    watch_.emplace(options.stop, options.stop_grace, [this] { client_->stop(); });
  }

  HttpResponse send(Request request, milliseconds timeout) override {
    if (options_.stop.stop_requested())
      fail(Errc::stopped, name_, fmt::format("stopped before '{}' was sent to {}", request.action, name_),
           request.action);
    httplib::Request http;
    http.method = request.method;
    http.path = std::move(request.target);
    for (auto& [name, value] : request.headers) http.headers.emplace(std::move(name), std::move(value));
    http.headers.emplace("User-Agent", "penstock");
    http.headers.emplace("Accept-Encoding", options_.compression ? "gzip" : "identity");
    http.body = std::move(request.body);
    if (options_.compression && http.body.size() >= kDeflateFrom && http.body.size() < UINT32_MAX) {
      if (auto small = gzip(http.body); !small.empty()) {
        http.body = std::move(small);
        http.headers.emplace("Content-Encoding", "gzip");
      }
    }
    bool answered = false;
    http.response_handler = [&](const httplib::Response&) { return answered = true; };
    // Between two bytes; the watch sees to the whole.
    const auto wait = std::chrono::duration_cast<std::chrono::seconds>(timeout).count() + 1;
    client_->set_read_timeout(wait, 0);
    client_->set_write_timeout(wait, 0);
    verdict_ = X509_V_OK;
    ERR_clear_error();
    httplib::Response response;
    auto error = httplib::Error::Success;
    watch_->begin(Clock::now() + timeout);
    const bool done = client_->send(http, response, error);
    const auto fired = watch_->end();
    if (!done) explain(error, fired, answered, request.action, timeout);
    HttpResponse out;
    out.status = response.status;
    out.body = std::move(response.body);
    out.body.reserve(out.body.size() + 64);
    out.content_type = response.get_header_value("Content-Type");
    out.location = response.get_header_value("Location");
    if (response.has_header("Retry-After"))
      out.retry_after = parse_retry_after(response.get_header_value("Retry-After"), std::chrono::system_clock::now());
    return out;
  }

 private:
  void set_up_tls(SSL_CTX* tls) {
    load_tls_files(tls, options_, name_);
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_verify(tls, options_.verify == Options::Verify::none ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
    // The library does not say why a certificate was refused.
    SSL_CTX_set_cert_verify_callback(
        tls,
        [](X509_STORE_CTX* store, void* self) {
          const int ok = X509_verify_cert(store);
          static_cast<Client*>(self)->verdict_ = X509_STORE_CTX_get_error(store);
          return ok;
        },
        this);
    if (options_.verify != Options::Verify::full) return;
    auto* const parameters = SSL_CTX_get0_param(tls);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host_.c_str()) != 1) {
      ERR_clear_error();
      X509_VERIFY_PARAM_set1_host(parameters, host_.c_str(), host_.size());
    }
  }

  [[nodiscard]] std::string native_hint() const {
    return port_ >= 6030 && port_ < 6041
               ? fmt::format("; {} looks like the native port of the database: give the adapter's, usually 6041", port_)
               : std::string();
  }

  [[noreturn]] void explain(httplib::Error error, Watch::Fired fired, bool answered, std::string_view action,
                            milliseconds timeout) const {
    if (fired == Watch::Fired::stop)
      fail(Errc::stopped, name_, fmt::format("stopped while {} had not answered '{}' yet", name_, action), action);
    if (fired == Watch::Fired::deadline)
      fail(Errc::timeout, name_,
           fmt::format("{} did not answer '{}' within {:g} s{}", name_, action,
                       std::chrono::duration<double>(timeout).count(), native_hint()),
           action);
    switch (error) {
      case httplib::Error::Connection:
        fail(Errc::unreachable, name_,
             fmt::format("cannot reach {}: nobody accepts connections there; is TDengine's adapter (taosAdapter) "
                         "running there? Its port is 6041 unless configured otherwise",
                         name_),
             action);
      case httplib::Error::ConnectionTimeout:
        fail(
            Errc::unreachable, name_,
            fmt::format("cannot reach {}: no answer to the connection request; check the address and firewalls", name_),
            action);
      case httplib::Error::SSLConnection:
      case httplib::Error::SSLLoadingCerts:
      case httplib::Error::SSLServerVerification:
        if (verdict_ != X509_V_OK)
          fail(Errc::unreachable, name_,
               fmt::format(
                   "the certificate of {} cannot be trusted: {}; give the authority that signed it (tls_ca=FILE), or "
                   "tls_verify=ca to accept any host name, tls_verify=none to accept anything",
                   name_, X509_verify_cert_error_string(verdict_)),
               action);
        fail(Errc::unreachable, name_,
             fmt::format("{} does not speak TLS as this side does; if it speaks plain HTTP, use http:// instead of "
                         "https://",
                         name_),
             action);
      case httplib::Error::Compression:
        fail(Errc::protocol, name_, fmt::format("the answer of {} to '{}' cannot be inflated", name_, action), action);
      default: break;
    }
    if (answered)
      fail(Errc::unreachable, name_,
           fmt::format("the answer of {} to '{}' was cut short; whether it was carried out is not known from it", name_,
                       action),
           action);
    fail(Errc::unreachable, name_,
         fmt::format("{} ended the connection without an answer of HTTP to '{}'{}{}", name_, action, native_hint(),
                     options_.tls ? "" : "; if it speaks TLS, use https:// instead of http://"),
         action);
  }

  const Options options_;
  const std::string name_;
  const std::string host_;
  const std::uint16_t port_;
  int verdict_ = X509_V_OK;
  std::unique_ptr<httplib::ClientImpl> client_;
  std::optional<Watch> watch_;  // goes first: it uses the client
};

}  // namespace

std::unique_ptr<HttpClient> HttpClient::make(const Options& options, const Endpoint& endpoint) {
  return std::make_unique<Client>(options, endpoint);
}

}  // namespace penstock::client::detail
