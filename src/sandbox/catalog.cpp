#include "sandbox/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "sandbox/store.h"
#include "sandbox/subscription_log.h"
#include "sandbox/value_time.h"

namespace penstock::sandbox {
namespace {

using data::Type;
using Json = nlohmann::json;

int find_name(const std::vector<ColumnInfo>& columns, std::string_view name) noexcept {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].column.name == name) return static_cast<int>(i);
  }
  return -1;
}

Json columns_json(const std::vector<ColumnInfo>& columns) {
  Json list = Json::array();
  for (const auto& c : columns) {
    list.push_back({{"name", c.column.name},
                    {"type", static_cast<int>(c.column.type)},
                    {"width", c.column.width},
                    {"precision", c.column.precision},
                    {"scale", c.column.scale},
                    {"key", c.column.composite_key},
                    {"id", c.id},
                    {"encode", c.encode},
                    {"compress", c.compress},
                    {"level", c.level},
                    {"added", c.added}});
  }
  return list;
}

std::vector<ColumnInfo> columns_from(const Json& list) {
  std::vector<ColumnInfo> columns;
  for (const auto& j : list) {
    ColumnInfo c;
    j.at("name").get_to(c.column.name);
    c.column.type = static_cast<Type>(j.at("type").get<int>());
    j.at("width").get_to(c.column.width);
    j.at("precision").get_to(c.column.precision);
    j.at("scale").get_to(c.column.scale);
    j.at("key").get_to(c.column.composite_key);
    j.at("id").get_to(c.id);
    j.at("encode").get_to(c.encode);
    j.at("compress").get_to(c.compress);
    j.at("level").get_to(c.level);
    j.at("added").get_to(c.added);
    columns.push_back(std::move(c));
  }
  return columns;
}

std::shared_ptr<const Layout> make_layout(std::uint16_t index,
                                          const std::vector<std::pair<std::uint16_t, Type>>& slots) {
  auto layout = std::make_shared<Layout>();
  layout->index = index;
  std::uint32_t offset = 0;
  for (const auto& [id, type] : slots) {
    const auto size = data::is_variable(type) ? 4u : static_cast<std::uint32_t>(data::fixed_size(type));
    layout->slots.push_back({id, type, offset, size});
    offset += size;
  }
  layout->fixed_bytes = offset;
  layout->state_bytes = (slots.size() + 3) / 4;
  return layout;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
T take(std::string_view& in) {
  T value{};
  if (in.size() < sizeof value) {
    in = {};
    return value;
  }
  std::memcpy(&value, in.data(), sizeof value);
  in.remove_prefix(sizeof value);
  return value;
}

}  // namespace

int Table::column(std::string_view name_) const noexcept { return find_name(columns, name_); }
int Table::tag(std::string_view name_) const noexcept { return find_name(tags, name_); }

void Table::add_layout() {
  std::vector<std::pair<std::uint16_t, Type>> slots;
  for (std::size_t i = 1; i < columns.size(); ++i) slots.emplace_back(columns[i].id, columns[i].column.type);
  layouts.push_back(make_layout(static_cast<std::uint16_t>(layouts.size()), slots));
}

std::string describe_type(const data::Column& column) {
  if (column.type == Type::decimal64 || column.type == Type::decimal128) {
    return fmt::format("DECIMAL({}, {})", column.precision, column.scale);
  }
  return std::string(data::type_name(column.type));
}

void set_default_codec(ColumnInfo& column) {
  const auto set = [&](const char* encode, const char* compress) {
    column.encode = encode;
    column.compress = compress;
  };
  switch (column.column.type) {
    case Type::boolean: return set("bit-packing", "zstd");
    case Type::tinyint:
    case Type::smallint:
    case Type::utinyint:
    case Type::usmallint: return set("simple8b", "zlib");
    case Type::integer:
    case Type::bigint:
    case Type::uinteger:
    case Type::ubigint: return set("simple8b", "lz4");
    case Type::float32:
    case Type::float64: return set("delta-d", "lz4");
    case Type::timestamp: return set("delta-i", "lz4");
    case Type::geometry:
    case Type::blob:
    case Type::json: return set("disabled", "lz4");
    default: return set("disabled", "zstd");
  }
}

