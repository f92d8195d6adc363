#include "client/detail/rest_answer.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/text.h"
#include "client/detail/json_reader.h"
#include "client/detail/rest_time.h"
#include "client/value.h"
#include "wire/block.h"
#include "wire/bytes.h"

namespace penstock::client::detail {
namespace {

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
  // What from_chars() would take for infinity and the like.
  if (token.empty() || (token.front() != '-' && (token.front() < '0' || token.front() > '9')) ||
      token.find_first_not_of("0123456789+-.eE") != std::string_view::npos)
    return std::nullopt;
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
  explicit Impl(std::string body, std::shared_ptr<const TimeZone> z)
      : text(std::move(body)), zone(std::move(z)), reader(text) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Kind kind = Kind::foreign;
  std::int32_t code = 0;
  std::string message;
  std::vector<Field> fields;
  data::Precision precision = data::Precision::milliseconds;

  std::string text;
  std::shared_ptr<const TimeZone> zone;
  JsonReader reader;  // behind what was read
  enum class Place : std::uint8_t { first_row, rows, behind_rows, end } place = Place::end;
  std::uint64_t read = 0;  // rows
  std::optional<wire::BlockWriter> writer;
  std::string memory, bytes;

  void read_head() {
    if (reader.peek() == '"') {
      const auto found = reader.string(memory);
      if (!found || !reader.at_end()) return;
      message = *found;
      kind = Kind::text;
      return;
    }
    if (!reader.take('{')) return;
    std::optional<std::int64_t> said;
    for (;;) {
      const auto name = reader.string(memory);
      if (!name || !reader.take(':')) return not_read(said);
      if (*name == "code") {
        said = number<std::int64_t>(reader.scalar());
        if (!said) return;
      } else if (said && *name == "desc") {
        const auto found = reader.string(memory);
        if (!found) return not_read(said);
        message = *found;
      } else if (said == 0 && *name == "column_meta" && fields.empty()) {
        read_meta();
      } else if (!fields.empty() && *name == "data") {
        return begin_rows();
      } else if (reader.raw().empty()) {
        return not_read(said);
      }
      if (reader.take('}')) break;
      if (!reader.take(',')) return not_read(said);
    }
    if (!said || !reader.at_end()) return not_read(said);
    if (!fields.empty()) malformed("it has no rows");
    if (*said == 0 && message.empty()) malformed("it has no columns");
    code = static_cast<std::int32_t>(*said & 0xFFFF);
    if (*said != 0 && code == 0) code = 0xFFFF;
    kind = Kind::refusal;
  }

  // What says a code is an adapter's, and should have gone on.
  static void not_read(std::optional<std::int64_t> said) {
    if (said) malformed("it is cut short or no JSON");
  }

  void read_meta() {
    if (!reader.take('[')) malformed("its columns are no list");
    do {
      Field& field = fields.emplace_back();
      const auto must = [&](bool right) {
        if (!right) malformed(fmt::format("column {} is not described by a name, a type and a length", fields.size()));
      };
      must(reader.take('['));
      const auto name = reader.string(memory);
      must(name.has_value());
      field.name = *name;
      must(reader.take(','));
      const auto word = reader.string(memory);
      must(word.has_value());
      const auto type = read_type(*word);
      if (!type)
        malformed(fmt::format("column '{}' has the unknown type '{}'", printable(field.name), printable(*word)));
      field.type = type->type;
      field.precision = type->digits;
      field.scale = type->scale;
      must(reader.take(','));
      const auto length = number<std::int32_t>(reader.scalar());
      must(length && *length >= 0 && *length <= INT32_MAX / 4 - 4);
      field.length = *length;
      must(reader.take(']'));
    } while (reader.take(','));
    if (!reader.take(']')) malformed("its columns are no list");
  }

  void begin_rows() {
    kind = Kind::result;
    std::vector<wire::BlockWriter::Column> columns;
    for (const auto& field : fields) columns.push_back(stored(field));
    writer.emplace(std::move(columns));
    if (!reader.take('[')) malformed("its rows are no list");
    place = Place::first_row;
    find_precision(reader);
  }

  // Looks for the first time of the result, in a reader of its own.
  void find_precision(JsonReader ahead) {
    bool any = false;
    for (const auto& field : fields) any |= field.type == Type::timestamp;
    while (any && ahead.take('[')) {
      std::size_t column = 0;
      do {
        if (column < fields.size() && fields[column].type == Type::timestamp && ahead.peek() == '"') {
          const auto found = ahead.string(memory);
          if (!found) return;
          if (const auto time = read_printed_time(*found, zone.get())) {
            precision = time->precision;
            return;
          }
        } else if (ahead.raw().empty()) {
          return;
        }
        ++column;
      } while (ahead.take(','));
      if (!ahead.take(']') || !ahead.take(',')) return;
    }
  }

  [[noreturn]] void bad_cell(std::uint32_t column) const {
    malformed(fmt::format("row {} has no {} in column '{}'", read + 1, data::type_name(fields[column].type),
                          printable(fields[column].name)));
  }

