#include "sandbox/subscription_topic.h"

#include <fmt/format.h>

#include <algorithm>

#include "sandbox/result_json.h"
#include "sandbox/store_row.h"
#include "wire/bytes.h"
#include "wire/tmq.h"

namespace penstock::sandbox {
namespace {

using data::Type;
using Kind = Expr::Kind;

[[noreturn]] void invalid_query() { refuse(0x2639, "Invalid topic query"); }

/// A query of a topic is a row's business: nothing over several rows.
void check_rows_only(const Select& select) {
  const bool more = !select.has_from || select.subquery || select.distinct || select.tags_only ||
                    !select.group_by.empty() || !select.partition_by.empty() || select.having ||
                    !select.order_by.empty() || select.limit || select.offset || select.slimit || select.soffset ||
                    select.union_with;
  if (more) invalid_query();
}

struct Item {
  ExprPtr made;  ///< of a star
  const Expr* expr = nullptr;
  std::string name;
};

/// `star`: the columns that * may mean; nullptr: all.
std::vector<Item> bind_items(Binder& binder, const Source& source, Select& select,
                             const std::vector<std::string>* star) {
  std::vector<Item> items;
  for (auto& item : select.items) {
    auto& e = *item.expr;
    if (e.kind != Kind::star) {
      try {
        binder.bind(e, Binder::Aggregates::refused);
      } catch (const RefusalError& error) {
        if (error.refusal().code == 0x2608) invalid_query();  // an aggregate
        throw;
      }
      items.push_back({nullptr, &e, !item.alias.empty() ? item.alias : e.kind == Kind::column ? e.name : e.text});
      continue;
    }
    if (!e.table.empty()) binder.column(e.table, source.columns.front().name);
    const auto end = source.star_has_tags ? static_cast<std::size_t>(source.tbname) : source.first_tag;
    for (std::size_t i = 0; i < end; ++i) {
      const auto& name = source.columns[i].name;
      if (star != nullptr && std::find(star->begin(), star->end(), name) == star->end()) continue;
      auto column = std::make_unique<Expr>();
      column->kind = Kind::column;
      column->name = column->text = source.columns[i].name;
      column->column = static_cast<int>(i);
      column->type = source.columns[i].type;
      const auto* const expr = column.get();
      items.push_back({std::move(column), expr, source.columns[i].name});
    }
  }
  return items;
}

std::string schema_json(const std::vector<Item>& items) {
  std::string out;
  for (const auto& item : items) {
    std::string name;
    append_json_text(name, item.name);
    const auto& type = item.expr->type;
    out += fmt::format("{}{{\"name\":{},\"type\":\"{}\",\"length\":{}}}", out.empty() ? "" : ",", name,
                       data::type_name(type.type), type.length);
  }
  return '[' + out + ']';
}

/// Packed rows of a change, one after the other.
template <class Visit>
void each_packed(const Change::Rows& rows, Visit visit) {
  for (std::string_view rest = rows.packed; !rest.empty();) {
    const auto time = wire::load<std::int64_t>(rest.data());
    const auto size = wire::load<std::uint32_t>(rest.data() + 8);
    visit(time, rest.substr(12, size));
    rest.remove_prefix(12 + size);
  }
}

/// The columns that a row gives, by slot: rows that give the same ones share a part, as the server's do.
std::vector<bool> given_slots(const RowReader& reader, std::size_t slots) {
  std::vector<bool> given(slots);
  for (std::size_t s = 0; s < slots; ++s) given[s] = reader.state(s) != Value::State::not_given;
  return given;
}

Value value_at(const RowReader& reader, std::size_t slot, Type type) {
  if (reader.state(slot) != Value::State::value) return {};
  if (data::is_variable(type)) return present(0, std::string(reader.text(slot)));
  if (type == Type::decimal128) return present(0, std::string(reader.fixed(slot), 16));
  return present(bits_of(type, reader.fixed(slot)));
}

void add_field(Message::Part& part, const ColumnInfo& column) {
  part.rows.fields.push_back(result_field(column.column.name, type_info(column.column)));
  part.flags.push_back(column.added ? 0x80 : 1);
  part.ids.push_back(column.id + 1);
}

/// All that the rows say: what topics on databases and super tables show.
std::size_t add_whole_rows(const Change::Rows& rows, data::Precision precision, std::vector<Message::Part>& parts) {
  const auto& table = *rows.image->table;
  std::vector<bool> last;
  Message::Part* part = nullptr;
  std::vector<std::pair<std::size_t, std::size_t>> shown;  // slot, place in table.columns
  std::uint16_t last_layout = 0;
  each_packed(rows, [&](std::int64_t time, std::string_view packed) {
    const auto index = RowReader::layout_index(packed);
    const auto& layout = *table.layouts[index];
    const RowReader reader(layout, packed);
    auto given = given_slots(reader, layout.slots.size());
    if (part == nullptr || given != last || index != last_layout) {
      part = &parts.emplace_back();
      part->table = rows.image->child.name;
      part->rows.is_update = false;
      part->rows.precision = precision;
      add_field(*part, table.columns[0]);
      shown.clear();
      for (std::size_t c = 1; c < table.columns.size(); ++c) {
        for (std::size_t s = 0; s < layout.slots.size(); ++s) {
          if (layout.slots[s].column_id != table.columns[c].id || !given[s]) continue;
          shown.emplace_back(s, c);
          add_field(*part, table.columns[c]);
        }
      }
      last = std::move(given);
      last_layout = index;
    }
    std::vector<Value> cells;
    cells.reserve(1 + shown.size());
    cells.push_back(present(static_cast<std::uint64_t>(time)));
    for (const auto& [slot, column] : shown) {
      cells.push_back(value_at(reader, slot, table.columns[column].column.type));
    }
    part->rows.rows.push_back(std::move(cells));
  });
  return rows.count;
}

}  // namespace

Topic parse_topic(const SessionContext& context, Cursor& in, bool& exists_ok) {
  Topic topic;
  topic.sql = in.sql();
  topic.session_database = context.database;
  topic.created = now_in(data::Precision::milliseconds);
  exists_ok = in.accept_all({"if", "not", "exists"});
  topic.name = in.identifier(192);
  if (in.peek().is("with") || in.peek().is("only")) {
    topic.only_meta = in.take().is("only");
    topic.with_meta = true;
    in.expect("meta");
  }
  in.expect("as");
  topic.schema = "NULL";
  if (in.accept("database")) {
    topic.kind = Topic::Kind::database;
    const auto name = in.identifier(data::Limits::database_name);
    in.finish();
    topic.database = context.instance->find(name);
    if (!topic.database || is_system_database(name)) refuse(0x0388, "Database not exist");
    return topic;
  }
  if (in.accept("stable")) {
    topic.kind = Topic::Kind::stable;
    Select select;
    select.has_from = true;
    select.from = parse_table_name(in);
    if (in.accept("where")) {
      const auto at = in.peek().at;
      select.where = parse_condition(in, nullptr);
      topic.select = in.text_from(at);
    }
    in.finish();
    topic.database = context.instance->find(select.from.database.empty() ? context.database : select.from.database);
    if (!topic.database) refuse(0x0388, "Database not exist");
    const LockedDatabase db(topic.database);
    const auto found = db->find(select.from.table);
    // The code that the server recorded gives, whatever it means.
    if (found.table == nullptr || found.child != nullptr) refuse(0x03D3, "Conflict transaction not completed");
    topic.table = found.table->id;
    if (select.where) {
      auto source = table_source(*found.table, nullptr, "", db->options.precision);
      Binder(context, source, {}).bind(*select.where, Binder::Aggregates::refused);
      EvalContext eval;
      eval.session = &context;
      const auto split = split_condition(source, select.where.get(), eval);
      if (!split.of_row.empty() || split.first != INT64_MIN || split.last != INT64_MAX) invalid_query();
    }
    return topic;
  }
  const auto begin = in.peek().at;
  if (topic.with_meta) in.syntax_error();
  in.expect("select");
  const auto select = parse_select(in, nullptr);
  topic.select = in.text_from(begin);
  in.finish();
  check_rows_only(*select);
  const auto& database = select->from.database.empty() ? context.database : select->from.database;
  if (is_system_database(database)) invalid_query();
  auto source = open_source(context, *select, {});
  topic.database = context.instance->find(database);
  Binder binder(context, source, {});
  const auto items = bind_items(binder, source, *select, nullptr);
  for (const auto& column : source.columns) topic.star.push_back(column.name);
  if (select->where) binder.bind(*select->where, Binder::Aggregates::refused);
  topic.table = source.table->id;
  topic.child = source.child != nullptr && source.table->super ? source.child->id : 0;
  topic.schema = schema_json(items);
  return topic;
}

// --- TopicView ---

struct TopicView::Bound {
  std::shared_ptr<Table> table;  ///< keeps the key of the map its own
  std::unique_ptr<Select> select;
  ExprPtr where;  ///< of a super table
  Source source;
  std::vector<Item> items;
  std::vector<ResultField> fields;
  std::vector<bool> used;
  bool broken = false;  ///< a column is gone: there is nothing to show
};

TopicView::TopicView(std::shared_ptr<const Topic> topic, SessionContext context)
    : topic_(std::move(topic)), context_(std::move(context)) {
  context_.database = topic_->session_database;
}
TopicView::~TopicView() = default;

TopicView::Bound* TopicView::bound(const std::shared_ptr<Table>& table) {
  auto& slot = bound_[table.get()];
  if (slot) return slot->broken ? nullptr : slot.get();
  slot = std::make_unique<Bound>();
  auto& b = *slot;
  b.table = table;
  try {
    Cursor in(topic_->select);
    const auto precision = topic_->database->options.precision;
    if (topic_->kind == Topic::Kind::stable) {
      b.where = parse_condition(in, nullptr);
      b.source = table_source(*table, nullptr, "", precision);
      Binder(context_, b.source, {}).bind(*b.where, Binder::Aggregates::refused);
      return &b;
    }
    in.expect("select");
    b.select = parse_select(in, nullptr);
    static Child any;
    b.source = table_source(*table, topic_->child != 0 || !table->super ? &any : nullptr, b.select->alias, precision);
    b.source.name = b.select->from.table;
    Binder binder(context_, b.source, {});
    b.items = bind_items(binder, b.source, *b.select, &topic_->star);
    if (b.select->where) binder.bind(*b.select->where, Binder::Aggregates::refused);
  } catch (const RefusalError&) {
    b.broken = true;
    return nullptr;
  }
  b.used.assign(b.source.columns.size(), false);
  for (const auto& item : b.items) {
    collect_columns(*item.expr, b.used);
    b.fields.push_back(result_field(item.name, item.expr->type));
  }
  if (b.select->where) collect_columns(*b.select->where, b.used);
  return &b;
}

bool TopicView::chosen(const TableImage& image) {
  const auto& topic = *topic_;
  if (topic.kind == Topic::Kind::database) return true;
  if (image.table->id != topic.table) return false;
  if (topic.kind == Topic::Kind::query) return topic.child == 0 || topic.child == image.child.id;
  if (topic.select.empty()) return true;
  auto* const b = bound(image.table);
  if (b == nullptr) return false;
  EvalContext eval;
  eval.session = &context_;
  eval.precision = b->source.precision;
  bool holds = false;
  Child child = image.child;
  b->source.child = &child;
  scan_children(b->source, b->where.get(), eval, [&](std::span<const Datum>) {
    holds = true;
    return false;
  });
  b->source.child = nullptr;
  return holds;
}

std::size_t TopicView::add_query_rows(const Change::Rows& rows, std::vector<Message::Part>& parts) {
  auto* const b = bound(rows.image->table);
  if (b == nullptr) return 0;
  EvalContext eval;
  eval.session = &context_;
  eval.precision = b->source.precision;
  eval.now = now_in(b->source.precision);
  Message::Part part;
  part.rows.is_update = false;
  part.rows.precision = b->source.precision;
  Child child = rows.image->child;
  std::string_view rest = rows.packed;
  const auto next = [&](std::int64_t& time, std::string_view& packed) {
    if (rest.empty()) return false;
    time = wire::load<std::int64_t>(rest.data());
    const auto size = wire::load<std::uint32_t>(rest.data() + 8);
    packed = rest.substr(12, size);
    rest.remove_prefix(12 + size);
    return true;
  };
  scan_packed(b->source, child, b->select->where.get(), eval, b->used, next, [&](std::span<const Datum> row) {
    eval.row = row;
    std::vector<Value> cells;
    cells.reserve(b->items.size());
    for (const auto& item : b->items) cells.push_back(value_of(evaluate(*item.expr, eval), item.expr->type));
    part.rows.rows.push_back(std::move(cells));
    return true;
  });
  if (part.rows.rows.empty()) return 0;
  part.rows.fields = b->fields;
  part.flags.assign(b->fields.size(), 0);
  for (std::size_t i = 0; i < b->fields.size(); ++i) part.ids.push_back(static_cast<std::int32_t>(i) + 1);
  const auto count = part.rows.rows.size();
  parts.push_back(std::move(part));
  return count;
}

std::size_t TopicView::add_rows(const Change::Rows& rows, std::vector<Message::Part>& parts) {
  if (topic_->only_meta) return 0;
  // Rows of a table that is gone are not told any more, as by the server.
  if (!topic_->database->children.contains(rows.image->child.id) || !chosen(*rows.image)) return 0;
  if (topic_->kind == Topic::Kind::query) return add_query_rows(rows, parts);
  return add_whole_rows(rows, topic_->database->options.precision, parts);
}

std::vector<const TableImage*> TopicView::created(const Change& change) {
  std::vector<const TableImage*> list;
  if (!topic_->with_meta || topic_->kind == Topic::Kind::query) return list;
  for (const auto& image : change.created) {
    if (chosen(*image)) list.push_back(image.get());
  }
  return list;
}

std::optional<TopicView::Meta> TopicView::meta(const Change& change) {
  if (!topic_->with_meta || topic_->kind == Topic::Kind::query) return std::nullopt;
  const bool all = topic_->kind == Topic::Kind::database;
  const auto type = [](wire::RawType raw) { return wire::number(raw); };
  switch (change.kind) {
    case Change::Kind::begin:
    case Change::Kind::rows: return std::nullopt;
    case Change::Kind::create_tables: {
      const auto list = created(change);
      if (list.empty()) return std::nullopt;
      return Meta{creation_json(list), type(wire::RawType::create_table)};
    }
    case Change::Kind::drop_tables: {
      std::vector<std::string_view> names;
      for (const auto& [table, name] : change.dropped) {
        if (all || table == topic_->table) names.push_back(name);
      }
      if (names.empty()) return std::nullopt;
      return Meta{drop_json(names), type(wire::RawType::drop_table)};
    }
    default: break;
  }
  if (!all && change.table != topic_->table) return std::nullopt;
  const auto raw = change.kind == Change::Kind::create_stable  ? wire::RawType::create_stable
                   : change.kind == Change::Kind::alter_stable ? wire::RawType::alter_stable
                   : change.kind == Change::Kind::alter_table  ? wire::RawType::alter_table
                   : change.kind == Change::Kind::drop_stable  ? wire::RawType::drop_stable
                                                               : wire::RawType::delete_rows;
  return Meta{change.json, type(raw)};
}

}  // namespace penstock::sandbox
