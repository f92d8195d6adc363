#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/memory_budget.h"
#include "pipeline/ledger.h"
#include "report/counters.h"
#include "sink/window.h"
#include "sink/writer.h"

namespace penstock::pipeline {

struct LaneOptions {
  std::chrono::milliseconds linger{5'000};  ///< a window whose oldest row is older closes when the lane is idle
  std::size_t max_window_bytes = 0;         ///< this lane's share of the memory; 0: any
  std::size_t first_window_rows = 20'000;   ///< the first window is one request, so that the server starts at once;
                                            ///< each later one is eight times as large, or what came meanwhile, up to
  std::size_t min_window_rows = 50'000;     ///< this many rows, or
  std::size_t rows_per_child = 400;         ///< this many per child table in the mean, whichever is more
};

/// LaneOptions::max_window_bytes of each of `lanes` lanes: three fifths of the memory for the windows that grow, so
/// that their runs are long; the rest takes what is read while they are written.
constexpr std::size_t window_share(std::size_t memory, std::size_t lanes) noexcept { return memory / 5 * 3 / lanes; }

class LaneGroup;

/// One connection, one thread, one inbox. Rows of a child table always meet the same lane, in input order.
class Lane {
 public:
  Lane(LaneGroup& group, std::uint32_t index, const schema::Registry& registry, std::unique_ptr<sink::Writer> writer);

  /// Hands a part over; never waits (the memory budget bounds what is under way). Any thread, in input order.
  void push(sink::Part part);
  /// No more parts come.
  void close();
  /// Makes the lane look whether it should give memory back.
  void poke();

 private:
  friend class LaneGroup;
  void run(const std::stop_token& stop);
  bool wait_for_parts(const std::stop_token& stop);
  void take_parts();
  [[nodiscard]] std::size_t wake_rows() const;
  [[nodiscard]] bool should_flush() const;
  [[nodiscard]] std::size_t worthwhile_rows() const;
  [[nodiscard]] std::size_t next_window_rows() const;
  void flush();
  void settle_all(bool done);

  LaneGroup& group_;
  const std::uint32_t index_;
  const std::uint32_t lanes_;
  sink::Window window_;
  std::unique_ptr<sink::Writer> writer_;
  std::chrono::steady_clock::time_point oldest_{};
  std::size_t target_rows_;                         // of the next window, while the run is young
  std::deque<sink::Part> at_hand_;                  // taken out of the inbox
  bool no_more_ = false;                            // closed_ when parts were taken last
  std::atomic<std::size_t> inbox_rows_{0};          // and at hand
  std::atomic<std::size_t> wanted_rows_{SIZE_MAX};  // that the next window can do with; unknown before the first

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any wake_;
  std::deque<sink::Part> inbox_;
  std::size_t wake_rows_ = 0;  // in the inbox that the sleeping lane is woken for
  bool closed_ = false;
  bool poked_ = false;

  std::jthread thread_;  // last: ends before what it uses goes away
};

/// The lanes of a run: starts them, spreads parts, gathers the first error.
class LaneGroup {
 public:
  using MakeWriter = std::function<std::unique_ptr<sink::Writer>(std::uint32_t lane)>;
  LaneGroup(std::uint32_t lanes, LaneOptions options, MemoryBudget& budget, Ledger& ledger, report::Counters& counters,
            const schema::Registry& registry, const MakeWriter& make_writer);
  ~LaneGroup();

  void push(std::uint32_t lane, sink::Part part) { lanes_[lane]->push(std::move(part)); }
  /// Waits while every lane has the rows of its next window before it: more would only take memory, and memory that was
  /// not touched before costs time. False: a stop was asked for. One thread at a time.
  bool wait_for_room(std::stop_token stop);
  [[nodiscard]] bool reader_waits() const noexcept { return reader_waits_; }
  /// All lanes write what they hold and end. Throws the first Error of any lane.
  void finish();
  /// Lanes end as soon as their present request is answered; what they hold stays undone.
  void stop();
  /// Told when a lane fails, so that the reader stops. Set before the first push.
  void on_failure(std::function<void()> call) { on_failure_ = std::move(call); }
  /// Told of each window that was written whole, before it is let go of; in the lane's thread. Set before the first
  /// push.
  void on_written(std::function<void(std::uint32_t lane, sink::Window&)> call) { on_written_ = std::move(call); }
  /// Makes all lanes look whether they should give memory back. Any thread.
  void poke() {
    for (auto& lane : lanes_) lane->poke();
  }
  [[nodiscard]] bool failed() const;
  [[nodiscard]] std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(lanes_.size()); }

 private:
  friend class Lane;
  void fail(std::exception_ptr error);
  [[nodiscard]] bool crowded() const;
  void made_room();

  LaneOptions options_;
  MemoryBudget& budget_;
  Ledger& ledger_;
  report::Counters& counters_;
  std::atomic<int> flushing_{0};
  std::vector<std::atomic<std::size_t>> gathered_;  // [lanes] bytes in the window of each lane that is not flushing
  std::atomic<bool> reader_waits_{false};
  std::mutex room_mutex_;
  std::condition_variable_any room_;
  mutable std::mutex mutex_;
  std::exception_ptr error_;
  std::function<void()> on_failure_;
  std::function<void(std::uint32_t, sink::Window&)> on_written_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace penstock::pipeline
