#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "base/memory_budget.h"
#include "io/chunk.h"

namespace penstock::io::detail {

/// Bytes that chunks of a stream lie in: `capacity` of them and kPadding more, which may be read too.
struct Buffer {
  std::unique_ptr<char[]> data;
  std::size_t capacity = 0;
};

/// Lends buffers and takes them back when their last owner lets go; keeps a few, so that a long load does not allocate.
/// What is lent is charged to the budget. Any thread. The budget must outlive the pool and all that it lent.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  /// `budget` may be null.
  BufferPool(std::size_t buffer_bytes, MemoryBudget* budget) : buffer_bytes_(buffer_bytes), budget_(budget) {}

  /// A buffer of at least `capacity` bytes (and of the pool's size). Waits for the budget; null: a stop was asked for.
  std::shared_ptr<Buffer> take(std::size_t capacity, std::stop_token stop);
  /// As take(), past the budget: to make a buffer longer whose bytes are needed to go on at all.
  std::shared_ptr<Buffer> take_now(std::size_t capacity);
  [[nodiscard]] std::size_t buffer_bytes() const noexcept { return buffer_bytes_; }

 private:
  std::shared_ptr<Buffer> lend(std::size_t capacity);
  void give_back(Buffer* buffer) noexcept;

  const std::size_t buffer_bytes_;
  MemoryBudget* const budget_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Buffer>> idle_;  ///< guarded by mutex_
};

}  // namespace penstock::io::detail
