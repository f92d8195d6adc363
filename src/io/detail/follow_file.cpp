#include "io/detail/follow_file.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "io/detail/byte_source.h"
#include "io/detail/follow_identity.h"
#include "io/detail/readers.h"
#include "simd/bytes.h"

namespace penstock::io::detail {
namespace {

constexpr std::size_t kSmallBytes = std::size_t{32} * 1024;

std::size_t mark_before(std::uint64_t offset) {
  return static_cast<std::size_t>(std::min<std::uint64_t>(offset, kMarkBytes));
}

/// A program that does not append writes on at its old place after its log was truncated: before that is a hole.
/// Where the bytes that are not NUL begin; `size` if there are none.
std::uint64_t end_of_hole(int fd, std::uint64_t size) {
  const off_t data = ::lseek(fd, 0, SEEK_DATA);
  if (data < 0) return errno == ENXIO ? size : 0;
  std::array<char, 4096> block;
  for (auto at = static_cast<std::uint64_t>(data); at < size;) {
    const std::int64_t got = read_at(fd, at, block.data(), block.size());
    if (got <= 0) return 0;
    const auto* end = block.data() + got;
    const auto* found = std::find_if(static_cast<const char*>(block.data()), end, [](char c) { return c != '\0'; });
    at += static_cast<std::uint64_t>(found - block.data());
    if (found != end) return at;
  }
  return size;
}

}  // namespace

Decoding::Decoding(const Tracked& file)
    : raw(Input{file.info.path, descriptor_path(file.fd.get()), false, 0}), input(raw) {
  while (input.available().size() < 8 && input.refill({}).state == ReadState::data) {
  }
  source = make_source(guess_compression(input.available().substr(0, 8), raw.name()), input);
}

Tracked::Tracked(FollowedFile known) : info(std::move(known)) {}
Tracked::~Tracked() = default;

std::uint64_t Tracked::unread() const noexcept {
  if (state == FileState::finished) return 0;
  if (!info.compressed) return info.size - std::min(info.size, info.offset);
  return info.size - std::min(info.size, consumed.load(std::memory_order_relaxed));
}

FollowReader::FollowReader(const FollowOptions& options, std::mutex& mutex)
    : options_(options),
      mutex_(mutex),
      chunk_bytes_(std::max<std::size_t>(1, std::min(options.chunk_bytes, options.max_record))),
      small_(std::make_shared<BufferPool>(std::min(kSmallBytes, chunk_bytes_), options.budget)),
      large_(std::make_shared<BufferPool>(chunk_bytes_, options.budget)) {}

Got FollowReader::read(Tracked& file, bool last, Chunk& out, const std::stop_token& stop, std::string& why) {
  if (!file.cutter) {
    const Got started = start(file, last, why);
    if (started != Got::chunk) return started;
  }
  return file.info.compressed ? read_compressed(file, out, stop, why) : read_plain(file, last, out, stop, why);
}

Got FollowReader::start(Tracked& file, bool last, std::string& why) {
  char first[8];
  const std::int64_t got = read_at(file.fd.get(), 0, first, sizeof first);
  if (got < 0) {
    why = errno_text(errno);
    return Got::failed;
  }
  const std::string_view bytes(first, static_cast<std::size_t>(got));
  if (bytes.empty()) return last ? Got::ended : Got::nothing;
  if (!last && may_become_compressed(bytes)) return Got::nothing;
  try {
    FollowedFile now = file.info;
    now.compressed = is_compressed(bytes, file.info.path);
    now.finished = last;
    if (now.compressed) {
      std::string head;
      if (now.head_bytes == 0 && read_head({file.fd.get(), now.path, now.size, true}, head)) {
        now.head_bytes = head.size();
        now.head_hash = hash_bytes(head);
      }
    } else {
      if (!extend_head(file.fd.get(), now.size, now)) return Got::changed;
      if (now.offset == 0) now.offset = skip_byte_order_mark(bytes.substr(0, 4), now.path);
      if (now.offset == 0 && first[0] == '\0') now.offset = end_of_hole(file.fd.get(), now.size);
      char mark[kMarkBytes];
      const std::size_t most = mark_before(now.offset);
      const std::int64_t count = read_at(file.fd.get(), now.offset - most, mark, most);
      if (count != static_cast<std::int64_t>(most)) return Got::changed;
      now.tail_offset = now.offset;
      now.tail_hash = hash_bytes({mark, most});
    }
    std::optional<Cutting> cutting(std::in_place);
    if (options_.prepare) cutting = options_.prepare(now, descriptor_path(file.fd.get()));
    now.finished = false;
    {
      const std::lock_guard lock(mutex_);
      file.info = std::move(now);
    }
    if (!cutting && last) {
      why = "its format could not be told";
      return Got::failed;
    }
    if (!cutting) return Got::nothing;
    file.cutter.emplace(*cutting, chunk_bytes_, options_.max_record);
    if (file.info.compressed) file.complete = true;
    return Got::chunk;
  } catch (const Error& error) {
    why = error.what();
    return Got::failed;
  }
}

std::shared_ptr<Buffer> FollowReader::buffer_of(std::size_t bytes, const std::stop_token& stop) {
  if (bytes <= small_->buffer_bytes()) return small_->take(bytes, stop);
  if (bytes <= large_->buffer_bytes()) return large_->take(bytes, stop);
  return large_->take_now(bytes);  // a long record: it has to be held, whatever the budget says
}

void FollowReader::hand_out(Tracked& file, std::shared_ptr<Buffer> buffer, const Cut& cut, std::string_view before,
                            Chunk& out) {
  const char* text = buffer->data.get();
  const std::uint64_t end = file.info.offset + cut.bytes;
  const std::size_t most = mark_before(end);
  std::uint64_t hash = 0;
  if (cut.bytes >= most) {
    hash = hash_bytes({text + cut.bytes - most, most});
  } else {
    std::array<char, kMarkBytes> mark;
    const std::size_t old = std::min(before.size(), most - cut.bytes);
    std::memcpy(mark.data(), before.data() + before.size() - old, old);
    std::memcpy(mark.data() + old, text, cut.bytes);
    hash = hash_bytes({mark.data(), old + cut.bytes});
  }
  out.source = file.info.id;
  out.offset = file.info.offset;
  out.text = {text, cut.bytes};
  out.owner = std::move(buffer);
  out.oversized = cut.kind == Cut::Kind::oversized || cut.kind == Cut::Kind::oversized_end;
  out.oversized_end = cut.kind == Cut::Kind::oversized_end;
  out.broken_quote = cut.kind == Cut::Kind::broken_quote;
  const std::lock_guard lock(mutex_);
  file.info.offset = end;
  file.info.tail_offset = end;
  file.info.tail_hash = hash;
}

Got FollowReader::read_plain(Tracked& file, bool last, Chunk& out, const std::stop_token& stop, std::string& why) {
  std::size_t wanted = chunk_bytes_;
  while (true) {
    const std::uint64_t at = file.info.offset;
    const std::uint64_t there = file.info.size - std::min(file.info.size, at);
    if (there == 0) return last ? Got::ended : Got::nothing;
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(there, wanted));
    std::shared_ptr<Buffer> buffer = buffer_of(bytes, stop);
    if (buffer == nullptr) return Got::stopped;
    // What lies before is read again with what is new: if that is not what was there, the file was written anew.
    std::array<char, kMarkBytes> mark;
    const std::size_t most = mark_before(at);
    const iovec parts[2] = {{mark.data(), most}, {buffer->data.get(), bytes}};
    const ssize_t count = ::preadv(file.fd.get(), parts, 2, static_cast<off_t>(at - most));
    if (count < 0) {
      if (errno == EINTR) continue;
      why = errno_text(errno);
      return Got::failed;
    }
    const auto all = static_cast<std::size_t>(count);
    if (all < most || hash_bytes({mark.data(), most}) != file.info.tail_hash) return Got::changed;
    const std::size_t got = all - most;
    if (got == 0) return Got::changed;  // shorter than it was a moment ago
    char* text = buffer->data.get();
    std::memset(text + got, 0, kPadding);
    Cut cut = file.cutter->cut({text, got}, last && got == there);
    if (cut.kind == Cut::Kind::end) return Got::ended;
    if (cut.kind == Cut::Kind::need_more) {
      if (got < bytes) {  // the system may give less than it has, for instance when a signal comes
        wanted = chunk_bytes_;
        if (last) continue;
      } else if (got < there) {
        wanted = std::max(cut.bytes, got + 1);
        continue;
      }
      const std::size_t whole = file.cutter->flush({text, got});
      file.looked_at = at + got;
      if (whole == 0) return Got::nothing;
      cut = {Cut::Kind::records, whole};
    }
    hand_out(file, std::move(buffer), cut, {mark.data(), most}, out);
    return Got::chunk;
  }
}

