#include "pipeline/lane.h"

#include <algorithm>

#include "base/error.h"

namespace penstock::pipeline {
namespace {
// How often an idle lane lets its connection answer the server's pings (the server hangs up after 114 s).
constexpr auto kIdlePeriod = std::chrono::seconds(10);
constexpr std::size_t kWindowGrowth = 8;
// Rows that a lane is woken for: waking it for each part costs more than taking the part in, and this many rows are
// still in the processor's cache.
constexpr std::size_t kWakeRows = 8192;

// Memory that the budget knows of for as long as this lives.
class Charge {
 public:
  Charge(MemoryBudget& budget, std::size_t bytes) : budget_(budget), bytes_(bytes) { budget_.charge(bytes_); }
  ~Charge() { budget_.release(bytes_); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  MemoryBudget& budget_;
  const std::size_t bytes_;
};
}  // namespace

Lane::Lane(LaneGroup& group, std::uint32_t index, const schema::Registry& registry,
           std::unique_ptr<sink::Writer> writer)
    : group_(group),
      index_(index),
      lanes_(static_cast<std::uint32_t>(group.gathered_.size())),
      window_(registry, lanes_),
      writer_(std::move(writer)),
      target_rows_(group.options_.first_window_rows) {}

void Lane::push(sink::Part part) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    inbox_rows_.fetch_add(part.rows.size());
    inbox_.push_back(std::move(part));
    wake = inbox_rows_.load(std::memory_order_relaxed) >= wake_rows_;
  }
  if (wake) wake_.notify_one();
}

void Lane::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  wake_.notify_one();
}

void Lane::poke() {
  const std::lock_guard lock(mutex_);
  poked_ = true;
  wake_.notify_one();
}

// Rows, counted as if they gave all columns, from which on a larger window hardly helps the server.
std::size_t Lane::worthwhile_rows() const {
  return std::max(group_.options_.min_window_rows, group_.options_.rows_per_child * window_.child_count());
}

// What the next window will take at most if its rows are like those of this one.
std::size_t Lane::next_window_rows() const {
  const auto rows = static_cast<double>(window_.row_count());
  auto wanted = static_cast<double>(worthwhile_rows()) * rows /
                static_cast<double>(std::max<std::size_t>(window_.full_row_count(), 1));
  if (group_.options_.max_window_bytes > 0 && window_.bytes() > 0)
    wanted = std::min(
        wanted, static_cast<double>(group_.options_.max_window_bytes) * rows / static_cast<double>(window_.bytes()));
  return static_cast<std::size_t>(wanted);
}

// A window closes whole: when it is large enough, when memory is asked for (the fullest first, and only if no lane is
// about to give some back anyway), when its oldest row has waited long enough, or at the end.
bool Lane::should_flush() const {
  if (window_.empty()) return false;
  if (window_.full_row_count() >= worthwhile_rows()) return true;
  if (group_.options_.max_window_bytes > 0 && window_.bytes() >= group_.options_.max_window_bytes) return true;
  // The first window must not wait; a later one takes in what came while the one before it was written.
  const bool first = target_rows_ == group_.options_.first_window_rows;
  if (window_.row_count() >= target_rows_ && (first || at_hand_.empty())) return true;
  if (!at_hand_.empty()) return false;
  if (no_more_) return true;
  if (group_.budget_.wanted() && group_.flushing_.load(std::memory_order_acquire) == 0) {
    const auto mine = window_.bytes();
    return std::all_of(group_.gathered_.begin(), group_.gathered_.end(),
                       [&](const auto& other) { return other.load(std::memory_order_relaxed) <= mine; });
  }
  return std::chrono::steady_clock::now() - oldest_ >= group_.options_.linger;
}

// Rows in the inbox from which on there is something to do. At least what makes the reader wait for this lane, and a
// window's first rows at once: their time counts from there.
std::size_t Lane::wake_rows() const {
  if (window_.empty()) return 1;
  const auto missing = [](std::size_t wanted, std::size_t have) { return wanted - std::min(wanted, have); };
  const auto least =
      std::min({kWakeRows, wanted_rows_.load(std::memory_order_relaxed), missing(target_rows_, window_.row_count()),
                missing(worthwhile_rows(), window_.full_row_count())});
  return std::max<std::size_t>(least, 1);
}

// Waits for parts, for the time to look after the window, or for somebody who asks. True: nothing came for long.
bool Lane::wait_for_parts(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  wake_rows_ = wake_rows();
  const auto ready = [this] { return inbox_rows_.load(std::memory_order_relaxed) >= wake_rows_ || closed_ || poked_; };
  bool idle = false;
  if (!ready()) {
    auto deadline = std::chrono::steady_clock::now() + kIdlePeriod;
    if (!window_.empty()) deadline = std::min(deadline, oldest_ + group_.options_.linger);
    idle = !wake_.wait_until(lock, stop, deadline, ready);
  }
  wake_rows_ = SIZE_MAX;
  poked_ = false;
  return idle;
}

