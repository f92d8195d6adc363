#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "client/connection.h"

namespace penstock::cli {

enum class OutputFormat { table, csv, json_lines };

/// Prints a result to `out`: aligned columns and a row count, CSV with a header, or a JSON object a line. TIMESTAMP as
/// ISO 8601 in UTC, binary types as \x…, NULL as NULL (table), nothing (CSV) or null.
void print_result(client::Rows& rows, OutputFormat format, std::FILE* out);

/// "2013-01-01T05:00:00.000Z" with 3, 6 or 9 digits.
std::string time_text(std::int64_t time, data::Precision precision);

}  // namespace penstock::cli
