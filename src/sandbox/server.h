#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/engine.h"
#include "sandbox/faults.h"

namespace penstock::sandbox {

/// The sandbox on the network: an Engine behind the adapter's HTTP and WebSocket interface (docs/sandbox.md
/// lists the endpoints). Plain HTTP; serves until stopped.
///
/// Each connection has a thread that reads (and answers PINGs) and, on `/ws`, one that carries out its requests in
/// order: clients match answers by req_id, so order is one of the orders that the real server may show. All threads end
/// in stop() or the destructor; stop() is for any thread and waits at most for the statements being carried out.
class Server {
 public:
  struct Options {
    std::string address = "127.0.0.1";  ///< an IPv4 or IPv6 address of this machine; others than loopback let anyone in
    std::uint16_t port = 0;             ///< 0: a free one, see port()
    Engine::Options engine;
    std::size_t threads = 0;  ///< most requests carried out at once, over all connections; 0: no limit
    /// Not empty: requests with `?token=` of this value need no other credentials, as behind a cloud service's gateway;
    /// another value is refused (401).
    std::string token;
    bool stmt2_bind_exec = false;  ///< know stmt2_bind_exec, as servers newer than 3.3.7.5 do
    /// Not 0: so many rows lie in `canned.rows`, for benches of readers; see canned_source.h.
    std::uint64_t canned_rows = 0;
    std::vector<FaultRule> faults;  ///< what goes wrong, for tests; see Server::faults()
    bool log = false;               ///< a line for each HTTP request and upgrade on the log
    /// Of the WebSocket keep-alive; the real server's figures. Tests shorten them.
    std::chrono::milliseconds ping_every{54'000};
    std::chrono::milliseconds silence{114'000};
  };

  /// Opens the engine and listens. Throws Error: config for an address that is none, io when the port is taken or the
  /// directory cannot be used.
  explicit Server(Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Connections open at the moment.
  [[nodiscard]] std::size_t connection_count() const;
  /// What goes wrong from now on; for any thread while the server runs.
  [[nodiscard]] Faults& faults() noexcept;
  /// Ends all connections and threads. Safe to call twice.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::sandbox
