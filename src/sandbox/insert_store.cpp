#include "sandbox/insert_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "sandbox/sql_parser.h"
#include "sandbox/store_row.h"
#include "sandbox/subscription_log.h"

namespace penstock::sandbox {
namespace {

using data::Type;

/// All rows of one child in the order given, spread over all columns of the table.
struct Gathered {
  Child* child = nullptr;
  const RowBatch* first = nullptr;
  std::vector<std::pair<const RowBatch*, std::size_t>> rows;  ///< batch, row
};

struct KeyedRow {
  std::int64_t time = 0;
  std::vector<Value> values;  ///< by column of the table
};

int order(const Table& table, const KeyedRow& a, const KeyedRow& b) noexcept {
  if (a.time != b.time) return a.time < b.time ? -1 : 1;
  if (!table.composite_key()) return 0;
  const auto x = key_of(table.columns[1].column, a.values[1]);
  const auto y = key_of(table.columns[1].column, b.values[1]);
  if (x.is_bytes) return x.bytes.compare(y.bytes);
  return x.number < y.number ? -1 : x.number > y.number ? 1 : 0;
}

void lay_over(std::vector<Value>& older, std::vector<Value>& newer, EqualRows rule) {
  for (std::size_t i = 0; i < older.size(); ++i) {
    const auto state = newer[i].state;
    if (state == Value::State::not_given) continue;
    if (rule == EqualRows::last_value && state == Value::State::null && older[i].state == Value::State::value) continue;
    older[i] = std::move(newer[i]);
  }
}

KeyedRow keyed(const Table& table, const RowBatch& batch, std::size_t row) {
  KeyedRow out;
  Value absent;
  absent.state = Value::State::not_given;
  out.values.assign(table.columns.size(), absent);
  for (std::size_t i = 0; i < batch.columns.size(); ++i) {
    out.values[static_cast<std::size_t>(batch.columns[i])] = batch.rows[row][i];
  }
  if (out.values[0].state != Value::State::value) refuse(0x267B, "Primary key column should not be null");
  out.time = static_cast<std::int64_t>(out.values[0].bits);
  if (table.composite_key() && out.values[1].state != Value::State::value) {
    refuse(0x267B, "Primary key column should not be null");
  }
  return out;
}

}  // namespace

CreatedChildren::~CreatedChildren() {
  if (kept_) return;
  for (const auto& [id, rows] : counted_) {
    if (const auto found = database_.children.find(id); found != database_.children.end()) found->second->rows -= rows;
  }
  for (const auto id : created_) database_.forget(id);
}

Store::Key key_of(const data::Column& column, const Value& value) noexcept {
  if (data::is_variable(column.type)) return {0, value.text, true};
  if (column.type == Type::ubigint)
    return {static_cast<std::int64_t>(value.bits ^ (std::uint64_t{1} << 63)), {}, false};
  return {static_cast<std::int64_t>(value.bits), {}, false};
}

Child* existing_child(Database& database, std::string_view name, const Table* super) {
  const auto found = database.find(name);
  if (found.table == nullptr) {
    if (super == nullptr) refuse(0x2603, "Table does not exist");
    return nullptr;
  }
  if (found.child == nullptr || (super != nullptr && found.table != super)) {
    refuse(0x061D, "Table already exists in other stables");
  }
  return found.child;
}

Child& child_for(Database& database, std::string_view name, Table* super, const std::vector<Value>& tags,
                 std::int32_t ttl, bool* made) {
  if (made != nullptr) *made = false;
  if (auto* const child = existing_child(database, name, super)) return *child;
  Child child;
  child.table = super;
  child.name = name;
  child.tags = tags;
  child.tags.resize(super->tags.size());
  child.ttl = ttl;
  if (made != nullptr) *made = true;
  return database.add_child(std::move(child));
}

std::int64_t store_batches(Database& database, std::vector<RowBatch>& batches, EqualRows rule) {
  std::int64_t first = 0;
  std::int64_t last = 0;
  database.time_range(first, last);
  // Everything that may be refused comes before the first write.
  for (const auto& batch : batches) {
    const auto* const child = existing_child(database, batch.table, batch.super);
    const auto& table = child != nullptr ? *child->table : *batch.super;
    for (std::size_t r = 0; r < batch.rows.size(); ++r) {
      const auto row = keyed(table, batch, r);
      if (row.time < first || row.time > last) refuse(0x060B, "Timestamp data out of range");
    }
  }
  Store::Transaction transaction(*database.store);
  CreatedChildren created(database);
  ChangeScope changes(database);
  std::vector<Gathered> gathered;
  std::unordered_map<std::uint32_t, std::size_t> index;
  for (const auto& batch : batches) {
    bool made = false;
    auto& child = child_for(database, batch.table, batch.super, batch.tags, batch.ttl, &made);
    if (made) {
      created.add(child);
      changes.created(child);
    }
    const auto [at, is_new] = index.try_emplace(child.id, gathered.size());
    if (is_new) gathered.push_back({&child, &batch, {}});
    for (std::size_t r = 0; r < batch.rows.size(); ++r) gathered[at->second].rows.emplace_back(&batch, r);
  }
  std::int64_t affected = 0;
  const bool counts_only = !database.store->keeps_rows() && !changes.wanted();
  for (auto& g : gathered) {
    if (counts_only) {
      created.count(*g.child, static_cast<std::int64_t>(g.rows.size()));
      affected += static_cast<std::int64_t>(g.rows.size());
      continue;
    }
    const auto& table = *g.child->table;
    std::vector<KeyedRow> rows;
    rows.reserve(g.rows.size());
    for (const auto& [batch, r] : g.rows) rows.push_back(keyed(table, *batch, r));
    std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return order(table, a, b) < 0; });
    RowPacker packer(table.layout());
    std::int64_t added = 0;
    for (std::size_t i = 0; i < rows.size();) {
      std::size_t end = i + 1;
      for (; end < rows.size() && order(table, rows[i], rows[end]) == 0; ++end) {
        lay_over(rows[i].values, rows[end].values, rule);
      }
      packer.begin();
      for (std::size_t c = 1; c < table.columns.size(); ++c) packer.set_value(c - 1, rows[i].values[c]);
      const auto packed = packer.finish();
      const auto key = table.composite_key() ? key_of(table.columns[1].column, rows[i].values[1]) : Store::Key{};
      added += database.store->put(table, g.child->id, rows[i].time, key, packed) ? 1 : 0;
      changes.row(*g.child, rows[i].time, packed);
      ++affected;
      i = end;
    }
    created.count(*g.child, added);
  }
  transaction.commit();
  created.keep();
  changes.commit();
  return affected;
}

}  // namespace penstock::sandbox
