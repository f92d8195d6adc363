#include "io/detail/byte_source.h"

#include <lz4frame.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "io/detail/decoder.h"

namespace penstock::io::detail {
namespace {

constexpr std::size_t kInputBytes = 256 * 1024;

/// Bytes as they are.
class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(RawInput& input) : input_(input) {}
  ReadResult read(char* to, std::size_t most, const Wait& wait) override {
    const std::string_view ready = input_.available();
    if (ready.empty()) return input_.read(to, most, wait);
    const std::size_t bytes = std::min(most, ready.size());
    std::memcpy(to, ready.data(), bytes);
    input_.consume(bytes);
    return {ReadState::data, bytes};
  }

 private:
  RawInput& input_;
};

class ZstdSource final : public Decoder {
 public:
  ZstdSource(RawInput& input, std::uint64_t max_ratio)
      : Decoder(input, "zstd", max_ratio), stream_(ZSTD_createDStream(), &ZSTD_freeDStream) {
    if (stream_ == nullptr) fail("out of memory");
  }

 protected:
  std::size_t step(char* to, std::size_t most) override {
    // Fed with what it asks for, one block at a time: given more, the library would lose the blocks that it decoded in
    // the same call in which it finds a damaged one.
    const std::string_view ready = input_.available();
    ZSTD_inBuffer in{ready.data(), std::min(ready.size(), wanted_), 0};
    ZSTD_outBuffer out{to, most, 0};
    const std::size_t hint = ZSTD_decompressStream(stream_.get(), &out, &in);
    if (ZSTD_isError(hint) != 0) {
      if (ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge) {
        fail("it needs a window of more than 128 MiB; pipe it in: zstd -dc --long=31 FILE | penstock load -");
      }
      corrupt(ZSTD_getErrorName(hint));
    }
    input_.consume(in.pos);
    if (in.pos > 0 || out.pos > 0 || hint == 0) in_frame_ = hint != 0;
    wanted_ = hint != 0 ? hint : kFrameStart;
    return out.pos;
  }

 private:
  static constexpr std::size_t kFrameStart = 5;  // ZSTD_FRAMEHEADERSIZE_MIN: its hint tells how to go on
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  std::size_t wanted_ = kFrameStart;
};

class Lz4Source final : public Decoder {
 public:
  Lz4Source(RawInput& input, std::uint64_t max_ratio)
      : Decoder(input, "lz4", max_ratio), context_(nullptr, &LZ4F_freeDecompressionContext) {
    LZ4F_dctx* context = nullptr;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)) != 0) fail("out of memory");
    context_.reset(context);
  }

 protected:
  std::size_t step(char* to, std::size_t most) override {
    const std::string_view ready = input_.available();  // fed by blocks for the reason given for zstd
    std::size_t in_bytes = std::min(ready.size(), wanted_);
    std::size_t out_bytes = most;
    const std::size_t hint = LZ4F_decompress(context_.get(), to, &out_bytes, ready.data(), &in_bytes, nullptr);
    if (LZ4F_isError(hint) != 0) corrupt(LZ4F_getErrorName(hint));
    input_.consume(in_bytes);
    if (in_bytes > 0 || out_bytes > 0 || hint == 0) in_frame_ = hint != 0;
    wanted_ = hint != 0 ? hint : kFrameStart;
    return out_bytes;
  }

 private:
  static constexpr std::size_t kFrameStart = 7;  // LZ4F_HEADER_SIZE_MIN
  std::unique_ptr<LZ4F_dctx, LZ4F_errorCode_t (*)(LZ4F_dctx*)> context_;
  std::size_t wanted_ = kFrameStart;
};

std::string_view view(const char* bytes, std::size_t size) { return {bytes, size}; }

[[noreturn]] void advise(const std::string& name, const char* format, const char* command) {
  throw Error(Errc::io, "cannot read '" + printable(name, 400) + "': it is " + format +
                            ", which is not read directly; pipe it in: " + command + " | penstock load -");
}

}  // namespace

RawInput::RawInput(RawFile& file) : file_(file), buffer_(kInputBytes) {}

ReadResult RawInput::refill(const Wait& wait) {
  if (at_ == end_) {
    at_ = end_ = 0;
  } else if (end_ == buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
    end_ -= at_;
    at_ = 0;
  }
  const ReadResult result = file_.read(buffer_.data() + end_, buffer_.size() - end_, wait);
  end_ += result.bytes;
  return result;
}

bool RawInput::restart(std::uint64_t at) {
  if (!file_.seek(at)) return false;
  at_ = end_ = 0;
  return true;
}

Compression guess_compression(std::string_view first, const std::string& name) {
  const std::string_view four = first.substr(0, 4);
  if (four == view("\x28\xb5\x2f\xfd", 4)) return Compression::zstd;
  if (four == view("\x04\x22\x4d\x18", 4)) return Compression::lz4;
  if (four.size() == 4 && four.substr(1) == view("\x2a\x4d\x18", 3) && (four[0] & 0xf0) == 0x50) {
    // A skippable frame may open files of both; parallel zstd compressors write one.
    return name.ends_with(".lz4") ? Compression::lz4 : Compression::zstd;
  }
  if (first.starts_with("\x1f\x8b")) return Compression::gzip;
  if (first.starts_with(view("\xfd"
                             "7zXZ\0",
                             6)))
    advise(name, "xz", "xz -dc FILE");
  if (first.starts_with("BZh") && first.size() >= 6 && first.substr(4, 2) == "1A") {
    advise(name, "bzip2", "bzip2 -dc FILE");
  }
  if (four == view("PK\x03\x04", 4)) advise(name, "a zip archive", "unzip -p FILE");
  if (first.starts_with(view("7z\xbc\xaf\x27\x1c", 6))) advise(name, "a 7z archive", "7z x -so FILE");
  if (four == view("\x02\x21\x4c\x18", 4)) advise(name, "lz4 in its legacy format", "lz4 -dc FILE");
  return Compression::none;
}

std::unique_ptr<ByteSource> make_source(Compression compression, RawInput& input, std::uint64_t max_ratio) {
  switch (compression) {
    case Compression::zstd: return std::make_unique<ZstdSource>(input, max_ratio);
    case Compression::gzip: return make_gzip_source(input, max_ratio);
    case Compression::lz4: return std::make_unique<Lz4Source>(input, max_ratio);
    case Compression::none: break;
  }
  return std::make_unique<PlainSource>(input);
}

}  // namespace penstock::io::detail
