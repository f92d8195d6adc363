#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sandbox/catalog.h"

/// What was written to a database, in order, one log a vgroup: consumers read it. A database has none until its first
/// topic is made, so that loads without topics cost nothing.
namespace penstock::sandbox {

/// Tells those who wait for messages that something happened. Any thread.
class ChangeSignal {
 public:
  void notify();
  [[nodiscard]] std::uint64_t generation() const;
  /// Waits until something happened after `seen` or the deadline. Returns whether something did.
  bool wait(std::uint64_t seen, std::chrono::steady_clock::time_point deadline, const std::stop_token& stop);

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t generation_ = 0;
};

/// A child or normal table as it was when something was written: rows outlive ALTERs.
struct TableImage {
  std::shared_ptr<Table> table;  ///< without `children`
  Child child;                   ///< its `table` is the one above
};

struct Change {
  enum class Kind : std::uint8_t {
    begin,          ///< of the log
    rows,           ///< inserts, perhaps with the child tables that they made
    create_stable,  ///< `json`
    create_tables,  ///< `created`: by one statement
    alter_stable,   ///< `json`
    alter_table,    ///< `json`
    drop_tables,    ///< `dropped`
    drop_stable,    ///< `json`
    erase_rows,     ///< `json`
    stock_table,    ///< a table that was there before the log; read as create_tables
    stock_rows,     ///< some of its rows; read as rows
  };
  struct Rows {
    std::shared_ptr<const TableImage> image;
    std::size_t count = 0;
    std::string packed;  ///< per row: i64 time, u32 length, packed row
  };
  /// Rows that still lie in the store: one of several consecutive parts of a child table.
  struct Stock {
    std::int64_t begin = INT64_MIN;  ///< time of its first row; known once the part before was read
    std::int64_t last = 0;           ///< time of the table's last row when the log began
    bool known = false;
    bool final = false;  ///< no part of this table follows
  };
  Kind kind = Kind::begin;
  std::uint32_t table = 0;  ///< the super or normal table concerned, by id; rows, creations and drops have their own.
                            ///< Of stock the child table
  Stock stock;
  std::string json;
  std::vector<Rows> rows;
  std::vector<std::shared_ptr<const TableImage>> created;
  std::vector<std::pair<std::uint32_t, std::string>> dropped;  ///< super or normal table, name

  [[nodiscard]] std::size_t bytes() const noexcept;
};

/// The logs of one database. Guarded by Database::mutex, but for the signal.
class ChangeLog {
 public:
  struct Limits {
    /// Rows and tables of the store that are taken over at the start. When there are more they stay where they are, and
    /// are read when a consumer asks: rows changed meanwhile come as they are then, and their changes come too.
    std::int64_t rows_at_start = 200'000;
    std::size_t bytes = std::size_t{512} << 20;  ///< of all vgroups; the oldest changes go
  };
  /// Begins with what the database has.
  ChangeLog(Database& database, std::shared_ptr<ChangeSignal> signal, Limits limits);
  ChangeLog(Database& database, std::shared_ptr<ChangeSignal> signal)
      : ChangeLog(database, std::move(signal), Limits()) {}

  [[nodiscard]] std::int64_t begin(std::size_t vgroup) const { return vgroups_[vgroup].first; }
  [[nodiscard]] std::int64_t end(std::size_t vgroup) const { return vgroups_[vgroup].end(); }
  /// begin() <= offset < end(). Valid until the next call.
  const Change& at(Database& database, std::size_t vgroup, std::int64_t offset);
  [[nodiscard]] std::size_t size() const noexcept { return vgroups_.size(); }

  void append(std::size_t vgroup, Change change);
  /// One that concerns all vgroups.
  void append_to_all(const Change& change);
  /// Tells those who wait.
  void publish() { signal_->notify(); }
  std::shared_ptr<const TableImage> image(const Child& child);
  /// The image is out of date: tags were set.
  void forget(std::uint32_t child) { images_.erase(child); }

