#include "sandbox/insert_prepared.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/text.h"
#include "sandbox/store_row.h"
#include "sandbox/subscription_log.h"

namespace penstock::sandbox {
namespace {

using data::Type;

PreparedField field_of(const data::Column& column, PreparedField::Bind bind, data::Precision precision) {
  PreparedField field;
  field.column = column;
  field.bind = bind;
  field.column.precision = field.column.scale = 0;  // the server does not tell those of a DECIMAL here
  if (column.type == Type::timestamp) field.time_precision = static_cast<std::uint8_t>(precision);
  field.stored_bytes = stored_bytes(type_info(column));
  return field;
}

std::int32_t length_at(const ColumnView& view, std::size_t row) noexcept {
  std::int32_t length = 0;
  std::memcpy(&length, view.lengths + row * sizeof length, sizeof length);
  return length;
}

bool has_value(const ColumnView& view, std::size_t row) noexcept { return view.is_null[row] == 0; }

std::int64_t time_at(const ColumnView& view, std::size_t row) noexcept {
  std::int64_t time = 0;
  std::memcpy(&time, view.data.data() + row * sizeof time, sizeof time);
  return time;
}

[[noreturn]] void mismatch(const char* why) { refuse(0x0200, why); }

void check_text(const data::Column& column, std::string_view text) {
  if (column.type == Type::nchar) {
    // Bytes are counted only when there are too many for every character to be one.
    if (!is_utf8(text)) mismatch("Invalid or incomplete multibyte or wide character");
    if (text.size() <= column.width || utf8_length(text) <= column.width) return;
  } else if (text.size() <= column.width) {
    return;
  }
  refuse(0x2653, "Value too long for column/tag");
}

/// The 8 or 16 bytes of a bound decimal: sent raw, or as text, which can never look like a value in range.
bool decimal_image(const data::Column& column, std::string_view bytes, char* image) {
  const auto size = data::fixed_size(column.type);
  const bool text = std::all_of(bytes.begin(), bytes.end(), [](char c) {
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
  });
  if (bytes.size() == size && !text) {
    std::memcpy(image, bytes.data(), size);
    return true;
  }
  const auto value = parse_decimal(bytes, column.precision, column.scale);
  if (!value) return false;
  std::memcpy(image, &*value, size);
  return true;
}

void check_view(const ColumnView& view, const data::Column& column, std::size_t rows) {
  if (std::cmp_not_equal(view.rows, rows)) mismatch("row number in each bind param should be the same");
  if (view.type != column.type) mismatch("column type mis-match with buffer type");
  const auto size = data::fixed_size(column.type);
  if (view.lengths == nullptr) {
    if (view.data.size() >= rows * size && size > 0) return;
    for (std::size_t r = 0; r < rows; ++r) {
      if (has_value(view, r)) mismatch("the bind buffer is too short for its rows");
    }
    return;
  }
  std::size_t at = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    const auto length = has_value(view, r) ? length_at(view, r) : 0;
    if (length < 0 || static_cast<std::size_t>(length) > view.data.size() - at) {
      mismatch("the bind buffer is too short for its rows");
    }
    const auto bytes = view.data.substr(at, static_cast<std::size_t>(length));
    at += bytes.size();
    if (!has_value(view, r)) continue;
    if (is_decimal(column.type)) {
      char image[16];
      if (!decimal_image(column, bytes, image)) refuse(0x013D, "Decimal value overflow");
    } else if (size > 0) {
      mismatch("column type mis-match with buffer type");
    } else {
      check_text(column, bytes);
    }
  }
}

/// "name", "db.name", "`name`": the table's own name; the database must be the statement's.
std::string plain_name(const SessionContext& context, const std::string& database, std::string_view name) {
  if (name.empty()) refuse(0x022B, "Stmt table name not set correctly");
  if (name.size() > data::Limits::table_name) {
    const auto dot = name.find('.');
    if (dot == std::string_view::npos || name.size() - dot - 1 > data::Limits::table_name) mismatch("name too long");
  }
  const auto unquoted = [](std::string_view part) {
    if (part.size() < 2 || (part.front() != '`' && part.front() != '\'' && part.front() != '"'))
      return std::string(part);
    const char quote = part.front();
    if (part.back() != quote) return std::string(part);
    std::string out;
    for (std::size_t i = 1; i + 1 < part.size(); ++i) {
      out += part[i];
      if (part[i] == quote && i + 2 < part.size() && part[i + 1] == quote) ++i;
    }
    return out;
  };
  const bool quoted = name.front() == '`' || name.front() == '\'' || name.front() == '"';
  const auto dot = quoted ? name.find('.', std::min(name.find(name.front(), 1), name.size() - 1)) : name.find('.');
  if (dot == std::string_view::npos) return unquoted(name);
  const auto other = unquoted(name.substr(0, dot));
  if (other != database) {
    if (!context.instance->find(other)) refuse(0x0388, "Database not exist");
    unsupported("a bound table of another database than the statement's");
  }
  auto table = unquoted(name.substr(dot + 1));
  if (table.find('.') != std::string::npos) refuse(0x2617, "The table name cannot contain '.'");
  return table;
}

}  // namespace

