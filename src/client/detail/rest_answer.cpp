#include "client/detail/rest_answer.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/text.h"
#include "client/detail/foreign_bytes.h"
#include "client/detail/rest_time.h"
#include "client/value.h"
#include "wire/block.h"
#include "wire/bytes.h"

namespace penstock::client::detail {
namespace {

namespace ondemand = simdjson::ondemand;
using data::Type;

constexpr std::uint32_t kBlockRows = 4096;
constexpr std::size_t kBlockBytes = std::size_t{4} << 20;

[[noreturn]] void malformed(const std::string& what) {
  throw Error(Errc::protocol, fmt::format("the answer to a REST request is malformed: {}", what));
}

// --- columns ---

struct TypeName {
  Type type;
  std::uint8_t digits = 0, scale = 0;
};

std::optional<TypeName> read_type(std::string_view name) {
  if (name == "NULL") return TypeName{Type::null};
  constexpr std::string_view kDecimal = "DECIMAL(";
  if (!name.starts_with(kDecimal)) {
    const auto type = data::type_from_name(name);
    if (!type) return std::nullopt;
    return TypeName{*type};
  }
  name.remove_prefix(kDecimal.size());
  unsigned digits = 0, scale = 0;
  const auto first = std::from_chars(name.data(), name.data() + name.size(), digits);
  if (first.ec != std::errc() || first.ptr == name.data() + name.size() || *first.ptr != ',') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, name.data() + name.size(), scale);
  if (second.ec != std::errc() || digits == 0 || digits > 38 || scale > digits) return std::nullopt;
  return TypeName{digits <= 18 ? Type::decimal64 : Type::decimal128, static_cast<std::uint8_t>(digits),
                  static_cast<std::uint8_t>(scale)};
}

wire::BlockWriter::Column stored(const Field& field) {
  switch (field.type) {
    case Type::null: return {Type::boolean, 1};
    case Type::varchar:
    case Type::varbinary:
    case Type::geometry: return {field.type, field.length + 2};
    case Type::nchar: return {field.type, field.length * 4 + 2};
    case Type::blob:
    case Type::mediumblob: return {field.type, field.length + 4};
    case Type::json: return {field.type, field.length};
    case Type::decimal64:
    case Type::decimal128:
      return {field.type, wire::BlockWriter::decimal_bytes(field.type, field.precision, field.scale)};
    default: return {field.type, static_cast<std::int32_t>(data::fixed_size(field.type))};
  }
}

bool unhex(std::string_view text, std::string& out) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  out.clear();
  if (text.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    out += static_cast<char>(high << 4 | low);
  }
  return true;
}

