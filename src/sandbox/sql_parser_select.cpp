#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "sandbox/sql_parser.h"

/// Expressions and SELECT.
namespace penstock::sandbox {
namespace {

using Kind = Expr::Kind;

constexpr int kDeepest = 200;  // nested parentheses: recursion must end before the stack does

constexpr std::string_view kWithoutArguments[] = {
    "now",           "today",        "timezone", "database", "user", "client_version", "server_version",
    "server_status", "current_user", "pi",       "rand"};
constexpr std::string_view kWithStar[] = {"count", "first", "last", "last_row"};

template <class List>
bool contains(const List& list, std::string_view word) {
  for (const auto item : list) {
    if (item == word) return true;
  }
  return false;
}

class ExprParser {
 public:
  ExprParser(Cursor& in, std::size_t* parameters) : in_(in), parameters_(parameters) {}

  ExprPtr condition() { return any_of(); }
  ExprPtr value() { return comparison(); }

 private:
  ExprPtr made(Kind kind, std::size_t begin, std::string name, std::vector<ExprPtr> args) {
    auto e = std::make_unique<Expr>();
    e->kind = kind;
    e->name = std::move(name);
    e->args = std::move(args);
    e->text = in_.text_from(begin);
    return e;
  }
  template <class... Args>
  static std::vector<ExprPtr> list(Args... args) {
    std::vector<ExprPtr> out;
    (out.push_back(std::move(args)), ...);
    return out;
  }

  ExprPtr any_of() {
    const auto begin = in_.peek().at;
    auto left = all_of();
    while (in_.accept("or")) {
      auto right = all_of();
      left = made(Kind::binary, begin, "or", list(std::move(left), std::move(right)));
    }
    return left;
  }
  ExprPtr all_of() {
    const auto begin = in_.peek().at;
    auto left = negation();
    while (in_.accept("and")) {
      auto right = negation();
      left = made(Kind::binary, begin, "and", list(std::move(left), std::move(right)));
    }
    return left;
  }
  ExprPtr negation() {
    const Depth depth(*this);
    const auto begin = in_.peek().at;
    if (!in_.accept("not")) return comparison();
    auto operand = negation();
    return made(Kind::unary, begin, "not", list(std::move(operand)));
  }

  ExprPtr comparison() {
    const auto begin = in_.peek().at;
    auto left = bits();
    while (true) {
      const bool negated =
          in_.peek().is("not") && (in_.peek(1).is("in") || in_.peek(1).is("like") || in_.peek(1).is("between"));
      if (negated) in_.take();
      const auto& token = in_.peek();
      if (token.is("in")) {
        in_.take();
        in_.expect("(");
        auto args = list(std::move(left));
        if (in_.peek().is("select")) unsupported("a subquery in IN");
        do args.push_back(bits());
        while (in_.accept(","));
        in_.expect(")");
        left = made(Kind::in, begin, "in", std::move(args));
        left->negated = negated;
      } else if (token.is("between")) {
        in_.take();
        auto low = bits();
        in_.expect("and");
        auto high = bits();
        left = made(Kind::between, begin, "between", list(std::move(left), std::move(low), std::move(high)));
        left->negated = negated;
      } else if (token.is("is")) {
        in_.take();
        const bool is_not = in_.accept("not");
        in_.expect("null");
        left = made(Kind::is_null, begin, "is", list(std::move(left)));
        left->negated = is_not;
      } else if (const auto op = comparison_operator(token); !op.empty()) {
        in_.take();
        auto right = bits();
        left = made(Kind::binary, begin, std::string(op), list(std::move(left), std::move(right)));
        left->negated = negated;
      } else {
        if (negated) in_.syntax_error();
        return left;
      }
    }
  }
  static std::string_view comparison_operator(const Token& token) {
    static constexpr std::string_view kOperators[] = {
        "=", "<", ">", "<=", ">=", "<>", "like", "match", "nmatch", "contains"};
    for (const auto op : kOperators) {
      if (token.is(op)) return op;
    }
    if (token.is("==")) return "=";
    if (token.is("!=")) return "<>";
    if (token.is("regexp")) return "match";
    return {};
  }