std::shared_ptr<Prepared> Prepared::make(SessionContext& context, std::string_view sql) {
  auto made = std::make_shared<Prepared>();
  made->sql = sql;
  std::size_t at = 0;
  if (next_token(sql, at).is("select")) {
    Cursor in(sql);
    in.take();
    // A query without a table, or without a placeholder, is refused as the server does.
    parse_select(in, &made->parameters);
    in.finish();
    if (made->parameters == 0) refuse(0x2600, "stmt only support select or insert");
    return made;
  }
  if (!is_insert_values(sql)) refuse(0x2600, "stmt only support 'SELECT' or 'INSERT'");
  made->is_insert = true;
  auto& t = made->target;
  const auto locked = InsertParser(context, sql, &t).prepare();
  made->database = t.database.empty() ? context.database : t.database;
  const LockedDatabase db = locked ? std::move(*locked) : open_database(context, made->database);
  made->definition = !t.super.empty() ? t.super : t.table;
  const auto bind_name = [&] {
    PreparedField field;
    field.column = {"tbname", Type::varchar, 269, 0, 0, false};
    field.bind = PreparedField::Bind::table_name;
    field.stored_bytes = 271;
    made->fields.push_back(field);
  };
  if (t.table_placeholder) bind_name();
  if (made->definition.empty()) return made;
  const auto found = db->find(made->definition);
  if (found.table == nullptr) refuse(0x022B, "Table does not exist");
  const auto& table = *found.table;
  made->table_id = table.id;
  made->table_version = table.version;
  const auto add_tag = [&](std::size_t i) {
    if (!t.tag_given[i]) return;
    made->fields.push_back(field_of(table.tags[static_cast<std::size_t>(t.tags[i])].column, PreparedField::Bind::tag,
                                    db->options.precision));
  };
  const auto add_column = [&](std::size_t i) {
    if (!t.value_given[i]) return;
    made->fields.push_back(field_of(table.columns[static_cast<std::size_t>(t.columns[i])].column,
                                    PreparedField::Bind::column, db->options.precision));
  };
  if (!t.names_in_rows) {
    for (std::size_t i = 0; i < t.tags.size(); ++i) add_tag(i);
    for (std::size_t i = 0; i < t.columns.size(); ++i) add_column(i);
    return made;
  }
  std::size_t tag = 0;
  std::size_t column = 0;
  for (const int place : t.written) {
    if (place == -1) {
      bind_name();
    } else if (place < static_cast<int>(table.columns.size())) {
      add_column(column++);
    } else {
      add_tag(tag++);
    }
  }
  return made;
}

BoundInsert::BoundInsert(SessionContext& context, const Prepared& prepared)
    : context_(context), prepared_(prepared), database_(open_database(context, prepared.database)) {
  if (prepared.definition.empty()) return;
  const auto found = database_->find(prepared.definition);
  if (found.table == nullptr) refuse(0x2603, "Table does not exist");
  definition_ = found.table;
  // As a statement of the server that was overtaken by ALTER: it must be prepared again.
  if (definition_->id != prepared.table_id || definition_->version != prepared.table_version) {
    refuse(0x0125, "Retry needed: the table was altered since the statement was prepared");
  }
}