template <class T>
std::optional<T> number(std::string_view token) {
  while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') token.remove_suffix(1);
  T value{};
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (end != token.data() + token.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>) {
    // Too small or too large for the type: as near as it gets.
    if (error == std::errc::result_out_of_range)
      return token.find("e-") != std::string_view::npos
                 ? T{0}
                 : std::copysign(std::numeric_limits<T>::infinity(), token.front() == '-' ? T{-1} : T{1});
  }
  if (error != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

// --- the answer ---

struct RestAnswer::Impl {
  explicit Impl(std::string body, std::shared_ptr<const TimeZone> z) : text(std::move(body)), zone(std::move(z)) {}

  Kind kind = Kind::foreign;
  std::int32_t code = 0;
  std::string message;
  std::vector<Field> fields;
  data::Precision precision = data::Precision::milliseconds;

  std::string text;
  std::shared_ptr<const TimeZone> zone;
  ForeignBytes foreign;
  ondemand::parser parser;
  ondemand::document document;
  ondemand::array rows;
  simdjson::simdjson_result<ondemand::array_iterator> next, end;
  bool at_end = true;
  bool begun = false;  // a row is behind
  std::uint64_t read = 0;
  std::optional<wire::BlockWriter> writer;
  std::string memory, bytes;

  bool parse() {
    text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    auto error = parser.iterate(text.data(), text.size(), text.capacity()).get(document);
    if (error == simdjson::UTF8_ERROR) {
      foreign.hide(text);
      text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
      error = parser.iterate(text.data(), text.size(), text.capacity()).get(document);
    }
    return error == simdjson::SUCCESS;
  }

  void read_head() {
    if (!parse()) {
      if (text.starts_with("{\"code\":")) malformed("it is cut short or no JSON");
      return;
    }
    ondemand::json_type type{};
    if (document.type().get(type) != simdjson::SUCCESS) return;
    std::string_view view;
    if (type == ondemand::json_type::string) {
      if (document.get_string().get(view) != simdjson::SUCCESS) return;
      message = foreign.show(view, memory);
      kind = Kind::text;
      return;
    }
    std::int64_t number = 0;
    if (type != ondemand::json_type::object || document["code"].get_int64().get(number) != simdjson::SUCCESS) return;
    code = static_cast<std::int32_t>(number & 0xFFFF);
    if (number != 0) {
      if (code == 0) code = 0xFFFF;
      kind = Kind::refusal;
      if (document["desc"].get_string().get(view) == simdjson::SUCCESS) message = foreign.show(view, memory);
      return;
    }
    ondemand::array meta;
    if (document["column_meta"].get_array().get(meta) != simdjson::SUCCESS) {
      // Not an answer to a statement: that of /rest/login.
      kind = Kind::refusal;
      if (document["desc"].get_string().get(view) == simdjson::SUCCESS) message = foreign.show(view, memory);
      return;
    }
    kind = Kind::result;
    read_meta(meta);
    std::vector<wire::BlockWriter::Column> columns;
    for (const auto& field : fields) columns.push_back(stored(field));
    writer.emplace(std::move(columns));
    if (find_precision()) {
      document.rewind();
      if (document["column_meta"].get_array().get(meta) != simdjson::SUCCESS) malformed("it has no columns");
    }
    begin_rows();
  }

  void read_meta(ondemand::array& meta) {
    for (auto entry : meta) {
      ondemand::array parts;
      if (entry.get_array().get(parts) != simdjson::SUCCESS) malformed("a column is not described by a list");
      Field& field = fields.emplace_back();
      std::size_t part = 0;
      for (auto value : parts) {
        std::string_view view;
        std::int64_t length = 0;
        if (part == 0 && value.get_string().get(view) == simdjson::SUCCESS) {
          field.name = foreign.show(view, memory);
        } else if (part == 1 && value.get_string().get(view) == simdjson::SUCCESS) {
          const auto type = read_type(view);
          if (!type)
            malformed(fmt::format("column '{}' has the unknown type '{}'", printable(field.name), printable(view)));
          field.type = type->type;
          field.precision = type->digits;
          field.scale = type->scale;
        } else if (part == 2 && value.get_int64().get(length) == simdjson::SUCCESS && length >= 0 &&
                   length <= INT32_MAX / 4 - 4) {
          field.length = static_cast<std::int32_t>(length);
        } else {
          malformed(fmt::format("column {} is not described by a name, a type and a length", fields.size()));
        }
        ++part;
      }
      if (part != 3) malformed(fmt::format("column {} is not described by a name, a type and a length", fields.size()));
    }
    if (fields.empty()) malformed("it has no columns");
  }

  void begin_rows() {
    if (document["data"].get_array().get(rows) != simdjson::SUCCESS) malformed("it has no rows");
    next = rows.begin();
    end = rows.end();
    at_end = next.error() != simdjson::SUCCESS || !(next != end);
    if (next.error() != simdjson::SUCCESS) malformed("its rows are no list");
  }

  // Looks for the first time of the result; true when rows were read for it.
  bool find_precision() {
    bool any = false;
    for (const auto& field : fields) any |= field.type == Type::timestamp;
    if (!any) return false;
    ondemand::array all;
    if (document["data"].get_array().get(all) != simdjson::SUCCESS) malformed("it has no rows");
    for (auto row : all) {
      ondemand::array cells;
      if (row.get_array().get(cells) != simdjson::SUCCESS) malformed("a row is no list");
      std::size_t column = 0;
      for (auto cell : cells) {
        if (column >= fields.size()) break;
        std::string_view view;
        if (fields[column++].type != Type::timestamp || cell.get_string().get(view) != simdjson::SUCCESS) continue;
        if (const auto time = read_printed_time(view, zone.get())) {
          precision = time->precision;
          return true;
        }
      }
    }
    return true;
  }

  [[noreturn]] void bad_cell(std::uint32_t column) const {
    malformed(fmt::format("row {} has no {} in column '{}'", read + 1, data::type_name(fields[column].type),
                          printable(fields[column].name)));
  }

  template <class T>
  void add_integer(ondemand::value& cell, std::uint32_t column) {
    const auto value = number<T>(cell.raw_json_token());
    if (!value) bad_cell(column);
    writer->add_fixed(column, static_cast<std::uint64_t>(*value));
  }

  std::size_t add_cell(ondemand::value& cell, std::uint32_t column) {
    const Field& field = fields[column];
    bool null = false;
    if (cell.is_null().get(null) != simdjson::SUCCESS) malformed("it ends within a row");
    if (null) {
      writer->add_null(column);
      return 4;
    }
    std::string_view view;
    const auto text_of = [&] {
      if (cell.get_string().get(view) != simdjson::SUCCESS) bad_cell(column);
      view = foreign.show(view, memory);
    };
    switch (field.type) {
      case Type::boolean: {
        bool value = false;
        if (cell.get_bool().get(value) != simdjson::SUCCESS) bad_cell(column);
        writer->add_fixed(column, value ? 1 : 0);
        return 1;
      }
      case Type::tinyint: add_integer<std::int8_t>(cell, column); return 1;
      case Type::smallint: add_integer<std::int16_t>(cell, column); return 2;
      case Type::integer: add_integer<std::int32_t>(cell, column); return 4;
      case Type::bigint: add_integer<std::int64_t>(cell, column); return 8;
      case Type::utinyint: add_integer<std::uint8_t>(cell, column); return 1;
      case Type::usmallint: add_integer<std::uint16_t>(cell, column); return 2;
      case Type::uinteger: add_integer<std::uint32_t>(cell, column); return 4;
      case Type::ubigint: add_integer<std::uint64_t>(cell, column); return 8;
      case Type::float32: {
        const auto value = number<float>(cell.raw_json_token());
        if (!value) bad_cell(column);
        writer->add_fixed(column, std::bit_cast<std::uint32_t>(*value));
        return 4;
      }
      case Type::float64: {
        const auto value = number<double>(cell.raw_json_token());
        if (!value) bad_cell(column);
        writer->add_fixed(column, std::bit_cast<std::uint64_t>(*value));
        return 8;
      }
      case Type::timestamp: {
        text_of();
        const auto time = read_printed_time(view, zone.get());
        if (!time || time->precision != precision) bad_cell(column);
        writer->add_fixed(column, static_cast<std::uint64_t>(time->ticks));
        return 8;
      }
      case Type::decimal64:
      case Type::decimal128: {
        text_of();
        Decimal value;
        try {
          value = Decimal::parse(view, field.precision, field.scale);
        } catch (const Error&) {
          bad_cell(column);
        }
        if (field.type == Type::decimal64) {
          writer->add_fixed(column, value.low);
          return 8;
        }
        char both[16];
        wire::store(both, value.low);
        wire::store(both + 8, value.high);
        writer->add_decimal128(column, {both, sizeof both});
        return 16;
      }
      case Type::varbinary:
      case Type::geometry:
      case Type::blob:
      case Type::mediumblob:
        text_of();
        if (!unhex(view, bytes)) bad_cell(column);
        writer->add_text(column, bytes);
        return bytes.size();
      case Type::json:
        if (simdjson::to_json_string(cell).get(view) != simdjson::SUCCESS) bad_cell(column);
        while (!view.empty() && static_cast<unsigned char>(view.back()) <= ' ') view.remove_suffix(1);
        view = foreign.show(view, memory);
        writer->add_text(column, view);
        return view.size();
      case Type::varchar:
      case Type::nchar:
        text_of();
        writer->add_text(column, view);
        return view.size();
      default: bad_cell(column);
    }
  }

  std::size_t add_row(ondemand::value& row) {
    ondemand::array cells;
    if (row.get_array().get(cells) != simdjson::SUCCESS) malformed(fmt::format("row {} is no list", read + 1));
    std::uint32_t column = 0;
    std::size_t size = 0;
    for (auto cell : cells) {
      ondemand::value value;
      if (cell.get(value) != simdjson::SUCCESS) malformed("it ends within a row");
      if (column >= fields.size()) malformed(fmt::format("row {} has more than {} cells", read + 1, fields.size()));
      size += add_cell(value, column++);
    }
    if (column != fields.size())
      malformed(fmt::format("row {} has {} cells instead of {}", read + 1, column, fields.size()));
    ++read;
    return size;
  }

  void check_end() {
    std::uint64_t said = 0;
    if (document["rows"].get_uint64().get(said) != simdjson::SUCCESS)
      malformed("it ends before it says how many rows it has");
    if (said != read) malformed(fmt::format("it says {} rows and has {}", said, read));
  }

  std::string next_block() {
    if (at_end) {
      if (kind == Kind::result && writer) {
        writer.reset();
        check_end();
      }
      return {};
    }
    std::uint32_t count = 0;
    for (std::size_t size = 0; !at_end && count < kBlockRows && size < kBlockBytes; ++count) {
      if (std::exchange(begun, true)) {
        ++next;
        if (!(next != end)) {
          at_end = true;
          break;
        }
      }
      ondemand::value row;
      if ((*next).get(row) != simdjson::SUCCESS) malformed(fmt::format("it ends behind row {}", read));
      size += add_row(row);
    }
    if (count == 0) return next_block();
    return writer->finish(count);
  }
};

RestAnswer::RestAnswer(std::string body, std::shared_ptr<const TimeZone> zone)
    : impl_(std::make_unique<Impl>(std::move(body), std::move(zone))) {
  impl_->read_head();
}
RestAnswer::RestAnswer(RestAnswer&&) noexcept = default;
RestAnswer& RestAnswer::operator=(RestAnswer&&) noexcept = default;
RestAnswer::~RestAnswer() = default;

RestAnswer::Kind RestAnswer::kind() const noexcept { return impl_->kind; }
std::int32_t RestAnswer::code() const noexcept { return impl_->code; }
const std::string& RestAnswer::message() const noexcept { return impl_->message; }
const std::string& RestAnswer::body() const noexcept { return impl_->text; }
const std::vector<Field>& RestAnswer::fields() const noexcept { return impl_->fields; }
data::Precision RestAnswer::precision() const noexcept { return impl_->precision; }

std::optional<std::int64_t> RestAnswer::affected_rows() {
  const auto& fields = impl_->fields;
  if (fields.size() != 1 || fields[0].name != "affected_rows" || fields[0].type != Type::integer) return std::nullopt;
  const auto bytes = impl_->next_block();
  if (bytes.empty()) return 0;
  const auto block = wire::Block::decode(bytes);
  const auto affected = static_cast<std::int64_t>(block.integer(0, 0));
  impl_->next_block();  // its end is looked at too
  return affected;
}

std::string RestAnswer::next_block() { return impl_->next_block(); }

}  // namespace penstock::client::detail
