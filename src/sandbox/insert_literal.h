#pragma once

#include <cstddef>
#include <string_view>

#include "sandbox/sql_lexer.h"
#include "sandbox/sql_parser.h"
#include "sandbox/value_time.h"

namespace penstock::sandbox {

/// Reads the literals of VALUES and TAGS lists, which have rules of their own: no expressions but times, signs glued to
/// their numbers, numbers and texts converted to the column's type. Throws RefusalError with the server's codes.
class LiteralReader {
 public:
  LiteralReader(std::string_view sql, std::size_t at, data::Precision precision, const TimeZone& zone)
      : sql_(sql), at_(at), precision_(precision), zone_(&zone) {}

  /// The next literal as a value of the column. A lone '?' is returned as not_given when `placeholders`.
  enum class Role { column, primary_time, tag };
  Value read(const data::Column& column, Role role);
  /// A text, for the tbname column.
  std::string read_name();

  [[nodiscard]] Token peek() const {
    auto at = at_;
    return next_token(sql_, at);
  }
  Token take() { return next_token(sql_, at_); }
  bool accept(std::string_view word) {
    auto at = at_;
    if (!next_token(sql_, at).is(word)) return false;
    at_ = at;
    return true;
  }
  bool accept_question() {
    auto at = at_;
    if (next_token(sql_, at).kind != Token::Kind::question) return false;
    at_ = at;
    return true;
  }
  [[nodiscard]] std::size_t offset() const noexcept { return at_; }
  void seek(std::size_t at) noexcept { at_ = at; }
  [[nodiscard]] std::string_view rest() const {
    auto at = at_;
    return sql_.substr(next_token(sql_, at).at);
  }
  /// 0x0216 "syntax error near 'rest' (why)".
  [[noreturn]] void fail(std::string_view why) const { fail_near(rest(), why); }
  [[noreturn]] static void fail_near(std::string_view near, std::string_view why);

 private:
  Token value_token();
  Value read_time(const data::Column& column, Role role);
  std::int64_t time_part(const Token& token, std::string_view near);

  std::string_view sql_;
  std::size_t at_;
  data::Precision precision_;
  const TimeZone* zone_;
};

/// Refuses a text or bytes wider than the column (0x2653).
void check_width(const data::Column& column, std::string_view text);

}  // namespace penstock::sandbox
