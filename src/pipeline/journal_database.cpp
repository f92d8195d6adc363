#include "pipeline/journal_database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <utility>

#include "base/error.h"

namespace penstock::pipeline {
namespace {

constexpr int kApplication = 0x504E5354;  // "PNST"
constexpr int kVersion = 1;
// A reader ("penstock status") holds the file for moments only.
constexpr int kBusyMilliseconds = 10'000;

constexpr const char* kCreate = R"(
  CREATE TABLE head(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE settings(position INTEGER PRIMARY KEY, name TEXT NOT NULL, value TEXT NOT NULL);
  CREATE TABLE memory(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE sources(
    id TEXT PRIMARY KEY, position INTEGER NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, format TEXT NOT NULL,
    compression TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, head_bytes INTEGER NOT NULL, head_hash TEXT NOT NULL, time_base_ns INTEGER NOT NULL,
    extra TEXT NOT NULL, tail_bytes INTEGER NOT NULL, tail_hash TEXT NOT NULL, settled INTEGER NOT NULL,
    lines INTEGER NOT NULL, read INTEGER NOT NULL, written INTEGER NOT NULL, rejected INTEGER NOT NULL,
    left_out INTEGER NOT NULL, merged INTEGER NOT NULL, text_bytes INTEGER NOT NULL, finished INTEGER NOT NULL,
    rejects TEXT NOT NULL, rejects_header INTEGER NOT NULL, rejects_bytes INTEGER NOT NULL,
    reasons_bytes INTEGER NOT NULL, rejects_swap TEXT NOT NULL) WITHOUT ROWID;
)";

constexpr const char* kPutSource =
    "INSERT OR REPLACE INTO sources(id,position,name,path,format,compression,device,inode,size,mtime_ns,head_bytes,"
    "head_hash,time_base_ns,extra,tail_bytes,tail_hash,settled,lines,read,written,rejected,left_out,merged,text_bytes,"
    "finished,rejects,rejects_header,rejects_bytes,reasons_bytes,rejects_swap) "
    "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

constexpr const char* kGetSources =
    "SELECT "
    "id,position,name,path,format,compression,device,inode,size,mtime_ns,head_bytes,head_hash,time_base_ns,extra,"
    "tail_bytes,tail_hash,settled,lines,read,written,rejected,left_out,merged,text_bytes,finished,rejects,"
    "rejects_header,rejects_bytes,reasons_bytes,rejects_swap FROM sources ORDER BY position";

}  // namespace

// One statement, bound and read from left to right.
class Journal::Database::Query {
 public:
  Query(Database& database, const char* sql, const char* doing) : database_(database), doing_(doing) {
    if (sqlite3_prepare_v2(database.db_, sql, -1, &statement_, nullptr) != SQLITE_OK) database.fail(doing);
  }
  ~Query() { sqlite3_finalize(statement_); }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& bind(std::int64_t value) {
    sqlite3_bind_int64(statement_, ++bound_, value);
    return *this;
  }
  Query& bind(std::uint64_t value) { return bind(static_cast<std::int64_t>(value)); }
  Query& bind(const std::string& value) {
    sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    return *this;
  }
  // True: a row is there.
  bool step() {
    column_ = 0;
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result != SQLITE_DONE) database_.fail(doing_);
    return false;
  }
  void run() {
    while (step()) continue;
    sqlite3_reset(statement_);
    bound_ = 0;
  }
  std::int64_t integer() { return sqlite3_column_int64(statement_, column_++); }
  std::uint64_t count() { return static_cast<std::uint64_t>(integer()); }
  std::string text() {
    const auto* const data = static_cast<const char*>(sqlite3_column_blob(statement_, column_));
    const auto bytes = sqlite3_column_bytes(statement_, column_++);
    return data == nullptr ? std::string() : std::string(data, static_cast<std::size_t>(bytes));
  }

