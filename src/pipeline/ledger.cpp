#include "pipeline/ledger.h"

#include <cassert>
#include <utility>

namespace penstock::pipeline {

SourceRows& SourceRows::operator+=(const SourceRows& other) noexcept {
  read += other.read;
  written += other.written;
  rejected += other.rejected;
  left_out += other.left_out;
  merged += other.merged;
  text_bytes += other.text_bytes;
  return *this;
}

SourceRows& SourceRows::operator-=(const SourceRows& other) noexcept {
  read -= other.read;
  written -= other.written;
  rejected -= other.rejected;
  left_out -= other.left_out;
  merged -= other.merged;
  text_bytes -= other.text_bytes;
  return *this;
}

std::uint32_t Ledger::add_source(const Settled& begin) {
  const std::lock_guard lock(mutex_);
  sources_.push_back({begin.rows, begin, false});
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

void Ledger::restore(std::uint32_t source, const Settled& settled) {
  const std::lock_guard lock(mutex_);
  sources_[source] = {settled.rows, settled, sources_[source].changed};
}

void Ledger::open([[maybe_unused]] std::uint64_t seq, std::uint32_t source, std::uint64_t end_offset,
                  std::uint32_t parts, std::uint64_t rows, std::uint64_t rejected, std::uint64_t text_bytes,
                  std::uint64_t left_out, std::uint64_t lines) {
  const std::lock_guard lock(mutex_);
  assert(seq == base_ + open_.size() && "chunks are opened in order");
  open_.push_back({source, parts, end_offset, lines, {rows, 0, rejected, left_out, 0, text_bytes}});
  sources_[source].rows += open_.back().rows;
  advance();
}

void Ledger::count(std::uint64_t seq, std::uint64_t written, std::uint64_t rejected, std::uint64_t merged, bool done) {
  const std::lock_guard lock(mutex_);
  assert(seq >= base_ && seq - base_ < open_.size() && "a part is settled once, after its chunk was opened");
  auto& entry = open_[seq - base_];
  const SourceRows part{0, written, rejected, 0, merged, 0};
  entry.rows += part;
  sources_[entry.source].rows += part;
  if (!done) return;
  assert(entry.left > 0);
  --entry.left;
  advance();
}

void Ledger::finish(std::uint32_t source, std::uint64_t next_seq) {
  const std::lock_guard lock(mutex_);
  assert(ends_.empty() || ends_.back().next_seq <= next_seq);
  ends_.push_back({next_seq, source});
  advance();
}

Settled& Ledger::change(std::uint32_t source) {
  auto& s = sources_[source];
  if (!std::exchange(s.changed, true)) changed_.push_back(source);
  return s.settled;
}

void Ledger::advance() {
  while (!open_.empty() && open_.front().left == 0) {
    const auto& entry = open_.front();
    auto& settled = change(entry.source);
    settled.offset = entry.end;
    settled.lines += entry.lines;
    settled.rows += entry.rows;
    open_.pop_front();
    ++base_;
  }
  for (; !ends_.empty() && ends_.front().next_seq <= base_; ends_.pop_front())
    change(ends_.front().source).finished = true;
}

std::vector<SourceRows> Ledger::sources() const {
  const std::lock_guard lock(mutex_);
  std::vector<SourceRows> all;
  all.reserve(sources_.size());
  for (const auto& source : sources_) all.push_back(source.rows);
  return all;
}

SourceRows Ledger::total() const {
  const std::lock_guard lock(mutex_);
  SourceRows sum;
  for (const auto& source : sources_) sum += source.rows;
  return sum;
}

std::vector<Settled> Ledger::settled() const {
  const std::lock_guard lock(mutex_);
  std::vector<Settled> all;
  all.reserve(sources_.size());
  for (const auto& source : sources_) all.push_back(source.settled);
  return all;
}

Settled Ledger::settled(std::uint32_t source) const {
  const std::lock_guard lock(mutex_);
  return sources_[source].settled;
}

std::vector<Ledger::Change> Ledger::take_changes() {
  const std::lock_guard lock(mutex_);
  std::vector<Change> changes;
  changes.reserve(changed_.size());
  for (const auto source : changed_) {
    changes.push_back({source, sources_[source].settled});
    sources_[source].changed = false;
  }
  changed_.clear();
  return changes;
}

}  // namespace penstock::pipeline
