#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "io/detail/raw_file.h"
#include "io/reader.h"

namespace penstock::io::detail {

/// The undecoded bytes of a source, buffered. One thread.
class RawInput {
 public:
  explicit RawInput(RawFile& file);

  [[nodiscard]] std::string_view available() const noexcept { return {buffer_.data() + at_, end_ - at_}; }
  void consume(std::size_t bytes) noexcept { at_ += bytes; }
  /// Reads more behind what is available; makes room if need be.
  ReadResult refill(const Wait& wait);
  /// Goes on at byte `at` of a regular file. False: the file cannot be read at will.
  bool restart(std::uint64_t at);
  /// Reads straight to `to`; only while nothing is available.
  ReadResult read(char* to, std::size_t most, const Wait& wait) { return file_.read(to, most, wait); }
  /// Bytes of the source in front of available().
  [[nodiscard]] std::uint64_t position() const noexcept { return file_.consumed() - (end_ - at_); }
  [[nodiscard]] const RawFile& file() const noexcept { return file_; }

 private:
  RawFile& file_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
};

/// The decoded bytes of a source. One thread.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Gives at least one byte and at most `most`, or says why not. Throws Error(Errc::io) where the data is damaged or
  /// breaks off, after everything before the damage has been given.
  virtual ReadResult read(char* to, std::size_t most, const Wait& wait) = 0;
};

/// What the first bytes say (6 are enough). Throws Error(Errc::io) for compressions that must be undone elsewhere.
Compression guess_compression(std::string_view first, const std::string& name);

/// `input` must outlive the result. Data that gives more than `max_ratio` bytes for each of its own is refused once
/// more than 256 MiB came out; 0: any ratio.
std::unique_ptr<ByteSource> make_source(Compression compression, RawInput& input, std::uint64_t max_ratio = 0);

}  // namespace penstock::io::detail
