#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/value.h"
#include "data/types.h"

namespace penstock::wire {
class Block;
}

namespace penstock::client {

namespace detail {
struct ResultState;
}

/// A column of a result.
struct Field {
  std::string name;
  data::Type type = data::Type::null;
  std::int32_t length = 0;     ///< as declared: VARCHAR bytes, NCHAR characters, else the size
  std::uint8_t precision = 0;  ///< DECIMAL: digits
  std::uint8_t scale = 0;      ///< DECIMAL
};

/// The result of a query, fetched block by block while it is read; over WebSocket the next block is under way while one
/// is read. Move-only; one thread at a time, the thread of its connection; destroyed before its end it is freed on the
/// server. Other requests may go over the connection in between. A result dies with its connection.
///
/// Read by row (next() and the cells, or `for (const auto row : rows)`) or by column (next_block() and block()), not
/// both. Every call that fetches may throw ResultError, ConnectionError.
class Rows {
 public:
  explicit Rows(std::unique_ptr<detail::ResultState> state);
  Rows(Rows&&) noexcept;
  Rows& operator=(Rows&&) noexcept;
  ~Rows();

  /// Empty for a statement without a result.
  [[nodiscard]] const std::vector<Field>& fields() const noexcept;
  /// Of all TIMESTAMP columns.
  [[nodiscard]] data::Precision precision() const noexcept;
  [[nodiscard]] std::int64_t affected_rows() const noexcept;
  /// Index of the column of that name; throws InterfaceError that names those there are.
  [[nodiscard]] std::size_t index_of(std::string_view name) const;

  // --- by column ---

  /// Fetches the next block; false at the end.
  bool next_block();
  /// The block fetched last: typed views of its columns without a copy (wire/block.h). Valid until the next fetch.
  [[nodiscard]] const wire::Block& block() const;

  // --- by row ---

  /// Moves to the next row, fetching blocks as needed; false at the end.
  bool next();
  // Cells of the current row by column index, which must be below fields().size().
  [[nodiscard]] bool is_null(std::size_t column) const;
  /// BOOL, integers and TIMESTAMP, sign- or zero-extended; 0 for NULL.
  [[nodiscard]] std::uint64_t integer(std::size_t column) const;
  /// FLOAT and DOUBLE; 0 for NULL.
  [[nodiscard]] double real(std::size_t column) const;
  /// Any type: text as UTF-8, binary types as their bytes, DECIMAL with all its digits, TIMESTAMP as its ticks; "" for
  /// NULL.
  [[nodiscard]] std::string text(std::size_t column) const;
  /// VARCHAR, JSON and binary types without a copy, valid until the next fetch; NCHAR would be UCS-4: use text().
  [[nodiscard]] std::string_view bytes(std::size_t column) const;
  /// A TIMESTAMP; ticks 0 for NULL.
  [[nodiscard]] Timestamp timestamp(std::size_t column) const;
  /// Any cell.
  [[nodiscard]] Value value(std::size_t column) const;
  /// As people read it: TIMESTAMP as "2023-11-14T22:13:20.000+08:00" in the connection's time zone (Options::time_zone;
  /// UTC without one), binary types as \x…, the rest as text(); "NULL" for NULL.
  [[nodiscard]] std::string display(std::size_t column) const;
  /// The current row as name and value, in the order of fields().
  [[nodiscard]] std::vector<std::pair<std::string, Value>> named() const;

  /// All rows that are left, into memory.
  std::vector<std::vector<Value>> fetch_all();

  /// The current row of a loop; valid until the loop moves on.
  class Row {
   public:
    explicit Row(const Rows& rows) : rows_(&rows) {}
    [[nodiscard]] std::size_t size() const noexcept { return rows_->fields().size(); }
    [[nodiscard]] Value operator[](std::size_t column) const { return rows_->value(column); }
    [[nodiscard]] Value operator[](std::string_view name) const { return rows_->value(rows_->index_of(name)); }
    /// The typed readers of Rows.
    const Rows* operator->() const noexcept { return rows_; }

   private:
    const Rows* rows_;
  };
  struct Sentinel {};
  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = Row;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(Rows& rows) : rows_(&rows), more_(rows.next()) {}
    Row operator*() const { return Row(*rows_); }
    Iterator& operator++() {
      more_ = rows_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(Sentinel) const noexcept { return !more_; }

   private:
    Rows* rows_;
    bool more_;
  };
  /// Moves to the first row that is left; once.
  Iterator begin() { return Iterator(*this); }
  static Sentinel end() noexcept { return {}; }

 private:
  std::unique_ptr<detail::ResultState> state_;
};

/// "2023-11-14T22:13:20.000Z" or with "+08:00": three, six or nine digits by the precision. `zone` as
/// Options::time_zone; a name that this machine does not know is UTC.
std::string time_text(Timestamp time, std::string_view zone = {});

}  // namespace penstock::client
