#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "io/detail/decoder.h"

namespace penstock::io::detail {
namespace {

const char* reason(int code) noexcept {
  switch (code) {
    case ISAL_INVALID_BLOCK: return "a block begins wrongly";
    case ISAL_INVALID_SYMBOL: return "there is a code that the block does not have";
    case ISAL_INVALID_LOOKBACK: return "a match begins before the data";
    case ISAL_INVALID_WRAPPER: return "a member begins wrongly";
    case ISAL_UNSUPPORTED_METHOD: return "a member is compressed by an unknown method";
    case ISAL_INCORRECT_CHECKSUM: return "the checksum is wrong";
    default: return "wrong data";
  }
}

class GzipSource final : public Decoder {
 public:
  GzipSource(RawInput& input, std::uint64_t max_ratio)
      : Decoder(input, "gzip", max_ratio), state_(std::make_unique<inflate_state>()) {
    isal_inflate_init(state_.get());
  }

 protected:
  std::size_t step(char* to, std::size_t most) override {
    // A damaged file is reported near the damage, as the library takes what it is given whole.
    const std::string_view ready = input_.available().substr(0, 64 * 1024);
    if (!failure_.empty()) {
      const std::size_t bytes = take_rest(to, most);
      if (bytes == 0) corrupt(failure_);
      return bytes;
    }
    if (!in_frame_) {
      if (ready.empty()) return 0;
      if (members_ > 0 && ready[0] == '\0') {  // tapes and some tools fill up the last block with zeros
        padding_ = true;
        const std::size_t zeros = std::min(ready.find_first_not_of('\0'), ready.size());
        input_.consume(zeros);
        return 0;
      }
      if (padding_) corrupt("there is something other than zeros behind the end of the data");
      in_frame_ = in_head_ = true;
      isal_inflate_reset(state_.get());
      state_->crc_flag = ISAL_GZIP_NO_HDR_VER;
      isal_gzip_header_init(&head_);
    }
    auto& state = *state_;
    state.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(ready.data()));  // it does not write to it
    state.avail_in = static_cast<std::uint32_t>(ready.size());
    state.next_out = reinterpret_cast<std::uint8_t*>(to);
    const auto room = static_cast<std::uint32_t>(std::min<std::size_t>(most, 1U << 30));
    state.avail_out = room;
    int code = ISAL_DECOMP_OK;
    if (in_head_) {
      code = isal_read_gzip_header(&state, &head_);
      in_head_ = code > 0;  // there is more of it to come
      constexpr std::uint32_t kReserved = 0xE0;
      if (code == ISAL_DECOMP_OK && (head_.flags & kReserved) != 0) code = ISAL_INVALID_WRAPPER;
    }
    if (!in_head_ && code == ISAL_DECOMP_OK) code = isal_inflate(&state);
    // Bytes that it took ahead of use are no loss: the checksum and the length behind the data are more than these.
    input_.consume(ready.size() - state.avail_in);
    const std::size_t bytes = room - state.avail_out;
    if (code < 0) {
      failure_ = reason(code);
      if (bytes == 0) corrupt(failure_);
    } else if (state.block_state == ISAL_BLOCK_FINISH) {
      in_frame_ = false;
      ++members_;
    }
    return bytes;
  }

 private:
  /// What was decoded before a failure and found no room.
  std::size_t take_rest(char* to, std::size_t most) noexcept {
    auto& state = *state_;
    if (state.tmp_out_processed >= state.tmp_out_valid) return 0;
    const auto left = static_cast<std::size_t>(state.tmp_out_valid - state.tmp_out_processed);
    const std::size_t bytes = std::min(left, most);
    std::copy_n(reinterpret_cast<const char*>(state.tmp_out_buffer) + state.tmp_out_processed, bytes, to);
    state.tmp_out_processed += static_cast<int>(bytes);
    return bytes;
  }

  std::unique_ptr<inflate_state> state_;
  isal_gzip_header head_{};
  bool in_head_ = false;
  std::size_t members_ = 0;
  bool padding_ = false;
  std::string failure_;  ///< to be thrown once what was decoded before it has been taken
};

}  // namespace

std::unique_ptr<ByteSource> make_gzip_source(RawInput& input, std::uint64_t max_ratio) {
  return std::make_unique<GzipSource>(input, max_ratio);
}

}  // namespace penstock::io::detail
