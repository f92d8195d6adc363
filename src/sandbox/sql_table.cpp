#include <fmt/format.h>

#include <algorithm>

#include "sandbox/insert_literal.h"
#include "sandbox/insert_store.h"
#include "sandbox/sql_table.h"
#include "sandbox/store.h"
#include "sandbox/subscription_log.h"

/// CREATE STABLE and CREATE TABLE.
namespace penstock::sandbox {
namespace {

using data::Limits;
using data::Type;

ColumnInfo column_declaration(Cursor& in, bool tag) {
  ColumnInfo info;
  info.column.name = in.identifier(Limits::column_name);
  const auto name = info.column.name;
  info.column = parse_type(in);
  info.column.name = name;
  set_default_codec(info);
  if (tag) {
    info.encode = info.compress = info.level = "disabled";
    return info;
  }
  while (true) {
    if (in.accept("primary") || in.accept("composite")) {
      in.expect("key");
      info.column.composite_key = true;
    } else if (in.accept("encode")) {
      info.encode = in.string_literal();
    } else if (in.accept("compress")) {
      info.compress = in.string_literal();
    } else if (in.accept("level")) {
      info.level = in.string_literal();
    } else {
      return info;
    }
  }
}

std::vector<ColumnInfo> declarations(Cursor& in, bool tags) {
  std::vector<ColumnInfo> list;
  in.expect("(");
  do list.push_back(column_declaration(in, tags));
  while (in.accept(","));
  in.expect(")");
  return list;
}

struct TableOptions {
  std::string comment;
  bool has_comment = false;
  std::int32_t ttl = 0;
};

bool table_option(Cursor& in, TableOptions& options) {
  if (in.accept("comment")) {
    options.comment = in.string_literal();
    options.has_comment = true;
  } else if (in.accept("ttl")) {
    options.ttl = static_cast<std::int32_t>(std::clamp<std::int64_t>(in.integer(), 0, INT32_MAX));
  } else if (in.accept("sma")) {
    in.expect("(");
    do in.identifier();
    while (in.accept(","));
    in.expect(")");
  } else if (in.accept("keep")) {
    if (in.peek().kind != Token::Kind::integer && in.peek().kind != Token::Kind::duration) in.syntax_error();
    in.take();
  } else {
    return false;
  }
  return true;
}

void check_key(const std::vector<ColumnInfo>& columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (!columns[i].column.composite_key) continue;
    if (i != 1) refuse(0x2678, "composite primary key column must be second column");
    const auto t = columns[i].column.type;
    const bool fits =
        t == Type::integer || t == Type::uinteger || t == Type::bigint || t == Type::ubigint || t == Type::varchar;
    if (!fits) refuse(0x2679, "primary key column must be of type int, uint, bigint, ubigint, and varchar");
  }
}

Answer create_child_tables(SessionContext& context, Cursor& in, TableName name, bool lenient);

Answer create_defined(SessionContext& context, Cursor& in, const TableName& name, bool stable, bool lenient) {
  Table table;
  table.name = name.table;
  table.columns = declarations(in, false);
  if (in.accept("tags")) {
    table.tags = declarations(in, true);
  } else if (stable) {
    in.syntax_error();
  }
  TableOptions options;
  while (table_option(in, options)) {
  }
  if (!in.at_end() && (in.peek().is("watermark") || in.peek().is("max_delay") || in.peek().is("rollup"))) {
    unsupported("a rollup super table");
  }
  in.finish();
  table.super = !table.tags.empty();
  check_key(table.columns);
  check_definition(table);
  const auto db = open_database(context, name.database);
  if (table.name.find('.') != std::string::npos) refuse(0x2617, "The table name cannot contain '.'");
  const auto found = db->find(table.name);
  if (found.table != nullptr) {
    const bool same_kind = (found.child == nullptr) == table.super;
    if (lenient && same_kind) return {};
    if (found.child == nullptr) refuse(0x0360, "STable already exists");
    refuse(0x0603, "Table already exists");
  }
  for (auto& c : table.columns) c.id = table.next_column_id++;
  for (auto& c : table.tags) c.id = table.next_column_id++;
  table.comment = options.comment;
  table.has_comment = options.has_comment;
  table.ttl = options.ttl;
  Store::Transaction transaction(*db->store);
  auto& made = db->add_table(std::move(table));
  if (!made.super) {
    Child rows;
    rows.name = made.name;
    rows.table = &made;
    rows.comment = options.comment;
    rows.has_comment = options.has_comment;
    rows.ttl = options.ttl;
    db->add_child(std::move(rows));
  }
  transaction.commit();
  log_created(*db, made);
  return {};
}

struct NewChild {
  TableName name;
  Child child;
  bool lenient = false;
};

NewChild using_clause(SessionContext& context, Cursor& in, TableName name, bool lenient) {
  NewChild made;
  made.lenient = lenient;
  in.expect("using");
  const auto super_name = parse_table_name(in);
  std::vector<std::string> names;
  if (in.accept("(")) {
    do names.push_back(in.identifier(Limits::column_name));
    while (in.accept(","));
    in.expect(")");
  }
  in.expect("tags");
  if (!in.peek().is("(")) in.syntax_error();
  const auto values_at = in.peek().at;
  // Count the values first: a wrong number is told before a wrong value.
  in.take();
  if (in.peek().is(")")) in.syntax_error();
  std::size_t count = 1;
  for (int depth = 1; depth > 0;) {
    const auto token = in.take();
    if (token.kind == Token::Kind::end || token.kind == Token::Kind::bad) in.syntax_error();
    if (token.is("(")) ++depth;
    if (token.is(")")) --depth;
    if (token.is(",") && depth == 1) ++count;
  }
  const auto behind = in.peek().at;
  const auto& database = name.database.empty() ? super_name.database : name.database;
  const auto db = open_database(context, database);
  const auto found = db->find(super_name.table);
  if (found.table == nullptr) refuse(0x2603, "Table does not exist");
  if (found.child != nullptr && found.table->super) refuse(0x0115, "Invalid message");
  auto& super = *found.table;
  std::vector<std::size_t> order;
  for (const auto& n : names) {
    const int tag = super.tag(n);
    if (tag < 0) refuse(0x260E, fmt::format("Invalid tag name: {}", n));
    order.push_back(static_cast<std::size_t>(tag));
  }
  for (std::size_t i = 0; names.empty() && i < super.tags.size(); ++i) order.push_back(i);
  if (count != order.size()) refuse(0x260D, "Tags number not matched");
  made.child.tags.assign(super.tags.size(), Value{});
  LiteralReader reader(in.sql(), values_at, db->options.precision, *context.zone);
  reader.take();
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0) reader.take();
    made.child.tags[order[i]] = reader.read(super.tags[order[i]].column, LiteralReader::Role::tag);
  }
  if (!reader.accept(")")) reader.fail(") expected");
  in.seek(behind);
  TableOptions options;
  while (table_option(in, options)) {
  }
  if (name.table.find('.') != std::string::npos) refuse(0x2617, "The table name cannot contain '.'");
  made.child.table = &super;
  made.child.name = name.table;
  made.child.comment = options.comment;
  made.child.has_comment = options.has_comment;
  made.child.ttl = options.ttl;
  made.name = {database, super_name.table};
  return made;
}

