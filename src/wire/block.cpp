#include "wire/block.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"

namespace penstock::wire {
namespace {

using data::Type;

constexpr std::size_t kHeaderBytes = 28;
constexpr std::uint32_t kFlag = 0x80000000;

[[noreturn]] void malformed(const std::string& what) {
  throw Error(Errc::protocol, "the server sent a result block that is malformed: " + what +
                                  "; it cannot be read (other versions of the server may use another layout)");
}

// Reads past a blob's 4 or the others' 2 bytes of length.
std::size_t length_bytes(Type type) noexcept { return type == Type::blob || type == Type::mediumblob ? 4 : 2; }

std::size_t cell_length(Type type, const char* at) noexcept {
  return length_bytes(type) == 4 ? load<std::uint32_t>(at) : load<std::uint16_t>(at);
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace

Block Block::decode(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) malformed(fmt::format("only {} bytes", bytes.size()));
  const auto length = load<std::int32_t>(bytes.data() + 4);
  const auto rows = load<std::int32_t>(bytes.data() + 8);
  const auto columns = load<std::int32_t>(bytes.data() + 12);
  if (length < 0 || static_cast<std::size_t>(length) > bytes.size())
    malformed(fmt::format("it says {} bytes but has {}", length, bytes.size()));
  bytes = bytes.substr(0, static_cast<std::size_t>(length));
  if (rows < 0 || columns < 0 || static_cast<std::size_t>(columns) > bytes.size() / 9 ||
      kHeaderBytes + 9 * static_cast<std::size_t>(columns) > bytes.size())
    malformed(fmt::format("{} rows of {} columns in {} bytes", rows, columns, bytes.size()));

  Block block;
  block.rows_ = static_cast<std::uint32_t>(rows);
  block.columns_.resize(static_cast<std::size_t>(columns));
  const std::size_t row_count = block.rows_;
  const char* const lengths = bytes.data() + kHeaderBytes + 5 * block.columns_.size();
  std::size_t at = kHeaderBytes + 9 * block.columns_.size();
  for (std::size_t c = 0; c < block.columns_.size(); ++c) {
    Column& column = block.columns_[c];
    const char* const declared = bytes.data() + kHeaderBytes + 5 * c;
    column.type = static_cast<Type>(*declared);
    column.stored_bytes = load<std::int32_t>(declared + 1);
    column.variable = data::is_variable(column.type);
    column.size = static_cast<std::uint32_t>(data::fixed_size(column.type));
    if (!column.variable && column.size == 0 && column.type != Type::null)
      malformed(fmt::format("column {} has the unknown type {}", c, static_cast<unsigned char>(*declared)));
    const auto data_length = load<std::int32_t>(lengths + 4 * c);
    const std::size_t index_length = column.variable ? 4 * row_count : (row_count + 7) / 8;
    const std::size_t left = bytes.size() - at;
    if (data_length < 0 || index_length > left || static_cast<std::size_t>(data_length) > left - index_length)
      malformed(fmt::format("column {} leaves the block", c));
    const auto area = static_cast<std::size_t>(data_length);
    column.index = bytes.data() + at;
    column.values = column.index + index_length;
    at += index_length + area;
    if (!column.variable) {
      if (area < column.size * row_count)
        malformed(fmt::format("column {} has {} bytes for {} rows", c, area, row_count));
      continue;
    }
    const std::size_t head = length_bytes(column.type);
    for (std::size_t row = 0; row < row_count; ++row) {
      const auto offset = load<std::int32_t>(column.index + 4 * row);
      if (offset < 0) continue;  // NULL
      const auto start = static_cast<std::size_t>(offset);
      if (start + head > area || cell_length(column.type, column.values + start) > area - start - head)
        malformed(fmt::format("row {} of column {} leaves the block", row, c));
    }
  }
  return block;
}

std::string_view Block::bytes(std::uint32_t row, std::uint32_t column) const noexcept {
  if (is_null(row, column)) return {};
  const Column& c = columns_[column];
  if (!c.variable) return {c.values + std::size_t{c.size} * row, c.size};
  const char* const at = c.values + load<std::int32_t>(c.index + 4 * std::size_t{row});
  return {at + length_bytes(c.type), cell_length(c.type, at)};
}

std::uint64_t Block::integer(std::uint32_t row, std::uint32_t column) const noexcept {
  if (is_null(row, column)) return 0;
  const auto widen = [](auto value) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(value)); };
  switch (type(column)) {
    case Type::boolean:
    case Type::utinyint: return fixed<std::uint8_t>(row, column);
    case Type::tinyint: return widen(fixed<std::int8_t>(row, column));
    case Type::smallint: return widen(fixed<std::int16_t>(row, column));
    case Type::usmallint: return fixed<std::uint16_t>(row, column);
    case Type::integer: return widen(fixed<std::int32_t>(row, column));
    case Type::uinteger: return fixed<std::uint32_t>(row, column);
    case Type::bigint:
    case Type::timestamp:
    case Type::ubigint:
    case Type::decimal64: return fixed<std::uint64_t>(row, column);
    default: return 0;
  }
}

double Block::real(std::uint32_t row, std::uint32_t column) const noexcept {
  if (is_null(row, column)) return 0;
  if (type(column) == Type::float32) return static_cast<double>(fixed<float>(row, column));
  if (type(column) == Type::float64) return fixed<double>(row, column);
  return 0;
}

