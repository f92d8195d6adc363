#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::io {

/// What a file is known by when it is met again: its content first. Device, inode and time of change alone prove
/// nothing: files are copied, device numbers change when a machine starts anew, and inodes are used again.
struct FileIdentity {
  std::uint64_t device = 0;  ///< 0: no file (a pipe), or not looked at yet
  std::uint64_t inode = 0;
  std::uint64_t size = 0;        ///< as it lies on disk
  std::int64_t mtime_ns = 0;     ///< of the last change, since 1970
  std::uint64_t head_bytes = 0;  ///< that head_hash is made of; of a file as it lies on disk, of a pipe decompressed
  std::string head_hash;         ///< hash_hex() of the first head_bytes bytes; empty: not looked at

  [[nodiscard]] bool known() const noexcept { return !head_hash.empty(); }
  bool operator==(const FileIdentity&) const = default;
};

inline constexpr std::size_t kIdentityBytes = std::size_t{64} << 10;

/// 32 hexadecimal digits of XXH3-128.
std::string hash_hex(std::string_view bytes);

/// Of an open regular file, whose position stays where it is. nullopt: it cannot be read.
std::optional<FileIdentity> identity_of(int descriptor);
/// Opens the file for it. nullopt: it is no regular file or cannot be read.
std::optional<FileIdentity> identity_of(const std::filesystem::path& path);
/// Of data that cannot be looked at again, by its first bytes (at most kIdentityBytes of them count).
FileIdentity identity_of_head(std::string_view head);

/// hash_hex() of the bytes [from, from + bytes) of a file. nullopt: it is shorter or cannot be read.
std::optional<std::string> hash_of_range(int descriptor, std::uint64_t from, std::size_t bytes);

/// Whether the file begins as the one that `known` was made of and is not smaller than its head was.
bool begins_as(int descriptor, const FileIdentity& known);

}  // namespace penstock::io
