#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/bounded_queue.h"
#include "base/error.h"
#include "base/text.h"
#include "io/detail/buffer_pool.h"
#include "io/detail/byte_source.h"
#include "io/detail/readers.h"
#include "io/detail/skip.h"

namespace penstock::io::detail {
namespace {

constexpr std::size_t kChunksAhead = 3;
constexpr std::size_t kMarkBytes = 4;
using Clock = std::chrono::steady_clock;

/// An Error on its way to another thread. As text and not as std::exception_ptr: who counts its references is the
/// runtime library, which ThreadSanitizer does not see into.
struct Failure {
  Errc code = Errc::io;
  std::string text;
  [[noreturn]] void raise() const { throw Error(code, text); }
};

struct Item {
  Chunk chunk;
  std::optional<Failure> failure;
};

/// The part that reads, decompresses and cuts. Runs in the caller's thread until the first next(), then in its own.
class Producer {
 public:
  Producer(std::shared_ptr<RawFile> file, const ReadOptions& options)
      : file_(std::move(file)), options_(options), input_(*file_) {}

  /// Reads `most` bytes or what there is to the front of the data; see Reader::peek().
  std::string_view peek(std::size_t most, const std::stop_token& stop) {
    prepare({stop, std::nullopt});
    if (source_ == nullptr) return {};  // stopped
    while (!failure_ && !ended_ && head_.size() - head_at_ < most) {
      const std::size_t have = head_.size();
      Wait wait{stop, std::nullopt};
      if (!file_->regular() && have > head_at_) wait.deadline = Clock::now() + options_.linger;
      if (read_head(most - (have - head_at_), wait) != ReadState::data) break;
    }
    return std::string_view(head_).substr(head_at_, most);
  }

  void set_cutting(const Cutting& cutting) { options_.cutting = cutting; }

  void start_at(std::uint64_t offset, const std::stop_token& stop) {
    prepare({stop, std::nullopt});
    if (source_ == nullptr) return;  // stopped
    if (jump(offset, stop)) return;
    if (!skip_to(offset, stop)) {
      if (failure_) failure_->raise();
      throw Error(Errc::io, "cannot go on at byte " + std::to_string(offset) + " of '" + printable(file_->name(), 400) +
                                "': its data ends at byte " + std::to_string(offset_) +
                                "; it is not the file that was read before");
    }
  }

  /// Gives all chunks, then a failure if there was one, then closes the queue.
  void run(BoundedQueue<Item>& queue, const std::stop_token& stop) {
    try {
      produce(queue, stop);
    } catch (const Error& error) {
      push_failure(queue, stop, {error.code(), error.what()});
    } catch (const std::exception& error) {  // no memory
      push_failure(queue, stop, {Errc::io, "cannot read '" + printable(file_->name(), 400) + "': " + error.what()});
    }
    queue.close();
  }

  [[nodiscard]] Compression compression() const noexcept { return compression_.load(std::memory_order_acquire); }
  [[nodiscard]] const RawFile& file() const noexcept { return *file_; }

 private:
  /// What is read but not handed out: the bytes [at, end) of a buffer.
  struct Window {
    std::shared_ptr<Buffer> buffer;
    std::size_t at = 0;
    std::size_t end = 0;
    [[nodiscard]] std::size_t size() const { return end - at; }
    [[nodiscard]] std::string_view text() const {
      return buffer == nullptr ? std::string_view() : std::string_view(buffer->data.get() + at, end - at);
    }
  };

  static void push_failure(BoundedQueue<Item>& queue, const std::stop_token& stop, Failure failure) {
    Item item;
    item.failure = std::move(failure);
    queue.push(std::move(item), stop);
  }