std::string to_json(const Table& table) {
  Json layouts = Json::array();
  for (const auto& layout : table.layouts) {
    Json slots = Json::array();
    for (const auto& slot : layout->slots) slots.push_back({slot.column_id, static_cast<int>(slot.type)});
    layouts.push_back(std::move(slots));
  }
  return Json{{"super", table.super},
              {"name", table.name},
              {"columns", columns_json(table.columns)},
              {"tags", columns_json(table.tags)},
              {"next_column_id", table.next_column_id},
              {"version", table.version},
              {"comment", table.has_comment ? Json(table.comment) : Json()},
              {"ttl", table.ttl},
              {"created", table.created},
              {"layouts", std::move(layouts)}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

Table table_from_json(std::string_view text) {
  const Json j = Json::parse(text);
  Table table;
  j.at("super").get_to(table.super);
  j.at("name").get_to(table.name);
  table.columns = columns_from(j.at("columns"));
  table.tags = columns_from(j.at("tags"));
  j.at("next_column_id").get_to(table.next_column_id);
  j.at("version").get_to(table.version);
  table.has_comment = j.at("comment").is_string();
  if (table.has_comment) j.at("comment").get_to(table.comment);
  j.at("ttl").get_to(table.ttl);
  j.at("created").get_to(table.created);
  for (const auto& slots : j.at("layouts")) {
    std::vector<std::pair<std::uint16_t, Type>> list;
    for (const auto& slot : slots) list.emplace_back(slot.at(0), static_cast<Type>(slot.at(1).get<int>()));
    table.layouts.push_back(make_layout(static_cast<std::uint16_t>(table.layouts.size()), list));
  }
  return table;
}

std::string pack_tags(const Table& table, const std::vector<Value>& tags) {
  std::string out;
  for (std::size_t i = 0; i < tags.size() && i < table.tags.size(); ++i) {
    put(out, table.tags[i].id);
    put(out, tags[i].state);
    put(out, tags[i].bits);
    put(out, static_cast<std::uint32_t>(tags[i].text.size()));
    out += tags[i].text;
  }
  return out;
}

std::vector<Value> unpack_tags(const Table& table, std::string_view in) {
  std::vector<Value> tags(table.tags.size());
  while (!in.empty()) {
    const auto id = take<std::uint16_t>(in);
    Value value;
    value.state = take<Value::State>(in);
    value.bits = take<std::uint64_t>(in);
    const auto size = take<std::uint32_t>(in);
    if (size > in.size()) break;
    value.text = in.substr(0, size);
    in.remove_prefix(size);
    for (std::size_t i = 0; i < tags.size(); ++i) {
      if (table.tags[i].id == id) tags[i] = value;
    }
  }
  return tags;
}

// --- Database ---

Database::Database(std::string name_, std::unique_ptr<Store> store_)
    : name(std::move(name_)), store(std::move(store_)) {
  load();
}

Database::~Database() {
  if (dropped || !store) return;
  try {
    Store::Transaction transaction(*store);
    for (const auto& [id, child] : children) store->set_child_rows(id, child->rows);
    store->set_meta("clean", "1");
    transaction.commit();
  } catch (const std::exception&) {
    // The rows are counted again when the file is opened without this mark.
  }
}

void Database::load() {
  const auto text = store->meta("options");
  if (text.empty()) return;
  const Json j = Json::parse(text);
  options.values = j.at("values").get<std::map<std::string, std::string>>();
  options.precision = static_cast<data::Precision>(j.at("precision").get<int>());
  j.at("keep_minutes").get_to(options.keep_minutes);
  j.at("created").get_to(created);
  const bool clean = store->meta("clean") == "1";
  store->each_table([&](std::uint32_t id, std::string_view definition) {
    auto table = std::make_unique<Table>(table_from_json(definition));
    table->id = id;
    next_id_ = std::max(next_id_, id + 1);
    if (table->super) by_name_[table->name] = {table.get(), nullptr};
    tables.emplace(id, std::move(table));
  });
  store->each_child([&](const Store::ChildRow& row) {
    const auto parent = tables.find(row.table);
    if (parent == tables.end()) return;
    auto child = std::make_unique<Child>();
    child->id = row.id;
    child->table = parent->second.get();
    child->name = row.name;
    child->tags = unpack_tags(*child->table, row.tags);
    child->comment = row.comment;
    child->has_comment = row.has_comment;
    child->ttl = static_cast<std::int32_t>(row.ttl);
    child->created = row.created;
    child->rows = row.rows;
    next_id_ = std::max(next_id_, child->id + 1);
    child->table->children.push_back(child.get());
    by_name_[child->name] = {child->table, child.get()};
    children.emplace(child->id, std::move(child));
  });
  if (!clean) {
    for (const auto& [id, child] : children) child->rows = store->count_rows(id);
  }
  store->set_meta("clean", "0");
}

Database::Found Database::find(std::string_view table) const {
  const auto found = by_name_.find(table);
  return found == by_name_.end() ? Found{} : found->second;
}

Table& Database::add_table(Table made) {
  made.id = next_id_++;
  made.created = now_in(options.precision);
  made.add_layout();
  auto table = std::make_unique<Table>(std::move(made));
  auto& result = *table;
  store->put_table(result.id, to_json(result));
  if (result.super) by_name_[result.name] = {&result, nullptr};
  tables.emplace(result.id, std::move(table));
  return result;
}

Child& Database::add_child(Child made) {
  made.id = next_id_++;
  made.created = now_in(options.precision);
  auto child = std::make_unique<Child>(std::move(made));
  auto& result = *child;
  save(result);
  result.table->children.push_back(&result);
  by_name_[result.name] = {result.table, &result};
  children.emplace(result.id, std::move(child));
  return result;
}

void Database::save(const Table& table) { store->put_table(table.id, to_json(table)); }

void Database::save(const Child& child) {
  const auto tags = pack_tags(*child.table, child.tags);
  store->put_child({child.id, child.table->id, child.name, tags, child.comment, child.created, child.ttl, child.rows,
                    child.has_comment});
}

void Database::save_options() {
  store->set_meta("options", Json{{"values", options.values},
                                  {"precision", static_cast<int>(options.precision)},
                                  {"keep_minutes", options.keep_minutes},
                                  {"created", created}}
                                 .dump());
}

void Database::forget(std::uint32_t id) {
  const auto found = children.find(id);
  if (found == children.end()) return;
  auto& child = *found->second;
  std::erase(child.table->children, &child);
  by_name_.erase(child.name);
  children.erase(found);
}

void Database::drop(Child& child) {
  if (!child.table->super) return drop(*child.table);
  store->erase_rows(child.id, INT64_MIN, INT64_MAX);
  store->erase_child(child.id);
  std::erase(child.table->children, &child);
  by_name_.erase(child.name);
  children.erase(child.id);
}

void Database::drop(Table& table) {
  for (const auto* const child : table.children) {
    store->erase_rows(child->id, INT64_MIN, INT64_MAX);
    store->erase_child(child->id);
    by_name_.erase(child->name);
    children.erase(child->id);
  }
  store->erase_table(table.id);
  if (table.super) by_name_.erase(table.name);
  tables.erase(table.id);
}

void Database::time_range(std::int64_t& first, std::int64_t& last) const {
  const auto units = data::units_per_second(options.precision);
  std::int64_t keep = 0;
  if (__builtin_mul_overflow(options.keep_minutes * 60, units, &keep)) keep = INT64_MAX;
  if (__builtin_sub_overflow(now_in(options.precision), keep, &first)) first = INT64_MIN;
  switch (options.precision) {
    case data::Precision::milliseconds: last = 31556995200000; break;
    case data::Precision::microseconds: last = 31556995200000000; break;
    case data::Precision::nanoseconds: last = 9214646400000000000; break;
  }
}

}  // namespace penstock::sandbox
