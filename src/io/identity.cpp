#include "io/identity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>

#include "io/detail/raw_file.h"

namespace penstock::io {
namespace {

// Fewer only at the end of the file; nullopt when it cannot be read.
std::optional<std::string> read_range(int descriptor, std::uint64_t from, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t got = 0;
  while (got < bytes) {
    const auto n = ::pread(descriptor, text.data() + got, bytes - got, static_cast<off_t>(from + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  text.resize(got);
  return text;
}

}  // namespace

std::string hash_hex(std::string_view bytes) {
  const auto hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::optional<FileIdentity> identity_of(int descriptor) {
  struct stat info {};
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const auto head = read_range(descriptor, 0, kIdentityBytes);
  if (!head) return std::nullopt;
  FileIdentity identity = identity_of_head(*head);
  identity.device = info.st_dev;
  identity.inode = info.st_ino;
  identity.size = static_cast<std::uint64_t>(info.st_size);
  identity.mtime_ns = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  return identity;
}

std::optional<FileIdentity> identity_of(const std::filesystem::path& path) {
  // A pipe of that name must not be waited for.
  const detail::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return std::nullopt;
  return identity_of(file.get());
}

FileIdentity identity_of_head(std::string_view head) {
  head = head.substr(0, kIdentityBytes);
  FileIdentity identity;
  identity.head_bytes = head.size();
  identity.head_hash = hash_hex(head);
  return identity;
}

std::optional<std::string> hash_of_range(int descriptor, std::uint64_t from, std::size_t bytes) {
  const auto text = read_range(descriptor, from, bytes);
  if (!text || text->size() < bytes) return std::nullopt;
  return hash_hex(*text);
}

bool begins_as(int descriptor, const FileIdentity& known) {
  return hash_of_range(descriptor, 0,
                       static_cast<std::size_t>(std::min<std::uint64_t>(known.head_bytes, kIdentityBytes))) ==
         known.head_hash;
}

}  // namespace penstock::io
