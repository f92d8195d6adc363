#include "sandbox/select_scan.h"

#include <algorithm>
#include <cmath>

#include "sandbox/store.h"
#include "sandbox/store_row.h"

namespace penstock::sandbox {
namespace {

using data::Type;
using Kind = Expr::Kind;

void add_table_columns(Source& source, const Table& table) {
  for (const auto& c : table.columns) source.columns.push_back({c.column.name, type_info(c.column)});
  source.first_tag = source.columns.size();
  for (const auto& c : table.tags) source.columns.push_back({c.column.name, type_info(c.column)});
  source.tbname = static_cast<int>(source.columns.size());
  source.columns.push_back({"tbname", {Type::varchar, 270, 0, 0}});
}

/// The parts of a condition that must all hold.
void conjuncts(const Expr* e, std::vector<const Expr*>& out) {
  if (e == nullptr) return;
  if (e->kind == Kind::binary && e->name == "and") {
    conjuncts(e->args[0].get(), out);
    conjuncts(e->args[1].get(), out);
  } else {
    out.push_back(e);
  }
}

struct Reads {
  bool columns = false;  ///< of rows
  bool tags = false;
};
Reads reads(const Expr& e, const Source& source) {
  Reads r;
  if (e.kind == Kind::column) {
    (static_cast<std::size_t>(e.column) < source.first_tag ? r.columns : r.tags) = true;
  }
  for (const auto& a : e.args) {
    const auto more = reads(*a, source);
    r.columns = r.columns || more.columns;
    r.tags = r.tags || more.tags;
  }
  return r;
}

/// Times that a scan may be narrowed to.
struct TimeRange {
  std::int64_t first = INT64_MIN;
  std::int64_t last = INT64_MAX;

  void at_least(std::int64_t t) { first = std::max(first, t); }
  void at_most(std::int64_t t) { last = std::min(last, t); }
  /// Takes a condition on the timestamp in; true when it says no more than the range now does.
  bool narrow(const Expr& e, const Source& source, const EvalContext& context) {
    const auto is_time = [](const Expr& x) { return x.kind == Kind::column && x.column == 0; };
    const auto constant = [&](const Expr& x, std::int64_t& out) {
      const auto r = reads(x, source);
      if (r.columns || r.tags) return false;
      const auto v = evaluate(x, context);
      if (v.null || (v.type != Type::timestamp && v.type != Type::bigint)) return false;
      out = v.as_int64();
      return true;
    };
    std::int64_t t = 0;
    if (e.kind == Kind::between && !e.negated && is_time(*e.args[0])) {
      std::int64_t high = 0;
      if (!constant(*e.args[1], t) || !constant(*e.args[2], high)) return false;
      at_least(t);
      at_most(high);
      return true;
    }
    if (e.kind != Kind::binary) return false;
    auto op = e.name;
    if (is_time(*e.args[0]) && constant(*e.args[1], t)) {
    } else if (is_time(*e.args[1]) && constant(*e.args[0], t)) {
      op = op == "<" ? ">" : op == ">" ? "<" : op == "<=" ? ">=" : op == ">=" ? "<=" : op;
    } else {
      return false;
    }
    if (op == "=") {
      at_least(t);
      at_most(t);
    } else if (op == ">=" || (op == ">" && t < INT64_MAX)) {
      at_least(op == ">" ? t + 1 : t);
    } else if (op == "<=" || (op == "<" && t > INT64_MIN)) {
      at_most(op == "<" ? t - 1 : t);
    } else {
      return false;
    }
    return true;
  }
};

/// Fills cells of a row from packed rows.
class Decoder {
 public:
  Decoder(const Source& source, const std::vector<bool>& used) : table_(*source.table) {
    for (std::size_t i = 1; i < table_.columns.size(); ++i) {
      if (used[i]) wanted_.push_back(i);
    }
    plans_.resize(table_.layouts.size());
  }
  void decode(std::string_view packed, std::vector<Datum>& row) {
    const auto index = RowReader::layout_index(packed);
    const auto& layout = *table_.layouts[index];
    auto& plan = plans_[index];
    if (plan.empty()) make_plan(layout, plan);
    const RowReader reader(layout, packed);
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      auto& cell = row[wanted_[i]];
      const auto slot = plan[i];
      cell.null = slot < 0 || reader.state(static_cast<std::size_t>(slot)) != Value::State::value;
      if (cell.null) continue;
      const auto at = static_cast<std::size_t>(slot);
      if (data::is_variable(cell.type)) {
        cell.text = reader.text(at);
      } else if (cell.type == Type::decimal128) {
        cell.text.assign(reader.fixed(at), 16);
      } else {
        cell.bits = bits_of(cell.type, reader.fixed(at));
      }
    }
  }

