#include <fmt/format.h>

#include <algorithm>

#include "sandbox/information_text.h"

/// SHOW and DESCRIBE.
namespace penstock::sandbox {
namespace {

using data::Type;
using Rows = std::vector<std::vector<Datum>>;

Answer answer_of(const std::vector<data::Column>& columns, Rows rows) {
  Answer answer;
  answer.is_update = false;
  for (const auto& c : columns) answer.fields.push_back(result_field(c.name, type_info(c)));
  for (auto& row : rows) {
    std::vector<Value> cells;
    for (std::size_t i = 0; i < columns.size(); ++i) cells.push_back(value_of(row[i], type_info(columns[i])));
    answer.rows.push_back(std::move(cells));
  }
  return answer;
}

Datum text(std::string_view v) { return Datum::of_text(v); }

struct Alias {
  std::string_view word, schema, table;
  std::string_view columns;  ///< of the table to show; empty: all
};
constexpr Alias kWhole[] = {
    {"dnodes", "information_schema", "ins_dnodes", ""},
    {"mnodes", "information_schema", "ins_mnodes", ""},
    {"qnodes", "information_schema", "ins_qnodes", ""},
    {"users", "information_schema", "ins_users", ""},
    {"vgroups", "information_schema", "ins_vgroups", ""},
    {"topics", "information_schema", "ins_topics", "topic_name"},
    {"subscriptions", "information_schema", "ins_subscriptions", ""},
    {"consumers", "performance_schema", "perf_consumers", ""},
    {"functions", "information_schema", "ins_functions", "name"},
    {"streams", "information_schema", "ins_streams", "stream_name|status|message"},
    {"views", "information_schema", "ins_views", ""},
    {"cluster", "information_schema", "ins_cluster", ""},
    {"grants", "information_schema", "ins_grants", ""},
    {"licences", "information_schema", "ins_grants", ""},
    {"connections", "performance_schema", "perf_connections", ""},
    {"queries", "performance_schema", "perf_queries", ""},
    {"apps", "performance_schema", "perf_apps", ""},
    {"transactions", "performance_schema", "perf_trans", ""},
};

class Show {
 public:
  Show(SessionContext& context, Cursor& in) : context_(context), in_(in) {}

  Answer run() {
    if (in_.at_end()) in_.syntax_error();
    if (in_.accept("create")) return create();
    if (in_.accept("databases")) return databases(true);
    if (in_.accept("user")) {
      in_.expect("databases");
      return databases(false);
    }
    if (in_.accept("table")) return table_tags();
    if (in_.accept("tags")) return tags();
    if (in_.accept("indexes")) return indexes();
    if (in_.accept("variables")) return variables();
    if (in_.accept_all({"local", "variables"})) return variables();
    enum class Kind { all, normal, child } kind = Kind::all;
    if (in_.accept("normal")) kind = Kind::normal;
    if (in_.accept("child")) kind = Kind::child;
    // "db." before tables, stables, vgroups.
    std::string database;
    if (kind == Kind::all && in_.at_identifier() && !whole_word()) {
      database = in_.identifier();
      in_.expect(".");
    }
    if (in_.accept("tables")) return tables(database, kind == Kind::normal, kind == Kind::child);
    if (kind != Kind::all) in_.syntax_error();
    if (in_.accept("stables")) return stables(database);
    for (const auto& alias : kWhole) {
      if (!in_.peek().is(alias.word)) continue;
      in_.take();
      in_.finish();
      return whole(alias, database);
    }
    in_.syntax_error();
  }

 private:
  [[nodiscard]] bool whole_word() const {
    return std::any_of(std::begin(kWhole), std::end(kWhole), [&](const auto& a) { return in_.peek().is(a.word); });
  }

  Answer whole(const Alias& alias, const std::string& database) {
    auto table = system_table(context_, alias.schema, alias.table);
    if (alias.word == "vgroups") {
      const auto& name = database.empty() ? context_.database : database;
      std::erase_if(table->rows, [&](const auto& row) { return !name.empty() && row[1].text != name; });
    }
    if (alias.columns.empty()) return answer_of(table->columns, std::move(table->rows));
    std::vector<data::Column> columns;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < table->columns.size(); ++i) {
      const auto wanted = fmt::format("|{}|", alias.columns);
      if (wanted.find('|' + table->columns[i].name + '|') == std::string::npos) continue;
      places.push_back(i);
      columns.push_back(table->columns[i]);
    }
    Rows rows;
    for (const auto& row : table->rows) {
      rows.emplace_back();
      for (const auto i : places) rows.back().push_back(row[i]);
    }
    return answer_of(columns, std::move(rows));
  }

