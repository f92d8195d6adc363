#include "sink/throttle.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace penstock::sink {
namespace {

constexpr auto kMeanwhile = std::chrono::seconds(10);
constexpr unsigned kMostHalvings = 6;
constexpr std::uint32_t kFewestRows = 200;
// Rounds of requests that must go through before one more is allowed at a time.
constexpr unsigned kRounds = 4;
// Pressure that comes and goes is told once in this time.
constexpr auto kToldEvery = std::chrono::minutes(1);

}  // namespace

Throttle::Slot::Slot(Throttle& throttle, std::stop_token stop) : throttle_(throttle), stop_(std::move(stop)) {
  const std::lock_guard lock(throttle_.mutex_);
  ++throttle_.lanes_;
}

Throttle::Slot::~Slot() {
  release_all();
  const std::lock_guard lock(throttle_.mutex_);
  --throttle_.lanes_;
  throttle_.taken_away_ = std::min(throttle_.taken_away_, throttle_.lanes_ == 0 ? 0 : throttle_.most() - 1);
}

void Throttle::Slot::acquire(const std::function<void()>& meanwhile) {
  std::unique_lock lock(throttle_.mutex_);
  const auto free = [this] { return throttle_.under_way_ < throttle_.most() - throttle_.taken_away_; };
  while (held_ == 0 && !throttle_.freed_.wait_for(lock, stop_, kMeanwhile, free)) {
    if (stop_.stop_requested())
      throw Error(Errc::stopped, throttle_.target_ + ": stopped while waiting until the target takes more requests");
    lock.unlock();
    meanwhile();
    lock.lock();
  }
  ++held_;
  ++throttle_.under_way_;
  cuts_ = throttle_.cuts_;
}

bool Throttle::Slot::try_acquire() {
  const std::lock_guard lock(throttle_.mutex_);
  if (throttle_.under_way_ >= throttle_.most() - throttle_.taken_away_) return false;
  ++held_;
  ++throttle_.under_way_;
  cuts_ = throttle_.cuts_;
  return true;
}

void Throttle::Slot::release(unsigned count) {
  if (count == 0) return;
  {
    const std::lock_guard lock(throttle_.mutex_);
    held_ -= count;
    throttle_.under_way_ -= count;
  }
  throttle_.freed_.notify_all();
}

void Throttle::Slot::pressed(std::string_view why) {
  bool tell = false;
  unsigned limit = 0;
  {
    const std::lock_guard lock(throttle_.mutex_);
    auto& t = throttle_;
    t.successes_ = 0;
    // Requests that were under way together are refused together: that is one reason, not many.
    if (cuts_ != t.cuts_) return;
    cuts_ = ++t.cuts_;
    limit = t.most() - t.taken_away_;
    if (limit > 1) t.taken_away_ = t.most() - limit / 2;
    else t.halvings_ = std::min(t.halvings_ + 1, kMostHalvings);
    limit = t.most() - t.taken_away_;
    const auto now = Clock::now();
    if (!t.pressed_since_) t.pressed_since_ = now;
    tell = !t.told_ && (t.told_at_ == Clock::time_point() || now - t.told_at_ > kToldEvery);
    if (tell) {
      t.told_ = true;
      t.told_at_ = now;
    }
  }
  const auto text = fmt::format("{} is busy: {}; {} request{} at a time", throttle_.target_, printable(why, 200), limit,
                                limit == 1 ? "" : "s");
  if (tell) log_event(LogLevel::warning, "target.busy", text);
  else log(LogLevel::debug, text);
}

void Throttle::Slot::succeeded() {
  std::string told;
  {
    const std::lock_guard lock(throttle_.mutex_);
    auto& t = throttle_;
    if (!t.pressed_since_) return;
    const unsigned limit = t.most() - t.taken_away_;
    if (++t.successes_ < kRounds * limit) return;
    t.successes_ = 0;
    if (t.halvings_ > 0) --t.halvings_;
    else if (t.taken_away_ > 0) --t.taken_away_;
    if (t.halvings_ == 0 && t.taken_away_ == 0) {
      if (std::exchange(t.told_, false))
        told = fmt::format("{} takes all requests again after {}", t.target_,
                           format_duration(Clock::now() - *t.pressed_since_));
      t.pressed_since_.reset();
    }
  }
  throttle_.freed_.notify_all();
  if (!told.empty()) log_event(LogLevel::warning, "target.ready", told);
}

std::uint32_t Throttle::batch_rows(std::uint32_t full) const {
  const std::lock_guard lock(mutex_);
  return std::max(full >> halvings_, std::min(full, kFewestRows));
}

unsigned Throttle::limit() const {
  const std::lock_guard lock(mutex_);
  return most() - taken_away_;
}

}  // namespace penstock::sink
