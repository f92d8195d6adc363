#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/engine.h"

namespace penstock::sandbox {

/// Values of one bound column (or query parameter) with the memory they lie in: ColumnView without borrowing.
struct BoundColumn {
  data::Type type = data::Type::null;
  std::string is_null;        ///< [rows] 0 value, 1 NULL, 2 not given
  bool has_lengths = false;   ///< of variable types; of DECIMAL when bound as text
  std::vector<char> lengths;  ///< [rows] i32, when has_lengths; 0 where there is no value
  std::string data;           ///< fixed types: rows * size bytes; variable ones: the values without gaps (NCHAR: UTF-8)

  [[nodiscard]] std::size_t rows() const noexcept { return is_null.size(); }
  /// Valid until the column changes.
  [[nodiscard]] ColumnView view() const noexcept;

  void add_null();                        ///< fixed types: the slot is zero
  void add_fixed(std::uint64_t bits);     ///< low bytes of `bits` as many as the type has
  void add_text(std::string_view value);  ///< sets has_lengths
  /// The cell as a value of its own.
  [[nodiscard]] Value value(std::size_t row) const;
};

/// One prepared statement of the first generation (taos_stmt_*; on the wire init, prepare … close): a state machine
/// that refuses what ends a real server. One thread at a time; `session` must be the same in all calls. Functions throw
/// RefusalError.
///
/// SQL is looked at when something needs it, not by prepare(), as in TDengine 3.3.7. A refused call in the wrong order,
/// table name, tag set or bind spoils the statement until it is made anew; field look-ups never do.
class Stmt1Statement {
 public:
  Stmt1Statement();
  ~Stmt1Statement();
  Stmt1Statement(Stmt1Statement&&) noexcept;
  Stmt1Statement& operator=(Stmt1Statement&&) noexcept;

  /// True: an insert. Forgets what an earlier prepare() and binds left.
  bool prepare(std::string sql);
  [[nodiscard]] bool is_insert() const noexcept;

  /// Of INSERT INTO ? …: "table" or "db.table". Forgets the tags of the table named before.
  void set_table_name(Session& session, std::string_view name);
  /// Fields of the tag or column placeholders. 0x022B before the table name where it is needed, 0x022A for queries and
  /// (tags) for inserts without any.
  std::vector<PreparedField> tag_fields(Session& session);
  std::vector<PreparedField> column_fields(Session& session);
  /// The fields that set_tags() and bind() take values of, for callers that decode by them; none of a query. Refuse as
  /// set_tags() and bind() do.
  std::vector<PreparedField> expected_tags(Session& session);
  std::vector<PreparedField> expected_columns(Session& session);

  /// One value a tag placeholder; missing ones at the end are NULL, as the real server takes it.
  void set_tags(Session& session, std::vector<Value> tags);

  /// Inserts: rows of the table named last, one column a placeholder. Queries: one row of parameters. Nothing is stored
  /// before execute(). 0x0236 for 0 or more than 32,767 rows, which does not spoil the statement.
  void bind(Session& session, std::vector<BoundColumn> columns);
  /// The same column by column (taos_stmt_bind_single_param_batch); begins with column 0 and ends with the last.
  void bind_column(Session& session, BoundColumn column, std::size_t index);
  /// Takes what was bound since the last one; without it execute() stores nothing and refuses.
  void add_batch();
  /// Stores all batches, or runs the query. Affected rows of this call.
  std::int64_t execute(Session& session);
  /// The result of the last execute() of a query, once.
  Answer take_result();

  /// Placeholders of a query; column placeholders of an insert.
  std::size_t parameter_count(Session& session);
  struct Parameter {
    data::Type type = data::Type::null;
    std::int32_t stored_bytes = 0;
  };
  /// Of an insert's column `index`; 0x0118 when there is none.
  Parameter parameter(Session& session, std::int64_t index);
  /// Sum over all execute() since the statement was made.
  [[nodiscard]] std::int64_t total_affected_rows() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace penstock::sandbox
