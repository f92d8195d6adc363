#include "sink/endpoints.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace penstock::sink {
namespace {

// Of a Retry-After; the adapter itself asks for 120 s.
constexpr auto kLongestAsked = std::chrono::minutes(5);
// Of the time of a connection that is content elsewhere, at most one part in this many goes into trying its home.
constexpr int kTrialShare = 20;
constexpr std::size_t kMostWhy = 300;

}  // namespace

Endpoints::Endpoints(const std::vector<client::Endpoint>& all) {
  for (const auto& endpoint : all) all_.emplace_back().name = endpoint.text();
}

std::size_t Endpoints::join() {
  const std::lock_guard lock(mutex_);
  return joined_++ % all_.size();
}

std::size_t Endpoints::healthy() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(all_.begin(), all_.end(), [](const State& s) { return !s.lost; }));
}

std::optional<Endpoints::Choice> Endpoints::choose(std::size_t home, Clock::time_point deadline,
                                                   const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const auto index = (home + i) % all_.size();
      if (!all_[index].lost) return Choice{index, false};
    }
    State* next = nullptr;
    for (auto& state : all_)
      if (!state.on_trial && (next == nullptr || state.retry_at < next->retry_at)) next = &state;
    const auto now = Clock::now();
    if (next != nullptr && next->retry_at <= now) {
      next->on_trial = true;
      return Choice{static_cast<std::size_t>(next - all_.data()), true};
    }
    if (now >= deadline) return std::nullopt;
    if (stop.stop_requested()) throw Error(Errc::stopped, "stopped while waiting for the target: " + all_[home].why);
    const auto seen = changes_;
    changed_.wait_until(lock, stop, next == nullptr ? deadline : std::min(deadline, next->retry_at),
                        [&] { return changes_ != seen; });
  }
}

std::optional<Endpoints::Choice> Endpoints::homewards(std::size_t home) {
  const std::lock_guard lock(mutex_);
  State& state = all_[home];
  if (!state.lost) return Choice{home, false};
  if (state.on_trial || Clock::now() < state.homewards_at) return std::nullopt;
  state.on_trial = true;
  return Choice{home, true};
}

void Endpoints::up(std::size_t index) {
  std::string told;
  {
    const std::lock_guard lock(mutex_);
    State& state = all_[index];
    state.on_trial = false;
    if (!state.lost) return;
    state.lost = false;
    told = fmt::format("{} is back after {}", state.name, format_duration(Clock::now() - state.lost_at));
    ++changes_;
  }
  changed_.notify_all();
  log_event(LogLevel::warning, "target.back", told);
}

std::string Endpoints::what_next(const State& state) const {
  const auto other = std::find_if(all_.begin(), all_.end(), [](const State& s) { return !s.lost; });
  if (other != all_.end()) return fmt::format("going on with {}", other->name);
  return fmt::format("trying again in {}", format_duration(state.retry_at - Clock::now()));
}

void Endpoints::down(const Choice& choice, std::string_view why, Clock::duration took,
                     std::optional<std::chrono::milliseconds> retry_after) {
  std::string told;
  {
    const std::lock_guard lock(mutex_);
    State& state = all_[choice.index];
    if (choice.trial) state.on_trial = false;
    // What others find out about a loss that is known already changes nothing.
    if (state.lost && !choice.trial) return;
    const auto now = Clock::now();
    const std::chrono::milliseconds asked =
        std::min<std::chrono::milliseconds>(retry_after.value_or(std::chrono::milliseconds(0)), kLongestAsked);
    const auto interval = std::max(state.backoff.next(), asked);
    state.retry_at = now + interval;
    state.homewards_at = now + std::max<Clock::duration>(interval, kTrialShare * took);
    if (why.starts_with(state.name)) why.remove_prefix(state.name.size());  // it is said anyway
    while (why.starts_with(' ') || why.starts_with(':')) why.remove_prefix(1);
    state.why = printable(why, kMostWhy);
    if (!state.lost) {
      state.lost = true;
      state.lost_at = now;
      told = fmt::format("lost {}: {}; {}", state.name, state.why, what_next(state));
    }
    ++changes_;
  }
  changed_.notify_all();
  if (!told.empty()) log_event(LogLevel::warning, "target.lost", told);
}

void Endpoints::leave(const Choice& choice) {
  if (!choice.trial) return;
  {
    const std::lock_guard lock(mutex_);
    all_[choice.index].on_trial = false;
    ++changes_;
  }
  changed_.notify_all();
}

void Endpoints::proven(std::size_t index) {
  const std::lock_guard lock(mutex_);
  all_[index].backoff.reset();
}

std::string Endpoints::troubles() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& state : all_) {
    if (!state.lost) continue;
    if (!text.empty()) text += "; and ";
    text +=
        fmt::format("{} is lost since {}: {}", state.name, format_duration(Clock::now() - state.lost_at), state.why);
  }
  return text;
}

}  // namespace penstock::sink
