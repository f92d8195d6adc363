#pragma once

#include <stop_token>

namespace penstock::cli {

/// While it lives, SIGINT and SIGTERM ask `stop` to stop; a second one ends the process at once. One at a time.
/// SIGPIPE is ignored: a closed pipe or socket is an error where it is written to.
class SignalGuard {
 public:
  explicit SignalGuard(std::stop_source stop);
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  /// The signal that came first, or 0.
  [[nodiscard]] static int received() noexcept;
};

}  // namespace penstock::cli
