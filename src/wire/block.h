#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/types.h"
#include "wire/bytes.h"

/// Raw result blocks of TDengine 3.x: header of 28 bytes, five bytes a column, a length a column, then the columns:
/// - fixed types: NULL bitmap (most significant bit first, 1 = NULL), then rows x size values
/// - variable types: rows x i32 offsets (-1 = NULL) into the data area that follows; there u16 length (BLOB: u32),
/// bytes Integers are little-endian, NCHAR is UCS-4. One trailing byte may follow and counts in the length.
namespace penstock::wire {

/// Values of a fixed type where they lie in a block, at any alignment; read like an array.
template <class T>
class Packed {
 public:
  class Iterator {
   public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = T;
    Iterator() = default;
    explicit Iterator(const char* at) : at_(at) {}
    T operator*() const noexcept { return load<T>(at_); }
    T operator[](difference_type i) const noexcept { return *(*this + i); }
    Iterator& operator++() noexcept { return *this += 1; }
    Iterator operator++(int) noexcept { return std::exchange(*this, *this + 1); }
    Iterator& operator--() noexcept { return *this += -1; }
    Iterator operator--(int) noexcept { return std::exchange(*this, *this + -1); }
    Iterator& operator+=(difference_type n) noexcept {
      at_ += n * static_cast<difference_type>(sizeof(T));
      return *this;
    }
    Iterator& operator-=(difference_type n) noexcept { return *this += -n; }
    friend Iterator operator+(Iterator i, difference_type n) noexcept { return i += n; }
    friend Iterator operator+(difference_type n, Iterator i) noexcept { return i += n; }
    friend Iterator operator-(Iterator i, difference_type n) noexcept { return i += -n; }
    friend difference_type operator-(Iterator a, Iterator b) noexcept {
      return (a.at_ - b.at_) / static_cast<difference_type>(sizeof(T));
    }
    auto operator<=>(const Iterator&) const = default;

   private:
    const char* at_ = nullptr;
  };

  Packed(const char* values, std::size_t size) : values_(values), size_(size) {}
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The bytes, size() * sizeof(T) of them, not aligned.
  [[nodiscard]] const char* data() const noexcept { return values_; }
  T operator[](std::size_t row) const noexcept { return load<T>(values_ + sizeof(T) * row); }
  [[nodiscard]] Iterator begin() const noexcept { return Iterator(values_); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator(values_ + sizeof(T) * size_); }

 private:
  const char* values_;
  std::size_t size_;
};

/// A block as received. View: the bytes must outlive it. Checked as a whole when it is made, so that cells are read
/// without checks afterwards; row and column must be in range.
class Block {
 public:
  /// Throws Error(Errc::protocol) when any length or offset leaves the block.
  static Block decode(std::string_view bytes);

