#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/row_set.h"
#include "io/chunk.h"

/// Dumps of InfluxDB in line protocol (`influx_inspect export`, `influx -import`): between the lines stand statements
/// and comments that tell which database the following lines are of.
///
///     # DDL
///     CREATE DATABASE "water" WITH NAME autogen
///     # DML
///     # CONTEXT-DATABASE:water
///     # CONTEXT-RETENTION-POLICY:autogen
///     h2o,site=a level=2.1 1566000000000000000
namespace penstock::format {

/// True for a statement of a dump's DDL ("CREATE DATABASE …", "CREATE RETENTION POLICY …", any case), which is no
/// record. A '=' makes the line a record. `line` without its line end.
bool is_dump_statement(std::string_view line) noexcept;

/// The database that a "# CONTEXT-DATABASE:name" line names; nullopt for other lines. Blanks around the name and double
/// quotes are no part of it.
std::optional<std::string> context_database(std::string_view line);

/// The databases that the start of a source names, in the order met, each once.
struct DumpHead {
  std::vector<std::string> created;  ///< by CREATE DATABASE
  std::vector<std::string> context;  ///< by # CONTEXT-DATABASE
  bool complete = false;             ///< all statements were seen: data or "# DML" came behind them
};
DumpHead read_dump_head(std::string_view head);

/// Notes a line that read as a mark of a database; what DumpFilter goes by.
void note_context(data::RowSet& rows, std::size_t offset, std::string_view line);

/// The marks that a source was met to have, for who goes on in the middle of it. Any thread.
class DumpMarks {
 public:
  /// Marks come in the order of the text; one that changes nothing is not kept.
  void add(std::uint64_t offset, std::string_view database);
  /// The database that the text from `offset` on is of, unless a mark follows; nullopt: no mark stands before it.
  [[nodiscard]] std::optional<std::string> before(std::uint64_t offset) const;
  /// "offset name" a line, for take(), which forgets what it knew. Throws Error(Errc::config).
  [[nodiscard]] std::string text() const;
  void take(std::string_view text);

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<std::uint64_t, std::string>> marks_;
};

/// Goes over the chunks of one source in order and keeps databases apart: with `wanted`, records of other databases are
/// left out, also those before the first mark; without, a second database ends the load. One thread at a time.
class DumpFilter {
 public:
  /// `marks`: told of every mark; what it has already counts from the first chunk's place on. May be null.
  DumpFilter(std::string source, std::string wanted, std::shared_ptr<DumpMarks> marks = nullptr)
      : source_(std::move(source)), wanted_(std::move(wanted)), marks_(std::move(marks)) {}
  /// Throws Error(Errc::limit) at a second database.
  void operator()(const io::Chunk& chunk, data::RowSet& rows);

 private:
  std::string source_;
  std::string wanted_;
  std::shared_ptr<DumpMarks> marks_;
  bool begun_ = false;
  std::optional<std::string> current_;
};

/// Looks at the head before the first record. Throws Error(Errc::config) when several databases are named and none was
/// chosen, or when the chosen one is not among those that the dump creates.
void check_dump_head(const std::string& source, const DumpHead& head, const std::string& wanted);

}  // namespace penstock::format
