#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/schema.h"
#include "format/csv_dialect.h"
#include "format/csv_time.h"
#include "schema/mapping.h"

/// From samples of a CSV file and a mapping to the plan by which its rows are read.
namespace penstock::format {

/// What a value looks like, quotes removed. Numbers with leading zeros ("007") are text: as numbers they would lose
/// them.
enum class ValueKind : std::uint8_t { empty, boolean, integer, unsigned_integer, huge_integer, real, time, text };
ValueKind classify(std::string_view value) noexcept;

/// What the values of one column look like; summaries of several samples add up, in any order.
struct TypeSummary {
  static constexpr std::size_t kKinds = 8;
  std::array<std::uint64_t, kKinds> counts{};  ///< [ValueKind]
  std::array<std::string, kKinds> examples;    ///< [ValueKind] the first value of each, cut to 64 bytes
  std::uint64_t nulls = 0;                     ///< null spellings outside quotes, empty fields
  std::uint64_t negative = 0;                  ///< numbers below zero
  std::uint64_t non_ascii = 0;
  std::uint64_t bad_utf8 = 0;
  std::uint32_t longest_bytes = 0;
  std::uint32_t longest_chars = 0;
  TimeSummary times;

  void add(std::string_view value);
  void merge(const TypeSummary& other);
  [[nodiscard]] std::uint64_t values() const noexcept;  ///< that are not NULL and not empty
  /// Type and width that hold every value seen: BOOL, BIGINT, BIGINT UNSIGNED, DOUBLE, TIMESTAMP (only ISO with a
  /// clock), VARCHAR (ASCII) or NCHAR.
  [[nodiscard]] data::Column type() const;
  /// "BIGINT: 1000 of 1000 values are integers, e.g. 39".
  [[nodiscard]] std::string evidence() const;
};

/// Counts the values of a file's columns in samples. Samples of different threads are merged afterwards.
class CsvSample {
 public:
  CsvSample(Dialect dialect, const schema::CsvMapping& mapping);

  /// The start of the file, behind a BOM that is `offset` bytes long. Records cut off by the end are left out unless
  /// `whole` says that the text ends where the file ends.
  void add_head(std::string_view text, std::uint64_t offset = 0, bool whole = true);
  /// A piece from the middle: what lies before its first line end is passed over, and records with another number of
  /// fields (a piece may begin inside quotes) do not count.
  void add_middle(std::string_view text);
  void merge(const CsvSample& other);

  [[nodiscard]] const Dialect& dialect() const noexcept { return dialect_; }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  [[nodiscard]] const std::vector<TypeSummary>& columns() const noexcept { return columns_; }
  [[nodiscard]] std::uint64_t records() const noexcept { return records_; }
  [[nodiscard]] std::uint64_t data_begin() const noexcept { return data_begin_; }
  /// The first records, for questions that need whole rows.
  [[nodiscard]] const std::vector<std::vector<std::string>>& first_records() const noexcept { return first_; }

 private:
  void add_records(std::string_view text, std::size_t begin, bool whole);
  void add_record(std::string_view text, std::size_t begin, std::span<const std::uint32_t> ends);
  [[nodiscard]] bool is_null(const FieldText& field) const;

  Dialect dialect_;
  std::uint64_t skip_lines_;
  std::vector<std::string> given_names_;
  std::vector<std::string> nulls_;
  std::vector<std::string> names_;
  std::vector<TypeSummary> columns_;
  std::vector<std::vector<std::string>> first_;
  std::size_t first_fields_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t data_begin_ = 0;
};

/// What becomes of one column of the file.
struct CsvColumn {
  enum class Role : std::uint8_t { ignored, timestamp, tag, field, child_name };
  Role role = Role::ignored;
  bool names_child = false;  ///< stands in the child table's name: by column or by template
  std::string csv_name;      ///< as in the header, or "c1", "c2", …
  data::Column column;       ///< name and type in the super table; width 0: from the data
  TimeFormat time;           ///< TIMESTAMP: how it is written
  std::string evidence;      ///< why this type
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
  std::vector<CsvColumn> columns;  ///< [columns of the file]
  std::size_t timestamp = 0;       ///< index of the column that keys the rows
  std::vector<ConstantTag> constant_tags;
  std::vector<NamePart> child_name;  ///< empty: as schemaless names it
  std::vector<std::string> nulls;
  data::Precision time_unit = data::Precision::milliseconds;         ///< of the rows
  data::Precision source_precision = data::Precision::milliseconds;  ///< what the sample needs, at least ms
  std::shared_ptr<const TimeZone> zone;                              ///< nullptr: UTC
  schema::CsvMapping::DstGap dst_gap = schema::CsvMapping::DstGap::reject;
  schema::CsvMapping::DstFold dst_fold = schema::CsvMapping::DstFold::first;
  std::uint64_t data_begin = 0;    ///< records that start before this offset of the source are no rows (header)
  std::vector<std::string> notes;  ///< what the user should know: choices and warnings, one sentence each

  /// Columns and tags as the plan would declare them (width 0 becomes the sample's).
  [[nodiscard]] data::SuperTable super_table() const;
};

/// Settles role, name and type of every column. With `target` (the super table as it exists) types, tags and the
/// timestamp come from it by name, first byte for byte, then without regard to case; other columns are added.
/// `default_table` names the super table when the mapping does not. Throws Error(Errc::config): unknown column in the
/// mapping, no timestamp, no value column.
CsvPlan make_plan(const CsvSample& sample, const schema::CsvMapping& mapping, std::string_view default_table,
                  const data::SuperTable* target = nullptr);

/// sniff(), CsvSample and make_plan() in one, for a file whose first bytes are `head`; `whole`: it is all of the file.
CsvPlan infer(std::string_view head, const schema::CsvMapping& mapping, std::string_view default_table,
              const data::SuperTable* target = nullptr, bool whole = true);

}  // namespace penstock::format
