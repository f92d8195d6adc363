#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/statement.h"
#include "wire/stmt2.h"

namespace penstock::client::detail {

/// What was given to a Statement and is not executed yet: whole tables, already as a bind message, and the rows of the
/// classic calls, still as values. Independent of the connection.
struct StatementBatch {
  /// Which placeholders there are. `fields` empty: a query, whose parameters are columns of any type.
  explicit StatementBatch(bool insert, std::string sql) : insert_(insert), sql_(std::move(sql)) {}

  /// Takes rows; all of them or none. Throws StatementError.
  void add(const std::vector<StatementField>& fields, std::span<const TableRows> tables);

  void set_table(std::string_view name);
  void set_tags(std::span<const Value> tags);
  void add_row(const std::vector<StatementField>& fields, std::span<const Value> row);
  void add_columns(const std::vector<StatementField>& fields, std::span<const Cells> columns);
  /// Moves the rows of the classic calls into the message.
  void end_table(const std::vector<StatementField>& fields);
  /// The parameters of a query in place of those before.
  void set_parameters(std::span<const Value> values);

  [[nodiscard]] bool empty() const noexcept { return tables_ == 0; }
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  [[nodiscard]] const std::string& table() const noexcept { return table_; }
  [[nodiscard]] wire::Stmt2Encoder& encoder() noexcept { return encoder_; }
  /// The same rows in one set of records, as stmt2_bind_exec takes them; returns the runs of equal table names. Only
  /// for inserts of at most 32,767 rows.
  std::uint32_t encode_exec(const std::vector<StatementField>& fields, wire::Stmt2ExecEncoder& out);
  /// Forgets the rows, not the table of the classic calls.
  void clear();

  std::int64_t affected = 0;  ///< of all executions

 private:
  /// A column as it goes into the message.
  struct Part {
    const Cells* cells = nullptr;
    data::Type type = data::Type::null;
    std::vector<std::int64_t> times;   // converted
    std::vector<std::uint8_t> states;  // of values
    std::vector<std::uint64_t> bits;   // of values, fixed types
    std::vector<std::string> texts;    // of values, variable types, DECIMAL
  };
  struct Place;  // for errors
  Part resolve(const Cells& cells, const StatementField* field, const Place& place) const;
  void put(const Part& part, std::size_t first, std::uint32_t rows);
  [[noreturn]] void refuse(const std::string& what) const;

  bool insert_;
  std::string sql_;
  wire::Stmt2Encoder encoder_;
  std::uint32_t tables_ = 0;
  std::uint64_t rows_ = 0;
  std::string table_;
  std::vector<Value> tags_;
  std::vector<std::vector<Value>> pending_;  // columns of add_row()
};

}  // namespace penstock::client::detail
