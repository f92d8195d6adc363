#include "sandbox/stmt1_decode.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/text.h"
#include "sandbox/value.h"
#include "sandbox/value_time.h"
#include "wire/block.h"
#include "wire/bytes.h"

namespace penstock::sandbox {
namespace {

using data::Type;
using Json = nlohmann::json;

constexpr std::int32_t kAdapterError = 0xFFFF;
constexpr std::int32_t kMismatch = 0x0200;

[[noreturn]] void refuse_with(std::string text, std::int32_t code = kAdapterError) {
  throw RefusalError(code, std::move(text));
}

// --- JSON ---

/// Where a value stands, for messages.
struct Spot {
  const char* what;  ///< "tag" or "column"
  std::size_t number;
  const data::Column* column;  ///< null: of a query

  [[noreturn]] void fail(const Json& value, std::string_view wanted) const {
    refuse_with(fmt::format("stmt parse {} json:{} {}{} wants {}, found {}", what, what, number,
                            column == nullptr ? std::string() : " (" + column->name + ")", wanted,
                            printable(value.dump(-1, ' ', false, Json::error_handler_t::replace))));
  }
};

std::optional<std::string> bytes_of_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit(hex[i]);
    const int low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

/// RFC 3339 as Go reads it: "2006-01-02T15:04:05[.f…](Z|±hh:mm)".
bool is_rfc3339(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00";
  if (text.size() <= kShape.size()) return false;
  const auto fits = [](std::string_view part, std::string_view shape) {
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const bool digit = part[i] >= '0' && part[i] <= '9';
      if (shape[i] == '0' ? !digit : part[i] != shape[i]) return false;
    }
    return true;
  };
  if (!fits(text, kShape)) return false;
  text.remove_prefix(kShape.size());
  if (text.front() == '.' || text.front() == ',') {
    const auto end = text.find_first_not_of("0123456789", 1);
    if (end == 1 || end == std::string_view::npos) return false;
    text.remove_prefix(end);
  }
  return text == "Z" || (text.size() == 6 && (text[0] == '+' || text[0] == '-') && fits(text.substr(1), "00:00"));
}

std::uint64_t json_integer(const Json& value, Type type, const Spot& spot) {
  if (!value.is_number_integer()) spot.fail(value, "an integer");
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > largest(type)) spot.fail(value, fmt::format("a {} in range", data::type_name(type)));
    return number;
  }
  const auto number = value.get<std::int64_t>();
  if (number < smallest(type)) spot.fail(value, fmt::format("a {} in range", data::type_name(type)));
  return static_cast<std::uint64_t>(number);
}

void append_json(BoundColumn& to, const Json& value, data::Precision precision, const Spot& spot) {
  if (value.is_null()) return to.add_null();
  switch (to.type) {
    case Type::boolean:
      if (!value.is_boolean()) spot.fail(value, "true or false");
      return to.add_fixed(value.get<bool>() ? 1 : 0);
    case Type::tinyint:
    case Type::smallint:
    case Type::integer:
    case Type::bigint:
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: return to.add_fixed(json_integer(value, to.type, spot));
    case Type::float32:
      if (!value.is_number() || std::abs(value.get<double>()) > std::numeric_limits<float>::max()) {
        spot.fail(value, "a number in range");
      }
      return to.add_fixed(std::bit_cast<std::uint32_t>(static_cast<float>(value.get<double>())));
    case Type::float64:
      if (!value.is_number()) spot.fail(value, "a number");
      return to.add_fixed(std::bit_cast<std::uint64_t>(value.get<double>()));
    case Type::timestamp: {
      if (!value.is_string()) return to.add_fixed(json_integer(value, Type::bigint, spot));
      const auto& text = value.get_ref<const std::string&>();
      const auto time = is_rfc3339(text) ? parse_time_text(text, precision, *TimeZone::find("")) : std::nullopt;
      if (!time) spot.fail(value, "a time such as 2006-01-02T15:04:05Z");
      return to.add_fixed(static_cast<std::uint64_t>(*time));
    }
    case Type::varchar:
    case Type::nchar:
    case Type::json:
      if (!value.is_string()) spot.fail(value, "a string");
      return to.add_text(value.get_ref<const std::string&>());
    case Type::varbinary:
    case Type::geometry: {
      const auto bytes = value.is_string() ? bytes_of_hex(value.get_ref<const std::string&>()) : std::nullopt;
      if (!bytes) spot.fail(value, "a string of hexadecimal digits");
      return to.add_text(*bytes);
    }
    default: spot.fail(value, fmt::format("another kind of bind: {} cannot be JSON", data::type_name(to.type)));
  }
}