Answer create_child_tables(SessionContext& context, Cursor& in, TableName name, bool lenient) {
  std::vector<NewChild> list;
  list.push_back(using_clause(context, in, std::move(name), lenient));
  while (!in.at_end()) {
    const bool next_lenient = in.accept_all({"if", "not", "exists"});
    auto next = parse_table_name(in);
    list.push_back(using_clause(context, in, std::move(next), next_lenient));
  }
  in.finish();
  for (const auto& item : list) {
    const auto db = open_database(context, item.name.database);
    // The super table may have changed since its clause was read, while the database was not locked.
    const auto super = db->find(item.name.table);
    if (super.table != item.child.table || super.table == nullptr) refuse(0x2603, "Table does not exist");
    const auto found = db->find(item.child.name);
    if (found.table == nullptr) continue;
    if (found.child == nullptr) refuse(0x061D, "Table already exists in other stables");
    if (!item.lenient) refuse(0x0603, "Table already exists");
  }
  for (std::size_t i = 0; i < list.size();) {
    const auto& database = list[i].name.database;
    const auto db = open_database(context, database);
    ChangeScope changes(*db);
    try {
      for (; i < list.size() && list[i].name.database == database; ++i) {
        auto& item = list[i];
        if (db->find(item.child.name).table != nullptr) continue;
        if (db->find(item.name.table).table != item.child.table) refuse(0x2603, "Table does not exist");
        Store::Transaction transaction(*db->store);
        const auto& made = db->add_child(std::move(item.child));
        transaction.commit();
        changes.created(made);
      }
    } catch (...) {
      changes.commit();  // those that were made
      throw;
    }
    changes.commit();
  }
  return {};
}

}  // namespace

