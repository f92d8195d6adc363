#include "schema/growth.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace penstock::schema {
namespace {

// What the server answers for the name of a table that is no super table.
constexpr std::uint16_t kTableExists = 0x0603;
constexpr std::uint16_t kInvalidMessage = 0x0115;

using data::Column;
using data::Limits;
using data::Reason;
using data::Type;

std::size_t declared_sum(const std::vector<Column>& columns) {
  std::size_t sum = 0;
  for (const auto& column : columns) sum += data::declared_bytes(column);
  return sum;
}

// What the server says about too many or too wide columns and tags; nothing when the table is within its limits.
Reason limit_passed(const data::SuperTable& table) {
  if (table.tags.size() > Limits::tags)
    return {0x0115, fmt::format("super table '{}' would have {} tags; TDengine allows {}", table.name,
                                table.tags.size(), Limits::tags)};
  // A table without tags gets one.
  if (const auto all = table.columns.size() + std::max<std::size_t>(1, table.tags.size()); all > Limits::columns)
    return {0x0115, fmt::format("super table '{}' would have {} columns and tags; TDengine allows {}", table.name, all,
                                Limits::columns)};
  if (const auto bytes = declared_sum(table.tags); bytes > Limits::tag_bytes)
    return {0x263D, fmt::format("the tags of super table '{}' would take {} bytes; TDengine allows {}", table.name,
                                bytes, Limits::tag_bytes)};
  if (const auto bytes = declared_sum(table.columns); bytes > Limits::row_bytes)
    return {0x263E, fmt::format("a row of super table '{}' would take {} bytes; TDengine allows {}", table.name, bytes,
                                Limits::row_bytes)};
  return {};
}

Column new_column(std::string_view name, Type type, std::size_t length) {
  Column column;
  column.name = name;
  column.type = type;
  column.width = data::is_variable(type) ? data::schemaless_width(type, length)
                                         : static_cast<std::uint32_t>(data::fixed_size(type));
  return column;
}

// A column that the source declares is added as declared, with room for the longest value.
Column missing_column(const std::vector<Column>* declared, std::string_view name, Type type, std::size_t length) {
  if (declared != nullptr) {
    for (const auto& meant : *declared) {
      if (meant.name != name || meant.type != type) continue;
      Column column = meant;
      column.composite_key = false;  // ALTER cannot add one
      if (data::is_variable(type) && column.width < length) column.width = data::schemaless_width(type, length);
      return column;
    }
  }
  return new_column(name, type, length);
}

// Why a super table of that name cannot be spoken of in SQL over a text protocol; nothing when it can.
Reason unspeakable(std::string_view table) {
  if (table.find('.') != std::string_view::npos)
    return {
        0x2617,
        fmt::format("SQL cannot name super table '{}': it contains a dot (--dot-to-underscore on replaces it)", table)};
  if (!is_utf8(table)) return {0x0200, "the name of the super table is not UTF-8"};
  return {};
}

bool names(const std::vector<Column>* declared, std::string_view name) {
  return declared != nullptr &&
         std::any_of(declared->begin(), declared->end(), [&](const Column& c) { return c.name == name; });
}

}  // namespace

// The schema that a chunk needs of one super table, worked out before anything is changed.
struct Growth::Plan {
  data::SuperTable next;          // what must stand on the server
  std::size_t known_columns = 0;  // columns and tags of `next` that stand there already
  std::size_t known_tags = 0;
  std::vector<std::string> used_columns;  // what the chunk's rows give, in order of first appearance
  std::vector<std::string> used_tags;
  bool changed = false;

  static bool uses(const std::vector<std::string>& used, std::string_view name) {
    return std::find(used.begin(), used.end(), name) != used.end();
  }
  static void use(std::vector<std::string>& used, std::string_view name) {
    if (!uses(used, name)) used.emplace_back(name);
  }
};

Growth::Growth(Catalog& catalog, Registry& registry, Options options)
    : catalog_(catalog), registry_(registry), options_(std::move(options)) {}

Growth::~Growth() = default;

