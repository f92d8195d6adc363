#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::client {

/// How to talk to the server.
enum class Transport : std::uint8_t { websocket, native, rest };

struct Endpoint {
  std::string host;  ///< without brackets
  std::uint16_t port = 0;

  /// "host:port", "[::1]:port".
  [[nodiscard]] std::string text() const;
  bool operator==(const Endpoint&) const = default;
};

/// Everything needed to connect.
struct Options {
  enum class Verify : std::uint8_t {
    none,  ///< any certificate
    ca,    ///< signed by a known authority, whatever host it names
    full,  ///< and for this host
  };

  Transport transport = Transport::websocket;
  bool tls = false;
  std::vector<Endpoint> endpoints{{"localhost", 6041}};  ///< tried in this order
  std::string user = "root";
  std::string password = "taosdata";
  bool has_password = false;  ///< the DSN gave one
  std::string database;       ///< "" = none
  std::string token;          ///< of a cloud gateway
  std::string bearer_token;   ///< issued by the database; instead of user and password
  std::string totp_code;
  Verify verify = Verify::full;
  std::string ca_file;                   ///< PEM; "" = the system's authorities
  std::string certificate_file;          ///< PEM chain of this client
  std::string key_file;                  ///< PEM
  bool compression = false;              ///< permessage-deflate; REST: gzip
  std::string time_zone;                 ///< "" = the server's
  std::string application = "penstock";  ///< at most 23 bytes, seen in SHOW CONNECTIONS
  /// A connection that was lost is made again by the next call (of execute, query, insert_schemaless, prepare and of a
  /// Statement). What was under way fails all the same: whether it was carried out is not known.
  bool reconnect = true;
  /// REST: log in once for a token (/rest/login) instead of sending user and password with every request.
  bool login_token = false;
  std::string config_directory;  ///< native: of taos.cfg; "" = the client's own
  std::string library;           ///< native: path of the client library; "" = libtaos.so where the loader finds it
  /// TCP, TLS and WebSocket upgrade of one endpoint; what is no adapter is recognised within it.
  std::chrono::milliseconds handshake_timeout{5'000};
  std::chrono::milliseconds connect_timeout{10'000};   ///< handshake and login of one endpoint
  std::chrono::milliseconds request_timeout{120'000};  ///< any later request
  /// A peer of which nothing at all comes while it is waited for: asked for a sign of life after the one time, given up
  /// after the other (or at the request's end). An adapter answers pings while its requests are worked on, so a slow
  /// server is not taken for a dead one.
  std::chrono::milliseconds ping_after{20'000};
  std::chrono::milliseconds silence_limit{60'000};
  /// Asked to stop, connecting ends within a second and waiting for an answer within the grace (a server in good health
  /// answers in it, so that a load ends with what it has sent acknowledged). Both fail then.
  std::stop_token stop;
  std::chrono::milliseconds stop_grace{5'000};

  /// Reads `scheme://[user[:password]@]host[:port][,host[:port]…][/database][?name=value&…]`.
  ///
  /// scheme: ws, wss; taosws, taoswss, taos+ws, taos+wss (the same); taos (native), http, https (REST). Hosts: names,
  /// IPv4, IPv6 in brackets. Ports default to 6041 (wss and https to another host than this: 443; taos: 6030). User,
  /// password, database and values may be percent-encoded. Options: token, bearer_token, totp_code, tls_verify
  /// (none|ca|full), tls_ca, tls_cert, tls_key, compression (true|false), timezone, app, connect_timeout,
  /// request_timeout (10s, 500ms), reconnect (true|false), login_token (true|false), config_dir,
  /// library.
  ///
  /// Throws Error(Errc::config) that names what is wrong and shows no secret.
  static Options parse(std::string_view dsn);

  /// "wss://host:port,host:port/database": no user, no secret.
  [[nodiscard]] std::string display() const;
};

}  // namespace penstock::client
