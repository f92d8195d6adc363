// What a chunk needs of a super table, and which of its rows cannot have it.

#include "schema/growth_plan.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "schema/coerce.h"

namespace penstock::schema {
namespace {

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

// Why no column or tag can have that name; nothing when it can.
Reason bad_name(std::string_view what, std::string_view name, std::string_view table) {
  if (!is_utf8(name)) return {0x0200, fmt::format("the {} of super table '{}' is not UTF-8", what, table)};
  if (name.empty() || name.size() > Limits::column_name)
    return {0x021F, fmt::format("the {} of super table '{}' is {} bytes long; TDengine allows 1 to {}", what, table,
                                name.size(), Limits::column_name)};
  return {};
}

// What may help a row whose value has another type than its column.
std::string_view advice(Type have, Type want) {
  return may_coerce(have, want) ? "; --coerce converts what loses nothing" : "";
}

bool names(const std::vector<Column>* declared, std::string_view name) {
  return declared != nullptr &&
         std::any_of(declared->begin(), declared->end(), [&](const Column& c) { return c.name == name; });
}

}  // namespace

Growth::Plan Growth::begin_plan(const TableState& state) const {
  Plan plan;
  plan.next = state.on_server;
  plan.known_columns = plan.next.columns.size();
  plan.known_tags = plan.next.tags.size();
  plan.frozen = state.change_refused;
  if (state.exists) return plan;
  if (state.ref->declared) {
    plan.next = *state.ref->declared;
    plan.next.name = state.ref->name;
    plan.known_columns = plan.next.columns.size();  // their widths were meant, not found
    plan.known_tags = plan.next.tags.size();
    plan.changed = true;
  } else {
    plan.next.columns.push_back(new_column(options_.timestamp_name, Type::timestamp, 0));
  }
  return plan;
}

// What the rows of a chunk need of a table. `whole_shapes`: a shape is refused as a whole and no row is touched.
Growth::Plan Growth::make_plan(TableState& state, data::RowSet& rows, Verdict& verdict, bool whole_shapes) {
  auto& refused = verdict.refused;
  auto& shapes = rows.shapes();
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (shapes[i].table != state.ref) continue;
    refused[i] = state.refused;
    if (refused[i].text.empty() && !state.exists) refused[i] = state.change_refused;
    verdict.rows[i] = shapes[i].rows;
  }
  if (state.refused.code == kTableExists) {
    // The server comes to another answer when no tags are given. Of a refused table every row is among the fresh ones.
    for (const auto& [series, row] : rows.fresh())
      if (series->child->table == state.ref && row->shape != data::kRefusedShape && series->tags.empty())
        refused[row->shape].code = kInvalidMessage;
  }
  // Rows whose tags do not fit are going to be refused: what only they bring must not be declared.
  verdict.unfit.clear();
  Plan probe = begin_plan(state);
  for (const auto& [series, row] : rows.fresh()) {
    Reason ignored;
    if (series->child->table != state.ref || row->shape == data::kRefusedShape || !refused[row->shape].text.empty() ||
        series->state() == data::Series::State::admitted || settled(state, *series))
      continue;
    if (plan_tags(*series, probe, ignored) == Fit::yes || !verdict.unfit.insert(row).second) continue;
    --verdict.rows[row->shape];
  }
  Plan plan = begin_plan(state);
  if (!plan_shapes(state, rows, plan, verdict, whole_shapes)) {
    plan = begin_plan(state);
    plan_rows(state, rows, plan, verdict);
  }
  if (plan.next.tags.empty()) {
    plan.next.tags.push_back(new_column(options_.default_tag, Type::nchar, 0));
    plan.changed = true;
  }
  return plan;
}