bool FollowReader::open_decoding(Tracked& file, const std::stop_token& stop) {
  file.decoding = std::make_unique<Decoding>(file);
  Decoding& decoding = *file.decoding;
  std::vector<char> skipped(std::size_t{256} * 1024);
  for (std::uint64_t at = 0; at < file.info.offset;) {
    if (stop.stop_requested()) return false;
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(skipped.size(), file.info.offset - at));
    const ReadResult result = decoding.source->read(skipped.data(), most, {});
    if (result.state != ReadState::data) {
      throw Error(Errc::io, "its content ends at byte " + std::to_string(at) + ", before what was read already");
    }
    at += result.bytes;
    decoding.before.append(skipped.data(), result.bytes);
    if (decoding.before.size() > kMarkBytes) decoding.before.erase(0, decoding.before.size() - kMarkBytes);
  }
  return true;
}

Got FollowReader::read_compressed(Tracked& file, Chunk& out, const std::stop_token& stop, std::string& why) {
  try {
    if (file.decoding == nullptr && !open_decoding(file, stop)) {
      file.decoding.reset();
      return Got::stopped;
    }
  } catch (const Error& error) {
    file.decoding.reset();
    why = error.what();
    return Got::failed;
  }
  Decoding& decoding = *file.decoding;
  std::size_t wanted = std::max(chunk_bytes_, decoding.carry.size());
  while (true) {
    std::shared_ptr<Buffer> buffer = buffer_of(wanted, stop);
    if (buffer == nullptr) return Got::stopped;
    char* text = buffer->data.get();
    std::size_t have = decoding.carry.size();
    std::memcpy(text, decoding.carry.data(), have);
    try {
      while (have < wanted && !decoding.ended && decoding.failure.empty()) {
        const ReadResult result = decoding.source->read(text + have, wanted - have, {stop, std::nullopt});
        if (result.state == ReadState::end) decoding.ended = true;
        if (result.state == ReadState::stopped) {
          decoding.carry.assign(text, have);
          return Got::stopped;
        }
        have += result.bytes;
      }
    } catch (const Error& error) {
      decoding.failure = error.what();
    }
    decoding.carry.assign(text, have);
    std::memset(text + have, 0, kPadding);
    Cut cut = file.cutter->cut({text, have}, decoding.ended);
    if (cut.kind == Cut::Kind::end) return Got::ended;
    if (cut.kind == Cut::Kind::need_more) {
      if (decoding.failure.empty()) {
        wanted = std::max(cut.bytes, have + 1);
        continue;
      }
      const std::size_t whole = file.cutter->flush({text, have});
      if (whole == 0) {
        why = decoding.failure;
        file.decoding.reset();
        return Got::failed;
      }
      cut = {Cut::Kind::records, whole};
    }
    file.consumed.store(decoding.raw.consumed(), std::memory_order_relaxed);
    hand_out(file, std::move(buffer), cut, decoding.before, out);
    decoding.before.append(decoding.carry, 0, cut.bytes);
    if (decoding.before.size() > kMarkBytes) decoding.before.erase(0, decoding.before.size() - kMarkBytes);
    decoding.carry.erase(0, cut.bytes);
    return Got::chunk;
  }
}

std::uint64_t last_line_end(int fd, std::uint64_t size, std::size_t most) {
  std::string block;
  for (std::uint64_t end = size; end > 0 && size - end < most;) {
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(end, std::size_t{64} * 1024));
    block.resize(bytes);
    if (read_at(fd, end - bytes, block.data(), bytes) != static_cast<std::int64_t>(bytes)) return 0;
    const std::size_t newline = simd::find_last(block, '\n');
    end -= bytes;
    if (newline != simd::kNone) return end + newline + 1;
  }
  return 0;
}

}  // namespace penstock::io::detail