  Answer databases(bool system) {
    in_.finish();
    Rows rows;
    if (system) rows = {{text("information_schema")}, {text("performance_schema")}};
    for (const auto& db : context_.instance->all()) rows.push_back({text(db->name)});
    return answer_of(columns_from_text("name VARCHAR(64)"), std::move(rows));
  }

  std::optional<std::string> pattern() {
    std::optional<std::string> out;
    if (in_.accept("like")) out = in_.string_literal();
    in_.finish();
    return out;
  }

  Answer tables(const std::string& database, bool normal, bool child) {
    const auto wanted = pattern();
    no_database(database);
    const auto db = open(database);
    Rows rows;
    for (const auto& [id, c] : db->children) {
      if ((normal && c->table->super) || (child && !c->table->super)) continue;
      if (wanted && !like(c->name, *wanted)) continue;
      rows.push_back({text(c->name)});
    }
    return answer_of(columns_from_text("table_name VARCHAR(192)"), std::move(rows));
  }

  Answer stables(const std::string& database) {
    const auto wanted = pattern();
    no_database(database);
    const auto db = open(database);
    Rows rows;
    for (const auto& [id, table] : db->tables) {
      if (table->super && (!wanted || like(table->name, *wanted))) rows.push_back({text(table->name)});
    }
    return answer_of(columns_from_text("stable_name VARCHAR(192)"), std::move(rows));
  }

  void no_database(const std::string& database) const {
    if (database.empty() && context_.database.empty()) refuse(0x2600, "database not specified");
  }
  [[nodiscard]] LockedDatabase open(const std::string& database) const { return open_database(context_, database); }

  /// "FROM table [FROM db]", "FROM db.table".
  TableName from() {
    if (!in_.accept("from") && !in_.accept("in")) in_.syntax_error();
    auto name = parse_table_name(in_);
    if (in_.accept("from") || in_.accept("in")) name.database = in_.identifier();
    in_.finish();
    return name;
  }

  Answer tags() {
    const auto name = from();
    const auto db = open(name.database);
    const auto found = db->find(name.table);
    if (found.table == nullptr) refuse(0x2662, "Fail to get table info, error: Table does not exist");
    if (!found.table->super) refuse(0x2665, "Tags can only applied to super table and child table");
    Rows rows;
    if (found.child != nullptr) append_tag_rows(*db, *found.child, rows);
    return answer_of(columns_from_text("table_name VARCHAR(192)|db_name VARCHAR(64)|stable_name VARCHAR(192)|tag_name "
                                       "VARCHAR(64)|tag_type VARCHAR(32)|tag_value VARCHAR(16384)"),
                     std::move(rows));
  }

  Answer table_tags() {
    if (in_.accept("distributed")) unsupported("SHOW TABLE DISTRIBUTED");
    in_.expect("tags");
    std::vector<std::string> names;
    if (!in_.peek().is("from") && !in_.peek().is("in")) {
      do {
        if (in_.accept("tbname")) {
          names.emplace_back("tbname");
        } else {
          names.push_back(in_.identifier());
        }
      } while (in_.accept(","));
    }
    const auto name = from();
    const auto db = open(name.database);
    const auto found = db->find(name.table);
    if (found.table == nullptr) refuse(0x2603, "Table does not exist");
    if (!found.table->super) refuse(0x2665, "Tags can only applied to super table and child table");
    if (names.empty()) {
      names.emplace_back("tbname");
      for (const auto& tag : found.table->tags) names.push_back(tag.column.name);
    }
    std::vector<data::Column> columns;
    std::vector<int> places;
    for (const auto& n : names) {
      if (n == "tbname") {
        columns.push_back({"tbname", Type::varchar, 270, 0, 0, false});
        places.push_back(-1);
        continue;
      }
      places.push_back(found.table->tag(n));
      if (places.back() < 0) refuse(0x260E, fmt::format("Invalid tag name: {}", n));
      columns.push_back(found.table->tags[static_cast<std::size_t>(places.back())].column);
    }
    Rows rows;
    for (const auto* const child : found.table->children) {
      if (found.child != nullptr && found.child != child) continue;
      rows.emplace_back();
      for (std::size_t i = 0; i < places.size(); ++i) {
        const auto place = static_cast<std::size_t>(places[i]);
        rows.back().push_back(places[i] < 0 ? text(child->name) : datum_of(child->tags[place], type_info(columns[i])));
      }
    }
    auto answer = answer_of(columns, std::move(rows));
    answer.precision = db->options.precision;
    return answer;
  }