 private:
  Database& database_;
  const char* doing_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  int column_ = 0;
};

Journal::Database::Database(std::filesystem::path file, Access access) : file_(std::move(file)), access_(access) {
  const auto open = [&](int flags) {
    sqlite3_close(std::exchange(db_, nullptr));
    return sqlite3_open_v2(file_.c_str(), &db_, flags | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX, nullptr);
  };
  // Also a reader may have to undo what a killed run left half done.
  int result = open(SQLITE_OPEN_READWRITE);
  if (result != SQLITE_OK && access == Access::read) result = open(SQLITE_OPEN_READONLY);
  try {
    if (result != SQLITE_OK) fail("open");
    sqlite3_extended_result_codes(db_, 1);
    sqlite3_busy_timeout(db_, kBusyMilliseconds);
    execute("PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;", "open");
    if (access == Access::write) execute("PRAGMA synchronous=FULL; PRAGMA journal_mode=TRUNCATE;", "open");
    if (empty()) return;
    Query application(*this, "PRAGMA application_id", "read");
    application.step();
    Query version(*this, "PRAGMA user_version", "read");
    version.step();
    if (application.integer() != kApplication)
      throw Error(Errc::config, fmt::format("'{}' is no journal of penstock", file_.string()));
    if (const auto found = version.integer(); found != kVersion)
      throw Error(
          Errc::config,
          fmt::format("the journal '{}' is of version {}, this program reads version {}: go on with the penstock "
                      "that wrote it, or name another file with --journal",
                      file_.string(), found, kVersion));
  } catch (...) {
    sqlite3_close(db_);
    throw;
  }
}

Journal::Database::~Database() { sqlite3_close(db_); }

void Journal::Database::fail(const char* doing) const {
  const int code = db_ == nullptr ? SQLITE_NOMEM : sqlite3_errcode(db_);
  const std::string why = db_ == nullptr ? "out of memory" : sqlite3_errmsg(db_);
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    throw Error(Errc::config, fmt::format("'{}' is no journal of penstock, or it is damaged ({}): remove it, or name "
                                          "another file with --journal; loading again from the start doubles nothing",
                                          file_.string(), why));
  const int system = db_ == nullptr ? 0 : sqlite3_system_errno(db_);
  const auto detail = system == 0 ? why : why + ", " + errno_text(system);
  if (access_ == Access::read)
    throw Error(Errc::io, fmt::format("cannot {} the journal '{}': {}", doing, file_.string(), detail));
  throw Error(Errc::io, fmt::format("cannot {} the journal '{}': {}. Make room or name another file with --journal; "
                                    "rows behind its last entry are sent again by --resume, which doubles nothing",
                                    doing, file_.string(), detail));
}

void Journal::Database::execute(const char* sql, const char* doing) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail(doing);
}

bool Journal::Database::empty() {
  Query query(*this, "SELECT count(*) FROM sqlite_master", "read");
  query.step();
  return query.integer() == 0;
}

void Journal::Database::create() {
  begin();
  execute(kCreate, "write");
  execute(fmt::format("PRAGMA application_id={}; PRAGMA user_version={};", kApplication, kVersion).c_str(), "write");
}

JournalContent Journal::Database::content() {
  JournalContent content;
  // One state of the file, also when a run commits meanwhile.
  execute("BEGIN", "read");
  auto& head = content.head;
  for (Query query(*this, "SELECT name,value FROM head", "read"); query.step();) {
    const auto name = query.text();
    if (name == "command") head.command = query.text();
    else if (name == "target") head.target = query.text();
    else if (name == "started_ns") head.started_ns = query.integer();
    else if (name == "updated_ns") head.updated_ns = query.integer();
    else if (name == "runs") head.runs = query.count();
    else if (name == "state") head.state = static_cast<JournalState>(query.integer());
    else if (name == "exit_status") head.exit_status = static_cast<int>(query.integer());
    else if (name == "outcome") head.outcome = query.text();
  }
  const auto pairs = [this](const char* sql, auto& into) {
    for (Query query(*this, sql, "read"); query.step();) {
      auto name = query.text();
      into.emplace_back(std::move(name), query.text());
    }
  };
  pairs("SELECT name,value FROM settings ORDER BY position", head.settings);
  pairs("SELECT name,value FROM memory ORDER BY name", head.memory);
  for (Query query(*this, kGetSources, "read"); query.step();) {
    auto& source = content.sources.emplace_back();
    source.id = query.text();
    source.position = query.count();
    source.name = query.text();
    source.path = query.text();
    source.format = query.text();
    source.compression = query.text();
    auto& identity = source.identity;
    identity.device = query.count();
    identity.inode = query.count();
    identity.size = query.count();
    identity.mtime_ns = query.integer();
    identity.head_bytes = query.count();
    identity.head_hash = query.text();
    source.time_base_ns = query.integer();
    source.extra = query.text();
    source.tail_bytes = static_cast<std::uint32_t>(query.integer());
    source.tail_hash = query.text();
    auto& settled = source.settled;
    settled.offset = query.count();
    settled.lines = query.count();
    for (auto* const count : {&settled.rows.read, &settled.rows.written, &settled.rows.rejected, &settled.rows.left_out,
                              &settled.rows.merged, &settled.rows.text_bytes})
      *count = query.count();
    settled.finished = query.integer() != 0;
    source.rejects.records = query.text();
    source.rejects.header_bytes = query.count();
    source.rejects.records_bytes = query.count();
    source.rejects.reasons_bytes = query.count();
    source.rejects.swap = query.text();
  }
  execute("COMMIT", "read");
  return content;
}