 private:
  struct VGroup {
    std::int64_t first = 0;  ///< offset of changes.front()
    std::deque<Change> changes;
    [[nodiscard]] std::int64_t end() const noexcept { return first + static_cast<std::int64_t>(changes.size()); }
  };
  void take_stock(Database& database);
  void take_rows(Database& database, const Child& child);
  void refer_to_rows(Database& database, const Child& child);
  Change stock_rows(Database& database, std::deque<Change>& changes, std::size_t index);
  void trim();

  const std::string name_;
  const Limits limits_;
  std::shared_ptr<ChangeSignal> signal_;
  std::vector<VGroup> vgroups_;
  std::size_t bytes_ = 0;
  bool trimmed_ = false;
  Change read_;  ///< stock that at() gave out
  std::unordered_map<std::uint32_t, std::shared_ptr<Table>> tables_;
  std::unordered_map<std::uint32_t, std::shared_ptr<const TableImage>> images_;
};

/// Which of the database's vgroups a child or normal table lies in: 0 … count - 1.
std::size_t vgroup_of(std::string_view table, std::size_t count) noexcept;

/// Gathers what one statement writes; nothing without a log. The database is locked.
class ChangeScope {
 public:
  explicit ChangeScope(Database& database);
  [[nodiscard]] bool wanted() const noexcept { return log_ != nullptr; }
  void created(const Child& child) {
    if (log_ != nullptr) add_created(child);
  }
  void row(const Child& child, std::int64_t time, std::string_view packed) {
    if (log_ != nullptr) add_row(child, time, packed);
  }
  /// Call before it is.
  void dropped(const Child& child) {
    if (log_ != nullptr) add_dropped(child);
  }
  /// Once the transaction is committed.
  void commit();

 private:
  void add_dropped(const Child& child);
  void add_created(const Child& child);
  void add_row(const Child& child, std::int64_t time, std::string_view packed);
  Change& change(std::string_view table);

  ChangeLog* log_;
  std::vector<Change> changes_;  // by vgroup
  std::unordered_map<std::uint32_t, std::size_t> place_;
  std::uint32_t last_child_ = 0;
  Change::Rows* last_ = nullptr;
};

// What DDL says to the log, if there is one; call once the transaction is committed, while the database is locked.
// Sources of the JSON: messages of TDengine 3.3.7 as recorded.

void log_created(Database& database, const Table& table);
/// By one statement.
void log_created(Database& database, std::span<const Child* const> children);
/// How ALTER changed a super or normal table, by the engine's numbers.
struct AlterChange {
  enum Kind {
    add_tag = 1,
    drop_tag = 2,
    rename_tag = 3,
    set_tag = 4,
    add_column = 5,
    drop_column = 6,
    widen_column = 7,
    widen_tag = 8,
    options = 9,
    rename_column = 10,
    set_tags = 15
  };
  Kind kind = options;
  std::string name;
  const data::Column* column = nullptr;  ///< added or widened
  std::string new_name;
};
void log_altered(Database& database, const Table& table, const AlterChange& change);
/// Options or tags of a child table; `tags`: places of those that were set.
void log_altered(Database& database, const Child& child, std::span<const std::size_t> tags);
/// A super table with its children; call before it is dropped.
void log_dropped(Database& database, const Table& table);
/// DELETE from `name`, the child or super table of the statement, in [first, last], from these child tables.
void log_erased(Database& database, const Table& table, std::string_view name, std::span<const Child* const> children,
                std::int64_t first, std::int64_t last);

/// The JSON of a message with creations of one statement, or of several with rows: as tmq_get_json_meta.
std::string creation_json(std::span<const TableImage* const> tables);
std::string creation_json(const Table& table);
std::string drop_json(std::span<const std::string_view> names);

}  // namespace penstock::sandbox
