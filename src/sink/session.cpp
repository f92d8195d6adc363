#include "sink/session.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>

#include "base/log.h"
#include "base/text.h"

namespace penstock::sink {

using wire::ErrorClass;

Failure failure_of(const std::exception& error) {
  Failure failure;
  failure.text = error.what();
  if (const auto* client = dynamic_cast<const client::ClientError*>(&error)) {
    failure.code = client->server_code();
    if (client->server_code() != 0) {
      failure.kind = client->error_class();
      if (!client->message().empty()) failure.text = client->message();
      return failure;
    }
  }
  const auto* const known = dynamic_cast<const Error*>(&error);
  switch (known == nullptr ? Errc::config : known->code()) {
    case Errc::timeout:
    case Errc::unreachable: failure.unanswered = true; [[fallthrough]];
    case Errc::protocol:
    case Errc::io: failure.kind = ErrorClass::reconnect; break;
    case Errc::server: failure.kind = ErrorClass::data; break;
    default: failure.kind = ErrorClass::fatal; break;
  }
  return failure;
}

client::Connection& Session::connection() {
  if (!connection_) {
    connection_.emplace(client::Connection::open(options_));
    ++generation_;
  } else if (!connection_->is_open()) {
    connection_->reopen();
    ++generation_;
  }
  return *connection_;
}

void Session::keep_alive() noexcept {
  if (!is_open()) return;
  try {
    connection_->poll();
  } catch (const Error& error) {
    log(LogLevel::debug, error.what());
  }
}

void Session::sleep(std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop_, time, [] { return false; });
  if (stop_.stop_requested()) throw Error(Errc::stopped, options_.display() + ": stopped while waiting for the target");
}

void Session::recover(const Failure& failure) {
  const auto now = std::chrono::steady_clock::now();
  if (!failing_since_) failing_since_ = now;
  Failure last = failure;
  // No answer in time: what is still under way on that connection is not to be trusted.
  if (connection_ && (last.unanswered || last.kind == ErrorClass::reconnect)) connection_->close();
  for (;;) {
    if (std::chrono::steady_clock::now() - *failing_since_ > retry_for_)
      throw Error(Errc::unreachable,
                  fmt::format("{}: no progress for {} (--retry-for): {}", options_.display(),
                              format_duration(std::chrono::steady_clock::now() - *failing_since_), last.text),
                  last.code);
    auto wait = backoff_.next();
    if (last.kind == ErrorClass::pressure) wait *= 3;
    sleep(wait);
    try {
      connection();
      return;
    } catch (const Error& error) {
      if (error.code() == Errc::auth || error.code() == Errc::config) throw;
      last = failure_of(error);
    }
  }
}

}  // namespace penstock::sink
