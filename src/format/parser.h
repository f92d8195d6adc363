#pragma once

#include <cstdint>
#include <functional>

#include "data/row_set.h"
#include "io/chunk.h"

namespace penstock::format {

/// Turns chunks into rows. One instance per worker: what it caches needs no lock.
class Parser {
 public:
  virtual ~Parser() = default;
  /// Appends the good records of the chunk to `rows` and the bad ones to its rejects; a bad record never ends the
  /// chunk. Blank lines and comments are neither. Virtual once per chunk, never per row.
  virtual void parse(const io::Chunk& chunk, data::RowSet& rows) = 0;
};

/// Time of a record that gives none, in nanoseconds since 1970, by where it stands: `offset` bytes into the source. The
/// same each time it is asked, so that a record that is read again after a crash becomes the same row. Any thread.
using RecordClock = std::function<std::int64_t(std::uint32_t source, std::uint64_t offset)>;

/// What a parser checks of every timestamp before it makes a row, in RowSet::time_unit() of the format.
struct TimeRange {
  std::int64_t first = INT64_MIN;
  std::int64_t last = INT64_MAX;
};

}  // namespace penstock::format