void Growth::admit(data::RowSet& rows) {
  auto& shapes = rows.shapes();
  // One pass a super table, in order of first appearance. Several measurements in a chunk are common (agents), many
  // are not: a list of seen states is enough.
  std::vector<TableState*> states;
  for (const auto& shape : shapes) {
    if (shape.rows == 0) continue;
    TableState& state = state_of(shape.table);
    if (std::find(states.begin(), states.end(), &state) == states.end()) states.push_back(&state);
  }
  Verdict verdict;
  verdict.refused.resize(shapes.size());
  verdict.rows.resize(shapes.size());
  const auto& refused = verdict.refused;
  for (TableState* state : states) admit_table(*state, rows, verdict);

  // Fresh series in input order: their tags were planned with the columns; here their fate is written down.
  for (const auto& [series, row] : rows.fresh()) {
    if (row->shape == data::kRefusedShape || !refused[row->shape].text.empty()) continue;
    if (series->state() == data::Series::State::admitted) continue;
    TableState& state = *series->child->table->state;
    if (settled(state, *series)) {
      if (series->child->created_by == nullptr) series->child->created_by = series;
      series->set_state(data::Series::State::admitted);
      continue;
    }
    Plan plan;
    plan.next = state.on_server;
    plan.known_columns = plan.next.columns.size();
    plan.known_tags = plan.next.tags.size();
    Reason why;
    if (plan_tags(*series, plan, why))
      why = {0x3002, fmt::format("its tags do not fit super table '{}' any more", state.ref->name)};
    series->set_state(data::Series::State::refused);
    rows.reject({row->offset, row->length, 0, std::move(why)});
    rows.refuse(*row);
  }

  bool any_refused = false;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (shapes[i].rows == 0) continue;
    if (!refused[i].text.empty()) any_refused = true;
    else if (verdict.rows[i] > 0) shapes[i].resolved = resolve(*shapes[i].table->state, shapes[i]);
  }
  if (any_refused) {
    rows.for_each_row([&](data::Row& row) {
      if (row.shape == data::kRefusedShape || refused[row.shape].text.empty()) return;
      rows.reject({row.offset, row.length, 0, refused[row.shape]});
      rows.refuse(row);
    });
  }
  std::stable_sort(rows.rejects().begin(), rows.rejects().end(),
                   [](const auto& a, const auto& b) { return a.offset < b.offset; });
}

std::optional<Reason> Growth::objection(data::RowSet& rows) {
  Verdict verdict;
  verdict.refused.resize(rows.shapes().size());
  verdict.rows.resize(rows.shapes().size());
  std::vector<TableState*> seen;
  for (const auto& shape : rows.shapes()) {
    if (shape.rows == 0) continue;
    TableState& state = state_of(shape.table);
    if (std::find(seen.begin(), seen.end(), &state) != seen.end()) continue;
    seen.push_back(&state);
    Plan plan = make_plan(state, rows, verdict);
    for (std::size_t i = 0; i < rows.shapes().size(); ++i)
      if (rows.shapes()[i].table == state.ref && !verdict.refused[i].text.empty()) return verdict.refused[i];
    Reason why;
    for (const auto& [series, row] : rows.fresh())
      if (series->child->table == state.ref && !plan_tags(*series, plan, why)) return why;
  }
  return std::nullopt;
}

TableState& Growth::state_of(data::SuperTableRef* ref) {
  if (ref->state == nullptr) {
    auto& state = tables_.emplace_back();
    state.ref = ref;
    ref->state = &state;
    look_up(state);
  }
  return *ref->state;
}

void Growth::look_up(TableState& state) {
  state.refused = unspeakable(state.ref->name);
  if (!state.refused.text.empty()) return;
  auto found = catalog_.describe(state.ref->name);
  state.exists = found.kind == Catalog::Kind::super_table;
  if (found.kind == Catalog::Kind::other_table || found.kind == Catalog::Kind::child_table) {
    const bool normal = found.kind == Catalog::Kind::other_table;
    state.refused = {
        static_cast<std::uint16_t>(normal ? kTableExists : kInvalidMessage),
        fmt::format("'{}' exists and is a {} table, not a super table", state.ref->name, normal ? "normal" : "child")};
    return;
  }
  if (!state.exists) {
    state.on_server = {};
    state.on_server.name = state.ref->name;
    return;
  }
  state.on_server = std::move(found.table);
  if (state.ref->declared) return;
  const auto& columns = state.on_server.columns;
  if (columns.empty() || columns[0].name != options_.timestamp_name)
    state.refused = {0x3002,
                     fmt::format("the timestamp column of super table '{}' is called '{}', not '{}'", state.ref->name,
                                 columns.empty() ? "" : columns[0].name, options_.timestamp_name)};
  else if (std::any_of(columns.begin(), columns.end(), [](const Column& c) { return c.composite_key; }))
    state.refused = {0x3006, fmt::format("super table '{}' has a composite primary key", state.ref->name)};
}