BoundInsert::Place BoundInsert::place(std::string_view name, const std::vector<Value>& tags) {
  const auto& t = prepared_.target;
  Place p;
  p.name = t.table_placeholder || t.names_in_rows ? plain_name(context_, prepared_.database, name) : t.table;
  p.super = t.super.empty() ? nullptr : definition_;
  if (t.names_in_rows && tags.empty()) p.super = nullptr;
  auto* const child = existing_child(*database_, p.name, t.super.empty() ? nullptr : definition_);
  if (child == nullptr && p.super == nullptr) refuse(0x2603, "Table does not exist");
  p.table = definition_ != nullptr ? definition_ : child->table;
  if (definition_ == nullptr && t.column_names.empty()) {
    for (std::size_t i = 0; i < p.table->columns.size(); ++i) p.columns.push_back(static_cast<int>(i));
  }
  for (const auto& column : definition_ == nullptr ? t.column_names : std::vector<std::string>{}) {
    p.columns.push_back(p.table->column(column));
    if (p.columns.back() < 0) refuse(0x2602, ("Invalid column name: " + column).c_str());
  }
  for (std::size_t i = 0; definition_ != nullptr && i < t.columns.size(); ++i) {
    if (t.value_given[i]) p.columns.push_back(t.columns[i]);
  }
  if (child != nullptr || p.super == nullptr) return p;
  p.tags.assign(p.super->tags.size(), Value{});
  std::size_t bound = 0;
  for (std::size_t i = 0; i < t.tags.size(); ++i) {
    const auto at = static_cast<std::size_t>(t.tags[i]);
    auto& value = p.tags[at];
    if (!t.tag_given[i]) {
      value = t.tag_constants[i];
      continue;
    }
    if (bound >= tags.size()) continue;  // a missing tag section: the tags of a new table are NULL
    value = tags[bound++];
    if (value.state != Value::State::value) {
      value = {};
      continue;
    }
    const auto& column = p.super->tags[at].column;
    if (column.type == Type::json) {
      const auto json = json_tag(value.text);
      value = json.null ? Value{} : present(0, json.text);
    } else if (data::is_variable(column.type)) {
      check_text(column, value.text);
    }
  }
  return p;
}

// --- columns as they lie in the message ---

BoundInsert::Place BoundInsert::checked(const ColumnarTable& bound) {
  auto p = place(bound.name, bound.tags);
  if (bound.columns.empty()) return p;
  if (bound.columns.size() < p.columns.size()) mismatch("row number in each bind param should be the same");
  p.rows = static_cast<std::size_t>(std::max(0, bound.columns[0].rows));
  if (p.rows < 1 || p.rows > data::Limits::rows_per_table) refuse(0x0236, "bind number out of range or not match");
  for (std::size_t i = 0; i < p.columns.size(); ++i) {
    const auto& column = p.table->columns[static_cast<std::size_t>(p.columns[i])].column;
    check_view(bound.columns[i], column, p.rows);
    if (p.columns[i] != 0 && !column.composite_key) continue;
    for (std::size_t r = 0; r < p.rows; ++r) {
      if (!has_value(bound.columns[i], r)) refuse(0x267B, "Primary key column should not be null");
    }
  }
  return p;
}

void BoundInsert::check(std::span<const ColumnarTable> tables) {
  for (const auto& table : tables) checked(table);
}

namespace {

/// What a bound column writes into a packed row.
struct Writer {
  std::size_t slot = 0;
  enum class Kind { fixed, boolean, text, decimal } kind = Kind::fixed;
  std::size_t size = 0;
  const ColumnView* view = nullptr;
  const data::Column* column = nullptr;
  std::size_t offsets = 0;  ///< number of its table of offsets
};

}  // namespace