  /// Decompresses and discards what is before `offset`; a stop ends it early. False: the data ends before, or it is
  /// damaged (failure_).
  bool skip_to(std::uint64_t offset, const std::stop_token& stop) {
    std::vector<char> scratch;
    while (offset_ < offset) {
      if (options_.skipped != nullptr) options_.skipped->store(offset_, std::memory_order_relaxed);
      const std::uint64_t left = offset - offset_;
      if (const std::size_t have = head_.size() - head_at_; have > 0) {
        const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(have, left));
        last_skipped_ = head_[head_at_ + bytes - 1];
        drop_head(bytes);
        continue;
      }
      scratch.resize(std::size_t{256} << 10);
      const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(scratch.size(), left));
      const ReadResult result = read(scratch.data(), most, {stop, std::nullopt});
      if (result.state == ReadState::stopped) return true;
      if (result.state == ReadState::end) return false;
      if (result.bytes > 0) last_skipped_ = scratch[result.bytes - 1];
      offset_ += result.bytes;
    }
    if (options_.skipped != nullptr) options_.skipped->store(offset_, std::memory_order_relaxed);
    return true;
  }

  /// Goes to `offset` by what the file tells about its parts. False: it tells nothing, or what it told proved wrong;
  /// then the data stands where it stood, or at its start.
  bool jump(std::uint64_t offset, const std::stop_token& stop) {
    const Jump to =
        compression() == Compression::none ? Jump{offset, offset} : find_jump(*file_, compression(), offset, stop);
    if (to.offset <= offset_ + (head_.size() - head_at_) || to.offset > offset || !input_.restart(to.at)) return false;
    begin_at(to.offset);
    // Records of text end with a newline: a table that leads elsewhere is found out by that.
    const bool text = options_.cutting.splitting != Splitting::json && compression() != Compression::none;
    last_skipped_ = '\n';
    if (skip_to(offset, stop) && (!text || last_skipped_ == '\n' || stop.stop_requested())) return true;
    if (!input_.restart(0)) throw Error(Errc::io, "cannot read '" + printable(file_->name(), 400) + "' again");
    begin_at(0);
    mark_skipped_ = false;
    prepare({stop, std::nullopt});
    return false;
  }

  void begin_at(std::uint64_t offset) {
    source_ = make_source(compression(), input_, options_.max_ratio);
    head_.clear();
    head_at_ = 0;
    offset_ = offset;
    ended_ = false;
    failure_.reset();
  }

  /// Finds out the compression and the encoding.
  void prepare(const Wait& wait) {
    if (source_ == nullptr) {
      while (input_.available().size() < 8) {
        const ReadState state = input_.refill(wait).state;
        if (state == ReadState::end) break;
        if (state == ReadState::stopped) return;
      }
      const Compression found = guess_compression(input_.available().substr(0, 8), file_->name());
      source_ = make_source(found, input_, options_.max_ratio);
      compression_.store(found, std::memory_order_release);
    }
    if (std::exchange(mark_skipped_, true)) return;
    while (!failure_ && !ended_ && head_.size() < kMarkBytes) {
      if (read_head(kMarkBytes - head_.size(), wait) == ReadState::stopped) return;
    }
    drop_head(skip_byte_order_mark(std::string_view(head_).substr(0, kMarkBytes), file_->name()));
  }

  /// Appends at most `most` bytes to head_. A failure is kept until the data before it has been handed out.
  ReadState read_head(std::size_t most, const Wait& wait) {
    const std::size_t have = head_.size();
    most = std::min<std::size_t>(most, 64 * 1024);  // resize() writes zeros first, also for a pipe that gives little
    head_.resize(have + most);
    ReadResult result;
    try {
      result = source_->read(head_.data() + have, most, wait);
    } catch (const Error& error) {
      failure_ = Failure{error.code(), error.what()};
    }
    head_.resize(have + result.bytes);
    if (result.state == ReadState::end) ended_ = true;
    return result.state;
  }

  void drop_head(std::size_t bytes) {
    head_at_ += bytes;
    offset_ += bytes;
    if (head_at_ == head_.size()) {
      head_.clear();
      head_at_ = 0;
    }
  }

  ReadResult read(char* to, std::size_t most, const Wait& wait) {
    const std::size_t have = head_.size() - head_at_;
    if (have > 0) {
      const std::size_t bytes = std::min(most, have);
      std::memcpy(to, head_.data() + head_at_, bytes);
      head_at_ += bytes;
      if (head_at_ == head_.size()) {
        std::string().swap(head_);
        head_at_ = 0;
      }
      return {ReadState::data, bytes};
    }
    if (failure_) return {ReadState::end, 0};
    if (ended_) return {ReadState::end, 0};
    try {
      const ReadResult result = source_->read(to, most, wait);
      if (result.state == ReadState::end) ended_ = true;
      return result;
    } catch (const Error& error) {
      failure_ = Failure{error.code(), error.what()};
      return {ReadState::end, 0};
    }
  }