void Growth::admit_table(TableState& state, data::RowSet& rows, Verdict& verdict) {
  // Losing a race against another loader changes what stands on the server: plan again, each time on the new truth.
  constexpr int kTries = 8;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const Plan plan = make_plan(state, rows, verdict);
    if (plan.used_columns.empty()) return;  // every row refused
    if (apply(state, plan)) {
      renew_version(state, plan);
      return;
    }
  }
  throw Error(Errc::server, fmt::format("super table '{}' keeps changing while the load adapts it; is another program "
                                        "dropping or altering it? Stop it and load again",
                                        state.ref->name));
}

Growth::Plan Growth::make_plan(TableState& state, data::RowSet& rows, Verdict& verdict) {
  auto& refused = verdict.refused;
  Plan plan;
  plan.next = state.on_server;
  plan.known_columns = plan.next.columns.size();
  plan.known_tags = plan.next.tags.size();
  if (!state.exists && state.ref->declared) {
    plan.next = *state.ref->declared;
    plan.next.name = state.ref->name;
    plan.known_columns = plan.next.columns.size();  // their widths were meant, not found
    plan.known_tags = plan.next.tags.size();
    plan.changed = true;
  } else if (!state.exists) {
    plan.next.columns.push_back(new_column(options_.timestamp_name, Type::timestamp, 0));
  }
  auto& shapes = rows.shapes();
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (shapes[i].table != state.ref) continue;
    refused[i] = state.refused;
    verdict.rows[i] = shapes[i].rows;
  }
  if (state.refused.code == kTableExists) {
    // The server comes to another answer when no tags are given. Of a refused table every row is among the fresh ones.
    for (const auto& [series, row] : rows.fresh())
      if (series->child->table == state.ref && row->shape != data::kRefusedShape && series->tags.empty())
        refused[row->shape].code = kInvalidMessage;
  }
  const auto unsettled = [&](const data::Series& series, const data::Row& row) {
    return series.child->table == state.ref && row.shape != data::kRefusedShape && refused[row.shape].text.empty() &&
           series.state() != data::Series::State::admitted && !settled(state, series);
  };
  // Rows whose tags do not fit are going to be refused: what only they bring must not be declared.
  Plan probe = plan;
  for (const auto& [series, row] : rows.fresh()) {
    Reason ignored;
    if (unsettled(*series, *row) && !plan_tags(*series, probe, ignored)) --verdict.rows[row->shape];
  }
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (shapes[i].table != state.ref || !refused[i].text.empty() || verdict.rows[i] == 0) continue;
    plan_columns(shapes[i], plan, refused[i]);
  }
  for (const auto& [series, row] : rows.fresh()) {
    Reason ignored;  // admit() looks again once the server's answer is known
    if (unsettled(*series, *row)) plan_tags(*series, plan, ignored);
  }
  if (plan.next.tags.empty()) {
    plan.next.tags.push_back(new_column(options_.default_tag, Type::nchar, 0));
    plan.changed = true;
  }
  return plan;
}

bool Growth::plan_columns(const data::Shape& shape, Plan& plan, Reason& why) const {
  Plan trial;  // copied only when the shape changes something
  bool copied = false;
  const auto change = [&]() -> Plan& {
    if (!copied) {
      trial = plan;
      copied = true;
      trial.changed = true;
    }
    return trial;
  };
  const auto* const declared = shape.table->declared ? &shape.table->declared->columns : nullptr;
  for (std::size_t f = 0; f < shape.fields.size(); ++f) {
    const auto& field = shape.fields[f];
    const auto length = shape.max_length[f];
    const Plan& now = copied ? trial : plan;
    const auto at = now.next.column(field.name);
    if (!at) {
      if (now.next.tag(field.name)) {
        why = {0x263C,
               fmt::format("'{}' is a tag of super table '{}' and cannot be a field too", field.name, plan.next.name)};
        return false;
      }
      if (!is_utf8(field.name)) {
        why = {0x0200, fmt::format("the name of a new field of super table '{}' is not UTF-8", plan.next.name)};
        return false;
      }
      change().next.columns.push_back(missing_column(declared, field.name, field.type, length));
      continue;
    }
    const Column& column = now.next.columns[*at];
    if (column.type != field.type) {
      const bool here = *at >= plan.known_columns || Plan::uses(plan.used_columns, field.name);
      why = {static_cast<std::uint16_t>(here ? 0x3004 : 0x3002),
             fmt::format("field '{}' is {} here, but column '{}' of super table '{}' is {}", field.name,
                         data::type_name(field.type), field.name, plan.next.name, data::sql_type(column))};
      return false;
    }
    if (!data::is_variable(column.type) || column.type == Type::blob) continue;
    const bool is_new = *at >= plan.known_columns && !names(declared, field.name);
    if (is_new ? data::schemaless_width(column.type, length) > column.width : column.width < length) {
      auto& width = change().next.columns[*at].width;
      width = std::max(width, data::schemaless_width(column.type, length));
    }
  }
  if (copied) {
    why = limit_passed(trial.next);
    if (!why.text.empty()) return false;
    plan = std::move(trial);
  }
  for (const auto& field : shape.fields) Plan::use(plan.used_columns, field.name);
  return true;
}

