#pragma once

#include <string>
#include <string_view>

#include "data/row_set.h"
#include "data/schema.h"
#include "data/types.h"
#include "schema/registry.h"

/// Values of one type written into a column of another where nothing is lost (`--coerce`):
/// - integers into each other when in range; BOOL into integers as 0 and 1, integers 0 and 1 into BOOL
/// - integers into FLOAT and DOUBLE up to 2^24 and 2^53, back when integral and in range; DOUBLE into FLOAT when exact
/// - numbers and BOOL into VARCHAR and NCHAR as the shortest text that reads back the same; texts into numbers when
/// they
///   denote exactly that number ("1.50" is 1.5, but "007" and "+7" are names, not numbers), "true" and "false" into
///   BOOL
/// - integers, floats and texts into DECIMAL when no digit is lost
/// - VARCHAR and NCHAR into each other and into VARBINARY; what goes into NCHAR is UTF-8
/// TIMESTAMP, GEOMETRY, BLOB and JSON are never converted: an integer does not say its unit.
namespace penstock::schema {

/// A value by itself. `bits` as in data::Slot for fixed types, `text` for variable ones.
struct Scalar {
  data::Type type = data::Type::null;
  data::Slot bits = 0;
  std::string_view text;
};

[[nodiscard]] Scalar scalar_of(const data::Tag& tag) noexcept;
/// Of a field in a row; `slot` as data::Slot says.
[[nodiscard]] Scalar scalar_of(data::Type type, data::Slot slot) noexcept;

/// Whether some values of type `from` can go into a column of type `to`.
[[nodiscard]] bool may_coerce(data::Type from, data::Type to) noexcept;

/// The value as the column takes it: fixed types as bits in `bits`; variable types as their bytes, DECIMAL128 as its 16
/// bytes in `text`. False when something would be lost; both are undefined then.
[[nodiscard]] bool coerce(const Scalar& value, const data::Column& to, data::Slot& bits, std::string& text);

/// The value for a message, cut to a few dozen characters.
[[nodiscard]] std::string shown(const Scalar& value);

}  // namespace penstock::schema
