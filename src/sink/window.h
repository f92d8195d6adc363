#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "data/row_set.h"
#include "io/chunk.h"
#include "schema/growth.h"
#include "schema/registry.h"

namespace penstock::sink {

/// A chunk with its rows, shared by the lanes that hold rows of it. The text stays reachable through `chunk.owner` for
/// as long as a row may still be refused.
struct ParsedChunk {
  explicit ParsedChunk(MemoryBudget* budget) : rows(budget) {}
  io::Chunk chunk;
  data::RowSet rows;
  std::uint64_t first_line = 1;  ///< number of the chunk's first line in its source
  /// What to bind of each super table in the chunk, as the schema stage left it: lanes must not look at the live state.
  std::vector<std::shared_ptr<const schema::TableVersion>> versions;
  /// Tells the reading stage that the chunk is gone; let go of first, before its memory is given back.
  std::shared_ptr<const void> under_way;

  [[nodiscard]] std::string_view record(const data::Row& row) const {
    return chunk.text.substr(row.offset, row.length);
  }
};

/// The rows of a chunk that belong to one lane, in input order.
struct Part {
  std::shared_ptr<ParsedChunk> chunk;
  std::vector<data::Row*> rows;
};

/// What rows of a part that give the same fields have in common.
struct RowOrigin {
  const data::ResolvedShape* shape = nullptr;
  std::uint32_t part = 0;  ///< index of their part in the window
};

/// A gathered row: 16 bytes. The origin is the window's.
struct RowRef {
  const data::Row* row = nullptr;
  const RowOrigin* origin = nullptr;
  [[nodiscard]] const data::ResolvedShape& shape() const noexcept { return *origin->shape; }
  [[nodiscard]] std::uint32_t part() const noexcept { return origin->part; }
};

/// Rows of one child table: [begin, end) in Window::rows().
struct Run {
  data::ChildTable* child = nullptr;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::uint32_t keys = 0;  ///< of a request's run: rows that are left when equal keys are joined, at most
  bool ordered = true;     ///< the rows' own times rise from each to the next
  bool distinct = false;   ///< of a request's run: their times in the database's precision are known to rise as well
  [[nodiscard]] std::uint32_t size() const noexcept { return end - begin; }
};

/// The runs of one super table, and what to bind.
struct TableRuns {
  std::shared_ptr<const schema::TableVersion> version;
  std::vector<Run> runs;
  const data::ResolvedShape* shape = nullptr;  ///< of all rows; nullptr where they have several
};

/// The gathering window of a lane: rows of many chunks, grouped by child table before they are sent, because the number
/// of rows per child table in a request decides the server's speed. One thread, the lane's.
class Window {
 public:
  /// Child tables with id % lanes == lane come here.
  Window(const schema::Registry& registry, std::uint32_t lanes) : registry_(registry), lanes_(lanes) {}

  /// Takes the rows in; those that the schema stage refused are passed over.
  void add(Part part);

  [[nodiscard]] bool empty() const noexcept { return parts_.empty(); }
  [[nodiscard]] std::size_t row_count() const noexcept { return row_count_; }
  /// About how many rows these would be if each gave all columns of its table: lines of a single field are often
  /// joined.
  [[nodiscard]] std::size_t full_row_count() const noexcept { return static_cast<std::size_t>(full_rows_); }
  [[nodiscard]] std::size_t child_count() const noexcept { return children_.size(); }
  /// Memory that would come free: this lane's share of the chunks it holds.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  /// Memory of the window's own, beside bytes(), from group() until the next window is grouped: what stands for the
  /// rows while they are sorted and sent.
  [[nodiscard]] std::size_t grouped_bytes() const noexcept {
    return row_count_ * (sizeof(RowRef) + sizeof(child_of_row_[0]) + (notes_times_ ? 2 * sizeof(times_[0]) : 0));
  }