  void produce(BoundedQueue<Item>& queue, const std::stop_token& stop) {
    prepare({stop, std::nullopt});
    if (stop.stop_requested()) return;
    pool_ = std::make_shared<BufferPool>(std::max<std::size_t>(1, std::min(options_.chunk_bytes, options_.max_record)),
                                         options_.budget);
    Cutter cutter(options_.cutting, options_.chunk_bytes, options_.max_record);
    Window window;
    while (true) {
      const Cut cut = cutter.cut(window.text(), ended_ && head_.empty() && !failure_);
      if (cut.kind == Cut::Kind::end) break;
      if (cut.kind != Cut::Kind::need_more) {
        if (!hand_out(queue, stop, window, cut)) return;
        continue;
      }
      const Fill filled = fill(window, cut.bytes, stop);
      if (filled == Fill::stopped) return;
      if (filled == Fill::enough) continue;
      const std::size_t whole = cutter.flush(window.text());
      if (whole > 0 && !hand_out(queue, stop, window, {Cut::Kind::records, whole})) return;
      if (filled == Fill::failed) failure_->raise();
    }
    file_->check_unchanged();
  }

  enum class Fill : std::uint8_t { enough, paused, failed, stopped };

  /// Brings the window to `wanted` bytes; fewer at the end of the data or when it pauses or fails.
  Fill fill(Window& window, std::size_t wanted, const std::stop_token& stop) {
    if (window.buffer == nullptr || window.at > 0 || window.buffer->capacity < wanted) {
      if (!renew(window, wanted, stop)) return Fill::stopped;
    }
    Wait wait{stop, std::nullopt};
    while (window.size() < wanted) {
      // Only bytes that came since the last flush set the clock: a half record must not make it tick for nothing.
      if (!file_->regular() && unflushed_) wait.deadline = oldest_ + options_.linger;
      const ReadResult result = read(window.buffer->data.get() + window.end, wanted - window.size(), wait);
      switch (result.state) {
        case ReadState::stopped: return Fill::stopped;
        case ReadState::end: return failure_ ? Fill::failed : Fill::enough;
        case ReadState::idle: unflushed_ = false; return Fill::paused;
        case ReadState::data: break;
      }
      window.end += result.bytes;
      if (!unflushed_) {
        unflushed_ = true;
        oldest_ = Clock::now();
      }
    }
    return Fill::enough;
  }

  /// Moves the window into a buffer that has room for `wanted` bytes. False: a stop was asked for.
  /// A buffer of which something was handed out is never written again, not even behind that: it may be read there.
  bool renew(Window& window, std::size_t wanted, const std::stop_token& stop) {
    const std::string_view carried = window.text();
    std::shared_ptr<Buffer> fresh;
    if (carried.size() > pool_->buffer_bytes()) {  // a long record: it has to be held, whatever the budget says
      fresh = pool_->take_now(wanted);
      std::memcpy(fresh->data.get(), carried.data(), carried.size());
    } else {
      // Hold nothing while waiting for the budget: the buffer waited for could be the one that is held.
      carry_.assign(carried);
      window.buffer.reset();
      fresh = pool_->take(wanted, stop);
      if (fresh == nullptr) return false;
      std::memcpy(fresh->data.get(), carry_.data(), carry_.size());
    }
    const std::size_t bytes = carried.size();
    window = {std::move(fresh), 0, bytes};
    return true;
  }

  bool hand_out(BoundedQueue<Item>& queue, const std::stop_token& stop, Window& window, const Cut& cut) {
    char* text = window.buffer->data.get() + window.at;
    // Behind the last byte that was read nothing has been written yet; readers of the padding see zeros.
    if (window.at + cut.bytes + kPadding > window.end && !padded(window)) {
      std::memset(window.buffer->data.get() + window.end, 0, kPadding);
    }
    Item item;
    item.chunk.offset = offset_;
    item.chunk.text = {text, cut.bytes};
    item.chunk.owner = window.buffer;
    item.chunk.oversized = cut.kind == Cut::Kind::oversized || cut.kind == Cut::Kind::oversized_end;
    item.chunk.oversized_end = cut.kind == Cut::Kind::oversized_end;
    item.chunk.broken_quote = cut.kind == Cut::Kind::broken_quote;
    offset_ += cut.bytes;
    window.at += cut.bytes;
    unflushed_ = false;
    return queue.push(std::move(item), stop);
  }

