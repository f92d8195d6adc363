#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "data/types.h"
#include "io/chunk.h"

/// The tables of an annotated CSV of InfluxDB 2: rows that begin with "#datatype", "#group" or "#default" and a header
/// describe the rows behind them, until the next such rows.
namespace penstock::format {

/// True when one of the first lines is an annotation.
bool is_influx_csv(std::string_view head) noexcept;

struct InfluxCsvColumn {
  enum class Role : std::uint8_t { ignored, measurement, field_name, field_value, time, tag, field };
  Role role = Role::ignored;
  data::Type type = data::Type::varchar;
  bool base64 = false;
  std::string name;
  std::string fallback;  ///< of #default: stands for an empty cell
};

/// How the rows of one table are read.
struct InfluxCsvTable {
  std::vector<InfluxCsvColumn> columns;
  int measurement = -1;
  int field_name = -1;  ///< with field_value: one field a row; -1: the columns are fields (pivoted)
  int field_value = -1;
  int time = -1;
  int error = -1;       ///< the message column of a table that tells of an error
  std::string header;   ///< as in the text
  std::string head;     ///< annotations and header as in the text, without the last line end
  std::string problem;  ///< why no row of it can be placed; empty: they can
};

/// Goes over records in order and knows the table that they belong to.
class InfluxCsvState {
 public:
  /// True for what is no row: annotations, comments, headers, blank lines. `record` without its line end.
  bool take(std::string_view record);
  /// Of the rows that follow; nullptr before the first header.
  [[nodiscard]] const std::shared_ptr<const InfluxCsvTable>& table() const noexcept { return table_; }
  [[nodiscard]] bool in_head() const noexcept { return in_head_; }

 private:
  void read_header(std::string_view record);
  std::vector<std::string> types_, groups_, defaults_;
  bool in_head_ = false;
  std::string head_;
  std::shared_ptr<const InfluxCsvTable> table_;
};

/// One past the last byte of the record at `p`, its '\n' or `end`. Quotes as simd::CsvState reads them.
const char* influx_csv_record_end(const char* p, const char* end) noexcept;
/// Splits a record. Views live until `scratch` changes; `quoted` tells of each cell whether it stood in quotes.
void split_influx_csv(std::string_view record, std::vector<std::string_view>& cells, std::vector<char>& quoted,
                      std::string& scratch);

/// The state at the start of each chunk of a source: chunks are parsed in any order, but their tables begin in others.
class InfluxCsvOutline {
 public:
  /// Every chunk of the source, in order; one thread at a time.
  void see(const io::Chunk& chunk);
  /// The state at the start of a chunk that was seen, once for each. Any thread.
  InfluxCsvState take(std::uint64_t offset);

 private:
  InfluxCsvState now_;
  std::mutex mutex_;
  std::map<std::uint64_t, InfluxCsvState> starts_;
};

/// RFC 3339, or an integer of nanoseconds since 1970. False: neither, or outside of what nanoseconds can say.
bool read_influx_time(std::string_view text, std::int64_t& ns, unsigned& digits) noexcept;

/// The precision that the times at the start of a source need.
data::Precision influx_csv_precision(std::string_view head);

}  // namespace penstock::format
