#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/schema.h"
#include "data/types.h"

namespace penstock::schema {

/// What the user says about a CSV file, by flags or as a TOML file; everything left open is found from a sample.
/// Columns are named as the header (or `names`) names them before renaming, as they are named after it, or as "#3" by
/// position from 1.
struct CsvMapping {
  enum class Header { automatic, yes, no };
  /// A local time that daylight saving skips: reject the row, or shift it by the gap (as if the clock went on).
  enum class DstGap { reject, shift };
  /// A local time that comes twice: the first, the second, or reject the row.
  enum class DstFold { first, second, reject };
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  std::string table;                 ///< super table; empty: given by the caller, for instance from the file's stem
  std::string timestamp;             ///< column that keys the rows; empty: found
  std::string clock;                 ///< column with the time of day where `timestamp` holds only the date; empty: none
  std::vector<std::string> tags;     ///< columns that are tags
  std::vector<std::string> columns;  ///< the only columns to keep; empty: all
  std::vector<std::string> ignore;   ///< columns to leave out
  std::vector<std::string> tags_as_columns;  ///< tags (by the super table, `tags` or `child_table`) that become columns
  std::vector<std::string> drop_tags;        ///< tags to leave out, constant ones too
  Pairs rename;                              ///< from column, to name
  std::vector<data::Column> types;           ///< name, type and width (0: from the data)
  Pairs constant_tags;                       ///< tag name, value: the same for every row
  std::string table_column;                  ///< column whose values name super tables; empty: all rows go to `table`
  std::string child_table;                   ///< template such as "{site}_{id}"; empty: see child_table_column
  std::string child_table_column;  ///< column that holds the child table's name; empty: named as schemaless would

  Header header = Header::automatic;
  std::vector<std::string> names;  ///< column names of a file without header
  std::optional<char> delimiter;   ///< empty: sniffed
  std::optional<char> quote;       ///< empty: sniffed; '\0': no quotes
  std::optional<char> escape;      ///< empty: none, a quote inside quotes is doubled
  std::optional<char> decimal;     ///< ',' or '.' in numbers; empty: '.', and ',' where the sample says so
  std::uint64_t skip_lines = 0;    ///< lines before the header or the first record
  /// Spellings of NULL outside quotes. Empty: default_nulls(). An empty unquoted field is NULL in any case.
  std::vector<std::string> nulls;

  /// "auto", "epoch" (unit by magnitude), "s", "ms", "us", "ns", "iso", or a pattern such as "%d.%m.%Y %H:%M:%S".
  std::string time_format = "auto";
  std::optional<data::Precision> precision;  ///< of the rows; empty: the coarsest that loses nothing, at least ms
  std::string timezone;                      ///< of times without offset: IANA name, "+02:00", "local"; empty: UTC
  DstGap dst_gap = DstGap::reject;
  DstFold dst_fold = DstFold::first;

  bool operator==(const CsvMapping&) const = default;
};

/// NULL, null, Null, NA, N/A, \N. "NaN" is none: DOUBLE holds it, and a text column may mean it.
const std::vector<std::string>& default_nulls();

/// Throws Error(Errc::config) when fields contradict each other (a column that is tag and ignored, equal delimiter and
/// quote …). What depends on the file's columns is checked when they are known.
void validate(const CsvMapping& mapping);

/// Reads a mapping from TOML. `where` names the text in messages. Unknown keys are errors, named by their path.
/// Throws Error(Errc::config).
CsvMapping csv_mapping_from_toml(std::string_view toml, std::string_view where);
/// Throws Error(Errc::io) when the file cannot be read, else as csv_mapping_from_toml().
CsvMapping load_csv_mapping(const std::filesystem::path& path);
/// TOML that csv_mapping_from_toml() reads back to an equal mapping; only what differs from the defaults.
std::string to_toml(const CsvMapping& mapping);

/// "DOUBLE", "varchar(20)", "DECIMAL(10,2)", "INT UNSIGNED" as a column without name; nullopt when it is no type.
/// A missing width is 0: from the data. DECIMAL of up to 18 digits is DECIMAL64.
std::optional<data::Column> column_type_from_text(std::string_view text);

/// A text made a super table's name: dots, backquotes and control bytes become '_', cut to the limit.
std::string legal_table_name(std::string_view text);
/// The same for a column or tag.
std::string legal_column_name(std::string_view text);
/// Super table name of a file: its stem without the suffixes of compression and format ("a/weather.csv.zst" gives
/// "weather").
std::string table_name_of_file(std::string_view path);

}  // namespace penstock::schema
