#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/types.h"
#include "sink/run_order.h"
#include "sink/window.h"
#include "sink/writer.h"
#include "wire/stmt2.h"

namespace penstock::sink {

/// How a request addresses its child tables.
enum class Addressing : std::uint8_t {
  existing,  ///< INSERT INTO stb(tbname, columns): they are known to exist; half the work for short runs
  creating,  ///< INSERT INTO stb(tbname, columns, tags)
  quoted,    ///< INSERT INTO ? USING stb (tags) TAGS (…) (columns): for names that the other forms misread
};

/// What one request carries: runs of one super table, each child table once, the rows of a run sorted by key and with
/// times in one unit.
struct Request {
  std::shared_ptr<const schema::TableVersion> version;
  Addressing addressing = Addressing::creating;
  std::vector<Run> runs;                       ///< pieces of the window's runs, in order
  const data::ResolvedShape* shape = nullptr;  ///< of all rows, if it is known that they have one
  std::uint32_t rows = 0;                      ///< of the input
  std::uint32_t keys = 0;                      ///< rows that the server gets, at most: those of equal keys are joined
  [[nodiscard]] double mean_run() const noexcept {
    return runs.empty() ? 0 : static_cast<double>(keys) / static_cast<double>(runs.size());
  }
};

/// The statement's text. `database` empty: the connection's.
std::string insert_statement(const schema::TableVersion& version, Addressing addressing);

/// Cuts a grouped window into requests within the limits, and sorts the runs whose rows did not come in the order of
/// their keys. Children that are not known to exist come first, so that the rest of the window can do without tags.
class RequestPlanner {
 public:
  RequestPlanner(Window& window, const WriteOptions& options);
  /// The next request, or false at the end. Looks at ChildTable::exists when it is called.
  bool next(Request& request);

 private:
  struct Place {
    std::size_t table = 0;
    int pass = 0;  // index in the order of addressings
    std::size_t run = 0;
    std::uint32_t row = 0;      // rows of that run already taken
    std::uint32_t stretch = 0;  // rows of that run up to here are sorted and of one unit
    std::uint32_t stretch_begin = 0;
    bool distinct = false;  // no two rows of the stretch have the same time in the database's precision
  };
  /// A piece of a run.
  struct Piece {
    std::uint32_t rows = 0;
    std::uint32_t keys = 0;
  };
  void begin_stretch(const TableRuns& table, const Run& run);
  Piece cut(const TableRuns& table, const Run& run, std::uint32_t keys_left, std::size_t& bytes_left) const;
  Window& window_;
  const WriteOptions& options_;
  const std::span<const std::int64_t> noted_times_;  // of the window's rows as they were grouped, or empty
  RunOrder order_;
  bool mixed_units_ = false;  // the window holds sources whose times have different units
  Place at_;
  std::vector<Addressing> kind_;  // of the present table's runs, fixed when its first pass starts
};

/// What the builder found while it built a request.
struct Built {
  std::vector<std::uint32_t> merged_parts;  ///< part of each row that was joined into another one
  std::uint32_t by_precision = 0;           ///< of these: equal only because the database's precision is coarser
};

/// Writes the rows of a request in the layout that stmt2 binds. Equal keys are merged in input order, column by column:
/// a later value or explicit NULL wins, "not given" changes nothing. One thread.
class RequestBuilder {
 public:
  RequestBuilder(Window& window, data::Precision precision) : window_(window), precision_(precision) {}
  Built build(const Request& request, wire::Stmt2Encoder& encoder);

 private:
  void put_tags(const Request& request, const data::ChildTable& child, wire::Stmt2Encoder& encoder);
  void put_run(const Request& request, const Run& run, wire::Stmt2Encoder& encoder, Built& built);
  bool find_groups(std::span<const RowRef> rows, const schema::TableVersion& version, Built& built);
  void count_by_precision(std::span<const RowRef> rows, Built& built);
  bool uniform(const Request& request, std::span<const RowRef> rows) const;
  void put_uniform(const Request& request, std::span<const RowRef> rows, bool timed, wire::Stmt2Encoder& encoder);
  void stage_rows(std::span<const RowRef> rows, bool joined, std::size_t columns, std::size_t count);
  void put_staged(const data::Column& column, std::size_t at, std::uint32_t count, wire::Stmt2Encoder& encoder);

  Window& window_;
  const data::Precision precision_;
  data::Precision unit_ = data::Precision::nanoseconds;  // of the present run's times
  std::vector<std::int64_t> times_;                      // of the present run, in the database's precision
  std::vector<std::uint32_t> groups_;                    // [times + 1] where the rows of each begin
  // Where the values of slots go, for runs whose rows all give the same fields.
  struct Target {
    char* values;
    std::size_t size;
    std::ptrdiff_t offset;  // from the slots of a row
  };
  std::vector<Target> targets_;
  // Cells of the present run, column by column, for runs whose rows do not all give the same fields.
  std::vector<std::uint8_t> states_;  // CellState
  std::vector<data::Slot> slots_;     // where the state is value
  std::string name_;
  std::string tag_text_;
};

}  // namespace penstock::sink
