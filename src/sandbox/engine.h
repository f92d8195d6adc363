#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/schema.h"
#include "data/types.h"

/// The embedded database behind the sandbox: catalog, rows and SQL, without a network. The endpoints (server.h) speak
/// the adapter's protocol and call this.
namespace penstock::sandbox {

/// What the engine answers when it refuses something: TDengine's code (low 16 bits) and text.
struct Refusal {
  std::int32_t code = 0;
  std::string message;
};

/// One value. `bits` holds fixed types as in data::Slot (sign- or zero-extended integers, the bits of the float or
/// double, the low half of a DECIMAL); `text` holds variable types (UTF-8 for NCHAR, WKB for GEOMETRY) and DECIMAL128's
/// 16 bytes.
struct Value {
  enum class State : std::uint8_t { value = 0, null = 1, not_given = 2 };
  State state = State::null;
  data::Type type = data::Type::null;  ///< of a query's parameter: what it was bound as; elsewhere the column says it
  std::uint64_t bits = 0;
  std::string text;
};

/// A column of a result set.
struct ResultField {
  std::string name;
  data::Type type = data::Type::null;
  std::int32_t length = 0;        ///< as the user sees it: VARCHAR bytes, NCHAR characters
  std::int32_t stored_bytes = 0;  ///< VARCHAR + 2, NCHAR 4 n + 2 …: what blocks and statements report
  std::uint8_t precision = 0;     ///< DECIMAL
  std::uint8_t scale = 0;
};

/// Answer to a statement that was carried out.
struct Answer {
  bool is_update = true;
  std::int64_t affected_rows = 0;
  std::vector<ResultField> fields;
  data::Precision precision = data::Precision::milliseconds;  ///< of TIMESTAMP columns in `rows`
  std::vector<std::vector<Value>> rows;
};

/// A placeholder of a prepared statement, as stmt2_prepare reports it.
struct PreparedField {
  enum class Bind : std::uint8_t { column = 1, tag = 2, query = 3, table_name = 4 };
  data::Column column;
  Bind bind = Bind::column;
  std::uint8_t time_precision = 0;  ///< of TIMESTAMP columns
  std::int32_t stored_bytes = 0;
};

/// Rows for one child table, column by column: `columns[c][r]`. What one bind record says, decoded.
struct BoundTable {
  std::string name;         ///< empty when the statement names its table
  std::vector<Value> tags;  ///< one a tag placeholder; empty when the message had no tag section
  std::vector<std::vector<Value>> columns;
};

/// One bind record of a stmt2 message as it lies on the wire: views into the message, nothing copied.
/// Fixed types: `data` holds rows * size bytes, or is empty when every row is NULL or not given.
/// Variable types (and DECIMAL when sent with lengths): `lengths` has `rows` little-endian i32, values follow each
/// other in `data` without padding; rows that are NULL or not given have length 0 and no bytes.
/// NCHAR and JSON are UTF-8, as bound.
struct ColumnView {
  data::Type type = data::Type::null;
  std::int32_t rows = 0;
  const std::uint8_t* is_null = nullptr;  ///< [rows] 0 value, 1 NULL, 2 not given
  const char* lengths = nullptr;          ///< [rows] i32, unaligned; nullptr: the record had no lengths
  std::string_view data;
};

/// BoundTable without a heap object per value: for bulk inserts. Columns stand in the order of the statement's column
/// placeholders, tags in the order of its tag placeholders.
struct ColumnarTable {
  std::string_view name;    ///< empty when the statement names its table
  std::vector<Value> tags;  ///< as BoundTable::tags
  std::vector<ColumnView> columns;
};

/// A parsed statement with placeholders. Made by Session::prepare(); goes stale when the schema changes, as TDengine's.
class Prepared;

/// One connection's view: current database, user, time zone. One thread at a time.
class Session {
 public:
  virtual ~Session() = default;
  /// Runs one SQL statement. Throws RefusalError.
  virtual Answer execute(std::string_view sql) = 0;
  [[nodiscard]] virtual std::string current_database() const = 0;
  /// "" = server default (UTC). IANA names and POSIX strings; anything else behaves like UTC, as the server's.
  virtual void set_time_zone(std::string_view name) = 0;

