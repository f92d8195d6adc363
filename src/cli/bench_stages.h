#pragma once

#include <array>
#include <cstdint>
#include <stop_token>
#include <string_view>

#include "cli/bench_run.h"
#include "report/counters.h"

namespace penstock::cli {

/// The local stages of a load one after the other, in one thread. `read` is cutting (and waiting for what is inflated
/// beside it), `schema` admits rows and keeps the ledger, `gather` fills windows and lets go of them, `build` groups
/// their rows and makes requests, `server` is what `null:` does in its place: framing and masking.
struct StageTimes {
  std::array<double, report::kStages> seconds{};  ///< by report::Stage
  std::uint64_t rows = 0;
  std::uint64_t rejected = 0;
  std::uint64_t bytes = 0;       ///< of text
  std::uint64_t sent_bytes = 0;  ///< of requests
  std::uint64_t runs = 0;        ///< child tables in requests
  bool interrupted = false;

  [[nodiscard]] double sum() const noexcept {
    double all = 0;
    for (const auto one : seconds) all += one;
    return all;
  }
};

/// Reads the rows once. `write` and `lane` as for a load; the lane's max_window_bytes bounds the window. Throws Error
/// when a source cannot be read.
StageTimes time_stages(const BenchRows& rows, const sink::WriteOptions& write, const pipeline::LaneOptions& lane,
                       std::size_t memory, const TargetTimes& times, const std::stop_token& stop);

/// Bytes a second that one thread copies from memory to memory.
double memcpy_rate();

/// How many times as much `threads` threads do in the same time as one when they share nothing but the machine: sums in
/// registers, no memory. Less than `threads` where processors are halves of one core, clocked down together, or lent to
/// others meanwhile. Takes about 0.1 s.
double unshared_speed_up(unsigned threads);

}  // namespace penstock::cli
