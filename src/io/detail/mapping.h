#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "io/detail/buffer_pool.h"
#include "io/detail/raw_file.h"

namespace penstock::io::detail {

/// A regular file in memory, readable kPadding bytes past its end.
/// A file that shrinks while it is mapped raises SIGBUS in whoever reads the lost pages. A handler for the whole
/// process, installed with the first mapping, puts a page of zeros in their place and marks the mapping damaged, so
/// that the reader comes to an end and can be told; a SIGBUS that comes from elsewhere goes to the handler that was
/// there before. text() and damaged() from any thread.
class Mapping {
 public:
  /// Maps `file` from its start, as long as it was when it was opened (at least one byte).
  /// Throws Error(Errc::io) when the system refuses (a file system without mapping, no address space).
  explicit Mapping(std::shared_ptr<const RawFile> file);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] std::string_view text() const noexcept { return {begin_, size_}; }
  /// True once a page was lost or the file has become shorter: bytes seen since the last look may be wrong.
  [[nodiscard]] bool damaged() const noexcept;
  /// Tells the system to read `bytes` bytes from `offset` on soon.
  void fetch(std::size_t offset, std::size_t bytes) const noexcept;
  /// Takes the pages that lie wholly within `part` out of this process's memory; they come again when touched.
  void drop(std::string_view part) const noexcept;

  /// Nobody will go over the text in the mapping but in a few places: read_unseen() reads it into buffers of this pool.
  /// Before other threads know of the mapping; nullptr: the mapping is used, as it is without this call.
  void leave_unseen(std::shared_ptr<BufferPool> buffers) { buffers_ = std::move(buffers); }
  /// A buffer with the bytes of `part`, when it lies in a mapping that leave_unseen() was called for; else nullptr.
  /// What the file has lost meanwhile is zeros, and the mapping damaged, as if it had been read there. Who calls holds
  /// the mapping.
  static std::shared_ptr<const Buffer> read_unseen(std::string_view part);

  /// True when `address` lies in a mapping that is damaged; false when it lies in none.
  static bool damaged_at(const char* address) noexcept;
  /// drop() of the mapping that `part` lies in; nothing when it lies in none, or in one that is left unseen: its pages
  /// are not there. Who calls holds the mapping.
  static void drop_mapped(std::string_view part) noexcept;

 private:
  std::shared_ptr<const RawFile> file_;
  std::shared_ptr<BufferPool> buffers_;
  char* begin_ = nullptr;
  std::size_t size_ = 0;
  std::size_t reserved_ = 0;
  std::size_t slot_ = 0;
};

}  // namespace penstock::io::detail
