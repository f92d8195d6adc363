#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "data/row_set.h"
#include "data/types.h"

/// Texts of CSV fields as values of TDengine's types, in all spellings. For the usual spellings of the usual types the
/// parser has faster ways of its own.
namespace penstock::format {

enum class Fit : std::uint8_t {
  ok,
  no_value,      ///< the text is no value of the type
  out_of_range,  ///< it is, but too large, too small, or with digits that would be lost
  too_long,      ///< longer than any column of the type can be
  not_utf8,
};

/// Reads BOOL (true false t f yes no y n on off 1 0, any case), integers (also "5.0"), FLOAT and DOUBLE (also nan,
/// inf), DECIMAL64 (with `scale` digits behind the point of `precision` in all; exact). Blanks around have been
/// removed. `slot` is untouched unless ok.
Fit read_fixed(data::Type type, std::uint8_t precision, std::uint8_t scale, std::string_view text,
               data::Slot& slot) noexcept;

/// DECIMAL128 as 16 bytes, little-endian two's complement.
Fit read_decimal128(std::uint8_t precision, std::uint8_t scale, std::string_view text,
                    std::array<char, 16>& image) noexcept;

/// Turns the text of a variable type into its bytes: VARCHAR as it is, NCHAR and JSON as they are (UTF-8
/// checked), VARBINARY
/// and BLOB from "\x0aff" or as they are, GEOMETRY from well-known text (then `why` says what is wrong with it).
/// `bytes` views `text` or `scratch`.
Fit read_variable(data::Type type, std::string_view text, std::string& scratch, std::string_view& bytes,
                  const char*& why);

/// "-128 to 127" for integers, "" for others.
std::string_view range_text(data::Type type) noexcept;

}  // namespace penstock::format
