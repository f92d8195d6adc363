#include "sandbox/store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <stdexcept>

#include "base/error.h"
#include "sandbox/store_row.h"

namespace penstock::sandbox {
namespace {

// Rows of 100 bytes in thousands of child tables at once: pages of 4 KiB keep what a commit writes small; the big cache
// and the late checkpoint let hot pages gather rows before they move from the log into the file.
constexpr const char* kOpen =
    "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-131072;"
    "PRAGMA wal_autocheckpoint=16384; PRAGMA temp_store=MEMORY; PRAGMA locking_mode=EXCLUSIVE;"
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS tables(id INTEGER PRIMARY KEY, definition TEXT);"
    "CREATE TABLE IF NOT EXISTS children(id INTEGER PRIMARY KEY, parent INTEGER, name TEXT, tags BLOB, comment TEXT,"
    " created INTEGER, ttl INTEGER, rows INTEGER);"
    "CREATE TABLE IF NOT EXISTS rows(child INTEGER, time INTEGER, key, data BLOB, PRIMARY KEY(child, time, key))"
    " WITHOUT ROWID;";

void bind_text(sqlite3_stmt* s, int at, std::string_view text) {
  sqlite3_bind_text(s, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}
void bind_blob(sqlite3_stmt* s, int at, std::string_view bytes) {
  sqlite3_bind_blob(s, at, bytes.empty() ? "" : bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
}
std::string_view column_bytes(sqlite3_stmt* s, int at) {
  const auto* const bytes = static_cast<const char*>(sqlite3_column_blob(s, at));
  return {bytes == nullptr ? "" : bytes, static_cast<std::size_t>(sqlite3_column_bytes(s, at))};
}

/// Brings a cached statement back to its start, whatever happens to its user.
struct Reset {
  explicit Reset(sqlite3_stmt* s) : statement(s) {}
  ~Reset() { sqlite3_reset(statement); }
  Reset(const Reset&) = delete;
  Reset& operator=(const Reset&) = delete;
  sqlite3_stmt* statement;
};

}  // namespace

/// What the SQL function merge(older, newer) needs to know.
struct Store::Merger {
  const Table* table = nullptr;
  std::uint64_t merged = 0;

  static void call(sqlite3_context* context, int, sqlite3_value** values) {
    auto* const self = static_cast<Merger*>(sqlite3_user_data(context));
    const auto bytes = [&](int i) {
      return std::string_view(static_cast<const char*>(sqlite3_value_blob(values[i])),
                              static_cast<std::size_t>(sqlite3_value_bytes(values[i])));
    };
    ++self->merged;
    try {
      const auto row = merge_rows(*self->table, bytes(0), bytes(1));
      sqlite3_result_blob(context, row.data(), static_cast<int>(row.size()), SQLITE_TRANSIENT);
    } catch (const std::bad_alloc&) {
      sqlite3_result_error_nomem(context);
    }
  }
};

Store::Store(const std::filesystem::path& file, Rows rows)
    : file_(file), keeps_rows_(rows == Rows::kept), merger_(std::make_unique<Merger>()) {
  const std::string name = file.empty() ? ":memory:" : file.string();
  if (sqlite3_open_v2(name.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr) !=
      SQLITE_OK) {
    const std::string why = db_ == nullptr ? "out of memory" : sqlite3_errmsg(db_);
    sqlite3_close(db_);
    throw Error(Errc::io, fmt::format("cannot open the sandbox's database '{}': {}", name, why));
  }
  try {
    execute(kOpen);
    sqlite3_create_function_v2(db_, "merge", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, merger_.get(), &Merger::call,
                               nullptr, nullptr, nullptr);
  } catch (...) {
    sqlite3_close(db_);
    throw;
  }
}

Store::~Store() {
  for (auto* const s : statements_) sqlite3_finalize(s);
  sqlite3_close(db_);
}

void Store::fail(const char* doing) {
  throw Error(Errc::io,
              fmt::format("cannot {} in the sandbox's database '{}': {}", doing, file_.string(), sqlite3_errmsg(db_)));
}

void Store::execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail("prepare tables");
}

sqlite3_stmt* Store::statement(Statement which) {
  static constexpr const char* kSql[kStatements] = {
      "INSERT INTO rows VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET data=merge(data,excluded.data)",
      "SELECT time,data FROM rows WHERE child=?1 AND time>=?2 AND time<=?3 ORDER BY time,key",
      "SELECT time,data FROM rows WHERE child=?1 AND time>=?2 AND time<=?3 ORDER BY time DESC,key DESC",
      "DELETE FROM rows WHERE child=?1 AND time>=?2 AND time<=?3",
      "SELECT count(*) FROM rows WHERE child=?1",
      "INSERT INTO meta VALUES(?1,?2) ON CONFLICT DO UPDATE SET value=excluded.value",
      "SELECT value FROM meta WHERE key=?1",
      "INSERT OR REPLACE INTO tables VALUES(?1,?2)",
      "DELETE FROM tables WHERE id=?1",
      "INSERT OR REPLACE INTO children VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
      "UPDATE children SET rows=?2 WHERE id=?1",
      "DELETE FROM children WHERE id=?1",
      "SELECT id,definition FROM tables ORDER BY id",
      "SELECT id,parent,name,tags,comment,created,ttl,rows FROM children ORDER BY id",
      "BEGIN IMMEDIATE",
      "COMMIT",
      "ROLLBACK",
  };
  auto*& s = statements_[which];
  if (s == nullptr && sqlite3_prepare_v3(db_, kSql[which], -1, SQLITE_PREPARE_PERSISTENT, &s, nullptr) != SQLITE_OK) {
    fail("prepare a statement");
  }
  return s;
}

void Store::run(sqlite3_stmt* s) {
  const Reset reset(s);
  if (sqlite3_step(s) != SQLITE_DONE) fail("write");
}

void Store::begin() { run(statement(begin_)); }
void Store::commit() { run(statement(commit_)); }
void Store::rollback() {
  // Called while an error is on its way; a failed rollback (SQLite may have done it itself) adds nothing to it.
  auto* const s = statement(rollback_);
  sqlite3_step(s);
  sqlite3_reset(s);
}

bool Store::put(const Table& table, std::uint32_t child, std::int64_t time, const Key& key, std::string_view row) {
  if (!keeps_rows_) return true;
  auto* const s = statement(put_row);
  const Reset reset(s);
  merger_->table = &table;
  const auto merged = merger_->merged;
  sqlite3_bind_int64(s, 1, child);
  sqlite3_bind_int64(s, 2, time);
  if (key.is_bytes) {
    bind_blob(s, 3, key.bytes);
  } else {
    sqlite3_bind_int64(s, 3, key.number);
  }
  bind_blob(s, 4, row);
  if (sqlite3_step(s) != SQLITE_DONE) fail("store a row");
  return merger_->merged == merged;
}

void Store::scan(std::uint32_t child, std::int64_t first, std::int64_t last, bool descending, const Visit& visit) {
  auto* const s = statement(descending ? scan_down : scan_up);
  const Reset reset(s);
  sqlite3_bind_int64(s, 1, child);
  sqlite3_bind_int64(s, 2, first);
  sqlite3_bind_int64(s, 3, last);
  int code = 0;
  while ((code = sqlite3_step(s)) == SQLITE_ROW) {
    if (!visit(sqlite3_column_int64(s, 0), column_bytes(s, 1))) return;
  }
  if (code != SQLITE_DONE) fail("read rows");
}

std::int64_t Store::erase_rows(std::uint32_t child, std::int64_t first, std::int64_t last) {
  auto* const s = statement(delete_rows);
  sqlite3_bind_int64(s, 1, child);
  sqlite3_bind_int64(s, 2, first);
  sqlite3_bind_int64(s, 3, last);
  run(s);
  return sqlite3_changes64(db_);
}

std::int64_t Store::count_rows(std::uint32_t child) {
  auto* const s = statement(count_child);
  const Reset reset(s);
  sqlite3_bind_int64(s, 1, child);
  if (sqlite3_step(s) != SQLITE_ROW) fail("count rows");
  return sqlite3_column_int64(s, 0);
}

void Store::set_meta(std::string_view key, std::string_view value) {
  auto* const s = statement(put_meta);
  bind_text(s, 1, key);
  bind_text(s, 2, value);
  run(s);
}

std::string Store::meta(std::string_view key) {
  auto* const s = statement(get_meta);
  const Reset reset(s);
  bind_text(s, 1, key);
  return sqlite3_step(s) == SQLITE_ROW ? std::string(column_bytes(s, 0)) : std::string();
}

void Store::put_table(std::uint32_t id, std::string_view definition) {
  auto* const s = statement(put_table_);
  sqlite3_bind_int64(s, 1, id);
  bind_text(s, 2, definition);
  run(s);
}

void Store::erase_table(std::uint32_t id) {
  auto* const s = statement(delete_table);
  sqlite3_bind_int64(s, 1, id);
  run(s);
}

void Store::put_child(const ChildRow& c) {
  auto* const s = statement(put_child_);
  sqlite3_bind_int64(s, 1, c.id);
  sqlite3_bind_int64(s, 2, c.table);
  bind_text(s, 3, c.name);
  bind_blob(s, 4, c.tags);
  if (c.has_comment) {
    bind_text(s, 5, c.comment);
  } else {
    sqlite3_bind_null(s, 5);
  }
  sqlite3_bind_int64(s, 6, c.created);
  sqlite3_bind_int64(s, 7, c.ttl);
  sqlite3_bind_int64(s, 8, c.rows);
  run(s);
}

void Store::set_child_rows(std::uint32_t id, std::int64_t rows) {
  auto* const s = statement(set_rows);
  sqlite3_bind_int64(s, 1, id);
  sqlite3_bind_int64(s, 2, rows);
  run(s);
}

void Store::erase_child(std::uint32_t id) {
  auto* const s = statement(delete_child);
  sqlite3_bind_int64(s, 1, id);
  run(s);
}

void Store::each_table(const std::function<void(std::uint32_t, std::string_view)>& visit) {
  auto* const s = statement(all_tables);
  const Reset reset(s);
  int code = 0;
  while ((code = sqlite3_step(s)) == SQLITE_ROW) {
    visit(static_cast<std::uint32_t>(sqlite3_column_int64(s, 0)), column_bytes(s, 1));
  }
  if (code != SQLITE_DONE) fail("read the catalog");
}

void Store::each_child(const std::function<void(const ChildRow&)>& visit) {
  auto* const s = statement(all_children);
  const Reset reset(s);
  int code = 0;
  while ((code = sqlite3_step(s)) == SQLITE_ROW) {
    ChildRow row{};
    row.id = static_cast<std::uint32_t>(sqlite3_column_int64(s, 0));
    row.table = static_cast<std::uint32_t>(sqlite3_column_int64(s, 1));
    row.name = column_bytes(s, 2);
    row.tags = column_bytes(s, 3);
    row.has_comment = sqlite3_column_type(s, 4) != SQLITE_NULL;
    row.comment = column_bytes(s, 4);
    row.created = sqlite3_column_int64(s, 5);
    row.ttl = sqlite3_column_int64(s, 6);
    row.rows = sqlite3_column_int64(s, 7);
    visit(row);
  }
  if (code != SQLITE_DONE) fail("read the catalog");
}

}  // namespace penstock::sandbox
