#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "io/reader.h"

namespace penstock::io {

/// A reader that does all as the one that it owns; a base for those that do one thing differently.
class WrappedReader : public Reader {
 public:
  explicit WrappedReader(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}

  std::string_view peek(std::size_t most, std::stop_token stop) override {
    return reader_->peek(most, std::move(stop));
  }
  bool sample(std::uint64_t offset, std::size_t most, std::string& out) const override {
    return reader_->sample(offset, most, out);
  }
  void set_cutting(const Cutting& cutting) override { reader_->set_cutting(cutting); }
  void start_at(std::uint64_t offset, std::stop_token stop) override { reader_->start_at(offset, std::move(stop)); }
  bool next(Chunk& out, std::stop_token stop) override { return reader_->next(out, std::move(stop)); }
  [[nodiscard]] bool damaged() const noexcept override { return reader_->damaged(); }
  [[nodiscard]] Compression compression() const noexcept override { return reader_->compression(); }
  [[nodiscard]] std::uint64_t source_bytes_read() const noexcept override { return reader_->source_bytes_read(); }
  [[nodiscard]] std::uint64_t size() const noexcept override { return reader_->size(); }

 private:
  std::unique_ptr<Reader> reader_;
};

}  // namespace penstock::io
