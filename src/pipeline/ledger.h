#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace penstock::pipeline {

/// Everything of `source` before `offset` is settled: written or in the reject file.
struct Position {
  std::uint32_t source = 0;
  std::uint64_t offset = 0;  ///< in decompressed bytes; always the start of a record
};

/// Rows of one source as the ledger knows them.
struct SourceRows {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
  std::uint64_t rejected = 0;
  std::uint64_t left_out = 0;  ///< by --since, --until, --limit and the like
  std::uint64_t merged = 0;
  std::uint64_t text_bytes = 0;
  [[nodiscard]] std::uint64_t not_done() const noexcept { return read - written - rejected - left_out; }
};

/// Knows what became of every row, and how far each source is settled without a gap. Any thread; taken once a chunk
/// or window part, never per row. Parts are settled by explicit calls: what is forgotten stays "not done".
class Ledger {
 public:
  explicit Ledger(std::size_t sources) : sources_(sources), settled_(sources, 0) {}

  /// A chunk enters, in order of `seq` (0, 1, 2, …): its rows (rejected and left out ones included), the rejected ones
  /// (which must be on disk or in its buffer already), the left out ones, how many parts lanes hold of it, and where it
  /// ends in its source.
  void open(std::uint64_t seq, std::uint32_t source, std::uint64_t end_offset, std::uint32_t parts, std::uint64_t rows,
            std::uint64_t rejected, std::uint64_t text_bytes, std::uint64_t left_out = 0);
  /// A part's rows are all written or rejected.
  void settle(std::uint64_t seq, std::uint64_t written, std::uint64_t rejected, std::uint64_t merged) {
    count(seq, written, rejected, merged, true);
  }
  /// A part was given up with some of its rows written: they count, the rest stays "not done".
  void abandon(std::uint64_t seq, std::uint64_t written, std::uint64_t rejected, std::uint64_t merged) {
    count(seq, written, rejected, merged, false);
  }

  [[nodiscard]] std::vector<SourceRows> sources() const;
  [[nodiscard]] SourceRows total() const;
  /// Per source, how far everything before is settled. The journal's place.
  [[nodiscard]] std::vector<Position> settled() const;

 private:
  struct Entry {
    std::uint32_t source = 0;
    std::uint32_t left = 0;
    std::uint64_t end = 0;
  };
  void count(std::uint64_t seq, std::uint64_t written, std::uint64_t rejected, std::uint64_t merged, bool done);
  void advance();

  mutable std::mutex mutex_;
  std::vector<SourceRows> sources_;
  std::vector<std::uint64_t> settled_;
  std::deque<Entry> open_;  // open_[seq - base_]
  std::uint64_t base_ = 0;
};

}  // namespace penstock::pipeline
