#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/backoff.h"
#include "client/dsn.h"

namespace penstock::sink {

/// Which endpoints of a target answer, shared by everybody who has a connection to it. An endpoint that fails is tried
/// again after growing intervals, by one of them at a time; the others wait for what comes of it. Says on the log when
/// one is lost and when it is back, once each. Any thread.
class Endpoints {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Endpoints(const std::vector<client::Endpoint>& all);

  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  /// A home for one more connection: they are spread evenly.
  std::size_t join();
  /// Healthy ones.
  [[nodiscard]] std::size_t healthy() const;

  struct Choice {
    std::size_t index = 0;
    bool trial = false;  ///< it was lost, and the caller is the one who finds out whether it is back
  };
  /// The endpoint to connect to now: `home`, else the next healthy one, else one whose time for another try has come.
  /// Waits for that, at most until `deadline` (nullopt then). Throws Error(Errc::stopped) when a stop is asked for
  /// while it waits. Each choice is followed by up(), down() or leave().
  std::optional<Choice> choose(std::size_t home, Clock::time_point deadline, const std::stop_token& stop);
  /// Whether somebody who is content elsewhere should try to come home now. True is followed as a choice is.
  std::optional<Choice> homewards(std::size_t home);

  /// A connection to it was made.
  void up(std::size_t index);
  /// It does not answer. `took`: how long that took to find out; `retry_after`: what it asked for.
  void down(const Choice& choice, std::string_view why, Clock::duration took,
            std::optional<std::chrono::milliseconds> retry_after = std::nullopt);
  /// Nothing was found out.
  void leave(const Choice& choice);
  /// It does its work: the intervals begin anew.
  void proven(std::size_t index);
  /// "127.0.0.1:6041 is lost since 3.2 s: <why>", of all that are.
  [[nodiscard]] std::string troubles() const;

 private:
  struct State {
    std::string name;
    bool lost = false;
    bool on_trial = false;
    Clock::time_point lost_at{};
    Clock::time_point retry_at{};      // when nothing else is left
    Clock::time_point homewards_at{};  // when it is only about coming home; a slow failure is tried less often
    std::string why;
    Backoff backoff;
  };
  std::string what_next(const State& state) const;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any changed_;
  std::vector<State> all_;
  std::size_t joined_ = 0;
  std::size_t changes_ = 0;
};

}  // namespace penstock::sink