  template <class Next>
  ExprPtr chain(std::initializer_list<std::string_view> operators, Next next) {
    const auto begin = in_.peek().at;
    auto left = next();
    while (true) {
      std::string_view found;
      for (const auto op : operators) {
        if (in_.peek().kind == Token::Kind::symbol && in_.peek().text == op) found = op;
      }
      if (found.empty()) return left;
      in_.take();
      auto right = next();
      left = made(Kind::binary, begin, std::string(found), list(std::move(left), std::move(right)));
    }
  }
  ExprPtr bits() {
    return chain({"&", "|"}, [&] { return sum(); });
  }
  ExprPtr sum() {
    return chain({"+", "-"}, [&] { return product(); });
  }
  ExprPtr product() {
    return chain({"*", "/", "%"}, [&] { return sign(); });
  }

  ExprPtr sign() {
    const Depth depth(*this);
    const auto begin = in_.peek().at;
    if (in_.peek().is("-") || in_.peek().is("+")) {
      const std::string op(in_.take().text);
      auto operand = sign();
      if (operand->kind == Kind::literal && operand->unit == 0 && is_number(operand->value.type)) {
        if (op == "-") negate(operand->value);
        operand->text = in_.text_from(begin);
        return operand;
      }
      return made(Kind::unary, begin, op, list(std::move(operand)));
    }
    auto e = primary();
    while (in_.accept("->")) {
      if (in_.peek().kind != Token::Kind::string) in_.syntax_error();
      auto key = primary();
      e = made(Kind::binary, begin, "->", list(std::move(e), std::move(key)));
    }
    return e;
  }
  static void negate(Datum& value) {
    if (is_float(value.type)) {
      value = Datum::of_double(-to_double(value));
    } else if (value.type == data::Type::ubigint) {
      value = value.bits == std::uint64_t{1} << 63 ? Datum::of_int(INT64_MIN)
                                                   : Datum::of_double(-static_cast<double>(value.bits));
    } else {
      value = Datum::of_int(-value.as_int64());
    }
  }

  ExprPtr primary() {
    const Depth depth(*this);
    const auto& token = in_.peek();
    const auto begin = token.at;
    switch (token.kind) {
      case Token::Kind::integer:
      case Token::Kind::real:
      case Token::Kind::duration:
      case Token::Kind::string: return literal();
      case Token::Kind::question: {
        if (parameters_ == nullptr) in_.syntax_error();
        in_.take();
        auto e = made(Kind::parameter, begin, "?", {});
        e->index = (*parameters_)++;
        return e;
      }
      case Token::Kind::symbol:
        if (in_.accept("(")) {
          if (in_.peek().is("select")) unsupported("a subquery in an expression");
          auto e = condition();
          in_.expect(")");
          e->text = in_.text_from(begin);
          return e;
        }
        in_.syntax_error();
      case Token::Kind::word:
      case Token::Kind::quoted_name: return named();
      default: in_.syntax_error();
    }
  }

  ExprPtr literal() {
    const auto& token = in_.take();
    auto e = made(Kind::literal, token.at, "", {});
    const std::string text(token.text);
    if (token.kind == Token::Kind::string) {
      e->value = Datum::of_text(token.name);
    } else if (token.kind == Token::Kind::real) {
      e->value = Datum::of_double(std::strtod(text.c_str(), nullptr));
    } else if (token.kind == Token::Kind::duration) {
      e->unit = text.back();
      e->value = Datum::of_int(std::strtoll(text.c_str(), nullptr, 10));
    } else {
      const bool hex = text.size() > 1 && (text[1] == 'x' || text[1] == 'X');
      const bool binary = text.size() > 1 && (text[1] == 'b' || text[1] == 'B');
      std::uint64_t value = 0;
      const auto skip = hex || binary ? 2u : 0u;
      const auto [end, error] = std::from_chars(text.data() + skip, text.data() + text.size(), value,
                                                hex      ? 16
                                                : binary ? 2
                                                         : 10);
      if (error != std::errc{}) {
        e->value = Datum::of_double(std::strtod(text.c_str(), nullptr));
      } else {
        e->value = value > INT64_MAX ? Datum::of_uint(value) : Datum::of_int(static_cast<std::int64_t>(value));
      }
    }
    return e;
  }

