#include "sink/run_order.h"

#include <algorithm>
#include <bit>

namespace penstock::sink {

using wire::CellState;

Cell cell_of(const RowRef& ref, std::size_t column) noexcept {
  const auto slot = ref.shape().slot_of(column);
  if (slot == schema::kNoSlot) return {CellState::not_given, 0};
  if (ref.shape().nullable && data::Shape::is_null(*ref.row, ref.shape().columns.size(), slot))
    return {CellState::null, 0};
  return {CellState::value, ref.row->slots()[slot]};
}

int compare_composite(const RowRef& a, const RowRef& b, const schema::TableVersion& version) noexcept {
  const auto column = version.composite_key;
  if (column == schema::kNoSlot) return 0;
  const Cell left = cell_of(a, column);
  const Cell right = cell_of(b, column);
  if (left.state != CellState::value || right.state != CellState::value)
    return static_cast<int>(left.state) - static_cast<int>(right.state);
  if (data::is_variable(version.columns[column].type))
    return data::text_of(left.slot).compare(data::text_of(right.slot));
  return left.slot < right.slot ? -1 : left.slot > right.slot ? 1 : 0;
}

namespace {

using Key = std::uint64_t;

// `keys` begins with `kept` sorted ones and has room for `late` behind them. A branch would be mispredicted for every
// late row.
void merge_in(Key* keys, std::size_t kept, const Key* late, std::size_t late_count) noexcept {
  while (kept > 0 && late_count > 0) {
    const Key left = keys[kept - 1];
    const Key right = late[late_count - 1];
    const bool second = right > left;
    keys[kept + late_count - 1] = second ? right : left;
    kept -= !second;
    late_count -= second;
  }
  std::copy(late, late + late_count, keys);
}

void insert_each(Key* keys, std::size_t count) noexcept {
  for (std::size_t i = 1; i < count; ++i) {
    const Key key = keys[i];
    std::size_t at = i;
    for (; at > 0 && keys[at - 1] > key; --at) keys[at] = keys[at - 1];
    keys[at] = key;
  }
}

// What comes later than a row behind it in the sequence is taken out, sorted in the same way, and merged in again. A
// row that is far too early in the file makes all behind it late, which takes a level more; rows without any order use
// the levels up. `spare` has room for as many.
void sort_late(Key* keys, std::size_t count, Key* spare, int levels) noexcept {
  constexpr std::size_t kFew = 12;
  if (count <= kFew) return insert_each(keys, count);
  if (levels == 0) return std::sort(keys, keys + count);
  std::size_t kept = 0;
  std::size_t late = 0;
  Key top = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Key key = keys[i];
    const bool is_late = key < top;
    keys[kept] = key;
    spare[late] = key;
    kept += !is_late;
    late += is_late;
    top = is_late ? top : key;
  }
  if (late == 0) return;
  sort_late(spare, late, keys + kept, levels - 1);
  merge_in(keys, kept, spare, late);
}

}  // namespace

bool RunOrder::sort(std::span<RowRef> rows, std::span<const std::int64_t> noted, data::Precision unit,
                    const schema::TableVersion& version) {
  const UnitChange change(unit, precision_);
  const std::size_t count = rows.size();
  times_.resize(count);
  if (count == 0) return true;
  if (version.composite_key != schema::kNoSlot) {
    std::stable_sort(rows.begin(), rows.end(), [&](const RowRef& a, const RowRef& b) {
      const auto left = change(a.row->time);
      const auto right = change(b.row->time);
      return left != right ? left < right : compare_composite(a, b, version) < 0;
    });
    return take_times(rows, change);
  }
  std::int64_t least = INT64_MAX;
  std::int64_t most = INT64_MIN;
  std::size_t falls = 0;
  std::size_t stays = 0;
  change.with([&](auto to_database) {
    std::int64_t last = INT64_MIN;
    const auto take = [&](std::size_t i, std::int64_t own) {
      const std::int64_t time = to_database(own);
      times_[i] = time;
      least = std::min(least, time);
      most = std::max(most, time);
      falls += time < last;
      stays += time == last;
      last = time;
    };
    if (!noted.empty()) {
      for (std::size_t i = 0; i < count; ++i) take(i, noted[i]);
      return;
    }
    // The rows of a run lie far apart.
    constexpr std::size_t kAhead = 32;
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) __builtin_prefetch(rows[i + kAhead].row);
      take(i, rows[i].row->time);
    }
  });
  if (falls == 0) return stays == 0;
  if (falls == count - 1) {
    std::reverse(rows.begin(), rows.end());
    std::reverse(times_.begin(), times_.end());
    return true;
  }
  const auto bits = static_cast<int>(std::bit_width(count - 1));
  if ((static_cast<Key>(most) - static_cast<Key>(least)) >> (64 - bits) != 0) {
    // Years in nanoseconds, or times in another unit among them.
    std::stable_sort(rows.begin(), rows.end(),
                     [&](const RowRef& a, const RowRef& b) { return change(a.row->time) < change(b.row->time); });
    return take_times(rows, change);
  }
  keys_.resize(count);
  spare_.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    keys_[i] = (static_cast<Key>(times_[i]) - static_cast<Key>(least)) << bits | i;
  constexpr std::size_t kLongStretch = 16;
  constexpr int kMostLevels = 6;
  if (count / (falls + 2) >= kLongStretch) merge_stretches();
  else sort_late(keys_.data(), count, spare_.data(), kMostLevels);

  sorted_.assign(rows.begin(), rows.end());
  const Key place = (Key{1} << bits) - 1;
  bool distinct = true;
  Key last = ~Key{0};  // more than the bits leave
  for (std::size_t i = 0; i < count; ++i) {
    const Key above = keys_[i] >> bits;
    distinct &= above != last;
    last = above;
    times_[i] = static_cast<std::int64_t>(above + static_cast<Key>(least));
    rows[i] = sorted_[keys_[i] & place];
  }
  return distinct;
}

bool RunOrder::take_times(std::span<const RowRef> rows, const UnitChange& change) {
  std::transform(rows.begin(), rows.end(), times_.begin(), [&](const RowRef& ref) { return change(ref.row->time); });
  return std::adjacent_find(times_.begin(), times_.end()) == times_.end();
}

// Neighbours in pairs, round by round.
void RunOrder::merge_stretches() {
  stretches_.assign(1, 0);
  for (std::size_t i = 1; i < keys_.size(); ++i)
    if (times_[i] < times_[i - 1]) stretches_.push_back(i);
  stretches_.push_back(keys_.size());
  while (stretches_.size() > 2) {
    std::size_t kept = 0;
    const std::size_t count = stretches_.size() - 1;
    for (std::size_t s = 0; s < count; s += 2) {
      const Key* const begin = keys_.data() + stretches_[s];
      const Key* const middle = keys_.data() + stretches_[s + 1];
      const Key* const end = s + 2 <= count ? keys_.data() + stretches_[s + 2] : middle;
      // They mostly take turns, or follow each other: a branch is predicted well.
      std::merge(begin, middle, middle, end, spare_.data() + stretches_[s]);
      stretches_[kept++] = stretches_[s];
    }
    stretches_[kept] = keys_.size();
    stretches_.resize(kept + 1);
    std::swap(keys_, spare_);
  }
}

}  // namespace penstock::sink
