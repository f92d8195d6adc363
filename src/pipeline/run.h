#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "format/parser.h"
#include "io/input.h"
#include "io/reader.h"
#include "pipeline/lane.h"
#include "pipeline/ledger.h"
#include "pipeline/rejects.h"
#include "report/counters.h"
#include "schema/growth.h"

namespace penstock::pipeline {

/// Parsers that are not in use; a worker borrows one for a chunk. Sources of one format and mapping share a pool, so
/// that what the parsers have learned serves all of them. Any thread.
class ParserPool {
 public:
  using Make = std::function<std::unique_ptr<format::Parser>()>;
  explicit ParserPool(Make make) : make_(std::move(make)) {}
  std::unique_ptr<format::Parser> take();
  void give_back(std::unique_ptr<format::Parser> parser);

 private:
  Make make_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<format::Parser>> idle_;
};

/// Looks at a parsed chunk before anything is decided about its rows and takes away those that are not wanted
/// (RowSet::leave_out_rows(), leave_out_rejects()), for instance by the marks that its parser noted. Called in input
/// order, one chunk at a time.
using RowFilter = std::function<void(const io::Chunk&, data::RowSet&)>;

/// A source that is ready to be read.
struct OpenedSource {
  std::unique_ptr<io::Reader> reader;
  std::shared_ptr<ParserPool> parsers;
  std::string format;         ///< "line", "csv"
  io::Cutting cutting;        ///< what the reader was told
  std::string reject_header;  ///< first line of its reject file, without line end
  std::string reject_extension;
  std::string load_with;       ///< flags that load its reject file again
  std::string reject_mapping;  ///< TOML of the mapping that reads its reject file (CSV); may be empty
  RowFilter filter;            ///< may be empty
};

/// A moment: seconds and nanoseconds since 1970.
struct Instant {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  /// The first moment from this on that `unit` can say; the earliest or latest where the unit does not reach.
  [[nodiscard]] std::int64_t rounded_up(data::Precision unit) const noexcept;
  auto operator<=>(const Instant&) const = default;
};

/// Which rows of the input are wanted; the others are read and left out.
struct Selection {
  std::optional<Instant> since;      ///< rows before it are left out
  std::optional<Instant> until;      ///< rows at and after it are left out
  std::uint64_t limit = UINT64_MAX;  ///< records of the whole run, rejected ones included, that are not left out;
                                     ///< reading stops behind the last
};

/// Leaves out the rows outside the selection's time window.
void leave_out_by_time(const Selection& selection, data::RowSet& rows);

/// Chunks of sources that are not known beforehand (`tail`): instead of RunPlan::inputs and RunPlan::open.
class Feed {
 public:
  virtual ~Feed() = default;
  /// How the rows of a chunk are read.
  struct Reading {
    std::shared_ptr<ParserPool> parsers;
    std::shared_ptr<const RowFilter> filter;  ///< may be null
  };
  /// Waits for the next chunk; seq counts up from 0, source is known to the ledger and the rejects. False: a stop was
  /// asked for, or nothing comes any more. Called by one thread at a time. Throws Error: ends the run.
  virtual bool next(io::Chunk& chunk, Reading& reading, const std::stop_token& stop) = 0;
  /// What people call a source. Any thread.
  [[nodiscard]] virtual std::string name_of(std::uint32_t source) const = 0;
};

/// Everything a run needs; all of it outlives the run.
struct RunPlan {
  std::vector<io::Input> inputs;
  Feed* feed = nullptr;  ///< instead of inputs and open
  /// Opens an input. Called in order, from the reading stage. Throws Error: io concerns this source only, anything else
  /// ends the run.
  std::function<OpenedSource(const io::Input&, std::uint32_t source)> open;
  schema::Growth* growth =
      nullptr;                 ///< nullptr: the writer's server decides the schema (schemaless forwarding), or a check
  LaneGroup* lanes = nullptr;  ///< nullptr: nothing is written (check)
  Rejects* rejects = nullptr;
  Ledger* ledger = nullptr;
  MemoryBudget* budget = nullptr;
  report::Counters* counters = nullptr;
  unsigned threads = 1;  ///< parse width
  std::size_t chunk_bytes = std::size_t{1} << 20;
  Selection selection;
  std::uint32_t max_child_tables = UINT32_MAX;  ///< the run stops before rows of more child tables are written
  /// Called in input order for every admitted chunk, before its rows go to lanes. May be empty.
  std::function<void(sink::ParsedChunk&)> look;

  [[nodiscard]] std::string name_of(std::uint32_t source) const {
    return feed != nullptr ? feed->name_of(source) : inputs[source].name;
  }
};

/// How a source ended.
struct SourceEnd {
  std::string format;
  std::string compression;
  std::string error;  ///< empty: read to its end
};

struct RunResult {
  std::vector<SourceEnd> sources;
  bool interrupted = false;  ///< a stop was asked for before the end of the input
  std::exception_ptr error;  ///< what ended the run; null when it went through
};

/// Reads, parses, admits and dispatches until all sources end; then waits for the lanes. `stop` ends the reading; what
/// was read is still written. Never throws what belongs to the run: see RunResult::error.
RunResult run(const RunPlan& plan, std::stop_source stop);

}  // namespace penstock::pipeline
