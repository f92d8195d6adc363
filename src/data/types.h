#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock::data {

/// TDengine's data types, numbered as on the wire.
enum class Type : std::uint8_t {
  null = 0,
  boolean = 1,
  tinyint = 2,
  smallint = 3,
  integer = 4,
  bigint = 5,
  float32 = 6,
  float64 = 7,
  varchar = 8,
  timestamp = 9,
  nchar = 10,
  utinyint = 11,
  usmallint = 12,
  uinteger = 13,
  ubigint = 14,
  json = 15,
  varbinary = 16,
  decimal128 = 17,
  blob = 18,
  mediumblob = 19,
  geometry = 20,
  decimal64 = 21,
};

/// Precision of timestamps of a database or a result, numbered as on the wire.
enum class Precision : std::uint8_t { milliseconds = 0, microseconds = 1, nanoseconds = 2 };

/// Bytes of one value in a bind buffer or a result block; 0 for types of variable length.
constexpr std::size_t fixed_size(Type type) noexcept {
  switch (type) {
    case Type::boolean:
    case Type::tinyint:
    case Type::utinyint: return 1;
    case Type::smallint:
    case Type::usmallint: return 2;
    case Type::integer:
    case Type::uinteger:
    case Type::float32: return 4;
    case Type::bigint:
    case Type::ubigint:
    case Type::float64:
    case Type::timestamp:
    case Type::decimal64: return 8;
    case Type::decimal128: return 16;
    default: return 0;
  }
}

constexpr bool is_variable(Type type) noexcept {
  switch (type) {
    case Type::varchar:
    case Type::nchar:
    case Type::json:
    case Type::varbinary:
    case Type::blob:
    case Type::mediumblob:
    case Type::geometry: return true;
    default: return false;
  }
}

/// "BIGINT UNSIGNED", "VARCHAR" … as SQL and REST spell them, without a width.
std::string_view type_name(Type type) noexcept;
/// The type of an SQL spelling ("INT UNSIGNED", "binary" …) without width, any case; nullopt when there is none.
std::optional<Type> type_from_name(std::string_view name) noexcept;

/// "ms", "us", "ns".
std::string_view precision_name(Precision precision) noexcept;
std::optional<Precision> precision_from_name(std::string_view name) noexcept;
/// Units in a second: 1'000, 1'000'000 or 1'000'000'000.
constexpr std::int64_t units_per_second(Precision precision) noexcept {
  return precision == Precision::milliseconds   ? 1'000
         : precision == Precision::microseconds ? 1'000'000
                                                : 1'000'000'000;
}

/// Limits of TDengine 3.3.7. Names in bytes; `columns` counts the timestamp and the tags too.
struct Limits {
  static constexpr std::size_t database_name = 64;
  static constexpr std::size_t table_name = 192;
  static constexpr std::size_t column_name = 64;
  static constexpr std::size_t columns = 4096;
  static constexpr std::size_t tags = 128;
  static constexpr std::size_t row_bytes = 65531;  ///< declared widths of all columns
  static constexpr std::size_t tag_bytes = 16384;  ///< declared widths of all tags
  static constexpr std::size_t varchar = 65517;    ///< VARCHAR, VARBINARY, GEOMETRY column
  static constexpr std::size_t nchar = 16379;      ///< characters of an NCHAR column
  static constexpr std::size_t varchar_tag = 16382;
  static constexpr std::size_t nchar_tag = 4095;  ///< characters
  static constexpr std::size_t json_tag = 4095;
  static constexpr std::size_t blob = 4'194'304;
  static constexpr std::size_t sql = 1'048'576;
  static constexpr std::size_t rows_per_table = 32767;  ///< of one table in one bind
};

}  // namespace penstock::data