// Plans shape by shape with the longest values of each. False when a limit is met: then single rows may fit.
bool Growth::plan_shapes(TableState& state, data::RowSet& rows, Plan& plan, Verdict& verdict, bool whole_shapes) {
  auto& shapes = rows.shapes();
  for (std::uint32_t i = 0; i < shapes.size(); ++i) {
    if (shapes[i].table != state.ref || !verdict.refused[i].text.empty() || verdict.rows[i] == 0) continue;
    if (!whole_shapes && converts(*state.ref)) convert(i, rows, plan, verdict);
    if (verdict.rows[i] == 0) continue;
    Reason why;
    const Fit fit = plan_columns(shapes[i], shapes[i].max_length, plan, why);
    if (fit == Fit::beyond && !whole_shapes) return false;
    if (fit != Fit::yes) verdict.refused[i] = std::move(why);
  }
  for (const auto& [series, row] : rows.fresh()) {
    Reason ignored;  // admit() looks again once the server's answer is known
    if (series->child->table != state.ref || row->shape == data::kRefusedShape || verdict.unfit.contains(row) ||
        !verdict.refused[row->shape].text.empty() || series->state() == data::Series::State::admitted ||
        settled(state, *series))
      continue;
    if (plan_tags(*series, plan, ignored) == Fit::beyond && !whole_shapes) return false;
  }
  return true;
}

// The slow way, once a limit is met: row by row in input order, each with its tags and columns; a row that would pass
// the limit is refused by itself.
void Growth::plan_rows(TableState& state, data::RowSet& rows, Plan& plan, Verdict& verdict) {
  auto& shapes = rows.shapes();
  struct Seen {
    bool converted = false;
    bool accepted = false;
    std::vector<std::pair<std::size_t, std::size_t>> texts;  // field, column
    std::vector<std::uint32_t> most;
  };
  std::vector<Seen> seen(shapes.size());
  std::unordered_map<const data::Row*, const data::Series*> fresh;
  for (const auto& [series, row] : rows.fresh())
    if (series->child->table == state.ref && row->shape != data::kRefusedShape &&
        series->state() != data::Series::State::admitted && !settled(state, *series))
      fresh.emplace(row, series);
  const auto narrow = [&](const data::Column& column, std::size_t at, std::size_t length) {
    return at >= plan.known_columns ? data::schemaless_width(column.type, length) > column.width
                                    : length > column.width;
  };
  std::vector<std::uint32_t> lengths;
  rows.for_each_row([&](data::Row& row) {
    if (row.shape == data::kRefusedShape || shapes[row.shape].table != state.ref || verdict.unfit.contains(&row) ||
        !verdict.refused[row.shape].text.empty())
      return;
    auto& shape = shapes[row.shape];
    Seen& of = seen[row.shape];
    if (converts(*state.ref) && !std::exchange(of.converted, true)) {
      const auto index = row.shape;
      convert(index, rows, plan, verdict);
      if (row.shape == data::kRefusedShape) return;
    }
    Reason why;
    const auto found = fresh.find(&row);
    const auto* const series = found == fresh.end() ? nullptr : found->second;
    if (series != nullptr && plan_tags(*series, plan, why, Commit::no) != Fit::yes) {
      verdict.unfit.insert(&row);  // admit() refuses it
      --verdict.rows[row.shape];
      return;
    }
    lengths.assign(shape.fields.size(), 0);
    for (std::size_t f = 0; f < lengths.size(); ++f)
      if (data::is_variable(shape.fields[f].type) &&
          !(shape.nullable && data::Shape::is_null(row, shape.fields.size(), f)))
        lengths[f] = static_cast<std::uint32_t>(data::text_of(row.slots()[f]).size());
    const bool grows = std::any_of(of.texts.begin(), of.texts.end(), [&](const auto& text) {
      return narrow(plan.next.columns[text.second], text.second, lengths[text.first]);
    });
    if (!of.accepted || grows) {
      const Fit fit = plan_columns(shape, lengths, plan, why);
      // Columns that are too many for one row are too many for all of its shape.
      if (fit == Fit::no || (fit == Fit::beyond && why.code == kInvalidMessage && !of.accepted)) {
        verdict.refused[row.shape] = std::move(why);
        return;
      }
      if (fit == Fit::beyond) {
        rows.reject({row.offset, row.length, 0, std::move(why)});
        --shape.rows;
        --verdict.rows[row.shape];
        rows.refuse(row);
        return;
      }
      if (!std::exchange(of.accepted, true)) {
        of.most.resize(lengths.size());
        for (std::size_t f = 0; f < lengths.size(); ++f)
          if (data::is_variable(shape.fields[f].type))
            of.texts.emplace_back(f, *plan.next.column(shape.fields[f].name));
      }
    }
    for (const auto& [f, column] : of.texts) of.most[f] = std::max(of.most[f], lengths[f]);
    if (series != nullptr) plan_tags(*series, plan, why);
  });
  for (std::size_t i = 0; i < shapes.size(); ++i)
    if (seen[i].accepted) shapes[i].max_length = std::move(seen[i].most);
}

