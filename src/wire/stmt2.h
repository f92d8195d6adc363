#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/types.h"
#include "wire/bytes.h"
#include "wire/messages.h"

/// Binary messages of prepared statements of the second generation: stmt2_bind (action 9) and stmt2_bind_exec (11).
///
/// A record holds one column (or tag) of one table: u32 record length, i32 type, i32 rows, rows x u8 state (0 value,
/// 1 NULL, 2 not given), u8 have_length, then only for variable lengths rows x i32 length, i32 buffer length, buffer.
/// Fixed types keep a slot for rows without a value; of variable lengths only values take bytes. Text is UTF-8, also
/// for NCHAR and JSON. DECIMAL is both: it has lengths, for clients may send it as text, and engine 3.3.7, which takes
/// the integer, reads it from slots whatever the lengths say. A buffer of length 0 is right when no row has a value.
namespace penstock::wire {

/// State of one row in a record.
enum class CellState : std::uint8_t { value = 0, null = 1, not_given = 2 };

/// A record of a fixed type to fill in place. Pointers are valid until the next call on the encoder that gave it;
/// nothing is filled beforehand. Not aligned: use wire::store().
struct FixedColumn {
  std::uint8_t* state;  ///< [rows]; CellState
  char* values;         ///< [rows x size]
};

/// A record of variable lengths to fill in place, as FixedColumn.
struct VariableColumn {
  std::uint8_t* state;  ///< [rows]; CellState
  char* lengths;        ///< [rows] i32 in bytes; 0 where there is no value
  char* data;           ///< the values without gaps
};

/// Builds stmt2_bind messages, table by table: begin_table(), its tags, its columns, in the order of the statement's
/// placeholders. The sections lie in buffers of their own and are sent one after the other without being joined
/// (parts()), so every byte is written once. Keeps its memory over begin(). One thread.
class Stmt2Encoder {
 public:
  /// Starts a message for statements with that many tag and column placeholders a table.
  void begin(std::uint32_t tag_count, std::uint32_t column_count);

  /// Starts the next table. `name` without NUL; give none to all when the statement names its table itself.
  void begin_table(std::optional<std::string_view> name);

  void fixed_tag(data::Type type, std::uint64_t bits);     ///< low bytes of bits, as data::Slot
  void text_tag(data::Type type, std::string_view value);  ///< any type of variable length, or DECIMAL
  void null_tag(data::Type type);
  /// All tags of the table as records made before (append_*_tag below), for child tables bound again and again.
  void tag_records(std::string_view records) { tags_.put_bytes(records); }

  FixedColumn fixed_column(data::Type type, std::uint32_t rows) {
    note_rows(rows);
    return fixed_record(columns_, type, rows);
  }
  /// Columns that take no more than `bytes` from here on do not move each other.
  void reserve_columns(std::size_t bytes) {
    columns_.grow(bytes);
    columns_.shrink(bytes);
  }
  /// Bytes of a fixed_column(), and the most of an absent_column().
  static constexpr std::size_t fixed_column_bytes(data::Type type, std::uint32_t rows) noexcept {
    return 17 + std::size_t{rows} * (1 + std::max<std::size_t>(data::fixed_size(type), 4));
  }
  /// `bytes`: sum of the lengths of the values.
  VariableColumn variable_column(data::Type type, std::uint32_t rows, std::size_t bytes) {
    note_rows(rows);
    return variable_record(columns_, type, rows, bytes);
  }
  /// DECIMAL as integers: a slot a row, each with its length.
  FixedColumn decimal_column(data::Type type, std::uint32_t rows) {
    note_rows(rows);
    return decimal_record(columns_, type, rows);
  }
  /// All rows in one state other than value, with an empty buffer.
  void uniform_column(data::Type type, std::uint32_t rows, CellState state) {
    note_rows(rows);
    uniform_record(columns_, type, rows, state);
  }
  void absent_column(data::Type type, std::uint32_t rows) { uniform_column(type, rows, CellState::not_given); }

  [[nodiscard]] std::uint32_t tables() const noexcept { return tables_; }
  /// Size of the message so far.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return kHeadBytes + name_lengths_.size() + names_.size() + tag_lengths_.size() + tags_.size() +
           column_lengths_.size() + columns_.size();
  }
  /// Memory that stays allocated over begin().
  [[nodiscard]] std::size_t capacity() const noexcept;

  using Parts = std::array<std::string_view, 7>;
  /// The message, to be sent as one: views until the next change; call again to send it with other ids. Throws
  /// Error(Errc::unsupported) without tables, with a record of 0 or more than 32,767 rows (these end the real adapter
  /// at the next exec), or from 2 GiB on.
  Parts parts(std::uint64_t request_id, std::uint64_t statement_id);
  /// parts() joined; for tests and tools.
  std::string join(std::uint64_t request_id, std::uint64_t statement_id);
  /// For whoever still reads parts() while this encoder must be free to change: its memory, where all views but that of
  /// the head stay good. This one goes on with a copy of the message.
  Stmt2Encoder leave_to_reader();

  // Records as used above; also for a caller's own memory.
  static FixedColumn fixed_record(Buffer& out, data::Type type, std::uint32_t rows);
  static VariableColumn variable_record(Buffer& out, data::Type type, std::uint32_t rows, std::size_t bytes);
  static FixedColumn decimal_record(Buffer& out, data::Type type, std::uint32_t rows);
  static void uniform_record(Buffer& out, data::Type type, std::uint32_t rows, CellState state);
  static void fixed_tag_record(Buffer& out, data::Type type, std::uint64_t bits);
  static void text_tag_record(Buffer& out, data::Type type, std::string_view value);
  static void null_tag_record(Buffer& out, data::Type type) { uniform_record(out, type, 1, CellState::null); }

