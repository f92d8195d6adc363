#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "format/csv_dialect.h"
#include "format/csv_kernels.h"

/// Finds the fields and records of CSV text 64 bytes at a time.
namespace penstock::format {

/// Cuts a chunk into records and fields, a window of some 16 KiB at a time. Equal to cut_record() from record to
/// record, which it calls where quotes stand inside unquoted fields, are open at the end, or where there is an escape
/// character. One thread; keeps its memory between chunks.
class CsvIndex {
 public:
  /// A record with an opening quote without end.
  struct Broken {
    std::uint32_t record;  ///< index in record_ends()
    std::uint32_t at;      ///< where the quote stands, in the text
  };

  /// `text` has io::kPadding readable bytes behind it, is shorter than 4 GiB, and stays until the last next().
  void start(std::string_view text, const Dialect& dialect);
  /// The records of the next window; false at the end.
  bool next();

  /// Ends of the fields of all records of the window, in order, as offsets in the text. The last of a record may lie on
  /// a '\r' or '\n' or at the end of the text; a '\r' before the end of the line still belongs to the field. At least
  /// kCsvLanes entries more can be read.
  [[nodiscard]] std::uint32_t* ends() noexcept { return ends_.data(); }
  /// [records] one past the last field of each record, as an index in ends(). A broken record has one field: all of it.
  [[nodiscard]] std::span<const std::uint32_t> record_ends() const noexcept { return {record_ends_.data(), records_}; }
  /// Where the first record of the window starts; the others start one behind the end of their predecessor's last field
  /// as it was before the caller changed it.
  [[nodiscard]] std::uint32_t window_begin() const noexcept { return window_begin_; }
  [[nodiscard]] const std::vector<Broken>& broken() const noexcept { return broken_; }
  /// '\n' of all windows so far; of the whole text once next() has returned false.
  [[nodiscard]] std::uint64_t lines() const noexcept { return lines_; }

 private:
  void walk(std::size_t blocks);
  std::size_t walk_masks(std::size_t blocks);
  std::size_t walk_masks_popcnt(std::size_t blocks);
  void end_record();
  void cut_slowly();
  void count_lines_to(std::size_t position);

  const CsvKernels* kernels_ = &csv_kernels();
  std::string_view text_;
  Dialect dialect_;
  bool slow_ = false;              // each record by cut_record()
  std::size_t position_ = 0;       // of the next block
  std::size_t record_begin_ = 0;   // of the record that is not finished
  std::size_t field_count_ = 0;    // used entries of ends_
  std::size_t record_fields_ = 0;  // entry of ends_ where the unfinished record begins
  std::size_t window_bytes_ = 0;
  std::size_t counted_to_ = 0;  // lines_ counts the newlines before it
  std::uint32_t window_begin_ = 0;
  std::uint64_t inside_ = 0;       // all ones: inside quotes
  std::uint64_t field_start_ = 1;  // 1: the byte before the next block lets a quote open
  std::uint64_t lines_ = 0;
  std::vector<std::uint32_t> ends_;
  std::vector<std::uint32_t> record_ends_;  // [more than records_]
  std::size_t records_ = 0;
  std::vector<std::uint32_t> slow_ends_;
  std::vector<Broken> broken_;
  std::vector<CsvMasks> masks_;
  std::vector<std::uint64_t> cuts_;  // [blocks] where fields end
};

}  // namespace penstock::format
