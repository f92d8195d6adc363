#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/memory_budget.h"
#include "io/reader.h"
#include "support/line_shapes.h"

namespace penstock::bench {

/// Line protocol of the TSBS cpu shape of any length, in pieces of whole lines of about a MiB. A piece is made once and
/// handed out again and again with other timestamps, so that making it costs little beside reading it. Lines go by
/// time, each host once a step. next() from one thread; pieces are given back from any, and outlive the text.
class EndlessText {
 public:
  struct Piece {
    std::shared_ptr<const void> owner;
    std::string_view text;  ///< io::kPadding readable bytes follow; empty: the end
    std::uint64_t lines = 0;
  };

  /// `budget` is charged for what is lent and must outlive it; may be null.
  EndlessText(std::uint64_t lines, std::size_t hosts, MemoryBudget* budget)
      : left_(lines), hosts_(hosts), shelf_(std::make_shared<Shelf>()) {
    shelf_->budget = budget;
    steps_ = std::max<std::size_t>(1, kPieceLines / hosts);
    std::mt19937 random(1);
    for (std::size_t line = 0; line < steps_ * hosts;) {
      auto& master = masters_.emplace_back();
      master.first = line;
      for (; master.ends.size() < kPieceLines && line < steps_ * hosts; ++line) {
        master.text += cpu_line(line % hosts, cpu_time(line / hosts), random);
        master.text += '\n';
        master.ends.push_back(master.text.size());
      }
    }
    shelf_->idle.resize(masters_.size());
  }

  /// The next piece. Waits for the budget; a stop gives the end.
  Piece next(const std::stop_token& stop) {
    const Master& master = masters_[at_];
    const std::size_t bytes = master.text.size() + io::kPadding;
    if (left_ == 0 || (shelf_->budget != nullptr && !shelf_->budget->acquire(bytes, stop))) return {};
    auto buffer = shelf_->take(at_);
    if (buffer == nullptr) {
      buffer = std::make_unique_for_overwrite<char[]>(bytes);
      std::memcpy(buffer.get(), master.text.data(), master.text.size());
      std::memset(buffer.get() + master.text.size(), 0, io::kPadding);
    }
    for (std::size_t i = 0, step = SIZE_MAX; i < master.ends.size(); ++i) {
      if (const auto now = (master.first + i) / hosts_; now != step) {
        step = now;
        time_ = fmt::format("{}", cpu_time(first_step_ + step));
      }
      std::memcpy(buffer.get() + master.ends[i] - 1 - time_.size(), time_.data(), time_.size());
    }
    const auto lines = std::min<std::uint64_t>(left_, master.ends.size());
    left_ -= lines;
    const std::string_view text(buffer.get(), master.ends[lines - 1]);
    std::shared_ptr<const void> owner(buffer.release(), [shelf = shelf_, index = at_, bytes](char* back) {
      shelf->give_back(index, std::unique_ptr<char[]>(back));
      if (shelf->budget != nullptr) shelf->budget->release(bytes);
    });
    if (++at_ == masters_.size()) {
      at_ = 0;
      first_step_ += steps_;
    }
    return {std::move(owner), text, lines};
  }

 private:
  static constexpr std::size_t kPieceLines = 3'000;

  struct Master {
    std::size_t first = 0;  ///< line of the round, which is steps_ times all hosts
    std::string text;
    std::vector<std::size_t> ends;  ///< behind the newline of each line
  };

  /// Pieces that nobody reads, by the master that they hold.
  struct Shelf {
    std::unique_ptr<char[]> take(std::size_t index) {
      const std::lock_guard lock(mutex);
      if (idle[index].empty()) return nullptr;
      auto buffer = std::move(idle[index].back());
      idle[index].pop_back();
      return buffer;
    }
    void give_back(std::size_t index, std::unique_ptr<char[]> buffer) {
      const std::lock_guard lock(mutex);
      // With many masters each would keep as many as were ever lent at a time.
      if (idle[index].size() < std::max<std::size_t>(2, 512 / idle.size())) idle[index].push_back(std::move(buffer));
    }
    std::mutex mutex;
    std::vector<std::vector<std::unique_ptr<char[]>>> idle;
    MemoryBudget* budget = nullptr;
  };

  std::uint64_t left_;
  const std::size_t hosts_;
  std::size_t steps_ = 1;  ///< in a round
  std::size_t first_step_ = 0;
  std::size_t at_ = 0;
  std::vector<Master> masters_;
  std::string time_;
  std::shared_ptr<Shelf> shelf_;
};

}  // namespace penstock::bench