Json parse_array(std::string_view json, const char* what) {
  if (json.empty()) return Json::array();
  Json values = Json::parse(json, nullptr, false);
  if (values.is_null()) return Json::array();
  if (!values.is_array()) refuse_with(fmt::format("stmt parse {} json:an array is wanted", what));
  return values;
}

/// A parameter's type by its first value that is not null.
Type type_of_json(const Json& column) {
  for (const auto& value : column) {
    if (value.is_boolean()) return Type::boolean;
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) return Type::ubigint;
    if (value.is_number_integer()) return Type::bigint;
    if (value.is_number()) return Type::float64;
    if (value.is_string()) return Type::varchar;
  }
  return Type::varchar;
}

data::Precision precision_of(const PreparedField& field) { return static_cast<data::Precision>(field.time_precision); }

// --- blocks ---

constexpr std::size_t kHead = 28;
constexpr std::size_t kColumnHead = 5;

struct BlockColumn {
  std::uint8_t type = 0;
  std::string_view index;   ///< bitmap or offsets
  std::string_view values;  ///< values or data area
};
struct BlockView {
  std::size_t rows = 0;
  std::vector<BlockColumn> columns;
  std::size_t bytes = 0;
};

bool is_variable_number(std::uint8_t type) { return type <= 21 && data::is_variable(static_cast<Type>(type)); }

/// Every extent lies in `bytes`; what the cells say is not looked at.
std::optional<BlockView> read_block(std::string_view bytes) {
  if (bytes.size() < kHead) return std::nullopt;
  const auto rows = wire::load<std::int32_t>(bytes.data() + 8);
  const auto count = wire::load<std::int32_t>(bytes.data() + 12);
  if (rows < 0 || count < 0) return std::nullopt;
  BlockView view;
  view.rows = static_cast<std::size_t>(rows);
  const auto columns = static_cast<std::size_t>(count);
  if (columns > (bytes.size() - kHead) / (kColumnHead + 4)) return std::nullopt;
  if (view.rows > bytes.size() * 8) return std::nullopt;  // a row takes a bit at least
  std::size_t at = kHead + columns * (kColumnHead + 4);
  const auto take = [&](std::size_t size) {
    const auto part = bytes.substr(at, size);
    at += size;
    return part;
  };
  for (std::size_t c = 0; c < columns; ++c) {
    BlockColumn column;
    column.type = static_cast<std::uint8_t>(bytes[kHead + c * kColumnHead]);
    const auto length = wire::load<std::uint32_t>(bytes.data() + kHead + columns * kColumnHead + 4 * c);
    const std::size_t index = is_variable_number(column.type) ? 4 * view.rows : (view.rows + 7) / 8;
    if (bytes.size() - at < index || bytes.size() - at - index < length) return std::nullopt;
    column.index = take(index);
    column.values = take(length);
    view.columns.push_back(column);
  }
  view.bytes = at;
  return view;
}

[[noreturn]] void refuse_type(std::size_t column, std::string why) {
  refuse_with(fmt::format("stmt get column type error, err:column {}: {}", column, why));
}

/// Cells of one layout can be read as the other's.
bool same_layout(Type a, Type b) {
  if (a == b) return true;
  if (data::is_variable(a) != data::is_variable(b)) return false;
  if (!data::is_variable(a)) return data::fixed_size(a) == data::fixed_size(b) && data::fixed_size(a) > 0;
  return a != Type::nchar && b != Type::nchar && a != Type::blob && b != Type::blob;
}

