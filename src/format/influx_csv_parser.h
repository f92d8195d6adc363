#pragma once

#include <memory>
#include <string>

#include "format/influx_csv_tables.h"
#include "format/parser.h"
#include "schema/naming.h"
#include "schema/registry.h"

namespace penstock::format {

struct InfluxCsvOptions {
  schema::NamingRules naming;
  /// Nanoseconds. A row outside is refused with 0x060B.
  TimeRange range;
  /// Super table of tables without a _measurement.
  std::string table;
};

/// Annotated CSV of InfluxDB 2. A row becomes what the same point in line protocol would become: super table and child
/// table names are the same, tags NCHAR; the columns have the types of #datatype (long BIGINT, unsignedLong BIGINT
/// UNSIGNED, double DOUBLE, boolean BOOL, string and duration VARCHAR, base64Binary VARBINARY, dateTime TIMESTAMP).
///
/// A table with _field and _value gives one field a row; its texts are tags. In a pivoted table the columns of the
/// group key are tags and the others fields, of which empty ones are not given. A row without any value gives NULL.
/// _start, _stop, result and table are passed over. Rows have the time unit nanoseconds.
///
/// The chunks of a source must have been seen by its outline. One thread at a time; many parsers share a Registry and
/// an outline.
class InfluxCsvParser : public Parser {
 public:
  InfluxCsvParser(schema::Registry& registry, std::shared_ptr<InfluxCsvOutline> outline, InfluxCsvOptions options = {});
  ~InfluxCsvParser() override;
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace penstock::format