// Turns the values of a shape into the types of their columns, those on the server and those that earlier shapes
// brought; rows whose values would lose something are refused.
void Growth::convert(std::uint32_t shape_index, data::RowSet& rows, const Plan& plan, Verdict& verdict) {
  auto& shape = rows.shapes()[shape_index];
  struct Change {
    std::size_t field;
    Column to;
  };
  std::vector<Change> changes;
  std::size_t hint = 1;
  for (std::size_t f = 0; f < shape.fields.size(); ++f) {
    const auto at = find_near(plan.next.columns, shape.fields[f].name, hint);
    if (!at) continue;
    const Column& column = plan.next.columns[*at];
    if (column.type == shape.fields[f].type) continue;
    if (!may_coerce(shape.fields[f].type, column.type)) return;  // plan_columns() says so
    changes.push_back({f, column});
  }
  if (changes.empty()) return;
  std::vector<std::uint32_t> most = shape.max_length;
  for (const auto& change : changes) most[change.field] = 0;
  std::string text;
  std::vector<std::pair<data::Slot, std::string>> made(changes.size());
  rows.for_each_row([&](data::Row& row) {
    if (row.shape != shape_index) return;
    const auto is_null = [&](std::size_t f) {
      return shape.nullable && data::Shape::is_null(row, shape.fields.size(), f);
    };
    for (std::size_t c = 0; c < changes.size(); ++c) {
      const auto& [f, to] = changes[c];
      if (is_null(f)) continue;
      const Scalar value = scalar_of(shape.fields[f].type, row.slots()[f]);
      if (coerce(value, to, made[c].first, made[c].second)) continue;
      rows.reject(
          {row.offset,
           row.length,
           0,
           {0x3002, fmt::format("field '{}' is {} here, but column '{}' of super table '{}' is {}, and {} cannot "
                                "be converted without loss",
                                to.name, data::type_name(value.type), to.name, plan.next.name, data::sql_type(to),
                                shown(value))}});
      if (!verdict.unfit.contains(&row)) --verdict.rows[shape_index];
      rows.refuse(row);
      --shape.rows;
      return;
    }
    for (std::size_t c = 0; c < changes.size(); ++c) {
      const auto& [f, to] = changes[c];
      if (is_null(f)) continue;
      if (to.type == Type::decimal128) {
        row.slots()[f] = rows.add_text(made[c].second) + sizeof(std::uint32_t);
      } else if (data::is_variable(to.type)) {
        row.slots()[f] = rows.add_text(made[c].second);
        most[f] = std::max(most[f], static_cast<std::uint32_t>(made[c].second.size()));
      } else {
        row.slots()[f] = made[c].first;
      }
    }
  });
  for (const auto& [f, to] : changes) shape.fields[f].type = to.type;
  shape.max_length = std::move(most);
}

