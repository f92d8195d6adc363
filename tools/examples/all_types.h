#pragma once

#include <limits>
#include <string>
#include <vector>

#include "example.h"

/// A table with a column of every type, and rows for it.
namespace example {

inline const char* const kAllTypes =
    "CREATE TABLE IF NOT EXISTS all_types (ts TIMESTAMP, b BOOL, i1 TINYINT, i2 SMALLINT, i4 INT, i8 BIGINT, "
    "u1 TINYINT UNSIGNED, u2 SMALLINT UNSIGNED, u4 INT UNSIGNED, u8 BIGINT UNSIGNED, f FLOAT, d DOUBLE, s VARCHAR(40), "
    "n NCHAR(40), vb VARBINARY(40), g GEOMETRY(100), d64 DECIMAL(10, 2), d128 DECIMAL(38, 10))";
inline constexpr std::size_t kColumns = 18;

/// BLOB has a table of its own: a table may have one such column.
inline const char* const kBlobs = "CREATE TABLE IF NOT EXISTS blobs (ts TIMESTAMP, v INT, b BLOB)";

/// POINT (1 2) as well-known binary.
inline std::string point() {
  return std::string("\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x40", 21);
}

/// The smallest values, the largest ones, and NULLs.
inline std::vector<std::vector<client::Value>> all_type_rows() {
  using client::Binary, client::Decimal, client::Geometry, client::Timestamp;
  constexpr std::int64_t kBegin = 1'700'000'000'000;
  using Signed = std::numeric_limits<std::int64_t>;
  std::vector<std::vector<client::Value>> rows;
  rows.push_back({Timestamp{kBegin}, false, std::int64_t{-128}, std::int64_t{-32768}, std::int64_t{-2147483647} - 1,
                  Signed::min() + 1, std::uint64_t{0}, std::uint64_t{0}, std::uint64_t{0}, std::uint64_t{0}, -1.25F,
                  -2.5e300, std::string(), std::string(), Binary{std::string("\0\xff", 2)}, Geometry{point()},
                  Decimal::parse("-12345678.90", 10, 2),
                  Decimal::parse("-1234567890123456789012345678.0123456789", 38, 10)});
  rows.push_back({Timestamp{kBegin + 1}, true, std::int64_t{127}, std::int64_t{32767}, std::int64_t{2147483647},
                  Signed::max(), std::uint64_t{255}, std::uint64_t{65535}, std::uint64_t{4294967295},
                  std::numeric_limits<std::uint64_t>::max(), 3.5F, 2.5e300, std::string("it's \"quoted\" \\"),
                  std::string("中文 😀 ä"), Binary{"abc"}, Geometry{point()}, Decimal::parse("0.01", 10, 2),
                  Decimal::parse("0.0000000001", 38, 10)});
  rows.emplace_back(kColumns, client::Null{});
  rows.back()[0] = Timestamp{kBegin + 2};
  return rows;
}

/// Compares what a result holds with the rows above.
inline void check_all_types(client::Rows& result) {
  const auto wanted = all_type_rows();
  const auto got = result.fetch_all();
  check("rows", got.size(), wanted.size());
  for (std::size_t row = 0; row < std::min(got.size(), wanted.size()); ++row)
    for (std::size_t column = 0; column < kColumns; ++column)
      check("row " + std::to_string(row) + ", column " + result.fields()[column].name + " is as written",
            got[row][column] == wanted[row][column], true);
}

}  // namespace example
