#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <limits>

#include "base/text.h"
#include "data/types.h"
#include "format/json_work.h"

/// Values and times of points.
namespace penstock::format {

using data::Limits;
using data::Type;
using Kind = JsonNode::Kind;

namespace {

template <class T>
bool truncated(double number, data::Slot& slot) noexcept {
  if (!(number >= static_cast<double>(std::numeric_limits<T>::min()) &&
        number <= static_cast<double>(std::numeric_limits<T>::max())))
    return false;
  slot = data::slot_of(static_cast<std::int64_t>(number));
  return true;
}

struct TypeName {
  std::string_view name;
  Type type;
};
constexpr std::array<TypeName, 15> kTypes{{{"i8", Type::tinyint},
                                           {"tinyint", Type::tinyint},
                                           {"i16", Type::smallint},
                                           {"smallint", Type::smallint},
                                           {"i32", Type::integer},
                                           {"int", Type::integer},
                                           {"i64", Type::bigint},
                                           {"bigint", Type::bigint},
                                           {"f32", Type::float32},
                                           {"float", Type::float32},
                                           {"f64", Type::float64},
                                           {"double", Type::float64},
                                           {"binary", Type::varchar},
                                           {"varbinary", Type::varbinary},
                                           {"nchar", Type::nchar}}};

Type type_of_name(std::string_view name, Kind value) noexcept {
  if (value == Kind::boolean) return same_letters(name, "bool") ? Type::boolean : Type::null;
  if (value != Kind::number && value != Kind::string) return Type::null;
  for (const auto& [known, type] : kTypes)
    if (same_letters(name, known) && data::is_variable(type) == (value == Kind::string)) return type;
  return Type::null;
}

std::string range_of(Type type) {
  switch (type) {
    case Type::tinyint: return "-128 to 127";
    case Type::smallint: return "-32768 to 32767";
    case Type::integer: return "-2147483648 to 2147483647";
    default: return "-3.402823466e+38 to 3.402823466e+38";
  }
}

}  // namespace

std::string_view json_kind_name(Kind kind) noexcept {
  switch (kind) {
    case Kind::null: return "null";
    case Kind::boolean: return "a boolean";
    case Kind::number: return "a number";
    case Kind::string: return "a string";
    case Kind::array: return "an array";
    case Kind::object: break;
  }
  return "an object";
}

bool json_number_as(Type type, double number, data::Slot& slot) noexcept {
  switch (type) {
    case Type::tinyint: return truncated<std::int8_t>(number, slot);
    case Type::smallint: return truncated<std::int16_t>(number, slot);
    case Type::integer: return truncated<std::int32_t>(number, slot);
    case Type::bigint:  // does not fail on the server, but clamps
      if (number >= 9223372036854775808.0) slot = data::slot_of(INT64_MAX);
      else if (number <= -9223372036854775808.0) slot = data::slot_of(INT64_MIN);
      else slot = data::slot_of(static_cast<std::int64_t>(number));
      return true;
    case Type::float32:
      if (!(number >= -static_cast<double>(FLT_MAX) && number <= static_cast<double>(FLT_MAX))) return false;
      slot = data::slot_of(static_cast<float>(number));
      return true;
    default: slot = data::slot_of(number); return true;
  }
}

bool JsonParser::Work::read_time(std::uint32_t node, std::int64_t& time, JsonTime& kind, JsonError& error) const {
  const auto& nodes = reader_.nodes();
  const auto& given = nodes[node];
  const JsonNode* count = &given;
  error = {0x0127, "", given.begin};
  if (given.kind == Kind::object) {
    const JsonNode* unit = nullptr;
    count = nullptr;
    for (std::uint32_t at = node + 1; at < given.next; at = nodes[at].next) {
      if (same_letters(nodes[at].key, "value")) count = &nodes[at];
      else if (same_letters(nodes[at].key, "type")) unit = &nodes[at];
    }
    if (given.children != 2 || count == nullptr || unit == nullptr || count->kind != Kind::number ||
        unit->kind != Kind::string) {
      error.text = R"(a timestamp object is {"value": number, "type": "s", "ms", "us" or "ns"})";
      return false;
    }
    static constexpr std::array<std::string_view, 5> kUnits{"", "s", "ms", "us", "ns"};
    const auto known = std::find_if(kUnits.begin() + 1, kUnits.end(),
                                    [&](std::string_view name) { return same_letters(name, unit->text); });
    if (known == kUnits.end() && count->number != 0) {
      error.text = fmt::format("'{}' is no unit of time: s, ms, us or ns", shown_json(unit->text));
      return false;
    }
    kind = known == kUnits.end() ? JsonTime::seconds : static_cast<JsonTime>(known - kUnits.begin());
  } else if (given.kind != Kind::number) {
    error.text = fmt::format("the timestamp is {}, not a number", json_kind_name(given.kind));
    return false;
  }
  const double number = count->number;
  if (number >= 9223372036854775808.0 || number < 0) {
    error.text = number < 0 ? "the timestamp is negative" : "the timestamp is too large";
    return false;
  }
  if (number == 0) {
    time = options_.record_clock ? options_.record_clock(source_, chunk_offset_ + record_) : options_.clock();
    return true;
  }
  const auto units = static_cast<std::uint64_t>(number);
  auto scale = kind;
  if (kind == JsonTime::digits) {
    if (units >= 1'000'000'000 && units < 10'000'000'000) scale = JsonTime::seconds;
    else if (units >= 1'000'000'000'000 && units < 10'000'000'000'000) scale = JsonTime::milliseconds;
    else {
      error.text =
          R"(a timestamp has 10 digits (seconds) or 13 (milliseconds); other units are written as {"value": …, "type": "us"})";
      return false;
    }
  }
  if (!json_time_of(scale, units, time)) {
    error.text = "the timestamp is too large for its unit";
    return false;
  }
  return true;
}

/// `typed`: written as an object with its type.
bool JsonParser::Work::read_value(std::uint32_t node, JsonValue& value, JsonError& error, bool& typed) const {
  const auto& nodes = reader_.nodes();
  const auto& given = nodes[node];
  const JsonNode* content = &given;
  error = {0x0221, "", given.begin};
  switch (given.kind) {
    case Kind::boolean: value.type = Type::boolean; break;
    case Kind::number: value.type = Type::float64; break;
    case Kind::string: value.type = Type::varchar; break;
    case Kind::null:
    case Kind::array: error.text = fmt::format("a value cannot be {}", json_kind_name(given.kind)); return false;
    case Kind::object: {
      const JsonNode* type = nullptr;
      content = nullptr;
      for (std::uint32_t at = node + 1; at < given.next; at = nodes[at].next) {
        if (same_letters(nodes[at].key, "value")) content = &nodes[at];
        else if (same_letters(nodes[at].key, "type")) type = &nodes[at];
      }
      if (given.children != 2 || content == nullptr || type == nullptr || type->kind != Kind::string) {
        error.text = R"(a value object is {"value": …, "type": "…"} and nothing else)";
        return false;
      }
      value.type = type_of_name(type->text, content->kind);
      if (value.type == Type::null) {
        error = {0x0222,
                 fmt::format("{} cannot have the type '{}'", json_kind_name(content->kind), shown_json(type->text)),
                 given.begin};
        return false;
      }
      typed = true;
    }
  }
  if (content->kind == Kind::boolean) {
    value.slot = content->truth ? 1 : 0;
  } else if (content->kind == Kind::number) {
    if (!json_number_as(value.type, content->number, value.slot)) {
      error = {0x0224, fmt::format("the value is outside the range of its type, {}", range_of(value.type)),
               content->begin};
      return false;
    }
  } else {
    value.text = content->text;
    const auto most = value.type == Type::nchar ? Limits::nchar : Limits::varchar;
    if (value.text.size() > most) {
      error = {0x2642, fmt::format("a text of {} bytes is longer than {}", value.text.size(), most), content->begin};
      return false;
    }
  }
  return true;
}

}  // namespace penstock::format
