#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "sandbox/select_bind.h"
#include "sandbox/select_scan.h"

namespace penstock::sandbox {
namespace {

using data::Type;
using Kind = Expr::Kind;

/// More cells than fit a small machine's memory: a query that needs them is refused instead.
constexpr std::size_t kMostCells = 60'000'000;

class Runner {
 public:
  Runner(const SessionContext& context, Select& select, std::span<const Datum> parameters)
      : context_(context), select_(select), parameters_(parameters) {}

  Answer run() {
    source_ = open_source(context_, select_, parameters_);
    eval_.session = &context_;
    eval_.precision = source_.precision;
    eval_.parameters = parameters_;
    eval_.now = now_in(source_.precision);
    binder_.emplace(context_, source_, parameters_);
    bind();
    Answer answer;
    answer.is_update = false;
    answer.precision = source_.precision;
    for (const auto& item : items_) answer.fields.push_back(result_field(item.name, item.expr->type));
    if (aggregated_ || !groups_.empty()) {
      run_groups();
    } else {
      run_rows();
    }
    finish(answer);
    return answer;
  }

 private:
  struct Item {
    const Expr* expr;
    std::string name;
  };
  struct OutRow {
    std::vector<Datum> cells;
    std::vector<Datum> order;
  };

  // --- names ---

  const Expr* keep(ExprPtr e) {
    made_.push_back(std::move(e));
    return made_.back().get();
  }
  ExprPtr column_expr(std::size_t index, std::string text) {
    auto e = std::make_unique<Expr>();
    e->kind = Kind::column;
    e->name = source_.columns[index].name;
    e->text = std::move(text);
    e->column = static_cast<int>(index);
    e->type = source_.columns[index].type;
    return e;
  }

  void add_item(Select::Item& item) {
    auto& e = *item.expr;
    if (e.kind == Kind::star) {
      if (!e.table.empty()) binder_->column(e.table, source_.columns.front().name);
      if (source_.columns.empty()) refuse(0x2602, "Invalid column name: *");
      const auto end = source_.star_has_tags || !source_.stored
                           ? (source_.tbname >= 0 ? static_cast<std::size_t>(source_.tbname) : source_.columns.size())
                           : source_.first_tag;
      for (std::size_t i = 0; i < end; ++i) {
        items_.push_back({keep(column_expr(i, source_.columns[i].name)), source_.columns[i].name});
      }
      return;
    }
    const bool expands = e.kind == Kind::function && (e.name == "first" || e.name == "last" || e.name == "last_row");
    if (expands && (e.args.size() > 1 || (e.args.size() == 1 && e.args[0]->kind == Kind::star))) {
      std::vector<ExprPtr> columns;
      if (e.args[0]->kind == Kind::star) {
        for (std::size_t i = 0; i < source_.first_tag; ++i) columns.push_back(column_expr(i, source_.columns[i].name));
      } else {
        columns = std::move(e.args);
      }
      for (auto& column : columns) {
        auto call = std::make_unique<Expr>();
        call->kind = Kind::function;
        call->name = e.name;
        call->text = fmt::format("{}({})", e.name, column->text);
        call->args.push_back(std::move(column));
        binder_->bind(*call, Binder::Aggregates::allowed);
        const std::string name = call->text;
        items_.push_back({keep(std::move(call)), name});
      }
      return;
    }
    binder_->bind(e, Binder::Aggregates::allowed);
    items_.push_back({&e, !item.alias.empty() ? item.alias : e.kind == Kind::column ? e.name : e.text});
  }

  /// ORDER BY and GROUP BY may name an item by its alias or its place.
  const Expr* resolve(ExprPtr& e, Binder::Aggregates aggregates) {
    if (e->kind == Kind::literal && is_integer(e->value.type) && e->unit == 0) {
      const auto place = e->value.as_int64();
      if (place < 1 || place > static_cast<std::int64_t>(items_.size())) refuse(0x2602, "Invalid position in ORDER BY");
      return items_[static_cast<std::size_t>(place - 1)].expr;
    }
    if (e->kind == Kind::column && e->table.empty()) {
      for (std::size_t i = 0; i < select_.items.size() && i < items_.size(); ++i) {
        if (select_.items[i].alias == e->name && select_.items.size() == items_.size()) return items_[i].expr;
      }
    }
    binder_->bind(*e, aggregates);
    return e.get();
  }