Growth::Fit Growth::plan_columns(const data::Shape& shape, std::span<const std::uint32_t> lengths, Plan& plan,
                                 Reason& why) const {
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
  std::size_t hint = 1;
  for (std::size_t f = 0; f < shape.fields.size(); ++f) {
    const auto& field = shape.fields[f];
    const auto length = lengths[f];
    const Plan& now = copied ? trial : plan;
    const auto at = find_near(now.next.columns, field.name, hint);
    if (!at) {
      if (now.next.tag(field.name)) {
        why = {0x263C,
               fmt::format("'{}' is a tag of super table '{}' and cannot be a field too", field.name, plan.next.name)};
        return Fit::no;
      }
      why = bad_name("name of a new field", field.name, plan.next.name);
      if (!why.text.empty()) return Fit::no;
      change().next.columns.push_back(missing_column(declared, field.name, field.type, length));
      continue;
    }
    const Column& column = now.next.columns[*at];
    if (column.type != field.type) {
      const bool here = *at >= plan.known_columns || Plan::uses(plan.used_columns, field.name);
      why = {static_cast<std::uint16_t>(here ? 0x3004 : 0x3002),
             fmt::format("field '{}' is {} here, but column '{}' of super table '{}' is {}{}", field.name,
                         data::type_name(field.type), field.name, plan.next.name, data::sql_type(column),
                         advice(field.type, column.type))};
      return Fit::no;
    }
    if (!data::is_variable(column.type) || column.type == Type::blob) continue;
    const bool is_new = *at >= plan.known_columns && !names(declared, field.name);
    if (is_new ? data::schemaless_width(column.type, length) > column.width : column.width < length) {
      auto& width = change().next.columns[*at].width;
      width = std::max(width, data::schemaless_width(column.type, length));
    }
  }
  if (copied) {
    why = plan.frozen.text.empty() ? limit_passed(trial.next) : plan.frozen;
    if (!why.text.empty()) return Fit::beyond;
    plan = std::move(trial);
  }
  if (plan.used_columns.empty()) {
    for (const auto& field : shape.fields) plan.used_columns.emplace_back(field.name);
    return Fit::yes;
  }
  hint = 0;
  for (const auto& field : shape.fields) Plan::use(plan.used_columns, field.name, hint);
  return Fit::yes;
}

Growth::Fit Growth::plan_tags(const data::Series& series, Plan& plan, Reason& why, Commit commit) const {
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
  if (const auto bytes = series.child->name.size(); bytes == 0 || bytes > Limits::table_name) {
    why = {0x020A, fmt::format("the name of the child table is {} bytes long; TDengine allows 1 to {}", bytes,
                               Limits::table_name)};
    return Fit::no;
  }
  if (unbindable(*series.child)) {
    why = {0x2617, fmt::format("parameter binding cannot name child table '{}': it contains a dot "
                               "(--dot-to-underscore on replaces it)",
                               series.child->name.text().view())};
    return Fit::no;
  }
  const auto* const layout = series.tags.layout();
  if (layout != nullptr && layout == plan.planned_layout && series.tags.within(plan.planned_lengths)) return Fit::yes;
  const auto* const declared = series.child->table->declared ? &series.child->table->declared->tags : nullptr;
  for (const auto& tag : series.tags) {
    const auto key = registry_.tag_key_name(tag.key);
    const Plan& now = copied ? trial : plan;
    const auto at = now.next.tag(key);
    if (!at) {
      if (now.next.column(key)) {
        why = {0x263C,
               fmt::format("'{}' is a column of super table '{}' and cannot be a tag too", key, plan.next.name)};
        return Fit::no;
      }
      why = bad_name("key of a new tag", key, plan.next.name);
      if (!why.text.empty()) return Fit::no;
      change().next.tags.push_back(missing_column(declared, key, tag.type, tag.length));
      continue;
    }
    const Column& column = now.next.tags[*at];
    std::size_t length = tag.length;
    if (column.type != tag.type && converts(*series.child->table) && may_coerce(tag.type, column.type)) {
      data::Slot bits = 0;
      std::string text;
      if (!coerce(scalar_of(tag), column, bits, text)) {
        why = {0x3002, fmt::format("tag '{}' is {} here, but in super table '{}' it is {}, and {} cannot be converted "
                                   "without loss",
                                   key, data::type_name(tag.type), plan.next.name, data::sql_type(column),
                                   shown(scalar_of(tag)))};
        return Fit::no;
      }
      length = text.size();
    } else if (column.type != tag.type) {
      const bool here = *at >= plan.known_tags || Plan::uses(plan.used_tags, key);
      why = {static_cast<std::uint16_t>(here ? 0x3004 : 0x3002),
             fmt::format("tag '{}' is {} here, but in super table '{}' it is {}{}", key, data::type_name(tag.type),
                         plan.next.name, data::sql_type(column), advice(tag.type, column.type))};
      return Fit::no;
    }
    if (!data::is_variable(column.type) || column.type == Type::json) continue;
    const bool is_new = *at >= plan.known_tags && !names(declared, key);
    if (is_new ? data::schemaless_width(column.type, length) > column.width : column.width < length) {
      auto& width = change().next.tags[*at].width;
      width = std::max(width, data::schemaless_width(column.type, length));
    }
  }
  if (copied) {
    why = plan.frozen.text.empty() ? limit_passed(trial.next) : plan.frozen;
    if (!why.text.empty()) return Fit::beyond;
    if (commit == Commit::yes) plan = std::move(trial);
  }
  if (commit == Commit::no) return Fit::yes;
  std::size_t hint = 0;
  for (const auto& tag : series.tags) Plan::use(plan.used_tags, registry_.tag_key_name(tag.key), hint);
  note_planned(plan, layout, declared);
  return Fit::yes;
}

