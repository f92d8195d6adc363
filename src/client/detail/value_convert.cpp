#include "client/detail/value_convert.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "wire/bytes.h"

namespace penstock::client::detail {
namespace {

using data::Type;

std::string_view type_of_value(const Value& value) {
  constexpr std::string_view kNames[] = {"NULL",     "not given",   "BOOL",     "an integer", "an unsigned integer",
                                         "a FLOAT",  "a DOUBLE",    "a text",   "JSON",       "binary",
                                         "GEOMETRY", "a TIMESTAMP", "a DECIMAL"};
  return kNames[value.index()];
}

// Any whole number among the values, as 128 bits hold it.
__extension__ using Wide = __int128;
bool whole_number(const Value& value, Wide& out) {
  if (const auto* b = std::get_if<bool>(&value)) return out = *b ? 1 : 0, true;
  if (const auto* i = std::get_if<std::int64_t>(&value)) return out = *i, true;
  if (const auto* u = std::get_if<std::uint64_t>(&value)) return out = static_cast<Wide>(*u), true;
  const auto* f = std::get_if<float>(&value);
  const auto* d = std::get_if<double>(&value);
  if (f == nullptr && d == nullptr) return false;
  const double real = f != nullptr ? static_cast<double>(*f) : *d;
  if (!(std::abs(real) < 1.8e19) || real != std::trunc(real)) return false;
  return out = static_cast<Wide>(real), true;
}

template <class T>
bool fits(Wide value, std::uint64_t& bits) {
  if (value < static_cast<Wide>(std::numeric_limits<T>::min()) ||
      value > static_cast<Wide>(std::numeric_limits<T>::max()))
    return false;
  bits = static_cast<std::uint64_t>(value);
  return true;
}

bool integer_fits(Type type, Wide value, std::uint64_t& bits) {
  switch (type) {
    case Type::boolean: return (value == 0 || value == 1) && fits<std::int64_t>(value, bits);
    case Type::tinyint: return fits<std::int8_t>(value, bits);
    case Type::smallint: return fits<std::int16_t>(value, bits);
    case Type::integer: return fits<std::int32_t>(value, bits);
    case Type::bigint:
    case Type::timestamp: return fits<std::int64_t>(value, bits);
    case Type::utinyint: return fits<std::uint8_t>(value, bits);
    case Type::usmallint: return fits<std::uint16_t>(value, bits);
    case Type::uinteger: return fits<std::uint32_t>(value, bits);
    case Type::ubigint: return fits<std::uint64_t>(value, bits);
    default: return false;
  }
}

std::string decimal_bytes(const Decimal& decimal, Type type) {
  std::string out;
  wire::append(out, decimal.low);
  if (type == Type::decimal128) wire::append(out, decimal.high);
  return out;
}

}  // namespace

bool convert_ticks(std::int64_t ticks, data::Precision from, data::Precision to, std::int64_t& out) {
  const auto have = data::units_per_second(from);
  const auto wanted = data::units_per_second(to);
  if (wanted >= have) return !__builtin_mul_overflow(ticks, wanted / have, &out);
  out = ticks / (have / wanted);
  return ticks % (have / wanted) == 0;
}

std::string convert_decimal(const Value& value, const StatementField& field, std::string& text) {
  if (field.precision == 0)
    return "the scale of the column is not known, for the user may not read the table: allow that, or write with SQL";
  std::string digits;
  if (const auto* d = std::get_if<Decimal>(&value)) digits = d->text();
  else if (const auto* s = std::get_if<std::string>(&value)) digits = *s;
  else if (const auto* i = std::get_if<std::int64_t>(&value)) digits = std::to_string(*i);
  else if (const auto* u = std::get_if<std::uint64_t>(&value)) digits = std::to_string(*u);
  else if (const auto* r = std::get_if<double>(&value)) digits = fmt::format("{}", *r);
  else if (const auto* f = std::get_if<float>(&value)) digits = fmt::format("{}", *f);
  else return "it is " + std::string(type_of_value(value));
  try {
    text = decimal_bytes(Decimal::parse(digits, field.precision, field.scale), field.type);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

std::string convert(const Value& value, const StatementField& field, std::uint64_t& bits, std::string& text) {
  if (is_decimal(field.type)) return convert_decimal(value, field, text);
  if (field.type == Type::timestamp) {
    if (const auto* time = std::get_if<Timestamp>(&value)) {
      std::int64_t ticks = 0;
      if (!convert_ticks(time->ticks, time->precision, static_cast<data::Precision>(field.precision), ticks))
        return "the database counts " +
               std::string(data::precision_name(static_cast<data::Precision>(field.precision))) +
               ", which cannot hold it";
      bits = static_cast<std::uint64_t>(ticks);
      return {};
    }
  }
  if (data::is_variable(field.type)) {
    const bool textual = field.type == Type::varchar || field.type == Type::nchar;
    if (const auto* s = std::get_if<std::string>(&value)) return text = *s, std::string();
    if (const auto* j = std::get_if<Json>(&value); j != nullptr && (textual || field.type == Type::json))
      return text = j->text, std::string();
    if (const auto* b = std::get_if<Binary>(&value); b != nullptr && !textual && field.type != Type::json)
      return text = b->bytes, std::string();
    if (const auto* g = std::get_if<Geometry>(&value); g != nullptr && field.type == Type::geometry)
      return text = g->wkb, std::string();
    return "it is " + std::string(type_of_value(value));
  }
  if (field.type == Type::float32 || field.type == Type::float64) {
    double real = 0;
    Wide whole = 0;
    if (const auto* f = std::get_if<float>(&value)) real = static_cast<double>(*f);
    else if (const auto* d = std::get_if<double>(&value)) real = *d;
    else if (!std::holds_alternative<bool>(value) && whole_number(value, whole)) real = static_cast<double>(whole);
    else return "it is " + std::string(type_of_value(value));
    bits = field.type == Type::float32 ? std::bit_cast<std::uint32_t>(static_cast<float>(real))
                                       : std::bit_cast<std::uint64_t>(real);
    return {};
  }
  Wide whole = 0;
  if (!whole_number(value, whole) || (field.type == Type::timestamp && std::holds_alternative<bool>(value)))
    return "it is " + std::string(type_of_value(value));
  return integer_fits(field.type, whole, bits) ? std::string() : "it is outside of what the type holds";
}

}  // namespace penstock::client::detail