  template <class T>
  std::size_t add_integer(std::uint32_t column) {
    const auto value = number<T>(reader.scalar());
    if (!value) bad_cell(column);
    writer->add_fixed(column, static_cast<std::uint64_t>(*value));
    return sizeof(T);
  }

  std::string_view text_of(std::uint32_t column) {
    const auto found = reader.string(memory);
    if (!found) bad_cell(column);
    return *found;
  }

  // Returns about how many bytes the cell has.
  std::size_t add_cell(std::uint32_t column) {
    const Field& field = fields[column];
    if (reader.peek() == 'n') {
      if (reader.scalar() != "null") bad_cell(column);
      writer->add_null(column);
      return 4;
    }
    switch (field.type) {
      case Type::boolean: {
        const auto word = reader.scalar();
        if (word != "true" && word != "false") bad_cell(column);
        writer->add_fixed(column, word == "true" ? 1 : 0);
        return 1;
      }
      case Type::tinyint: return add_integer<std::int8_t>(column);
      case Type::smallint: return add_integer<std::int16_t>(column);
      case Type::integer: return add_integer<std::int32_t>(column);
      case Type::bigint: return add_integer<std::int64_t>(column);
      case Type::utinyint: return add_integer<std::uint8_t>(column);
      case Type::usmallint: return add_integer<std::uint16_t>(column);
      case Type::uinteger: return add_integer<std::uint32_t>(column);
      case Type::ubigint: return add_integer<std::uint64_t>(column);
      case Type::float32: {
        const auto value = number<float>(reader.scalar());
        if (!value) bad_cell(column);
        writer->add_fixed(column, std::bit_cast<std::uint32_t>(*value));
        return 4;
      }
      case Type::float64: {
        const auto value = number<double>(reader.scalar());
        if (!value) bad_cell(column);
        writer->add_fixed(column, std::bit_cast<std::uint64_t>(*value));
        return 8;
      }
      case Type::timestamp: {
        const auto time = read_printed_time(text_of(column), zone.get());
        if (!time || time->precision != precision) bad_cell(column);
        writer->add_fixed(column, static_cast<std::uint64_t>(time->ticks));
        return 8;
      }
      case Type::decimal64:
      case Type::decimal128: return add_decimal(column);
      case Type::varbinary:
      case Type::geometry:
      case Type::blob:
      case Type::mediumblob:
        if (!unhex(text_of(column), bytes)) bad_cell(column);
        writer->add_text(column, bytes);
        return bytes.size();
      case Type::json: {
        const auto value = reader.raw();
        if (value.empty()) bad_cell(column);
        writer->add_text(column, value);
        return value.size();
      }
      case Type::varchar:
      case Type::nchar: {
        const auto value = text_of(column);
        writer->add_text(column, value);
        return value.size();
      }
      default: bad_cell(column);
    }
  }

  std::size_t add_decimal(std::uint32_t column) {
    const Field& field = fields[column];
    const auto text_value = text_of(column);
    Decimal value;
    try {
      value = Decimal::parse(text_value, field.precision, field.scale);
    } catch (const Error&) {
      bad_cell(column);
    }
    if (field.type == Type::decimal64) {
      writer->add_fixed(column, value.low);
      return 8;
    }
    std::array<char, 16> both{};
    wire::store(both.data(), value.low);
    wire::store(both.data() + 8, value.high);
    writer->add_decimal128(column, {both.data(), both.size()});
    return 16;
  }

  std::size_t add_row() {
    if (!reader.take('[')) malformed(fmt::format("row {} is no list", read + 1));
    std::uint32_t column = 0;
    std::size_t size = 0;
    do {
      if (column >= fields.size()) malformed(fmt::format("row {} has more than {} cells", read + 1, fields.size()));
      size += add_cell(column++);
    } while (reader.take(','));
    if (!reader.take(']')) malformed(fmt::format("row {} does not end", read + 1));
    if (column != fields.size())
      malformed(fmt::format("row {} has {} cells instead of {}", read + 1, column, fields.size()));
    ++read;
    return size;
  }

  // Whether another row follows.
  bool another() {
    if (place == Place::first_row) {
      place = reader.take(']') ? Place::behind_rows : Place::rows;
    } else if (place == Place::rows && !reader.take(',')) {
      if (!reader.take(']')) malformed(fmt::format("it ends behind row {}", read));
      place = Place::behind_rows;
    }
    return place == Place::rows;
  }

  void read_end() {
    std::optional<std::uint64_t> said;
    while (reader.take(',')) {
      const auto name = reader.string(memory);
      if (!name || !reader.take(':')) malformed("it ends before it says how many rows it has");
      if (*name == "rows") said = number<std::uint64_t>(reader.scalar());
      else if (reader.raw().empty()) malformed("it is cut short behind its rows");
    }
    if (!said || !reader.take('}') || !reader.at_end()) malformed("it ends before it says how many rows it has");
    if (*said != read) malformed(fmt::format("it says {} rows and has {}", *said, read));
    place = Place::end;
  }

  std::string next_block() {
    std::uint32_t count = 0;
    for (std::size_t size = 0; count < kBlockRows && size < kBlockBytes && another(); ++count) size += add_row();
    if (count > 0) return writer->finish(count);
    if (place == Place::behind_rows) read_end();
    return {};
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
