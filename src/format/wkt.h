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

/// How coordinates are written.
enum class WktNumbers {
  shortest,    ///< the fewest digits that read back as the same double
  six_digits,  ///< six behind the point, as TDengine's st_astext
};
/// Appends the text of a WKB such as wkt_to_wkb() makes: "POINT (1 2)", EMPTY where a geometry has no point. False: the
/// bytes are none; then `text` is as it was. NaN coordinates are written as POINT EMPTY only in `shortest`.
bool wkb_to_wkt(std::string_view wkb, std::string& text, WktNumbers numbers = WktNumbers::shortest);

}  // namespace penstock::format
