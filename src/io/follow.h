#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "io/chunk.h"
#include "io/cutter.h"

namespace penstock::io {

/// What a follower knows of one file: what a journal keeps, and what the follower is given back at the next start.
/// One generation has one id for ever: a name that gets other content (rotation, truncation) gets another id, and an id
/// whose content moved (renamed, copied and truncated, compressed) keeps it.
struct FollowedFile {
  std::uint32_t id = 0;  ///< Chunk::source
  std::string path;      ///< where its content was seen last
  std::string place;     ///< where it was found first; its older and newer generations have the same
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t head_bytes = 0;   ///< min(1024, decompressed size); grows with the file
  std::uint64_t head_hash = 0;    ///< hash_bytes() of the first head_bytes bytes, decompressed
  std::uint64_t tail_offset = 0;  ///< a place in the file up to which it has been read once
  std::uint64_t tail_hash = 0;    ///< hash_bytes() of the min(1024, tail_offset) bytes before it, decompressed
  /// describe(): all before it has been handed out. In FollowOptions::known: all before it is settled, and the follower
  /// hands out what follows; the start of a record. In decompressed bytes.
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  ///< seen last, as it lies on disk
  /// A time of change at which the file certainly still held this generation: whatever comes behind it is not older.
  /// (Of a file of which nothing was read: when it was found.)
  std::int64_t mtime_ns = 0;
  bool compressed = false;  ///< the content lies there as zstd, gzip or lz4
  bool finished = false;    ///< handed out to its end and not expected to grow (it is taken up again if it does)
};

enum class FollowCode : std::uint8_t {
  found,       ///< a new file, read from its start (or its end)
  resumed,     ///< a known file was found again
  moved,       ///< the same content has another name (or copy): describe() has changed
  truncated,   ///< the content of a name was cut off or written anew; what is there now has a new id
  finished,    ///< read to its end and closed
  vanished,    ///< gone before it was read to its end: `bytes` bytes (as seen last) are lost
  unreadable,  ///< cannot be looked at, opened, read or decompressed; tried again
  readable,    ///< is readable again
  given_up,    ///< the rest of the file cannot be used (damaged, an unknown format, UTF-16)
  polling,     ///< no notices from the system (no inotify, out of watches): new data is found by looking
};
/// "found", "resumed", …; stable, for logs.
const char* to_string(FollowCode code) noexcept;

struct FollowEvent {
  FollowCode code = FollowCode::found;
  std::optional<std::uint32_t> id;  ///< none: no file was made of it yet
  std::string path;
  std::uint64_t bytes = 0;  ///< found, resumed: where it is read from; vanished, given_up: bytes not read
  std::string text;         ///< one sentence for an administrator
};

struct FollowLag {
  std::uint32_t id = 0;
  std::string path;
  std::uint64_t bytes = 0;  ///< seen but not handed out; of compressed files in bytes on disk
};

struct FollowOptions {
  /// Paths (may not exist yet), patterns (as expand_inputs()), directories (their files, recursively, no hidden ones).
  std::vector<std::string> sources;
  /// Files that are there at the start begin behind their last whole line; only if `known` is empty, as otherwise it is
  /// no first start. (A caller whose journal exists but holds no file leaves it off.) Files that appear later begin at
  /// 0.
  bool from_end = false;
  /// New data is seen at most this late where inotify does not serve; where it does, everything is looked at every ten
  /// times this long, in case a notice was lost.
  std::chrono::milliseconds poll{1000};
  bool inotify = true;
  /// A file that was renamed away or deleted and has not grown for this long is finished: a last line without a newline
  /// is handed out as it is.
  std::chrono::milliseconds finish_after{5000};
  /// A file that grows steadily is read at most this often while it has less than a chunk of new data.
  std::chrono::milliseconds gather{4};
  std::size_t chunk_bytes = std::size_t{1} << 20;
  std::size_t max_record = std::size_t{16} << 20;
  std::size_t max_open_files = 128;
  MemoryBudget* budget = nullptr;  ///< what buffers are charged to; may be null; must outlive follower and chunks
  std::vector<FollowedFile> known;
  /// How to cut a file. Called by next() before the first chunk of a file in this run; with the head in `file` and a
  /// path that opens this very file even if it is renamed or deleted (valid during the call). nullopt: too little data
  /// to tell; asked again when there is more. When `file.finished` is set nothing more comes: nullopt gives it up.
  /// What it throws (Error) counts as nullopt and is told once, as FollowCode::unreadable. Empty: lines.
  std::function<std::optional<Cutting>(const FollowedFile& file, const std::string& open_path)> prepare;
  /// Called by next() (and the constructor). May call describe() and lag(), nothing else.
  std::function<void(const FollowEvent& event)> event;
  /// For tests: what time it is. Empty: the steady clock.
  std::function<std::chrono::steady_clock::time_point()> clock;
};

/// Follows growing files through rotation (rename, copy and truncate, compression, deletion), and hands out their whole
/// records in chunks.
///
/// - Each whole record of each generation comes once and in order. A record comes when its end is there (with its
///   newline), or without newline when its file is finished. Several names of one file are one file.
/// - Of one place, older generations come to their end (as it is at that time) before newer ones begin.
/// - A file is known by (device, inode) and its content: the hash of its head and of the bytes before the place that
///   was read last. So a file that was cut to 0 and grew again beyond that place between two looks is told apart,
///   unless those bytes are the same. What was written between the last read and the truncation is looked for in files
///   beside it whose name goes on with `.` or `-` (copies, also compressed).
/// - Generations that came and went between two looks, or while nothing ran, are looked for beside each place: files
///   with a rotated name (digits behind `.`, `-` or `_`), not older than the newest generation that was read, with
///   unknown content. What lay there before the first look at a place is none of them.
/// - A compressed file that matches a source is read once from its start; one whose content was read before is not.
/// - A file that was empty when it was seen last, or of which little was seen and nothing read, cannot be told from
///   others: what its name holds now, and all unknown generations beside it that are not older, are read from their
///   starts.
/// - Nothing is read twice but for rare cases: many rotations by copying between two looks, of files that had hardly
///   been read. Nothing that can still be found is left out.
/// - What cannot be found again: a file that was deleted (not renamed) while no descriptor of it was open
///   (max_open_files, newest first; files that have lost their name keep theirs).
/// - While nobody calls next(), nothing is read.
///
/// next() by one thread at a time; the rest by any.
class Follower {
 public:
  /// Looks at the sources once. Throws Error(Errc::config) for an empty source or "-". Missing files are no error.
  explicit Follower(FollowOptions options);
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  enum class Next : std::uint8_t { chunk, idle, stopped };
  /// The next chunk, numbered 0, 1, 2, …. First lets go of what `out` owned. Waits for data until `until` (then idle;
  /// nullopt: for ever) and, whatever `until` says, for the memory budget.
  Next next(Chunk& out, const std::stop_token& stop,
            std::optional<std::chrono::steady_clock::time_point> until = std::nullopt);

  /// next() looks at all sources and files as soon as it can (it is woken).
  void look_again() noexcept;

  /// What is known of a file. Throws std::out_of_range for an id that was not handed out.
  [[nodiscard]] FollowedFile describe(std::uint32_t id) const;
  /// All files that were ever known, finished ones too (their content is recognised by them); by id.
  [[nodiscard]] std::vector<FollowedFile> files() const;
  /// Of all files that are not finished.
  [[nodiscard]] std::vector<FollowLag> lag() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::io
