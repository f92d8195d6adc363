#include "sink/window.h"

#include <algorithm>
#include <unordered_map>

namespace penstock::sink {

// The one that local_of_ does not have yet.
std::uint32_t Window::new_child(std::uint32_t id) {
  const std::size_t at = id / lanes_;
  if (at >= local_of_.size()) local_of_.resize(std::max(at + 1, local_of_.size() * 2), kNone);
  const auto local = static_cast<std::uint32_t>(children_.size());
  local_of_[at] = local;
  children_.emplace_back().id = id;
  return local;
}

namespace {

// Rows that are asked for before their turn: another thread wrote them, some of them long ago.
constexpr std::size_t kAhead = 32;

// Share of their tables' columns that the rows of a chunk give in the mean.
double fullness(const ParsedChunk& chunk) {
  constexpr double kLeast = 1.0 / 16;  // very wide tables are not filled by joining
  double rows = 0;
  double full = 0;
  for (const auto& shape : chunk.rows.shapes()) {
    if (shape.resolved == nullptr) continue;
    const auto version = std::find_if(chunk.versions.begin(), chunk.versions.end(),
                                      [&](const auto& known) { return known->ref == shape.table; });
    if (version == chunk.versions.end() || (*version)->columns.size() < 2) continue;
    const auto columns = static_cast<double>((*version)->columns.size() - 1);
    rows += shape.rows;
    full += shape.rows * std::clamp(static_cast<double>(shape.fields.size()) / columns, kLeast, 1.0);
  }
  return rows > 0 ? full / rows : 1;
}

}  // namespace

void Window::add(Part part) {
  const auto before = row_count_;
  const std::size_t count = part.rows.size();
  const auto first = child_of_row_.size();
  child_of_row_.resize(first + count);
  std::uint32_t* const child_of_row = child_of_row_.data() + first;
  if (notes_times_) times_of_rows_.resize(first + count);
  std::int64_t* const times = notes_times_ ? times_of_rows_.data() + first : nullptr;
  std::uint64_t gap_below = least_gap_ - 1;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + kAhead < count) __builtin_prefetch(part.rows[i + kAhead]);
    const data::Row& row = *part.rows[i];
    if (row.shape == data::kRefusedShape) [[unlikely]] {
      child_of_row[i] = kNone;
      continue;
    }
    const std::size_t at = row.child / lanes_;
    std::uint32_t local = at < local_of_.size() ? local_of_[at] : kNone;
    if (local == kNone) [[unlikely]]
      local = new_child(row.child);
    child_of_row[i] = local;
    auto& child = children_[local];
    const auto time = row.time;
    if (times != nullptr) times[i] = time;
    // Of a time that does not rise this is huge. One that comes first may look close to the first of all times.
    gap_below = std::min(gap_below, static_cast<std::uint64_t>(time) - static_cast<std::uint64_t>(child.last_time) - 1);
    // The first row of all times is no disorder.
    child.disordered |= static_cast<unsigned>(time <= child.last_time) & static_cast<unsigned>(child.count > 0);
    child.last_time = time;
    ++child.count;
    ++row_count_;
  }
  least_gap_ = gap_below + 1;
  for (const auto& version : part.chunk->versions) {
    const auto known =
        std::find_if(versions_.begin(), versions_.end(), [&](const auto& v) { return v->ref == version->ref; });
    if (known == versions_.end()) versions_.push_back(version);
    else if ((*known)->number < version->number) *known = version;
  }
  full_rows_ += static_cast<double>(row_count_ - before) * fullness(*part.chunk);
  bytes_ += part.chunk->rows.bytes() / lanes_;
  parts_.push_back(std::move(part));
  outcomes_.emplace_back();
}

