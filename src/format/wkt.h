#pragma once

#include <string>
#include <string_view>

namespace penstock::format {

/// Appends the WKB (little-endian, two dimensions, no SRID) of a well-known text to `wkb`: POINT, LINESTRING, POLYGON,
/// MULTIPOINT (with or without inner parentheses), MULTILINESTRING, MULTIPOLYGON, GEOMETRYCOLLECTION, each with EMPTY;
/// names in any case. Z and M coordinates are read and dropped, as TDengine does. A line needs two points, a ring four,
/// the last of them equal to the first.
/// Returns nullptr, or what is wrong as a sentence; then `wkb` is as it was.
const char* wkt_to_wkb(std::string_view text, std::string& wkb);

}  // namespace penstock::format
