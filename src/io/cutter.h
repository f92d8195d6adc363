#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "simd/bytes.h"
#include "simd/json.h"

namespace penstock::io {

/// Where one record ends and the next begins.
enum class Splitting : std::uint8_t {
  lines,  ///< at each '\n'
  csv,    ///< at each '\n' outside quotes
  json,   ///< behind each object that is in no other one, as simd::next_json_record() finds them
};

/// How a source is cut into records.
struct Cutting {
  Splitting splitting = Splitting::lines;
  /// csv only. A quote opens a quoted field only as the first byte of a field, so the delimiter must be the right one;
  /// the parser has to read quotes as simd::CsvState describes. A quote of NUL: no quoting, the same as lines.
  simd::CsvMarks marks;
};

/// What to do with the front of a window.
struct Cut {
  enum class Kind : std::uint8_t {
    need_more,      ///< nothing yet: come again with a window of `bytes` bytes, or with what there is at the end
    end,            ///< the window is empty and the last
    records,        ///< `bytes` bytes of whole records
    broken_quote,   ///< `bytes` bytes: one line with an opening quote that has no end
    oversized,      ///< `bytes` bytes of a record longer than the limit; more pieces follow
    oversized_end,  ///< the last piece of it
  };
  Kind kind = Kind::need_more;
  std::size_t bytes = 0;
};

/// Decides where a source is cut into chunks. Sees a window: the bytes of the source from the last cut on, as many as
/// the caller has. The cuts depend on the bytes alone and not on the sizes of the windows (except for flush()), so a
/// mapped file and a pipe give the same chunks. One thread.
///
/// - A chunk ends behind the last record end within `chunk_bytes`, or behind the next one if there is none.
/// - A record longer than `max_record` (with its newline) comes in pieces and ends at the next newline, quoted or not;
/// JSON: where the next object seems to start.
/// - A quote that is still open at the end of the source or `max_record` bytes behind the start of its record is
/// broken:
///   the first line of that record is cut off as broken and the next one is the start of a record again. As each costs
///   a scan over max_record bytes, the limit halves with each (not below 64 KiB) until max_record good bytes have
///   passed: a file of nothing but such lines must not take for ever.
class Cutter {
 public:
  /// Sizes of at least 1; a chunk_bytes above max_record counts as max_record.
  Cutter(const Cutting& cutting, std::size_t chunk_bytes, std::size_t max_record);

  /// `last`: nothing comes behind the window. The caller drops `bytes` bytes of the window (unless need_more) before
  /// the next call.
  Cut cut(std::string_view window, bool last);
  /// For a source that can be read anywhere: the cut that cut() makes of a window of more than chunk_bytes() bytes,
  /// told by the end of its first chunk_bytes() bytes alone. need_more: that does not tell; `bytes` means nothing then.
  Cut cut_by_end(std::string_view end_of_chunk);
  [[nodiscard]] std::size_t chunk_bytes() const noexcept { return chunk_bytes_; }
  /// The size of the whole records at the front of the window, without waiting for a full chunk: for a source that
  /// pauses or breaks off. 0: none. The caller drops them.
  std::size_t flush(std::string_view window);
  /// True between the first and the last piece of an oversized record.
  [[nodiscard]] bool in_oversized() const noexcept { return in_oversized_; }
  /// False: only the end of a chunk is looked at, as long as records are shorter than chunks.
  [[nodiscard]] bool looks_at_all() const noexcept { return cutting_.splitting != Splitting::lines; }

 private:
  Cut cut_lines(std::string_view window, bool last);
  Cut cut_csv(std::string_view window, bool last);
  Cut extend_csv(std::string_view window, bool last);
  Cut cut_json(std::string_view window, bool last);
  Cut cut_oversized(std::string_view window, bool last);
  Cut cut_oversized_json(std::string_view window, bool last);
  Cut start_oversized(std::size_t bytes);
  Cut take_records(std::size_t bytes, std::size_t scanned);
  Cut take_broken(std::size_t bytes);
  Cut more(std::string_view window, std::size_t least) const;
  [[nodiscard]] bool open_quote() const noexcept {
    return state_ == simd::CsvState::quoted || state_ == simd::CsvState::escaped_in_quotes;
  }
  void reset();

  const Cutting cutting_;
  const std::size_t chunk_bytes_;
  const std::size_t max_record_;
  std::size_t quote_limit_;     ///< as max_record_, for records with an open quote
  std::size_t good_bytes_ = 0;  ///< since the last broken quote
  std::size_t scanned_ = 0;     ///< no record ends within this many bytes of the window
  bool extending_ = false;      ///< the first record of the window is longer than a chunk
  bool in_oversized_ = false;
  simd::CsvState state_ = simd::CsvState::field_start;  ///< behind scanned_
  simd::JsonResync resync_;                             ///< inside an oversized record
};

}  // namespace penstock::io
