#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "format/parser.h"
#include "schema/naming.h"
#include "schema/registry.h"

namespace penstock::format {

struct TelnetOptions {
  schema::NamingRules naming;
  /// Nanoseconds. A row outside is refused with 0x060B.
  TimeRange range;
  /// Time of a record with the timestamp 0, in nanoseconds since 1970. Default: the system's clock.
  std::function<std::int64_t()> clock;
  RecordClock record_clock;  ///< where given, instead of `clock`
  /// The text is a payload of a schemaless call, not a file: a blank line is refused (0x020A), a carriage return before
  /// a line end and a leading "put" belong to the record.
  bool payload_rules = false;
  /// Off: every record takes the general path (tests compare the two).
  bool predict = true;
};

/// OpenTSDB telnet ("metric timestamp value key=value …") as TDengine's schemaless insert reads it: no escapes, no
/// quoting of blanks, tags NCHAR, one column `_value`. Ten characters of a timestamp are seconds, thirteen
/// milliseconds. Rows have the time unit nanoseconds, which times after the year 2262 saturate: so does the server,
/// whatever the precision of the database.
///
/// A record is a line. Blank lines, a byte order mark, a carriage return before the line end and the keyword "put" of
/// OpenTSDB's own command are passed over (unless payload_rules). What the server refuses becomes a Reject with the
/// server's code: 0x020A metric, 0x3002 broken syntax, 0x0127 timestamp, 0x0203 value, 0x021F tag key, 0x2642 tag
/// value, 0x2643 tags, 0x263C duplicate names, 0x0200 invalid UTF-8, 0x060B time range, 0x061D child table named as its
/// super table.
///
/// Threads, limits and oversized chunks as LineParser.
class TelnetParser : public Parser {
 public:
  explicit TelnetParser(schema::Registry& registry, TelnetOptions options = {});
  ~TelnetParser() override;
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

/// Bytes that a leading keyword "put" takes of a record, with the blanks around it; 0 when there is none. A metric of
/// that name ("put 1626006833 1 host=a") is none.
std::size_t put_keyword(std::string_view record) noexcept;

}  // namespace penstock::format
