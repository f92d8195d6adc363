#include <fmt/format.h>

#include <charconv>

#include "sandbox/information_text.h"
#include "sandbox/sql_session.h"
#include "sandbox/subscription_hub.h"

/// information_schema and performance_schema: what clients ask for is filled from the catalog, the rest is empty.
namespace penstock::sandbox {
namespace {

using data::Type;

struct Definition {
  std::string_view name;
  std::string_view columns;  ///< "name TYPE|name TYPE…"
};

constexpr Definition kInformation[] = {
    {"ins_databases",
     "name VARCHAR(64)|create_time TIMESTAMP|vgroups INT|ntables BIGINT|replica TINYINT|strict VARCHAR(4)|duration "
     "VARCHAR(10)|keep VARCHAR(32)|buffer INT|pagesize INT|pages INT|minrows INT|maxrows INT|comp TINYINT|precision "
     "VARCHAR(2)|status VARCHAR(10)|retentions VARCHAR(60)|single_stable BOOL|cachemodel VARCHAR(11)|cachesize "
     "INT|wal_level TINYINT|wal_fsync_period INT|wal_retention_period INT|wal_retention_size BIGINT|stt_trigger "
     "SMALLINT|table_prefix SMALLINT|table_suffix SMALLINT|tsdb_pagesize INT|keep_time_offset INT|ss_chunkpages "
     "INT|ss_keeplocal VARCHAR(10)|ss_compact TINYINT|with_arbitrator TINYINT|encrypt_algorithm "
     "VARCHAR(16)|compact_interval VARCHAR(12)|compact_time_range VARCHAR(24)|compact_time_offset VARCHAR(4)"},
    {"ins_tables",
     "table_name VARCHAR(192)|db_name VARCHAR(64)|create_time TIMESTAMP|columns INT|stable_name VARCHAR(192)|uid "
     "BIGINT|vgroup_id INT|ttl INT|table_comment VARCHAR(1024)|type VARCHAR(21)"},
    {"ins_stables",
     "stable_name VARCHAR(192)|db_name VARCHAR(64)|create_time TIMESTAMP|columns INT|tags INT|last_update "
     "TIMESTAMP|table_comment VARCHAR(1024)|watermark VARCHAR(64)|max_delay VARCHAR(64)|rollup VARCHAR(128)|uid "
     "BIGINT|isvirtual BOOL|keep BIGINT"},
    {"ins_columns",
     "table_name VARCHAR(192)|db_name VARCHAR(64)|table_type VARCHAR(21)|col_name VARCHAR(64)|col_type "
     "VARCHAR(32)|col_length INT|col_precision INT|col_scale INT|col_nullable INT|col_source VARCHAR(258)|col_id "
     "SMALLINT"},
    {"ins_tags",
     "table_name VARCHAR(192)|db_name VARCHAR(64)|stable_name VARCHAR(192)|tag_name VARCHAR(64)|tag_type "
     "VARCHAR(32)|tag_value VARCHAR(16384)"},
    {"ins_dnodes",
     "id INT|endpoint VARCHAR(134)|vnodes SMALLINT|support_vnodes SMALLINT|status VARCHAR(10)|create_time "
     "TIMESTAMP|reboot_time TIMESTAMP|note VARCHAR(256)"},
    {"ins_mnodes",
     "id INT|endpoint VARCHAR(134)|role VARCHAR(12)|status VARCHAR(9)|create_time TIMESTAMP|role_time TIMESTAMP"},
    {"ins_qnodes", "id INT|endpoint VARCHAR(134)|create_time TIMESTAMP"},
    {"ins_vgroups",
     "vgroup_id INT|db_name VARCHAR(64)|tables INT|v1_dnode SMALLINT|v1_status VARCHAR(9)|v1_applied/committed "
     "VARCHAR(41)|v2_dnode SMALLINT|v2_status VARCHAR(9)|v2_applied/committed VARCHAR(41)|v3_dnode SMALLINT|v3_status "
     "VARCHAR(9)|v3_applied/committed VARCHAR(41)|v4_dnode SMALLINT|v4_status VARCHAR(9)|v4_applied/committed "
     "VARCHAR(41)|cacheload INT|cacheelements INT|tsma TINYINT|mount_vgroup_id INT"},
    {"ins_users",
     "name VARCHAR(24)|super TINYINT|enable TINYINT|sysinfo TINYINT|createdb TINYINT|create_time "
     "TIMESTAMP|allowed_host VARCHAR(49152)"},
    {"ins_topics",
     "topic_name VARCHAR(192)|db_name VARCHAR(64)|create_time TIMESTAMP|sql VARCHAR(2048)|schema VARCHAR(65517)|meta "
     "VARCHAR(4)|type VARCHAR(8)"},
    {"ins_subscriptions",
     "topic_name VARCHAR(205)|consumer_group VARCHAR(193)|vgroup_id INT|consumer_id VARCHAR(256)|user VARCHAR(24)|fqdn "
     "VARCHAR(128)|offset VARCHAR(64)|rows BIGINT"},
    {"ins_indexes",
     "index_name VARCHAR(192)|db_name VARCHAR(64)|table_name VARCHAR(192)|vgroup_id INT|create_time "
     "TIMESTAMP|column_name VARCHAR(192)|index_type VARCHAR(192)"},
    {"ins_functions",
     "name VARCHAR(64)|comment VARCHAR(4095)|aggregate INT|output_type VARCHAR(31)|create_time TIMESTAMP|code_len "
     "INT|bufsize INT|func_language VARCHAR(31)|func_body VARCHAR(65517)|func_version INT"},
    {"ins_streams",
     "stream_name VARCHAR(192)|db_name VARCHAR(64)|create_time TIMESTAMP|stream_id VARCHAR(19)|sql "
     "VARCHAR(2048)|status VARCHAR(20)|snodeLeader INT|snodeReplica INT|message VARCHAR(256)"},
    {"ins_views",
     "view_name VARCHAR(192)|db_name VARCHAR(64)|effective_user VARCHAR(24)|create_time TIMESTAMP|type "
     "VARCHAR(128)|query_sql VARCHAR(2048)|parameters VARCHAR(2048)|default_values VARCHAR(2048)|target_table "
     "VARCHAR(192)"},
    {"ins_cluster",
     "id BIGINT|name VARCHAR(40)|uptime INT|create_time TIMESTAMP|version VARCHAR(10)|expire_time TIMESTAMP"},
    {"ins_configs", "name VARCHAR(32)|value VARCHAR(64)"},
    {"ins_grants",
     "version VARCHAR(64)|expire_time VARCHAR(19)|service_time VARCHAR(19)|expired VARCHAR(5)|state "
     "VARCHAR(9)|timeseries VARCHAR(43)|dnodes VARCHAR(21)|cpu_cores VARCHAR(21)|vnodes VARCHAR(21)|storage_size "
     "VARCHAR(43)"},
    {"ins_user_privileges",
     "user_name VARCHAR(24)|privilege VARCHAR(10)|db_name VARCHAR(65)|table_name VARCHAR(193)|condition "
     "VARCHAR(49152)|notes VARCHAR(64)"},
};

constexpr Definition kPerformance[] = {
    {"perf_connections",
     "conn_id INT UNSIGNED|user VARCHAR(24)|app VARCHAR(24)|pid INT UNSIGNED|end_point VARCHAR(134)|login_time "
     "TIMESTAMP|last_access TIMESTAMP|user_app VARCHAR(24)|user_ip VARCHAR(22)"},
    {"perf_queries",
     "kill_id VARCHAR(26)|query_id BIGINT UNSIGNED|conn_id INT UNSIGNED|app VARCHAR(24)|pid INT|user "
     "VARCHAR(24)|end_point VARCHAR(22)|create_time TIMESTAMP|exec_usec BIGINT|stable_query BOOL|sub_query "
     "BOOL|sub_num "
     "INT|sub_status VARCHAR(1000)|sql VARCHAR(2048)|user_app VARCHAR(24)|user_ip VARCHAR(22)"},
    {"perf_consumers",
     "consumer_id VARCHAR(32)|consumer_group VARCHAR(193)|client_id VARCHAR(256)|user VARCHAR(24)|fqdn "
     "VARCHAR(128)|status VARCHAR(20)|topics VARCHAR(205)|up_time TIMESTAMP|subscribe_time TIMESTAMP|rebalance_time "
     "TIMESTAMP|parameters VARCHAR(192)|poll_time TIMESTAMP"},
    {"perf_trans",
     "id INT|create_time TIMESTAMP|stage VARCHAR(12)|oper VARCHAR(14)|db VARCHAR(64)|stable VARCHAR(192)|killable "
     "VARCHAR(10)|failed_times INT|last_exec_time TIMESTAMP|last_action_info VARCHAR(511)"},
    {"perf_apps",
     "app_id BIGINT UNSIGNED|ip VARCHAR(16)|pid INT|name VARCHAR(24)|start_time TIMESTAMP|insert_req BIGINT "
     "UNSIGNED|insert_row BIGINT UNSIGNED|insert_time BIGINT UNSIGNED|insert_bytes BIGINT UNSIGNED|fetch_bytes BIGINT "
     "UNSIGNED|query_time BIGINT UNSIGNED|slow_query BIGINT UNSIGNED|total_req BIGINT UNSIGNED|current_req BIGINT "
     "UNSIGNED|last_access TIMESTAMP"},
};

Datum text(std::string_view v) { return Datum::of_text(v); }
Datum number(Type type, std::int64_t v) { return Datum::fixed(type, static_cast<std::uint64_t>(v)); }
Datum integer(std::int64_t v) { return number(Type::integer, v); }
Datum optional_text(bool given, const std::string& v) { return given ? text(v) : Datum::none(Type::varchar); }

/// Times of a database as the system tables show them: in milliseconds.
Datum time_of(const Database& db, std::int64_t time) {
  return Datum::of_time(time / (data::units_per_second(db.options.precision) / 1000));
}

template <class Visit>
void each_database(const SessionContext& context, Visit visit) {
  for (const auto& database : context.instance->all()) {
    const LockedDatabase db(database);
    if (!db->dropped) visit(*db);
  }
}

using Rows = std::vector<std::vector<Datum>>;

void database_rows(const SessionContext& context, const std::vector<data::Column>& columns, Rows& rows) {
  for (const auto name : {"information_schema", "performance_schema"}) {
    std::vector<Datum> row;
    for (const auto& c : columns) row.push_back(Datum::none(c.type));
    row[0] = text(name);
    row[3] = Datum::of_int(0);
    row[15] = text("ready");
    rows.push_back(std::move(row));
  }
  each_database(context, [&](const Database& db) {
    std::vector<Datum> row;
    for (const auto& c : columns) {
      std::string key = c.name;
      for (auto& ch : key) ch = static_cast<char>(std::toupper(static_cast<unsigned char>(ch)));
      const auto option = db.options.values.find(key);
      if (option == db.options.values.end()) {
        row.push_back(Datum::none(c.type));
      } else if (c.type == Type::varchar) {
        row.push_back(text(option->second));
      } else {
        std::int64_t value = 0;
        std::from_chars(option->second.data(), option->second.data() + option->second.size(), value);
        row.push_back(number(c.type, value));
      }
    }
    row[0] = text(db.name);
    row[1] = time_of(db, db.created);
    // The server counts tables only now and then; a fresh database says 0, and so do we.
    row[3] = Datum::of_int(0);
    row[5] = text("on");
    row[15] = text("ready");
    rows.push_back(std::move(row));
  });
}

void table_rows(const SessionContext& context, Rows& rows) {
  each_database(context, [&](const Database& db) {
    for (const auto& [id, child] : db.children) {
      const auto& table = *child->table;
      rows.push_back({text(child->name), text(db.name), time_of(db, child->created),
                      integer(static_cast<std::int64_t>(table.columns.size())), optional_text(table.super, table.name),
                      Datum::of_int(id), integer(db.vgroups[vgroup_of(child->name, db.vgroups.size())]),
                      integer(child->ttl), optional_text(child->has_comment, child->comment),
                      text(table.super ? "CHILD_TABLE" : "NORMAL_TABLE")});
    }
  });
}

void stable_rows(const SessionContext& context, Rows& rows) {
  each_database(context, [&](const Database& db) {
    for (const auto& [id, table] : db.tables) {
      if (!table->super) continue;
      rows.push_back({text(table->name), text(db.name), time_of(db, table->created),
                      integer(static_cast<std::int64_t>(table->columns.size())),
                      integer(static_cast<std::int64_t>(table->tags.size())), time_of(db, table->created),
                      optional_text(table->has_comment, table->comment), text("5000a"), text("-1a"), text(""),
                      Datum::of_int(id), Datum::of_bool(false), Datum::of_int(-1)});
    }
  });
}

void column_rows(const SessionContext& context, Rows& rows) {
  each_database(context, [&](const Database& db) {
    const auto add = [&](const std::string& name, const Table& table, std::string_view kind) {
      std::int64_t place = 0;
      for (const auto& c : table.columns) {
        rows.push_back({text(name), text(db.name), text(kind), text(c.column.name), text(data::sql_type(c.column)),
                        integer(stored_bytes(type_info(c.column))), Datum::none(Type::integer),
                        Datum::none(Type::integer), Datum::none(Type::integer), Datum::none(Type::varchar),
                        number(Type::smallint, ++place)});
      }
    };
    for (const auto& [id, table] : db.tables) {
      if (table->super) add(table->name, *table, "SUPER_TABLE");
    }
    for (const auto& [id, child] : db.children) {
      add(child->name, *child->table, child->table->super ? "CHILD_TABLE" : "NORMAL_TABLE");
    }
  });
}

void tag_rows(const SessionContext& context, Rows& rows) {
  each_database(context, [&](const Database& db) {
    for (const auto& [id, child] : db.children) append_tag_rows(db, *child, rows);
  });
}

void user_rows(const SessionContext& context, Rows& rows) {
  const std::lock_guard lock(context.instance->users_mutex);
  for (const auto& [name, password] : context.instance->users) {
    const auto yes = number(Type::tinyint, 1);
    rows.push_back({text(name), number(Type::tinyint, name == "root" ? 1 : 0), yes, yes, yes, Datum::of_time(0),
                    text("127.0.0.1/32,::1/128")});
  }
}

void vgroup_rows(const SessionContext& context, const std::vector<data::Column>& columns, Rows& rows) {
  each_database(context, [&](const Database& db) {
    std::vector<std::int64_t> tables(db.vgroups.size());
    for (const auto& [id, child] : db.children) ++tables[vgroup_of(child->name, tables.size())];
    for (std::size_t v = 0; v < tables.size(); ++v) {
      std::vector<Datum> row;
      for (const auto& c : columns) row.push_back(Datum::none(c.type));
      row[0] = integer(db.vgroups[v]);
      row[1] = text(db.name);
      row[2] = integer(tables[v]);
      row[3] = number(Type::smallint, 1);
      row[4] = text("leader");
      row[5] = text("0/0");
      row[15] = row[16] = integer(0);
      row[17] = number(Type::tinyint, 0);
      rows.push_back(std::move(row));
    }
  });
}

/// As ins_tags shows a value: with more digits than a cast gives.
std::string tag_text(const Datum& value) {
  const auto bits = value.bits;
  if (value.type == Type::float32) return fmt::format("{:.5f}", std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  if (value.type == Type::float64) return fmt::format("{:.9f}", std::bit_cast<double>(bits));
  return to_text(value);
}

}  // namespace

void append_tag_rows(const Database& db, const Child& child, std::vector<std::vector<Datum>>& rows) {
  const auto& table = *child.table;
  for (std::size_t i = 0; i < table.tags.size() && table.super; ++i) {
    const auto& column = table.tags[i].column;
    const auto value = datum_of(i < child.tags.size() ? child.tags[i] : Value{}, type_info(column));
    rows.push_back({text(child.name), text(db.name), text(table.name), text(column.name), text(data::sql_type(column)),
                    value.null ? Datum::none(Type::varchar) : text(tag_text(value))});
  }
}

std::vector<data::Column> columns_from_text(std::string_view list) {
  std::vector<data::Column> columns;
  while (!list.empty()) {
    const auto part = list.substr(0, list.find('|'));
    const auto blank = part.find(' ');
    Cursor in(part.substr(blank + 1));
    auto column = parse_type(in);
    column.name = part.substr(0, blank);
    columns.push_back(std::move(column));
    list.remove_prefix(std::min(list.size(), part.size() + 1));
  }
  return columns;
}

std::optional<SystemTable> system_table(const SessionContext& context, std::string_view schema, std::string_view name) {
  const std::span<const Definition> definitions = schema == "information_schema"
                                                      ? std::span<const Definition>(kInformation)
                                                      : std::span<const Definition>(kPerformance);
  for (const auto& definition : definitions) {
    if (definition.name != name) continue;
    SystemTable table;
    table.columns = columns_from_text(definition.columns);
    if (name == "ins_databases") database_rows(context, table.columns, table.rows);
    if (name == "ins_tables") table_rows(context, table.rows);
    if (name == "ins_stables") stable_rows(context, table.rows);
    if (name == "ins_columns") column_rows(context, table.rows);
    if (name == "ins_tags") tag_rows(context, table.rows);
    if (name == "ins_users") user_rows(context, table.rows);
    if (name == "ins_vgroups") vgroup_rows(context, table.columns, table.rows);
    subscription_rows(context, name, table.rows);
    const auto none = Datum::none(Type::timestamp);
    if (name == "ins_dnodes") {
      table.rows.push_back({integer(1), text("localhost:6030"), number(Type::smallint, 2), number(Type::smallint, 1024),
                            text("ready"), none, none, text("")});
    }
    if (name == "ins_mnodes") {
      table.rows.push_back({integer(1), text("localhost:6030"), text("leader"), text("ready"), none, none});
    }
    if (name == "ins_cluster") {
      table.rows.push_back({Datum::of_int(1), text("penstock-sandbox"), integer(0), none, text("sandbox"), none});
    }
    return table;
  }
  return std::nullopt;
}

}  // namespace penstock::sandbox
