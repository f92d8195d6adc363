#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "client/rows.h"
#include "client/value.h"
#include "data/types.h"

namespace penstock::client {

namespace detail {
struct StatementState;
struct StatementBatch;
}  // namespace detail

/// How the server works a statement: `interlace` for few rows in many child tables of one super table (costs the
/// server a thread), `standard` from about a hundred rows a table, and for everything else.
enum class StatementMode : std::uint8_t { standard, interlace };

/// A placeholder of a prepared insert.
struct StatementField {
  enum class Bind : std::uint8_t { column = 1, tag = 2, query = 3, table_name = 4 };
  std::string name;
  data::Type type = data::Type::null;
  Bind bind = Bind::column;
  std::uint8_t precision = 0;  ///< TIMESTAMP: 0 ms, 1 us, 2 ns; DECIMAL: digits
  std::uint8_t scale = 0;
  std::int32_t stored_bytes = 0;  ///< VARCHAR width + 2, NCHAR 4 x width + 2
};

/// Which rows of a column have a value: a byte a row, 0 value, 1 NULL, 2 not given (the row keeps what it has). Empty:
/// all have one.
using CellStates = std::span<const std::uint8_t>;

/// The values of one placeholder for the rows of one table: a view of the caller's memory, read when it is bound and
/// not kept. Rows without a value still have a slot in `values` (any content). Types must fit the column exactly: an
/// INT column takes std::int32_t.
class Cells {
 public:
  /// std::int8_t to std::uint64_t, float, double; bool for BOOL.
  template <class T>
  requires(std::is_arithmetic_v<T> && !std::is_same_v<T, char>)
      Cells(std::span<const T> values, CellStates states = {});  // NOLINT: a span is what it is
  template <class T>
  requires(std::is_arithmetic_v<T> && !std::is_same_v<T, char>)
      Cells(const std::vector<T>& values, CellStates states = {})  // NOLINT: as above
      : Cells(std::span<const T>(values), states) {}
  /// TIMESTAMP in the precision of the database.
  static Cells ticks(std::span<const std::int64_t> ticks, CellStates states = {});
  /// TIMESTAMP; milliseconds, microseconds or nanoseconds, converted where the database counts otherwise
  /// (StatementError where that would lose digits).
  template <class Duration>
  static Cells times(std::span<const std::chrono::sys_time<Duration>> times, CellStates states = {});
  /// VARCHAR, NCHAR (UTF-8), JSON, VARBINARY, BLOB, GEOMETRY (WKB).
  static Cells texts(std::span<const std::string_view> values, CellStates states = {});
  static Cells texts(std::span<const std::string> values, CellStates states = {});
  /// The same, without gaps in one buffer: `lengths` in bytes, 0 for rows without a value.
  static Cells packed(std::string_view bytes, std::span<const std::int32_t> lengths, CellStates states = {});
  static Cells decimals(std::span<const Decimal> values, CellStates states = {});
  /// Any values, converted where nothing is lost.
  static Cells values(std::span<const Value> values);
  /// No row has a value.
  static Cells nulls(std::size_t rows);
  static Cells not_given(std::size_t rows);

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }

 private:
  friend struct detail::StatementBatch;
  enum class Form : std::uint8_t { fixed, times, views, strings, packed, decimals, values, nulls, not_given };
  Cells(Form form, data::Type type, const void* values, std::size_t rows, CellStates states);

  Form form_ = Form::nulls;
  data::Type type_ = data::Type::null;  ///< of Form::fixed
  data::Precision precision_ = data::Precision::milliseconds;
  const void* values_ = nullptr;
  std::size_t rows_ = 0;
  CellStates states_;
  std::span<const std::int32_t> lengths_;
  std::string_view bytes_;
};

/// Rows for one table in a bind.
struct TableRows {
  std::string_view name;           ///< "" when the statement names its table; "table" or "db.table"
  std::span<const Value> tags;     ///< in the order of the statement's tag placeholders
  std::span<const Cells> columns;  /// in the order of its column placeholders, all with as many rows: 1 to 32,767
};