  void bind() {
    for (auto& item : select_.items) add_item(item);
    if (select_.where) binder_->bind(*select_.where, Binder::Aggregates::refused);
    for (auto* const list : {&select_.group_by, &select_.partition_by}) {
      for (auto& e : *list) groups_.push_back(resolve(e, Binder::Aggregates::refused));
    }
    if (select_.having) binder_->bind(*select_.having, Binder::Aggregates::allowed);
    for (auto& o : select_.order_by) order_.push_back(resolve(o.expr, Binder::Aggregates::allowed));
    const auto& calls = binder_->aggregates();
    aggregated_ = !calls.empty();
    for (const auto& call : calls) selecting_ += selects_row(call.kind) ? 1 : 0;
    if (select_.having && !aggregated_ && groups_.empty()) refuse(0x260A, "Not a GROUP BY expression");
    if (aggregated_ || !select_.group_by.empty()) {
      const int code = groups_.empty() ? 0x260C : 0x260A;
      for (const auto& item : items_) {
        if (!allowed_in_group(*item.expr)) {
          refuse(code, code == 0x260C ? "Not a single-group group function" : "Not a GROUP BY expression");
        }
      }
    }
    // PARTITION BY without aggregates only orders the output by partitions.
    if (!aggregated_ && select_.group_by.empty() && !groups_.empty()) {
      partitioned_rows_ = true;
      partitions_ = groups_;
      groups_.clear();
    }
    if (select_.limit_parameter && *select_.limit_parameter < parameters_.size()) {
      select_.limit = to_int64(parameters_[*select_.limit_parameter]);
    }
    used_.assign(source_.columns.size(), false);
    for (const auto& item : items_) collect_columns(*item.expr, used_);
    for (const auto* const list : {&groups_, &order_, &partitions_}) {
      for (const auto* const e : *list) collect_columns(*e, used_);
    }
    if (select_.where) collect_columns(*select_.where, used_);
    if (select_.having) collect_columns(*select_.having, used_);
  }

  [[nodiscard]] bool allowed_in_group(const Expr& e) const {
    if (e.aggregate >= 0 || e.kind == Kind::literal || e.kind == Kind::parameter) return true;
    for (const auto* const group : groups_) {
      if (same(*group, e)) return true;
    }
    if (e.kind == Kind::column) {
      if (selecting_ == 1 && binder_->aggregates().size() == 1) return true;
      if (e.column < static_cast<int>(source_.first_tag) || !source_.stored) return false;
      // A tag or the name belongs to one group when the groups are child tables (or the table is one).
      if (source_.child != nullptr && (groups_.empty() ? false : true)) return true;
      return std::any_of(groups_.begin(), groups_.end(), [&](const Expr* g) { return g->column == source_.tbname; });
    }
    return std::all_of(e.args.begin(), e.args.end(), [&](const auto& a) { return allowed_in_group(*a); });
  }

  // --- rows without groups ---

  /// Only tags and names are wanted, each combination once: child tables without rows count too.
  [[nodiscard]] bool wants_children() const {
    if (!source_.stored || !source_.table->super) return false;
    if (!select_.tags_only && !select_.distinct) return false;
    for (std::size_t i = 0; i < source_.first_tag; ++i) {
      if (used_[i]) return false;
    }
    return std::find(used_.begin(), used_.end(), true) != used_.end();
  }

  void run_rows() {
    const bool sorted = !order_.empty() || partitioned_rows_;
    std::size_t wanted = SIZE_MAX;
    if (!sorted && !select_.distinct && select_.limit) {
      wanted = static_cast<std::size_t>(std::max<std::int64_t>(0, *select_.limit) +
                                        std::max<std::int64_t>(0, select_.offset.value_or(0)));
    }
    std::unordered_set<std::string> seen;
    std::unordered_map<std::string, std::pair<std::size_t, std::size_t>> partitions;
    const auto visit = [&](std::span<const Datum> row) {
      if (out_.size() >= wanted) return false;
      eval_.row = row;
      OutRow made;
      for (const auto& item : items_) made.cells.push_back(evaluate(*item.expr, eval_));
      if (select_.distinct) {
        std::string key;
        for (const auto& cell : made.cells) append_key(cell, key);
        if (!seen.insert(std::move(key)).second) return true;
      }
      if (partitioned_rows_) {
        std::string key;
        for (const auto* const e : partitions_) append_key(evaluate(*e, eval_), key);
        auto& [number, count] = partitions.try_emplace(key, partitions.size(), 0).first->second;
        ++count;
        if (order_.empty() && !keep_in_partition(number, count)) return true;
        made.order.push_back(Datum::of_int(static_cast<std::int64_t>(number)));
      }
      for (const auto* const e : order_) made.order.push_back(evaluate(*e, eval_));
      add(std::move(made));
      return true;
    };
    if (wants_children()) {
      scan_children(source_, select_.where.get(), eval_, visit);
    } else {
      scan_rows(source_, select_.where.get(), eval_, used_, visit);
    }
  }
  [[nodiscard]] bool keep_in_partition(std::size_t number, std::size_t count) const {
    const auto index = static_cast<std::int64_t>(count) - 1;
    const auto partition = static_cast<std::int64_t>(number);
    const auto from = select_.offset.value_or(0);
    const auto part_from = select_.soffset.value_or(0);
    if (select_.limit && (index < from || index >= from + *select_.limit)) return false;
    return !select_.slimit || (partition >= part_from && partition < part_from + *select_.slimit);
  }

