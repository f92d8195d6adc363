#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/sql_session.h"

/// Meaning of a SELECT's names: columns, functions, types.
namespace penstock::sandbox {

/// Where a query's rows come from. Columns are those of the table, then its tags, then the table's name.
struct Source {
  struct Column {
    std::string name;
    TypeInfo type;
  };
  std::vector<Column> columns;
  std::size_t first_tag = 0;  ///< columns from here on are tags; == tbname when there are none
  int tbname = -1;
  bool star_has_tags = false;
  bool stored = false;  ///< rows lie in the store; otherwise in `rows`
  bool system = false;
  data::Precision precision = data::Precision::milliseconds;
  std::string name, alias;
  std::vector<std::vector<Datum>> rows;
  std::unique_ptr<LockedDatabase> database;
  Table* table = nullptr;
  Child* child = nullptr;    ///< nullptr: all of the super table
  Child* current = nullptr;  ///< whose rows are visited
};

enum class Aggregate { count, sum, avg, min, max, first, last, last_row, spread, stddev };
/// Those whose result is a row's value: other columns of that row may stand beside them.
constexpr bool selects_row(Aggregate a) noexcept {
  return a == Aggregate::min || a == Aggregate::max || a == Aggregate::first || a == Aggregate::last ||
         a == Aggregate::last_row;
}

struct AggregateCall {
  Aggregate kind = Aggregate::count;
  const Expr* argument = nullptr;  ///< nullptr: count(*)
  TypeInfo type;
};

/// Binds trees to a source. Throws RefusalError.
class Binder {
 public:
  Binder(const SessionContext& context, const Source& source, std::span<const Datum> parameters)
      : context_(context), source_(source), parameters_(parameters) {}

  enum class Aggregates { allowed, refused };
  void bind(Expr& expr, Aggregates aggregates);
  [[nodiscard]] const std::vector<AggregateCall>& aggregates() const noexcept { return aggregates_; }
  /// Index of a column; refuses unknown ones.
  int column(std::string_view table, std::string_view name) const;

 private:
  void bind_function(Expr& expr, Aggregates aggregates);
  void bind_aggregate(Expr& expr, Aggregate kind);
  void bind_binary(Expr& expr);

  const SessionContext& context_;
  const Source& source_;
  std::span<const Datum> parameters_;
  std::vector<AggregateCall> aggregates_;
  bool inside_aggregate_ = false;
};

/// Type of the result of decimal arithmetic; nullopt: the operands are not decimals and integers.
std::optional<TypeInfo> decimal_arithmetic(char op, const TypeInfo& a, const TypeInfo& b);

/// All columns that the tree reads are marked in `used`.
void collect_columns(const Expr& expr, std::vector<bool>& used);
bool has_aggregate(const Expr& expr) noexcept;

/// What a tree is computed with.
struct EvalContext {
  const SessionContext* session = nullptr;
  data::Precision precision = data::Precision::milliseconds;
  std::span<const Datum> row;
  std::span<const Datum> aggregates;
  std::span<const Datum> parameters;
  std::int64_t now = 0;
};
Datum evaluate(const Expr& expr, const EvalContext& context);
/// Refuses what is no regular expression (0x2681).
void check_pattern(const std::string& pattern);

/// Scalar functions, by number; -1: no such function here.
int find_function(std::string_view name) noexcept;
/// Checks the arguments of a bound call and finds its type.
TypeInfo function_type(const Expr& call);
Datum call_function(const Expr& call, const EvalContext& context);

}  // namespace penstock::sandbox
