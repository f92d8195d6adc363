#include "sandbox/insert_parse.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::sandbox {
namespace {

using data::Limits;

[[noreturn]] void wrong_count() { refuse(0x263F, "Illegal number of columns"); }

}  // namespace

bool is_insert_values(std::string_view sql) {
  std::size_t at = 0;
  const auto first = next_token(sql, at);
  if (!first.is("insert") && !first.is("import")) return false;
  while (true) {
    const auto token = next_token(sql, at);
    if (token.kind == Token::Kind::end || token.is("select")) return false;
    if (token.is("values") || token.is("file")) return true;
    if (token.kind == Token::Kind::bad) return false;
  }
}

void InsertParser::head() {
  reader_.take();
  if (!reader_.accept("into")) reader_.fail("keyword INTO is expected");
}

bool InsertParser::at_end() {
  const auto token = reader_.peek();
  return token.kind == Token::Kind::end || token.is(";");
}

std::size_t InsertParser::behind_parentheses() {
  auto at = reader_.offset();
  int depth = 0;
  while (true) {
    const auto token = next_token(sql_, at);
    if (token.kind == Token::Kind::end || token.kind == Token::Kind::bad) reader_.fail(") expected");
    if (token.is("(")) ++depth;
    if (token.is(")") && --depth == 0) return at;
  }
}

void InsertParser::table_name(InsertTarget& t) {
  const auto part = [&](std::string& out, bool& placeholder) {
    const auto token = reader_.peek();
    placeholder = token.kind == Token::Kind::question;
    if (placeholder && prepared_ == nullptr) reader_.fail("? only used in stmt");
    const bool name =
        token.kind == Token::Kind::word || token.kind == Token::Kind::quoted_name || token.kind == Token::Kind::string;
    if (!placeholder && (!name || token.is("values"))) reader_.fail("table_name is expected");
    reader_.take();
    out = token.name;
    if (out.size() > Limits::table_name) refuse(0x2617, fmt::format("Invalid identifier name: {}", out));
  };
  bool placeholder = false;
  part(t.table, placeholder);
  if (!placeholder && reader_.accept(".")) {
    t.database = std::move(t.table);
    part(t.table, placeholder);
    if (reader_.peek().is(".")) refuse(0x2603, "Table does not exist");
  }
  t.table_placeholder = placeholder;
}

void InsertParser::open(InsertTarget& t) {
  const auto& name = t.database.empty() ? context_.database : t.database;
  if (name.empty()) refuse(0x0200, "db is not specified");
  if (database_ == nullptr) {
    database_ = std::make_unique<LockedDatabase>(open_database(context_, name));
    opened_name_ = name;
    reader_ = LiteralReader(sql_, reader_.offset(), (*database_)->options.precision, *context_.zone);
  } else if (name != opened_name_) {
    unsupported("one INSERT into several databases");
  }
}

void InsertParser::column_list(InsertTarget& t, const Table& definition, std::size_t from) {
  const auto back = reader_.offset();
  reader_.seek(from);
  const auto end = behind_parentheses();
  reader_.take();
  t.columns.clear();
  std::vector<std::string> seen;
  bool named = false;
  while (!reader_.accept(")")) {
    const auto token = reader_.peek();
    if (token.kind != Token::Kind::word && token.kind != Token::Kind::quoted_name)
      reader_.fail("column name is expected");
    reader_.take();
    reader_.accept(",");
    const bool tbname = token.name == "tbname" && definition.super && t.names_in_rows;
    // The server lets tbname be listed twice in a prepared statement.
    if (!tbname && std::find(seen.begin(), seen.end(), token.name) != seen.end()) {
      LiteralReader::fail_near(token.text, "duplicated column name");
    }
    seen.push_back(token.name);
    if (tbname) {
      named = true;
      t.written.push_back(-1);
      continue;
    }
    const int column = definition.column(token.name);
    const int tag = t.names_in_rows ? definition.tag(token.name) : -1;
    if (column < 0 && tag < 0) refuse(0x2602, fmt::format("Invalid column name: {}", token.name));
    if (column >= 0) {
      t.written.push_back(column);
      t.columns.push_back(column);
    } else {
      t.written.push_back(static_cast<int>(definition.columns.size()) + tag);
      t.tags.push_back(tag);
    }
  }
  const auto has = [&](int c) { return std::find(t.columns.begin(), t.columns.end(), c) != t.columns.end(); };
  if (t.names_in_rows && !named) refuse(0x0200, "tbname column should not be null");
  if (!has(0)) refuse(0x0200, "Primary timestamp column should not be null");
  if (definition.composite_key() && !has(1)) refuse(0x0200, "Primary key column should not be none");
  reader_.seek(back == from ? end : back);
}

