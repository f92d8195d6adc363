#pragma once

#include <stop_token>

namespace penstock::cli {

/// While it lives, SIGINT and SIGTERM ask `stop` to stop; a second one ends the process at once. One at a time.
/// SIGPIPE and SIGXFSZ are ignored: a closed pipe or socket, and a file that grew past a limit, are errors where they
/// are written to.
class SignalGuard {
 public:
  enum class Hangup { ends, stops };  ///< SIGHUP ends the process as ever, or asks `stop` to stop like the others
  explicit SignalGuard(std::stop_source stop, Hangup hangup = Hangup::ends);
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  /// The signal that came first, or 0; but SIGINT and SIGTERM count more than a SIGHUP before them.
  [[nodiscard]] static int received() noexcept;
};

}  // namespace penstock::cli