  /// True when the padding was written with an earlier chunk of the same buffer, whose owner may be reading it now.
  bool padded(const Window& window) {
    const bool before = padded_buffer_.lock() == window.buffer;
    padded_buffer_ = window.buffer;
    return before;
  }

  std::shared_ptr<RawFile> file_;
  ReadOptions options_;
  RawInput input_;
  std::unique_ptr<ByteSource> source_;
  std::atomic<Compression> compression_{Compression::none};
  std::shared_ptr<BufferPool> pool_;
  std::string carry_;  ///< of renew(), kept for its memory
  std::string head_;   ///< decoded ahead by peek(); what is left of it starts at head_at_
  std::size_t head_at_ = 0;
  bool mark_skipped_ = false;
  char last_skipped_ = '\n';  ///< byte in front of offset_
  bool ended_ = false;
  std::optional<Failure> failure_;
  std::uint64_t offset_ = 0;  ///< of the first byte that was not handed out
  bool unflushed_ = false;
  Clock::time_point oldest_;
  std::weak_ptr<Buffer> padded_buffer_;
};

class StreamReader final : public Reader {
 public:
  StreamReader(std::shared_ptr<RawFile> file, const ReadOptions& options)
      : producer_(std::move(file), options), queue_(kChunksAhead) {}

  std::string_view peek(std::size_t most, std::stop_token stop) override { return producer_.peek(most, stop); }

  bool sample(std::uint64_t offset, std::size_t most, std::string& out) const override {
    out.clear();
    if (compression() != Compression::none || !producer_.file().regular()) return false;
    const std::uint64_t end = size();
    out.resize(offset >= end ? 0 : static_cast<std::size_t>(std::min<std::uint64_t>(most, end - offset)));
    std::size_t got = 0;
    const bool can = producer_.file().read_at(offset, out.data(), out.size(), got);
    out.resize(got);
    return can;
  }

  void set_cutting(const Cutting& cutting) override { producer_.set_cutting(cutting); }
  void start_at(std::uint64_t offset, std::stop_token stop) override { producer_.start_at(offset, stop); }

  bool next(Chunk& out, std::stop_token stop) override {
    out.owner.reset();
    if (finished_ || stop.stop_requested()) return false;
    if (!thread_.joinable()) {
      thread_ = std::jthread([this](const std::stop_token& own) { producer_.run(queue_, own); });
    }
    std::optional<Item> item = queue_.pop(stop);
    if (!item) {
      finished_ = !stop.stop_requested();
      return false;
    }
    if (item->failure) {
      finished_ = true;
      item->failure->raise();
    }
    out.offset = item->chunk.offset;
    out.text = item->chunk.text;
    out.owner = std::move(item->chunk.owner);
    out.oversized = item->chunk.oversized;
    out.oversized_end = item->chunk.oversized_end;
    out.broken_quote = item->chunk.broken_quote;
    return true;
  }

  [[nodiscard]] bool damaged() const noexcept override { return false; }
  [[nodiscard]] Compression compression() const noexcept override { return producer_.compression(); }
  [[nodiscard]] std::uint64_t source_bytes_read() const noexcept override { return producer_.file().consumed(); }
  [[nodiscard]] std::uint64_t size() const noexcept override { return producer_.file().size(); }

 private:
  Producer producer_;
  BoundedQueue<Item> queue_;
  bool finished_ = false;
  std::jthread thread_;  ///< last: joined before what it uses goes
};

}  // namespace

std::unique_ptr<Reader> make_stream_reader(std::shared_ptr<RawFile> file, const ReadOptions& options) {
  return std::make_unique<StreamReader>(std::move(file), options);
}

}  // namespace penstock::io::detail