std::string Block::text(std::uint32_t row, std::uint32_t column) const {
  if (is_null(row, column)) return {};
  switch (type(column)) {
    case Type::boolean: return integer(row, column) != 0 ? "true" : "false";
    case Type::tinyint:
    case Type::smallint:
    case Type::integer:
    case Type::bigint:
    case Type::timestamp: return std::to_string(static_cast<std::int64_t>(integer(row, column)));
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: return std::to_string(integer(row, column));
    case Type::float32: return fmt::format("{}", fixed<float>(row, column));
    case Type::float64: return fmt::format("{}", fixed<double>(row, column));
    case Type::decimal64: {
      const auto value = fixed<std::int64_t>(row, column);
      return decimal_text(static_cast<std::uint64_t>(value), value < 0 ? -1 : 0, scale(column));
    }
    case Type::decimal128: {
      const auto value = bytes(row, column);
      return decimal_text(load<std::uint64_t>(value.data()), load<std::int64_t>(value.data() + 8), scale(column));
    }
    case Type::nchar: return utf8_from_ucs4(bytes(row, column));
    default: return std::string(bytes(row, column));
  }
}

std::string decimal_text(std::uint64_t low, std::int64_t high, unsigned scale) {
  __extension__ using Wide = unsigned __int128;
  const bool negative = high < 0;
  Wide value = Wide{static_cast<std::uint64_t>(high)} << 64 | low;
  if (negative) value = ~value + 1;
  std::string reversed;
  for (unsigned digit = 0; value != 0 || digit <= scale; ++digit) {
    if (digit == scale && scale > 0) reversed += '.';
    reversed += static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  }
  if (negative) reversed += '-';
  return {reversed.rbegin(), reversed.rend()};
}

std::string utf8_from_ucs4(std::string_view ucs4) {
  std::string out;
  out.reserve(ucs4.size() / 2);
  for (std::size_t at = 0; at + 4 <= ucs4.size(); at += 4) {
    auto code = load<std::uint32_t>(ucs4.data() + at);
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) code = 0xFFFD;
    append_utf8(out, code);
  }
  return out;
}

bool append_ucs4(std::string& out, std::string_view utf8) {
  if (!is_utf8(utf8)) return false;
  for (std::size_t at = 0; at < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[at]);
    const std::size_t more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    std::uint32_t code = more == 0 ? lead : lead & (0x3FU >> more);
    for (std::size_t i = 1; i <= more; ++i) code = code << 6 | (static_cast<unsigned char>(utf8[at + i]) & 0x3FU);
    append(out, code);
    at += more + 1;
  }
  return true;
}

BlockWriter::BlockWriter(std::vector<Column> columns) : columns_(std::move(columns)), cells_(columns_.size()) {}

void BlockWriter::add_null(std::uint32_t column) {
  Cells& cells = cells_[column];
  if (data::is_variable(columns_[column].type)) {
    append(cells.index, std::int32_t{-1});
  } else {
    if (cells.count % 8 == 0) cells.index += '\0';
    cells.index.back() = static_cast<char>(cells.index.back() | static_cast<char>(0x80U >> (cells.count & 7U)));
    cells.values.append(data::fixed_size(columns_[column].type), '\0');
  }
  ++cells.count;
}

void BlockWriter::add_fixed(std::uint32_t column, std::uint64_t bits) {
  Cells& cells = cells_[column];
  if (cells.count % 8 == 0) cells.index += '\0';
  const std::size_t size = data::fixed_size(columns_[column].type);
  const std::size_t low = size < 8 ? size : 8;
  cells.values.append(reinterpret_cast<const char*>(&bits), low);
  if (size > low) cells.values.append(size - low, static_cast<std::int64_t>(bits) < 0 ? '\xFF' : '\0');
  ++cells.count;
}

void BlockWriter::add_decimal128(std::uint32_t column, std::string_view bytes) {
  Cells& cells = cells_[column];
  if (bytes.size() != 16) throw Error(Errc::protocol, "a DECIMAL value of 128 bits needs 16 bytes");
  if (cells.count % 8 == 0) cells.index += '\0';
  cells.values += bytes;
  ++cells.count;
}

void BlockWriter::add_text(std::uint32_t column, std::string_view value) {
  Cells& cells = cells_[column];
  const Type type = columns_[column].type;
  append(cells.index, static_cast<std::int32_t>(cells.values.size()));
  const std::size_t head = length_bytes(type);
  const std::size_t start = cells.values.size();
  cells.values.append(head, '\0');
  if (type != Type::nchar) cells.values += value;
  else if (!append_ucs4(cells.values, value)) append(cells.values, std::uint32_t{0xFFFD});
  const std::size_t length = cells.values.size() - start - head;
  if (head == 2) {
    if (length > 0xFFFF) throw Error(Errc::protocol, fmt::format("a value of {} bytes does not fit a result", length));
    store(cells.values.data() + start, static_cast<std::uint16_t>(length));
  } else {
    store(cells.values.data() + start, static_cast<std::uint32_t>(length));
  }
  ++cells.count;
}

std::string BlockWriter::finish(std::uint32_t rows, std::int32_t version) {
  std::size_t total = kHeaderBytes + 9 * columns_.size() + 1;
  for (const Cells& cells : cells_) {
    if (cells.count != rows)
      throw Error(Errc::protocol, fmt::format("a column of a result has {} cells instead of {}", cells.count, rows));
    total += cells.index.size() + cells.values.size();
  }
  std::string out;
  out.reserve(total);
  append(out, version);
  append(out, static_cast<std::int32_t>(total));
  append(out, static_cast<std::int32_t>(rows));
  append(out, static_cast<std::int32_t>(columns_.size()));
  append(out, kFlag);
  append(out, std::uint64_t{0});
  for (const Column& column : columns_) {
    out += static_cast<char>(column.type);
    append(out, column.stored_bytes);
  }
  for (const Cells& cells : cells_) append(out, static_cast<std::int32_t>(cells.values.size()));
  for (Cells& cells : cells_) {
    out += cells.index;
    out += cells.values;
    cells = Cells{};
  }
  out += '\0';
  return out;
}

}  // namespace penstock::wire