  Answer indexes() {
    const auto name = from();
    const auto db = open(name.database);
    const auto found = db->find(name.table);
    if (found.table == nullptr) refuse(0x2603, "Table does not exist");
    Rows rows;
    if (found.table->super) {
      const auto& tag = found.table->tags[0].column.name;
      rows.push_back({text(tag + "_" + found.table->name), text(db->name), text(found.table->name),
                      Datum::none(Type::integer), Datum::of_time(0), text(tag), text("tag_index")});
    }
    return answer_of(system_table_columns("ins_indexes"), std::move(rows));
  }
  [[nodiscard]] std::vector<data::Column> system_table_columns(std::string_view) const {
    return columns_from_text(
        "index_name VARCHAR(192)|db_name VARCHAR(64)|table_name VARCHAR(192)|vgroup_id INT|create_time "
        "TIMESTAMP|column_name VARCHAR(192)|index_type VARCHAR(192)");
  }

  Answer variables() {
    std::optional<std::string> wanted = pattern();
    Rows rows;
    const auto add = [&](std::string_view name, std::string_view value) {
      if (!wanted || like(name, *wanted)) {
        rows.push_back({text(name), text(value), text("both"), text("both"), text("")});
      }
    };
    add("timezone", context_.zone->name());
    add("charset", "UTF-8");
    return answer_of(columns_from_text("name VARCHAR(30)|value VARCHAR(4094)|scope VARCHAR(6)|category VARCHAR(6)|info "
                                       "VARCHAR(62)"),
                     std::move(rows));
  }

  Answer create() {
    if (in_.accept("database")) return create_database();
    const bool stable = in_.peek().is("stable");
    if (!stable && !in_.peek().is("table")) in_.syntax_error();
    in_.take();
    const auto name = parse_table_name(in_);
    in_.finish();
    const auto db = open(name.database);
    const auto found = db->find(name.table);
    if (found.table == nullptr) refuse(0x2603, "Table does not exist");
    if (stable && found.child != nullptr) refuse(0x022F, "Table is not a super table");
    std::vector<data::Column> columns = {{"Table", Type::varchar, 193, 0, 0, false},
                                         {"Create Table", Type::varchar, 3145726, 0, 0, false}};
    const bool child = found.child != nullptr && found.table->super;
    return answer_of(columns, {{text(name.table), text(child ? child_statement(*found.child) : statement(found))}});
  }

  static std::string declared(const std::vector<ColumnInfo>& columns) {
    std::string out;
    for (const auto& c : columns) {
      if (!out.empty()) out += ", ";
      out += data::quote_identifier(c.column.name) + ' ' + data::sql_type(c.column);
      if (c.column.composite_key) out += " COMPOSITE KEY";
    }
    return out;
  }
  static std::string options(bool has_comment, const std::string& comment, std::int32_t ttl) {
    std::string out;
    if (has_comment) out += fmt::format(" COMMENT '{}'", comment);
    if (ttl > 0) out += fmt::format(" TTL {}", ttl);
    return out;
  }
  static std::string statement(const Database::Found& found) {
    const auto& table = *found.table;
    auto out = fmt::format("CREATE {} {} ({})", table.super ? "STABLE" : "TABLE", data::quote_identifier(table.name),
                           declared(table.columns));
    if (table.super) out += fmt::format(" TAGS ({})", declared(table.tags));
    out += table.super ? options(table.has_comment, table.comment, table.ttl)
                       : options(found.child->has_comment, found.child->comment, found.child->ttl);
    const bool added = std::any_of(table.columns.begin(), table.columns.end(), [](const auto& c) { return c.added; });
    if (table.super && added) {
      std::string list;
      for (const auto& c : table.columns) {
        if (!c.added) list += (list.empty() ? "" : ",") + data::quote_identifier(c.column.name);
      }
      out += fmt::format(" SMA({})", list);
    }
    return out;
  }
  static std::string child_statement(const Child& child) {
    std::string names, values;
    for (std::size_t i = 0; i < child.table->tags.size(); ++i) {
      const auto& column = child.table->tags[i].column;
      const auto value = datum_of(child.tags[i], type_info(column));
      if (i > 0) {
        names += ", ";
        values += ", ";
      }
      names += data::quote_identifier(column.name);
      values += value.null || !data::is_variable(column.type) ? to_text(value) : '"' + to_text(value) + '"';
    }
    return fmt::format("CREATE TABLE {} USING {} ({}) TAGS ({}){}", data::quote_identifier(child.name),
                       data::quote_identifier(child.table->name), names, values,
                       options(child.has_comment, child.comment, child.ttl));
  }

