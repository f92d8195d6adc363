#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace penstock::pipeline {

/// Rows of one source as the ledger knows them.
struct SourceRows {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
  std::uint64_t rejected = 0;
  std::uint64_t left_out = 0;  ///< by --since, --until, --limit and the like
  std::uint64_t merged = 0;
  std::uint64_t text_bytes = 0;
  SourceRows& operator+=(const SourceRows& other) noexcept;
  SourceRows& operator-=(const SourceRows& other) noexcept;
  [[nodiscard]] std::uint64_t not_done() const noexcept { return read - written - rejected - left_out; }
};

/// The part of a source that is settled without a gap: every row of it is written, rejected or left out. What a journal
/// stores, and where a later run goes on: whatever came after it is read again.
struct Settled {
  std::uint64_t offset = 0;  ///< where the part ends, in decompressed bytes; always the start of a record
  std::uint64_t lines = 0;   ///< lines in the part
  SourceRows rows;           ///< of the part alone, so that not_done() is 0
  bool finished = false;     ///< the part is all of the source, which was read to its end
};

/// Knows what became of every row, and how far each source is settled without a gap. Any thread; taken once a chunk
/// or window part, never per row. Parts are settled by explicit calls: what is forgotten stays "not done".
/// Sources may be added while chunks of others are under way.
class Ledger {
 public:
  explicit Ledger(std::size_t sources) : sources_(sources) {}

  /// A source more, of which an earlier run has settled `begin`. Returns its number: 0, 1, 2, … in the order of calls.
  std::uint32_t add_source(const Settled& begin = {});
  /// What an earlier run has settled of a source; its rows count as this run's. Before its first chunk.
  void restore(std::uint32_t source, const Settled& settled);

  /// A chunk enters, in order of `seq` (0, 1, 2, …): its rows (rejected and left out ones included), the rejected ones
  /// (which must be on disk or in its buffer already), the left out ones, how many parts lanes hold of it, where it
  /// ends in its source, and its lines.
  void open(std::uint64_t seq, std::uint32_t source, std::uint64_t end_offset, std::uint32_t parts, std::uint64_t rows,
            std::uint64_t rejected, std::uint64_t text_bytes, std::uint64_t left_out = 0, std::uint64_t lines = 0);
  /// A part's rows are all written or rejected.
  void settle(std::uint64_t seq, std::uint64_t written, std::uint64_t rejected, std::uint64_t merged) {
    count(seq, written, rejected, merged, true);
  }
  /// A part was given up with some of its rows written: they count, the rest stays "not done".
  void abandon(std::uint64_t seq, std::uint64_t written, std::uint64_t rejected, std::uint64_t merged) {
    count(seq, written, rejected, merged, false);
  }

  /// The source was read to its end: no chunk of it has the number `next_seq` or a later one. Any thread, but in the
  /// order of `next_seq`; chunks before it may still be on their way to open().
  void finish(std::uint32_t source, std::uint64_t next_seq);

  [[nodiscard]] std::vector<SourceRows> sources() const;
  [[nodiscard]] SourceRows total() const;
  /// What is settled of each source.
  [[nodiscard]] std::vector<Settled> settled() const;
  [[nodiscard]] Settled settled(std::uint32_t source) const;
  struct Change {
    std::uint32_t source = 0;
    Settled settled;
  };
  /// What is settled of those sources for which that has changed since the last call; costs nothing for the others.
  /// For one caller.
  [[nodiscard]] std::vector<Change> take_changes();

 private:
  struct Source {
    SourceRows rows;
    Settled settled;
    bool changed = false;  // is among changed_
  };
  struct Entry {
    std::uint32_t source = 0;
    std::uint32_t left = 0;
    std::uint64_t end = 0;
    std::uint64_t lines = 0;
    SourceRows rows;
  };
  struct End {
    std::uint64_t next_seq = 0;
    std::uint32_t source = 0;
  };
  void count(std::uint64_t seq, std::uint64_t written, std::uint64_t rejected, std::uint64_t merged, bool done);
  void advance();
  Settled& change(std::uint32_t source);

  mutable std::mutex mutex_;
  std::deque<Source> sources_;
  std::vector<std::uint32_t> changed_;
  std::deque<Entry> open_;  // open_[seq - base_]
  std::uint64_t base_ = 0;
  std::deque<End> ends_;  // by next_seq
};

}  // namespace penstock::pipeline
