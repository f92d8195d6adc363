#include "sandbox/http_message.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>

namespace penstock::sandbox {
namespace {

constexpr std::size_t kMaxHeadBytes = 64 * 1024;
constexpr std::size_t kMaxChunkLine = 1024;
constexpr std::chrono::seconds kHeadTimeout{10};
constexpr std::chrono::seconds kIdleTimeout{120};
constexpr std::chrono::seconds kBodyTimeout{60};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string_view reason(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 413: return "Request Entity Too Large";
    case 426: return "Upgrade Required";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    default: return "Unknown";
  }
}

HttpResponse plain_error(int status) {
  return {status,
          {{"Content-Type", "text/plain; charset=utf-8"}, {"Connection", "close"}},
          fmt::format("{} {}", status, reason(status)),
          false};
}

bool fill_until(Socket& socket, Socket::Clock::time_point deadline) {
  return socket.wait_for_more(deadline) == Socket::Wait::ready && socket.fill();
}

/// Takes a line without its end; nullopt when it does not come or is longer than `limit`.
std::optional<std::string> read_line(Socket& socket, std::size_t limit) {
  for (;;) {
    const auto text = socket.buffered();
    const auto end = text.find('\n');
    if (end != std::string_view::npos) {
      std::string line(text.substr(0, end > 0 && text[end - 1] == '\r' ? end - 1 : end));
      socket.consume(end + 1);
      return line;
    }
    if (text.size() > limit) return std::nullopt;
    if (!fill_until(socket, Socket::Clock::now() + kBodyTimeout)) return std::nullopt;
  }
}

bool read_bytes(Socket& socket, std::size_t count, std::string& to) {
  while (count > 0) {
    const std::size_t begin = to.size();
    const std::size_t step = std::min(count, std::max<std::size_t>(std::size_t{1} << 20, begin));
    to.resize(begin + step);
    std::size_t filled = 0;
    while (filled < step) {
      if (socket.wait_readable(Socket::Clock::now() + kBodyTimeout) == Socket::Wait::timed_out) return false;
      const std::size_t got = socket.read_some(to.data() + begin + filled, step - filled);
      if (got == 0) return false;
      filled += got;
    }
    count -= step;
  }
  return true;
}

enum class BodyState { whole, gone, bad, too_big };

BodyState read_chunked(Socket& socket, std::string& body) {
  for (;;) {
    const auto line = read_line(socket, kMaxChunkLine);
    if (!line) return BodyState::gone;
    std::uint64_t size = 0;
    const auto [end, error] = std::from_chars(line->data(), line->data() + line->size(), size, 16);
    if (error != std::errc{} || end == line->data()) return BodyState::bad;
    if (size > kMaxBodyBytes - body.size()) return BodyState::too_big;
    if (size == 0) break;
    if (!read_bytes(socket, static_cast<std::size_t>(size), body)) return BodyState::gone;
    const auto after = read_line(socket, kMaxChunkLine);
    if (!after) return BodyState::gone;
    if (!after->empty()) return BodyState::bad;
  }
  for (int trailers = 0; trailers < 100; ++trailers) {
    const auto line = read_line(socket, kMaxHeadBytes);
    if (!line) return BodyState::gone;
    if (line->empty()) return BodyState::whole;
  }
  return BodyState::bad;
}

BodyState read_body(Socket& socket, HttpRequest& request) {
  const auto encoding = request.header("Transfer-Encoding");
  const auto length_text = request.header("Content-Length");
  if (encoding && !equal_any_case(*encoding, "chunked")) return BodyState::bad;
  if (encoding && length_text) return BodyState::bad;  // two opinions about where the request ends
  std::uint64_t length = 0;
  if (length_text) {
    const auto [end, error] = std::from_chars(length_text->data(), length_text->data() + length_text->size(), length);
    if (error == std::errc::result_out_of_range) return BodyState::too_big;
    if (error != std::errc{} || end != length_text->data() + length_text->size()) return BodyState::bad;
    if (length > kMaxBodyBytes) return BodyState::too_big;
  }
  if ((encoding || length > 0) && request.header_has("Expect", "100-continue") &&
      !socket.write_all("HTTP/1.1 100 Continue\r\n\r\n")) {
    return BodyState::gone;
  }
  if (encoding) return read_chunked(socket, request.body);
  return read_bytes(socket, static_cast<std::size_t>(length), request.body) ? BodyState::whole : BodyState::gone;
}

bool parse_target(std::string_view target, HttpRequest& request) {
  if (target.empty()) return false;
  if (target.front() != '/') {  // absolute form, as a proxy sends it
    const auto scheme = target.find("://");
    if (scheme == std::string_view::npos) return false;
    const auto slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  const auto mark = target.find('?');
  request.raw_path = target.substr(0, mark);
  request.path = percent_decode(request.raw_path, false);
  if (mark == std::string_view::npos) return true;
  for (auto rest = target.substr(mark + 1); !rest.empty();) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    request.query.emplace_back(
        percent_decode(pair.substr(0, equals), true),
        equals == std::string_view::npos ? std::string() : percent_decode(pair.substr(equals + 1), true));
  }
  return true;
}

bool parse_head(std::string_view head, HttpRequest& request) {
  auto next_line = [&head] {
    const auto end = head.find('\n');
    auto line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
  };
  const auto first = next_line();
  const auto blank = first.find(' ');
  const auto last_blank = first.rfind(' ');
  if (blank == std::string_view::npos || last_blank == blank) return false;
  request.method = first.substr(0, blank);
  const auto version = first.substr(last_blank + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  if (!parse_target(first.substr(blank + 1, last_blank - blank - 1), request)) return false;
  while (!head.empty()) {
    const auto line = next_line();
    if (line.empty()) continue;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return false;
    request.headers.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
  }
  request.keep_alive = version == "HTTP/1.1" ? !request.header_has("Connection", "close")
                                             : request.header_has("Connection", "keep-alive");
  return true;
}

}  // namespace

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equal_any_case(key, name)) return value;
  }
  return std::nullopt;
}

