#include <fmt/format.h>

#include <algorithm>

#include "sandbox/insert_literal.h"
#include "sandbox/sql_table.h"
#include "sandbox/store.h"
#include "sandbox/subscription_hub.h"

/// ALTER TABLE, DROP, DELETE.
namespace penstock::sandbox {
namespace {

using data::Limits;
using data::Type;

[[noreturn]] void invalid_alter(const std::string& why = "Invalid alter table statement") { refuse(0x2649, why); }
[[noreturn]] void not_wider() {
  refuse(0x264B,
         "Only varbinary/binary/nchar/geometry column length could be modified, and the length can only be "
         "increased, not decreased");
}

/// One change of a super or normal table, over a copy that replaces it when all is well.
class Alteration {
 public:
  Alteration(Table& table, bool child) : table_(table), changed_(table), child_(child) {}

  void add(const ColumnInfo& column, bool tag) {
    if (child_ && table_.super) invalid_alter();
    if (!table_.super) {
      if (tag) invalid_alter();
      if (table_.column(column.column.name) >= 0) refuse(0x263C, "Duplicated column names");
    }
    if (tag && !table_.tags.empty() && table_.tags[0].column.type == Type::json) {
      refuse(0x2633, "Only one tag if there is a json tag");
    }
    if (table_.column(column.column.name) >= 0) refuse(0x036B, "Column already exists");
    if (table_.tag(column.column.name) >= 0) refuse(0x0369, "Tag already exists");
    auto made = column;
    made.id = changed_.next_column_id++;
    made.added = !tag;
    (tag ? changed_.tags : changed_.columns).push_back(made);
    check_definition(changed_);
    if (!tag) changed_.add_layout();
  }

  void modify(const data::Column& column, bool tag) {
    if (child_ && table_.super) invalid_alter();
    auto& list = tag ? changed_.tags : changed_.columns;
    const int at = tag ? changed_.tag(column.name) : changed_.column(column.name);
    if (at < 0 && tag) refuse(0x260E, fmt::format("Invalid tag name: {}", column.name));
    if (at < 0) refuse(0x2602, fmt::format("Invalid column name: {}", column.name));
    auto& old = list[static_cast<std::size_t>(at)].column;
    const bool sized = is_text(old.type) || old.type == Type::varbinary || old.type == Type::geometry;
    if (old.type != column.type || !sized || column.width <= old.width) not_wider();
    old.width = column.width;
    check_definition(changed_);
  }

  void rename(const std::string& from, const std::string& to, bool tag) {
    if (tag ? !table_.super : table_.super) invalid_alter("Rename column only available for normal table");
    if (child_ && table_.super) invalid_alter();
    auto& list = tag ? changed_.tags : changed_.columns;
    const int at = tag ? changed_.tag(from) : changed_.column(from);
    if (at < 0 && tag) refuse(0x036A, "Tag does not exist");
    if (at < 0) refuse(0x2602, fmt::format("Invalid column name: {}", from));
    if (table_.tag(to) >= 0) refuse(0x0369, "Tag already exists");
    if (table_.column(to) >= 0) refuse(tag ? 0x036B : 0x263C, "Column already exists");
    list[static_cast<std::size_t>(at)].column.name = to;
  }

  /// Returns the index of a tag that went, else -1.
  int drop(const std::string& name, bool tag) {
    if (child_ && table_.super) invalid_alter();
    if (tag) {
      if (!table_.super) invalid_alter();
      const int at = table_.tag(name);
      if (at < 0) refuse(0x260E, fmt::format("Invalid tag name: {}", name));
      if (table_.tags.size() == 1) invalid_alter("the only tag cannot be dropped");
      changed_.tags.erase(changed_.tags.begin() + at);
      return at;
    }
    const int at = table_.column(name);
    if (at < 0) refuse(0x2602, fmt::format("Invalid column name: {}", name));
    if (at == 0 && !table_.super) refuse(0x264A, "Primary timestamp column cannot be dropped");
    if (at == 0) refuse(0x03C2, "Invalid stable alter options");
    if (table_.columns.size() == 2 || table_.columns[static_cast<std::size_t>(at)].column.composite_key) {
      refuse(table_.super ? 0x03C2 : 0x2649, "Invalid stable alter options");
    }
    changed_.columns.erase(changed_.columns.begin() + at);
    changed_.add_layout();
    return -1;
  }