std::int64_t BoundInsert::store_table(const Place& p, const ColumnarTable& bound, Child& child, std::int64_t& added,
                                      ChangeScope& changes) {
  const auto& table = *child.table;
  const auto& t = prepared_.target;
  std::vector<Writer> writers;
  const ColumnView* times = nullptr;
  const ColumnView* keys = nullptr;
  std::int64_t constant_time = 0;
  std::size_t key_offsets = 0;
  std::size_t used_offsets = 0;
  for (std::size_t i = 0; i < p.columns.size(); ++i) {
    const auto& view = bound.columns[i];
    const auto at = static_cast<std::size_t>(p.columns[i]);
    if (at == 0) {
      times = &view;
      continue;
    }
    Writer w;
    w.slot = at - 1;
    w.view = &view;
    w.column = &table.columns[at].column;
    w.size = data::fixed_size(w.column->type);
    w.kind = w.column->type == Type::boolean ? Writer::Kind::boolean
             : view.lengths != nullptr       ? (is_decimal(w.column->type) ? Writer::Kind::decimal : Writer::Kind::text)
                                             : Writer::Kind::fixed;
    if (view.lengths != nullptr) {
      if (offsets_.size() == used_offsets) offsets_.emplace_back();
      auto& offsets = offsets_[used_offsets];
      offsets.resize(p.rows + 1);
      std::uint32_t sum = 0;
      for (std::size_t r = 0; r < p.rows; ++r) {
        offsets[r] = sum;
        if (has_value(view, r)) sum += static_cast<std::uint32_t>(length_at(view, r));
      }
      offsets[p.rows] = sum;
      w.offsets = used_offsets++;
    }
    if (w.column->composite_key) {
      keys = &view;
      key_offsets = w.offsets;
    }
    writers.push_back(w);
  }
  std::sort(writers.begin(), writers.end(), [](const auto& a, const auto& b) { return a.slot < b.slot; });
  std::vector<std::pair<std::size_t, const Value*>> constants;
  for (std::size_t i = 0; definition_ != nullptr && i < t.columns.size(); ++i) {
    if (t.value_given[i]) continue;
    if (t.columns[i] == 0) constant_time = static_cast<std::int64_t>(t.value_constants[i].bits);
    if (t.columns[i] > 0) constants.emplace_back(static_cast<std::size_t>(t.columns[i]) - 1, &t.value_constants[i]);
  }
  const auto time = [&](std::size_t r) { return times != nullptr ? time_at(*times, r) : constant_time; };
  const auto key = [&](std::size_t r) -> Store::Key {
    if (keys == nullptr) return {};
    if (keys->lengths != nullptr) {
      const auto& o = offsets_[key_offsets];
      return {0, keys->data.substr(o[r], o[r + 1] - o[r]), true};
    }
    Value value;
    const auto& column = table.columns[1].column;
    value.bits = bits_of(column.type, keys->data.data() + r * data::fixed_size(column.type));
    return key_of(column, value);
  };
  const auto same_key = [&](std::size_t a, std::size_t b) {
    if (time(a) != time(b)) return false;
    const auto x = key(a);
    const auto y = key(b);
    return x.is_bytes ? x.bytes == y.bytes : x.number == y.number;
  };
  const auto before = [&](std::size_t a, std::size_t b) {
    if (time(a) != time(b)) return time(a) < time(b);
    const auto x = key(a);
    const auto y = key(b);
    return x.is_bytes ? x.bytes < y.bytes : x.number < y.number;
  };
  order_.resize(p.rows);
  std::iota(order_.begin(), order_.end(), 0u);
  bool ascending = true;
  for (std::size_t r = 1; r < p.rows && ascending; ++r) ascending = before(r - 1, r);
  if (!ascending) std::stable_sort(order_.begin(), order_.end(), before);
  RowPacker packer(table.layout());
  std::int64_t distinct = 0;
  auto& store = *database_->store;
  // Constants may lie between bound columns; texts must be set in the order of their slots.
  const bool mixed = !constants.empty();
  for (std::size_t n = 0; n < p.rows; ++n) {
    const std::size_t r = order_[n];
    packer.begin();
    std::size_t constant = 0;
    for (const auto& w : writers) {
      while (mixed && constant < constants.size() && constants[constant].first < w.slot) {
        packer.set_value(constants[constant].first, *constants[constant].second);
        ++constant;
      }
      const auto state = w.view->is_null[r];
      if (state != 0) {
        if (state != 2) packer.set_null(w.slot);
        continue;
      }
      switch (w.kind) {
        case Writer::Kind::fixed: packer.set_fixed(w.slot, w.view->data.data() + r * w.size); break;
        case Writer::Kind::boolean: {
          const char truth = w.view->data[r] != 0 ? 1 : 0;
          packer.set_fixed(w.slot, &truth);
          break;
        }
        case Writer::Kind::text:
        case Writer::Kind::decimal: {
          const auto& o = offsets_[w.offsets];
          const auto bytes = w.view->data.substr(o[r], o[r + 1] - o[r]);
          if (w.kind == Writer::Kind::text) {
            packer.set_text(w.slot, bytes);
          } else {
            char image[16];
            decimal_image(*w.column, bytes, image);
            packer.set_fixed(w.slot, image);
          }
        }
      }
    }
    for (; constant < constants.size(); ++constant) {
      packer.set_value(constants[constant].first, *constants[constant].second);
    }
    const auto packed = packer.finish();
    added += store.put(table, child.id, time(r), key(r), packed) ? 1 : 0;
    changes.row(child, time(r), packed);
    if (n == 0 || !same_key(order_[n - 1], r)) ++distinct;
  }
  return distinct;
}

