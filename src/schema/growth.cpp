#include "schema/growth.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "schema/growth_plan.h"

namespace penstock::schema {
namespace {

using data::Column;
using data::Limits;
using data::Reason;

// Why a super table of that name cannot be spoken of in SQL over a text protocol; nothing when it can.
Reason unspeakable(std::string_view table) {
  if (table.find('.') != std::string_view::npos)
    return {
        0x2617,
        fmt::format("SQL cannot name super table '{}': it contains a dot (--dot-to-underscore on replaces it)", table)};
  if (!is_utf8(table)) return {0x0200, "the name of the super table is not UTF-8"};
  if (table.empty() || table.size() > Limits::table_name)
    return {0x020A, fmt::format("the name of the super table is {} bytes long; TDengine allows 1 to {}", table.size(),
                                Limits::table_name)};
  return {};
}

}  // namespace

Growth::Growth(Catalog& catalog, Registry& registry, Options options)
    : catalog_(catalog), registry_(registry), options_(std::move(options)) {}

Growth::~Growth() = default;

void Growth::admit(data::RowSet& rows) {
  const auto rejects_before = rows.rejects().size();
  auto& shapes = rows.shapes();
  auto states = tables_of(rows);
  Verdict verdict;
  verdict.refused.resize(shapes.size());
  verdict.rows.resize(shapes.size());
  const auto& refused = verdict.refused;
  create_together(states, rows, verdict);
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
    Plan plan = begin_plan(state);
    Reason why;
    if (plan_tags(*series, plan, why) == Fit::yes)
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
  if (rows.rejects().size() > rejects_before)
    std::stable_sort(rows.rejects().begin(), rows.rejects().end(),
                     [](const auto& a, const auto& b) { return a.offset < b.offset; });
}

std::optional<Reason> Growth::objection(data::RowSet& rows) {
  Verdict verdict;
  verdict.refused.resize(rows.shapes().size());
  verdict.rows.resize(rows.shapes().size());
  for (TableState* const state : tables_of(rows)) {
    Plan plan = make_plan(*state, rows, verdict, true);
    for (std::size_t i = 0; i < rows.shapes().size(); ++i)
      if (rows.shapes()[i].table == state->ref && !verdict.refused[i].text.empty()) return verdict.refused[i];
    Reason why;
    for (const auto& [series, row] : rows.fresh())
      if (series->child->table == state->ref && plan_tags(*series, plan, why) != Fit::yes) return why;
  }
  return std::nullopt;
}

// Several measurements in a chunk are common (agents), many are not: a list of seen states is enough.
std::vector<TableState*> Growth::tables_of(data::RowSet& rows) {
  std::vector<TableState*> states;
  std::vector<TableState*> unknown;
  std::vector<std::string> names;
  const auto first_new = tables_.size();
  for (const auto& shape : rows.shapes()) {
    if (shape.rows == 0) continue;
    if (shape.table->state == nullptr) {
      auto& state = tables_.emplace_back();
      state.ref = shape.table;
      state.ref->state = &state;
      state.refused = unspeakable(state.ref->name);
      if (state.refused.text.empty()) {
        unknown.push_back(&state);
        names.push_back(state.ref->name);
      }
    }
    TableState* const state = shape.table->state;
    if (std::find(states.begin(), states.end(), state) == states.end()) states.push_back(state);
  }
  if (unknown.empty()) return states;
  try {
    auto found = catalog_.describe_all(names);
    for (std::size_t i = 0; i < unknown.size(); ++i) take_found(*unknown[i], std::move(found[i]));
  } catch (...) {
    // What was not looked at is not known.
    for (; tables_.size() > first_new; tables_.pop_back()) tables_.back().ref->state = nullptr;
    throw;
  }
  return states;
}

void Growth::look_up(TableState& state) {
  state.refused = unspeakable(state.ref->name);
  if (state.refused.text.empty()) take_found(state, catalog_.describe(state.ref->name));
}

void Growth::take_found(TableState& state, Catalog::Found found) {
  state.refused = {};
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
  if (found.is_virtual) {
    state.refused = {0x6205, fmt::format("super table '{}' is virtual: it would take rows, but nobody could ever read "
                                         "them; write to the tables that it shows",
                                         state.ref->name)};
    return;
  }
  if (state.ref->declared) return;
  const auto& columns = state.on_server.columns;
  if (columns.empty() || columns[0].name != options_.timestamp_name)
    state.refused = {0x3002,
                     fmt::format("the timestamp column of super table '{}' is called '{}', not '{}'", state.ref->name,
                                 columns.empty() ? "" : columns[0].name, options_.timestamp_name)};
  else if (std::any_of(columns.begin(), columns.end(), [](const Column& c) { return c.composite_key; }))
    state.refused = {0x3006, fmt::format("super table '{}' has a composite primary key", state.ref->name)};
}

// Makes what is missing all at once and takes those tables out of `states`; whatever does not just work is left to
// admit_table().
void Growth::create_together(std::vector<TableState*>& states, data::RowSet& rows, Verdict& verdict) {
  const auto missing = [](const TableState* state) { return !state->exists && state->refused.text.empty(); };
  if (std::count_if(states.begin(), states.end(), missing) < 2) return;
  std::vector<std::pair<TableState*, Plan>> plans;
  for (TableState* const state : states) {
    if (!missing(state)) continue;
    state->change_refused = {};
    if (auto plan = make_plan(*state, rows, verdict, false); !plan.used_columns.empty())
      plans.emplace_back(state, std::move(plan));
  }
  std::vector<const data::SuperTable*> wanted;
  wanted.reserve(plans.size());
  for (const auto& [state, plan] : plans) wanted.push_back(&plan.next);
  const auto made = catalog_.create_all(wanted);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (!made[i]) continue;
    auto& [state, plan] = plans[i];
    tell(data::create_statement(plan.next));
    state->on_server = plan.next;
    state->exists = true;
    renew_version(*state, plan);
    states.erase(std::find(states.begin(), states.end(), state));
  }
}

