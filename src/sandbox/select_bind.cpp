#include "sandbox/select_bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace penstock::sandbox {
namespace {

using data::Type;
using Kind = Expr::Kind;

constexpr std::pair<std::string_view, Aggregate> kAggregates[] = {
    {"count", Aggregate::count},   {"sum", Aggregate::sum},           {"avg", Aggregate::avg},
    {"min", Aggregate::min},       {"max", Aggregate::max},           {"first", Aggregate::first},
    {"last", Aggregate::last},     {"last_row", Aggregate::last_row}, {"spread", Aggregate::spread},
    {"stddev", Aggregate::stddev}, {"stddev_pop", Aggregate::stddev}};

/// Functions of the server that the sandbox does not have.
constexpr std::string_view kElsewhere[] = {"apercentile",
                                           "percentile",
                                           "mode",
                                           "hyperloglog",
                                           "leastsquares",
                                           "histogram",
                                           "diff",
                                           "derivative",
                                           "csum",
                                           "mavg",
                                           "irate",
                                           "twa",
                                           "elapsed",
                                           "sample",
                                           "unique",
                                           "tail",
                                           "statecount",
                                           "stateduration",
                                           "interp",
                                           "top",
                                           "bottom",
                                           "greatest",
                                           "least",
                                           "stddev_samp",
                                           "var_pop",
                                           "var_samp",
                                           "variance",
                                           "group_concat",
                                           "corr",
                                           "cols",
                                           "fill_forward",
                                           "forecast",
                                           "anomaly",
                                           "timetruncate",
                                           "to_char",
                                           "to_timestamp",
                                           "weekday",
                                           "dayofweek",
                                           "week",
                                           "weekofyear",
                                           "rand",
                                           "char",
                                           "ascii",
                                           "regexp_replace",
                                           "substring_index",
                                           "st_intersects",
                                           "st_equals",
                                           "st_touches",
                                           "st_covers",
                                           "st_contains",
                                           "st_containsproperly",
                                           "generate_total_hash",
                                           "find_in_set",
                                           "likein"};

TypeInfo simple(Type type) { return {type, static_cast<std::int32_t>(data::fixed_size(type)), 0, 0}; }

bool is_arithmetic(std::string_view op) { return op == "+" || op == "-" || op == "*" || op == "/" || op == "%"; }

TypeInfo as_decimal(const TypeInfo& t) {
  if (is_decimal(t.type)) return t;
  std::uint8_t digits = 19;
  switch (t.type) {
    case Type::boolean:
    case Type::tinyint:
    case Type::utinyint: digits = 3; break;
    case Type::smallint:
    case Type::usmallint: digits = 5; break;
    case Type::integer:
    case Type::uinteger: digits = 10; break;
    case Type::ubigint: digits = 20; break;
    default: break;
  }
  return {Type::decimal64, 8, digits, 0};
}

}  // namespace

std::optional<TypeInfo> decimal_arithmetic(char op, const TypeInfo& left, const TypeInfo& right) {
  const auto fits = [](const TypeInfo& t) {
    return is_decimal(t.type) || is_integer(t.type) || t.type == Type::boolean;
  };
  if (!(is_decimal(left.type) || is_decimal(right.type)) || !fits(left) || !fits(right)) return std::nullopt;
  const auto a = as_decimal(left);
  const auto b = as_decimal(right);
  int precision = 0;
  int scale = 0;
  switch (op) {
    case '*':
      precision = a.precision + b.precision + 1;
      scale = a.scale + b.scale;
      break;
    case '/':
      scale = std::max(6, a.scale + b.precision + 1);
      precision = a.precision - a.scale + b.scale + scale;
      break;
    case '%':
      scale = std::max(a.scale, b.scale);
      precision = std::min(a.precision - a.scale, b.precision - b.scale) + scale;
      break;
    default:
      scale = std::max(a.scale, b.scale);
      precision = std::max(a.precision - a.scale, b.precision - b.scale) + scale + 1;
  }
  if (precision > 38) {
    const int whole = precision - scale;
    scale = std::max(38 - whole, std::min(scale, 6));
    precision = 38;
  }
  return TypeInfo{Type::decimal128, 16, static_cast<std::uint8_t>(precision), static_cast<std::uint8_t>(scale)};
}

int Binder::column(std::string_view table, std::string_view name) const {
  if (!table.empty() && table != source_.alias && table != source_.name) {
    refuse(0x2603, fmt::format("Table does not exist: {}", table));
  }
  if (name == "tbname" && source_.tbname >= 0) return source_.tbname;
  if (source_.stored && (name == "_rowts" || name == "_c0")) return 0;
  for (std::size_t i = 0; i < source_.columns.size(); ++i) {
    if (source_.columns[i].name == name && static_cast<int>(i) != source_.tbname) return static_cast<int>(i);
  }
  if (name == "_wstart" || name == "_wend" || name == "_wduration") {
    refuse(0x2658, "_WSTART, _WEND and _WDURATION can only be used in window query");
  }
  refuse(0x2602, fmt::format("Invalid column name: {}", name));
}