void check_definition(const Table& table) {
  std::size_t row_bytes = 0;
  std::size_t tag_bytes = 0;
  std::vector<std::string_view> names;
  int blobs = 0;
  for (const auto* const list : {&table.columns, &table.tags}) {
    const bool tags = list == &table.tags;
    for (const auto& [column, id, encode, compress, level, added] : *list) {
      names.push_back(column.name);
      const bool sized = is_text(column.type) || column.type == Type::varbinary || column.type == Type::geometry;
      const auto most = column.type == Type::nchar ? (tags ? Limits::nchar_tag : Limits::nchar)
                                                   : (tags ? Limits::varchar_tag : Limits::varchar);
      if (sized && (column.width < 1 || column.width > most)) {
        refuse(0x2642, "Invalid column length for var length type");
      }
      if (!tags && column.type == Type::json) refuse(0x2652, "Only tag can be json type");
      if (tags && is_decimal(column.type)) refuse(0x2602, "Decimal type is not allowed for tag");
      if (tags && column.type == Type::blob) refuse(0x6301, "blob type is not allowed for tag");
      if (tags && column.type == Type::json && table.tags.size() > 1) {
        refuse(0x2633, "Only one tag if there is a json tag");
      }
      if (column.type == Type::mediumblob) unsupported("the type MEDIUMBLOB");
      blobs += column.type == Type::blob ? 1 : 0;
      (tags ? tag_bytes : row_bytes) += data::declared_bytes(column);
    }
  }
  if (table.columns.size() < 2) refuse(0x263F, "Illegal number of columns");
  if (table.columns[0].column.type != Type::timestamp) refuse(0x2641, "First column must be timestamp");
  if (blobs > 1) refuse(0x6306, "only one blob column allowed");
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) refuse(0x263C, "Duplicated column names");
  if (table.tags.size() > Limits::tags) refuse(0x2643, "Too many tags");
  if (names.size() > Limits::columns) refuse(0x2640, "Too many columns");
  if (row_bytes > Limits::row_bytes) refuse(0x263E, fmt::format("Row length exceeds max length {}", Limits::row_bytes));
  if (tag_bytes > Limits::tag_bytes)
    refuse(0x263D, fmt::format("Tags length exceeds max length {}", Limits::tag_bytes));
}

ColumnInfo parse_column(Cursor& in, bool tag) { return column_declaration(in, tag); }

Answer run_create_table(SessionContext& context, Cursor& in, bool stable) {
  const bool lenient = in.accept_all({"if", "not", "exists"});
  auto name = parse_table_name(in);
  if (!stable && in.peek().is("using")) return create_child_tables(context, in, std::move(name), lenient);
  return create_defined(context, in, name, stable, lenient);
}

}  // namespace penstock::sandbox
