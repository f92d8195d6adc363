#include "sink/window.h"

#include <algorithm>

namespace penstock::sink {

std::uint32_t Window::local_child(std::uint32_t id) {
  const std::size_t at = id / lanes_;
  if (at >= local_of_.size()) [[unlikely]]
    local_of_.resize(std::max(at + 1, local_of_.size() * 2), kNone);
  std::uint32_t local = local_of_[at];
  if (local == kNone) [[unlikely]] {
    local = static_cast<std::uint32_t>(children_.size());
    local_of_[at] = local;
    auto& child = children_.emplace_back();
    child.id = id;
  }
  return local;
}

namespace {

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
  for (const data::Row* row : part.rows) {
    if (row->shape == data::kRefusedShape) [[unlikely]]
      continue;
    auto& child = children_[local_child(row->child)];
    // The first row of all times is no disorder.
    if (row->time <= child.last_time && child.count > 0) child.disordered = 1;
    child.last_time = row->time;
    ++child.count;
    ++row_count_;
  }
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

void Window::group() {
  // Children of one super table stand together, tables and children in order of first appearance.
  std::vector<std::vector<std::uint32_t>> members(versions_.size());
  for (std::size_t i = 0; i < children_.size(); ++i) {
    const auto* const ref = registry_.child(children_[i].id).table;
    const auto found = std::find_if(versions_.begin(), versions_.end(), [&](const auto& v) { return v->ref == ref; });
    members[static_cast<std::size_t>(found - versions_.begin())].push_back(static_cast<std::uint32_t>(i));
  }
  std::uint32_t at = 0;
  for (std::size_t t = 0; t < versions_.size(); ++t) {
    if (members[t].empty()) continue;
    auto& table = tables_.emplace_back();
    table.version = versions_[t];
    table.runs.reserve(members[t].size());
    for (const auto i : members[t]) {
      auto& child = children_[i];
      const std::uint32_t count = child.count;
      table.runs.push_back({&registry_.child(child.id), at, at + count, count, child.disordered == 0});
      child.count = at & 0x7FFFFFFF;
      at += count;
    }
  }
  rows_.resize(row_count_);
  for (std::uint32_t p = 0; p < parts_.size(); ++p) {
    const auto& shapes = parts_[p].chunk->rows.shapes();
    for (const data::Row* row : parts_[p].rows) {
      if (row->shape == data::kRefusedShape) [[unlikely]]
        continue;
      auto& child = children_[local_of_[row->child / lanes_]];
      rows_[child.count] = {row, shapes[row->shape].resolved, p};
      ++child.count;
    }
  }
}

void Window::clear() {
  for (const auto& child : children_) local_of_[child.id / lanes_] = kNone;
  children_.clear();
  rows_.clear();
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
