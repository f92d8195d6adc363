#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/memory_budget.h"
#include "io/chunk.h"
#include "io/cutter.h"
#include "io/input.h"

namespace penstock::io {

enum class Compression : std::uint8_t { none, zstd, gzip, lz4 };
/// "none", "zstd", "gzip", "lz4".
const char* to_string(Compression compression) noexcept;

struct ReadOptions {
  std::size_t chunk_bytes = std::size_t{1} << 20;
  std::size_t max_record = std::size_t{16} << 20;
  Cutting cutting;
  /// Off: plain files are read() into buffers too (files that somebody truncates meanwhile, network file systems).
  bool use_mmap = true;
  /// A pipe that pauses: its whole records are handed out when the oldest byte has waited this long.
  std::chrono::milliseconds linger{200};
  /// What buffers are charged to, from when they are filled until their last owner lets go. May be null. Mapped files
  /// are not charged, but for what for_one_pass() gives: their pages belong to the system, and those of a released
  /// chunk are dropped.
  MemoryBudget* budget = nullptr;
  /// Compressed data that gives more than this many bytes for each of its own is refused once more than 256 MiB came
  /// out (a "decompression bomb"); 0: any ratio.
  std::uint64_t max_ratio = 1000;
  /// Where start_at() tells how far it has come, in decompressed bytes, for a progress line. May be null; outlives the
  /// reader.
  std::atomic<std::uint64_t>* skipped = nullptr;
};

/// One source as a sequence of chunks of whole records. A plain file is mapped and chunks are views into it; anything
/// else is read and decompressed by a thread of the reader's, a few chunks ahead, into pooled buffers.
/// A byte order mark of UTF-8 at the start is left out (the first chunk has offset 3 then); everything else, also CR
/// and NUL, is in the chunks as it was read: their texts put together are the source.
///
/// One caller at a time, except for damaged(), sample(), source_bytes_read(), size() and compression(): any thread.
/// Chunks may outlive the reader; the budget must outlive both.
class Reader {
 public:
  /// Throws Error(Errc::io): cannot be opened, a directory, a device, a socket, a compression that is not supported.
  static std::unique_ptr<Reader> open(const Input& input, const ReadOptions& options);
  virtual ~Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// The first bytes of the data, decompressed, without the byte order mark and without consuming them: `most`, or what
  /// there is. Of a pipe: what came until it first paused for options.linger; waits for the first byte.
  /// Only before the first next(); the view is valid until the next call of peek(), start_at() or next().
  /// Data that is damaged further on gives what comes before. Throws Error(Errc::io) for UTF-16 and UTF-32.
  virtual std::string_view peek(std::size_t most, std::stop_token stop = {}) = 0;

  /// Copies up to `most` bytes from `offset` on; fewer at the end. False: the source cannot be read at will (a pipe,
  /// compressed data). Offsets are those of Chunk.
  virtual bool sample(std::uint64_t offset, std::size_t most, std::string& out) const = 0;

  /// For a caller that looks at the data before it knows how to cut it. Only before the first next().
  virtual void set_cutting(const Cutting& cutting) = 0;

  /// Starts at `offset` (decompressed bytes, the start of a record) instead of at 0: skips there. Compressed files
  /// whose parts tell how long they are (seek tables and frames of zstd, blocks of bgzip, frames of lz4) are not
  /// inflated but for the last of these parts; others are, from their start. Only before the first next(). Returns
  /// early when a stop is asked for. Throws Error(Errc::io) when the source ends before `offset`.
  virtual void start_at(std::uint64_t offset, std::stop_token stop = {}) = 0;

  /// The next chunk, all but `seq` and `source`. False at the end, or when a stop was asked for. First lets go of what
  /// `out` owned: the budget that it waits for might be held by that.
  /// Throws Error(Errc::io), once, after all whole records before it: damaged or incomplete compressed data, a file
  /// that was truncated, replaced or written over while it was read, UTF-16. It may come between the pieces of an
  /// oversized record. Then there is nothing more.
  virtual bool next(Chunk& out, std::stop_token stop) = 0;

  /// True when bytes that were handed out may not have been those of the source: the mapped file was truncated.
  [[nodiscard]] virtual bool damaged() const noexcept = 0;
  /// None for a pipe until the first peek() or next() has returned.
  [[nodiscard]] virtual Compression compression() const noexcept = 0;
  /// Bytes of the source, as it lies on disk, that have been read; for progress.
  [[nodiscard]] virtual std::uint64_t source_bytes_read() const noexcept = 0;
  /// Bytes of the source as it lies on disk; 0: unknown, or empty.
  [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;

 protected:
  Reader() = default;
};

/// To be asked after the last use of chunk.text: true when the file behind it was truncated meanwhile, so that some of
/// the bytes read may have been zeros instead of data and nothing made of them may be used. The reader's next() throws.
bool damaged(const Chunk& chunk) noexcept;

/// The chunk for whoever goes over its text once, in order. That of a mapped file is read into a buffer, which goes
/// from chunk to chunk and costs half of what it takes to bring the pages of the file into the process and to take them
/// out again; otherwise it is the chunk itself. Offsets are the same. What will be looked at again later (a record that
/// is rejected) is there in the chunk. damaged(chunk), to be asked afterwards, tells whether the text was the source's.
/// Once a chunk; any thread.
Chunk for_one_pass(Chunk& chunk);

}  // namespace penstock::io
