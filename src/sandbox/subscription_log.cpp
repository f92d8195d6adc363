#include "sandbox/subscription_log.h"

#include <fmt/format.h>

#include "base/log.h"
#include "sandbox/sql_parser.h"
#include "sandbox/store.h"
#include "wire/bytes.h"

namespace penstock::sandbox {
namespace {

/// Rows of one table in the store that become one change.
constexpr std::size_t kStockRows = 4096;

void pack(Change::Rows& rows, std::int64_t time, std::string_view packed) {
  wire::append(rows.packed, time);
  wire::append(rows.packed, static_cast<std::uint32_t>(packed.size()));
  rows.packed += packed;
  ++rows.count;
}

}  // namespace

void ChangeSignal::notify() {
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
  }
  changed_.notify_all();
}

std::uint64_t ChangeSignal::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

bool ChangeSignal::wait(std::uint64_t seen, std::chrono::steady_clock::time_point deadline,
                        const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, stop, deadline, [&] { return generation_ != seen; });
}

std::size_t Change::bytes() const noexcept {
  std::size_t sum = sizeof(Change) + json.size() + created.size() * sizeof(created[0]);
  for (const auto& r : rows) sum += sizeof r + r.packed.size();
  for (const auto& [table_id, name] : dropped) sum += sizeof name + name.size();
  return sum;
}

std::size_t vgroup_of(std::string_view table, std::size_t count) noexcept {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a: the same in every run
  for (const char c : table) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return static_cast<std::size_t>((hash ^ hash >> 32) % count);
}

// --- ChangeLog ---

ChangeLog::ChangeLog(Database& database, std::shared_ptr<ChangeSignal> signal, Limits limits)
    : name_(database.name), limits_(limits), signal_(std::move(signal)), vgroups_(database.vgroups.size()) {
  take_stock(database);
}

void ChangeLog::take_stock(Database& database) {
  std::int64_t rows = static_cast<std::int64_t>(database.children.size());
  for (const auto& [id, child] : database.children) rows += child->rows;
  const bool taken_over = rows <= limits_.rows_at_start;
  append_to_all(Change{});
  // Tables in the order in which they were made.
  for (const auto& [id, table] : database.tables) {
    if (!table->super) continue;
    Change change;
    change.kind = Change::Kind::create_stable;
    change.table = id;
    change.json = creation_json(*table);
    append_to_all(change);
  }
  for (const auto& [id, child] : database.children) {
    Change change;
    change.kind = taken_over ? Change::Kind::create_tables : Change::Kind::stock_table;
    change.table = id;
    if (taken_over) change.created.push_back(image(*child));
    append(vgroup_of(child->name, vgroups_.size()), std::move(change));
  }
  for (const auto& [id, child] : database.children) {
    if (child->rows == 0) continue;
    if (taken_over) take_rows(database, *child);
    else refer_to_rows(database, *child);
  }
}

void ChangeLog::take_rows(Database& database, const Child& child) {
  const auto vgroup = vgroup_of(child.name, vgroups_.size());
  Change change;
  const auto flush = [&] {
    change.kind = Change::Kind::rows;
    append(vgroup, std::exchange(change, {}));
  };
  database.store->scan(child.id, INT64_MIN, INT64_MAX, false, [&](std::int64_t time, std::string_view packed) {
    if (change.rows.empty()) change.rows.push_back({image(child), 0, {}});
    pack(change.rows[0], time, packed);
    if (change.rows[0].count == kStockRows) flush();
    return true;
  });
  if (!change.rows.empty()) flush();
}

void ChangeLog::refer_to_rows(Database& database, const Child& child) {
  Change part;
  part.kind = Change::Kind::stock_rows;
  part.table = child.id;
  database.store->scan(child.id, INT64_MIN, INT64_MAX, true, [&](std::int64_t time, std::string_view) {
    part.stock.last = time;
    return false;
  });
  const auto parts = (static_cast<std::size_t>(child.rows) + kStockRows - 1) / kStockRows;
  for (std::size_t i = 0; i < parts; ++i) {
    part.stock.known = i == 0;
    part.stock.final = i + 1 == parts;
    append(vgroup_of(child.name, vgroups_.size()), part);
  }
}

