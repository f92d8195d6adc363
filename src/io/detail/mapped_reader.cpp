#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "io/detail/buffer_pool.h"
#include "io/detail/mapping.h"
#include "io/detail/readers.h"

namespace penstock::io::detail {
namespace {

/// How far ahead of the cutting a file that is not in the page cache is fetched.
constexpr std::size_t kFetchBytes = std::size_t{8} << 20;

/// Owner of one chunk: keeps the mapping, and takes the chunk's pages out of memory when it goes, so that the resident
/// size of the process does not grow with the file.
struct Part {
  std::shared_ptr<const Mapping> mapping;
  std::string_view text;

  Part(std::shared_ptr<const Mapping> m, std::string_view t) : mapping(std::move(m)), text(t) {}
  ~Part() { mapping->drop(text); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
};

class MappedReader final : public Reader {
 public:
  MappedReader(std::shared_ptr<RawFile> file, const ReadOptions& options)
      : file_(file),
        options_(options),
        mapping_(std::make_shared<Mapping>(file)),
        buffers_(std::make_shared<BufferPool>(options.chunk_bytes, options.budget)),
        cutter_(options.cutting, options.chunk_bytes, options.max_record) {
    mapping_->set_buffers(buffers_);
  }

  std::string_view peek(std::size_t most, std::stop_token) override {
    skip_mark();
    return mapping_->text().substr(at_, most);
  }

  bool sample(std::uint64_t offset, std::size_t most, std::string& out) const override {
    out.resize(offset >= size() ? 0 : static_cast<std::size_t>(std::min<std::uint64_t>(most, size() - offset)));
    std::size_t got = 0;
    const bool can = file_->read_at(offset, out.data(), out.size(), got);
    out.resize(got);
    return can;
  }

  void set_cutting(const Cutting& cutting) override {
    options_.cutting = cutting;
    std::destroy_at(&cutter_);
    std::construct_at(&cutter_, cutting, options_.chunk_bytes, options_.max_record);
  }

  void start_at(std::uint64_t offset, std::stop_token) override {
    if (offset > size()) {
      throw Error(Errc::io, "cannot go on at byte " + std::to_string(offset) + " of '" + printable(file_->name(), 400) +
                                "': it has only " + std::to_string(size()) +
                                " bytes; it is not the file that was read before");
    }
    skip_mark();
    at_ = std::max(at_, static_cast<std::size_t>(offset));
  }

  bool next(Chunk& out, std::stop_token stop) override {
    out.owner.reset();
    out.read = {};
    if (finished_ || stop.stop_requested()) return false;
    skip_mark();
    if (at_ + kFetchBytes / 2 >= fetched_ && fetched_ < size()) {
      mapping_->fetch(std::max(fetched_, at_), kFetchBytes);
      fetched_ = std::max(fetched_, at_) + kFetchBytes;
    }
    const Cut cut = cutter_.looks_at_all() ? cut_by_reading(out) : cut_lines();
    if (mapping_->damaged()) {
      finished_ = true;
      file_->throw_truncated();
    }
    if (cut.kind == Cut::Kind::end) {
      finished_ = true;
      file_->check_unchanged();
      return false;
    }
    const std::string_view text = mapping_->text().substr(at_, cut.bytes);
    out.offset = at_;
    out.text = text;
    out.owner = std::make_shared<const Part>(mapping_, text);
    out.oversized = cut.kind == Cut::Kind::oversized || cut.kind == Cut::Kind::oversized_end;
    out.oversized_end = cut.kind == Cut::Kind::oversized_end;
    out.broken_quote = cut.kind == Cut::Kind::broken_quote;
    at_ += cut.bytes;
    read_.store(at_, std::memory_order_relaxed);
    return true;
  }

  [[nodiscard]] bool damaged() const noexcept override { return mapping_->damaged(); }
  [[nodiscard]] Compression compression() const noexcept override { return Compression::none; }
  [[nodiscard]] std::uint64_t source_bytes_read() const noexcept override {
    return read_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t size() const noexcept override { return file_->size(); }

 private:
  void skip_mark() {
    if (std::exchange(mark_skipped_, true)) return;
    at_ = skip_byte_order_mark(mapping_->text().substr(0, 4), file_->name());
  }

  // Lines are cut by a look at the end of each chunk, without a touch of the mapping where that tells: a page that
  // comes in has to go out again, which all threads feel.
  Cut cut_lines() {
    if (size() - at_ > cutter_.chunk_bytes()) {
      for (const std::size_t most : {std::size_t{4} << 10, sizeof end_}) {
        const auto bytes = std::min(most, cutter_.chunk_bytes());
        mapping_->read(at_ + cutter_.chunk_bytes() - bytes, end_, bytes);
        const Cut cut = cutter_.cut_by_end({end_, bytes});
        if (cut.kind != Cut::Kind::need_more) return cut;
      }
    }
    return cutter_.cut(mapping_->text().substr(at_), true);
  }

  // The other cuts go over all of the text: who parses the chunk gets the bytes that were read for it.
  Cut cut_by_reading(Chunk& out) {
    for (std::size_t window = cutter_.chunk_bytes();;) {
      const std::size_t left = size() - at_;
      window = std::min(window, left);
      auto buffer = buffers_->take_now(window);
      char* const bytes = buffer->data.get();
      mapping_->read(at_, bytes, window);
      const Cut cut = cutter_.cut({bytes, window}, window == left);
      if (cut.kind == Cut::Kind::records) out.read = {{std::move(buffer), bytes}, mapping_->text().data() + at_};
      if (cut.kind != Cut::Kind::need_more) return cut;
      window = cut.bytes;
    }
  }

  std::shared_ptr<RawFile> file_;
  ReadOptions options_;
  std::shared_ptr<Mapping> mapping_;
  std::shared_ptr<BufferPool> buffers_;
  Cutter cutter_;
  char end_[std::size_t{64} << 10];
  std::size_t at_ = 0;
  std::size_t fetched_ = 0;
  bool mark_skipped_ = false;
  bool finished_ = false;
  std::atomic<std::uint64_t> read_{0};
};

}  // namespace

std::unique_ptr<Reader> make_mapped_reader(std::shared_ptr<RawFile> file, const ReadOptions& options) {
  return std::make_unique<MappedReader>(std::move(file), options);
}

}  // namespace penstock::io::detail
