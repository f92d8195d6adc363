#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/backoff.h"
#include "client/connection.h"
#include "wire/errors.h"

namespace penstock::sink {

/// Why a request did not go through.
struct Failure {
  wire::ErrorClass kind = wire::ErrorClass::none;
  std::int32_t code = 0;
  std::string text;
  bool unanswered = false;  ///< it may still be carried out
};

/// Reads the class of a client error.
Failure failure_of(const std::exception& error);

/// A connection that comes back: keeps the time without progress, backs off, reconnects. One thread.
class Session {
 public:
  Session(client::Options options, std::chrono::milliseconds retry_for, std::stop_token stop)
      : options_(std::move(options)), retry_for_(retry_for), stop_(std::move(stop)) {}

  /// The open connection; opens it first where needed. Throws what Connection::open() throws.
  client::Connection& connection();
  /// For an idle owner, every few seconds: answers the server's pings, so that it does not hang up. A connection that
  /// turns out to be gone is made again by the next connection().
  void keep_alive() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return connection_ && connection_->is_open(); }
  /// Number of the connection: statements of another number are gone.
  [[nodiscard]] unsigned generation() const noexcept { return generation_; }

  /// Something got through.
  void progressed() noexcept {
    failing_since_.reset();
    backoff_.reset();
  }
  /// Waits before the next try, then makes sure of a connection. Throws Error: retry time used up (with the cause), a
  /// login that is refused, or stop asked for.
  void recover(const Failure& failure);
  /// Waits; throws Error(Errc::stopped) as soon as a stop is asked for.
  void sleep(std::chrono::milliseconds time);
  [[nodiscard]] const client::Options& options() const noexcept { return options_; }
  [[nodiscard]] bool stopping() const { return stop_.stop_requested(); }

 private:
  client::Options options_;
  std::chrono::milliseconds retry_for_;
  std::stop_token stop_;
  std::optional<client::Connection> connection_;
  unsigned generation_ = 0;
  std::optional<std::chrono::steady_clock::time_point> failing_since_;
  Backoff backoff_;
};

}  // namespace penstock::sink
