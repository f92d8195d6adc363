#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace penstock::sandbox {

struct Table;

/// The SQLite file of one database: rows under (child table, timestamp, composite key) and the catalog. The caller
/// serialises all calls. Journal WAL with synchronous=OFF: what was committed survives the end of this process, not
/// that of the machine.
class Store {
 public:
  enum class Rows : std::uint8_t { kept, discarded };
  /// "" = in memory. Throws Error(Errc::io).
  explicit Store(const std::filesystem::path& file, Rows rows = Rows::kept);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// A transaction; rolls back unless committed.
  class Transaction {
   public:
    explicit Transaction(Store& store) : store_(store) { store_.begin(); }
    ~Transaction() {
      if (!done_) store_.rollback();
    }
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit() {
      store_.commit();
      done_ = true;
    }

   private:
    Store& store_;
    bool done_ = false;
  };

  // --- rows ---

  /// False: put() does nothing, and there is nothing to scan.
  [[nodiscard]] bool keeps_rows() const noexcept { return keeps_rows_; }

  /// Second part of a row's key: an integer, or bytes.
  struct Key {
    std::int64_t number = 0;
    std::string_view bytes;
    bool is_bytes = false;
  };
  /// Stores a packed row; one with the same key is merged slot by slot, slots that were not given keep what they had.
  /// `table` explains both rows. Returns true when the key is new.
  bool put(const Table& table, std::uint32_t child, std::int64_t time, const Key& key, std::string_view row);
  /// Calls `visit(time, row)` in key order for times in [first, last], until it returns false.
  using Visit = std::function<bool(std::int64_t, std::string_view)>;
  void scan(std::uint32_t child, std::int64_t first, std::int64_t last, bool descending, const Visit& visit);
  /// Deletes [first, last]; returns how many.
  std::int64_t erase_rows(std::uint32_t child, std::int64_t first, std::int64_t last);
  std::int64_t count_rows(std::uint32_t child);

  // --- catalog ---

  void set_meta(std::string_view key, std::string_view value);
  std::string meta(std::string_view key);
  void put_table(std::uint32_t id, std::string_view definition);
  void erase_table(std::uint32_t id);
  struct ChildRow {
    std::uint32_t id, table;
    std::string_view name, tags, comment;
    std::int64_t created, ttl, rows;
    bool has_comment;
  };
  void put_child(const ChildRow& child);
  void set_child_rows(std::uint32_t id, std::int64_t rows);
  void erase_child(std::uint32_t id);
  void each_table(const std::function<void(std::uint32_t, std::string_view)>& visit);
  void each_child(const std::function<void(const ChildRow&)>& visit);

  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

 private:
  struct Merger;
  enum Statement {
    put_row,
    scan_up,
    scan_down,
    delete_rows,
    count_child,
    put_meta,
    get_meta,
    put_table_,
    delete_table,
    put_child_,
    set_rows,
    delete_child,
    all_tables,
    all_children,
    begin_,
    commit_,
    rollback_,
    kStatements
  };

  void begin();
  void commit();
  void rollback();
  void execute(const char* sql);
  sqlite3_stmt* statement(Statement which);
  void run(sqlite3_stmt* statement);
  [[noreturn]] void fail(const char* doing);

  std::filesystem::path file_;
  bool keeps_rows_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* statements_[kStatements] = {};
  std::unique_ptr<Merger> merger_;
};

}  // namespace penstock::sandbox
