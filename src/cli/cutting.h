#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/csv_dialect.h"
#include "format/guess.h"

/// A record taken apart for people to see. Parsers know better and faster; this only shows where things stand.
namespace penstock::cli {

/// An element of a record.
struct Piece {
  std::uint32_t column = 0;  ///< first byte in the record, from 1
  std::string what;          ///< "measurement", "tag host", "field usage", "timestamp", "column name", "member a.b"
  std::string_view text;     ///< as it stands in the record
};

/// The elements of a record of that format in their order. `dialect` and `names` (of the columns) are for CSV. Never
/// fails: of a broken record comes what can be recognised.
std::vector<Piece> cut_record(format::Format format, std::string_view record, const format::Dialect& dialect,
                              const std::vector<std::string>& names);

}  // namespace penstock::cli
