#include "cli/influx_csv_source.h"

#include <utility>

namespace penstock::cli {
namespace {

class OutlinedReader final : public io::Reader {
 public:
  OutlinedReader(std::unique_ptr<io::Reader> reader, std::shared_ptr<format::InfluxCsvOutline> outline)
      : reader_(std::move(reader)), outline_(std::move(outline)) {}
  std::string_view peek(std::size_t most, std::stop_token stop) override {
    return reader_->peek(most, std::move(stop));
  }
  bool sample(std::uint64_t offset, std::size_t most, std::string& out) const override {
    return reader_->sample(offset, most, out);
  }
  void set_cutting(const io::Cutting& cutting) override { reader_->set_cutting(cutting); }
  void start_at(std::uint64_t offset, std::stop_token stop) override { reader_->start_at(offset, std::move(stop)); }
  bool next(io::Chunk& out, std::stop_token stop) override {
    if (!reader_->next(out, std::move(stop))) return false;
    outline_->see(out);
    return true;
  }
  [[nodiscard]] bool damaged() const noexcept override { return reader_->damaged(); }
  [[nodiscard]] io::Compression compression() const noexcept override { return reader_->compression(); }
  [[nodiscard]] std::uint64_t source_bytes_read() const noexcept override { return reader_->source_bytes_read(); }
  [[nodiscard]] std::uint64_t size() const noexcept override { return reader_->size(); }

 private:
  std::unique_ptr<io::Reader> reader_;
  std::shared_ptr<format::InfluxCsvOutline> outline_;
};

}  // namespace

std::unique_ptr<io::Reader> outlined(std::unique_ptr<io::Reader> reader,
                                     std::shared_ptr<format::InfluxCsvOutline> outline) {
  reader->set_cutting({io::Splitting::csv, {',', '"', '\0'}});
  return std::make_unique<OutlinedReader>(std::move(reader), std::move(outline));
}

}  // namespace penstock::cli
