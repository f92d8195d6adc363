#include "sandbox/result_json.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>

#include "wire/block.h"

namespace penstock::sandbox {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

void append_control_escape(std::string& to, unsigned char byte) {
  switch (byte) {
    case '\n': to += "\\n"; return;
    case '\r': to += "\\r"; return;
    case '\t': to += "\\t"; return;
    default:
      to += "\\u00";
      to += kHex[byte >> 4];
      to += kHex[byte & 15];
  }
}

/// Bytes of the well-formed UTF-8 character at text[at], or 0.
std::size_t character_bytes(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned first = byte(0);
  const std::size_t size = first < 0x80                    ? 1
                           : first >= 0xc2 && first < 0xe0 ? 2
                           : first >= 0xe0 && first < 0xf0 ? 3
                           : first >= 0xf0 && first < 0xf5 ? 4
                                                           : 0;
  if (size == 0 || at + size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
  }
  if (size == 3 && ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) >= 0xa0))) return 0;
  if (size == 4 && ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90))) return 0;
  return size;
}

template <class Value, class Append>
void append_list(std::string& to, const std::vector<Value>& values, Append append) {
  to += '[';
  bool first = true;
  for (const auto& value : values) {
    if (!first) to += ',';
    first = false;
    append(value);
  }
  to += ']';
}

void append_integer(std::string& to, std::int64_t value) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  to.append(text.data(), end);
}

bool is_decimal(data::Type type) { return type == data::Type::decimal64 || type == data::Type::decimal128; }

template <class Float>
void append_shortest(std::string& to, Float value) {
  if (!std::isfinite(value)) {
    to += "null";
    return;
  }
  std::array<char, 40> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific).ptr;
  std::string_view scientific(text.data(), static_cast<std::size_t>(end - text.data()));
  const Float size = std::abs(value);
  if (size != 0 && (size < static_cast<Float>(1e-6) || size >= static_cast<Float>(1e21))) {
    to += scientific;
    return;
  }
  // Plain notation from the shortest digits: to_chars(fixed) would print all digits of a large value.
  if (scientific.front() == '-') {
    to += '-';
    scientific.remove_prefix(1);
  }
  const auto e = scientific.find('e');
  int exponent = 0;
  const bool plus = scientific[e + 1] == '+';
  std::from_chars(scientific.data() + e + (plus ? 2 : 1), scientific.data() + scientific.size(), exponent);
  std::string digits(1, scientific.front());
  if (e > 2) digits += scientific.substr(2, e - 2);
  if (exponent < 0) {
    to += "0.";
    to.append(static_cast<std::size_t>(-exponent - 1), '0');
    to += digits;
    return;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) {
    to += digits;
    to.append(whole - digits.size(), '0');
  } else {
    to.append(digits, 0, whole);
    to += '.';
    to.append(digits, whole);
  }
}

void append_type(std::string& to, const ResultField& field) {
  if (is_decimal(field.type)) {
    fmt::format_to(std::back_inserter(to), "\"DECIMAL({},{})\"", field.precision, field.scale);
  } else {
    to += '"';
    to += data::type_name(field.type);
    to += '"';
  }
}

void append_cell(std::string& to, const Value& value, const ResultField& field, data::Precision precision,
                 const TimeZone& zone) {
  using data::Type;
  if (value.state != Value::State::value) {
    to += "null";
    return;
  }
  switch (field.type) {
    case Type::null: to += "null"; return;
    case Type::boolean: to += value.bits != 0 ? "true" : "false"; return;
    case Type::tinyint:
    case Type::smallint:
    case Type::integer:
    case Type::bigint: append_integer(to, static_cast<std::int64_t>(value.bits)); return;
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: to += std::to_string(value.bits); return;
    case Type::float32: append_json_number(to, std::bit_cast<float>(static_cast<std::uint32_t>(value.bits))); return;
    case Type::float64: append_json_number(to, std::bit_cast<double>(value.bits)); return;
    case Type::timestamp:
      to += '"';
      to += rest_timestamp(static_cast<std::int64_t>(value.bits), precision, zone);
      to += '"';
      return;
    case Type::varchar:
    case Type::nchar: append_json_cell(to, value.text); return;
    case Type::json: to += value.text.empty() ? "null" : value.text; return;
    case Type::decimal64:
      to += '"' + wire::decimal_text(value.bits, static_cast<std::int64_t>(value.bits) < 0 ? -1 : 0, field.scale) + '"';
      return;
    case Type::decimal128: {
      const std::string bytes = value.text.size() == 16 ? value.text : std::string(16, '\0');
      to += '"' +
            wire::decimal_text(wire::load<std::uint64_t>(bytes.data()), wire::load<std::int64_t>(bytes.data() + 8),
                               field.scale) +
            '"';
      return;
    }
    case Type::varbinary:
    case Type::blob:
    case Type::mediumblob:
    case Type::geometry:
      to += '"';
      for (const char c : value.text) {
        const auto byte = static_cast<unsigned char>(c);
        to += kHex[byte >> 4];
        to += kHex[byte & 15];
      }
      to += '"';
      return;
  }
}

}  // namespace