  [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint32_t columns() const noexcept { return static_cast<std::uint32_t>(columns_.size()); }
  [[nodiscard]] data::Type type(std::uint32_t column) const noexcept { return columns_[column].type; }
  /// As stored: VARCHAR width + 2, NCHAR 4 x width + 2; for DECIMAL a packed field, see scale().
  [[nodiscard]] std::int32_t stored_bytes(std::uint32_t column) const noexcept { return columns_[column].stored_bytes; }
  /// DECIMAL only.
  [[nodiscard]] std::uint8_t scale(std::uint32_t column) const noexcept {
    return static_cast<std::uint8_t>(columns_[column].stored_bytes & 0xFF);
  }
  [[nodiscard]] std::uint8_t digits(std::uint32_t column) const noexcept {
    return static_cast<std::uint8_t>(columns_[column].stored_bytes >> 8 & 0xFF);
  }

  [[nodiscard]] bool is_null(std::uint32_t row, std::uint32_t column) const noexcept {
    const Column& c = columns_[column];
    if (c.size == 0) return c.variable ? load<std::int32_t>(c.index + 4 * std::size_t{row}) < 0 : true;
    return (static_cast<std::uint8_t>(c.index[row >> 3]) & (0x80U >> (row & 7U))) != 0;
  }
  /// A value of a fixed type. T must have the type's size; not for NULL cells, whose bytes mean nothing.
  template <class T>
  [[nodiscard]] T fixed(std::uint32_t row, std::uint32_t column) const noexcept {
    return load<T>(columns_[column].values + sizeof(T) * std::size_t{row});
  }
  /// All values of a fixed type, rows() of them, not aligned.
  [[nodiscard]] const char* values(std::uint32_t column) const noexcept { return columns_[column].values; }
  /// The same, typed: T must have the type's size. Bytes of NULL cells mean nothing.
  template <class T>
  [[nodiscard]] Packed<T> column(std::uint32_t index) const noexcept {
    return {columns_[index].values, rows_};
  }
  /// The bytes of a cell as on the wire (NCHAR: UCS-4); empty for NULL.
  [[nodiscard]] std::string_view bytes(std::uint32_t row, std::uint32_t column) const noexcept;

  // --- converted cells; NULL gives 0 or "" ---

  /// Any integer, BOOL or TIMESTAMP, sign- or zero-extended to 64 bits.
  [[nodiscard]] std::uint64_t integer(std::uint32_t row, std::uint32_t column) const noexcept;
  /// FLOAT or DOUBLE.
  [[nodiscard]] double real(std::uint32_t row, std::uint32_t column) const noexcept;
  /// VARCHAR, JSON and binary types: their bytes; NCHAR: UTF-8; DECIMAL: all digits behind the point kept;
  /// integers, BOOL (true, false), FLOAT and DOUBLE: shortest text that reads back the same; TIMESTAMP: the integer.
  [[nodiscard]] std::string text(std::uint32_t row, std::uint32_t column) const;

 private:
  struct Column {
    data::Type type = data::Type::null;
    std::int32_t stored_bytes = 0;
    std::uint32_t size = 0;  // of a fixed type
    bool variable = false;
    const char* index = nullptr;   // bitmap or offsets
    const char* values = nullptr;  // values or data area
  };
  std::uint32_t rows_ = 0;
  std::vector<Column> columns_;
};

/// "-98765.43210" for the unscaled 128-bit integer (low, high) with `scale` digits behind the point.
std::string decimal_text(std::uint64_t low, std::int64_t high, unsigned scale);

/// UCS-4 (little-endian) to UTF-8; code points that do not exist become U+FFFD.
std::string utf8_from_ucs4(std::string_view ucs4);

/// Appends UTF-8 as UCS-4 (little-endian). False when it is not well-formed; then nothing was appended.
bool append_ucs4(std::string& out, std::string_view utf8);

/// Builds a block byte for byte as TDengine 3.3.7 does: flag 0x80000000, NULL cells of fixed types zero, one trailing
/// zero byte. Append the cells of each column in the order of the rows; columns in any order.
class BlockWriter {
 public:
  struct Column {
    data::Type type = data::Type::null;
    std::int32_t stored_bytes = 0;  ///< see Block::stored_bytes(); use decimal_bytes() for DECIMAL
  };
  static constexpr std::int32_t decimal_bytes(data::Type type, std::uint8_t digits, std::uint8_t scale) noexcept {
    const std::uint32_t size = type == data::Type::decimal64 ? 8 : 16;
    return static_cast<std::int32_t>(size << 24 | std::uint32_t{digits} << 8 | scale);
  }

  explicit BlockWriter(std::vector<Column> columns);

  void add_null(std::uint32_t column);
  /// The low bytes of `bits` as many as the type has: integers, BOOL, TIMESTAMP, bits of FLOAT and DOUBLE, DECIMAL64.
  void add_fixed(std::uint32_t column, std::uint64_t bits);
  /// 16 bytes of a DECIMAL128.
  void add_decimal128(std::uint32_t column, std::string_view bytes);
  /// A value of variable length; NCHAR as UTF-8 (bytes that are not become U+FFFD).
  void add_text(std::uint32_t column, std::string_view value);

  /// The block of `rows` rows; every column must have got that many cells. Throws Error(Errc::protocol) otherwise.
  /// `version` 1 in results, 2 in subscriptions. The writer is empty afterwards.
  std::string finish(std::uint32_t rows, std::int32_t version = 1);

 private:
  struct Cells {
    std::uint32_t count = 0;
    std::string index;   // bitmap or offsets
    std::string values;  // values or data area
  };
  std::vector<Column> columns_;
  std::vector<Cells> cells_;
};

}  // namespace penstock::wire
