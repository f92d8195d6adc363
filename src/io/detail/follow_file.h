#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "io/chunk.h"
#include "io/cutter.h"
#include "io/detail/buffer_pool.h"
#include "io/detail/byte_source.h"
#include "io/detail/raw_file.h"
#include "io/follow.h"

namespace penstock::io::detail {

using FollowClock = std::chrono::steady_clock;

enum class FileState : std::uint8_t {
  lost,       ///< known, but its content has not been found (yet)
  following,  ///< its name is one that the sources lead to
  leaving,    ///< renamed away, deleted, or a copy: read to its end
  finished,   ///< at its end
};

struct Tracked;

/// A compressed file that is being read.
struct Decoding {
  /// Throws Error(Errc::io).
  explicit Decoding(const Tracked& file);

  RawFile raw;
  RawInput input;
  std::unique_ptr<ByteSource> source;
  std::string carry;   ///< decoded, not handed out
  std::string before;  ///< the last bytes that were handed out
  bool ended = false;
  std::string failure;  ///< told when all before it has been handed out
};

/// One generation of a file. Used by the thread that calls next(); of `info`, which others copy, only that thread may
/// read without the table's mutex.
struct Tracked {
  explicit Tracked(FollowedFile known);
  ~Tracked();

  FollowedFile info;
  std::atomic<FileState> state{FileState::following};
  std::string real;  ///< where its name, a symbolic link, led; empty: no link
  Descriptor fd;
  std::list<Tracked*>::iterator used;  ///< in the table's list of open files; only while open
  bool rotated = false;                ///< its name looks like that of a rotated file
  bool nameless = false;               ///< deleted: only its descriptor is left, which must stay open
  bool complete = false;               ///< its content does not grow any more: a copy, or compressed

  std::optional<Cutter> cutter;  ///< from its prepare() on
  std::unique_ptr<Decoding> decoding;
  std::atomic<std::uint64_t> consumed{0};  ///< compressed: bytes on disk that were decompressed
  std::uint64_t looked_at = 0;             ///< plain: there is no end of a record up to here
  std::uint64_t broken_size = 0;           ///< compressed: breaks off at this size on disk
  bool ending = false;                     ///< has been quiet for long enough: its last line is handed out as it is
  bool cut_short = false;                  ///< its end was not found
  std::int64_t seen_mtime = 0;             ///< seen last, whatever the file holds now
  std::int64_t read_mtime = 0;             ///< seen before something of it was read last
  std::string trouble;                     ///< told as unreadable, not yet readable again
  FollowClock::time_point grown;           ///< when more of it was seen last
  FollowClock::time_point read;            ///< when something of it was handed out last
  bool queued = false;
  bool noted = false;  ///< in the list of files to look at

  std::vector<Tracked*> newer;  ///< generations that begin when this one is at its end
  unsigned older = 0;           ///< generations that must be at their end first

  /// Bytes seen but not handed out.
  [[nodiscard]] std::uint64_t unread() const noexcept;
};

/// What reading gave.
enum class Got : std::uint8_t {
  chunk,
  nothing,  ///< no whole record up to its present end
  ended,    ///< `last`: all has been handed out
  changed,  ///< what was read before is not there any more
  failed,   ///< see `why`
  stopped,
};

/// Reads and cuts opened files. One thread.
class FollowReader {
 public:
  /// `mutex` guards Tracked::info.
  FollowReader(const FollowOptions& options, std::mutex& mutex);

  /// The next chunk of an opened file (all but seq), as far as info.size goes. `last`: nothing will come behind that.
  Got read(Tracked& file, bool last, Chunk& out, const std::stop_token& stop, std::string& why);
  /// Finds out whether it is compressed, its head and how it is cut; a UTF-8 mark is passed over. Got::chunk: ready.
  Got start(Tracked& file, bool last, std::string& why);

 private:
  Got read_plain(Tracked& file, bool last, Chunk& out, const std::stop_token& stop, std::string& why);
  Got read_compressed(Tracked& file, Chunk& out, const std::stop_token& stop, std::string& why);
  bool open_decoding(Tracked& file, const std::stop_token& stop);
  std::shared_ptr<Buffer> buffer_of(std::size_t bytes, const std::stop_token& stop);
  void hand_out(Tracked& file, std::shared_ptr<Buffer> buffer, const Cut& cut, std::string_view before, Chunk& out);

  const FollowOptions& options_;
  std::mutex& mutex_;
  const std::size_t chunk_bytes_;
  std::shared_ptr<BufferPool> small_;  ///< for the few bytes that a growing file gives at a time
  std::shared_ptr<BufferPool> large_;
};

/// Where the last line of a plain file that has an end ends; 0: nowhere in the last `most` bytes.
std::uint64_t last_line_end(int fd, std::uint64_t size, std::size_t most);

}  // namespace penstock::io::detail
