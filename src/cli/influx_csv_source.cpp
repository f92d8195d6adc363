#include "cli/influx_csv_source.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/error.h"
#include "io/wrapped_reader.h"

namespace penstock::cli {
namespace {

class OutlinedReader final : public io::WrappedReader {
 public:
  OutlinedReader(std::unique_ptr<io::Reader> reader, std::shared_ptr<format::InfluxCsvOutline> outline)
      : WrappedReader(std::move(reader)), outline_(std::move(outline)) {}
  // Which table the rows behind `offset` are of is told by all the text before it.
  void start_at(std::uint64_t offset, std::stop_token stop) override {
    io::Chunk chunk;
    std::uint64_t at = 0;
    while (at < offset) {
      if (!WrappedReader::next(chunk, stop)) {
        if (stop.stop_requested()) return;
        throw Error(Errc::io,
                    fmt::format("cannot go on at byte {}: the data ends at byte {}; it is not the file that was "
                                "read before",
                                offset, at));
      }
      at = chunk.offset + chunk.text.size();
      if (at <= offset) {
        outline_->see(chunk);
        outline_->take(chunk.offset);
        continue;
      }
      // A pipe that paused elsewhere was cut elsewhere.
      auto before = chunk;
      before.text = chunk.text.substr(0, offset - chunk.offset);
      outline_->see(before);
      outline_->take(before.offset);
      chunk.text.remove_prefix(before.text.size());
      chunk.offset = offset;
      outline_->see(chunk);
      rest_ = std::move(chunk);
    }
  }
  bool next(io::Chunk& out, std::stop_token stop) override {
    if (rest_) {
      out = *std::exchange(rest_, std::nullopt);
      return true;
    }
    if (!WrappedReader::next(out, std::move(stop))) return false;
    outline_->see(out);
    return true;
  }

 private:
  std::shared_ptr<format::InfluxCsvOutline> outline_;
  std::optional<io::Chunk> rest_;  // of the chunk in which start_at() ended
};

}  // namespace

std::unique_ptr<io::Reader> outlined(std::unique_ptr<io::Reader> reader,
                                     std::shared_ptr<format::InfluxCsvOutline> outline) {
  reader->set_cutting({io::Splitting::csv, {',', '"', '\0'}});
  return std::make_unique<OutlinedReader>(std::move(reader), std::move(outline));
}

}  // namespace penstock::cli
