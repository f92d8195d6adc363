#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/types.h"
#include "schema/growth.h"
#include "sink/window.h"
#include "wire/stmt2.h"

namespace penstock::sink {

/// A time in another unit; a coarser one is rounded down.
std::int64_t to_unit(std::int64_t time, data::Precision from, data::Precision to) noexcept;

/// What a row says about a column.
struct Cell {
  wire::CellState state = wire::CellState::not_given;
  data::Slot slot = 0;
};
Cell cell_of(const RowRef& ref, std::size_t column) noexcept;

/// Three-way comparison of what two rows have in the second key column; 0 for tables without one.
int compare_composite(const RowRef& a, const RowRef& b, const schema::TableVersion& version) noexcept;

/// Sorts rows of a child table by key: the time in the database's precision, then the second key column. Rows of equal
/// keys keep their order. Nearly free for rows that fall strictly, cheap for a few rising stretches (series by series,
/// one field a line) and for rows of which some come late. Keeps its memory; one thread.
class RunOrder {
 public:
  explicit RunOrder(data::Precision precision) : precision_(precision) {}
  /// `unit` of the times of all `rows`.
  void sort(std::span<RowRef> rows, data::Precision unit, const schema::TableVersion& version);

 private:
  struct Key {
    std::int64_t time;
    std::uint32_t at;  // in the rows as they came
    bool operator<(const Key& other) const noexcept { return time != other.time ? time < other.time : at < other.at; }
  };
  void merge_stretches();
  void merge_late();
  void put_in_order(std::span<RowRef> rows);

  const data::Precision precision_;
  std::vector<Key> keys_;
  std::vector<Key> spare_;
  std::vector<Key> late_;
  std::vector<std::uint32_t> stretches_;  // where each rising stretch of keys_ begins, and its end
  std::vector<RowRef> sorted_;
};

}  // namespace penstock::sink
