#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "sandbox/select_bind.h"

/// Reading the rows of a query's source, and gathering them in groups.
namespace penstock::sandbox {

/// Opens what FROM names; runs its subquery. Throws RefusalError.
Source open_source(const SessionContext& context, Select& select, std::span<const Datum> parameters);

using VisitRow = std::function<bool(std::span<const Datum>)>;

/// Visits the rows for which `where` holds until `visit` returns false; only `used` columns are filled. Conditions on
/// the timestamp narrow what is read, those on tags and names choose child tables.
void scan_rows(Source& source, const Expr* where, EvalContext context, const std::vector<bool>& used,
               const VisitRow& visit);
/// One row a child table that satisfies `where`, which reads tags and the name only.
void scan_children(Source& source, const Expr* where, EvalContext context, const VisitRow& visit);

/// A table outside of the store: its rows are visited by scan_packed(). `child` says that it is no super table.
Source table_source(Table& table, Child* child, const std::string& alias, data::Precision precision);
/// As scan_rows() for packed rows of one child table that lie in memory: `next` gives them until it returns false.
void scan_packed(Source& source, Child& child, const Expr* where, EvalContext context, const std::vector<bool>& used,
                 const std::function<bool(std::int64_t& time, std::string_view& packed)>& next, const VisitRow& visit);

/// A condition as times, conditions on child tables and conditions on rows. All must hold.
struct SplitCondition {
  std::int64_t first = INT64_MIN;
  std::int64_t last = INT64_MAX;
  std::vector<const Expr*> of_child;
  std::vector<const Expr*> of_row;
};
SplitCondition split_condition(const Source& source, const Expr* where, const EvalContext& context);

/// Rows gathered by the values of some expressions, with aggregates over each group.
class Groups {
 public:
  Groups(const Source& source, std::span<const AggregateCall> calls, std::span<const Expr* const> keys,
         const EvalContext& context);

  /// Keep a whole row a group: the selected one where an aggregate selects one, else the first.
  void carry_rows(bool carry) noexcept { carry_ = carry; }
  void add(std::span<const Datum> row, const EvalContext& context);
  /// All aggregates are counts: counts `rows` at once.
  void add_counted(std::span<const Datum> row, const EvalContext& context, std::int64_t rows);
  /// A group without rows: counts are 0, the rest NULL.
  void add_empty();
  [[nodiscard]] std::size_t size() const noexcept { return groups_.size(); }
  /// In order of first appearance.
  void each(const std::function<void(std::span<const Datum> row, std::span<const Datum> aggregates)>& visit) const;

 private:
  struct Gathered {
    std::int64_t count = 0;
    double sum = 0;
    double squares = 0;
    double least = 0;
    double most = 0;
    std::uint64_t whole = 0;  ///< integer sum, modulo 2^64 as the server's
    Int128 decimal = 0;
    std::int64_t time = 0;
    Datum value;
  };
  struct Group {
    std::vector<Gathered> gathered;
    std::vector<Datum> row;
  };
  Group& group_of(std::span<const Datum> row, const EvalContext& context);
  /// Returns true when the aggregate has chosen this row.
  static bool gather(const AggregateCall& call, Gathered& g, const Datum& value, std::int64_t time);
  [[nodiscard]] static Datum result(const AggregateCall& call, const Gathered& g);

  const Source& source_;
  std::span<const AggregateCall> calls_;
  std::span<const Expr* const> keys_;
  bool carry_ = false;
  bool by_child_ = false;  ///< keys read only tags and the name: they change with the child table
  const Child* last_child_ = nullptr;
  std::size_t last_group_ = 0;
  std::int64_t serial_ = 0;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<Group> groups_;
};

}  // namespace penstock::sandbox
