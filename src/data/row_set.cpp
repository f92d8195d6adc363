#include "data/row_set.h"

#include <algorithm>

namespace penstock::data {
namespace {
// Grows from small (a chunk of a tiny file) to large (few allocations for a full chunk).
constexpr std::size_t kFirstSlab = 64 * 1024;
constexpr std::size_t kLargestSlab = 512 * 1024;
}  // namespace

RowSet::~RowSet() {
  if (budget_ != nullptr) budget_->release(bytes_);
}

std::uint32_t RowSet::add_shape(SuperTableRef* table, std::span<const Field> fields, bool nullable) {
  Shape shape;
  shape.table = table;
  shape.fields.assign(fields.begin(), fields.end());
  shape.max_length.assign(fields.size(), 0);
  shape.nullable = nullable;
  shapes_.push_back(std::move(shape));
  return static_cast<std::uint32_t>(shapes_.size() - 1);
}

RowSet::Slab RowSet::make_slab(std::size_t bytes) {
  const std::size_t size = std::max(bytes, std::clamp(bytes_ / 2, kFirstSlab, kLargestSlab));
  Slab slab;
  slab.memory = std::make_unique_for_overwrite<char[]>(size);
  slab.size = size;
  slab.begin = slab.memory.get();
  slab.used = slab.begin;
  bytes_ += size;
  if (budget_ != nullptr) budget_->charge(size);
  return slab;
}

void RowSet::new_row_slab(std::size_t bytes) {
  seal_row_slab();
  row_slabs_.push_back(make_slab(bytes));
  row_at_ = row_slabs_.back().begin;
  row_end_ = row_at_ + row_slabs_.back().size;
}

void RowSet::new_text_slab(std::size_t bytes) {
  text_slabs_.push_back(make_slab(bytes + sizeof(std::uint32_t)));
  text_at_ = text_slabs_.back().begin;
  text_end_ = text_at_ + text_slabs_.back().size;
}

// Finds the longest values of the touched shapes among the rows that are still there.
void RowSet::measure_again(std::span<const char> touched) {
  bool any = false;
  for (std::size_t i = 0; i < touched.size(); ++i) {
    if (touched[i] == 0) continue;
    auto& longest = shapes_[i].max_length;
    any = any || std::any_of(longest.begin(), longest.end(), [](std::uint32_t length) { return length > 0; });
    std::fill(longest.begin(), longest.end(), 0);
  }
  if (!any) return;
  for_each_row([&](Row& row) {
    if (row.shape == kRefusedShape || row.shape >= touched.size() || touched[row.shape] == 0) return;
    Shape& shape = shapes_[row.shape];
    for (std::size_t f = 0; f < shape.fields.size(); ++f) {
      if (!is_variable(shape.fields[f].type)) continue;
      if (shape.nullable && Shape::is_null(row, shape.fields.size(), f)) continue;
      if (row.slots()[f] == 0) continue;
      shape.max_length[f] = std::max(shape.max_length[f], static_cast<std::uint32_t>(text_of(row.slots()[f]).size()));
    }
  });
}

std::string_view RowSet::add_name(std::string_view name) { return text_of(add_text(name)); }

}  // namespace penstock::data
