#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/net.h"

namespace penstock::sandbox {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// One HTTP/1.x request, whole.
struct HttpRequest {
  std::string method;
  std::string path;                                        ///< percent-decoded, without the query
  std::string raw_path;                                    ///< as sent, without the query
  std::vector<std::pair<std::string, std::string>> query;  ///< decoded, in order
  HttpHeaders headers;                                     ///< values trimmed
  std::string body;                                        ///< as sent (perhaps compressed)
  bool keep_alive = true;

  /// First value of a header (any case of the name), or nullopt.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
  /// True when a header lists `token` (any case) between commas, in any of its lines.
  [[nodiscard]] bool header_has(std::string_view name, std::string_view token) const;
  /// First value of a query parameter, or "".
  [[nodiscard]] std::string_view parameter(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;
  bool chunked = false;  ///< send the body with Transfer-Encoding: chunked instead of Content-Length
  bool half = false;     ///< send only half of the body, as a broken connection leaves it; for tests
};

/// Reads the next request of a connection. `response` is filled when the peer sent something that is no request (400,
/// 413, 431, 501): send it and close. Neither: the peer is gone or took longer than 10 s for the head or 60 s without a
/// byte of the body.
std::optional<HttpRequest> read_request(Socket& socket, std::optional<HttpResponse>& response);

/// Sends a response. False when the peer is gone, and after half of one.
bool write_response(Socket& socket, const HttpRequest* request, const HttpResponse& response);

/// "%41" and, with `plus_is_blank`, "+"; broken escapes stay as they are.
std::string percent_decode(std::string_view text, bool plus_is_blank);

/// gzip both ways. gunzip() gives nullopt for broken or oversized (1 GiB) input.
std::string gzip(std::string_view plain);
std::optional<std::string> gunzip(std::string_view packed);

/// The longest body taken.
inline constexpr std::size_t kMaxBodyBytes = std::size_t{1} << 30;

}  // namespace penstock::sandbox
