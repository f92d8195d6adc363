#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/csv_index.h"
#include "format/csv_infer.h"
#include "format/csv_value.h"
#include "format/parser.h"
#include "schema/naming.h"
#include "schema/registry.h"

namespace penstock::format {

struct CsvOptions {
  TimeRange range;             ///< in the plan's time_unit; rows outside get code 0x060B
  schema::NamingRules naming;  ///< for child tables that the plan does not name
  /// Throw a Contradiction where a value does not fit an inferred type; off: the row is rejected.
  bool contradictions = false;
};

/// CSV records as rows, by a plan. One instance per worker; registry and plan are shared and outlive it.
///
/// - Blank lines, records that start before plan.data_begin, and the header where it comes again (files that were put
///   together) are neither rows nor rejects.
/// - An unquoted empty field or null spelling is an explicit NULL. In columns that hold no text a quoted one is too.
///   A record with too few fields does not give the missing ones; one with too many is rejected unless they are empty.
/// - Tags that are NULL or empty are not given.
/// - TIMESTAMP fields are in the RowSet's time unit, as the row's time.
class CsvParser final : public Parser {
 public:
  CsvParser(schema::Registry& registry, const CsvPlan& plan, CsvOptions options = {});
  ~CsvParser() override;

  /// Throws Error(Errc::limit) when there are too many child tables (Registry::insert()), and Contradiction when
  /// options.contradictions says so; nothing else.
  void parse(const io::Chunk& chunk, data::RowSet& rows) override;

  // The parts of parse(), for who sends the records of one chunk to several parsers (csv_tables.h).

  /// The records that follow are of this chunk.
  void begin(const io::Chunk& chunk, data::RowSet& rows);
  /// The record in [begin, end) of the chunk's text, of `count` fields; ends[i] is one past field i.
  void parse_record(std::uint32_t begin, std::uint32_t end, const std::uint32_t* ends, std::size_t count);
  /// A record with a quote that opens at `at` and does not close.
  void reject_broken(std::uint32_t begin, std::uint32_t end, std::uint32_t at);
  /// The record cannot go to any super table: field `column` does not name one.
  void reject_unnamed_table(std::uint32_t begin, std::uint32_t end, const std::uint32_t* ends, std::size_t count,
                            std::size_t column);

 private:
  struct Step;
  struct Field;
  enum class Outcome : std::uint8_t { value, null, bad };

  void reject(std::size_t from, std::uint16_t code, std::string text);
  void gather_steps();
  Outcome read_field(const Step& step, std::string_view raw, data::Slot& slot);
  [[gnu::noinline]] Outcome read_odd_integer(const Step& step, std::string_view raw, data::Slot& slot);
  std::uint32_t shape_of(std::size_t fields, bool nullable);
  bool read_usual_time(const Step& step, std::string_view raw);
  bool read_time(const Step& step, std::string_view raw);
  bool read_quoted(const Step& step, std::string_view raw, data::Slot& slot);
  bool read_joined_time(const Step& step, std::string_view date, std::string_view clock);
  Outcome read_slowly(const Step& step, std::string_view raw, data::Slot& slot);
  Outcome read_text(const Step& step, const Field& field, std::string_view raw, data::Slot& slot);
  bool decode(std::string_view raw, Field& field);
  [[nodiscard]] bool is_null(std::string_view text) const noexcept;
  data::Series* predicted_series(const std::uint32_t* ends, std::size_t count);
  void remember_series(data::Series* series);
  std::string_view series_key(const std::uint32_t* ends, std::size_t count);
  data::Series* make_series(std::uint64_t hash, std::string_view key, const std::uint32_t* ends, std::size_t count);
  bool tag_value(const data::Column& column, TimeReader* times, const Field& field, std::string_view raw,
                 std::string& image);
  void refuse_value(const Step& step, std::string_view raw, Fit fit, std::string_view detail);
  bool refuse_absent(const Step& step, std::string_view raw);
  void refuse_typed(const Step& step, std::string_view raw, std::string text);
  [[nodiscard]] bool is_header_again() const noexcept;
  void refuse_time(const Step& step, std::string_view raw, TimeStatus status);
  [[nodiscard]] std::string_view raw_field(const std::uint32_t* ends, std::size_t count,
                                           std::size_t column) const noexcept;

  schema::Registry& registry_;
  const CsvPlan& plan_;
  const CsvOptions options_;
  data::SuperTableRef* table_ = nullptr;
  std::vector<Step> steps_;               // [columns of the file]
  std::vector<Step> active_;              // those of which something becomes at each record, integers in blocks
  std::vector<CsvIntegerRanges> ranges_;  // of the blocks
  std::vector<TimeReader> times_;         // of the TIMESTAMP columns
  std::vector<std::size_t> fields_;       // [fields] column of the file
  std::vector<std::uint32_t> texts_;      // slots of variable length
  std::size_t least_fields_ = 0;          // a record with fewer lacks its timestamp or another part of the key
  static constexpr std::size_t kTimeText = 32;
  struct Run {
    std::size_t first, last;
  };
  std::vector<Run> key_runs_;  // neighbouring columns that find the series
  std::string key_prefix_;
  std::vector<char> key_;
  // Files go round their series in the same order: after a series comes mostly the one that came after it before.
  std::vector<data::Series*> followers_;  // [id of a series]
  std::size_t last_series_ = SIZE_MAX;    // id of the series of the last row
  std::string nulls_first_;               // [256] 1: a null spelling starts with that byte
  bool numeric_nulls_ = false;            // a null spelling may be a number
  std::size_t row_bytes_ = 0;             // of the longest row
  std::vector<std::uint64_t> null_words_;
  const CsvKernels* kernels_ = &csv_kernels();
  CsvIndex index_;
  std::string unquoted_;
  std::string scratch_;

  // Of the chunk and record at hand.
  const io::Chunk* chunk_ = nullptr;
  data::RowSet* rows_ = nullptr;
  std::vector<std::uint32_t> shapes_;  // [2 * fields + nullable], kNoShape: not yet made
  std::uint32_t record_begin_ = 0;
  std::uint32_t record_end_ = 0;
  std::int64_t time_ = 0;
  // The time of the record before stands often in this one too.
  bool remembers_time_ = false;
  std::size_t time_length_ = 0;  // 0: none yet
  std::array<char, kTimeText> time_text_{};
  std::int64_t remembered_time_ = 0;
};

}  // namespace penstock::format
