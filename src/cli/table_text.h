#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "client/connection.h"

namespace penstock::cli {

enum class OutputFormat { table, csv, json_lines };

/// Prints a result to `out`: aligned columns and a row count, CSV with a header, or a JSON object a line. TIMESTAMP as
/// ISO 8601 in UTC, GEOMETRY as well-known text, other binary types as \x…, FLOAT and DOUBLE with the fewest digits
/// that read back as the same number, NULL as NULL (table), nothing (CSV) or null. CSV is what `load` reads back to the
/// same values: an empty text, and one that reads NULL, stand in quotes.
void print_result(client::Rows& rows, OutputFormat format, std::FILE* out);

/// "2013-01-01T05:00:00.000Z" with 3, 6 or 9 digits.
std::string time_text(std::int64_t time, data::Precision precision);

}  // namespace penstock::cli
