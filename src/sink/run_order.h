#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "data/types.h"
#include "schema/growth.h"
#include "sink/window.h"
#include "wire/stmt2.h"

namespace penstock::sink {

/// Times in another unit; a coarser one is rounded down.
class UnitChange {
 public:
  UnitChange(data::Precision from, data::Precision to) noexcept
      : times_(std::max<std::int64_t>(data::units_per_second(to) / data::units_per_second(from), 1)),
        parts_(std::max<std::int64_t>(data::units_per_second(from) / data::units_per_second(to), 1)) {}

  /// Units of the source in one of the target; 1 where that is not coarser.
  [[nodiscard]] std::int64_t parts() const noexcept { return parts_; }

  /// Calls `use` with a function that changes one time: known when it is compiled, so that loops do not divide.
  template <class Use>
  decltype(auto) with(Use&& use) const {
    switch (parts_) {
      case 1'000: return use(rounded_down<1'000>);
      case 1'000'000: return use(rounded_down<1'000'000>);
      default: return use([times = times_](std::int64_t time) { return time * times; });
    }
  }
  [[nodiscard]] std::int64_t operator()(std::int64_t time) const noexcept {
    return with([time](auto change) { return change(time); });
  }

 private:
  template <std::int64_t kParts>
  static constexpr auto rounded_down = [](std::int64_t time) { return time / kParts - (time % kParts < 0 ? 1 : 0); };

  std::int64_t times_;
  std::int64_t parts_;
};

inline std::int64_t to_unit(std::int64_t time, data::Precision from, data::Precision to) noexcept {
  return from == to ? time : UnitChange(from, to)(time);
}

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
  /// `unit` of the times of all `rows`; `noted`: the times, if they are at hand, else empty. True if no two of them
  /// have the same time in the database's precision.
  bool sort(std::span<RowRef> rows, std::span<const std::int64_t> noted, data::Precision unit,
            const schema::TableVersion& version);
  /// Of the rows sorted last, in their new order and in the database's precision.
  [[nodiscard]] std::span<const std::int64_t> times() const noexcept { return times_; }

 private:
  // A time less the least one, and in the low bits the row's place among those that came: no two are equal.
  using Key = std::uint64_t;
  void merge_stretches();
  bool take_times(std::span<const RowRef> rows, const UnitChange& change);

  const data::Precision precision_;
  std::vector<std::int64_t> times_;
  std::vector<Key> keys_;
  std::vector<Key> spare_;
  std::vector<std::size_t> stretches_;  // where each rising stretch of times_ begins, and its end
  std::vector<RowRef> sorted_;
};

}  // namespace penstock::sink