  Answer create_database() {
    const auto name = in_.identifier();
    in_.finish();
    const auto db = open(name);
    const auto& v = db->options.values;
    std::string out = fmt::format("CREATE DATABASE {}", data::quote_identifier(name));
    for (const auto key : {"BUFFER",
                           "CACHESIZE",
                           "CACHEMODEL",
                           "COMP",
                           "DURATION",
                           "WAL_FSYNC_PERIOD",
                           "MAXROWS",
                           "MINROWS",
                           "STT_TRIGGER",
                           "KEEP",
                           "PAGES",
                           "PAGESIZE",
                           "PRECISION",
                           "REPLICA",
                           "WAL_LEVEL",
                           "VGROUPS",
                           "SINGLE_STABLE",
                           "TABLE_PREFIX",
                           "TABLE_SUFFIX",
                           "TSDB_PAGESIZE",
                           "WAL_RETENTION_PERIOD",
                           "WAL_RETENTION_SIZE",
                           "KEEP_TIME_OFFSET",
                           "ENCRYPT_ALGORITHM",
                           "SS_CHUNKPAGES",
                           "SS_KEEPLOCAL",
                           "SS_COMPACT",
                           "COMPACT_INTERVAL",
                           "COMPACT_TIME_RANGE",
                           "COMPACT_TIME_OFFSET"}) {
      const std::string_view k(key);
      const bool quoted = k == "CACHEMODEL" || k == "PRECISION" || k == "ENCRYPT_ALGORITHM";
      const auto found = v.find(std::string(k));
      out += fmt::format(fmt::runtime(quoted ? " {} '{}'" : " {} {}"), k, found == v.end() ? "" : found->second);
    }
    std::vector<data::Column> columns = {{"Database", Type::varchar, 63, 0, 0, false},
                                         {"Create Database", Type::varchar, 65517, 0, 0, false}};
    return answer_of(columns, {{text(name), text(out)}});
  }

  SessionContext& context_;
  Cursor& in_;
};

std::int64_t described_length(const data::Column& column) {
  if (column.type == Type::blob) return 5;
  return column.width;
}

}  // namespace

Answer run_show(SessionContext& context, Cursor& in) { return Show(context, in).run(); }

Answer run_describe(SessionContext& context, Cursor& in) {
  in.accept("table");
  const auto name = parse_table_name(in);
  in.finish();
  auto columns = columns_from_text("field VARCHAR(325)|type VARCHAR(20)|length INT|note VARCHAR(16)");
  Rows rows;
  const auto length = [](const data::Column& c) {
    return Datum::fixed(Type::integer, static_cast<std::uint64_t>(described_length(c)));
  };
  const auto& database = name.database.empty() ? context.database : name.database;
  if (is_system_database(database)) {
    const auto table = system_table(context, database, name.table);
    if (!table) refuse(0x2603, "Table does not exist");
    for (const auto& c : table->columns) rows.push_back({text(c.name), text(describe_type(c)), length(c), text("")});
    return answer_of(columns, std::move(rows));
  }
  const auto db = open_database(context, name.database);
  const auto found = db->find(name.table);
  if (found.table == nullptr) refuse(0x2603, "Table does not exist");
  for (const auto word : {"encode", "compress", "level"}) columns.push_back({word, Type::varchar, 12, 0, 0, false});
  for (const auto* const list : {&found.table->columns, &found.table->tags}) {
    const bool tags = list == &found.table->tags;
    for (const auto& c : *list) {
      rows.push_back({text(c.column.name), text(describe_type(c.column)), length(c.column),
                      text(tags                     ? "TAG"
                           : c.column.composite_key ? "COMPOSITE KEY"
                                                    : ""),
                      text(c.encode), text(c.compress), text(c.level)});
    }
  }
  return answer_of(columns, std::move(rows));
}

}  // namespace penstock::sandbox
