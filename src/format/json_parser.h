#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "data/types.h"
#include "format/parser.h"
#include "schema/naming.h"
#include "schema/registry.h"

namespace penstock::format {

struct JsonOptions {
  schema::NamingRules naming;
  /// Nanoseconds. A row outside is refused with 0x060B.
  TimeRange range;
  /// Time of a point with the timestamp 0, in nanoseconds since 1970. Default: the system's clock.
  std::function<std::int64_t()> clock;
  RecordClock record_clock;  ///< where given, instead of `clock`
  /// The text is the payload of a schemaless call, not a piece of a file: one object, or one array of objects; what
  /// follows it, or a NUL, is ignored, and a syntax error anywhere refuses the whole (0x0221; an empty array 0x070F).
  bool payload_rules = false;
  /// Off: every point takes the general path (tests compare the two).
  bool predict = true;
};

/// OpenTSDB JSON as TDengine's schemaless insert reads it: points {"metric", "timestamp", "value", "tags"}, one column
/// `_value`, tags typed by their JSON values. Numbers go through double, as on the server. Rows have the time unit
/// nanoseconds, which times after the year 2262 saturate.
///
/// A record is an object that is in no other one (io::Splitting::json); commas, brackets and blanks between objects are
/// passed over, so arrays may be cut anywhere between their elements; more than 8 brackets in a row without a
/// partner are one bad record. What the server refuses becomes a Reject with the server's code: 0x0221 broken syntax or
/// another shape, 0x020A metric, 0x0127 timestamp, 0x0222 type, 0x0224 range, 0x2642 value length, 0x021F tag key,
/// 0x2643 tags, 0x263C duplicate names, 0x0200 invalid UTF-8 in NCHAR, 0x060B time range, 0x061D child table named as
/// its super table. Inputs that end the server's client (a metric that is no string, tags in an array, a number as
/// table name) get 0x0221; its type "varbinary" is taken.
///
/// Threads, limits and oversized chunks as LineParser.
class JsonParser : public Parser {
 public:
  explicit JsonParser(schema::Registry& registry, JsonOptions options = {});
  ~JsonParser() override;
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

/// The precision that the timestamps of some text's points ask for: ms, or finer where objects say so. The text may end
/// inside a point.
data::Precision json_precision(std::string_view head);

}  // namespace penstock::format