void Growth::admit_table(TableState& state, data::RowSet& rows, Verdict& verdict) {
  // Losing a race against another loader changes what stands on the server: plan again, each time on the new truth.
  constexpr int kTries = 100;
  state.change_refused = {};
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const Plan plan = make_plan(state, rows, verdict, false);
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

bool Growth::apply(TableState& state, const Plan& plan) {
  if (state.exists && !plan.changed) return true;
  try {
    if (change(state, plan)) {
      state.on_server = plan.next;
      state.exists = true;
      return true;
    }
  } catch (const ChangeRefused& refused) {
    // Perhaps the table is another one by now; if not, the rows that need the change are refused, and only they.
    const bool existed = state.exists;
    const auto before = state.on_server;
    look_up(state);
    if (state.exists == existed && state.on_server == before)
      state.change_refused = {static_cast<std::uint16_t>(refused.server_code()), refused.what()};
    return false;
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

void Growth::tell(const std::string& statement) const {
  if (options_.on_change) options_.on_change(statement);
}

bool Growth::change(const TableState& state, const Plan& plan) {
  if (!state.exists) {
    const bool made = catalog_.create(plan.next);
    tell(data::create_statement(plan.next));
    return made;
  }
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
  return false;
}

void Growth::renew_version(TableState& state, const Plan& plan) {
  const TableVersion* old = state.version.get();
  auto next = std::make_shared<TableVersion>();
  next->ref = state.ref;
  const auto& server = state.on_server;
  std::size_t have = 0;
  std::size_t there = 0;
  const auto take = [&](std::vector<Column>& into, const std::vector<Column>& from, std::string_view name) {
    if (const auto found = find_near(from, name, there)) into.push_back(from[*found]);
  };
  const auto take_once = [&](std::vector<Column>& into, const std::vector<Column>& from, std::string_view name) {
    if (!find_near(into, name, have)) take(into, from, name);
  };
  if (!server.columns.empty()) next->columns.push_back(server.columns[0]);
  // The server's present declaration of what was bound before, then what this chunk brought.
  if (old != nullptr) {
    for (std::size_t i = 0; i < old->columns.size(); ++i) {
      const auto& column = old->columns[i];
      if (i > 0) take(next->columns, server.columns, column.name);
      // Rows under way know their columns by index.
      if (next->columns.size() <= i || next->columns[i].name != column.name || next->columns[i].type != column.type)
        throw Error(Errc::server,
                    fmt::format("column '{}' of super table '{}' was dropped or changed its type while the "
                                "load was writing it; load again once nobody alters the table",
                                column.name, state.ref->name));
    }
    for (const auto& tag : old->tags) take(next->tags, server.tags, tag.name);
  }
  for (const auto& name : plan.used_columns) take_once(next->columns, server.columns, name);
  for (const auto& name : plan.used_tags) take_once(next->tags, server.tags, name);
  // A statement that creates child tables names at least one tag.
  if (next->tags.empty() && !server.tags.empty()) next->tags.push_back(server.tags[0]);
  for (const auto& tag : next->tags) next->tag_keys.push_back(registry_.tag_key(tag.name));
  for (std::size_t i = 1; i < next->columns.size(); ++i)
    if (next->columns[i].composite_key) next->composite_key = static_cast<std::uint16_t>(i);
  if (old != nullptr && old->columns == next->columns && old->tags == next->tags) return;
  state.last_layout = nullptr;
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
  std::size_t hint = 1;
  for (const auto& field : shape.fields) {
    const auto index = static_cast<std::uint16_t>(find_near(columns, field.name, hint).value());
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
