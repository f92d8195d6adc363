#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "options.h"
#include "shape.h"
#include "text_buffer.h"

namespace penstock::generator {

/// Writes rows in one format. Not thread-safe; keeps the text of the last timestamp.
class Encoder {
 public:
  /// `options` is complete and, like `shape`, outlives the encoder.
  static std::unique_ptr<Encoder> make(const Options& options, const Shape& shape);
  virtual ~Encoder() = default;

  /// What stands before the first and after the last record.
  virtual void begin(TextBuffer&) {}
  virtual void end(TextBuffer&) {}
  /// Lines that are no records: the header of CSV, the brackets of JSON.
  [[nodiscard]] virtual std::uint64_t extra_lines() const { return 0; }
  /// True when each field of a row is a record of its own.
  [[nodiscard]] virtual bool record_per_field() const { return false; }
  /// Writes the fields of `row` that `fields` names: one record, or one for each.
  virtual void write(TextBuffer& out, const Row& row, std::uint32_t fields) = 0;
  /// Names of the malformed records that write_bad() knows.
  [[nodiscard]] virtual std::span<const std::string_view> bad_kinds() const = 0;
  virtual void write_bad(TextBuffer& out, const Row& row, std::size_t kind) = 0;

 protected:
  Encoder(const Options& options, const Shape& shape);
  /// The time of a row as it stands in a record; the view is good until the next call.
  std::string_view time_text(std::uint32_t step);
  /// Pieces "<before><value><after>" for each value of each tag; the host tag has one, "<before><prefix>".
  void make_tag_pieces(std::string_view separator, std::string_view equals, std::string_view before,
                       std::string_view after);
  /// The tags of a row, each with its separator; the missing one is skipped.
  void put_tags(TextBuffer& out, const Row& row) const;
  void put_value(TextBuffer& out, const Row& row, std::size_t column) const {
    out.put_scaled(row.values[column], shape_.tables[row.table].columns[column].decimals);
  }
  /// The tags of a row as text, for malformed records; `out` is left as it was.
  std::string tags_text(TextBuffer& out, const Row& row) const;
  [[nodiscard]] const Table& table_of(const Row& row) const { return shape_.tables[row.table]; }

  const Options& options_;
  const Shape& shape_;
  std::vector<std::vector<Piece>> tag_pieces_;  // [tag][value]
  Piece after_host_;
  std::vector<Piece> missing_piece_;  // [tag]: what stands for a missing one (CSV: an empty cell)

 private:
  std::uint32_t time_step_ = UINT32_MAX;
  std::string time_;
};

std::unique_ptr<Encoder> make_line_encoder(const Options& options, const Shape& shape);
std::unique_ptr<Encoder> make_csv_encoder(const Options& options, const Shape& shape);
std::unique_ptr<Encoder> make_telnet_encoder(const Options& options, const Shape& shape);
std::unique_ptr<Encoder> make_json_encoder(const Options& options, const Shape& shape);

}  // namespace penstock::generator
