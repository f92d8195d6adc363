#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "data/schema.h"
#include "data/types.h"
#include "sandbox/engine.h"

/// Values while SQL is computed with them: typed, nullable, owning their text.
namespace penstock::sandbox {

__extension__ typedef __int128 Int128;

/// Type of an expression or a result column.
struct TypeInfo {
  data::Type type = data::Type::varchar;
  std::int32_t length = 0;  ///< as the user sees it: VARCHAR bytes, NCHAR characters, else the size
  std::uint8_t precision = 0;
  std::uint8_t scale = 0;
};

/// One typed value. `bits` and `text` as in Value; DECIMAL128 keeps its 16 bytes in `text`.
struct Datum {
  data::Type type = data::Type::null;
  bool null = true;
  std::uint8_t precision = 0;  ///< DECIMAL
  std::uint8_t scale = 0;
  std::uint64_t bits = 0;
  std::string text;

  static Datum of_int(std::int64_t v) { return fixed(data::Type::bigint, static_cast<std::uint64_t>(v)); }
  static Datum of_uint(std::uint64_t v) { return fixed(data::Type::ubigint, v); }
  static Datum of_bool(bool v) { return fixed(data::Type::boolean, v ? 1 : 0); }
  static Datum of_double(double v) { return fixed(data::Type::float64, std::bit_cast<std::uint64_t>(v)); }
  static Datum of_time(std::int64_t v) { return fixed(data::Type::timestamp, static_cast<std::uint64_t>(v)); }
  static Datum of_text(std::string_view v, data::Type type = data::Type::varchar) {
    Datum d;
    d.type = type;
    d.null = false;
    d.text = v;
    return d;
  }
  static Datum of_decimal(Int128 v, std::uint8_t precision, std::uint8_t scale);
  static Datum none(data::Type type = data::Type::null) {
    Datum d;
    d.type = type;
    return d;
  }
  static Datum fixed(data::Type type, std::uint64_t bits) {
    Datum d;
    d.type = type;
    d.null = false;
    d.bits = bits;
    return d;
  }

  [[nodiscard]] std::int64_t as_int64() const noexcept { return static_cast<std::int64_t>(bits); }
};

constexpr bool is_integer(data::Type t) noexcept {
  using data::Type;
  return (t >= Type::tinyint && t <= Type::bigint) || (t >= Type::utinyint && t <= Type::ubigint);
}
constexpr bool is_unsigned(data::Type t) noexcept { return t >= data::Type::utinyint && t <= data::Type::ubigint; }
constexpr bool is_decimal(data::Type t) noexcept { return t == data::Type::decimal64 || t == data::Type::decimal128; }
constexpr bool is_float(data::Type t) noexcept { return t == data::Type::float32 || t == data::Type::float64; }
constexpr bool is_number(data::Type t) noexcept { return is_integer(t) || is_float(t) || is_decimal(t); }
constexpr bool is_text(data::Type t) noexcept { return t == data::Type::varchar || t == data::Type::nchar; }

/// Smallest and largest value of an integer type.
std::int64_t smallest(data::Type type) noexcept;
std::uint64_t largest(data::Type type) noexcept;

TypeInfo type_info(const data::Column& column) noexcept;
/// Length as blocks and statements report it.
std::int32_t stored_bytes(const TypeInfo& type) noexcept;

/// Any number, boolean, timestamp or numeric text as double; 0 for text that is no number (as the server).
double to_double(const Datum& value) noexcept;
/// Fractions are cut; out of range saturates.
std::int64_t to_int64(const Datum& value) noexcept;
Int128 decimal_of(const Datum& value) noexcept;
/// Text as the server prints the value in SQL and tag listings; times as integers.
std::string to_text(const Datum& value);
bool is_true(const Datum& value) noexcept;

/// -1, 0, 1. Both not NULL; texts compare as bytes, numbers by value, text with number as numbers.
int compare(const Datum& a, const Datum& b) noexcept;
/// Bytes that are equal exactly when the values are (NULLs too): for GROUP BY and DISTINCT.
void append_key(const Datum& value, std::string& key);

/// A Value that is neither NULL nor absent.
inline Value present(std::uint64_t bits, std::string text = {}) {
  Value v;
  v.state = Value::State::value;
  v.bits = bits;
  v.text = std::move(text);
  return v;
}
Datum datum_of(const Value& value, const TypeInfo& type);
/// Converts to the result column's representation.
Value value_of(const Datum& value, const TypeInfo& type);
/// Turns any value into `type` as CAST does. Throws RefusalError for an overflowing decimal.
Datum cast_to(const Datum& value, const TypeInfo& type, data::Precision precision);

/// SQL LIKE without regard to case, % and _ and backslash escapes.
bool like(std::string_view text, std::string_view pattern) noexcept;

// --- DECIMAL ---

/// Reads the leading decimal number of `text` ("1.5", "-3e2"), scaled and rounded half away from zero. Text that
/// starts with no number is 0, as the server reads it. nullopt: more digits than `precision`.
std::optional<Int128> parse_decimal(std::string_view text, unsigned precision, unsigned scale);
/// "-1.50" with exactly `scale` digits behind the point.
std::string format_decimal(Int128 value, unsigned scale);
/// Unscaled value of scale `from` in scale `to`, rounded half away from zero; nullopt when it has more than
/// `precision` digits.
std::optional<Int128> rescale(Int128 value, unsigned from, unsigned to, unsigned precision);

// --- GEOMETRY ---

/// Little-endian WKB of a WKT text; nullopt when it is none.
std::optional<std::string> geometry_image(std::string_view text);
/// "POINT (1.000000 2.000000)"; empty when it is no WKB.
std::string geometry_text(std::string_view wkb);

// --- JSON tags ---

/// Checks a JSON tag as the server does. Returns its text ("" and "null" become NULL: null is set); throws
/// RefusalError 0x0216.
Datum json_tag(std::string_view text);
/// `json->'key'`: NULL, or JSON text of the member as the server prints it.
Datum json_member(const Datum& json, std::string_view key);

}  // namespace penstock::sandbox