bool Growth::plan_tags(const data::Series& series, Plan& plan, Reason& why) const {
  Plan trial;
  bool copied = false;
  const auto change = [&]() -> Plan& {
    if (!copied) {
      trial = plan;
      copied = true;
      trial.changed = true;
    }
    return trial;
  };
  if (unbindable(*series.child)) {
    why = {0x2617, fmt::format("parameter binding cannot name child table '{}': it contains a dot "
                               "(--dot-to-underscore on replaces it)",
                               series.child->name)};
    return false;
  }
  const auto* const declared = series.child->table->declared ? &series.child->table->declared->tags : nullptr;
  for (const auto& tag : series.tags) {
    const auto key = registry_.tag_key_name(tag.key);
    const Plan& now = copied ? trial : plan;
    const auto at = now.next.tag(key);
    if (!at) {
      if (now.next.column(key)) {
        why = {0x263C,
               fmt::format("'{}' is a column of super table '{}' and cannot be a tag too", key, plan.next.name)};
        return false;
      }
      if (!is_utf8(key)) {
        why = {0x0200, fmt::format("the key of a new tag of super table '{}' is not UTF-8", plan.next.name)};
        return false;
      }
      change().next.tags.push_back(missing_column(declared, key, tag.type, tag.length));
      continue;
    }
    const Column& column = now.next.tags[*at];
    if (column.type != tag.type) {
      const bool here = *at >= plan.known_tags || Plan::uses(plan.used_tags, key);
      why = {static_cast<std::uint16_t>(here ? 0x3004 : 0x3002),
             fmt::format("tag '{}' is {} here, but in super table '{}' it is {}", key, data::type_name(tag.type),
                         plan.next.name, data::sql_type(column))};
      return false;
    }
    if (!data::is_variable(column.type) || column.type == Type::json) continue;
    const bool is_new = *at >= plan.known_tags && !names(declared, key);
    if (is_new ? data::schemaless_width(column.type, tag.length) > column.width : column.width < tag.length) {
      auto& width = change().next.tags[*at].width;
      width = std::max(width, data::schemaless_width(column.type, tag.length));
    }
  }
  if (copied) {
    why = limit_passed(trial.next);
    if (!why.text.empty()) return false;
    plan = std::move(trial);
  }
  for (const auto& tag : series.tags) Plan::use(plan.used_tags, registry_.tag_key_name(tag.key));
  return true;
}

// True when every tag is bound already, with its type and enough width: nothing to plan. A chunk can bring a hundred
// thousand new series, so this is a look-up a tag.
bool Growth::settled(const TableState& state, const data::Series& series) const noexcept {
  if (state.version == nullptr || unbindable(*series.child)) return false;
  return std::all_of(series.tags.begin(), series.tags.end(), [&](const data::Tag& tag) {
    if (tag.key >= state.bound_tags.size() || state.bound_tags[tag.key] == kNoSlot) return false;
    const Column& column = state.version->tags[state.bound_tags[tag.key]];
    return column.type == tag.type &&
           (!data::is_variable(tag.type) || tag.type == Type::json || tag.length <= column.width);
  });
}