Change ChangeLog::stock_rows(Database& database, std::deque<Change>& changes, std::size_t index) {
  // A part begins where the one before ended; when that is not known yet (seek), those before are read first.
  auto at = index;
  while (!changes[at].stock.known && at > 0 && changes[at - 1].kind == Change::Kind::stock_rows &&
         changes[at - 1].table == changes[at].table) {
    --at;
  }
  Change out;
  for (; at <= index; ++at) {
    const auto& stock = changes[at].stock;
    out = {};
    out.kind = Change::Kind::rows;
    const auto child = database.children.find(changes[at].table);
    if (child == database.children.end()) return out;
    out.rows.push_back({image(*child->second), 0, {}});
    auto next = INT64_MAX;
    auto before = INT64_MIN;
    if (stock.begin <= stock.last) {
      database.store->scan(child->first, stock.begin, stock.last, false,
                           [&](std::int64_t time, std::string_view packed) {
                             // Rows of one time (composite keys) stay together.
                             if (!stock.final && out.rows[0].count >= kStockRows && time != before) {
                               next = time;
                               return false;
                             }
                             before = time;
                             pack(out.rows[0], time, packed);
                             return true;
                           });
    }
    if (!stock.final) {
      changes[at + 1].stock.begin = next;
      changes[at + 1].stock.known = true;
    }
  }
  if (out.rows[0].count == 0) out.rows.clear();
  return out;
}

const Change& ChangeLog::at(Database& database, std::size_t vgroup, std::int64_t offset) {
  auto& group = vgroups_[vgroup];
  const auto index = static_cast<std::size_t>(offset - group.first);
  const auto& change = group.changes[index];
  if (change.kind == Change::Kind::stock_rows) return read_ = stock_rows(database, group.changes, index);
  if (change.kind != Change::Kind::stock_table) return change;
  read_ = {};
  if (const auto child = database.children.find(change.table); child != database.children.end()) {
    read_.kind = Change::Kind::create_tables;
    read_.created.push_back(image(*child->second));
  }
  return read_;
}

void ChangeLog::append(std::size_t vgroup, Change change) {
  bytes_ += change.bytes();
  vgroups_[vgroup].changes.push_back(std::move(change));
  if (bytes_ > limits_.bytes) trim();
}

void ChangeLog::append_to_all(const Change& change) {
  for (std::size_t i = 0; i < vgroups_.size(); ++i) append(i, change);
}

void ChangeLog::trim() {
  if (!std::exchange(trimmed_, true)) {
    log(LogLevel::warning,
        fmt::format("sandbox: the log that consumers of database `{}` read is longer than {} MiB; its oldest changes "
                    "are dropped, consumers that have not read them will not get them",
                    name_, limits_.bytes >> 20));
  }
  while (bytes_ > limits_.bytes) {
    VGroup* longest = &vgroups_.front();
    for (auto& v : vgroups_) {
      if (v.changes.size() > longest->changes.size()) longest = &v;
    }
    if (longest->changes.size() < 2) return;
    bytes_ -= longest->changes.front().bytes();
    longest->changes.pop_front();
    ++longest->first;
  }
}

std::shared_ptr<const TableImage> ChangeLog::image(const Child& child) {
  auto& slot = images_[child.id];
  if (slot && slot->table->version == child.table->version) return slot;
  auto& table = tables_[child.table->id];
  if (!table || table->version != child.table->version) {
    table = std::make_shared<Table>();
    const auto& now = *child.table;
    table->id = now.id;
    table->super = now.super;
    table->name = now.name;
    table->columns = now.columns;
    table->tags = now.tags;
    table->version = now.version;
    table->layouts = now.layouts;
  }
  auto made = std::make_shared<TableImage>();
  made->table = table;
  made->child = child;
  made->child.table = table.get();
  return slot = std::move(made);
}

// --- ChangeScope ---

ChangeScope::ChangeScope(Database& database) : log_(database.changes.get()) {
  if (log_ != nullptr) changes_.resize(log_->size());
}

Change& ChangeScope::change(std::string_view table) { return changes_[vgroup_of(table, changes_.size())]; }

void ChangeScope::add_created(const Child& child) { change(child.name).created.push_back(log_->image(child)); }

void ChangeScope::add_dropped(const Child& child) {
  change(child.name).dropped.emplace_back(child.table->id, child.name);
  log_->forget(child.id);
}

void ChangeScope::add_row(const Child& child, std::int64_t time, std::string_view packed) {
  if (last_ == nullptr || last_child_ != child.id) {
    auto& rows = change(child.name).rows;
    const auto [at, is_new] = place_.try_emplace(child.id, rows.size());
    if (is_new) rows.push_back({log_->image(child), 0, {}});
    last_child_ = child.id;
    last_ = &rows[at->second];
  }
  pack(*last_, time, packed);
}

void ChangeScope::commit() {
  if (log_ == nullptr) return;
  bool any = false;
  for (std::size_t i = 0; i < changes_.size(); ++i) {
    auto& change = changes_[i];
    if (change.rows.empty() && change.created.empty() && change.dropped.empty()) continue;
    change.kind = !change.dropped.empty() ? Change::Kind::drop_tables
                  : change.rows.empty()   ? Change::Kind::create_tables
                                          : Change::Kind::rows;
    log_->append(i, std::move(change));
    any = true;
  }
  if (any) log_->publish();
}

}  // namespace penstock::sandbox
