#include "sink/null_writer.h"

#include <algorithm>
#include <cstring>

namespace penstock::sink {

void NullWriter::mask(const wire::Stmt2Encoder::Parts& parts) {
  // Any key costs the same as a random one.
  constexpr std::uint64_t kKey = 0x9E3779B99E3779B9;
  for (std::string_view part : parts) {
    while (!part.empty()) {
      const std::size_t size = std::min(part.size(), frame_.size());
      const std::size_t words = size / sizeof kKey;
      for (std::size_t i = 0; i < words; ++i) {
        std::uint64_t word = 0;
        std::memcpy(&word, part.data() + i * sizeof word, sizeof word);
        word ^= kKey;
        std::memcpy(frame_.data() + i * sizeof word, &word, sizeof word);
      }
      for (std::size_t i = words * sizeof kKey; i < size; ++i) frame_[i] = static_cast<char>(part[i] ^ 0x5A);
      part.remove_prefix(size);
    }
  }
}

void NullWriter::write(Window& window) {
  const auto grouping = std::chrono::steady_clock::now();
  window.group();
  observer_.built(std::chrono::steady_clock::now() - grouping);
  RequestPlanner planner(window, options_);
  RequestBuilder builder(window, options_.precision);
  Request request;
  while (planner.next(request)) {
    const auto start = std::chrono::steady_clock::now();
    const Built built = builder.build(request, encoder_);
    const auto parts = encoder_.parts(1, 1);
    const auto made = std::chrono::steady_clock::now();
    observer_.built(made - start);
    observer_.before_send(request.rows, encoder_.bytes());
    mask(parts);
    for (const Run& run : request.runs) {
      run.child->exists = true;
      for (auto row = run.begin; row < run.end; ++row) window.note_written(window.rows()[row]);
    }
    for (const auto part : built.merged_parts) window.note_merged(part);
    const auto sent = std::chrono::steady_clock::now();
    observer_.waited(sent - made);
    observer_.acknowledged(request.rows, built.merged_parts.size(), built.by_precision, request.runs.size(), encoder_.bytes(),
                           sent - start);
  }
}

}  // namespace penstock::sink