void Binder::bind(Expr& e, Aggregates aggregates) {
  switch (e.kind) {
    case Kind::literal:
      e.type = {e.value.type, static_cast<std::int32_t>(data::fixed_size(e.value.type)), 0, 0};
      if (e.value.type == Type::varchar) e.type.length = static_cast<std::int32_t>(e.value.text.size());
      if (e.value.type == Type::null) e.type = {Type::varchar, 0, 0, 0};
      return;
    case Kind::parameter:
      if (e.index < parameters_.size()) {
        const auto& p = parameters_[e.index];
        e.type = {p.type, static_cast<std::int32_t>(data::fixed_size(p.type)), p.precision, p.scale};
        if (data::is_variable(p.type)) e.type.length = static_cast<std::int32_t>(p.text.size());
        if (p.type == Type::null) e.type = {Type::varchar, 0, 0, 0};
      }
      return;
    case Kind::column: {
      e.column = column(e.table, e.name);
      e.type = source_.columns[static_cast<std::size_t>(e.column)].type;
      return;
    }
    case Kind::star: refuse(0x2602, "Invalid column name: *");
    case Kind::function: return bind_function(e, aggregates);
    default: break;
  }
  for (auto& arg : e.args) bind(*arg, aggregates);
  switch (e.kind) {
    case Kind::unary: e.type = simple(e.name == "not" ? Type::boolean : Type::float64); return;
    case Kind::binary: return bind_binary(e);
    case Kind::in:
    case Kind::between:
    case Kind::is_null:
      if (e.args[0]->type.type == Type::blob) refuse(0x0200, "Invalid operation");
      e.type = simple(Type::boolean);
      return;
    case Kind::case_when: {
      const std::size_t first = e.negated ? 2 : 1;
      e.type = {Type::varchar, 0, 0, 0};
      bool any = false;
      const auto take = [&](const Expr& result) {
        if (result.kind == Kind::literal && result.value.null) return;
        if (!any) {
          e.type = result.type;
        } else if (e.type.type == result.type.type) {
          e.type.length = std::max(e.type.length, result.type.length);
        } else if (is_number(e.type.type) && is_number(result.type.type)) {
          e.type = simple(Type::float64);
        } else {
          e.type = {Type::varchar, std::max({e.type.length, result.type.length, 32}), 0, 0};
        }
        any = true;
      };
      for (std::size_t i = first; i < e.args.size(); i += 2) take(*e.args[i]);
      if (e.name == "else") take(*e.args.back());
      return;
    }
    case Kind::cast:
      if (e.args[0]->type.type == Type::varbinary && is_text(e.type.type)) {
        refuse(0x2802, "Invalid parameter data type : cast");
      }
      return;
    default: return;
  }
}

void Binder::bind_binary(Expr& e) {
  const auto& a = e.args[0]->type;
  const auto& b = e.args[1]->type;
  if (e.name == "->") {
    if (a.type != Type::json) refuse(0x2602, fmt::format("Invalid column name: {}", e.args[0]->text));
    e.type = {Type::json, static_cast<std::int32_t>(data::Limits::json_tag), 0, 0};
    return;
  }
  if (is_arithmetic(e.name)) {
    const bool duration = e.args[0]->unit != 0 || e.args[1]->unit != 0;
    if ((a.type == Type::timestamp || b.type == Type::timestamp) && (e.name == "+" || e.name == "-") &&
        (duration || is_integer(a.type) || is_integer(b.type))) {
      e.type = simple(Type::timestamp);
    } else if (const auto decimal = decimal_arithmetic(e.name[0], a, b)) {
      e.type = *decimal;
    } else {
      e.type = simple(Type::float64);
    }
    return;
  }
  if (e.name == "&" || e.name == "|") {
    e.type = simple(Type::bigint);
    return;
  }
  e.type = simple(Type::boolean);
  if (e.name == "like" || e.name == "match" || e.name == "nmatch") {
    if (!is_text(a.type) && a.type != Type::json) refuse(0x0200, "Invalid operation");
    if (!is_text(b.type)) refuse(0x0200, "Invalid operation");
    if (e.name != "like" && e.args[1]->kind == Kind::literal) {
      check_pattern(e.args[1]->value.text);
    }
    return;
  }
  if (e.name == "and" || e.name == "or") return;
  if (a.type == Type::blob || b.type == Type::blob) refuse(0x0200, "Invalid operation");
  const auto bare_json = [](const Expr& x) { return x.kind == Kind::column && x.type.type == Type::json; };
  if (e.name != "contains" && (bare_json(*e.args[0]) || bare_json(*e.args[1]))) {
    refuse(0x072D, "Json not support in this place");
  }
  // A time against a quoted literal: the literal is read once, here.
  for (const std::size_t side : {0u, 1u}) {
    auto& other = *e.args[1 - side];
    if (e.args[side]->type.type != Type::timestamp || other.kind != Kind::literal || !is_text(other.value.type))
      continue;
    const auto time = parse_time_text(other.value.text, source_.precision, *context_.zone);
    if (!time) refuse(0x0127, "Invalid timestamp format");
    other.value = Datum::of_time(*time);
    other.type = simple(Type::timestamp);
  }
}

