#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace penstock::client {

/// Ends a script: the client went away, or the test is over.
struct PeerGone {};

/// The server's end of one TCP connection, driven by a script on a thread of its own. It frames by hand and shares no
/// code with the client, so it can also do what no library would.
class Peer {
 public:
  Peer(int socket, SSL_CTX* tls);
  ~Peer();
  Peer(const Peer&) = delete;

  // --- bytes ---
  /// At least one byte; throws PeerGone at the end of the stream.
  std::string read_some();
  void write(std::string_view bytes);
  /// Ends the connection with a reset.
  void drop();
  /// Waits until the client ends the connection (with a close frame after the upgrade); what it sends is thrown away.
  void wait_for_end();
  void wake();  ///< any thread: ends blocking calls of the script

  // --- HTTP ---
  /// Reads a request head, with its empty line.
  std::string read_head();
  /// The body of that request, as long as its Content-Length says.
  std::string read_body();
  /// Answers the upgrade as the adapter does; false when the client asked for none. Deflate when `allow_deflate` and
  /// the client offers it. The request line is kept.
  bool upgrade(bool allow_deflate = false);
  [[nodiscard]] const std::string& request_head() const { return head_; }
  [[nodiscard]] bool deflates() const { return deflate_; }

  // --- WebSocket ---
  struct Message {
    bool text = false;
    std::string bytes;
    [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(bytes); }
  };
  /// The next text or binary message; pongs are counted, a close ends the script.
  Message receive();
  /// `frames`: into how many frames it is cut.
  void send(std::string_view bytes, bool text, std::size_t frames = 1);
  void send_text(std::string_view bytes, std::size_t frames = 1) { send(bytes, true, frames); }
  void ping(std::string_view payload);
  /// Waits for the next pong and returns its payload; messages that come first are kept for receive().
  std::string receive_pong();

  // --- the adapter's ways ---
  /// Upgrades and answers version and conn; `version` as told to the client.
  void log_in(std::string_view version = "3.3.7.5");
  /// Answers a JSON or binary request: code 0, the request's id, and `members` (`"affected_rows":1`).
  void answer(const Message& request, std::string_view action, std::string_view members = {});
  void refuse(const Message& request, std::string_view action, int code, std::string_view message);

 private:
  void fill(std::size_t bytes);
  Message read_frame(int& opcode, bool& final);
  void write_frame(int first_byte, std::string_view payload);

  std::atomic<int> socket_;
  SSL* tls_ = nullptr;
  std::string in_;
  std::string head_;
  bool upgraded_ = false;
  bool deflate_ = false;
  std::vector<Message> kept_;
  std::vector<std::string> pongs_;
};

std::uint64_t request_id(const Peer::Message& message);

/// Listens on 127.0.0.1 and runs `script` for each connection (`index` counts them from 0). With a certificate it
/// speaks TLS. Destroyed, it ends the scripts and rethrows nothing: failures() tells what they threw.
class ScriptedServer {
 public:
  using Script = std::function<void(Peer&, std::size_t index)>;
  explicit ScriptedServer(Script script, const std::string& certificate_file = {}, const std::string& key_file = {});
  ~ScriptedServer();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::string dsn(const std::string& rest = {}) const { return "ws://" + endpoint() + rest; }
  [[nodiscard]] std::size_t connections() const { return connections_; }
  /// Waits until every script that began has ended by itself; then what they threw besides PeerGone.
  std::vector<std::string> failures();

 private:
  void accept_all();

  Script script_;
  SSL_CTX* tls_ = nullptr;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> connections_{0};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t running_ = 0;
  std::list<std::shared_ptr<Peer>> peers_;
  std::vector<std::string> failures_;
  std::vector<std::jthread> threads_;
  std::jthread acceptor_;
};

/// A port of 127.0.0.1 that nobody listens on.
std::uint16_t free_port();

/// A certificate authority and a server certificate for `name` ("localhost" or an address), as PEM files in `folder`.
struct TestCertificates {
  std::string ca_file;
  std::string certificate_file;
  std::string key_file;
};
TestCertificates make_certificates(const std::string& folder, const std::string& name);

}  // namespace penstock::client
