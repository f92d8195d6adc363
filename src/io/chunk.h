#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace penstock::io {

/// Bytes that may be read (not used) past the end of any chunk's text. At least simdjson's padding.
inline constexpr std::size_t kPadding = 64;

/// A run of whole records of one source.
struct Chunk {
  std::uint64_t seq = 0;     ///< 0, 1, 2, … over the run, in input order
  std::uint32_t source = 0;  ///< index of the source in the plan
  std::uint64_t offset = 0;  ///< of text.front() in the source, in decompressed bytes
  std::string_view text;     ///< kPadding readable bytes follow
  /// Mapping or pooled buffer behind `text`; keep a copy for as long as the text is needed.
  std::shared_ptr<const void> owner;
  /// What for_one_pass() hands on: bytes that the reader has read already, from `begin` in the source's text on.
  struct Read {
    std::shared_ptr<const char> bytes;
    const char* begin = nullptr;
  };
  Read read;
  /// `text` is a piece of one record that is longer than the limit: it is no row, only to be written to the rejects.
  bool oversized = false;
  bool oversized_end = false;  ///< the last piece of that record
  /// `text` is one line of CSV in which a quote opens that has no end within the limit: it is one row to reject as it
  /// is. The next chunk starts behind its newline, outside quotes.
  bool broken_quote = false;
};

}  // namespace penstock::io
