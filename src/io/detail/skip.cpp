#include "io/detail/skip.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

namespace penstock::io::detail {
namespace {

constexpr std::uint32_t kZstdMagic = 0xFD2FB528;
constexpr std::uint32_t kSkippableMagic = 0x184D2A50;  // the low four bits are free
constexpr std::uint32_t kSeekTableMagic = 0x184D2A5E;
constexpr std::uint32_t kSeekableMagic = 0x8F92EAB1;
constexpr std::uint32_t kLz4Magic = 0x184D2204;

bool is_skippable(std::uint32_t magic) noexcept { return (magic & 0xFFFFFFF0) == kSkippableMagic; }

template <class T>
T little_endian(const unsigned char* bytes) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<T>(bytes[i]) << (8 * i));
  return value;
}

/// Looks into a file here and there.
class Peeker {
 public:
  explicit Peeker(const RawFile& file) : file_(file) {}
  /// False unless all of them are there.
  bool read(std::uint64_t at, unsigned char* to, std::size_t bytes) const { return read_some(at, to, bytes) == bytes; }
  std::size_t read_some(std::uint64_t at, unsigned char* to, std::size_t bytes) const {
    if (at >= file_.size()) return 0;
    std::size_t got = 0;
    bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, file_.size() - at));
    return file_.read_at(at, reinterpret_cast<char*>(to), bytes, got) ? got : 0;
  }
  [[nodiscard]] std::uint64_t size() const noexcept { return file_.size(); }

 private:
  const RawFile& file_;
};

/// A frame that is known without decompressing it; `bytes` in the file, `content` decompressed.
struct Frame {
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> content;
};

struct ZstdHead {
  std::size_t bytes = 0;  // 0: no frame starts there
  bool checksum = false;
  std::optional<std::uint64_t> content;
  std::optional<std::uint64_t> skip;  // of a skippable frame: all of its bytes
};

ZstdHead zstd_head(const Peeker& file, std::uint64_t at) {
  std::array<unsigned char, 18> head{};
  const std::size_t got = file.read_some(at, head.data(), head.size());
  ZstdHead found;
  if (got < 5) return found;
  const auto magic = little_endian<std::uint32_t>(head.data());
  if (is_skippable(magic)) {
    if (got < 8) return found;
    found.bytes = 8;
    found.skip = 8 + std::uint64_t{little_endian<std::uint32_t>(&head[4])};
    found.content = 0;
    return found;
  }
  if (magic != kZstdMagic) return found;
  static constexpr std::size_t kDictionaryBytes[] = {0, 1, 2, 4};
  const unsigned descriptor = head[4];
  const bool single_segment = (descriptor & 0x20) != 0;
  const unsigned size_flag = descriptor >> 6;
  const std::size_t content_bytes = size_flag == 0 ? (single_segment ? 1 : 0) : std::size_t{1} << size_flag;
  const std::size_t content_at = 5 + (single_segment ? 0 : 1) + kDictionaryBytes[descriptor & 3];
  if (got < content_at + content_bytes) return found;
  found.bytes = content_at + content_bytes;
  found.checksum = (descriptor & 4) != 0;
  switch (content_bytes) {
    case 1: found.content = head[content_at]; break;
    case 2: found.content = little_endian<std::uint16_t>(&head[content_at]) + 256U; break;
    case 4: found.content = little_endian<std::uint32_t>(&head[content_at]); break;
    case 8: found.content = little_endian<std::uint64_t>(&head[content_at]); break;
    default: break;
  }
  return found;
}

/// Walks over the heads of the blocks.
std::optional<Frame> zstd_frame(const Peeker& file, std::uint64_t at, const std::stop_token& stop) {
  const auto head = zstd_head(file, at);
  if (head.bytes == 0 || !head.content) return std::nullopt;
  if (head.skip) return Frame{*head.skip, 0};
  std::uint64_t end = at + head.bytes;
  for (bool last = false; !last;) {
    std::array<unsigned char, 4> block{};
    if (stop.stop_requested() || !file.read(end, block.data(), 3)) return std::nullopt;
    const auto bits = little_endian<std::uint32_t>(block.data());
    last = (bits & 1) != 0;
    const unsigned kind = (bits >> 1) & 3;
    if (kind == 3) return std::nullopt;
    constexpr unsigned kOneByteRepeated = 1;
    end += 3 + (kind == kOneByteRepeated ? 1 : bits >> 3);
  }
  return Frame{end + (head.checksum ? 4 : 0) - at, head.content};
}

std::optional<Frame> lz4_frame(const Peeker& file, std::uint64_t at, const std::stop_token& stop) {
  std::array<unsigned char, 14> head{};
  const std::size_t got = file.read_some(at, head.data(), head.size());
  if (got < 7) return std::nullopt;
  const auto magic = little_endian<std::uint32_t>(head.data());
  if (is_skippable(magic)) return Frame{8 + std::uint64_t{little_endian<std::uint32_t>(&head[4])}, 0};
  const unsigned flags = head[4];
  const bool has_content = (flags & 8) != 0;
  if (magic != kLz4Magic || flags >> 6 != 1 || !has_content || got < head.size()) return std::nullopt;
  std::uint64_t end = at + 4 + 2 + 8 + ((flags & 1) != 0 ? 4 : 0) + 1;
  const std::uint64_t block_checksum = (flags & 16) != 0 ? 4 : 0;
  for (;;) {
    std::array<unsigned char, 4> block{};
    if (stop.stop_requested() || !file.read(end, block.data(), 4)) return std::nullopt;
    end += 4;
    const auto bytes = little_endian<std::uint32_t>(block.data());
    if (bytes == 0) break;
    end += (bytes & 0x7FFFFFFF) + block_checksum;
  }
  return Frame{end + ((flags & 4) != 0 ? 4 : 0) - at, little_endian<std::uint64_t>(&head[6])};
}

