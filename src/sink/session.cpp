#include "sink/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/text.h"

namespace penstock::sink {
namespace {

using wire::ErrorClass;

constexpr std::string_view kConnecting = "connect";
constexpr auto kStalledAfter = std::chrono::seconds(5);

// With several endpoints a dead one must not use up the patience that the others deserve.
std::chrono::milliseconds share_of(std::chrono::milliseconds timeout, std::size_t endpoints) {
  if (endpoints < 2) return timeout;
  return std::max(timeout / static_cast<int>(endpoints), std::min(timeout, std::chrono::milliseconds(2'000)));
}

}  // namespace

Failure failure_of(const std::exception& error) {
  Failure failure;
  failure.text = error.what();
  const auto* const client = dynamic_cast<const client::ClientError*>(&error);
  if (client != nullptr) {
    failure.code = client->server_code();
    if (client->server_code() != 0) {
      failure.kind = client->error_class();
      if (!client->message().empty()) failure.text = client->message();
      return failure;
    }
  }
  const auto* const known = dynamic_cast<const Error*>(&error);
  switch (known == nullptr ? Errc::config : known->code()) {
    case Errc::timeout: failure.timed_out = true; [[fallthrough]];
    case Errc::unreachable:
      // Where no connection was made nothing was asked.
      failure.unanswered = client == nullptr || client->action() != kConnecting;
      [[fallthrough]];
    case Errc::protocol:
    case Errc::io: failure.kind = ErrorClass::reconnect; break;
    // A server's refusal without its code; what this room throws itself is final.
    case Errc::server:
      failure.final = client == nullptr;
      failure.kind = failure.final ? ErrorClass::fatal : ErrorClass::data;
      break;
    default: failure.kind = ErrorClass::fatal; break;
  }
  return failure;
}

Session::Session(client::Options options, std::chrono::milliseconds retry_for, std::stop_token stop,
                 std::shared_ptr<TargetState> state)
    : options_(std::move(options)),
      retry_for_(retry_for),
      stop_(std::move(stop)),
      state_(state_or_own(std::move(state), options_)),
      home_(state_->endpoints.join()) {
  options_.stop = stop_;
  options_.reconnect = false;  // done here, with all that is known of the target
}

// One attempt. What cannot pass is thrown as it is before the first login, and after it as an error that no flag
// mends; anything else a server says to a login is about the server, never about the rows.
void Session::open_at(const Endpoints::Choice& choice) {
  auto plan = options_;
  plan.endpoints = {options_.endpoints[choice.index]};
  plan.handshake_timeout = share_of(plan.handshake_timeout, options_.endpoints.size());
  const auto begin = Clock::now();
  try {
    auto fresh = client::Connection::open(plan);
    connection_.emplace(std::move(fresh));
  } catch (const client::ClientError& error) {
    const bool final = error.code() == Errc::auth || error.code() == Errc::config || error.code() == Errc::stopped ||
                       error.code() == Errc::unsupported ||
                       (error.server_code() != 0 && error.error_class() == ErrorClass::fatal);
    if (stop_.stop_requested() || final) {
      state_->endpoints.leave(choice);
      if (stop_.stop_requested()) throw Error(Errc::stopped, fmt::format("stopped while connecting: {}", error.what()));
      if (!state_->was_logged_in) throw;
      throw Error(Errc::server,
                  fmt::format("{}; this load was let in before, so that changed meanwhile. Mend it and load again",
                              error.what()),
                  error.server_code());
    }
    state_->endpoints.down(choice, error.what(), Clock::now() - begin, error.retry_after());
    throw client::ConnectionError(Errc::unreachable, error.what(), {error.endpoint(), std::string(kConnecting), 0});
  }
  current_ = choice.index;
  proven_ = false;
  ++generation_;
  state_->was_logged_in = true;
  state_->endpoints.up(choice.index);
}

client::Connection& Session::connection() {
  if (is_open()) return *connection_;
  // Each endpoint that fails is lost for everybody, so this ends.
  while (const auto choice = state_->endpoints.choose(home_, Clock::now(), stop_)) {
    try {
      open_at(*choice);
      return *connection_;
    } catch (const client::ConnectionError& error) {
      if (error.code() != Errc::unreachable || options_.endpoints.size() == 1) throw;
    }
  }
  throw client::ConnectionError(Errc::unreachable, state_->endpoints.troubles(),
                                {options_.display(), std::string(kConnecting), 0});
}

void Session::keep_alive() noexcept {
  if (!is_open()) return;
  try {
    connection_->poll();
  } catch (const Error& error) {
    log(LogLevel::debug, error.what());
  }
}

void Session::go_home() noexcept {
  if (!is_open() || current_ == home_ || options_.endpoints.size() == 1) return;
  const auto choice = state_->endpoints.homewards(home_);
  if (!choice) return;
  try {
    open_at(*choice);
  } catch (const std::exception& error) {
    log(LogLevel::debug, error.what());
  }
}

void Session::progressed() {
  failing_since_.reset();
  losses_ = 0;
  backoff_.reset();
  state_->progressed();
  if (!std::exchange(proven_, true)) state_->endpoints.proven(current_);
  if (std::exchange(told_stalled_, false)) {
    state_->told_stalled = false;
    log_event(LogLevel::warning, "target.moves", options_.display() + " takes rows again");
  }
}

void Session::sleep(std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop_, time, [] { return false; });
  if (stop_.stop_requested()) throw Error(Errc::stopped, options_.display() + ": stopped while waiting for the target");
}

Session::Clock::time_point Session::gives_up_at() const {
  return std::max(*failing_since_, state_->last_progress()) + retry_for_;
}

void Session::give_up(const Failure& last) const {
  const auto since = std::max(*failing_since_, state_->last_progress());
  throw Error(Errc::unreachable,
              fmt::format("{}: no progress for {} (--retry-for): {}", options_.display(),
                          format_duration(Clock::now() - since), last.text),
              last.code);
}

// A connection over which something went wrong is not to be trusted with what is still under way on it. One that was
// cut may be made again at once; of an endpoint that does not answer the others should know.
void Session::drop(const Failure& failure) {
  if (!connection_ || (!failure.unanswered && failure.kind != ErrorClass::reconnect)) return;
  connection_->close();
  ++losses_;
  if (failure.timed_out) state_->endpoints.down({current_, false}, failure.text, {});
  else log(LogLevel::debug, failure.text);
}

void Session::tell_stalled(const Failure& failure) {
  const auto failing = Clock::now() - *failing_since_;
  if (failing < kStalledAfter || told_stalled_ || state_->told_stalled.exchange(true)) return;
  told_stalled_ = true;
  log_event(LogLevel::warning, "target.stalled",
            fmt::format("{} does not take rows since {}: {} [0x{:04X}]; trying on", options_.display(),
                        format_duration(failing), printable(failure.text, 200), failure.code));
}

void Session::recover(const Failure& failure) {
  if (!failing_since_) failing_since_ = Clock::now();
  Failure last = failure;
  drop(failure);
  // The first new connections are made at once, where there is somebody to make them with: another endpoint, or the
  // same one if it was only the connection. After that each try waits longer than the one before.
  bool pause = is_open() || losses_ > std::max<std::size_t>(1, state_->endpoints.healthy());
  for (;;) {
    if (Clock::now() > gives_up_at()) give_up(last);
    if (pause) {
      auto wait = backoff_.next();
      if (last.kind == ErrorClass::pressure) wait *= 3;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(gives_up_at() - Clock::now());
      sleep(std::min(wait, left + std::chrono::milliseconds(1)));
    }
    if (is_open()) {
      tell_stalled(last);
      return;
    }
    pause = false;
    const auto choice = state_->endpoints.choose(home_, gives_up_at(), stop_);
    if (!choice) continue;
    try {
      open_at(*choice);
      return;
    } catch (const client::ConnectionError& error) {
      if (error.code() != Errc::unreachable) throw;
      last = failure_of(error);
    }
  }
}

}  // namespace penstock::sink
