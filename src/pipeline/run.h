#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
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

/// A source that is ready to be read.
struct OpenedSource {
  std::unique_ptr<io::Reader> reader;
  std::shared_ptr<ParserPool> parsers;
  std::string format;         ///< "line", "csv"
  std::string reject_header;  ///< first line of its reject file, without line end
  std::string reject_extension;
  std::string load_with;  ///< flags that load its reject file again
};

/// Everything a run needs; all of it outlives the run.
struct RunPlan {
  std::vector<io::Input> inputs;
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
  /// Called in input order for every admitted chunk, before its rows go to lanes. May be empty.
  std::function<void(sink::ParsedChunk&)> look;
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
