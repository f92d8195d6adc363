#pragma once

#include "format/csv_infer.h"
#include "format/guess.h"
#include "schema/mapping.h"

namespace penstock::cli {

/// The mapping that makes the same plan without a look at the data: what `given` said, and in place of what it left
/// open what the plan found.
/// `format` is csv, or ndjson, whose records have no delimiters. Where a column names the super tables, their columns
/// have types of their own, which stay open.
schema::CsvMapping found_mapping(const format::CsvPlan& plan, const schema::CsvMapping& given, format::Format format);

}  // namespace penstock::cli