void Binder::bind_function(Expr& e, Aggregates aggregates) {
  for (const auto& [name, kind] : kAggregates) {
    if (name != e.name) continue;
    if (aggregates == Aggregates::refused) {
      if (inside_aggregate_) refuse(0x2627, "Aggregate functions do not support nesting");
      refuse(0x2608, "There mustn't be aggregation");
    }
    return bind_aggregate(e, kind);
  }
  e.function = find_function(e.name);
  if (e.function < 0) {
    if (std::find(std::begin(kElsewhere), std::end(kElsewhere), e.name) != std::end(kElsewhere)) {
      unsupported(fmt::format("the function {}", e.name));
    }
    if (e.args.empty()) refuse(0x2600, fmt::format("syntax error near \")\" (no function {})", e.name));
    refuse(0x0374, "Func not exists");
  }
  for (auto& arg : e.args) bind(*arg, aggregates);
  e.type = function_type(e);
}

void Binder::bind_aggregate(Expr& e, Aggregate kind) {
  AggregateCall call;
  call.kind = kind;
  if (e.args.size() != 1) refuse(0x2801, fmt::format("Invalid number of parameters : {}", e.name));
  const bool star = e.args[0]->kind == Kind::star;
  if (!star) {
    inside_aggregate_ = true;
    bind(*e.args[0], Aggregates::refused);
    inside_aggregate_ = false;
    call.argument = e.args[0].get();
  } else if (kind != Aggregate::count) {
    refuse(0x2600, "syntax error near \"*\"");
  } else if (!source_.stored && source_.columns.empty()) {
    refuse(0x2602, "Invalid column name: *");
  }
  if (kind == Aggregate::count && !star && e.args[0]->kind == Kind::literal) {
    if (source_.columns.empty()) refuse(0x2603, "Table does not exist: (null)");
  }
  const auto arg = star ? TypeInfo{} : e.args[0]->type;
  const auto wrong = [&] { refuse(0x2802, fmt::format("Invalid parameter data type : {}", e.name)); };
  switch (kind) {
    case Aggregate::count: call.type = simple(Type::bigint); break;
    case Aggregate::sum:
      if (!is_number(arg.type)) wrong();
      call.type = is_decimal(arg.type)    ? TypeInfo{Type::decimal128, 16, 38, arg.scale}
                  : is_float(arg.type)    ? simple(Type::float64)
                  : is_unsigned(arg.type) ? simple(Type::ubigint)
                                          : simple(Type::bigint);
      break;
    case Aggregate::avg:
      if (!is_number(arg.type)) wrong();
      call.type = is_decimal(arg.type) ? TypeInfo{Type::decimal128, 16, 38, std::max<std::uint8_t>(6, arg.scale)}
                                       : simple(Type::float64);
      break;
    case Aggregate::min:
    case Aggregate::max:
      if (!is_number(arg.type) && !is_text(arg.type) && arg.type != Type::varbinary) wrong();
      call.type = arg;
      break;
    case Aggregate::spread:
      if (!is_number(arg.type) && arg.type != Type::timestamp) wrong();
      call.type = simple(Type::float64);
      break;
    case Aggregate::stddev:
      if (!is_number(arg.type) || is_decimal(arg.type)) wrong();
      call.type = simple(Type::float64);
      break;
    default: call.type = arg;
  }
  e.type = call.type;
  for (std::size_t i = 0; i < aggregates_.size(); ++i) {
    const auto& known = aggregates_[i];
    if (known.kind == kind && (known.argument == nullptr) == star && (star || same(*known.argument, *call.argument))) {
      e.aggregate = static_cast<int>(i);
      return;
    }
  }
  e.aggregate = static_cast<int>(aggregates_.size());
  aggregates_.push_back(call);
}

void collect_columns(const Expr& e, std::vector<bool>& used) {
  if (e.kind == Kind::column && e.column >= 0) used[static_cast<std::size_t>(e.column)] = true;
  for (const auto& arg : e.args) collect_columns(*arg, used);
}

bool has_aggregate(const Expr& e) noexcept {
  return e.aggregate >= 0 || std::any_of(e.args.begin(), e.args.end(), [](const auto& a) { return has_aggregate(*a); });
}

}  // namespace penstock::sandbox