std::int64_t BoundInsert::store(std::span<const ColumnarTable> tables) {
  std::int64_t first = 0;
  std::int64_t last = 0;
  database_->time_range(first, last);
  std::vector<Place> places;
  places.reserve(tables.size());
  for (const auto& bound : tables) {
    places.push_back(checked(bound));
    const auto& p = places.back();
    for (std::size_t i = 0; i < p.columns.size() && p.rows > 0; ++i) {
      if (p.columns[i] != 0) continue;
      for (std::size_t r = 0; r < p.rows; ++r) {
        const auto time = time_at(bound.columns[i], r);
        if (time < first || time > last) refuse(0x060B, "Timestamp data out of range");
      }
    }
  }
  Store::Transaction transaction(*database_->store);
  CreatedChildren created(*database_);
  ChangeScope changes(*database_);
  std::int64_t affected = 0;
  std::unordered_map<const Child*, bool> seen;
  const bool counts_only = !database_->store->keeps_rows() && !changes.wanted();
  for (std::size_t i = 0; i < tables.size(); ++i) {
    bool made = false;
    auto& child = child_for(*database_, places[i].name, places[i].super, places[i].tags, 0, &made);
    if (made) {
      created.add(child);
      changes.created(child);
    }
    if (places[i].rows == 0) continue;
    if (counts_only) {
      created.count(child, static_cast<std::int64_t>(places[i].rows));
      affected += static_cast<std::int64_t>(places[i].rows);
      continue;
    }
    std::int64_t added = 0;
    const auto distinct = store_table(places[i], tables[i], child, added, changes);
    created.count(child, added);
    // A table bound again: rows that meet those bound before count once, as far as new keys tell.
    affected += seen.emplace(&child, true).second ? distinct : added;
  }
  transaction.commit();
  created.keep();
  changes.commit();
  return affected;
}

// --- rows of values ---

std::vector<RowBatch> BoundInsert::batches(std::span<const BoundTable> tables) {
  std::vector<RowBatch> out;
  const auto& t = prepared_.target;
  for (const auto& bound : tables) {
    auto p = place(bound.name, bound.tags);
    RowBatch batch;
    batch.table = p.name;
    batch.super = p.super;
    batch.tags = std::move(p.tags);
    batch.columns = p.columns;
    if (bound.columns.size() < p.columns.size()) mismatch("row number in each bind param should be the same");
    const auto rows = p.columns.empty() ? 0 : bound.columns[0].size();
    if (rows < 1 || rows > data::Limits::rows_per_table) refuse(0x0236, "bind number out of range or not match");
    for (std::size_t i = 0; definition_ != nullptr && i < t.columns.size(); ++i) {
      if (!t.value_given[i]) batch.columns.push_back(t.columns[i]);
    }
    for (std::size_t r = 0; r < rows; ++r) {
      std::vector<Value> row;
      for (std::size_t i = 0; i < p.columns.size(); ++i) {
        if (bound.columns[i].size() != rows) mismatch("row number in each bind param should be the same");
        const auto& column = p.table->columns[static_cast<std::size_t>(p.columns[i])].column;
        const auto& value = bound.columns[i][r];
        if (value.state == Value::State::value && data::is_variable(column.type)) check_text(column, value.text);
        if ((p.columns[i] == 0 || column.composite_key) && value.state != Value::State::value) {
          refuse(0x267B, "Primary key column should not be null");
        }
        row.push_back(value);
      }
      for (std::size_t i = 0; definition_ != nullptr && i < t.columns.size(); ++i) {
        if (!t.value_given[i]) row.push_back(t.value_constants[i]);
      }
      batch.rows.push_back(std::move(row));
    }
    out.push_back(std::move(batch));
  }
  return out;
}

std::int64_t BoundInsert::store(std::span<const BoundTable> tables) {
  auto list = batches(tables);
  return store_batches(*database_, list, EqualRows::last_given);
}

}  // namespace penstock::sandbox