 private:
  void make_plan(const Layout& layout, std::vector<int>& plan) const {
    for (const auto column : wanted_) {
      int slot = -1;
      for (std::size_t s = 0; s < layout.slots.size(); ++s) {
        if (layout.slots[s].column_id == table_.columns[column].id) slot = static_cast<int>(s);
      }
      plan.push_back(slot);
    }
  }
  const Table& table_;
  std::vector<std::size_t> wanted_;
  std::vector<std::vector<int>> plans_;
};

std::vector<Datum> empty_row(const Source& source) {
  std::vector<Datum> row(source.columns.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i].type = source.columns[i].type.type;
    row[i].precision = source.columns[i].type.precision;
    row[i].scale = source.columns[i].type.scale;
  }
  return row;
}

void set_child(Source& source, Child& child, std::vector<Datum>& row) {
  source.current = &child;
  for (std::size_t t = 0; t < source.table->tags.size(); ++t) {
    const auto at = source.first_tag + t;
    row[at] = datum_of(t < child.tags.size() ? child.tags[t] : Value{}, source.columns[at].type);
  }
  row[static_cast<std::size_t>(source.tbname)] = Datum::of_text(child.name);
}

std::vector<Child*> children_of(const Source& source) {
  if (source.child != nullptr) return {source.child};
  return source.table->children;
}

bool all_hold(const std::vector<const Expr*>& conditions, const EvalContext& context) {
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const Expr* e) { return is_true(evaluate(*e, context)); });
}

}  // namespace

Source open_source(const SessionContext& context, Select& select, std::span<const Datum> parameters) {
  Source source;
  source.alias = select.alias;
  if (!select.has_from) {
    source.rows.emplace_back();
    return source;
  }
  if (select.subquery) {
    auto inner = run_select(context, *select.subquery, parameters);
    source.precision = inner.precision;
    std::vector<TypeInfo> types;
    for (const auto& field : inner.fields) {
      types.push_back({field.type, field.length, field.precision, field.scale});
      source.columns.push_back({field.name, types.back()});
    }
    source.first_tag = source.columns.size();
    source.rows.reserve(inner.rows.size());
    for (auto& row : inner.rows) {
      std::vector<Datum> cells;
      for (std::size_t i = 0; i < row.size(); ++i) cells.push_back(datum_of(row[i], types[i]));
      source.rows.push_back(std::move(cells));
      row = {};
    }
    return source;
  }
  source.name = select.from.table;
  const auto& database = select.from.database.empty() ? context.database : select.from.database;
  if (is_system_database(database)) {
    auto table = system_table(context, database, select.from.table);
    if (!table) refuse(0x2603, "Table does not exist");
    source.system = true;
    for (const auto& c : table->columns) source.columns.push_back({c.name, type_info(c)});
    source.first_tag = source.columns.size();
    source.rows = std::move(table->rows);
    return source;
  }
  source.database = std::make_unique<LockedDatabase>(open_database(context, select.from.database));
  auto& db = **source.database;
  const auto found = db.find(select.from.table);
  if (found.table == nullptr) refuse(0x2603, "Table does not exist");
  source.stored = true;
  source.precision = db.options.precision;
  source.table = found.table;
  source.child = found.child;
  source.star_has_tags = found.child == nullptr;
  add_table_columns(source, *found.table);
  return source;
}

SplitCondition split_condition(const Source& source, const Expr* where, const EvalContext& context) {
  std::vector<const Expr*> parts;
  conjuncts(where, parts);
  SplitCondition split;
  TimeRange range;
  for (const auto* const part : parts) {
    if (range.narrow(*part, source, context)) continue;
    (reads(*part, source).columns ? split.of_row : split.of_child).push_back(part);
  }
  split.first = range.first;
  split.last = range.last;
  return split;
}