void Journal::Database::begin() { execute("BEGIN IMMEDIATE", "write"); }

void Journal::Database::commit() { execute("COMMIT", "write"); }

void Journal::Database::rollback() noexcept {
  if (sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void Journal::Database::clear() {
  execute("DELETE FROM head; DELETE FROM settings; DELETE FROM memory; DELETE FROM sources;", "write");
}

void Journal::Database::put_head(const JournalHead& head) {
  Query query(*this, "INSERT OR REPLACE INTO head VALUES(?,?)", "write");
  const auto put = [&](const char* name, const auto& value) { query.bind(std::string(name)).bind(value).run(); };
  put("command", head.command);
  put("target", head.target);
  put("started_ns", head.started_ns);
  put("runs", head.runs);
  put("state", static_cast<std::int64_t>(head.state));
  put("exit_status", static_cast<std::int64_t>(head.exit_status));
  put("outcome", head.outcome);
}

void Journal::Database::put_updated(std::int64_t now_ns) {
  Query query(*this, "INSERT OR REPLACE INTO head VALUES('updated_ns',?)", "write");
  query.bind(now_ns).run();
}

void Journal::Database::put_pairs(const char* sql, const std::vector<std::pair<std::string, std::string>>& pairs) {
  Query query(*this, sql, "write");
  for (const auto& [name, value] : pairs) query.bind(name).bind(value).run();
}

void Journal::Database::put_settings(const JournalHead& head) {
  put_pairs("INSERT INTO settings(name,value) VALUES(?,?)", head.settings);
}

void Journal::Database::put_memory(const JournalHead& head) {
  put_pairs("INSERT OR REPLACE INTO memory VALUES(?,?)", head.memory);
}

void Journal::Database::put_source(const JournalSource& source) {
  Query query(*this, kPutSource, "write");
  query.bind(source.id).bind(source.position).bind(source.name).bind(source.path.string()).bind(source.format);
  const auto& identity = source.identity;
  query.bind(source.compression).bind(identity.device).bind(identity.inode).bind(identity.size);
  query.bind(identity.mtime_ns).bind(identity.head_bytes).bind(identity.head_hash).bind(source.time_base_ns);
  query.bind(source.extra).bind(std::uint64_t{source.tail_bytes}).bind(source.tail_hash);
  const auto& [offset, lines, rows, finished] = source.settled;
  query.bind(offset).bind(lines).bind(rows.read).bind(rows.written).bind(rows.rejected).bind(rows.left_out);
  query.bind(rows.merged).bind(rows.text_bytes).bind(std::int64_t{finished});
  const auto& rejects = source.rejects;
  query.bind(rejects.records.string()).bind(rejects.header_bytes).bind(rejects.records_bytes);
  query.bind(rejects.reasons_bytes).bind(rejects.swap).run();
}

void Journal::Database::remove_source(const std::string& id) {
  Query query(*this, "DELETE FROM sources WHERE id=?", "write");
  query.bind(id).run();
}

}  // namespace penstock::pipeline