/// A prepared statement. Move-only; one thread at a time, the thread of its connection. Destroyed, it is closed on the
/// server without waiting.
///
/// Inserts: bind() the rows of one or several tables, then execute(); or the calls of other client libraries,
/// (set_tbname_tags(), bind_param() or bind_param_batch(), add_batch())..., execute(). Both may be mixed and repeated.
/// Queries: bind_param() with a value a placeholder, then query().
///
/// A statement outlives its connection's socket: after Connection::reopen() (or when Options::reconnect is set) the
/// next call prepares it anew. What was bound and not executed is kept here and sent again by execute(). When execute()
/// ends with a ConnectionError the rows may or may not be stored: calling it again is right, for rows of the same
/// timestamps overwrite each other. Any other error is final for what was bound: it is dropped, and the statement is
/// prepared anew by the next bind.
class Statement {
 public:
  explicit Statement(std::shared_ptr<detail::StatementState> state);
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  [[nodiscard]] bool is_insert() const noexcept;
  [[nodiscard]] const std::string& sql() const noexcept;
  /// Placeholders in the order of the SQL; empty for queries, and for `INSERT INTO ? VALUES (…)`, whose table is known
  /// only when it is bound.
  [[nodiscard]] const std::vector<StatementField>& fields() const noexcept;
  /// Placeholders of a query.
  [[nodiscard]] std::size_t parameter_count() const noexcept;
  /// False once a bind or exec failed or was not answered in time, or the connection was lost.
  [[nodiscard]] bool usable() const noexcept;
  /// The last bind was accepted and not executed yet.
  [[nodiscard]] bool bound() const noexcept;

  // --- the main road: tables of columns ---

  /// Takes the rows of tables; what the arguments point to is free again when it returns. Sent with execute(), or
  /// earlier when much has come together. Throws StatementError naming table, column and row for values that do not fit
  /// the columns; then none of the tables is taken.
  void bind(std::span<const TableRows> tables);
  void bind(const TableRows& table) { bind(std::span(&table, 1)); }
  /// Rows of the table that the statement names.
  void bind(std::initializer_list<Cells> columns) {
    bind(TableRows{{}, {}, std::span(columns.begin(), columns.size())});
  }

  // --- the calls of other client libraries ---

  /// The table of the rows that follow, until it is set again.
  void set_tbname(std::string_view name);
  /// The tags of the table, one value a tag placeholder.
  void set_tags(std::span<const Value> tags);
  void set_tbname_tags(std::string_view name, std::span<const Value> tags);
  /// One row, one value a column placeholder; of a query one value a placeholder.
  void bind_param(std::span<const Value> row);
  void bind_param(std::initializer_list<Value> row) { bind_param(std::span(row.begin(), row.size())); }
  /// Rows by column.
  void bind_param_batch(std::span<const Cells> columns);
  /// Ends the rows of this table. (Optional: the next table or execute() do the same.)
  void add_batch();

  /// Carries out what was bound; the rows that this stored or changed. Throws StatementError, ConnectionError.
  std::int64_t execute();
  /// Of all executions.
  [[nodiscard]] std::int64_t affected_rows() const noexcept;
  /// Runs a query with the parameters bound last.
  Rows query();
  Rows query(std::initializer_list<Value> parameters) {
    bind_param(parameters);
    return query();
  }
  /// Closes it on the server and waits for that. Idempotent.
  void close();

 private:
  friend class Connection;
  std::shared_ptr<detail::StatementState> state_;
};

// --- implementation ---

namespace detail {
template <class T>
constexpr data::Type type_of() noexcept {
  using data::Type;
  if constexpr (std::is_same_v<T, bool>) return Type::boolean;
  else if constexpr (std::is_same_v<T, float>) return Type::float32;
  else if constexpr (std::is_same_v<T, double>) return Type::float64;
  else if constexpr (std::is_floating_point_v<T>) static_assert(sizeof(T) == 0, "float and double only");
  else if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 1   ? Type::tinyint
           : sizeof(T) == 2 ? Type::smallint
           : sizeof(T) == 4 ? Type::integer
                            : Type::bigint;
  else
    return sizeof(T) == 1   ? Type::utinyint
           : sizeof(T) == 2 ? Type::usmallint
           : sizeof(T) == 4 ? Type::uinteger
                            : Type::ubigint;
}
}  // namespace detail

template <class T>
requires(std::is_arithmetic_v<T> && !std::is_same_v<T, char>) Cells::Cells(std::span<const T> values, CellStates states)
    : Cells(Form::fixed, detail::type_of<T>(), values.data(), values.size(), states) {}

template <class Duration>
Cells Cells::times(std::span<const std::chrono::sys_time<Duration>> times, CellStates states) {
  static_assert(sizeof(std::chrono::sys_time<Duration>) == sizeof(std::int64_t));
  Cells cells(Form::times, data::Type::timestamp, times.data(), times.size(), states);
  cells.precision_ = Timestamp::from(std::chrono::sys_time<Duration>{}).precision;
  return cells;
}

}  // namespace penstock::client