void Lane::take_parts() {
  const std::lock_guard lock(mutex_);
  at_hand_.swap(inbox_);
  no_more_ = closed_;
}

void Lane::run(const std::stop_token& stop) {
  for (;;) {
    bool idle = false;
    if (at_hand_.empty()) {
      idle = wait_for_parts(stop);
      take_parts();
    }
    if (stop.stop_requested()) break;
    if (!at_hand_.empty()) {
      auto part = std::move(at_hand_.front());
      at_hand_.pop_front();
      inbox_rows_.fetch_sub(part.rows.size());
      group_.made_room();
      const report::Busy busy(group_.counters_, report::Stage::gather);
      if (window_.empty()) oldest_ = std::chrono::steady_clock::now();
      window_.add(std::move(part));
      group_.gathered_[index_].store(window_.bytes(), std::memory_order_relaxed);
    } else if (idle && window_.empty()) {
      writer_->idle();
    }
    if (at_hand_.empty()) take_parts();
    if (should_flush()) flush();
    else if (no_more_ && at_hand_.empty()) break;
  }
  settle_all(false);
}

void Lane::flush() {
  group_.flushing_.fetch_add(1, std::memory_order_acq_rel);
  group_.gathered_[index_].store(0, std::memory_order_relaxed);
  wanted_rows_ = next_window_rows();
  const Charge grouped(group_.budget_, window_.grouped_bytes());
  writer_->write(window_);
  if (group_.on_written_) group_.on_written_(index_, window_);
  settle_all(true);
  if (target_rows_ < std::size_t{1} << 40) target_rows_ *= kWindowGrowth;
  group_.flushing_.fetch_sub(1, std::memory_order_acq_rel);
  if (group_.budget_.wanted()) group_.poke();
}

void Lane::settle_all(bool done) {
  const auto outcomes = window_.outcomes();
  const auto parts = window_.parts();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto& [written, rejected, merged] = outcomes[i];
    const auto seq = parts[i].chunk->chunk.seq;
    if (done) group_.ledger_.settle(seq, written, rejected, merged);
    else group_.ledger_.abandon(seq, written, rejected, merged);
  }
  window_.clear();
}

LaneGroup::LaneGroup(std::uint32_t lanes, LaneOptions options, MemoryBudget& budget, Ledger& ledger,
                     report::Counters& counters, const schema::Registry& registry, const MakeWriter& make_writer)
    : options_(options), budget_(budget), ledger_(ledger), counters_(counters), gathered_(lanes) {
  for (std::uint32_t i = 0; i < lanes; ++i)
    lanes_.push_back(std::make_unique<Lane>(*this, i, registry, make_writer(i)));
  budget_.on_wait([this] { poke(); });
  // Only now: a lane's thread looks at the whole group.
  for (auto& lane : lanes_) {
    lane->thread_ = std::jthread([this, &lane = *lane](const std::stop_token& stop) {
      try {
        lane.run(stop);
      } catch (...) {
        lane.settle_all(false);
        fail(std::current_exception());
      }
    });
  }
}

LaneGroup::~LaneGroup() {
  stop();
  budget_.on_wait({});
}

void LaneGroup::fail(std::exception_ptr error) {
  {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  if (on_failure_) on_failure_();
}

bool LaneGroup::crowded() const {
  return std::all_of(lanes_.begin(), lanes_.end(),
                     [](const auto& lane) { return lane->inbox_rows_.load() >= lane->wanted_rows_.load(); });
}

// Sequentially consistent, as wait_for_room(): either this sees the reader waiting, or the reader sees the room.
void LaneGroup::made_room() {
  if (!reader_waits_.load()) return;
  { const std::lock_guard lock(room_mutex_); }
  room_.notify_all();
}

bool LaneGroup::wait_for_room(std::stop_token stop) {
  if (!crowded()) return true;
  std::unique_lock lock(room_mutex_);
  reader_waits_ = true;
  const bool room = room_.wait(lock, std::move(stop), [this] { return !crowded(); });
  reader_waits_ = false;
  return room;
}

bool LaneGroup::failed() const {
  const std::lock_guard lock(mutex_);
  return error_ != nullptr;
}

void LaneGroup::finish() {
  for (auto& lane : lanes_) lane->close();
  for (auto& lane : lanes_)
    if (lane->thread_.joinable()) lane->thread_.join();
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
}

void LaneGroup::stop() {
  for (auto& lane : lanes_) lane->thread_.request_stop();
  for (auto& lane : lanes_)
    if (lane->thread_.joinable()) lane->thread_.join();
}

}  // namespace penstock::pipeline