// Series with the same keys come one after the other. Where their values are no longer than the plan has room for, and
// of the types of its tags, there is nothing to plan.
void Growth::note_planned(Plan& plan, const data::TagLayout* layout, const std::vector<Column>* declared) {
  plan.planned_layout = nullptr;
  plan.planned_lengths.clear();
  if (layout == nullptr) return;
  for (const auto& part : layout->parts) {
    const auto at = plan.next.tag(part.name);
    if (!at || plan.next.tags[*at].type != part.type) return;
    const auto width = plan.next.tags[*at].width;
    const bool is_new = *at >= plan.known_tags && !names(declared, part.name);
    // What is declared for a value is more than its length, or just that from 1,024 on.
    plan.planned_lengths.push_back(!data::is_variable(part.type) || part.type == Type::json ? UINT32_MAX
                                   : is_new && width > 0                                    ? width - 1
                                                                                            : width);
  }
  plan.planned_layout = layout;
}

// Series with the same keys come one after the other: for them only the lengths of the values are left to look at.
void Growth::learn_widths(TableState& state, const data::TagLayout& layout) const {
  state.last_layout = &layout;
  state.last_widths.clear();
  std::vector<std::uint32_t> widths;
  for (const auto& part : layout.parts) {
    if (part.key >= state.bound_tags.size() || state.bound_tags[part.key] == kNoSlot) return;
    const Column& column = state.version->tags[state.bound_tags[part.key]];
    if (column.type != part.type) return;
    widths.push_back(data::is_variable(part.type) && part.type != Type::json ? column.width : UINT32_MAX);
  }
  state.last_widths = std::move(widths);
}

// True when every tag is bound already, with its type and enough width: nothing to plan. A chunk can bring a hundred
// thousand new series, so this is a look-up a tag.
bool Growth::settled(TableState& state, const data::Series& series) const {
  if (state.version == nullptr || unbindable(*series.child)) return false;
  if (const auto* const layout = series.tags.layout(); layout != nullptr) {
    if (layout != state.last_layout) learn_widths(state, *layout);
    if (!state.last_widths.empty()) return series.tags.within(state.last_widths);
  }
  return std::all_of(series.tags.begin(), series.tags.end(), [&](const data::Tag& tag) {
    if (tag.key >= state.bound_tags.size() || state.bound_tags[tag.key] == kNoSlot) return false;
    const Column& column = state.version->tags[state.bound_tags[tag.key]];
    if (column.type == tag.type)
      return !data::is_variable(tag.type) || tag.type == Type::json || tag.length <= column.width;
    data::Slot bits = 0;
    std::string text;
    return converts(*state.ref) && coerce(scalar_of(tag), column, bits, text) &&
           (!data::is_variable(column.type) || text.size() <= column.width);
  });
}

}  // namespace penstock::schema