  ExprPtr named() {
    const Token token = in_.peek();
    const auto begin = token.at;
    if (token.kind == Token::Kind::word) {
      if (token.name == "null" || token.name == "true" || token.name == "false") {
        in_.take();
        auto e = made(Kind::literal, begin, "", {});
        e->value = token.name == "null" ? Datum::none() : Datum::of_bool(token.name == "true");
        return e;
      }
      if (token.name == "case") return case_when();
      if (token.name == "cast" && in_.peek(1).is("(")) return cast();
      if (in_.peek(1).is("(") && (in_.at_identifier() || contains(kWithoutArguments, token.name))) return call();
      if (token.name == "now" || token.name == "today") {
        in_.take();
        return made(Kind::function, begin, token.name, {});
      }
      if (token.name == "tbname") {
        in_.take();
        return made(Kind::column, begin, "tbname", {});
      }
    }
    auto name = in_.identifier(256);
    std::string table;
    while (in_.accept(".")) {
      table = std::move(name);
      if (in_.peek().is("*")) {
        in_.take();
        auto e = made(Kind::star, begin, "*", {});
        e->table = std::move(table);
        return e;
      }
      name = in_.accept("tbname") ? "tbname" : in_.identifier(256);
    }
    auto e = made(Kind::column, begin, std::move(name), {});
    e->table = std::move(table);
    return e;
  }

  ExprPtr call() {
    const Token token = in_.take();
    in_.expect("(");
    std::vector<ExprPtr> args;
    if (contains(kWithoutArguments, token.name)) {
      if (token.name == "rand" && !in_.peek().is(")")) args.push_back(condition());
    } else if (in_.peek().is("*") && contains(kWithStar, token.name)) {
      const auto at = in_.take().at;
      args.push_back(made(Kind::star, at, "*", {}));
    } else {
      do args.push_back(comparison());
      while (in_.accept(","));
      if (token.name == "position" && args.size() == 1 && args[0]->kind == Kind::in) in_.syntax_error();
    }
    in_.expect(")");
    return made(Kind::function, token.at, token.name, std::move(args));
  }

  ExprPtr cast() {
    const auto begin = in_.take().at;
    in_.expect("(");
    auto operand = condition();
    in_.expect("as");
    const auto column = parse_type(in_, true);
    in_.expect(")");
    auto e = made(Kind::cast, begin, "cast", list(std::move(operand)));
    e->type = type_info(column);
    if (data::is_variable(e->type.type) && e->type.length == 0) {
      refuse(0x2800, "CAST function converted length should be in range (0, 65517] bytes");
    }
    return e;
  }

  ExprPtr case_when() {
    const auto begin = in_.take().at;
    std::vector<ExprPtr> args;
    const bool operand = !in_.peek().is("when");
    if (operand) args.push_back(condition());
    if (!in_.peek().is("when")) in_.syntax_error();
    while (in_.accept("when")) {
      args.push_back(condition());
      in_.expect("then");
      args.push_back(condition());
    }
    const bool otherwise = in_.accept("else");
    if (otherwise) args.push_back(condition());
    in_.expect("end");
    auto e = made(Kind::case_when, begin, otherwise ? "else" : "", std::move(args));
    e->negated = operand;
    return e;
  }

  struct Depth {
    explicit Depth(ExprParser& p) : parser(p) {
      if (++parser.depth_ > kDeepest) refuse(0x2600, "the expression is nested too deeply");
    }
    ~Depth() { --parser.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    ExprParser& parser;
  };

  Cursor& in_;
  std::size_t* parameters_;
  int depth_ = 0;
};

class SelectParser {
 public:
  SelectParser(Cursor& in, std::size_t* parameters, int depth) : in_(in), parameters_(parameters), depth_(depth) {
    if (depth > 16) refuse(0x2600, "subqueries are nested too deeply");
  }

  std::unique_ptr<Select> parse() {
    auto select = std::make_unique<Select>();
    auto& s = *select;
    if (in_.accept("distinct")) s.distinct = true;
    if (in_.peek().is("tags") && !in_.peek(1).is(",") && !in_.peek(1).is("from")) {
      in_.take();
      s.tags_only = true;
    }
    items(s);
    if (in_.accept("from")) from(s);
    if (in_.accept("where")) s.where = expr().condition();
    if (in_.accept_all({"partition", "by"})) list(s.partition_by);
    windows();
    if (in_.accept_all({"group", "by"})) list(s.group_by);
    if (in_.accept("having")) s.having = expr().condition();
    if (in_.accept("union")) {
      s.union_all = in_.accept("all");
      in_.expect("select");
      s.union_with = SelectParser(in_, parameters_, depth_ + 1).parse();
      return select;
    }
    if (in_.peek().is("order")) {
      in_.take();
      in_.expect("by");
      order(s);
    }
    if (in_.accept("slimit")) limits(s.slimit, s.soffset, "soffset", s);
    if (in_.accept("limit")) limits(s.limit, s.offset, "offset", s);
    if (in_.accept("union")) unsupported("ORDER BY before UNION");
    return select;
  }