 private:
  static constexpr std::size_t kHeadBytes = 58;  // request header, version, column index; payload header

  void end_table();
  void note_rows(std::uint32_t rows) noexcept {
    if (rows - 1 >= data::Limits::rows_per_table) bad_rows_ = true;
  }

  std::uint32_t tag_count_ = 0;
  std::uint32_t column_count_ = 0;
  std::uint32_t tables_ = 0;
  std::array<char, kHeadBytes> head_{};
  Buffer name_lengths_;  // u16 each
  Buffer names_;
  Buffer tag_lengths_;  // u32 each
  Buffer tags_;
  Buffer column_lengths_;  // u32 each
  Buffer columns_;
  bool open_ = false;
  bool bad_rows_ = false;
  std::size_t tags_begin_ = 0;     // of the open table
  std::size_t columns_begin_ = 0;  // of the open table
};

/// Builds stmt2_bind_exec messages: the rows of all tables in one set of records, one for each field of the statement
/// in its order, table names (VARCHAR) and tags repeated per row. Keeps its memory over begin(). One thread.
class Stmt2ExecEncoder {
 public:
  void begin(std::uint32_t rows);
  FixedColumn fixed_field(data::Type type) { return ++fields_, Stmt2Encoder::fixed_record(records_, type, rows_); }
  VariableColumn variable_field(data::Type type, std::size_t bytes) {
    return ++fields_, Stmt2Encoder::variable_record(records_, type, rows_, bytes);
  }
  FixedColumn decimal_field(data::Type type) { return ++fields_, Stmt2Encoder::decimal_record(records_, type, rows_); }
  void uniform_field(data::Type type, CellState state) {
    ++fields_, Stmt2Encoder::uniform_record(records_, type, rows_, state);
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return kHeadBytes + records_.size(); }

  using Parts = std::array<std::string_view, 2>;
  /// `table_runs`: runs of equal consecutive table names; 1 without a table name field. Otherwise as
  /// Stmt2Encoder::parts().
  Parts parts(std::uint64_t request_id, std::uint64_t statement_id, std::uint32_t table_runs);
  std::string join(std::uint64_t request_id, std::uint64_t statement_id, std::uint32_t table_runs);

 private:
  static constexpr std::size_t kHeadBytes = 46;

  std::uint32_t rows_ = 0;
  std::uint32_t fields_ = 0;
  std::array<char, kHeadBytes> head_{};
  Buffer records_;
};

/// One record of a received message; views into it.
struct BindRecord {
  std::int32_t type = 0;   ///< as sent: any number; compare it with the field's
  std::uint32_t rows = 0;  ///< as sent: the caller checks it (1 to 32,767; equal within a table)
  bool have_length = false;
  const char* state = nullptr;    ///< [rows]; 0 value, 1 NULL, any other not given
  const char* lengths = nullptr;  ///< [rows] i32; nullptr without have_length
  std::string_view buffer;
  /// Bytes of a slot: without have_length (0 when no row has a value), and of DECIMAL in slots; else 0.
  std::uint32_t stride = 0;

  [[nodiscard]] CellState cell_state(std::uint32_t row) const noexcept {
    return state[row] == 0 ? CellState::value : state[row] == 1 ? CellState::null : CellState::not_given;
  }
  /// Calls visit(row, state, bytes) for each row; `bytes` is empty unless state is value.
  template <class Visit>
  void for_each(Visit&& visit) const {
    std::size_t at = 0;
    for (std::uint32_t row = 0; row < rows; ++row) {
      const CellState cell = cell_state(row);
      std::string_view bytes;
      if (have_length && stride == 0) {
        if (cell == CellState::value) {
          const auto length = static_cast<std::size_t>(load<std::int32_t>(lengths + 4 * std::size_t{row}));
          bytes = buffer.substr(at, length);
          at += length;
        }
      } else if (cell == CellState::value) {
        bytes = buffer.substr(std::size_t{stride} * row, stride);
      }
      visit(row, cell, bytes);
    }
  }
};

/// A received stmt2_bind message; views into it.
struct Stmt2Bind {
  struct Table {
    std::string_view name;  ///< up to its NUL; empty without a names section
    std::span<const BindRecord> tags;
    std::span<const BindRecord> columns;
  };
  std::uint64_t request_id = 0;
  std::uint64_t statement_id = 0;
  std::int32_t column_index = -1;
  std::uint32_t tag_count = 0;     ///< 0 when the section is absent
  std::uint32_t column_count = 0;  ///< 0 when the section is absent
  bool has_names = false;
  std::vector<Table> tables;
  std::vector<BindRecord> records;  ///< behind the spans of `tables`
};

/// Every length and offset is checked before it is used; what the adapter refuses is refused with its text, what makes
/// the real one read outside the message or end is refused too. Row counts, types and names are the caller's to check.
/// Moving the result keeps its spans; copying does not.
Result<Stmt2Bind, AdapterError> decode_stmt2_bind(std::string_view message);

/// A received stmt2_bind_exec message; views into it.
struct Stmt2BindExec {
  std::uint64_t request_id = 0;
  std::uint64_t statement_id = 0;
  std::uint32_t rows = 0;
  std::uint32_t table_runs = 0;
  std::vector<BindRecord> fields;
};
Result<Stmt2BindExec, AdapterError> decode_stmt2_bind_exec(std::string_view message);

}  // namespace penstock::wire
