#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "base/pages.h"

namespace penstock::data {

/// Memory for rows, in slabs of one size that go from one row set to the next: what the system gives has to be touched
/// page by page, which costs a row as much as a third of its parsing. It comes in huge pages where the system has them,
/// and stays with the process: never more than were in use at once. Any thread.
class SlabPool {
 public:
  static constexpr std::size_t kSlabBytes = std::size_t{32} << 10;

  /// The one of the process.
  static SlabPool& shared();

  SlabPool() = default;
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;

  /// A slab with any content, aligned to 4 KiB. Throws std::bad_alloc.
  char* take();
  void give_back(char* slab) noexcept;
  [[nodiscard]] std::size_t slabs_made() const;

 private:
  mutable std::mutex mutex_;
  std::vector<char*> free_;  // the last one given back is taken first: it may still be in a cache
  std::vector<Pages> blocks_;
  std::size_t made_ = 0;
  std::size_t unused_ = 0;  // bytes at the end of the last block
};

}  // namespace penstock::data
