#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/dsn.h"

/// HTTP requests to one endpoint. The implementation (http_client.cpp) is the only file that knows the HTTP library.
namespace penstock::client::detail {

struct HttpResponse {
  int status = 0;
  std::string body;  ///< inflated; with at least 64 bytes of capacity left
  std::string content_type;
  std::string location;
  std::optional<std::chrono::milliseconds> retry_after;
};

/// One connection that is kept between requests and made anew when the server ended it in between. One thread.
class HttpClient {
 public:
  /// Reads the TLS files of the options; throws ConnectionError(Errc::config) for those.
  static std::unique_ptr<HttpClient> make(const Options& options, const Endpoint& endpoint);
  virtual ~HttpClient() = default;

  struct Request {
    std::string_view method;  ///< "GET", "POST"
    std::string target;       ///< path and query, encoded
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::string_view action;  ///< for messages
  };
  /// Sends a request and reads the answer as a whole; any status is returned. Throws ConnectionError: unreachable
  /// (nobody there, TLS or the lack of it, a certificate that cannot be verified, an answer that was cut short),
  /// timeout, stopped (Options::stop and its grace). Nothing is sent twice.
  virtual HttpResponse send(Request request, std::chrono::milliseconds timeout) = 0;
};

}  // namespace penstock::client::detail
