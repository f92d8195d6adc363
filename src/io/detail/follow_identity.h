#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/follow.h"

namespace penstock::io::detail {

/// How much of a file's head, and of what lies before a place in it, tells it from others.
inline constexpr std::size_t kMarkBytes = 1024;

enum class Match : std::uint8_t {
  same,     ///< holds what was read of the known file
  prefix,   ///< holds as much of it as it is long: perhaps a copy that is being made (or has been made)
  other,    ///< holds something else
  unclear,  ///< cannot be read (now)
};

/// An opened file as content, whatever its name and compression.
struct ContentFile {
  int fd = -1;
  std::string path;  ///< for messages
  std::uint64_t size = 0;
  bool compressed = false;
};

/// A path that opens the file behind a descriptor of this process.
std::string descriptor_path(int fd);

/// pread() until `most` bytes or the end; the bytes read, or -1 (errno).
std::int64_t read_at(int fd, std::uint64_t offset, char* to, std::size_t most) noexcept;

/// True when the first bytes are those of zstd, gzip or lz4. Throws Error(Errc::io) for other compressions.
bool is_compressed(std::string_view first, const std::string& name);
/// True when so few bytes may yet become the mark of a compression.
bool may_become_compressed(std::string_view first) noexcept;

/// Compares a file with what is known of another one. Decompresses up to known.tail_offset if it must.
Match compare(const ContentFile& file, const FollowedFile& known);

/// Whether the content of a file is the front of an opened plain file, or all of it. Compressed content that breaks off
/// is a prefix if what there is of it is the front.
Match compare_as_prefix(const ContentFile& copy, int whole);

/// Reads the head of a plain file again if it can be longer now. False: it is not the same head any more.
bool extend_head(int fd, std::uint64_t size, FollowedFile& known);

/// True when nothing was read of a file and so little seen that others may well begin like it. It need not be found
/// again: what it holds is new, under whatever name.
bool is_weak(const FollowedFile& known) noexcept;

/// The first min(1024, size) bytes of the content. False: cannot be read.
bool read_head(const ContentFile& file, std::string& head);

}  // namespace penstock::io::detail