  void add(OutRow row) {
    if ((out_.size() + 1) * (row.cells.size() + row.order.size()) > kMostCells) {
      refuse(0x2600, fmt::format("a result of more than {} cells is not supported by the sandbox: add a LIMIT or a "
                                 "narrower WHERE",
                                 kMostCells));
    }
    out_.push_back(std::move(row));
  }

  // --- groups ---

  void run_groups() {
    Groups groups(source_, binder_->aggregates(), groups_, eval_);
    bool carries = false;
    for (const auto& item : items_) carries = carries || reads_row(*item.expr);
    for (const auto* const e : order_) carries = carries || reads_row(*e);
    if (select_.having) carries = carries || reads_row(*select_.having);
    groups.carry_rows(carries || !groups_.empty());
    if (!count_without_scan(groups)) {
      scan_rows(source_, select_.where.get(), eval_, used_with_arguments(), [&](std::span<const Datum> row) {
        eval_.row = row;
        groups.add(row, eval_);
        return true;
      });
    }
    const auto& calls = binder_->aggregates();
    const bool counts =
        std::any_of(calls.begin(), calls.end(), [](const auto& c) { return c.kind == Aggregate::count; });
    if (groups_.empty() && groups.size() == 0 && counts && !source_.system) groups.add_empty();
    groups.each([&](std::span<const Datum> row, std::span<const Datum> aggregates) {
      eval_.row = row;
      eval_.aggregates = aggregates;
      if (select_.having && !is_true(evaluate(*select_.having, eval_))) return;
      OutRow made;
      for (const auto& item : items_) made.cells.push_back(evaluate(*item.expr, eval_));
      for (const auto* const e : order_) made.order.push_back(evaluate(*e, eval_));
      add(std::move(made));
    });
    if (select_.slimit) cut(select_.slimit, select_.soffset);
  }
  static bool reads_row(const Expr& e) {
    if (e.aggregate >= 0) return false;
    if (e.kind == Kind::column) return true;
    return std::any_of(e.args.begin(), e.args.end(), [](const auto& a) { return reads_row(*a); });
  }
  std::vector<bool> used_with_arguments() const {
    auto used = used_;
    for (const auto& call : binder_->aggregates()) {
      if (call.argument != nullptr) collect_columns(*call.argument, used);
      if (source_.stored && selects_row(call.kind)) used[0] = true;
    }
    return used;
  }

  /// count(*) over whole child tables is known without reading rows.
  bool count_without_scan(Groups& groups) {
    if (!source_.stored) return false;
    for (const auto& call : binder_->aggregates()) {
      const bool whole = call.kind == Aggregate::count && (call.argument == nullptr || call.argument->column == 0);
      if (!whole) return false;
    }
    auto columns = used_;
    for (std::size_t i = 0; i < source_.first_tag; ++i) columns[i] = false;
    auto used = used_;
    used[0] = false;
    for (const auto& call : binder_->aggregates()) {
      if (call.argument != nullptr && call.argument->column != 0) return false;
    }
    if (used != columns || (used_[0] && reads_time())) return false;
    scan_children(source_, select_.where.get(), eval_, [&](std::span<const Datum> row) {
      eval_.row = row;
      groups.add_counted(row, eval_, source_.current->rows);
      return true;
    });
    return true;
  }
  /// The timestamp is read outside of count().
  [[nodiscard]] bool reads_time() const {
    std::vector<bool> used(source_.columns.size(), false);
    const auto collect = [&](const Expr& e, const auto& self) -> void {
      if (e.aggregate >= 0) return;
      if (e.kind == Kind::column && e.column >= 0) used[static_cast<std::size_t>(e.column)] = true;
      for (const auto& a : e.args) self(*a, self);
    };
    for (const auto& item : items_) collect(*item.expr, collect);
    for (const auto* const list : {&groups_, &order_}) {
      for (const auto* const e : *list) collect(*e, collect);
    }
    if (select_.where) collect(*select_.where, collect);
    if (select_.having) collect(*select_.having, collect);
    return used[0];
  }

  // --- output ---

