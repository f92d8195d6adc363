#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace penstock::report {

/// The stages that a load spends its time in.
enum class Stage : std::uint8_t { read, parse, schema, gather, build, server };
inline constexpr std::size_t kStages = 6;
inline constexpr std::array<std::string_view, kStages> kStageNames{"read",   "parse", "schema",
                                                                   "gather", "build", "server"};

/// Live figures of a run. Every member may be changed and read by any thread; relaxed order, so a reader sees figures
/// of slightly different moments. Change them once a chunk or request, never per row.
struct Counters {
  std::atomic<std::uint64_t> bytes_total{0};  ///< of all sources as they lie on disk; 0 unknown
  std::atomic<std::uint64_t> bytes_read{0};   ///< of the sources as they lie on disk
  std::atomic<std::uint64_t> text_bytes{0};   ///< decompressed text that was parsed
  std::atomic<std::uint64_t> skip_to{0};  ///< a resumed source is on its way to this byte (decompressed); 0: none is
  std::atomic<std::uint64_t> skipped{0};  ///< how far it has come
  std::atomic<std::uint64_t> rows_read{0};
  std::atomic<std::uint64_t> rows_written{0};
  std::atomic<std::uint64_t> rows_rejected{0};
  std::atomic<std::uint64_t> rows_left_out{0};  ///< by --since, --until, --limit and the like
  std::atomic<std::uint64_t> rows_merged{0};
  std::atomic<std::uint64_t> rows_merged_by_precision{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> retries{0};
  std::atomic<std::uint64_t> reconnects{0};
  std::atomic<std::uint64_t> request_bytes{0};
  std::atomic<std::uint64_t> runs{0};  ///< child tables in requests: rows_written / runs is the mean run length
  std::array<std::atomic<std::uint64_t>, kStages> busy_ns{};

  void busy(Stage stage, std::chrono::nanoseconds time) {
    busy_ns[static_cast<std::size_t>(stage)].fetch_add(static_cast<std::uint64_t>(time.count()),
                                                       std::memory_order_relaxed);
  }
};

/// Adds the time from construction to destruction to a stage.
class Busy {
 public:
  Busy(Counters& counters, Stage stage)
      : counters_(counters), stage_(stage), start_(std::chrono::steady_clock::now()) {}
  ~Busy() { counters_.busy(stage_, std::chrono::steady_clock::now() - start_); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  Counters& counters_;
  Stage stage_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace penstock::report
