#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::sandbox {

/// A word of SQL. `text` is as written, a view into the statement.
struct Token {
  enum class Kind : std::uint8_t {
    end,
    word,         ///< identifier or keyword; `name` is lower-case
    quoted_name,  ///< `name` without backquotes
    string,       ///< '…' or "…"; `name` is the value
    integer,      ///< digits, 0x…, 0b…
    real,
    duration,  ///< 90s
    symbol,    ///< one or two characters
    question,
    bad,  ///< no token: the rest of the statement
  };
  Kind kind = Kind::end;
  std::string_view text;
  std::string name;
  std::size_t at = 0;  ///< offset in the statement

  [[nodiscard]] bool is(std::string_view symbol_or_word) const noexcept {
    return (kind == Kind::word && name == symbol_or_word) || (kind == Kind::symbol && text == symbol_or_word);
  }
};

/// Cuts a statement; the last token is of kind end. Comments (-- and /* */) are blanks. Never fails: what is no token
/// is `bad`, and ends the list.
std::vector<Token> tokenize(std::string_view sql);

/// The text of a quoted SQL literal between its quotes, decoded: doubled quotes, \n \r \t \\ \' \" and so on; \% \_ and
/// \x keep their backslash.
std::string unescape(std::string_view inner, char quote);

/// One token of `sql` from `at` on; moves `at` behind it.
Token next_token(std::string_view sql, std::size_t& at);

}  // namespace penstock::sandbox
