#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/backoff.h"
#include "client/connection.h"
#include "sink/target_state.h"
#include "wire/errors.h"

namespace penstock::sink {

/// Why a request did not go through.
struct Failure {
  wire::ErrorClass kind = wire::ErrorClass::none;
  std::int32_t code = 0;
  std::string text;
  bool unanswered = false;  ///< it may still be carried out
  bool final = false;       ///< thrown by this room: whatever the request, it cannot go on
  bool timed_out = false;   ///< the server is there and says nothing
};

/// Reads the class of a client error.
Failure failure_of(const std::exception& error);

/// A connection that comes back: keeps the time without progress, backs off, reconnects, to another endpoint where one
/// is healthy. One thread; what several of them know of the target they share in a TargetState.
class Session {
 public:
  /// `state` empty: shared with nobody.
  Session(client::Options options, std::chrono::milliseconds retry_for, std::stop_token stop,
          std::shared_ptr<TargetState> state = nullptr);

  /// The open connection; opens it first where needed, without waiting for an endpoint that is lost. Throws what
  /// Connection::open() throws; what a server says while it is not ready is never a matter of the request.
  client::Connection& connection();
  /// For an idle owner, every few seconds: answers the server's pings, so that it does not hang up. A connection that
  /// turns out to be gone is made again by the next connection().
  void keep_alive() noexcept;
  /// For an owner with no request under way: goes back to the endpoint that it was given first when that is healthy
  /// again. What was prepared is gone then (generation()).
  void go_home() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return connection_ && connection_->is_open(); }
  /// Number of the connection: statements of another number are gone.
  [[nodiscard]] unsigned generation() const noexcept { return generation_; }

  /// Something got through.
  void progressed();
  /// Waits before the next try, then makes sure of a connection. Throws Error: retry time used up (with the cause), a
  /// login that is refused, or stop asked for. The retry time is that of the target: it begins when this session fails,
  /// and anew whenever any session of the target gets something through. A lane whose part of the database is away
  /// (one vgroup of many) goes on trying while others work; rows that wait for it hold memory, so that in the end the
  /// reader stops, nothing progresses any more, and the time runs.
  void recover(const Failure& failure);
  /// Waits; throws Error(Errc::stopped) as soon as a stop is asked for.
  void sleep(std::chrono::milliseconds time);
  [[nodiscard]] const client::Options& options() const noexcept { return options_; }
  [[nodiscard]] bool stopping() const { return stop_.stop_requested(); }
  [[nodiscard]] TargetState& state() noexcept { return *state_; }

 private:
  using Clock = std::chrono::steady_clock;
  void open_at(const Endpoints::Choice& choice);
  [[nodiscard]] Clock::time_point gives_up_at() const;
  [[noreturn]] void give_up(const Failure& last) const;
  void drop(const Failure& failure);
  void tell_stalled(const Failure& failure);

  client::Options options_;
  std::chrono::milliseconds retry_for_;
  std::stop_token stop_;
  std::shared_ptr<TargetState> state_;
  std::size_t home_;
  std::size_t current_ = 0;
  std::optional<client::Connection> connection_;
  unsigned generation_ = 0;
  bool proven_ = false;  // something got through over this connection
  std::optional<Clock::time_point> failing_since_;
  std::size_t losses_ = 0;  // of connections since something got through
  bool told_stalled_ = false;
  Backoff backoff_;
};

}  // namespace penstock::sink
