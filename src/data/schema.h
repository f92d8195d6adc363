#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/types.h"

namespace penstock::data {

/// A column or a tag as declared.
struct Column {
  std::string name;
  Type type = Type::null;
  /// VARCHAR, VARBINARY, GEOMETRY: bytes; NCHAR: characters; fixed types: fixed_size().
  std::uint32_t width = 0;
  std::uint8_t precision = 0;  ///< DECIMAL: digits in all
  std::uint8_t scale = 0;      ///< DECIMAL: digits behind the point
  bool composite_key = false;  ///< second part of the primary key ("PRIMARY KEY" / "COMPOSITE KEY" column)

  bool operator==(const Column&) const = default;
};

/// A super table: columns[0] is the timestamp that keys its rows.
struct SuperTable {
  std::string name;
  std::vector<Column> columns;
  std::vector<Column> tags;

  /// Index in `columns`, or nullopt. Names compare byte for byte.
  [[nodiscard]] std::optional<std::size_t> column(std::string_view column_name) const;
  [[nodiscard]] std::optional<std::size_t> tag(std::string_view tag_name) const;
  bool operator==(const SuperTable&) const = default;
};

/// "`name`" with backquotes inside doubled: fit for SQL, case kept.
std::string quote_identifier(std::string_view name);
/// "'text'" with quotes and backslashes escaped as TDengine's SQL reads them.
std::string quote_text(std::string_view text);
/// "VARCHAR(16)", "DECIMAL(10,2)", "BIGINT UNSIGNED".
std::string sql_type(const Column& column);
/// CREATE STABLE, mostly IF NOT EXISTS, with the columns and tags in order; the table's name in backquotes.
std::string create_statement(const SuperTable& table, bool if_not_exists = true);

/// Bytes a declaration takes of the row or tag limit: n + 2, 4 n + 2 for NCHAR, the size for fixed types.
std::size_t declared_bytes(const Column& column) noexcept;

/// The width that schemaless insert declares for a value of `length` bytes (also for NCHAR): from 1024 on exactly
/// `length`, else the smallest power of two above it, capped at the type's limit.
std::uint32_t schemaless_width(Type type, std::size_t length) noexcept;

}  // namespace penstock::data