bool Growth::apply(TableState& state, const Plan& plan) {
  if (state.exists && !plan.changed) return true;
  const auto tell = [&](std::string statement) {
    if (options_.on_change) options_.on_change(statement);
  };
  if (!state.exists) {
    catalog_.create(plan.next);
    tell(data::create_statement(plan.next));
  } else {
    const auto alter = [&](Catalog::Part part, const std::vector<Column>& have, const std::vector<Column>& want) {
      const auto* const noun = part == Catalog::Part::tag ? "TAG" : "COLUMN";
      for (std::size_t i = 0; i < want.size(); ++i) {
        if (i < have.size() && have[i] == want[i]) continue;
        if (i < have.size()) catalog_.widen(state.ref->name, part, want[i]);
        else catalog_.add(state.ref->name, part, want[i]);
        tell(fmt::format("ALTER STABLE {} {} {} {} {}", data::quote_identifier(state.ref->name),
                         i < have.size() ? "MODIFY" : "ADD", noun, data::quote_identifier(want[i].name),
                         data::sql_type(want[i])));
      }
    };
    alter(Catalog::Part::tag, state.on_server.tags, plan.next.tags);
    alter(Catalog::Part::column, state.on_server.columns, plan.next.columns);
  }
  look_up(state);
  const auto covers = [](const std::vector<Column>& have, const std::vector<Column>& want) {
    return std::all_of(want.begin(), want.end(), [&](const Column& w) {
      return std::any_of(have.begin(), have.end(),
                         [&](const Column& h) { return h.name == w.name && h.type == w.type && h.width >= w.width; });
    });
  };
  return state.exists && state.refused.text.empty() && covers(state.on_server.columns, plan.next.columns) &&
         covers(state.on_server.tags, plan.next.tags);
}

void Growth::renew_version(TableState& state, const Plan& plan) {
  const TableVersion* old = state.version.get();
  auto next = std::make_shared<TableVersion>();
  next->ref = state.ref;
  const auto& server = state.on_server;
  const auto take = [](std::vector<Column>& into, const std::vector<Column>& from, std::string_view name) {
    if (std::any_of(into.begin(), into.end(), [&](const Column& c) { return c.name == name; })) return;
    const auto found = std::find_if(from.begin(), from.end(), [&](const Column& c) { return c.name == name; });
    if (found != from.end()) into.push_back(*found);
  };
  if (!server.columns.empty()) next->columns.push_back(server.columns[0]);
  // The server's present declaration of what was bound before, then what this chunk brought.
  if (old != nullptr) {
    for (std::size_t i = 0; i < old->columns.size(); ++i) {
      const auto& column = old->columns[i];
      take(next->columns, server.columns, column.name);
      // Rows under way know their columns by index.
      if (next->columns.size() <= i || next->columns[i].name != column.name || next->columns[i].type != column.type)
        throw Error(Errc::server,
                    fmt::format("column '{}' of super table '{}' was dropped or changed its type while the "
                                "load was writing it; load again once nobody alters the table",
                                column.name, state.ref->name));
    }
    for (const auto& tag : old->tags) take(next->tags, server.tags, tag.name);
  }
  for (const auto& name : plan.used_columns) take(next->columns, server.columns, name);
  for (const auto& name : plan.used_tags) take(next->tags, server.tags, name);
  // A statement that creates child tables names at least one tag.
  if (next->tags.empty() && !server.tags.empty()) next->tags.push_back(server.tags[0]);
  for (const auto& tag : next->tags) next->tag_keys.push_back(registry_.tag_key(tag.name));
  for (std::size_t i = 1; i < next->columns.size(); ++i)
    if (next->columns[i].composite_key) next->composite_key = static_cast<std::uint16_t>(i);
  if (old != nullptr && old->columns == next->columns && old->tags == next->tags) return;
  state.bound_tags.clear();
  for (std::size_t i = 0; i < next->tag_keys.size(); ++i) {
    if (next->tag_keys[i] >= state.bound_tags.size())
      state.bound_tags.resize(next->tag_keys[i] + std::size_t{1}, kNoSlot);
    state.bound_tags[next->tag_keys[i]] = static_cast<std::uint16_t>(i);
  }
  next->number = old == nullptr ? 0 : old->number + 1;
  state.version = std::move(next);
}

const data::ResolvedShape* Growth::resolve(TableState& state, const data::Shape& shape) const {
  const auto& columns = state.version->columns;
  std::string key(1, shape.nullable ? 'n' : 'v');
  std::vector<std::uint16_t> indexes;
  indexes.reserve(shape.fields.size());
  for (const auto& field : shape.fields) {
    const auto found =
        std::find_if(columns.begin() + 1, columns.end(), [&](const Column& c) { return c.name == field.name; });
    const auto index = static_cast<std::uint16_t>(found - columns.begin());
    indexes.push_back(index);
    key.append(reinterpret_cast<const char*>(&index), sizeof index);
  }
  auto& slot = state.shapes[key];
  if (!slot) {
    slot = std::make_unique<data::ResolvedShape>();
    slot->table = &state;
    slot->nullable = shape.nullable;
    slot->slots.assign(columns.size(), kNoSlot);
    for (std::size_t s = 0; s < indexes.size(); ++s) slot->slots[indexes[s]] = static_cast<std::uint16_t>(s);
    slot->columns = std::move(indexes);
  }
  return slot.get();
}

}  // namespace penstock::schema