bool HttpRequest::header_has(std::string_view name, std::string_view token) const {
  for (const auto& [key, value] : headers) {
    if (!equal_any_case(key, name)) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const auto item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      const auto word = trim(item.substr(0, item.find(';')));
      if (equal_any_case(word, token)) return true;
    }
  }
  return false;
}

std::string_view HttpRequest::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}

std::optional<HttpRequest> read_request(Socket& socket, std::optional<HttpResponse>& response) {
  // A client may keep the connection idle between requests; once it began one it has to be quick.
  if (socket.wait_readable(Socket::Clock::now() + kIdleTimeout) == Socket::Wait::timed_out) return std::nullopt;
  const auto deadline = Socket::Clock::now() + kHeadTimeout;
  std::size_t end = std::string_view::npos;
  std::size_t end_size = 0;
  for (;;) {
    const auto text = socket.buffered();
    end = text.find("\r\n\r\n");
    end_size = 4;
    if (const auto bare = text.find("\n\n"); bare < end) {
      end = bare;
      end_size = 2;
    }
    if (end != std::string_view::npos) break;
    if (text.size() > kMaxHeadBytes) {
      response = plain_error(431);
      return std::nullopt;
    }
    if (!fill_until(socket, deadline)) return std::nullopt;
  }
  HttpRequest request;
  const bool good = parse_head(socket.buffered().substr(0, end), request);
  socket.consume(end + end_size);
  if (!good) {
    response = plain_error(400);
    return std::nullopt;
  }
  switch (read_body(socket, request)) {
    case BodyState::whole: return request;
    case BodyState::bad: response = plain_error(400); return std::nullopt;
    case BodyState::too_big: response = plain_error(413); return std::nullopt;
    case BodyState::gone: break;
  }
  return std::nullopt;
}

bool write_response(Socket& socket, const HttpRequest* request, const HttpResponse& response) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
  for (const auto& [name, value] : response.headers)
    fmt::format_to(std::back_inserter(head), "{}: {}\r\n", name, value);
  const bool bodyless = response.status == 101 || response.status == 204;
  if (request != nullptr && !request->keep_alive) head += "Connection: close\r\n";
  if (response.half) {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n\r\n", response.body.size());
    socket.write_all(head, std::string_view(response.body).substr(0, response.body.size() / 2));
    return false;
  }
  if (response.chunked) {
    head += "Transfer-Encoding: chunked\r\n\r\n";
    if (!response.body.empty()) fmt::format_to(std::back_inserter(head), "{:x}\r\n", response.body.size());
    return socket.write_all(head, response.body) &&
           socket.write_all(response.body.empty() ? "0\r\n\r\n" : "\r\n0\r\n\r\n");
  }
  if (!bodyless) fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", response.body.size());
  head += "\r\n";
  const bool told_only = request != nullptr && request->method == "HEAD";
  return socket.write_all(head, bodyless || told_only ? std::string_view() : std::string_view(response.body));
}

std::string percent_decode(std::string_view text, bool plus_is_blank) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
      plain += static_cast<char>(value);
      i += 2;
    } else {
      plain += text[i] == '+' && plus_is_blank ? ' ' : text[i];
    }
  }
  return plain;
}

std::string gzip(std::string_view plain) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  std::string packed(deflateBound(&stream, static_cast<uLong>(plain.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));  // zlib only reads it
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  return packed;
}

std::optional<std::string> gunzip(std::string_view packed) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::bad_alloc();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));  // zlib only reads it
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string plain;
  int status = Z_OK;
  while (status == Z_OK && plain.size() < kMaxBodyBytes) {
    const std::size_t begin = plain.size();
    plain.resize(begin + std::clamp<std::size_t>(begin, 4096, std::size_t{1} << 26));
    stream.next_out = reinterpret_cast<Bytef*>(plain.data() + begin);
    stream.avail_out = static_cast<uInt>(plain.size() - begin);
    status = inflate(&stream, Z_NO_FLUSH);
    plain.resize(plain.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END) return std::nullopt;
  return plain;
}

}  // namespace penstock::sandbox
