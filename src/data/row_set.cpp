#include "data/row_set.h"

#include <algorithm>

#include "data/slab_pool.h"

namespace penstock::data {
namespace {

// The pool's memory is never freed: with AddressSanitizer every slab comes from the heap, so that it sees who writes
// past a slab's end or reads rows that are gone.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPooled = false;
#else
constexpr bool kPooled = true;
#endif

bool of_pool(std::size_t size) { return kPooled && size == SlabPool::kSlabBytes; }

}  // namespace

RowSet::Slab::Slab(std::size_t least) : size(std::max(least, SlabPool::kSlabBytes)) {
  memory_ = of_pool(size) ? SlabPool::shared().take() : new char[size];
  begin = used = memory_;
}

RowSet::Slab::~Slab() {
  if (memory_ == nullptr) return;
  if (of_pool(size)) SlabPool::shared().give_back(memory_);
  else delete[] memory_;
}

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

RowSet::Slab RowSet::make_slab(std::size_t least) {
  Slab slab(least);
  charge(slab.size);
  return slab;
}

void RowSet::new_row_slab(std::size_t bytes) {
  seal_row_slab();
  row_slabs_.push_back(make_slab(bytes));
  row_at_ = row_slabs_.back().begin;
  row_end_ = row_at_ + row_slabs_.back().size;
}

// Parsers ask for as much as a text may have at most: when that is much, several share a slab.
void RowSet::new_text_slab(std::size_t bytes) {
  constexpr std::size_t kShared = std::size_t{512} << 10;
  const auto least = bytes + sizeof(std::uint32_t);
  text_slabs_.push_back(
      make_slab(least <= SlabPool::kSlabBytes / 4 ? least : std::max(least, std::min(bytes_, kShared))));
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
