#include "client/detail/statement_sql.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/schema.h"

namespace penstock::client::detail {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

// Takes the next word, or one character that is none, off the front.
std::string_view take_token(std::string_view& text) {
  const auto begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return text = {};
  text.remove_prefix(begin);
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  std::size_t size = 0;
  while (size < text.size() && is_letter(text[size])) ++size;
  const auto token = text.substr(0, size == 0 ? 1 : size);
  text.remove_prefix(token.size());
  return token;
}

bool is_word(std::string_view token, std::string_view lower) {
  if (token.size() != lower.size()) return false;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if ((token[i] | 0x20) != lower[i]) return false;
  }
  return true;
}

// Leaves what follows the placeholder of the table.
bool skip_to_columns(std::string_view& sql) {
  return is_word(take_token(sql), "insert") && is_word(take_token(sql), "into") && take_token(sql) == "?";
}

}  // namespace

bool names_table_when_bound(std::string_view sql) {
  if (!skip_to_columns(sql)) return false;
  const auto next = take_token(sql);
  return next == "(" || is_word(next, "values");
}

std::string columns_query(std::string_view sql, std::string_view table) {
  std::string columns = "*";
  if (skip_to_columns(sql)) {
    if (take_token(sql) == "(") columns = sql.substr(0, sql.find(')'));
  }
  std::string name;
  if (table.starts_with('`')) {
    name = table;
  } else if (const auto dot = table.find('.'); dot != std::string_view::npos) {
    name = data::quote_identifier(table.substr(0, dot)) + '.' + data::quote_identifier(table.substr(dot + 1));
  } else {
    name = data::quote_identifier(table);
  }
  return fmt::format("SELECT {} FROM {} LIMIT 0", columns, name);
}

std::string target_query(std::string_view sql) {
  if (!is_word(take_token(sql), "insert") || !is_word(take_token(sql), "into")) return {};
  const auto begin = sql.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  sql.remove_prefix(begin);
  if (sql.front() == '?') {
    take_token(sql);
    if (!is_word(take_token(sql), "using")) return {};
    sql.remove_prefix(std::min(sql.find_first_not_of(kBlank), sql.size()));
  }
  // Up to a blank or a parenthesis that is not quoted.
  std::size_t end = 0;
  for (bool quoted = false; end < sql.size(); ++end) {
    if (sql[end] == '`') quoted = !quoted;
    if (!quoted && (sql[end] == '(' || kBlank.find(sql[end]) != std::string_view::npos)) break;
  }
  if (end == 0) return {};
  return fmt::format("SELECT * FROM {} LIMIT 0", sql.substr(0, end));
}

}  // namespace penstock::client::detail
