#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "io/detail/byte_source.h"

namespace penstock::io::detail {

/// The loop that all decoders share: feed, collect, tell the end of the data from its breaking off.
class Decoder : public ByteSource {
 public:
  ReadResult read(char* to, std::size_t most, const Wait& wait) final {
    while (true) {
      if (!input_.available().empty() || output_waits_) {
        const std::size_t bytes = step(to, most);
        output_waits_ = bytes == most;
        check_ratio(bytes);
        if (bytes > 0) return {ReadState::data, bytes};
      }
      if (!input_.available().empty()) continue;
      const ReadResult more = input_.refill(wait);
      if (more.state == ReadState::data) continue;
      if (more.state == ReadState::end && in_frame_) {
        fail("the compressed data breaks off behind byte " + std::to_string(input_.position()) +
             "; the file is not complete, copy it again");
      }
      return more;
    }
  }

 protected:
  Decoder(RawInput& input, const char* format, std::uint64_t max_ratio)
      : input_(input), start_(input.position()), max_ratio_(max_ratio), format_(format) {}

  /// Consumes some input and writes at most `most` bytes; returns how many. Makes progress or throws.
  virtual std::size_t step(char* to, std::size_t most) = 0;

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(Errc::io, "cannot decompress '" + printable(input_.file().name(), 400) + "' (" + format_ + "): " + why);
  }
  [[noreturn]] void corrupt(const std::string& why) const {
    fail(why + " near byte " + std::to_string(input_.position()) +
         " of the compressed data; the file is damaged, copy or make it again");
  }

  RawInput& input_;
  bool in_frame_ = false;  ///< the end of the input here would be too early

 private:
  // A few bytes that inflate to terabytes would keep a load busy for days: nobody means that.
  void check_ratio(std::size_t bytes) {
    produced_ += bytes;
    if (max_ratio_ == 0 || produced_ <= kUnsuspicious) return;
    const std::uint64_t consumed = std::max<std::uint64_t>(1, input_.position() - start_);
    if (produced_ / max_ratio_ <= consumed) return;
    fail("it inflates to more than " + std::to_string(max_ratio_) + " times its size (" + std::to_string(produced_) +
         " bytes came out of " + std::to_string(consumed) +
         "): a decompression bomb? If the data is what it should be, load it with a larger --max-ratio (0: any)");
  }

  static constexpr std::uint64_t kUnsuspicious = std::uint64_t{256} << 20;
  const std::uint64_t start_;
  const std::uint64_t max_ratio_;
  std::uint64_t produced_ = 0;
  const char* const format_;
  bool output_waits_ = false;  ///< the last step filled its room: the library may hold more
};

/// Members of gzip, one behind another, and zeros behind the last.
std::unique_ptr<ByteSource> make_gzip_source(RawInput& input, std::uint64_t max_ratio);

}  // namespace penstock::io::detail
