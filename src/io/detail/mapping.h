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

  /// Copies `bytes` bytes from `offset` on to `to`, without bringing pages in. What the file has lost meanwhile is
  /// zeros, and the mapping damaged, as if it had been read there.
  void read(std::size_t offset, char* to, std::size_t bytes) const noexcept;
  /// Where read_unseen() of this mapping takes its buffers. Before other threads know of the mapping.
  void set_buffers(std::shared_ptr<BufferPool> buffers) { buffers_ = std::move(buffers); }
  /// read() of the mapping that `part` lies in, kPadding more bytes may be read; nullptr when it lies in none that has
  /// buffers. Who calls holds the mapping.
  static std::shared_ptr<const char> read_unseen(std::string_view part);

  /// True when `address` lies in a mapping that is damaged; false when it lies in none.
  static bool damaged_at(const char* address) noexcept;

 private:
  std::shared_ptr<const RawFile> file_;
  std::shared_ptr<BufferPool> buffers_;
  char* begin_ = nullptr;
  std::size_t size_ = 0;
  std::size_t reserved_ = 0;
  std::size_t slot_ = 0;
};

}  // namespace penstock::io::detail
