#include "client/dsn.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace penstock::client {
namespace {

constexpr std::uint16_t kAdapterPort = 6041;
constexpr std::uint16_t kNativePort = 6030;
constexpr std::uint16_t kHttpsPort = 443;

// Reads one DSN; kept together so that every message can show it without its secrets.
class Reader {
 public:
  explicit Reader(std::string_view dsn) : dsn_(dsn) {}

  Options read() {
    const auto scheme_end = dsn_.find("://");
    if (scheme_end == std::string_view::npos)
      wrong("it has no scheme; write for instance ws://root:taosdata@localhost:6041/database");
    read_scheme(dsn_.substr(0, scheme_end));
    auto rest = dsn_.substr(scheme_end + 3);
    const auto query = rest.find('?');
    const auto options = query == std::string_view::npos ? std::string_view() : rest.substr(query + 1);
    rest = rest.substr(0, query);
    // The last '@' ends the credentials, so that an unescaped '@' or '/' in a password is still read as meant.
    const auto at = rest.rfind('@');
    if (at != std::string_view::npos) read_credentials(rest.substr(0, at));
    rest = at == std::string_view::npos ? rest : rest.substr(at + 1);
    const auto slash = rest.find('/');
    read_hosts(rest.substr(0, slash));
    if (slash != std::string_view::npos) read_database(rest.substr(slash + 1));
    read_options(options);
    return out_;
  }

 private:
  [[noreturn]] void wrong(const std::string& why) const {
    throw Error(Errc::config, fmt::format("cannot use the address '{}': {}", redact(dsn_), why));
  }

  void read_scheme(std::string_view scheme) {
    std::string lower(scheme);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (lower == "ws" || lower == "taosws" || lower == "taos+ws") return;
    if (lower == "wss" || lower == "taoswss" || lower == "taos+wss") {
      out_.tls = true;
    } else if (lower == "taos") {
      out_.transport = Transport::native;
    } else if (lower == "http" || lower == "https") {
      out_.transport = Transport::rest;
      out_.tls = lower == "https";
    } else {
      wrong(fmt::format(
          "the scheme '{}' is unknown; known are ws, wss, taosws, taoswss, taos+ws, taos+wss, taos, http, https",
          printable(scheme)));
    }
  }

  std::string decoded(std::string_view text, std::string_view what) const {
    const auto digit = [](char c) -> int {
      if (c >= '0' && c <= '9') return c - '0';
      if (c >= 'a' && c <= 'f') return c - 'a' + 10;
      if (c >= 'A' && c <= 'F') return c - 'A' + 10;
      return -1;
    };
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '%') {
        out += text[i];
        continue;
      }
      const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        wrong(fmt::format("a '%' in its {} is not followed by two hexadecimal digits; write '%' itself as %25", what));
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
    if (!is_utf8(out)) wrong(fmt::format("its {} is not UTF-8", what));
    return out;
  }

  void read_credentials(std::string_view text) {
    const auto colon = text.find(':');
    const auto user = text.substr(0, colon);
    if (!user.empty()) out_.user = decoded(user, "user");
    if (colon == std::string_view::npos) return;
    out_.password = decoded(text.substr(colon + 1), "password");
    out_.has_password = true;
  }

  std::uint16_t default_port(std::string_view host) const {
    if (out_.transport == Transport::native) return kNativePort;
    const bool here = host == "localhost" || host == "127.0.0.1" || host == "::1";
    return out_.tls && !here ? kHttpsPort : kAdapterPort;
  }

  void read_hosts(std::string_view text) {
    out_.endpoints.clear();
    for (;;) {
      const auto comma = text.find(',');
      out_.endpoints.push_back(read_endpoint(text.substr(0, comma)));
      if (comma == std::string_view::npos) return;
      text.remove_prefix(comma + 1);
    }
  }

