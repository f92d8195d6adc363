#include <fmt/format.h>

#include "sandbox/result_json.h"
#include "sandbox/subscription_log.h"
#include "sandbox/value.h"

/// Changes of tables as the JSON that consumers get.
namespace penstock::sandbox {
namespace {

using data::Type;

std::string json_text(std::string_view text) {
  std::string out;
  append_json_cell(out, text);
  return out;
}

bool has_length(Type type) noexcept {
  return is_text(type) || type == Type::varbinary || type == Type::geometry || type == Type::blob;
}

std::string typed(const data::Column& column, std::string_view type_name, std::string_view length_name) {
  auto out = fmt::format("\"{}\":{}", type_name, static_cast<int>(column.type));
  if (has_length(column.type)) out += fmt::format(",\"{}\":{}", length_name, column.width);
  return out;
}

std::string columns_json(const std::vector<ColumnInfo>& columns) {
  std::string out;
  for (const auto& c : columns) {
    if (!out.empty()) out += ',';
    out += fmt::format("{{\"name\":{},{},\"isPrimarykey\":{},\"encode\":{},\"compress\":{},\"level\":{}}}",
                       json_text(c.column.name), typed(c.column, "type", "length"), c.column.composite_key,
                       json_text(c.encode), json_text(c.compress), json_text(c.level));
  }
  return out;
}

std::string tags_json(const std::vector<ColumnInfo>& tags) {
  std::string out;
  for (const auto& t : tags) {
    if (!out.empty()) out += ',';
    out += fmt::format("{{\"name\":{},{}}}", json_text(t.column.name), typed(t.column, "type", "length"));
  }
  return out;
}

/// As the server writes a tag value into SQL: texts in quotes.
std::string tag_text(const data::Column& column, const Value& value) {
  const auto datum = datum_of(value, type_info(column));
  if (column.type == Type::json) return datum.text;
  return data::is_variable(column.type) ? '"' + to_text(datum) + '"' : to_text(datum);
}

std::string child_members(const TableImage& image) {
  const auto& table = *image.table;
  std::string tags;
  for (std::size_t i = 0; i < table.tags.size() && i < image.child.tags.size(); ++i) {
    const auto& value = image.child.tags[i];
    if (value.state != Value::State::value) continue;
    const auto& column = table.tags[i].column;
    if (!tags.empty()) tags += ',';
    std::string shown = data::is_variable(column.type) ? json_text(tag_text(column, value))
                        : column.type == Type::boolean ? (value.bits != 0 ? "1" : "0")
                                                       : tag_text(column, value);
    tags += fmt::format("{{\"name\":{},\"type\":{},\"value\":{}}}", json_text(column.name),
                        static_cast<int>(column.type), shown);
  }
  return fmt::format("\"tableName\":{},\"using\":{},\"tagNum\":{},\"tags\":[{}]", json_text(image.child.name),
                     json_text(table.name), table.tags.size(), tags);
}

void append(Database& database, const Child& child, Change change) {
  database.changes->append(vgroup_of(child.name, database.changes->size()), std::move(change));
  database.changes->publish();
}

}  // namespace

std::string creation_json(const Table& table) {
  return fmt::format("{{\"type\":\"create\",\"tableType\":\"{}\",\"tableName\":{},\"columns\":[{}],\"tags\":[{}]}}",
                     table.super ? "super" : "normal", json_text(table.name), columns_json(table.columns),
                     tags_json(table.tags));
}

std::string creation_json(std::span<const TableImage* const> tables) {
  if (!tables[0]->table->super) return creation_json(*tables[0]->table);
  std::string more;
  for (std::size_t i = 0; tables.size() > 1 && i < tables.size(); ++i)
    more += fmt::format("{}{{{}}}", i > 0 ? "," : "", child_members(*tables[i]));
  return fmt::format("{{\"type\":\"create\",\"tableType\":\"child\",{},\"createList\":[{}]}}",
                     child_members(*tables[0]), more);
}

std::string drop_json(std::span<const std::string_view> names) {
  std::string list;
  for (const auto name : names) list += (list.empty() ? "" : ",") + json_text(name);
  return fmt::format("{{\"type\":\"drop\",\"tableNameList\":[{}]}}", list);
}

void log_created(Database& database, const Table& table) {
  if (!database.changes) return;
  if (!table.super) {
    const Child* const rows = table.children.front();
    log_created(database, std::span(&rows, 1));
    return;
  }
  Change change;
  change.kind = Change::Kind::create_stable;
  change.table = table.id;
  change.json = creation_json(table);
  database.changes->append_to_all(change);
  database.changes->publish();
}

void log_created(Database& database, std::span<const Child* const> children) {
  ChangeScope scope(database);
  for (const auto* const child : children) scope.created(*child);
  scope.commit();
}

void log_altered(Database& database, const Table& table, const AlterChange& how) {
  if (!database.changes) return;
  auto json = fmt::format("{{\"type\":\"alter\",\"tableType\":\"{}\",\"tableName\":{},\"alterType\":{}",
                          table.super ? "super" : "normal", json_text(table.name), static_cast<int>(how.kind));
  if (!how.name.empty()) json += ",\"colName\":" + json_text(how.name);
  if (how.column != nullptr) json += ',' + typed(*how.column, "colType", "colLength");
  if (!how.new_name.empty()) json += ",\"colNewName\":" + json_text(how.new_name);
  Change change;
  change.kind = table.super ? Change::Kind::alter_stable : Change::Kind::alter_table;
  change.table = table.id;
  change.json = json + '}';
  if (table.super) {
    database.changes->append_to_all(change);
    database.changes->publish();
  } else {
    append(database, *table.children.front(), std::move(change));
  }
}

void log_altered(Database& database, const Child& child, std::span<const std::size_t> tags) {
  if (!database.changes) return;
  database.changes->forget(child.id);
  const auto value = [&](std::size_t at) {
    const auto& column = child.table->tags[at].column;
    const auto& v = child.tags[at];
    const bool null = v.state != Value::State::value;
    return fmt::format("\"colName\":{},{}\"colValueNull\":{}", json_text(column.name),
                       null ? "" : fmt::format("\"colValue\":{},", json_text(tag_text(column, v))), null);
  };
  const auto kind = tags.empty()       ? AlterChange::options
                    : tags.size() == 1 ? AlterChange::set_tag
                                       : AlterChange::set_tags;
  auto json = fmt::format("{{\"type\":\"alter\",\"tableType\":\"{}\",\"tableName\":{},\"alterType\":{}",
                          child.table->super ? "child" : "normal", json_text(child.name), static_cast<int>(kind));
  if (tags.size() == 1) json += ',' + value(tags[0]);
  if (tags.size() > 1) {
    json += ",\"tags\":[";
    for (std::size_t i = 0; i < tags.size(); ++i) json += fmt::format("{}{{{}}}", i > 0 ? "," : "", value(tags[i]));
    json += ']';
  }
  Change change;
  change.kind = Change::Kind::alter_table;
  change.table = child.table->id;
  change.json = json + '}';
  append(database, child, std::move(change));
}

void log_dropped(Database& database, const Table& table) {
  if (!database.changes) return;
  Change change;
  change.kind = Change::Kind::drop_stable;
  change.table = table.id;
  change.json = fmt::format("{{\"type\":\"drop\",\"tableType\":\"super\",\"tableName\":{}}}", json_text(table.name));
  database.changes->append_to_all(change);
  for (const auto* const child : table.children) database.changes->forget(child->id);
  database.changes->publish();
}

void log_erased(Database& database, const Table& table, std::string_view name, std::span<const Child* const> children,
                std::int64_t first, std::int64_t last) {
  if (!database.changes) return;
  Change change;
  change.kind = Change::Kind::erase_rows;
  change.table = table.id;
  change.json = fmt::format("{{\"type\":\"delete\",\"sql\":{}}}",
                            json_text(fmt::format("delete from `{0}` where `{1}` >= {2} and `{1}` <= {3}", name,
                                                  table.columns[0].column.name, first, last)));
  std::vector<bool> told(database.changes->size());
  for (const auto* const child : children) {
    const auto vgroup = vgroup_of(child->name, told.size());
    if (told[vgroup]) continue;
    told[vgroup] = true;
    database.changes->append(vgroup, change);
  }
  database.changes->publish();
}

}  // namespace penstock::sandbox
