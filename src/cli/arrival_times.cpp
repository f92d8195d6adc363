#include "cli/arrival_times.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <sstream>

namespace penstock::cli {

ArrivalTimes::Source& ArrivalTimes::source_at(std::uint32_t source) {
  if (source >= sources_.size()) sources_.resize(source + std::size_t{1});
  return sources_[source];
}

// The read that brought the byte at `offset`: the last one that begins there or before.
std::size_t ArrivalTimes::find(const Source& source, std::uint64_t offset) {
  const auto behind = std::upper_bound(source.reads.begin(), source.reads.end(), offset,
                                       [](std::uint64_t wanted, const Read& read) { return wanted < read.begin; });
  return behind == source.reads.begin() ? 0 : static_cast<std::size_t>(behind - source.reads.begin()) - 1;
}

void ArrivalTimes::note_read(std::uint32_t source, std::uint64_t begin, std::uint64_t end, std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  auto& s = source_at(source);
  // Read before a crash: it has its time.
  if (begin < s.end && !s.reads.empty()) {
    s.end = std::max(s.end, end);
    return;
  }
  auto time = now_ns;
  if (!s.reads.empty()) {
    // Times of one source never meet, whatever the clock does.
    const auto& last = s.reads.back();
    time = std::max(time, last.time + static_cast<std::int64_t>(begin - last.begin));
  }
  s.reads.push_back({begin, time, false, false});
  s.end = end;
}

std::int64_t ArrivalTimes::time_of(std::uint32_t source, std::uint64_t offset) {
  std::int64_t time = 0;
  std::vector<std::uint64_t> told;
  {
    const std::lock_guard lock(mutex_);
    auto& s = source_at(source);
    if (s.reads.empty()) return static_cast<std::int64_t>(offset);  // note_read() comes first
    auto& read = s.reads[find(s, offset)];
    read.told = true;
    time = read.time + static_cast<std::int64_t>(offset - read.begin);
    if (read.durable) return time;
    for (const auto& other : s.reads)
      if (other.told) told.push_back(other.begin);
  }
  keep_(source);
  const std::lock_guard lock(mutex_);
  // Not more than what was told before: others may have come while it was kept.
  for (auto& read : source_at(source).reads)
    if (std::binary_search(told.begin(), told.end(), read.begin)) read.durable = true;
  return time;
}

void ArrivalTimes::forget_before(std::uint32_t source, std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  auto& s = source_at(source);
  if (s.reads.empty()) return;
  s.reads.erase(s.reads.begin(), s.reads.begin() + static_cast<std::ptrdiff_t>(find(s, offset)));
}

std::string ArrivalTimes::state(std::uint32_t source) const {
  const std::lock_guard lock(mutex_);
  if (source >= sources_.size()) return {};
  const auto& s = sources_[source];
  std::string text;
  for (const auto& read : s.reads)
    if (read.told) fmt::format_to(std::back_inserter(text), " {}:{}", read.begin, read.time);
  return text.empty() ? text : std::to_string(s.end) + text;
}

void ArrivalTimes::restore(std::uint32_t source, const std::string& state) {
  Source s;
  std::istringstream in(state);
  if (!(in >> s.end)) return;
  Read read;
  char colon = 0;
  while (in >> read.begin >> colon >> read.time) {
    read.told = read.durable = true;
    s.reads.push_back(read);
  }
  const std::lock_guard lock(mutex_);
  source_at(source) = std::move(s);
}

}  // namespace penstock::cli
