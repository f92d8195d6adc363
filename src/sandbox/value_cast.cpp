#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "base/text.h"
#include "sandbox/value.h"
#include "sandbox/value_time.h"

namespace penstock::sandbox {
namespace {

using data::Type;

std::string cast_text(const Datum& v) {
  if (is_float(v.type)) {
    // As printf("%g") with enough digits: the server prints 1.5 as "1.5".
    return fmt::format("{}", to_double(v));
  }
  if (v.type == Type::varbinary || v.type == Type::blob) return v.text;
  return to_text(v);
}

std::string cut_bytes(std::string text, std::size_t most) {
  if (text.size() > most) text.resize(most);
  return text;
}

std::string cut_characters(std::string text, std::size_t most) {
  std::size_t seen = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;
    if (seen++ == most) {
      text.resize(at);
      break;
    }
  }
  return text;
}

std::uint64_t wrap(std::int64_t value, Type type) noexcept {
  switch (type) {
    case Type::tinyint: return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int8_t>(value)));
    case Type::smallint: return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int16_t>(value)));
    case Type::integer: return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int32_t>(value)));
    case Type::utinyint: return static_cast<std::uint8_t>(value);
    case Type::usmallint: return static_cast<std::uint16_t>(value);
    case Type::uinteger: return static_cast<std::uint32_t>(value);
    default: return static_cast<std::uint64_t>(value);
  }
}

Datum cast_decimal(const Datum& v, const TypeInfo& type) {
  std::optional<Int128> made;
  if (is_decimal(v.type)) {
    made = rescale(decimal_of(v), v.scale, type.scale, type.precision);
  } else if (is_integer(v.type) || v.type == Type::boolean || v.type == Type::timestamp) {
    made = rescale(decimal_of(v), 0, type.scale, type.precision);
  } else {
    made = parse_decimal(is_float(v.type) ? fmt::format("{:.17g}", to_double(v)) : v.text, type.precision, type.scale);
  }
  if (!made) throw RefusalError(0x013D, "Decimal value overflow");
  return Datum::of_decimal(*made, type.precision, type.scale);
}

}  // namespace

Datum cast_to(const Datum& v, const TypeInfo& type, data::Precision precision) {
  Datum out = Datum::none(type.type);
  out.precision = type.precision;
  out.scale = type.scale;
  if (v.null) return out;
  out.null = false;
  const auto length = static_cast<std::size_t>(type.length);
  switch (type.type) {
    case Type::null: return v;
    case Type::boolean: {
      bool truth = to_double(v) != 0;
      if (data::is_variable(v.type)) {
        truth = v.text.size() == 4 && (v.text[0] == 't' || v.text[0] == 'T') ? true : truth;
      }
      out.bits = truth ? 1 : 0;
      return out;
    }
    case Type::float32: out.bits = std::bit_cast<std::uint32_t>(static_cast<float>(to_double(v))); return out;
    case Type::float64: out.bits = std::bit_cast<std::uint64_t>(to_double(v)); return out;
    case Type::decimal64:
    case Type::decimal128: return cast_decimal(v, type);
    case Type::timestamp:
      if (is_text(v.type)) {
        const auto parsed = parse_time_text(v.text, precision, *TimeZone::find(""));
        if (parsed) {
          out.bits = static_cast<std::uint64_t>(*parsed);
          return out;
        }
      }
      out.bits = static_cast<std::uint64_t>(to_int64(v));
      return out;
    case Type::varchar: out.text = cut_bytes(cast_text(v), length); return out;
    case Type::nchar: out.text = cut_characters(cast_text(v), length); return out;
    case Type::varbinary:
    case Type::blob: out.text = cut_bytes(v.text, length); return out;
    case Type::geometry:
      if (v.type == Type::geometry) {
        out.text = v.text;
      } else if (auto wkb = geometry_image(v.text)) {
        out.text = *wkb;
      } else {
        throw RefusalError(0x2801, "Invalid parameter value : cast");
      }
      return out;
    case Type::json: out.text = cast_text(v); return out;
    default: break;
  }
  if (type.type == Type::ubigint && is_float(v.type) && to_double(v) >= 9.2e18) {
    const double d = to_double(v);
    out.bits = d >= 1.8446744073709552e19 ? UINT64_MAX : static_cast<std::uint64_t>(d);
    return out;
  }
  if (is_unsigned(v.type) && type.type == Type::ubigint) {
    out.bits = v.bits;
    return out;
  }
  out.bits = wrap(to_int64(v), type.type);
  return out;
}

}  // namespace penstock::sandbox