  Endpoint read_endpoint(std::string_view text) const {
    Endpoint endpoint;
    std::string_view port;
    if (text.starts_with('[')) {
      const auto end = text.find(']');
      if (end == std::string_view::npos) wrong("a '[' has no ']'");
      endpoint.host = text.substr(1, end - 1);
      port = text.substr(end + 1);
    } else {
      const auto colon = text.find(':');
      endpoint.host = text.substr(0, colon);
      port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
      if (std::count(text.begin(), text.end(), ':') > 1) wrong("write an IPv6 address in brackets: [::1]:6041");
    }
    if (endpoint.host.empty()) endpoint.host = "localhost";
    for (const char c : endpoint.host)
      if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '\\' || c == 0x7F)
        wrong(fmt::format("the host name '{}' has a character that no host name has", printable(endpoint.host)));
    if (port.empty()) {
      endpoint.port = default_port(endpoint.host);
      return endpoint;
    }
    unsigned number = 0;
    const auto digits = port.substr(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (port.front() != ':' || error != std::errc() || end != digits.data() + digits.size() || number == 0 ||
        number > 65535)
      wrong(fmt::format("'{}' is no port (1 to 65535)", printable(digits)));
    endpoint.port = static_cast<std::uint16_t>(number);
    return endpoint;
  }

  void read_database(std::string_view text) {
    if (text.ends_with('/')) text.remove_suffix(1);
    if (text.find('/') != std::string_view::npos) wrong("only the database may stand behind the host: /database");
    out_.database = decoded(text, "database");
  }

  bool read_bool(std::string_view name, std::string_view value) const {
    if (value == "true" || value == "1" || value == "on") return true;
    if (value == "false" || value == "0" || value == "off") return false;
    wrong(fmt::format("the option {} takes true or false", name));
  }

  std::chrono::milliseconds read_duration(std::string_view name, std::string_view value) const {
    const auto duration = parse_duration(value);
    if (!duration || duration->count() <= 0 || *duration > std::chrono::hours(24))
      wrong(fmt::format("the option {} takes a duration such as 10s or 500ms, not '{}'", name, printable(value)));
    return *duration;
  }

  void read_options(std::string_view text) {
    while (!text.empty()) {
      const auto end = text.find('&');
      const auto option = text.substr(0, end);
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
      if (option.empty()) continue;
      const auto equals = option.find('=');
      const auto name = decoded(option.substr(0, equals), "options");
      read_option(name,
                  equals == std::string_view::npos ? std::string() : decoded(option.substr(equals + 1), "options"));
    }
    if (out_.key_file.empty() != out_.certificate_file.empty()) wrong("tls_cert and tls_key must be given together");
  }

  void read_option(const std::string& name, const std::string& value) {
    if (name == "token") out_.token = value;
    else if (name == "bearer_token") out_.bearer_token = value;
    else if (name == "totp_code") out_.totp_code = value;
    else if (name == "tls_ca") out_.ca_file = value;
    else if (name == "tls_cert") out_.certificate_file = value;
    else if (name == "tls_key") out_.key_file = value;
    else if (name == "timezone") out_.time_zone = value;
    else if (name == "app") out_.application = value.substr(0, 23);
    else if (name == "config_dir") out_.config_directory = value;
    else if (name == "library") out_.library = value;
    else if (name == "login_token") out_.login_token = read_bool(name, value);
    else if (name == "reconnect") out_.reconnect = read_bool(name, value);
    else if (name == "compression") out_.compression = read_bool(name, value);
    else if (name == "request_timeout") out_.request_timeout = read_duration(name, value);
    else if (name == "connect_timeout") {
      out_.connect_timeout = read_duration(name, value);
      out_.handshake_timeout = std::min(out_.handshake_timeout, out_.connect_timeout);
    } else if (name == "tls_verify") {
      if (value == "none") out_.verify = Options::Verify::none;
      else if (value == "ca") out_.verify = Options::Verify::ca;
      else if (value == "full") out_.verify = Options::Verify::full;
      else wrong("the option tls_verify takes none, ca or full");
    } else {
      wrong(fmt::format(
          "the option '{}' is unknown; known are token, bearer_token, totp_code, tls_verify, tls_ca, tls_cert, "
          "tls_key, compression, timezone, app, connect_timeout, request_timeout, reconnect, login_token, config_dir, "
          "library",
          printable(name)));
    }
  }

  std::string_view dsn_;
  Options out_;
};

}  // namespace

std::string Endpoint::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Options Options::parse(std::string_view dsn) { return Reader(dsn).read(); }

std::string Options::display() const {
  std::string out = transport == Transport::websocket ? "ws" : transport == Transport::native ? "taos" : "http";
  if (tls) out += 's';
  out += "://";
  for (std::size_t i = 0; i < endpoints.size(); ++i) out += (i == 0 ? "" : ",") + endpoints[i].text();
  if (!database.empty()) out += '/' + database;
  return out;
}

}  // namespace penstock::client
