#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/schema.h"
#include "format/csv_dialect.h"
#include "format/csv_index.h"
#include "format/csv_time.h"
#include "schema/mapping.h"

/// From samples of a CSV file and a mapping to the plan by which its rows are read.
namespace penstock::format {

/// What a value looks like, quotes removed. Numbers with leading zeros ("007") are text: as numbers they would lose
/// them. `boolean`: true or false; `boolean_word`: t f yes no y n on off; `hex_bytes`: "\x0aff"; `wkt`: "POINT (1 2)".
enum class ValueKind : std::uint8_t {
  empty,
  boolean,
  integer,
  unsigned_integer,
  huge_integer,
  real,
  time,
  text,
  boolean_word,
  hex_bytes,
  wkt
};
ValueKind classify(std::string_view value) noexcept;
/// "BIGINT", "DOUBLE", … : the type that a value of this kind would get.
std::string_view kind_name(ValueKind kind) noexcept;

/// What the values of one column look like; summaries of several samples add up, in any order.
struct TypeSummary {
  static constexpr std::size_t kKinds = 11;
  std::array<std::uint64_t, kKinds> counts{};  ///< [ValueKind]
  std::array<std::string, kKinds> examples;    ///< [ValueKind] the first value of each, cut to 64 bytes
  std::uint64_t nulls = 0;                     ///< null spellings outside quotes, empty fields
  std::uint64_t negative = 0;                  ///< numbers below zero
  std::uint64_t zero_or_one = 0;               ///< integers that are 0 or 1
  std::uint64_t inexact = 0;                   ///< integers that DOUBLE cannot hold to the last digit
  std::uint64_t comma_decimals = 0;            ///< texts such as "3,14" and "1.234,5"
  std::uint8_t boolean_words = 0;              ///< of the words seen, a bit each: t f y n yes no on off
  std::uint64_t non_ascii = 0;
  std::uint64_t bad_utf8 = 0;
  std::uint32_t longest_bytes = 0;
  std::uint32_t longest_chars = 0;
  std::uint32_t longest_binary = 0;  ///< hex_bytes and wkt: bytes of the value that the text stands for
  TimeSummary times;

  /// `padded`: 32 readable bytes follow the value.
  void add(std::string_view value, bool padded = false);
  /// What add() does, without its shorter ways for the usual numbers, times and words: its twin, for tests.
  void add_thoroughly(std::string_view value);
  void merge(const TypeSummary& other);
  [[nodiscard]] std::uint64_t values() const noexcept;  ///< that are not NULL and not empty
  /// Type and width that hold every value seen without loss: BOOL (true and false; of yes/no, on/off, y/n, t/f both
  /// must occur), BIGINT, BIGINT UNSIGNED (integers, none negative, one above BIGINT), DOUBLE (a number with a point or
  /// an exponent, and no integer that needs more digits than DOUBLE has), TIMESTAMP (only ISO with a clock), VARBINARY
  /// (only "\x…"), GEOMETRY (only well-known text), else VARCHAR (ASCII) or NCHAR.
  [[nodiscard]] data::Column type() const;
  /// "BIGINT: 1000 of 1000 values are integers, e.g. 39".
  [[nodiscard]] std::string evidence() const;
  /// All values are numbers, some with a decimal comma and none with a decimal point.
  [[nodiscard]] bool decimal_comma() const noexcept;

 private:
  bool add_number(std::string_view value, bool padded);
  void count(ValueKind kind, std::string_view value);
};

/// Index of the column that a mapping means: by its name, by "#3" (from 1), by its name without regard to case.
std::optional<std::size_t> column_by_name(std::span<const std::string> names, std::string_view text);

/// Counts the values of a file's columns in samples. Samples of different threads are merged afterwards.
class CsvSample {
 public:
  CsvSample(Dialect dialect, const schema::CsvMapping& mapping);

  /// The start of the file, behind a BOM that is `offset` bytes long. Records cut off by the end are left out unless
  /// `whole` says that the text ends where the file ends. Throws Error(Errc::config) when the header does not end in
  /// the text, or when there are more columns than a super table can have and mapping.columns does not choose.
  void add_head(std::string_view text, std::uint64_t offset = 0, bool whole = true);
  /// A piece from the middle: what lies before its first line end is passed over, and records with another number of
  /// fields (a piece may begin inside quotes) do not count.
  void add_middle(std::string_view text);
  /// Records only: a chunk of a source from which the header was cut by data_begin(). Counts what add_head() would.
  void add_chunk(std::string_view text);
  /// A sample that knows what this one knows of the header, and has no records: for another thread to fill.
  [[nodiscard]] CsvSample empty_copy() const;
  void merge(const CsvSample& other);
  /// Puts the counts of another sample of the same file in the place of its own.
  void take_counts(CsvSample&& other);