void InsertParser::column_names(InsertTarget& t, std::size_t from) {
  const auto back = reader_.offset();
  reader_.seek(from);
  reader_.take();
  while (!reader_.accept(")")) {
    const auto token = reader_.peek();
    if (token.kind != Token::Kind::word && token.kind != Token::Kind::quoted_name)
      reader_.fail("column name is expected");
    reader_.take();
    reader_.accept(",");
    t.column_names.push_back(token.name);
  }
  reader_.seek(back);
}

void InsertParser::using_clause(InsertTarget& t) {
  InsertTarget super;
  bool ignored = false;
  table_name(super);
  ignored = super.table_placeholder;
  if (ignored) reader_.fail("table_name is expected");
  if (!super.database.empty() && t.database.empty() && !t.table_placeholder) t.database = super.database;
  if (t.table_placeholder && t.database.empty()) t.database = super.database;
  t.super = super.table;
  open(t);
}

void InsertParser::read_tags(InsertTarget& t, const Table& super, RowBatch& batch) {
  t.tags.clear();
  if (reader_.peek().is("(")) {
    reader_.take();
    while (!reader_.accept(")")) {
      const auto token = reader_.take();
      if (token.kind != Token::Kind::word && token.kind != Token::Kind::quoted_name)
        reader_.fail("tag name is expected");
      const int tag = super.tag(token.name);
      if (tag < 0) refuse(0x2602, fmt::format("Invalid column name: {}", token.name));
      if (std::find(t.tags.begin(), t.tags.end(), tag) != t.tags.end()) {
        LiteralReader::fail_near(token.text, "duplicated column name");
      }
      t.tags.push_back(tag);
      reader_.accept(",");
    }
  } else {
    for (std::size_t i = 0; i < super.tags.size(); ++i) t.tags.push_back(static_cast<int>(i));
  }
  if (!reader_.accept("tags")) reader_.fail("TAGS is expected");
  if (!reader_.accept("(")) reader_.fail("( is expected");
  batch.tags.assign(super.tags.size(), Value{});
  t.tag_constants.assign(t.tags.size(), Value{});
  t.tag_given.assign(t.tags.size(), false);
  for (std::size_t i = 0; i < t.tags.size(); ++i) {
    const auto& column = super.tags[static_cast<std::size_t>(t.tags[i])].column;
    if (i > 0) reader_.accept(",");
    if (prepared_ != nullptr && reader_.accept_question()) {
      t.tag_given[i] = true;
      continue;
    }
    t.tag_constants[i] = reader_.read(column, LiteralReader::Role::tag);
    batch.tags[static_cast<std::size_t>(t.tags[i])] = t.tag_constants[i];
  }
  if (!reader_.accept(")")) {
    if (reader_.peek().is(",")) refuse(0x260D, "Tags number not matched");
    reader_.fail(") is expected");
  }
  if (reader_.peek().is("ttl")) {
    reader_.take();
    const auto token = reader_.take();
    if (token.kind != Token::Kind::integer) reader_.fail("TTL is expected");
    batch.ttl = static_cast<std::int32_t>(std::strtol(std::string(token.text).c_str(), nullptr, 10));
  }
}