// Children of one super table stand together, tables and children in order of first appearance.
void Window::make_tables() {
  std::vector<std::vector<std::uint32_t>> members(versions_.size());
  for (std::size_t i = 0; i < children_.size(); ++i) {
    const auto* const ref = registry_.child(children_[i].id).table;
    const auto found = std::find_if(versions_.begin(), versions_.end(), [&](const auto& v) { return v->ref == ref; });
    members[static_cast<std::size_t>(found - versions_.begin())].push_back(static_cast<std::uint32_t>(i));
  }
  next_.resize(children_.size());
  std::uint32_t at = 0;
  std::uint32_t to_sort = 0;
  for (std::size_t t = 0; t < versions_.size(); ++t) {
    if (members[t].empty()) continue;
    auto& table = tables_.emplace_back();
    table.version = versions_[t];
    table.runs.reserve(members[t].size());
    for (const auto i : members[t]) {
      const auto& child = children_[i];
      const std::uint32_t count = child.count;
      table.runs.push_back({&registry_.child(child.id), at, at + count, count, child.disordered == 0});
      next_[i] = at;
      at += count;
      if (child.disordered) to_sort += count;
    }
  }
  // Of small rows several come with one cache line, and the notes would take as much memory as they.
  constexpr std::uint32_t kWorthwhile = 8;
  constexpr std::size_t kLargeRow = 64;
  will_note_times_ = to_sort > at / kWorthwhile && bytes_ >= kLargeRow * at;
}

void Window::make_origins() {
  std::size_t count = 0;
  for (const auto& part : parts_) count += part.chunk->rows.shapes().size();
  origins_.reserve(count);
  // Null for super tables whose rows have several shapes.
  std::unordered_map<const data::SuperTableRef*, const data::ResolvedShape*> only;
  for (std::uint32_t p = 0; p < parts_.size(); ++p) {
    for (const auto& shape : parts_[p].chunk->rows.shapes()) {
      origins_.push_back({shape.resolved, p});
      if (shape.resolved == nullptr) continue;
      const auto [known, fresh] = only.try_emplace(shape.table, shape.resolved);
      if (!fresh && known->second != shape.resolved) known->second = nullptr;
    }
  }
  for (auto& table : tables_) {
    const auto found = only.find(table.version->ref);
    if (found != only.end()) table.shape = found->second;
  }
}

void Window::group() {
  make_tables();
  make_origins();
  grouped_ = row_count_;
  if (rows_.size() < grouped_) rows_.resize(grouped_);
  timed_ = notes_times_ ? grouped_ : 0;
  if (times_.size() < timed_) times_.resize(timed_);
  const std::uint32_t* const child_of_row = child_of_row_.data();
  const std::int64_t* const time_of_row = times_of_rows_.data();
  RowRef* const rows = rows_.data();
  std::int64_t* const times = timed_ > 0 ? times_.data() : nullptr;
  std::uint32_t* const next = next_.data();
  const RowOrigin* origins = origins_.data();
  std::size_t first = 0;
  for (const auto& part : parts_) {
    const std::size_t count = part.rows.size();
    const auto scatter = [&](auto&& origin_of) {
      for (std::size_t i = 0; i < count; ++i) {
        const auto child = child_of_row[first + i];
        if (child == kNone) [[unlikely]]
          continue;
        const auto at = next[child]++;
        rows[at] = {part.rows[i], origin_of(i)};
        if (times != nullptr) times[at] = time_of_row[first + i];
      }
    };
    const auto shapes = part.chunk->rows.shapes().size();
    if (shapes == 1) {  // rows need not be looked at again
      scatter([=](std::size_t) { return origins; });
    } else {
      scatter([&](std::size_t i) {
        if (i + kAhead < count) __builtin_prefetch(part.rows[i + kAhead]);
        return origins + part.rows[i]->shape;
      });
    }
    first += count;
    origins += shapes;
  }
}

void Window::clear() {
  for (const auto& child : children_) local_of_[child.id / lanes_] = kNone;
  children_.clear();
  child_of_row_.clear();
  times_of_rows_.clear();
  timed_ = 0;
  notes_times_ = will_note_times_;
  least_gap_ = UINT64_MAX;
  origins_.clear();
  grouped_ = 0;
  tables_.clear();
  versions_.clear();
  parts_.clear();
  outcomes_.clear();
  rejected_.clear();
  row_count_ = 0;
  full_rows_ = 0;
  bytes_ = 0;
}

}  // namespace penstock::sink