/// A block of bgzip: a member of gzip whose extra field BC tells its size; the last four bytes of it tell that of its
/// content, which is at most 64 KiB.
std::optional<Frame> bgzf_block(const Peeker& file, std::uint64_t at) {
  std::array<unsigned char, 12> head{};
  if (!file.read(at, head.data(), head.size()) || head[0] != 0x1F || head[1] != 0x8B || head[2] != 8 ||
      (head[3] & 4) == 0)
    return std::nullopt;
  std::vector<unsigned char> extra(little_endian<std::uint16_t>(&head[10]));
  if (!file.read(at + head.size(), extra.data(), extra.size())) return std::nullopt;
  for (std::size_t i = 0; i + 4 <= extra.size();) {
    const std::size_t length = little_endian<std::uint16_t>(&extra[i + 2]);
    if (extra[i] == 'B' && extra[i + 1] == 'C' && length == 2 && i + 6 <= extra.size()) {
      const std::uint64_t bytes = std::uint64_t{little_endian<std::uint16_t>(&extra[i + 4])} + 1;
      std::array<unsigned char, 4> size{};
      if (bytes < head.size() + extra.size() + 8 || !file.read(at + bytes - 4, size.data(), 4)) return std::nullopt;
      const auto content = little_endian<std::uint32_t>(size.data());
      if (content > 65'536) return std::nullopt;
      return Frame{bytes, content};
    }
    i += 4 + length;
  }
  return std::nullopt;
}

/// Goes from frame to frame.
template <class Next>
Jump walk(const Peeker& file, std::uint64_t target, const std::stop_token& stop, Next&& next) {
  Jump jump;
  while (!stop.stop_requested() && jump.at < file.size()) {
    const std::optional<Frame> frame = next(jump.at);
    if (!frame || !frame->content || frame->bytes > file.size() - jump.at || *frame->content >= target - jump.offset)
      break;
    jump.at += frame->bytes;
    jump.offset += *frame->content;
  }
  // Only a place where a frame starts: behind the last one there is nothing to decompress.
  return jump.at < file.size() ? jump : Jump{};
}

/// By the table at the end of a seekable file; nullopt: there is none, or it does not fit the file.
std::optional<Jump> by_seek_table(const Peeker& file, std::uint64_t target, const std::stop_token& stop) {
  constexpr std::uint64_t kFooter = 9;
  constexpr std::uint64_t kHead = 8;
  std::array<unsigned char, kFooter> footer{};
  if (file.size() < kFooter + kHead || !file.read(file.size() - kFooter, footer.data(), footer.size()) ||
      little_endian<std::uint32_t>(&footer[5]) != kSeekableMagic)
    return std::nullopt;
  const std::uint64_t frames = little_endian<std::uint32_t>(footer.data());
  const std::size_t entry_bytes = (footer[4] & 0x80) != 0 ? 12 : 8;
  const std::uint64_t content = frames * entry_bytes + kFooter;
  if ((footer[4] & 0x7C) != 0 || content + kHead > file.size()) return std::nullopt;
  const std::uint64_t table_at = file.size() - content - kHead;
  std::array<unsigned char, kHead> head{};
  if (!file.read(table_at, head.data(), head.size()) || little_endian<std::uint32_t>(head.data()) != kSeekTableMagic ||
      little_endian<std::uint32_t>(&head[4]) != content)
    return std::nullopt;
  std::vector<unsigned char> table(static_cast<std::size_t>(frames) * entry_bytes);
  if (!file.read(table_at + kHead, table.data(), table.size())) return std::nullopt;
  Jump jump;
  Jump next;
  for (std::size_t i = 0; i < frames && !stop.stop_requested(); ++i) {
    const unsigned char* const entry = &table[i * entry_bytes];
    const auto decompressed = little_endian<std::uint32_t>(entry + 4);
    if (next.offset < target) {
      // Each frame up to the one that is wanted must stand where the table says, with the size it says, if it tells.
      const auto frame = zstd_head(file, next.at);
      if (frame.bytes == 0 || (frame.content && *frame.content != decompressed)) return std::nullopt;
      if (!frame.skip) jump = next;
    }
    next.at += little_endian<std::uint32_t>(entry);
    next.offset += decompressed;
  }
  if (next.at != table_at) return std::nullopt;
  return jump;
}

}  // namespace

Jump find_jump(const RawFile& file, Compression compression, std::uint64_t target, const std::stop_token& stop) {
  if (!file.regular() || target == 0) return {};
  const Peeker peeker(file);
  switch (compression) {
    case Compression::none: break;
    case Compression::zstd:
      if (const auto jump = by_seek_table(peeker, target, stop)) return *jump;
      return walk(peeker, target, stop, [&](std::uint64_t at) { return zstd_frame(peeker, at, stop); });
    case Compression::gzip: return walk(peeker, target, stop, [&](std::uint64_t at) { return bgzf_block(peeker, at); });
    case Compression::lz4:
      return walk(peeker, target, stop, [&](std::uint64_t at) { return lz4_frame(peeker, at, stop); });
  }
  return {};
}

}  // namespace penstock::io::detail