void InsertParser::row(InsertTarget& t, const Table& definition, std::vector<Value>& out) {
  reader_.take();  // (
  if (reader_.peek().is(")")) wrong_count();
  const auto count = t.names_in_rows ? t.written.size() : t.columns.size();
  std::size_t column_at = 0;
  std::size_t tag_at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0 && !reader_.accept(",")) reader_.fail(", expected");
    const int place = t.names_in_rows ? t.written[i] : t.columns[i];
    const bool question = prepared_ != nullptr && reader_.accept_question();
    if (place == -1) {
      if (prepared_ != nullptr && !question) wrong_count();
      if (!question) out.push_back(present(0, reader_.read_name()));
      continue;
    }
    const bool is_tag = place >= static_cast<int>(definition.columns.size());
    const auto& column = is_tag ? definition.tags[static_cast<std::size_t>(place) - definition.columns.size()].column
                                : definition.columns[static_cast<std::size_t>(place)].column;
    Value value;
    if (question) {
      value.state = Value::State::not_given;
      (is_tag ? t.tag_given[tag_at] : t.value_given[column_at]) = true;
    } else {
      value = reader_.read(column, is_tag       ? LiteralReader::Role::tag
                                   : place == 0 ? LiteralReader::Role::primary_time
                                                : LiteralReader::Role::column);
    }
    if (prepared_ != nullptr) (is_tag ? t.tag_constants[tag_at] : t.value_constants[column_at]) = value;
    ++(is_tag ? tag_at : column_at);
    out.push_back(std::move(value));
  }
  if (reader_.accept(")")) return;
  if (reader_.peek().is(",")) wrong_count();
  reader_.fail(") expected");
}

RowBatch& InsertParser::batch_of(const std::string& name) {
  for (auto at = batches_.rbegin(); at != batches_.rend() && at - batches_.rbegin() < 16; ++at) {
    if (at->table == name) return *at;
  }
  batches_.emplace_back();
  batches_.back().table = name;
  return batches_.back();
}

void InsertParser::named_row(InsertTarget& t, Table& definition) {
  std::vector<Value> values;
  row(t, definition, values);
  std::string name;
  for (std::size_t i = 0; i < t.written.size(); ++i) {
    if (t.written[i] == -1) name = values[i].text;
  }
  auto& batch = batch_of(name);
  if (batch.super == nullptr) {
    batch.super = &definition;
    batch.columns = t.columns;
    batch.tags.assign(definition.tags.size(), Value{});
    for (std::size_t i = 0; i < t.written.size(); ++i) {
      const auto place = t.written[i] - static_cast<int>(definition.columns.size());
      if (place >= 0) batch.tags[static_cast<std::size_t>(place)] = values[i];
    }
  }
  std::vector<Value> cells;
  for (std::size_t i = 0; i < t.written.size(); ++i) {
    if (t.written[i] >= 0 && t.written[i] < static_cast<int>(definition.columns.size())) {
      cells.push_back(std::move(values[i]));
    }
  }
  batch.rows.push_back(std::move(cells));
}

void InsertParser::rows(InsertTarget& t, Table* definition, RowBatch& batch) {
  t.value_given.assign(t.columns.size(), false);
  t.value_constants.assign(t.columns.size(), Value{});
  if (t.names_in_rows) {
    t.tag_given.assign(t.tags.size(), false);
    t.tag_constants.assign(t.tags.size(), Value{});
  }
  std::size_t count = 0;
  while (reader_.peek().is("(")) {
    if (definition == nullptr) {  // a prepared INSERT INTO ? VALUES: known when a table is bound
      reader_.seek(behind_parentheses());
    } else if (t.names_in_rows && prepared_ == nullptr) {
      named_row(t, *definition);
    } else {
      std::vector<Value> values;
      row(t, *definition, values);
      if (prepared_ == nullptr) batch.rows.push_back(std::move(values));
    }
    ++count;
    reader_.accept(",");
  }
  const auto token = reader_.peek();
  if (token.kind == Token::Kind::bad) reader_.fail("invalid data or symbol");
  if (count == 0) reader_.fail_near("no any data points", "no any data points");
}

