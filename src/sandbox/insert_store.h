#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/catalog.h"
#include "sandbox/store.h"

namespace penstock::sandbox {

/// Rows for one child table.
struct RowBatch {
  std::string table;        ///< the child or normal table
  Table* super = nullptr;   ///< to make the child of when it is missing; nullptr: it must exist
  std::vector<Value> tags;  ///< of a new child, one for each tag of `super`
  std::int32_t ttl = 0;
  std::vector<int> columns;  ///< place in Table::columns of each value of a row
  std::vector<std::vector<Value>> rows;
};

/// How rows of one statement with equal keys become one: column by column.
enum class EqualRows {
  last_value,  ///< the last that has a value, else NULL: SQL and schemaless
  last_given,  ///< the last that is given, NULL too: bound columns
};

/// Stores all rows in one transaction; missing child tables are made. Returns the rows after merging. The database is
/// locked. Throws RefusalError: 0x060B outside of the time range (nothing is stored), 0x267B NULL key, 0x061D the table
/// belongs to another super table.
std::int64_t store_batches(Database& database, std::vector<RowBatch>& batches, EqualRows rule);

/// The child table to write to, made when it is missing and `super` is given. Refuses names of super tables and of
/// children of others. `existed`: out.
Child& child_for(Database& database, std::string_view name, Table* super, const std::vector<Value>& tags,
                 std::int32_t ttl, bool* made = nullptr);
/// As child_for() without making anything: nullptr when the child is missing and may be made.
Child* existing_child(Database& database, std::string_view name, const Table* super);

/// The composite key of a row as the store takes it: orders as the values do.
Store::Key key_of(const data::Column& column, const Value& value) noexcept;

/// Undoes what a failed statement did to the catalog in memory; the store rolls back by itself.
class CreatedChildren {
 public:
  explicit CreatedChildren(Database& database) : database_(database) {}
  ~CreatedChildren();
  CreatedChildren(const CreatedChildren&) = delete;
  CreatedChildren& operator=(const CreatedChildren&) = delete;
  void add(Child& child) { created_.push_back(child.id); }
  void count(Child& child, std::int64_t rows) {
    child.rows += rows;
    counted_.emplace_back(child.id, rows);
  }
  void keep() { kept_ = true; }

 private:
  Database& database_;
  std::vector<std::uint32_t> created_;
  std::vector<std::pair<std::uint32_t, std::int64_t>> counted_;
  bool kept_ = false;
};

}  // namespace penstock::sandbox
