#include "pipeline/ledger.h"

#include <cassert>

namespace penstock::pipeline {

void Ledger::open([[maybe_unused]] std::uint64_t seq, std::uint32_t source, std::uint64_t end_offset,
                  std::uint32_t parts, std::uint64_t rows, std::uint64_t rejected, std::uint64_t text_bytes,
                  std::uint64_t left_out) {
  const std::lock_guard lock(mutex_);
  assert(seq == base_ + open_.size() && "chunks are opened in order");
  open_.push_back({source, parts, end_offset});
  auto& s = sources_[source];
  s.read += rows;
  s.rejected += rejected;
  s.text_bytes += text_bytes;
  s.left_out += left_out;
  advance();
}

void Ledger::count(std::uint64_t seq, std::uint64_t written, std::uint64_t rejected, std::uint64_t merged, bool done) {
  const std::lock_guard lock(mutex_);
  assert(seq >= base_ && seq - base_ < open_.size() && "a part is settled once, after its chunk was opened");
  auto& entry = open_[seq - base_];
  auto& s = sources_[entry.source];
  s.written += written;
  s.rejected += rejected;
  s.merged += merged;
  if (!done) return;
  assert(entry.left > 0);
  --entry.left;
  advance();
}

void Ledger::advance() {
  while (!open_.empty() && open_.front().left == 0) {
    settled_[open_.front().source] = open_.front().end;
    open_.pop_front();
    ++base_;
  }
}

std::vector<SourceRows> Ledger::sources() const {
  const std::lock_guard lock(mutex_);
  return sources_;
}

SourceRows Ledger::total() const {
  SourceRows sum;
  for (const auto& s : sources()) {
    sum.read += s.read;
    sum.written += s.written;
    sum.rejected += s.rejected;
    sum.left_out += s.left_out;
    sum.merged += s.merged;
    sum.text_bytes += s.text_bytes;
  }
  return sum;
}

std::vector<Position> Ledger::settled() const {
  const std::lock_guard lock(mutex_);
  std::vector<Position> positions;
  for (std::uint32_t i = 0; i < settled_.size(); ++i) positions.push_back({i, settled_[i]});
  return positions;
}

}  // namespace penstock::pipeline
