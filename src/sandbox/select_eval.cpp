#include <fmt/format.h>
#include <regex.h>

#include <cmath>
#include <optional>

#include "sandbox/select_bind.h"

namespace penstock::sandbox {
namespace {

using data::Type;
using Kind = Expr::Kind;

/// SQL's three truths.
enum class Truth { no, yes, unknown };
Truth truth_of(const Datum& v) { return v.null ? Truth::unknown : is_true(v) ? Truth::yes : Truth::no; }
Datum datum(Truth t) { return t == Truth::unknown ? Datum::none(Type::boolean) : Datum::of_bool(t == Truth::yes); }

Datum decimal_divide(const Datum& a, const Datum& b, const TypeInfo& type) {
  Int128 numerator = decimal_of(a);
  Int128 denominator = decimal_of(b);
  const bool negative = (numerator < 0) != (denominator < 0);
  if (numerator < 0) numerator = -numerator;
  if (denominator < 0) denominator = -denominator;
  Int128 limit = 1;
  for (int i = 0; i < 37; ++i) limit *= 10;
  // Long division: digits behind the point of numerator / denominator, moved by the difference of the scales.
  int digits = type.scale - a.scale + b.scale;
  Int128 quotient = numerator / denominator;
  Int128 rest = numerator % denominator;
  for (; digits > 0; --digits) {
    if (quotient >= limit || rest >= limit) refuse(0x013D, "Decimal value overflow");
    rest *= 10;
    quotient = quotient * 10 + rest / denominator;
    rest %= denominator;
  }
  if (rest >= denominator - rest) ++quotient;
  return Datum::of_decimal(negative ? -quotient : quotient, type.precision, type.scale);
}

Datum decimal_operation(char op, const Datum& a, const Datum& b, const TypeInfo& type) {
  const auto scale = std::max(a.scale, b.scale);
  std::optional<Int128> made;
  if (op == '*') {
    Int128 product = 0;
    if (!__builtin_mul_overflow(decimal_of(a), decimal_of(b), &product)) {
      made = rescale(product, static_cast<unsigned>(a.scale + b.scale), type.scale, type.precision);
    }
  } else {
    const auto x = rescale(decimal_of(a), a.scale, scale, 38);
    const auto y = rescale(decimal_of(b), b.scale, scale, 38);
    Int128 result = 0;
    if (x && y && op == '+' && !__builtin_add_overflow(*x, *y, &result)) made = rescale(result, scale, type.scale, 38);
    if (x && y && op == '-' && !__builtin_sub_overflow(*x, *y, &result)) made = rescale(result, scale, type.scale, 38);
    if (x && y && op == '%') made = rescale(*x % *y, scale, type.scale, 38);
  }
  if (!made) refuse(0x013D, "Decimal value overflow");
  return Datum::of_decimal(*made, type.precision, type.scale);
}

Datum arithmetic(const Expr& e, const Datum& a, const Datum& b, const EvalContext& context) {
  auto none = Datum::none(e.type.type);
  if (a.null || b.null) return none;
  const char op = e.name[0];
  if (e.type.type == Type::timestamp) {
    const auto side = [&](const Expr& arg, const Datum& v) {
      return arg.unit == 0 ? v.as_int64() : duration_of(v.as_int64(), arg.unit, context.precision).value_or(0);
    };
    const auto x = static_cast<std::uint64_t>(side(*e.args[0], a));
    const auto y = static_cast<std::uint64_t>(side(*e.args[1], b));
    return Datum::of_time(static_cast<std::int64_t>(op == '+' ? x + y : x - y));
  }
  const bool divides = op == '/' || op == '%';
  if (is_decimal(e.type.type)) {
    if (divides && decimal_of(b) == 0) return none;
    return op == '/' ? decimal_divide(a, b, e.type) : decimal_operation(op, a, b, e.type);
  }
  const double x = to_double(a);
  const double y = to_double(b);
  if (divides && y == 0) return none;
  switch (op) {
    case '+': return Datum::of_double(x + y);
    case '-': return Datum::of_double(x - y);
    case '*': return Datum::of_double(x * y);
    case '/': return Datum::of_double(x / y);
    default: return Datum::of_double(std::fmod(x, y));
  }
}

/// The value behind a JSON member, for comparisons.
Datum json_value(const Datum& v) {
  if (v.null || v.type != Type::json) return v;
  if (v.text == "true" || v.text == "false") return Datum::of_bool(v.text == "true");
  if (v.text.size() >= 2 && v.text.front() == '"') return Datum::of_text(v.text.substr(1, v.text.size() - 2));
  return Datum::of_double(to_double(v));
}

Truth compare_values(std::string_view op, Datum a, Datum b) {
  if (a.null || b.null) return Truth::unknown;
  const bool json = a.type == Type::json || b.type == Type::json;
  if (json) {
    a = json_value(a);
    b = json_value(b);
    if (data::is_variable(a.type) != data::is_variable(b.type)) return Truth::no;
    if ((a.type == Type::boolean) != (b.type == Type::boolean)) return Truth::no;
  }
  if ((a.type == Type::varbinary || b.type == Type::varbinary) && a.type != b.type) {
    const auto bytes = [](Datum& v) {
      if (v.type != Type::varchar || v.text.size() < 2 || v.text[0] != '\\' || (v.text[1] | 32) != 'x') return;
      std::string out;
      for (std::size_t i = 2; i + 1 < v.text.size(); i += 2) {
        out += static_cast<char>(std::strtol(v.text.substr(i, 2).c_str(), nullptr, 16));
      }
      v.text = out;
    };
    bytes(a);
    bytes(b);
  }
  const bool nan = (is_float(a.type) && std::isnan(to_double(a))) || (is_float(b.type) && std::isnan(to_double(b)));
  if (nan) return op == "<>" ? Truth::yes : Truth::no;
  const int order = compare(a, b);
  const bool holds = op == "="    ? order == 0
                     : op == "<>" ? order != 0
                     : op == "<"  ? order < 0
                     : op == ">"  ? order > 0
                     : op == "<=" ? order <= 0
                                  : order >= 0;
  return holds ? Truth::yes : Truth::no;
}

/// A POSIX extended expression, as the server takes them.
class Pattern {
 public:
  explicit Pattern(const std::string& text) : text_(text) {
    if (regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
      refuse(0x2681, "Syntax error in regular expression");
    }
  }
  ~Pattern() { regfree(&compiled_); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] bool matches(const std::string& text) const {
    return regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  std::string text_;
  regex_t compiled_{};
};

bool matches(const std::string& text, const std::string& pattern) {
  // Compiled once for a run of rows.
  thread_local std::optional<Pattern> last;
  if (!last || last->text() != pattern) {
    last.reset();
    last.emplace(pattern);
  }
  if (text.size() > 4096) refuse(0x2600, "a text longer than 4,096 bytes in MATCH is not supported by the sandbox");
  return last->matches(text);
}

Datum binary(const Expr& e, const EvalContext& context) {
  const auto& op = e.name;
  if (op == "and" || op == "or") {
    const auto left = truth_of(evaluate(*e.args[0], context));
    const auto stop = op == "and" ? Truth::no : Truth::yes;
    if (left == stop) return datum(left);
    const auto right = truth_of(evaluate(*e.args[1], context));
    if (right == stop) return datum(right);
    return datum(left == Truth::unknown ? left : right);
  }
  const auto a = evaluate(*e.args[0], context);
  const auto b = evaluate(*e.args[1], context);
  if (op == "->") return json_member(a, b.text);
  if (op == "&" || op == "|") {
    if (a.null || b.null) return Datum::none(Type::bigint);
    return Datum::of_int(op == "&" ? to_int64(a) & to_int64(b) : to_int64(a) | to_int64(b));
  }
  if (op.size() == 1 && std::string_view("+-*/%").find(op[0]) != std::string_view::npos) {
    return arithmetic(e, a, b, context);
  }
  if (op == "contains") {
    if (a.null || b.null) return Datum::none(Type::boolean);
    // A member that is null is there all the same.
    return Datum::of_bool(!json_member(a, b.text).null || a.text.find('"' + b.text + "\":") != std::string::npos);
  }
  if (op == "like" || op == "match" || op == "nmatch") {
    if (a.null || b.null) return Datum::none(Type::boolean);
    const auto text = json_value(a).text;
    const bool holds = op == "like" ? like(text, b.text) : matches(text, b.text) == (op == "match");
    return Datum::of_bool(holds != e.negated);
  }
  return datum(compare_values(op, a, b));
}

Datum member(const Expr& e, const EvalContext& context) {
  const auto a = evaluate(*e.args[0], context);
  if (a.null) return Datum::none(Type::boolean);
  bool unknown = false;
  for (std::size_t i = 1; i < e.args.size(); ++i) {
    const auto found = compare_values("=", a, evaluate(*e.args[i], context));
    if (found == Truth::yes) return Datum::of_bool(!e.negated);
    unknown = unknown || found == Truth::unknown;
  }
  return unknown ? Datum::none(Type::boolean) : Datum::of_bool(e.negated);
}

Datum case_when(const Expr& e, const EvalContext& context) {
  const std::size_t end = e.args.size() - (e.name == "else" ? 1 : 0);
  for (std::size_t i = e.negated ? 1 : 0; i + 1 < end; i += 2) {
    const auto when = evaluate(*e.args[i], context);
    const bool hit = e.negated ? compare_values("=", evaluate(*e.args[0], context), when) == Truth::yes : is_true(when);
    if (hit) return cast_to(evaluate(*e.args[i + 1], context), e.type, context.precision);
  }
  if (e.name == "else") return cast_to(evaluate(*e.args.back(), context), e.type, context.precision);
  return Datum::none(e.type.type);
}

}  // namespace

void check_pattern(const std::string& pattern) { const Pattern check(pattern); }

Datum evaluate(const Expr& e, const EvalContext& context) {
  if (e.aggregate >= 0) return context.aggregates[static_cast<std::size_t>(e.aggregate)];
  switch (e.kind) {
    case Kind::literal: return e.value;
    case Kind::parameter: return e.index < context.parameters.size() ? context.parameters[e.index] : Datum::none();
    case Kind::column: return context.row[static_cast<std::size_t>(e.column)];
    case Kind::unary: {
      const auto v = evaluate(*e.args[0], context);
      if (e.name == "not") {
        // The server's NOT of an unknown condition is true.
        return Datum::of_bool(truth_of(v) != Truth::yes);
      }
      if (v.null) return Datum::none(e.type.type);
      return Datum::of_double(e.name == "-" ? -to_double(v) : to_double(v));
    }
    case Kind::binary: return binary(e, context);
    case Kind::in: return member(e, context);
    case Kind::between: {
      const auto v = evaluate(*e.args[0], context);
      const auto low = compare_values(">=", v, evaluate(*e.args[1], context));
      const auto high = compare_values("<=", v, evaluate(*e.args[2], context));
      if (low == Truth::no || high == Truth::no) return Datum::of_bool(e.negated);
      if (low == Truth::unknown || high == Truth::unknown) return Datum::none(Type::boolean);
      return Datum::of_bool(!e.negated);
    }
    case Kind::is_null: return Datum::of_bool(evaluate(*e.args[0], context).null != e.negated);
    case Kind::case_when: return case_when(e, context);
    case Kind::cast: {
      const auto v = evaluate(*e.args[0], context);
      if (e.type.type == Type::timestamp && is_text(v.type) && !v.null) {
        const auto time = parse_time_text(v.text, context.precision, *context.session->zone);
        return time ? Datum::of_time(*time) : Datum::of_time(to_int64(v));
      }
      return cast_to(v, e.type, context.precision);
    }
    case Kind::function: return call_function(e, context);
    case Kind::star: return Datum::none();
  }
  return Datum::none();
}

}  // namespace penstock::sandbox