  [[nodiscard]] const Dialect& dialect() const noexcept { return dialect_; }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  /// How many columns the file has.
  [[nodiscard]] std::size_t width() const noexcept { return width_; }
  /// What was seen of a column; nothing of one that was not looked at.
  [[nodiscard]] const TypeSummary& column(std::size_t index) const noexcept;
  /// False: one of so many columns that only those are looked at which the mapping names, and the first ones.
  [[nodiscard]] bool looked_at(std::size_t index) const noexcept { return slot(index) != kNoSlot; }
  [[nodiscard]] std::uint64_t records() const noexcept { return records_; }
  [[nodiscard]] std::uint64_t data_begin() const noexcept { return data_begin_; }
  /// With mapping.table_column: the columns as the rows of each super table fill them, by the value that names it. Of
  /// at most kMostTables. For of_table() only.
  [[nodiscard]] const std::map<std::string, std::vector<TypeSummary>, std::less<>>& tables() const noexcept {
    return tables_;
  }
  static constexpr std::size_t kMostTables = 10'000;
  /// This sample as if the file had only the rows of one of tables().
  [[nodiscard]] CsvSample of_table(std::string_view value) const;
  /// The header as it stands in the file; empty: none.
  [[nodiscard]] const std::string& header() const noexcept { return header_; }
  /// The header names the other columns, but not this one.
  [[nodiscard]] bool unnamed(std::size_t column) const { return unnamed_.count(column) > 0; }
  [[nodiscard]] bool one_of_several() const noexcept { return one_of_several_; }
  /// The first records, for questions that need whole rows.
  [[nodiscard]] const std::vector<std::vector<std::string>>& first_records() const noexcept { return first_; }

 private:
  template <class Visit>
  void cut_records(std::string_view text, std::size_t begin, Visit&& visit);
  void add_records(std::string_view text, std::size_t begin, bool whole);
  void add_record(std::string_view text, std::size_t begin, std::span<const std::uint32_t> ends);
  [[nodiscard]] bool is_null(std::string_view text, bool quoted) const;
  void set_width(std::size_t columns);
  void check_width() const;
  void choose_columns();
  static constexpr std::uint32_t kNoSlot = UINT32_MAX;
  [[nodiscard]] std::uint32_t slot(std::size_t column) const noexcept {
    if (column >= width_) return kNoSlot;
    return slots_.empty() ? static_cast<std::uint32_t>(column) : slots_[column];
  }

  Dialect dialect_;
  bool chosen_;                      ///< mapping.columns says which columns are kept
  std::size_t left_out_;             ///< columns that the mapping may take away otherwise, at most
  std::vector<std::string> wanted_;  ///< columns that the mapping names
  std::string table_column_name_;
  std::optional<std::size_t> table_column_;
  std::map<std::string, std::vector<TypeSummary>, std::less<>> tables_;

  std::uint64_t skip_lines_;
  std::vector<std::string> given_names_;
  std::vector<std::string> nulls_;
  std::array<bool, 256> plain_starts_{};  ///< [byte] a field that starts with it is no NULL and stands as it is meant
  std::vector<std::string> names_;
  std::size_t width_ = 0;
  std::vector<std::uint32_t> slots_;  ///< [column] index in columns_, or kNoSlot; empty: each has its own
  std::vector<TypeSummary> columns_;  ///< [slot]
  std::vector<std::vector<std::string>> first_;
  std::size_t first_fields_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t data_begin_ = 0;
  bool one_of_several_ = false;
  std::string header_;
  std::set<std::size_t> unnamed_;
  CsvIndex index_;
};

/// What becomes of one column of the file.
struct CsvColumn {
  /// clock: the time of day that belongs to the timestamp. table_name: names the super table. absent: no row of the
  /// sample has a value in it, and it has no name or the super table is one of several: the table does not get it.
  enum class Role : std::uint8_t { ignored, timestamp, tag, field, child_name, clock, table_name, absent };
  Role role = Role::ignored;
  bool existing = false;       ///< the super table stands there with this column
  bool inferred = false;       ///< the type comes from the sample: another value may ask for a wider one
  bool decimal_comma = false;  ///< "3,14" is a number; dots stand between groups of three digits
  bool required = false;       ///< part of the super table's composite key: NULL cannot be written
  bool names_child = false;    ///< stands in the child table's name: by column or by template
  std::string csv_name;        ///< as in the header, or "c1", "c2", …
  data::Column column;         ///< name and type in the super table; width 0: from the data
  TimeFormat time;             ///< TIMESTAMP: how it is written
  std::string evidence;        ///< why this type
};

/// How the rows of a file are read: all that CsvParser needs. Immutable once made; any thread.
struct CsvPlan {
  struct ConstantTag {
    data::Column column;
    std::string value;
  };
  /// A piece of the child table's name: the text, then the value of a column (CSV index) or of a constant tag.
  struct NamePart {
    std::string text;
    std::optional<std::size_t> column;
    std::optional<std::size_t> constant;
  };

