#include "io/detail/buffer_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock::io::detail {
namespace {

constexpr std::size_t kKept = 4;

}  // namespace

std::shared_ptr<Buffer> BufferPool::take(std::size_t capacity, std::stop_token stop) {
  capacity = std::max(capacity, buffer_bytes_);
  if (budget_ != nullptr && !budget_->acquire(capacity, std::move(stop))) return nullptr;
  return lend(capacity);
}

std::shared_ptr<Buffer> BufferPool::take_now(std::size_t capacity) {
  capacity = std::max(capacity, buffer_bytes_);
  if (budget_ != nullptr) budget_->charge(capacity);
  return lend(capacity);
}

std::shared_ptr<Buffer> BufferPool::lend(std::size_t capacity) {
  std::unique_ptr<Buffer> buffer;
  if (capacity == buffer_bytes_) {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      buffer = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (buffer == nullptr) {
    buffer = std::make_unique<Buffer>();
    buffer->data = std::make_unique_for_overwrite<char[]>(capacity + kPadding);
    buffer->capacity = capacity;
    std::memset(buffer->data.get() + capacity, 0, kPadding);
  }
  return {buffer.release(), [pool = shared_from_this()](Buffer* back) { pool->give_back(back); }};
}

void BufferPool::give_back(Buffer* buffer) noexcept {
  std::unique_ptr<Buffer> owned(buffer);
  const std::size_t capacity = owned->capacity;
  if (capacity == buffer_bytes_) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kKept) {
      if (idle_.capacity() < kKept) idle_.reserve(kKept);
      idle_.push_back(std::move(owned));
    }
  }
  owned.reset();
  if (budget_ != nullptr) budget_->release(capacity);
}

}  // namespace penstock::io::detail