void InsertParser::table() {
  InsertTarget target;
  auto& t = prepared_ != nullptr ? *prepared_ : target;
  RowBatch batch;
  const auto name_at = reader_.rest();
  table_name(t);
  if (prepared_ != nullptr && reader_.peek().kind == Token::Kind::question) refuse(0x022B, "Table does not exist");
  Table* definition = nullptr;
  std::optional<std::size_t> list;
  const auto note_list = [&] {
    if (!reader_.peek().is("(")) return;
    list = reader_.offset();
    reader_.seek(behind_parentheses());
  };
  note_list();
  if (reader_.accept("using")) {
    using_clause(t);
    const auto found = (*database_)->find(t.super);
    if (found.table == nullptr) refuse(prepared_ != nullptr ? 0x022B : 0x2603, "Table does not exist");
    definition = found.table;
    batch.super = definition;
    if (found.child != nullptr) {
      while (!reader_.peek().is("(") && !at_end()) reader_.take();
      if (reader_.peek().is("(")) reader_.take();
      reader_.fail(") is expected");
    }
    if (!t.table_placeholder && (*database_)->find(t.table).child != nullptr && prepared_ == nullptr) {
      // The child is there: its tags stay, whatever is written here.
      if (reader_.peek().is("(")) reader_.seek(behind_parentheses());
      if (!reader_.accept("tags")) reader_.fail("TAGS is expected");
      if (!reader_.peek().is("(")) reader_.fail("( is expected");
      reader_.seek(behind_parentheses());
    } else {
      read_tags(t, *definition, batch);
    }
    if (!list) note_list();
  } else {
    open(t);
    if (!t.table_placeholder) {
      const auto found = (*database_)->find(t.table);
      if (found.table == nullptr) refuse(prepared_ != nullptr ? 0x022B : 0x2603, "Table does not exist");
      definition = found.table;
      if (found.child == nullptr) {
        if (!list) reader_.fail("(...tbname, ts...) bounded cols is expected for supertable insertion");
        t.names_in_rows = true;
        t.super = t.table;
        t.table.clear();
      }
    }
  }
  if (definition != nullptr) {
    if (list) {
      column_list(t, *definition, *list);
    } else {
      for (std::size_t i = 0; i < definition->columns.size(); ++i) t.columns.push_back(static_cast<int>(i));
    }
  } else if (list) {
    column_names(t, *list);
  }
  if (reader_.accept("file")) refuse(0x0200, "proxy mode does not support csv loading");
  if (!reader_.accept("values")) {
    LiteralReader::fail_near("keyword VALUES or FILE is expected", name_at.substr(0, 40));
  }
  batch.table = t.table;
  batch.columns = t.columns;
  rows(t, definition, batch);
  if (prepared_ == nullptr && !t.names_in_rows) batches_.push_back(std::move(batch));
}

std::int64_t InsertParser::run() {
  head();
  if (at_end()) refuse(0x2601, "Incomplete SQL statement");
  while (!at_end()) {
    table();
    if (reader_.peek().kind == Token::Kind::bad) reader_.fail("invalid data or symbol");
  }
  return store_batches(**database_, batches_, EqualRows::last_value);
}

std::unique_ptr<LockedDatabase> InsertParser::prepare() {
  head();
  table();
  if (!at_end()) refuse(0x0200, "single table allowed in one stmt");
  return std::move(database_);
}

Answer run_insert(SessionContext& context, std::string_view sql) {
  Answer answer;
  answer.affected_rows = InsertParser(context, sql, nullptr).run();
  return answer;
}

}  // namespace penstock::sandbox
