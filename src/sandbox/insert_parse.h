#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/insert_literal.h"
#include "sandbox/insert_store.h"
#include "sandbox/sql_session.h"

namespace penstock::sandbox {

/// What INSERT says about one table. In a prepared statement values may be placeholders.
struct InsertTarget {
  std::string database;  ///< as written; empty: the session's
  std::string table;     ///< empty: a placeholder, or the stb(tbname, …) form
  bool table_placeholder = false;
  std::string super;           ///< USING, or the super table of the stb(tbname, …) form
  bool names_in_rows = false;  ///< stb(tbname, …)
  std::vector<int> columns;    ///< place in Table::columns of each ordinary value
  /// INSERT INTO ? (…): the names, for the table is known only when it is bound. Empty: all its columns.
  std::vector<std::string> column_names;
  std::vector<int> tags;  ///< place in Table::tags of each tag value
  /// How the values of the stb(tbname, …) form stand: -1 tbname, 0… column of `columns`, and tags behind those.
  std::vector<int> written;
  std::vector<bool> tag_given;    ///< placeholder (true) or constant, for each of `tags`
  std::vector<bool> value_given;  ///< the same for each of `columns`
  std::vector<Value> tag_constants;
  std::vector<Value> value_constants;
  bool ignores_tags = false;  ///< the child exists: its tags stay
};

/// Parses INSERT … VALUES. With `prepared` it reads one table and placeholders, else all tables and rows.
class InsertParser {
 public:
  InsertParser(SessionContext& context, std::string_view sql, InsertTarget* prepared)
      : context_(context),
        sql_(sql),
        reader_(sql, 0, data::Precision::milliseconds, *context.zone),
        prepared_(prepared) {}

  /// Runs the statement; returns the affected rows.
  std::int64_t run();
  /// Fills the prepared target. Table and super table are checked where they are named. Returns the database, still
  /// locked since the places in the target were looked up; null when the statement names nothing that is in one.
  std::unique_ptr<LockedDatabase> prepare();

 private:
  void head();
  bool at_end();
  void table();
  void table_name(InsertTarget& t);
  void open(InsertTarget& t);
  void column_list(InsertTarget& t, const Table& definition, std::size_t from);
  void column_names(InsertTarget& t, std::size_t from);
  void using_clause(InsertTarget& t);
  void read_tags(InsertTarget& t, const Table& super, RowBatch& batch);
  void rows(InsertTarget& t, Table* definition, RowBatch& batch);
  void named_row(InsertTarget& t, Table& definition);
  void row(InsertTarget& t, const Table& definition, std::vector<Value>& out);
  /// Offset behind the parenthesis that closes the one at the reader.
  std::size_t behind_parentheses();
  RowBatch& batch_of(const std::string& name);

  SessionContext& context_;
  std::string_view sql_;
  LiteralReader reader_;
  InsertTarget* prepared_;
  std::string opened_name_;
  std::unique_ptr<LockedDatabase> database_;
  std::vector<RowBatch> batches_;
  std::vector<std::vector<Value>> named_;  ///< rows of the stb(tbname, …) form being read
};

/// INSERT … VALUES or FILE (not INSERT … SELECT, nor what is no insert at all).
bool is_insert_values(std::string_view sql);

}  // namespace penstock::sandbox
