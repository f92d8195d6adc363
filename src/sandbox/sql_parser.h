#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/sql_lexer.h"
#include "sandbox/value.h"

/// SQL text → trees. Throws RefusalError 0x2600 (syntax) and 0x2601 (the statement ends too early).
namespace penstock::sandbox {

[[noreturn]] void refuse(std::int32_t code, std::string message);
/// 0x2600 "… is not supported by the sandbox".
[[noreturn]] void unsupported(std::string_view what);

/// Reads tokens one by one.
class Cursor {
 public:
  explicit Cursor(std::string_view sql) : sql_(sql), tokens_(tokenize(sql)) {}

  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& take() {
    const auto& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  /// Takes the token if it is this word or symbol.
  bool accept(std::string_view word) {
    if (!peek().is(word)) return false;
    take();
    return true;
  }
  void expect(std::string_view word) {
    if (!accept(word)) syntax_error();
  }
  /// Takes all words or none.
  bool accept_all(std::initializer_list<std::string_view> words);
  /// A name that is no reserved word, or one in backquotes, at most `most` bytes.
  std::string identifier(std::size_t most = 192);
  [[nodiscard]] bool at_identifier() const;
  std::int64_t integer();
  std::string string_literal();
  /// The end of the statement, or a semicolon (what follows it is ignored, as by the server).
  void finish();
  [[nodiscard]] bool at_end() const { return peek().kind == Token::Kind::end || peek().is(";"); }
  /// Refuses at the present token.
  [[noreturn]] void syntax_error() const;
  /// Goes on at the first token from this offset on.
  void seek(std::size_t offset) {
    at_ = 0;
    while (at_ + 1 < tokens_.size() && tokens_[at_].at < offset) ++at_;
  }
  /// Text from a token's offset to the end of the token taken last.
  [[nodiscard]] std::string_view text_from(std::size_t offset) const;
  [[nodiscard]] std::string_view sql() const noexcept { return sql_; }

 private:
  std::string_view sql_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// "db.table" or "table".
struct TableName {
  std::string database;  ///< empty: the session's
  std::string table;
};
TableName parse_table_name(Cursor& in);

/// A type with its width: VARCHAR(10), DECIMAL(10,2). `optional_width`: as in CAST.
data::Column parse_type(Cursor& in, bool optional_width = false);

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  enum class Kind {
    literal,    ///< value; unit != 0: a duration of value.bits units
    column,     ///< [table.]name
    parameter,  ///< index: number of the '?'
    unary,      ///< name "-", "+" or "not"
    binary,     ///< name: operator: + - * / % & | = <> < > <= >= and or like … -> contains
    in,         ///< args[0] in (args[1…]); negated
    between,    ///< args[0] between args[1] and args[2]; negated
    is_null,    ///< negated
    case_when,  ///< args: [operand when negated], (when, then)*, else or nothing; name "else" when there is one
    cast,       ///< args[0] as type
    function,   ///< name(args)
    star,       ///< * or table.*
  };
  Kind kind = Kind::literal;
  std::string name;
  std::string table;
  std::string text;  ///< as written
  Datum value;
  char unit = 0;
  bool negated = false;
  std::size_t index = 0;
  std::vector<ExprPtr> args;
  TypeInfo type;

  // Set by the binder (select_bind.h).
  int column = -1;     ///< place in the row
  int aggregate = -1;  ///< place among the query's aggregates
  int function = -1;   ///< which scalar function
};

struct OrderItem {
  ExprPtr expr;
  bool descending = false;
  std::optional<bool> nulls_first;
};

struct Select {
  bool distinct = false;
  bool tags_only = false;  ///< SELECT TAGS …: one row a child table
  struct Item {
    ExprPtr expr;
    std::string alias;
  };
  std::vector<Item> items;
  bool has_from = false;
  TableName from;
  std::unique_ptr<Select> subquery;
  std::string alias;
  ExprPtr where;
  std::vector<ExprPtr> group_by;
  std::vector<ExprPtr> partition_by;
  ExprPtr having;
  std::vector<OrderItem> order_by;
  std::optional<std::int64_t> limit, offset, slimit, soffset;
  std::optional<std::size_t> limit_parameter;
  std::unique_ptr<Select> union_with;
  bool union_all = false;
};

/// From behind SELECT on. `parameters` counts the '?' met; nullptr: none allowed.
std::unique_ptr<Select> parse_select(Cursor& in, std::size_t* parameters);
/// A condition.
ExprPtr parse_condition(Cursor& in, std::size_t* parameters);
/// Two trees mean the same.
bool same(const Expr& a, const Expr& b) noexcept;

}  // namespace penstock::sandbox