 private:
  ExprParser expr() { return {in_, parameters_}; }

  void items(Select& s) {
    do {
      Select::Item item;
      if (in_.peek().is("*")) {
        const auto at = in_.take().at;
        item.expr = std::make_unique<Expr>();
        item.expr->kind = Kind::star;
        item.expr->text = in_.text_from(at);
      } else {
        item.expr = expr().value();
        if (in_.accept("as")) {
          item.alias = in_.identifier(64);
        } else if (in_.at_identifier()) {
          item.alias = in_.identifier(64);
        }
      }
      s.items.push_back(std::move(item));
    } while (in_.accept(","));
  }

  void from(Select& s) {
    s.has_from = true;
    if (in_.accept("(")) {
      in_.expect("select");
      s.subquery = SelectParser(in_, parameters_, depth_ + 1).parse();
      in_.expect(")");
    } else {
      s.from = parse_table_name(in_);
    }
    if (in_.accept("as")) {
      s.alias = in_.identifier();
    } else if (in_.at_identifier() && !join_word()) {
      s.alias = in_.identifier();
    }
    if (in_.peek().is(",") || join_word()) {
      // What comes is read far enough to tell an incomplete statement from a join.
      in_.take();
      while (join_word()) in_.take();
      if (!in_.peek().is("(")) parse_table_name(in_);
      refuse(0x2702, "a join is not supported by the sandbox");
    }
  }
  [[nodiscard]] bool join_word() const {
    for (const auto word : {"join", "inner", "left", "right", "full", "asof", "window", "semi", "anti", "outer"}) {
      if (in_.peek().is(word)) return true;
    }
    return false;
  }

  void windows() {
    for (const auto word :
         {"interval", "session", "state_window", "event_window", "count_window", "anomaly_window", "range", "every"}) {
      if (!in_.peek().is(word)) continue;
      const std::string name(word);
      in_.take();
      in_.expect("(");
      while (!in_.peek().is(")")) {
        if (in_.at_end() || in_.peek().kind == Token::Kind::bad) in_.syntax_error();
        const bool number = in_.take().kind == Token::Kind::integer;
        if (number && in_.peek().kind == Token::Kind::word) in_.syntax_error();
      }
      unsupported(fmt::format("the window {}", name));
    }
  }

  void list(std::vector<ExprPtr>& out) {
    do out.push_back(expr().value());
    while (in_.accept(","));
  }

  void order(Select& s) {
    do {
      OrderItem item;
      item.expr = expr().value();
      if (in_.accept("desc")) {
        item.descending = true;
      } else {
        in_.accept("asc");
      }
      if (in_.accept("nulls")) {
        if (in_.accept("first")) {
          item.nulls_first = true;
        } else {
          in_.expect("last");
          item.nulls_first = false;
        }
      }
      s.order_by.push_back(std::move(item));
    } while (in_.accept(","));
  }

  void limits(std::optional<std::int64_t>& limit, std::optional<std::int64_t>& offset, std::string_view word,
              Select& s) {
    if (in_.peek().kind == Token::Kind::question && parameters_ != nullptr) {
      in_.take();
      s.limit_parameter = (*parameters_)++;
      return;
    }
    limit = in_.integer();
    if (in_.accept(",")) {
      offset = limit;
      limit = in_.integer();
    } else if (in_.accept(word)) {
      offset = in_.integer();
    }
  }

  Cursor& in_;
  std::size_t* parameters_;
  int depth_;
};

}  // namespace

std::unique_ptr<Select> parse_select(Cursor& in, std::size_t* parameters) {
  return SelectParser(in, parameters, 0).parse();
}

ExprPtr parse_condition(Cursor& in, std::size_t* parameters) { return ExprParser(in, parameters).condition(); }

}  // namespace penstock::sandbox
