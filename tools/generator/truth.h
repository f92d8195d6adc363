#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "options.h"
#include "shape.h"

namespace penstock::generator {

/// What a database must hold after a load of the file, and what the ledger of the load must say: exact, never
/// estimated. "Stored" counts what is left when rows of one key overwrite each other in the order of the file.
struct Truth {
  struct ColumnTruth {
    std::uint64_t records = 0;       ///< good records that give this column, repeated keys included
    std::uint64_t stored = 0;        ///< stored values that are not NULL
    std::int64_t sum = 0;            ///< of the stored values, in units of 10^-decimals
    std::uint64_t child_tables = 0;  ///< hosts (and sets of tags) that have a value of it
  };
  struct TableTruth {
    std::uint64_t records = 0;        ///< good records
    std::uint64_t distinct_keys = 0;  ///< stored rows
    std::uint64_t child_tables = 0;
    std::vector<ColumnTruth> columns;
  };

  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;  ///< lines of the file: records, and header or brackets
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
  std::uint64_t duplicates = 0;          ///< good records whose key came before
  std::uint64_t changed_duplicates = 0;  ///< of them with newly drawn values
  std::uint64_t late = 0;                ///< good records with a time before an earlier one of their child table
  std::uint64_t hosts = 0;               ///< that have a good record
  std::uint32_t first_step = UINT32_MAX;
  std::uint32_t last_step = 0;
  std::vector<TableTruth> tables;
  std::vector<std::uint64_t> bad_by_kind;
  std::vector<std::string_view> bad_kinds;

  [[nodiscard]] std::uint64_t records() const noexcept { return good + bad; }
  [[nodiscard]] std::uint64_t distinct_keys(bool record_per_field) const noexcept;
  /// A JSON document: the counts, and for each table its rows, child tables and the sum of each column.
  /// For telnet and JSON the tables are the metrics ("cpu.usage_user") with one column "_value".
  [[nodiscard]] std::string to_json(const Options& options, const Shape& shape) const;
};

}  // namespace penstock::generator