  void apply(Database& db, int lost_tag, bool new_tag) {
    ++changed_.version;
    Store::Transaction transaction(*db.store);
    db.save(changed_);
    transaction.commit();
    table_ = std::move(changed_);
    for (auto* const child : table_.children) {
      if (lost_tag >= 0 && static_cast<std::size_t>(lost_tag) < child->tags.size()) {
        child->tags.erase(child->tags.begin() + lost_tag);
      }
      if (new_tag) child->tags.resize(table_.tags.size());
    }
  }

 private:
  Table& table_;
  Table changed_;
  bool child_;
};

void set_options(Database& db, const Database::Found& found, Cursor& in) {
  std::optional<std::string> comment;
  std::optional<std::int32_t> ttl;
  while (!in.at_end()) {
    if (in.accept("comment")) {
      comment = in.string_literal();
    } else if (in.accept("ttl")) {
      ttl = static_cast<std::int32_t>(std::clamp<std::int64_t>(in.integer(), 0, INT32_MAX));
    } else {
      in.syntax_error();
    }
  }
  in.finish();
  Store::Transaction transaction(*db.store);
  const auto set = [&](auto& target) {
    if (comment) {
      target.comment = *comment;
      target.has_comment = true;
    }
    if (ttl) target.ttl = *ttl;
    db.save(target);
  };
  if (found.child != nullptr) set(*found.child);
  if (found.child == nullptr || !found.table->super) set(*found.table);
  transaction.commit();
  if (found.child != nullptr) log_altered(db, *found.child, {});
  else log_altered(db, *found.table, {AlterChange::options, {}, nullptr, {}});
}

void set_tags(const SessionContext& context, Database& db, const Database::Found& found, Cursor& in) {
  const auto begin = in.peek().at;
  std::vector<std::string> names;
  const bool child = found.child != nullptr && found.table->super;
  // First the shape, then the meaning: an incomplete statement is told as such.
  do {
    names.push_back(in.identifier(Limits::column_name));
    in.expect("=");
    if (in.at_end()) in.syntax_error();
    in.accept("-");
    in.take();
  } while (in.accept(","));
  in.finish();
  if (found.child == nullptr) invalid_alter("Set tag value only available for child table");
  LiteralReader reader(in.sql(), begin, db.options.precision, *context.zone);
  auto tags = found.child->tags;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const int at = child ? found.table->tag(names[i]) : -1;
    if (at < 0) invalid_alter("Invalid tag name: " + names[i]);
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<std::ptrdiff_t>(i)) {
      refuse(0x263C, "Duplicated column names");
    }
    reader.take();
    reader.take();
    const auto index = static_cast<std::size_t>(at);
    places.push_back(index);
    tags[index] = reader.read(found.table->tags[index].column, LiteralReader::Role::tag);
    reader.accept(",");
  }
  found.child->tags = std::move(tags);
  Store::Transaction transaction(*db.store);
  db.save(*found.child);
  transaction.commit();
  log_altered(db, *found.child, places);
}

bool column_word(Cursor& in, bool& tag) {
  tag = in.accept("tag");
  return tag || in.accept("column");
}

}  // namespace

Answer run_alter_table(SessionContext& context, Cursor& in, bool stable) {
  const auto name = parse_table_name(in);
  if (in.at_end()) in.syntax_error();
  enum class Action { add, modify, rename, drop, set, options } action{};
  bool tag = false;
  ColumnInfo column;
  std::string from, to;
  const auto column_or_tag = [&] {
    if (!column_word(in, tag)) in.syntax_error();
  };
  if (in.accept("add")) {
    action = Action::add;
    column_or_tag();
    column = parse_column(in, tag);
  } else if (in.accept("modify")) {
    action = Action::modify;
    column_or_tag();
    column = parse_column(in, tag);
  } else if (in.accept("rename")) {
    action = Action::rename;
    column_or_tag();
    from = in.identifier(Limits::column_name);
    to = in.identifier(Limits::column_name);
  } else if (in.accept("drop")) {
    action = Action::drop;
    column_or_tag();
    from = in.identifier(Limits::column_name);
  } else if (in.accept_all({"set", "tag"})) {
    action = Action::set;
  } else if (in.peek().is("comment") || in.peek().is("ttl")) {
    action = Action::options;
  } else {
    in.syntax_error();
  }
  if (action != Action::set && action != Action::options) in.finish();
  const auto db = open_database(context, name.database);
  const auto found = db->find(name.table);
  if (stable && (found.table == nullptr || found.child != nullptr)) refuse(0x0362, "STable not exist");
  if (found.table == nullptr) refuse(0x2603, "Table does not exist");
  if (action == Action::options) {
    set_options(*db, found, in);
    return {};
  }
  if (action == Action::set) {
    set_tags(context, *db, found, in);
    return {};
  }
  Alteration change(*found.table, found.child != nullptr);
  int lost_tag = -1;
  switch (action) {
    case Action::add: change.add(column, tag); break;
    case Action::modify: change.modify(column.column, tag); break;
    case Action::rename: change.rename(from, to, tag); break;
    default: lost_tag = change.drop(from, tag);
  }
  change.apply(*db, lost_tag, action == Action::add && tag);
  AlterChange told;
  told.name = action == Action::add || action == Action::modify ? column.column.name : from;
  switch (action) {
    case Action::add: told.kind = tag ? AlterChange::add_tag : AlterChange::add_column; break;
    case Action::modify: told.kind = tag ? AlterChange::widen_tag : AlterChange::widen_column; break;
    case Action::rename: told.kind = tag ? AlterChange::rename_tag : AlterChange::rename_column; break;
    default: told.kind = tag ? AlterChange::drop_tag : AlterChange::drop_column;
  }
  if (action == Action::add || action == Action::modify) told.column = &column.column;
  told.new_name = to;
  log_altered(*db, *found.table, told);
  return {};
}

