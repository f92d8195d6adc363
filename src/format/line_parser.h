#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "format/parser.h"
#include "schema/naming.h"
#include "schema/registry.h"

namespace penstock::format {

/// Unit of the timestamps of an input.
enum class TimeUnit : std::uint8_t { hours, minutes, seconds, milliseconds, microseconds, nanoseconds };

/// "h", "m", "s", "ms", "us", "ns"; "none" is nanoseconds, as the server takes it. nullopt for anything else.
std::optional<TimeUnit> time_unit_from_name(std::string_view name) noexcept;

struct LineOptions {
  TimeUnit precision = TimeUnit::nanoseconds;
  schema::NamingRules naming;
  /// Nanoseconds. A row outside is refused with 0x060B.
  TimeRange range;
  /// Time of a record without a timestamp, in nanoseconds since 1970; called once for each. Default: the system's
  /// clock.
  std::function<std::int64_t()> clock;
  RecordClock record_clock;  ///< where given, instead of `clock`
  /// The text is a payload of a schemaless call, not a file: a blank line is refused (0x020A) and a carriage return
  /// before a line end belongs to the line.
  bool payload_rules = false;
  /// Off: every record takes the general path (tests compare the two).
  bool predict = true;
  /// Off: predicted records are read without AVX2 even where the processor has it.
  bool wide = true;
};

/// InfluxDB line protocol as TDengine's schemaless insert reads it. Rows have the time unit nanoseconds.
///
/// A record is a line. Lines that begin with '#' are skipped, blank lines and a byte order mark too (unless
/// payload_rules). What the server refuses becomes a Reject with the server's code: 0x3002 broken syntax, 0x020A
/// measurement, 0x021F key, 0x0203 value, 0x0127 timestamp, 0x2642 value length, 0x2643 tags, 0x2640 columns, 0x263C
/// duplicate names, 0x0200 invalid UTF-8 (or a NUL in a key), 0x060B time range, 0x2803 geometry, 0x266A VARBINARY,
/// 0x061D child table named as its super table. Unions over rows (widths, types, number of
/// columns) are the schema stage's business.
///
/// One thread at a time; many parsers share a Registry. parse() passes on Error(Errc::limit) from the Registry: the
/// rows before the record that met the limit are in `rows`. An oversized chunk (io::Chunk::oversized) gives nothing.
class LineParser : public Parser {
 public:
  explicit LineParser(schema::Registry& registry, LineOptions options = {});
  ~LineParser() override;
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace penstock::format