  /// Parses a statement with '?'. Throws RefusalError. `fields` is filled for inserts.
  virtual std::shared_ptr<Prepared> prepare(std::string_view sql) = 0;
  [[nodiscard]] virtual bool is_insert(const Prepared& prepared) const = 0;
  /// Of an insert. INSERT INTO ? VALUES (…) has the table name only: its columns are those of the table bound.
  [[nodiscard]] virtual std::span<const PreparedField> fields(const Prepared& prepared) const = 0;
  [[nodiscard]] virtual std::size_t parameter_count(const Prepared& prepared) const = 0;
  /// Checks the bound values against the statement (types are checked by the caller, who decoded them): lengths, NULL
  /// keys, names, row counts. Throws RefusalError. Nothing is stored yet.
  virtual void check(const Prepared& prepared, std::span<const BoundTable> tables) = 0;
  /// Stores all rows in one transaction, creating child tables where tags are bound; returns affected rows (after
  /// merging equal keys). Throws RefusalError.
  virtual std::int64_t insert(const Prepared& prepared, std::span<const BoundTable> tables) = 0;
  /// As check() and insert(), straight from bind records: nothing is allocated per value. Also refuses with 0x0200 what
  /// the records contradict: types that differ from fields(), different row counts, buffers too short for their rows.
  virtual void check_columns(const Prepared& prepared, std::span<const ColumnarTable> tables) = 0;
  virtual std::int64_t insert_columns(const Prepared& prepared, std::span<const ColumnarTable> tables) = 0;
  /// Runs a prepared query with one value a placeholder.
  virtual Answer query(const Prepared& prepared, std::span<const Value> parameters) = 0;

  /// Schemaless insert into the current database by the schemaless rules; all or nothing, as the server's call.
  /// protocol 1 line, 2 telnet, 3 JSON; precision 0 not configured, 1 hours … 6 ns. `total_lines` as the server counts.
  virtual std::int64_t insert_schemaless(int protocol, int precision, std::string_view payload, int ttl_days,
                                         std::string_view table_name_key, std::int32_t& total_lines) = 0;
};

class RefusalError : public std::exception {
 public:
  RefusalError(std::int32_t code, std::string message) : refusal_{code, std::move(message)} {}
  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }
  [[nodiscard]] const char* what() const noexcept override { return refusal_.message.c_str(); }

 private:
  Refusal refusal_;
};

struct ConsumerOptions;
class Consumer;

/// The database. Any thread may open sessions; sessions write at once safely.
class Engine {
 public:
  struct Options {
    std::filesystem::path directory;  ///< one SQLite file a database; empty: in memory
    std::string user = "root";
    std::string password = "taosdata";
    /// Rows are checked, counted and thrown away, so that a bench of a writer hardly measures the store: COUNT(*) of
    /// whole tables tells how many came (equal keys count each time), what needs the rows themselves is refused.
    bool discard_rows = false;
  };
  /// Throws Error(Errc::io) when the directory cannot be used (it is made when missing).
  static std::unique_ptr<Engine> open(const Options& options);
  virtual ~Engine() = default;

  /// Throws RefusalError 0x0351 for an unknown user, 0x0357 for a wrong password, 0x0388 for a missing database.
  virtual std::unique_ptr<Session> login(std::string_view user, std::string_view password,
                                         std::string_view database) = 0;
  /// A consumer of topics (subscription.h). Throws RefusalError: no group, login refused.
  virtual std::unique_ptr<Consumer> consumer(const ConsumerOptions& options) = 0;
};

}  // namespace penstock::sandbox