void scan_rows(Source& source, const Expr* where, EvalContext context, const std::vector<bool>& used,
               const VisitRow& visit) {
  if (!source.stored) {
    for (const auto& row : source.rows) {
      context.row = row;
      if (where != nullptr && !is_true(evaluate(*where, context))) continue;
      if (!visit(row)) return;
    }
    return;
  }
  const auto split = split_condition(source, where, context);
  Decoder decoder(source, used);
  auto row = empty_row(source);
  context.row = row;
  auto& store = *(*source.database)->store;
  bool going = true;
  for (auto* const child : children_of(source)) {
    if (!going || split.first > split.last) return;
    if (child->rows == 0) continue;
    set_child(source, *child, row);
    if (!all_hold(split.of_child, context)) continue;
    if (!store.keeps_rows()) unsupported("reading rows that were thrown away (--discard; COUNT(*) tells how many)");
    store.scan(child->id, split.first, split.last, false, [&](std::int64_t time, std::string_view packed) {
      row[0].null = false;
      row[0].bits = static_cast<std::uint64_t>(time);
      decoder.decode(packed, row);
      if (!all_hold(split.of_row, context)) return true;
      return going = visit(row);
    });
  }
}

Source table_source(Table& table, Child* child, const std::string& alias, data::Precision precision) {
  Source source;
  source.stored = true;
  source.name = table.name;
  source.alias = alias;
  source.precision = precision;
  source.table = &table;
  source.child = child;
  source.star_has_tags = child == nullptr;
  add_table_columns(source, table);
  return source;
}

void scan_packed(Source& source, Child& child, const Expr* where, EvalContext context, const std::vector<bool>& used,
                 const std::function<bool(std::int64_t& time, std::string_view& packed)>& next, const VisitRow& visit) {
  const auto split = split_condition(source, where, context);
  Decoder decoder(source, used);
  auto row = empty_row(source);
  context.row = row;
  set_child(source, child, row);
  if (!all_hold(split.of_child, context)) return;
  std::int64_t time = 0;
  std::string_view packed;
  while (next(time, packed)) {
    if (time < split.first || time > split.last) continue;
    row[0].null = false;
    row[0].bits = static_cast<std::uint64_t>(time);
    decoder.decode(packed, row);
    if (all_hold(split.of_row, context) && !visit(row)) return;
  }
}

void scan_children(Source& source, const Expr* where, EvalContext context, const VisitRow& visit) {
  auto row = empty_row(source);
  context.row = row;
  for (auto* const child : children_of(source)) {
    set_child(source, *child, row);
    if (where != nullptr && !is_true(evaluate(*where, context))) continue;
    if (!visit(row)) return;
  }
}

// --- Groups ---

Groups::Groups(const Source& source, std::span<const AggregateCall> calls, std::span<const Expr* const> keys,
               const EvalContext&)
    : source_(source), calls_(calls), keys_(keys) {
  by_child_ =
      source.stored && std::all_of(keys.begin(), keys.end(), [&](const Expr* e) { return !reads(*e, source).columns; });
}

Groups::Group& Groups::group_of(std::span<const Datum> row, const EvalContext& context) {
  if (by_child_ && last_child_ != nullptr && (last_child_ == source_.current || keys_.empty())) {
    return groups_[last_group_];
  }
  std::string key;
  for (const auto* const e : keys_) append_key(evaluate(*e, context), key);
  const auto [at, is_new] = index_.try_emplace(std::move(key), groups_.size());
  if (is_new) {
    groups_.emplace_back();
    groups_.back().gathered.resize(calls_.size());
    if (carry_) groups_.back().row.assign(row.begin(), row.end());
  }
  last_child_ = source_.current;
  last_group_ = at->second;
  return groups_[at->second];
}