  /// Sorts the rows into runs with a stable counting sort. Call once, after the last add().
  void group();
  [[nodiscard]] std::span<const RowRef> rows() const noexcept { return {rows_.data(), grouped_}; }
  /// The same for whoever sorts runs: rows may be exchanged within a run.
  [[nodiscard]] std::span<RowRef> rows() noexcept { return {rows_.data(), grouped_}; }
  /// [rows()] the times of the rows in the order that group() gave them, if they were noted: where rows of the window
  /// before had to be sorted. Empty otherwise, and when it is called again: they do not follow when rows are exchanged.
  [[nodiscard]] std::span<const std::int64_t> take_times() noexcept {
    return {times_.data(), std::exchange(timed_, 0)};
  }
  /// From a row of any child table to the next of the same, where the time rises: this much at least, in the unit of
  /// the rows. Says nothing where parts have different units.
  [[nodiscard]] std::uint64_t least_gap() const noexcept { return least_gap_; }
  [[nodiscard]] std::vector<TableRuns>& tables() noexcept { return tables_; }

  /// Rows of the parts in input order, without grouping, for writers that forward text.
  [[nodiscard]] std::span<const Part> parts() const noexcept { return parts_; }
  [[nodiscard]] const ParsedChunk& chunk_of(const RowRef& ref) const noexcept { return *parts_[ref.part()].chunk; }

  /// What became of the rows, counted by part for the ledger.
  struct Outcome {
    std::uint32_t written = 0;
    std::uint32_t rejected = 0;
    std::uint32_t merged = 0;
  };
  void note_written(const RowRef& ref) noexcept { ++outcomes_[ref.part()].written; }
  void note_merged(std::uint32_t part) noexcept { ++outcomes_[part].merged; }
  void note_rejected(const RowRef& ref) {
    ++outcomes_[ref.part()].rejected;
    rejected_.push_back(ref.row);
  }
  // For writers that do not group.
  void note_written(std::uint32_t part) noexcept { ++outcomes_[part].written; }
  void note_rejected(std::uint32_t part) noexcept { ++outcomes_[part].rejected; }
  [[nodiscard]] std::span<const Outcome> outcomes() const noexcept { return outcomes_; }
  /// The rows that were rejected one by one, in no order.
  [[nodiscard]] std::span<const data::Row* const> rejected() const noexcept { return rejected_; }

  /// Lets go of all rows and their chunks; keeps its own memory for the next round.
  void clear();

 private:
  // Looked up for every row: small.
  struct Child {
    std::int64_t last_time = INT64_MIN;
    std::uint32_t id = 0;
    std::uint32_t count : 31 = 0;
    std::uint32_t disordered : 1 = 0;
  };
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  std::uint32_t new_child(std::uint32_t id);
  void make_tables();
  void make_origins();

  const schema::Registry& registry_;
  const std::uint32_t lanes_;
  std::vector<Part> parts_;
  std::vector<Outcome> outcomes_;
  std::vector<const data::Row*> rejected_;
  std::size_t row_count_ = 0;
  double full_rows_ = 0;
  std::size_t bytes_ = 0;
  std::vector<Child> children_;          // in order of first appearance in this window
  std::vector<std::uint32_t> local_of_;  // [child id / lanes] index in children_, or kNone
  std::vector<std::shared_ptr<const schema::TableVersion>> versions_;  // the newest of each super table
  // [rows of all parts in their order] index in children_, or kNone for refused ones: rows are read where they lie,
  // which costs more than all else here, so they are asked once.
  std::vector<std::uint32_t> child_of_row_;
  bool notes_times_ = false;
  bool will_note_times_ = false;             // from the next window on
  std::vector<std::int64_t> times_of_rows_;  // as child_of_row_, if noted
  std::vector<std::int64_t> times_;          // as rows_, if noted; timed_ of them
  std::size_t timed_ = 0;
  std::uint64_t least_gap_ = UINT64_MAX;
  std::vector<RowOrigin> origins_;   // of the parts one after the other, by shape
  std::vector<std::uint32_t> next_;  // [children_] while they are sorted: where the next row goes
  std::vector<RowRef> rows_;         // only the first grouped_ ones mean something
  std::size_t grouped_ = 0;
  std::vector<TableRuns> tables_;
};

}  // namespace penstock::sink
