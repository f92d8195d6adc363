#include "data/slab_pool.h"

namespace penstock::data {
namespace {
constexpr std::size_t kBlockBytes = std::size_t{4} << 20;
static_assert(kBlockBytes % SlabPool::kSlabBytes == 0);
}  // namespace

SlabPool& SlabPool::shared() {
  // Never destroyed: row sets may outlive the end of main().
  static SlabPool& pool = *new SlabPool;
  return pool;
}

char* SlabPool::take() {
  const std::lock_guard lock(mutex_);
  if (!free_.empty()) {
    char* const slab = free_.back();
    free_.pop_back();
    return slab;
  }
  if (unused_ == 0) {
    blocks_.emplace_back(kBlockBytes);
    unused_ = kBlockBytes;
  }
  // give_back() must not have to ask for memory.
  free_.reserve(made_ + kBlockBytes / kSlabBytes);
  char* const slab = blocks_.back().data() + (kBlockBytes - unused_);
  unused_ -= kSlabBytes;
  ++made_;
  return slab;
}

void SlabPool::give_back(char* slab) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(slab);
}

std::size_t SlabPool::slabs_made() const {
  const std::lock_guard lock(mutex_);
  return made_;
}

}  // namespace penstock::data
