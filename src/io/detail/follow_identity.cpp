#include "io/detail/follow_identity.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "io/detail/byte_source.h"

namespace penstock::io::detail {
namespace {

/// Reads decompressed content from its start, forwards.
class Forward {
 public:
  explicit Forward(const ContentFile& file)
      : raw_(Input{file.path, descriptor_path(file.fd), false, 0}),
        input_(raw_),
        source_(make_source(first_marks(), input_)),
        buffer_(std::size_t{256} * 1024) {}

  /// The content [from, from + bytes), `from` not before what was read last; shorter at the end.
  /// Throws Error(Errc::io) where the data is damaged or breaks off.
  std::string read(std::uint64_t from, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
      if (at_ == end_ && !refill()) break;
      const std::uint64_t here = offset_ - (end_ - at_);
      if (here < from) {
        at_ += static_cast<std::size_t>(std::min<std::uint64_t>(end_ - at_, from - here));
        continue;
      }
      const std::size_t part = std::min(end_ - at_, bytes - text.size());
      text.append(buffer_.data() + at_, part);
      at_ += part;
    }
    return text;
  }

 private:
  Compression first_marks() {
    while (input_.available().size() < 8 && input_.refill({}).state == ReadState::data) {
    }
    return guess_compression(input_.available().substr(0, 8), raw_.name());
  }

  bool refill() {
    const ReadResult result = source_->read(buffer_.data(), buffer_.size(), {});
    at_ = 0;
    end_ = result.state == ReadState::data ? result.bytes : 0;
    offset_ += end_;
    return end_ > 0;
  }

  RawFile raw_;
  RawInput input_;
  std::unique_ptr<ByteSource> source_;
  std::vector<char> buffer_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::uint64_t offset_ = 0;
};

std::size_t mark_before(std::uint64_t offset) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(offset, kMarkBytes));
}

Match compare_plain(const ContentFile& file, const FollowedFile& known) {
  char bytes[kMarkBytes];
  if (file.size < known.head_bytes) return Match::prefix;
  const std::int64_t head = read_at(file.fd, 0, bytes, known.head_bytes);
  if (head < 0) return Match::unclear;
  if (hash_bytes({bytes, static_cast<std::size_t>(head)}) != known.head_hash) return Match::other;
  if (file.size < known.tail_offset) return Match::prefix;
  const std::size_t most = mark_before(known.tail_offset);
  const std::int64_t tail = read_at(file.fd, known.tail_offset - most, bytes, most);
  if (tail < 0) return Match::unclear;
  if (most > 0 && hash_bytes({bytes, static_cast<std::size_t>(tail)}) != known.tail_hash) return Match::other;
  return Match::same;
}

Match compare_compressed(const ContentFile& file, const FollowedFile& known) {
  Match breaking_off = Match::unclear;
  try {
    Forward content(file);
    const std::size_t most = mark_before(known.tail_offset);
    // The head and the tail may overlap, and the content comes only once.
    const bool near = known.tail_offset <= 2 * kMarkBytes;
    const auto first =
        static_cast<std::size_t>(near ? std::max(known.tail_offset, known.head_bytes) : known.head_bytes);
    const std::string start = content.read(0, first);
    if (start.size() < known.head_bytes) return Match::other;
    if (hash_bytes(std::string_view(start).substr(0, known.head_bytes)) != known.head_hash) return Match::other;
    if (most == 0) return Match::same;
    breaking_off = Match::prefix;
    std::string tail;
    if (near) {
      if (start.size() < known.tail_offset) return Match::other;
      tail = start.substr(known.tail_offset - most, most);
    } else {
      tail = content.read(known.tail_offset - most, most);
    }
    return tail.size() == most && hash_bytes(tail) == known.tail_hash ? Match::same : Match::other;
  } catch (const Error&) {
    return breaking_off;
  }
}

}  // namespace

std::string descriptor_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

std::int64_t read_at(int fd, std::uint64_t offset, char* to, std::size_t most) noexcept {
  std::size_t got = 0;
  while (got < most) {
    const ssize_t count = ::pread(fd, to + got, most - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  return static_cast<std::int64_t>(got);
}

bool is_compressed(std::string_view first, const std::string& name) {
  return guess_compression(first, name) != Compression::none;
}

bool may_become_compressed(std::string_view first) noexcept {
  if (first.empty() || first.size() >= 6) return first.empty();
  const auto c = static_cast<unsigned char>(first[0]);
  return c == 0x28 || c == 0x04 || c == 0x1f || c == 0xfd || c == 0x02 || (c & 0xf0) == 0x50 || c == 'B' || c == '7';
}

Match compare(const ContentFile& file, const FollowedFile& known) {
  if (known.head_bytes == 0 || known.head_bytes > kMarkBytes) return Match::other;
  return file.compressed ? compare_compressed(file, known) : compare_plain(file, known);
}

Match compare_as_prefix(const ContentFile& copy, int whole) {
  std::vector<char> theirs(std::size_t{256} * 1024);
  const auto same = [&](std::uint64_t at, std::string_view part) {
    theirs.resize(std::max(theirs.size(), part.size()));
    return read_at(whole, at, theirs.data(), part.size()) == static_cast<std::int64_t>(part.size()) &&
           std::memcmp(theirs.data(), part.data(), part.size()) == 0;
  };
  std::string part(kMarkBytes, '\0');
  if (!copy.compressed) {
    for (const std::uint64_t at : {std::uint64_t{0}, copy.size - std::min<std::uint64_t>(copy.size, kMarkBytes)}) {
      const std::int64_t got = read_at(copy.fd, at, part.data(), kMarkBytes);
      if (got < 0) return Match::unclear;
      if (!same(at, std::string_view(part).substr(0, static_cast<std::size_t>(got)))) return Match::other;
    }
    return Match::prefix;
  }
  std::uint64_t at = 0;
  try {
    Forward content(copy);
    while (true) {
      part = content.read(at, theirs.size());
      if (part.empty()) return Match::same;
      if (!same(at, part)) return Match::other;
      at += part.size();
    }
  } catch (const Error&) {
    return at > 0 ? Match::prefix : Match::unclear;
  }
}

bool extend_head(int fd, std::uint64_t size, FollowedFile& known) {
  if (known.head_bytes >= kMarkBytes || size <= known.head_bytes) return true;
  char bytes[kMarkBytes];
  const std::int64_t got = read_at(fd, 0, bytes, mark_before(size));
  if (got < 0 || static_cast<std::uint64_t>(got) < known.head_bytes) return got < 0;
  const std::string_view head(bytes, static_cast<std::size_t>(got));
  if (known.head_bytes > 0 && hash_bytes(head.substr(0, known.head_bytes)) != known.head_hash) return false;
  known.head_bytes = head.size();
  known.head_hash = hash_bytes(head);
  return true;
}

bool is_weak(const FollowedFile& known) noexcept { return known.offset == 0 && known.head_bytes < kMarkBytes / 4; }

bool read_head(const ContentFile& file, std::string& head) {
  if (file.compressed) {
    try {
      head = Forward(file).read(0, kMarkBytes);
      return true;
    } catch (const Error&) {
      return false;
    }
  }
  head.resize(kMarkBytes);
  const std::int64_t got = read_at(file.fd, 0, head.data(), head.size());
  head.resize(static_cast<std::size_t>(std::max<std::int64_t>(got, 0)));
  return got >= 0;
}

}  // namespace penstock::io::detail
