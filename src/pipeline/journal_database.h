#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/journal.h"

struct sqlite3;
struct sqlite3_stmt;

namespace penstock::pipeline {

/// A journal's file as SQLite sees it. One thread at a time.
class Journal::Database {
 public:
  enum class Access { write, read };
  /// Throws Error.
  Database(std::filesystem::path file, Access access);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// True for a file without content.
  [[nodiscard]] bool empty();
  void create();
  JournalContent content();

  /// All calls between begin() and commit() become durable together; rollback() never throws.
  void begin();
  void commit();
  void rollback() noexcept;
  void clear();
  void put_head(const JournalHead& head);
  void put_updated(std::int64_t now_ns);
  void put_settings(const JournalHead& head);
  void put_memory(const JournalHead& head);
  void put_source(const JournalSource& source);
  void remove_source(const std::string& id);

 private:
  class Query;
  [[noreturn]] void fail(const char* doing) const;
  void execute(const char* sql, const char* doing);
  void put_pairs(const char* sql, const std::vector<std::pair<std::string, std::string>>& pairs);

  std::filesystem::path file_;
  Access access_;
  sqlite3* db_ = nullptr;
};

}  // namespace penstock::pipeline
