#include "sink/run_order.h"

#include <algorithm>

namespace penstock::sink {

using wire::CellState;

std::int64_t to_unit(std::int64_t time, data::Precision from, data::Precision to) noexcept {
  if (from == to) return time;
  const std::int64_t have = data::units_per_second(from);
  const std::int64_t want = data::units_per_second(to);
  if (want > have) return time * (want / have);
  const std::int64_t factor = have / want;
  return time / factor - (time % factor < 0 ? 1 : 0);
}

Cell cell_of(const RowRef& ref, std::size_t column) noexcept {
  const auto slot = ref.shape->slot_of(column);
  if (slot == schema::kNoSlot) return {CellState::not_given, 0};
  if (ref.shape->nullable && data::Shape::is_null(*ref.row, ref.shape->columns.size(), slot))
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

void RunOrder::sort(std::span<RowRef> rows, data::Precision unit, const schema::TableVersion& version) {
  if (rows.size() < 2) return;
  if (version.composite_key != schema::kNoSlot) {
    std::stable_sort(rows.begin(), rows.end(), [&](const RowRef& a, const RowRef& b) {
      const auto left = to_unit(a.row->time, unit, precision_);
      const auto right = to_unit(b.row->time, unit, precision_);
      return left != right ? left < right : compare_composite(a, b, version) < 0;
    });
    return;
  }
  // The rows of a run lie far apart.
  constexpr std::size_t kAhead = 12;
  keys_.resize(rows.size());
  stretches_.assign(1, 0);
  bool falling = true;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + kAhead < rows.size()) __builtin_prefetch(rows[i + kAhead].row);
    keys_[i] = {to_unit(rows[i].row->time, unit, precision_), static_cast<std::uint32_t>(i)};
    if (i == 0) continue;
    falling &= keys_[i].time < keys_[i - 1].time;
    if (keys_[i].time < keys_[i - 1].time) stretches_.push_back(static_cast<std::uint32_t>(i));
  }
  if (stretches_.size() == 1) return;
  if (falling) {
    std::reverse(rows.begin(), rows.end());
    return;
  }
  stretches_.push_back(static_cast<std::uint32_t>(rows.size()));
  constexpr std::size_t kLongStretch = 16;
  if (rows.size() / stretches_.size() >= kLongStretch) merge_stretches();
  else merge_late();
  put_in_order(rows);
}

// Neighbours in pairs, round by round; the left one first among equals, so the order of equal keys stays.
void RunOrder::merge_stretches() {
  spare_.resize(keys_.size());
  const auto earlier = [](const Key& a, const Key& b) { return a.time < b.time; };
  while (stretches_.size() > 2) {
    std::size_t kept = 0;
    const std::size_t count = stretches_.size() - 1;
    for (std::size_t s = 0; s < count; s += 2) {
      const auto begin = keys_.begin() + stretches_[s];
      const auto middle = keys_.begin() + stretches_[s + 1];
      const auto end = s + 2 <= count ? keys_.begin() + stretches_[s + 2] : middle;
      std::merge(begin, middle, middle, end, spare_.begin() + stretches_[s], earlier);
      stretches_[kept++] = stretches_[s];
    }
    stretches_[kept] = static_cast<std::uint32_t>(keys_.size());
    stretches_.resize(kept + 1);
    std::swap(keys_, spare_);
  }
}

// What comes later than a row behind it would hold up the sequence is taken out, sorted, and merged in again.
void RunOrder::merge_late() {
  late_.clear();
  std::size_t kept = 0;
  for (const Key& key : keys_) {
    // A row that is far too early in the file makes all behind it late: then the one that is out of place is the last
    // of the kept ones, as soon as two in a row say so.
    if (kept > 0 && key.time < keys_[kept - 1].time) {
      if (!late_.empty() && late_.back().at + 1 == key.at && late_.back().time <= key.time &&
          (kept == 1 || keys_[kept - 2].time <= late_.back().time)) {
        const Key out_of_place = keys_[kept - 1];
        keys_[kept - 1] = late_.back();
        late_.back() = out_of_place;
        keys_[kept++] = key;
      } else {
        late_.push_back(key);
      }
    } else {
      keys_[kept++] = key;
    }
  }
  std::sort(late_.begin(), late_.end());
  spare_.resize(keys_.size());
  std::merge(keys_.begin(), keys_.begin() + static_cast<std::ptrdiff_t>(kept), late_.begin(), late_.end(),
             spare_.begin());
  std::swap(keys_, spare_);
}

void RunOrder::put_in_order(std::span<RowRef> rows) {
  sorted_.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) sorted_[i] = rows[keys_[i].at];
  std::copy(sorted_.begin(), sorted_.end(), rows.begin());
}

}  // namespace penstock::sink