  void cut(const std::optional<std::int64_t>& limit, const std::optional<std::int64_t>& offset) {
    const auto size = static_cast<std::int64_t>(out_.size());
    const auto from = std::clamp<std::int64_t>(offset.value_or(0), 0, size);
    const auto count = std::clamp<std::int64_t>(limit.value_or(size), 0, size - from);
    out_.erase(out_.begin(), out_.begin() + from);
    out_.resize(static_cast<std::size_t>(count));
  }

  void sort() {
    const bool by_partition = partitioned_rows_ && order_.empty();
    if (order_.empty() && !by_partition) return;
    const std::size_t skip = partitioned_rows_ && !by_partition ? 1 : 0;
    std::stable_sort(out_.begin(), out_.end(), [&](const OutRow& a, const OutRow& b) {
      for (std::size_t i = skip; i < a.order.size(); ++i) {
        const auto& x = a.order[i];
        const auto& y = b.order[i];
        const auto* const item = by_partition ? nullptr : &select_.order_by[i - skip];
        const bool down = item != nullptr && item->descending;
        if (x.null || y.null) {
          if (x.null && y.null) continue;
          const bool first = item != nullptr && item->nulls_first ? *item->nulls_first : !down;
          return x.null ? first : !first;
        }
        const int order = compare(x, y);
        if (order != 0) return down ? order > 0 : order < 0;
      }
      return false;
    });
  }

  void finish(Answer& answer) {
    sort();
    const bool cut_already = partitioned_rows_ && order_.empty();
    if (!cut_already) cut(select_.limit, select_.offset);
    answer.rows.reserve(out_.size());
    for (auto& row : out_) {
      std::vector<Value> cells;
      cells.reserve(row.cells.size());
      for (std::size_t i = 0; i < row.cells.size(); ++i) cells.push_back(value_of(row.cells[i], items_[i].expr->type));
      answer.rows.push_back(std::move(cells));
      row = {};
    }
    // Functions of the session are as long as what they return.
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const auto& e = *items_[i].expr;
      if (e.kind != Kind::function || !e.args.empty() || e.type.type != Type::varchar || answer.rows.empty()) continue;
      const auto& cell = answer.rows[0][i];
      if (cell.state != Value::State::value) continue;
      answer.fields[i].length = static_cast<std::int32_t>(cell.text.size());
      answer.fields[i].stored_bytes = answer.fields[i].length + 2;
    }
  }

  const SessionContext& context_;
  Select& select_;  // binding writes into the tree
  std::span<const Datum> parameters_;
  Source source_;
  std::optional<Binder> binder_;
  EvalContext eval_;
  std::vector<Item> items_;
  std::vector<ExprPtr> made_;
  std::vector<const Expr*> groups_, order_, partitions_;
  std::vector<bool> used_;
  bool aggregated_ = false;
  bool partitioned_rows_ = false;
  int selecting_ = 0;
  std::vector<OutRow> out_;
};

Answer run_union(const SessionContext& context, Select& select, std::span<const Datum> parameters) {
  Answer answer = Runner(context, select, parameters).run();
  Answer more = run_select(context, *select.union_with, parameters);
  if (answer.fields.size() != more.fields.size()) {
    refuse(0x2634, "Query block has incorrect number of result columns");
  }
  for (std::size_t i = 0; i < answer.fields.size(); ++i) {
    if (answer.fields[i].type != more.fields[i].type) unsupported("UNION of columns of different types");
    answer.fields[i].length = std::max(answer.fields[i].length, more.fields[i].length);
    answer.fields[i].stored_bytes = std::max(answer.fields[i].stored_bytes, more.fields[i].stored_bytes);
  }
  std::move(more.rows.begin(), more.rows.end(), std::back_inserter(answer.rows));
  if (select.union_all) return answer;
  std::unordered_set<std::string> seen;
  std::erase_if(answer.rows, [&](const std::vector<Value>& row) {
    std::string key;
    for (const auto& v : row) {
      append_key(
          v.state == Value::State::value ? Datum::of_text(v.text + '\0' + std::to_string(v.bits)) : Datum::none(), key);
    }
    return !seen.insert(std::move(key)).second;
  });
  return answer;
}

}  // namespace

ResultField result_field(std::string name, const TypeInfo& type) {
  ResultField field;
  field.name = std::move(name);
  if (field.name.size() > 64) field.name.resize(64);
  field.type = type.type;
  field.length = type.length;
  field.stored_bytes = stored_bytes(type);
  field.precision = type.precision;
  field.scale = type.scale;
  return field;
}

Answer run_select(const SessionContext& context, Select& select, std::span<const Datum> parameters) {
  if (select.union_with) return run_union(context, select, parameters);
  return Runner(context, select, parameters).run();
}

}  // namespace penstock::sandbox