  std::string table;
  Dialect dialect;
  std::vector<CsvColumn> columns;           ///< [columns of the file]
  std::size_t timestamp = 0;                ///< index of the column that keys the rows
  std::optional<std::size_t> clock;         ///< index of the column with the time of day, when `timestamp` is a date
  std::optional<std::size_t> table_column;  ///< index of the column that names the super tables
  std::vector<ConstantTag> constant_tags;
  std::vector<NamePart> child_name;  ///< empty: as schemaless names it
  std::vector<std::string> nulls;
  data::Precision time_unit = data::Precision::milliseconds;         ///< of the rows
  data::Precision source_precision = data::Precision::milliseconds;  ///< what the sample needs, at least ms
  std::shared_ptr<const TimeZone> zone;                              ///< nullptr: UTC
  schema::CsvMapping::DstGap dst_gap = schema::CsvMapping::DstGap::reject;
  schema::CsvMapping::DstFold dst_fold = schema::CsvMapping::DstFold::first;
  std::string header;  ///< as it stands in the file; where it stands again, it is no row. Empty: none
  std::shared_ptr<LocalTimeCounts> local_times;  ///< counts of all readers of this plan; may be nullptr
  std::uint64_t data_begin = 0;    ///< records that start before this offset of the source are no rows (header)
  std::vector<std::string> notes;  ///< what the user should know: choices and warnings, one sentence each

  /// Columns and tags as the plan would declare them (width 0 becomes the sample's).
  [[nodiscard]] data::SuperTable super_table() const;
};

/// A value that the type inferred for its column cannot hold. Thrown by CsvParser when CsvOptions::contradictions says
/// so: whoever runs the load looks at the whole source and begins again with a wider type.
class Contradiction : public Error {
 public:
  Contradiction(std::string table_name, std::string column_name, std::string value_text, const std::string& what)
      : Error(Errc::config, what),
        table(std::move(table_name)),
        column(std::move(column_name)),
        value(std::move(value_text)) {}
  std::string table;
  std::string column;  ///< as in the header
  std::string value;
};

/// Summaries of columns by their names in the super table: what all sources of a table hold.
using TypesByColumn = std::map<std::string, TypeSummary, std::less<>>;

/// What make_plan() may know beside the sample.
struct PlanContext {
  PlanContext(const data::SuperTable* existing = nullptr) : target(existing) {}  // NOLINT: most callers know no more

  /// The super table as it exists, or nullptr.
  const data::SuperTable* target = nullptr;
  /// `target` was made by this very run (from an earlier source): its types are inferred ones too.
  bool target_is_inferred = false;
  /// What all sources of the table hold; counts before the sample where it knows the column. May be nullptr.
  const TypesByColumn* scanned = nullptr;
};

/// Settles role, name and type of every column. With `target` (the super table as it exists) types, tags and the
/// timestamp come from it by name, first byte for byte, then without regard to case; other columns are added.
/// `default_table` names the super table when the mapping does not. Throws Error(Errc::config): unknown column in the
/// mapping, no timestamp, no value column.
CsvPlan make_plan(const CsvSample& sample, const schema::CsvMapping& mapping, std::string_view default_table,
                  const PlanContext& context = {});
/// With plan.table_column: the plan of one of the file's super tables, named by the value as it stands in the file.
/// `whole` is the plan of the file (roles, times), `sample` that of the file too.
CsvPlan make_table_plan(const CsvPlan& whole, const CsvSample& sample, const schema::CsvMapping& mapping,
                        std::string_view value, const PlanContext& context = {});

/// sniff(), CsvSample and make_plan() in one, for a file whose first bytes are `head`; `whole`: it is all of the file.
CsvPlan infer(std::string_view head, const schema::CsvMapping& mapping, std::string_view default_table,
              const data::SuperTable* target = nullptr, bool whole = true);

}  // namespace penstock::format
