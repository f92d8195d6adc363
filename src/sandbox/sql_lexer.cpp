#include "sandbox/sql_lexer.h"

#include <cctype>

namespace penstock::sandbox {
namespace {

bool is_word(char c) noexcept { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

void skip_blanks(std::string_view sql, std::size_t& at) {
  while (at < sql.size()) {
    if (std::isspace(static_cast<unsigned char>(sql[at])) != 0) {
      ++at;
    } else if (sql.substr(at, 2) == "--") {
      while (at < sql.size() && sql[at] != '\n') ++at;
    } else if (sql.substr(at, 2) == "/*") {
      const auto end = sql.find("*/", at + 2);
      at = end == std::string_view::npos ? sql.size() : end + 2;
    } else {
      return;
    }
  }
}

/// End of a quoted run that begins at `at`; npos when it does not end.
std::size_t quoted_end(std::string_view sql, std::size_t at) {
  const char quote = sql[at];
  for (++at; at < sql.size(); ++at) {
    if (sql[at] == '\\' && quote != '`') {
      ++at;
    } else if (sql[at] == quote) {
      if (at + 1 < sql.size() && sql[at + 1] == quote) {
        ++at;
      } else {
        return at + 1;
      }
    }
  }
  return std::string_view::npos;
}

void number(std::string_view sql, std::size_t& at, Token& token) {
  const auto begin = at;
  token.kind = Token::Kind::integer;
  const auto prefix = sql.substr(at, 2);
  if (prefix == "0x" || prefix == "0X" || prefix == "0b" || prefix == "0B") {
    const bool hex = prefix[1] == 'x' || prefix[1] == 'X';
    auto end = at + 2;
    while (end < sql.size() &&
           (hex ? std::isxdigit(static_cast<unsigned char>(sql[end])) != 0 : sql[end] == '0' || sql[end] == '1')) {
      ++end;
    }
    if (end > at + 2) {
      at = end;
      return;
    }
  }
  while (at < sql.size() && is_digit(sql[at])) ++at;
  if (at < sql.size() && sql[at] == '.') {
    token.kind = Token::Kind::real;
    ++at;
    while (at < sql.size() && is_digit(sql[at])) ++at;
  }
  if (at < sql.size() && (sql[at] == 'e' || sql[at] == 'E')) {
    auto end = at + 1;
    if (end < sql.size() && (sql[end] == '+' || sql[end] == '-')) ++end;
    if (end < sql.size() && is_digit(sql[end])) {
      while (end < sql.size() && is_digit(sql[end])) ++end;
      token.kind = Token::Kind::real;
      at = end;
      return;
    }
  }
  if (token.kind == Token::Kind::integer && at < sql.size() && at > begin) {
    const bool unit = std::string_view("buasmhdwny").find(sql[at]) != std::string_view::npos;
    if (unit && (at + 1 == sql.size() || !is_word(sql[at + 1]))) {
      ++at;
      token.kind = Token::Kind::duration;
    }
  }
}

}  // namespace

std::string unescape(std::string_view inner, char quote) {
  std::string out;
  out.reserve(inner.size());
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] == quote && i + 1 < inner.size() && inner[i + 1] == quote) {
      out += quote;
      ++i;
      continue;
    }
    if (inner[i] != '\\' || i + 1 == inner.size()) {
      out += inner[i];
      continue;
    }
    switch (const char c = inner[++i]) {
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case '%':
      case '_':
      case 'x':
        out += '\\';
        out += c;
        break;
      default: out += c;
    }
  }
  return out;
}

Token next_token(std::string_view sql, std::size_t& at) {
  skip_blanks(sql, at);
  Token token;
  token.at = at;
  if (at >= sql.size()) return token;
  const auto begin = at;
  const char c = sql[at];
  const auto bad = [&] {
    token.kind = Token::Kind::bad;
    token.text = sql.substr(begin);
    at = sql.size();
    return token;
  };
  if (c == '\'' || c == '"' || c == '`') {
    const auto end = quoted_end(sql, at);
    if (end == std::string_view::npos) return bad();
    at = end;
    const auto inner = sql.substr(begin + 1, end - begin - 2);
    if (c == '`') {
      token.kind = Token::Kind::quoted_name;
      for (std::size_t i = 0; i < inner.size(); ++i) {
        token.name += inner[i];
        if (inner[i] == '`') ++i;
      }
    } else {
      token.kind = Token::Kind::string;
      token.name = unescape(inner, c);
    }
  } else if (is_digit(c) || (c == '.' && at + 1 < sql.size() && is_digit(sql[at + 1]))) {
    number(sql, at, token);
  } else if (is_word(c)) {
    token.kind = Token::Kind::word;
    while (at < sql.size() && is_word(sql[at])) ++at;
    for (const char w : sql.substr(begin, at - begin)) {
      token.name += static_cast<char>(std::tolower(static_cast<unsigned char>(w)));
    }
  } else if (c == '?') {
    token.kind = Token::Kind::question;
    ++at;
  } else if (std::string_view("@$#\\").find(c) != std::string_view::npos || static_cast<unsigned char>(c) < 32 ||
             static_cast<unsigned char>(c) > 126) {
    return bad();
  } else {
    token.kind = Token::Kind::symbol;
    static constexpr std::string_view kPairs[] = {"<=", ">=", "<>", "!=", "==", "->", "||", "<<", ">>"};
    ++at;
    for (const auto pair : kPairs) {
      if (sql.substr(begin, 2) == pair) at = begin + 2;
    }
  }
  token.text = sql.substr(begin, at - begin);
  return token;
}

std::vector<Token> tokenize(std::string_view sql) {
  std::vector<Token> tokens;
  std::size_t at = 0;
  do {
    tokens.push_back(next_token(sql, at));
  } while (tokens.back().kind != Token::Kind::end && tokens.back().kind != Token::Kind::bad);
  if (tokens.back().kind == Token::Kind::bad) {
    Token end;
    end.at = sql.size();
    tokens.push_back(end);
  }
  return tokens;
}

}  // namespace penstock::sandbox
