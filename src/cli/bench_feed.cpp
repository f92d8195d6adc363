#include "cli/bench_feed.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "io/chunk.h"

namespace penstock::cli {
namespace {

constexpr std::size_t kDigits = 19;

// Makes the times at the ends of the lines later. Lines of one moment follow one another: what it becomes is worked out
// once.
void shift_times(char* text, std::size_t bytes, std::int64_t shift_ns) {
  char before[kDigits] = {};
  char after[kDigits] = {};
  for (char* line = text; line < text + bytes;) {
    auto* const end = static_cast<char*>(std::memchr(line, '\n', static_cast<std::size_t>(text + bytes - line)));
    char* const digits = end - kDigits;
    if (std::memcmp(digits, before, kDigits) != 0) {
      std::memcpy(before, digits, kDigits);
      std::int64_t time = 0;
      std::from_chars(digits, end, time);
      std::to_chars(after, after + kDigits, time + shift_ns);
    }
    std::memcpy(digits, after, kDigits);
    line = end + 1;
  }
}

}  // namespace

bool BenchFeed::next(io::Chunk& chunk, Reading& reading, const std::stop_token& stop) {
  const auto now = std::chrono::steady_clock::now();
  if (!start_) start_ = now;
  if (stop.stop_requested() || rows_ >= until_.rows || (until_.time && now - *start_ >= *until_.time)) return false;
  const auto text = lines_.text();
  if (at_ == text.size()) {
    at_ = 0;
    shift_ns_ += lines_.span_ns();
  }
  // Whole lines, and no more of them than are wanted.
  auto end = at_ + std::min(chunk_bytes_, text.size() - at_);
  end = end < text.size() ? text.rfind('\n', end - 1) + 1 : end;
  if (end <= at_) end = text.find('\n', at_) + 1;
  auto piece = text.substr(at_, end - at_);
  auto rows = static_cast<std::uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
  if (rows > until_.rows - rows_) {
    rows = until_.rows - rows_;
    std::size_t bytes = 0;
    for (std::uint64_t row = 0; row < rows; ++row) bytes = piece.find('\n', bytes) + 1;
    piece = piece.substr(0, bytes);
  }
  chunk.seq = seq_++;
  chunk.source = 0;
  chunk.offset = offset_;
  chunk.text = piece;
  if (shift_ns_ != 0) {
    const std::shared_ptr<char[]> copy(new char[piece.size() + io::kPadding]);
    std::memcpy(copy.get(), piece.data(), piece.size());
    std::memset(copy.get() + piece.size(), 0, io::kPadding);
    shift_times(copy.get(), piece.size(), shift_ns_);
    chunk.text = {copy.get(), piece.size()};
    chunk.owner = copy;
  }
  reading.parsers = parsers_;
  rows_ += rows;
  at_ += piece.size();
  offset_ += piece.size();
  return true;
}

}  // namespace penstock::cli