void append_json_text(std::string& to, std::string_view text) {
  to += '"';
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20) {
      append_control_escape(to, byte);
      ++i;
    } else if (byte < 0x80) {
      switch (byte) {
        case '"': to += "\\\""; break;
        case '\\': to += "\\\\"; break;
        case '<': to += "\\u003c"; break;
        case '>': to += "\\u003e"; break;
        case '&': to += "\\u0026"; break;
        default: to += text[i];
      }
      ++i;
    } else if (const std::size_t size = character_bytes(text, i); size == 0) {
      to += "\\ufffd";
      ++i;
    } else {
      const auto character = text.substr(i, size);
      if (character == "\xe2\x80\xa8" || character == "\xe2\x80\xa9") {
        to += character.back() == '\xa8' ? "\\u2028" : "\\u2029";
      } else {
        to += character;
      }
      i += size;
    }
  }
  to += '"';
}

void append_json_cell(std::string& to, std::string_view text) {
  to += '"';
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      append_control_escape(to, static_cast<unsigned char>(c));
    } else {
      if (c == '"' || c == '\\') to += '\\';
      to += c;
    }
  }
  to += '"';
}

void append_field_members(std::string& to, const Answer& answer, LengthKind lengths) {
  const auto& fields = answer.fields;
  fmt::format_to(std::back_inserter(to), "\"fields_count\":{},", fields.size());
  if (fields.empty()) {
    to +=
        "\"fields_names\":null,\"fields_types\":null,\"fields_lengths\":null,\"precision\":0,"
        "\"fields_precisions\":null,\"fields_scales\":null";
    return;
  }
  to += "\"fields_names\":";
  append_list(to, fields, [&](const ResultField& field) { append_json_text(to, field.name); });
  to += ",\"fields_types\":";
  append_list(to, fields, [&](const ResultField& field) { append_integer(to, static_cast<int>(field.type)); });
  to += ",\"fields_lengths\":";
  append_list(to, fields, [&](const ResultField& field) {
    append_integer(to, lengths == LengthKind::user ? field.length : field.stored_bytes);
  });
  fmt::format_to(std::back_inserter(to),
                 ",\"precision\":{},\"fields_precisions\":", static_cast<int>(answer.precision));
  append_list(to, fields,
              [&](const ResultField& field) { append_integer(to, is_decimal(field.type) ? field.precision : 0); });
  to += ",\"fields_scales\":";
  append_list(to, fields,
              [&](const ResultField& field) { append_integer(to, is_decimal(field.type) ? field.scale : 0); });
}

void append_json_number(std::string& to, double value) { append_shortest(to, value); }
void append_json_number(std::string& to, float value) { append_shortest(to, value); }

std::string rest_timestamp(std::int64_t ticks, data::Precision precision, const TimeZone& zone) {
  const std::int64_t units = data::units_per_second(precision);
  std::int64_t seconds = ticks / units;
  std::int64_t fraction = ticks % units;
  if (fraction < 0) {
    fraction += units;
    --seconds;
  }
  const std::int32_t shift = zone.offset_at(seconds);
  const std::int64_t local = seconds + shift;
  const std::int64_t days = local >= 0 ? local / 86400 : (local + 1) / 86400 - 1;
  const std::int64_t second = local - days * 86400;
  const auto [year, month, day] = civil_from_days(days);
  const int digits = 3 * (static_cast<int>(precision) + 1);
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:0{}}", year, month, day, second / 3600,
                                 second / 60 % 60, second % 60, fraction, digits);
  if (shift == 0) return text += 'Z';
  const std::int32_t minutes = std::abs(shift) / 60;
  return text += fmt::format("{}{:02}:{:02}", shift < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

std::string rest_result(const Answer& answer, RowShape shape, const TimeZone& zone,
                        std::optional<std::int64_t> timing_ns) {
  std::string body = "{\"code\":0,\"column_meta\":";
  std::size_t rows = 1;
  if (answer.is_update) {
    body += "[[\"affected_rows\",\"INT\",4]],\"data\":";
    fmt::format_to(std::back_inserter(body),
                   fmt::runtime(shape == RowShape::objects ? "[{{\"affected_rows\":{}}}]" : "[[{}]]"),
                   answer.affected_rows);
  } else {
    rows = answer.rows.size();
    append_list(body, answer.fields, [&](const ResultField& field) {
      body += '[';
      append_json_cell(body, field.name);
      body += ',';
      append_type(body, field);
      fmt::format_to(std::back_inserter(body), ",{}]", field.length);
    });
    body += ",\"data\":";
    append_list(body, answer.rows, [&](const std::vector<Value>& row) {
      body += shape == RowShape::objects ? '{' : '[';
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (i > 0) body += ',';
        if (shape == RowShape::objects) {
          append_json_cell(body, answer.fields[i].name);
          body += ':';
        }
        append_cell(body, row[i], answer.fields[i], answer.precision, zone);
      }
      body += shape == RowShape::objects ? '}' : ']';
    });
  }
  fmt::format_to(std::back_inserter(body), ",\"rows\":{}", rows);
  if (timing_ns) fmt::format_to(std::back_inserter(body), ",\"timing\":{}", *timing_ns);
  return body += '}';
}

std::string rest_error(std::int32_t code, std::string_view text, std::int64_t timing_ns) {
  std::string body = fmt::format("{{\"code\":{},\"desc\":", code);
  append_json_text(body, text);
  fmt::format_to(std::back_inserter(body), ",\"timing\":{}}}", timing_ns);
  return body;
}

}  // namespace penstock::sandbox
