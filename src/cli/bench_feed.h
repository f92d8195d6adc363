#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cli/bench_input.h"
#include "pipeline/run.h"

namespace penstock::cli {

/// Hands out generated lines as often as they are wanted: each time round their times are later, so that every row has
/// a key of its own. One run.
class BenchFeed : public pipeline::Feed {
 public:
  struct Until {
    std::uint64_t rows = 0;                                   ///< stops behind so many
    std::optional<std::chrono::steady_clock::duration> time;  ///< or once so long has passed since the first chunk
  };
  /// `lines` outlives the feed and its chunks, which hold at most `chunk_bytes` (at least a line).
  BenchFeed(const GeneratedLines& lines, std::shared_ptr<pipeline::ParserPool> parsers, Until until,
            std::size_t chunk_bytes)
      : lines_(lines), parsers_(std::move(parsers)), until_(until), chunk_bytes_(chunk_bytes) {}

  bool next(io::Chunk& chunk, Reading& reading, const std::stop_token& stop) override;
  [[nodiscard]] std::string name_of(std::uint32_t) const override { return "generated rows"; }
  /// Rows handed out so far.
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }

 private:
  const GeneratedLines& lines_;
  std::shared_ptr<pipeline::ParserPool> parsers_;
  const Until until_;
  const std::size_t chunk_bytes_;
  std::optional<std::chrono::steady_clock::time_point> start_;
  std::uint64_t seq_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t offset_ = 0;   // of all that was handed out
  std::size_t at_ = 0;         // in the lines
  std::int64_t shift_ns_ = 0;  // of this time round
};

}  // namespace penstock::cli
