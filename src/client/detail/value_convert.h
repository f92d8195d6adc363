#pragma once

#include <cstdint>
#include <string>

#include "client/statement.h"

/// Values of programs as columns take them: nothing is lost without a word.
namespace penstock::client::detail {

/// A value as a column of a field takes it: `bits` for fixed types, `text` for variable ones and DECIMAL (its bytes).
/// Returns why it cannot, "" when it can. Null and NotGiven are the caller's.
std::string convert(const Value& value, const StatementField& field, std::uint64_t& bits, std::string& text);

/// A DECIMAL as the field has it: 8 or 16 bytes in `text`. Any number or text that is one. Returns as convert().
std::string convert_decimal(const Value& value, const StatementField& field, std::string& text);

/// Ticks of one precision in another; false where digits or the range would be lost.
bool convert_ticks(std::int64_t ticks, data::Precision from, data::Precision to, std::int64_t& out);

inline bool is_decimal(data::Type type) noexcept {
  return type == data::Type::decimal64 || type == data::Type::decimal128;
}

}  // namespace penstock::client::detail