bool Groups::gather(const AggregateCall& call, Gathered& g, const Datum& v, std::int64_t time) {
  if (v.null && call.kind != Aggregate::last_row) return false;
  const bool first = g.count++ == 0;
  switch (call.kind) {
    case Aggregate::count: return false;
    case Aggregate::sum:
    case Aggregate::avg:
    case Aggregate::stddev:
      if (is_decimal(call.type.type)) {
        if (__builtin_add_overflow(g.decimal, decimal_of(v), &g.decimal)) refuse(0x013D, "Decimal value overflow");
      } else {
        if (is_integer(v.type)) g.whole += v.bits;
        const double d = to_double(v);
        g.sum += d;
        g.squares += d * d;
      }
      return false;
    case Aggregate::spread: {
      const double d = to_double(v);
      g.least = first ? d : std::min(g.least, d);
      g.most = first ? d : std::max(g.most, d);
      return false;
    }
    case Aggregate::min:
    case Aggregate::max: {
      if (!first) {
        const int order = compare(v, g.value);
        if (call.kind == Aggregate::min ? order >= 0 : order <= 0) return false;
      }
      g.value = v;
      return true;
    }
    case Aggregate::first:
      if (!first && time >= g.time) return false;
      break;
    case Aggregate::last:
    case Aggregate::last_row:
      if (!first && time < g.time) return false;
      break;
  }
  g.time = time;
  g.value = v;
  return true;
}

void Groups::add(std::span<const Datum> row, const EvalContext& context) {
  auto& group = group_of(row, context);
  const auto time = source_.stored ? row[0].as_int64() : serial_++;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    const auto& call = calls_[i];
    bool chosen = false;
    if (call.argument == nullptr) {
      ++group.gathered[i].count;
    } else if (call.argument->kind == Kind::column) {
      chosen = gather(call, group.gathered[i], row[static_cast<std::size_t>(call.argument->column)], time);
    } else {
      chosen = gather(call, group.gathered[i], evaluate(*call.argument, context), time);
    }
    if (chosen && carry_ && calls_.size() == 1) group.row.assign(row.begin(), row.end());
  }
}

void Groups::add_counted(std::span<const Datum> row, const EvalContext& context, std::int64_t rows) {
  if (rows == 0) return;
  for (auto& g : group_of(row, context).gathered) g.count += rows;
}

void Groups::add_empty() {
  groups_.emplace_back();
  groups_.back().gathered.resize(calls_.size());
  groups_.back().row.resize(source_.columns.size());
}

Datum Groups::result(const AggregateCall& call, const Gathered& g) {
  if (call.kind == Aggregate::count) return Datum::of_int(g.count);
  if (g.count == 0) return Datum::none(call.type.type);
  const auto n = static_cast<double>(g.count);
  switch (call.kind) {
    case Aggregate::sum:
      if (is_decimal(call.type.type)) return Datum::of_decimal(g.decimal, call.type.precision, call.type.scale);
      if (is_float(call.type.type)) return Datum::of_double(g.sum);
      return Datum::fixed(call.type.type, g.whole);
    case Aggregate::avg: {
      if (!is_decimal(call.type.type)) return Datum::of_double(g.sum / n);
      const bool negative = g.decimal < 0;
      const Int128 magnitude = negative ? -g.decimal : g.decimal;
      const Int128 count = g.count;
      Int128 quotient = magnitude / count;
      Int128 rest = magnitude % count;
      for (int digits = call.type.scale - call.argument->type.scale; digits > 0; --digits) {
        rest *= 10;
        if (__builtin_mul_overflow(quotient, Int128{10}, &quotient)) refuse(0x013D, "Decimal value overflow");
        quotient += rest / count;
        rest %= count;
      }
      if (rest * 2 >= count) ++quotient;
      return Datum::of_decimal(negative ? -quotient : quotient, call.type.precision, call.type.scale);
    }
    case Aggregate::spread: return Datum::of_double(g.most - g.least);
    case Aggregate::stddev: {
      const double mean = g.sum / n;
      return Datum::of_double(std::sqrt(std::max(0.0, g.squares / n - mean * mean)));
    }
    default: return g.value;
  }
}

void Groups::each(
    const std::function<void(std::span<const Datum> row, std::span<const Datum> aggregates)>& visit) const {
  std::vector<Datum> results(calls_.size());
  for (const auto& group : groups_) {
    for (std::size_t i = 0; i < calls_.size(); ++i) results[i] = result(calls_[i], group.gathered[i]);
    visit(group.row, results);
  }
}

}  // namespace penstock::sandbox
