#pragma once

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "io/input.h"

namespace penstock::io::detail {

/// How long a read may wait.
struct Wait {
  std::stop_token stop;
  std::optional<std::chrono::steady_clock::time_point> deadline;
};

enum class ReadState : std::uint8_t {
  data,     ///< at least one byte
  end,      ///< nothing comes any more
  idle,     ///< nothing came until the deadline
  stopped,  ///< a stop was asked for
};

struct ReadResult {
  ReadState state = ReadState::end;
  std::size_t bytes = 0;
};

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// An opened source as it lies on disk or comes from a pipe. A regular file is read up to the size that it had when it
/// was opened; one that the kernel makes up (/proc, /sys), whose size says nothing, to its end. read() from one thread;
/// the rest from any.
class RawFile {
 public:
  /// Throws Error(Errc::io): cannot be opened, a directory, a socket, a device.
  explicit RawFile(const Input& input);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool regular() const noexcept { return regular_; }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// Bytes to read; 0 when unknown.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// Bytes read so far.
  [[nodiscard]] std::uint64_t consumed() const noexcept { return consumed_.load(std::memory_order_relaxed); }

  /// Reads what there is, at most `most` bytes. Throws Error(Errc::io).
  ReadResult read(char* to, std::size_t most, const Wait& wait);
  /// The next read() begins at `at` of a regular file, which consumed() is then. False: cannot (standard input).
  bool seek(std::uint64_t at) noexcept;
  /// Reads at `offset` of a regular file without moving; fewer bytes only at its end. False: cannot.
  bool read_at(std::uint64_t offset, char* to, std::size_t most, std::size_t& got) const;

  /// True when the file has become shorter than it was when it was opened. One system call.
  [[nodiscard]] bool shrunk() const noexcept;
  /// Throws Error(Errc::io) when the file has shrunk, was replaced or was written over since it was opened. That it
  /// grew, or was removed, is fine: what was there has been read.
  void check_unchanged() const;
  [[noreturn]] void throw_truncated() const;

 private:
  bool wait_readable(const Wait& wait, ReadState& why_not);

  std::string name_;
  std::string path_;  ///< empty: standard input
  Descriptor owned_;
  int fd_ = -1;
  bool regular_ = false;
  bool made_up_ = false;  ///< by the kernel, while it is read
  std::uint64_t size_ = 0;
  struct stat opened_ {};
  Descriptor wake_;  ///< eventfd that ends a poll() when a stop is asked for
  std::atomic<std::uint64_t> consumed_{0};
};

}  // namespace penstock::io::detail
