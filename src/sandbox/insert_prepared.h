#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sandbox/insert_parse.h"

namespace penstock::sandbox {

class ChangeScope;

/// A statement with placeholders. Immutable once made.
class Prepared {
 public:
  /// Throws RefusalError.
  static std::shared_ptr<Prepared> make(SessionContext& context, std::string_view sql);

  bool is_insert = false;
  std::string sql;             ///< a query is parsed again for each run: binding writes into its tree
  std::size_t parameters = 0;  ///< of a query
  InsertTarget target;
  std::string database;
  std::vector<PreparedField> fields;
  std::string definition;  ///< name of the table whose columns are bound; empty: the bound one's
  std::uint32_t table_id = 0;
  std::uint64_t table_version = 0;
};

/// Checks and stores bound tables. The database stays locked for as long as this lives.
class BoundInsert {
 public:
  BoundInsert(SessionContext& context, const Prepared& prepared);

  void check(std::span<const ColumnarTable> tables);
  std::int64_t store(std::span<const ColumnarTable> tables);
  void check(std::span<const BoundTable> tables) { batches(tables); }
  std::int64_t store(std::span<const BoundTable> tables);

 private:
  /// Where the rows of one bound table go.
  struct Place {
    std::string name;
    Table* table = nullptr;    ///< whose columns are bound
    Table* super = nullptr;    ///< to make a missing child of
    std::vector<Value> tags;   ///< complete, when a child may be made
    std::vector<int> columns;  ///< of `table`, one a bound column
    std::size_t rows = 0;
  };
  Place place(std::string_view name, const std::vector<Value>& tags);
  Place checked(const ColumnarTable& bound);
  std::vector<RowBatch> batches(std::span<const BoundTable> tables);
  std::int64_t store_table(const Place& place, const ColumnarTable& bound, Child& child, std::int64_t& added,
                           ChangeScope& changes);

  SessionContext& context_;
  const Prepared& prepared_;
  LockedDatabase database_;
  Table* definition_ = nullptr;
  std::vector<std::uint32_t> order_;  // scratch
  std::vector<std::vector<std::uint32_t>> offsets_;
};

}  // namespace penstock::sandbox