BoundColumn read_column(const BlockColumn& from, Type type, std::size_t rows, std::size_t number) {
  if (from.type > 21 || !same_layout(static_cast<Type>(from.type), type)) {
    refuse_with(fmt::format("column type mis-match with buffer type: column {} of the block has type {}, the statement "
                            "wants {}",
                            number, from.type, data::type_name(type)),
                kMismatch);
  }
  BoundColumn column;
  column.type = type;
  if (!data::is_variable(type)) {
    const auto size = data::fixed_size(type);
    if (size == 0) refuse_type(number, fmt::format("unsupported type {}", from.type));
    if (from.values.size() / size < rows) refuse_type(number, "the block is too short for its rows");
    column.is_null.resize(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      column.is_null[r] = (static_cast<unsigned char>(from.index[r / 8]) & (0x80U >> (r % 8))) != 0 ? '\1' : '\0';
    }
    column.data = from.values.substr(0, rows * size);
    return column;
  }
  if (type == Type::blob || type == Type::mediumblob) refuse_type(number, "BLOB cannot be bound by this generation");
  for (std::size_t r = 0; r < rows; ++r) {
    const auto offset = wire::load<std::int32_t>(from.index.data() + 4 * r);
    if (offset < 0) {
      column.add_null();
      continue;
    }
    const auto at = static_cast<std::size_t>(offset);
    if (at > from.values.size() || from.values.size() - at < 2) refuse_type(number, "a cell lies outside the block");
    const auto length = wire::load<std::uint16_t>(from.values.data() + at);
    if (from.values.size() - at - 2 < length) refuse_type(number, "a cell lies outside the block");
    const auto bytes = from.values.substr(at + 2, length);
    if (type == Type::nchar) {
      column.add_text(wire::utf8_from_ucs4(bytes));
    } else {
      column.add_text(bytes);
    }
  }
  return column;
}

BlockView whole_block(std::string_view block) {
  auto view = read_block(block);
  if (!view) refuse_with("stmt block is cut short or damaged");
  return std::move(*view);
}

}  // namespace

std::vector<Value> tags_from_json(std::string_view json, std::span<const PreparedField> fields) {
  const Json values = parse_array(json, "tag");
  if (values.size() > fields.size()) refuse_with("stmt tags count not match");
  std::vector<Value> tags;
  for (std::size_t i = 0; i < values.size(); ++i) {
    BoundColumn one;
    one.type = fields[i].column.type;
    append_json(one, values[i], precision_of(fields[i]), {"tag", i, &fields[i].column});
    tags.push_back(one.value(0));
  }
  return tags;
}

std::vector<BoundColumn> columns_from_json(std::string_view json, std::span<const PreparedField> fields) {
  const Json values = parse_array(json, "column");
  if (!fields.empty() && values.size() > fields.size()) refuse_with("stmt column count not match");
  std::vector<BoundColumn> columns;
  for (std::size_t c = 0; c < values.size(); ++c) {
    if (!values[c].is_array()) refuse_with(fmt::format("stmt parse column json:column {} is no array of rows", c));
    if (values[c].size() != values[0].size()) {
      refuse_with(fmt::format("stmt parse column json:wrong row length: want {} rows got {}", values[0].size(),
                              values[c].size()));
    }
    BoundColumn column;
    column.type = fields.empty() ? type_of_json(values[c]) : fields[c].column.type;
    const auto precision = fields.empty() ? data::Precision::milliseconds : precision_of(fields[c]);
    const Spot spot{"column", c, fields.empty() ? nullptr : &fields[c].column};
    for (const auto& value : values[c]) append_json(column, value, precision, spot);
    columns.push_back(std::move(column));
  }
  return columns;
}

std::vector<BoundColumn> columns_from_block(std::string_view block, std::span<const PreparedField> fields) {
  const auto view = whole_block(block);
  if (view.columns.size() != fields.size()) refuse_with("stmt column count not match");
  std::vector<BoundColumn> columns;
  for (std::size_t c = 0; c < fields.size(); ++c) {
    columns.push_back(read_column(view.columns[c], fields[c].column.type, view.rows, c));
  }
  return columns;
}

std::vector<BoundColumn> columns_from_block(std::string_view block) {
  const auto view = whole_block(block);
  std::vector<BoundColumn> columns;
  for (std::size_t c = 0; c < view.columns.size(); ++c) {
    const auto& column = view.columns[c];
    if (column.type == 0 || column.type > 21) refuse_type(c, fmt::format("unsupported type {}", column.type));
    columns.push_back(read_column(column, static_cast<Type>(column.type), view.rows, c));
  }
  return columns;
}

std::vector<Value> tags_from_block(std::string_view block, std::span<const PreparedField> fields) {
  const auto view = whole_block(block);
  if (view.rows != 1) refuse_with("rows not equal 1");
  if (view.columns.size() != fields.size()) refuse_with("stmt tags count not match");
  std::vector<Value> tags;
  for (std::size_t c = 0; c < fields.size(); ++c) {
    tags.push_back(read_column(view.columns[c], fields[c].column.type, 1, c).value(0));
  }
  return tags;
}

std::size_t block_bytes(std::string_view bytes) noexcept {
  try {
    const auto view = read_block(bytes);
    return view ? view->bytes : 0;
  } catch (const std::exception&) {  // no memory for so many columns
    return 0;
  }
}

}  // namespace penstock::sandbox
