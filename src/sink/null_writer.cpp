#include "sink/null_writer.h"

#include "wire/frame.h"

namespace penstock::sink {
namespace {

// Any mask costs the same as a random one.
constexpr std::uint32_t kMask = 0x9E3779B9;

}  // namespace

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
    frame_.clear();
    wire::append_masked_frame(frame_, parts, kMask);
    for (const Run& run : request.runs) {
      run.child->exists = true;
      for (auto row = run.begin; row < run.end; ++row) window.note_written(window.rows()[row]);
    }
    for (const auto part : built.merged_parts) window.note_merged(part);
    const auto sent = std::chrono::steady_clock::now();
    observer_.waited(sent - made);
    observer_.acknowledged(request.rows, built.merged_parts.size(), built.by_precision, request.runs.size(),
                           encoder_.bytes(), sent - start);
  }
}

}  // namespace penstock::sink