Answer run_drop(SessionContext& context, Cursor& in) {
  const bool stable = in.peek().is("stable");
  if (in.accept("database")) {
    const bool lenient = in.accept_all({"if", "exists"});
    const auto name = in.identifier(data::Limits::database_name);
    in.accept("force");
    in.finish();
    if (is_system_database(name)) refuse(0x0200, fmt::format("Cannot drop system database: `{}`", name));
    if (const auto database = context.instance->find(name))
      context.instance->subscriptions->check_free(database->name, {});
    if (!context.instance->drop(name) && !lenient) refuse(0x0388, "Database not exist");
    return {};
  }
  if (in.accept("topic")) return run_drop_topic(context, in);
  if (in.accept("consumer")) return run_drop_consumer_group(context, in);
  if (!stable && !in.peek().is("table")) {
    for (const auto word : {"index", "function", "view", "stream", "dnode", "qnode", "mnode", "tsma"}) {
      if (!in.peek().is(word)) continue;
      in.take();
      const bool lenient = in.accept_all({"if", "exists"});
      if (in.at_end()) in.syntax_error();
      if (lenient) return {};
      const std::string_view kind(word);
      if (kind == "index") refuse(0x0484, "index not exist");
      if (kind == "function") refuse(0x0374, "Func not exists");
      unsupported(fmt::format("DROP {}", kind));
    }
    if (in.accept("user")) {
      const auto name = in.identifier(24);
      in.finish();
      if (name == "root") refuse(0x2644, "Permission denied or target object not exist");
      const std::lock_guard lock(context.instance->users_mutex);
      if (context.instance->users.erase(name) == 0) refuse(0x0351, "Invalid user");
      return {};
    }
    in.syntax_error();
  }
  in.take();
  struct Item {
    TableName name;
    bool lenient;
  };
  std::vector<Item> items;
  in.accept("with");
  do {
    const bool lenient = in.accept_all({"if", "exists"});
    items.push_back({parse_table_name(in), lenient});
  } while (!stable && in.accept(","));
  in.finish();
  for (const auto& item : items) {
    const auto db = open_database(context, item.name.database);
    const auto found = db->find(item.name.table);
    if (stable && (found.table == nullptr || found.child != nullptr)) {
      if (item.lenient && found.table == nullptr) continue;
      refuse(0x0362, "STable not exist");
    }
    if (found.table == nullptr && !item.lenient) refuse(0x2603, "Table does not exist");
  }
  for (const auto& item : items) {
    const auto& database = item.name.database.empty() ? context.database : item.name.database;
    context.instance->subscriptions->check_free(database, item.name.table);
  }
  for (std::size_t i = 0; i < items.size();) {
    const auto& database = items[i].name.database;
    const auto db = open_database(context, database);
    ChangeScope changes(*db);
    for (; i < items.size() && items[i].name.database == database; ++i) {
      const auto found = db->find(items[i].name.table);
      if (found.table == nullptr) continue;
      Store::Transaction transaction(*db->store);
      if (found.child != nullptr) {
        changes.dropped(*found.child);
        db->drop(*found.child);
      } else {
        log_dropped(*db, *found.table);
        db->drop(*found.table);
      }
      transaction.commit();
    }
    changes.commit();
  }
  return {};
}

}  // namespace penstock::sandbox
