#pragma once

#include <cstdint>

#include "format/line_parser.h"
#include "format/line_test_text.h"

namespace penstock::format {

using ParsedLine = ParsedLines<LineParser, LineOptions>;

/// With a clock that stands still and times from 1970 on.
inline LineOptions options_of(bool predict, bool wide) {
  LineOptions options;
  options.predict = predict;
  options.wide = wide;
  options.clock = [] { return std::int64_t{1'700'000'000'000'000'000}; };
  options.range = {0, INT64_MAX};
  return options;
}

}  // namespace penstock::format
