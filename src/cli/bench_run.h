#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "cli/bench_input.h"
#include "cli/sources.h"
#include "io/input.h"
#include "pipeline/lane.h"
#include "report/summary.h"
#include "schema/catalog.h"
#include "sink/writer.h"

namespace penstock::cli {

/// What a bench loads: files, or generated lines as often as they are wanted.
struct BenchRows {
  SourceOptions options;
  std::vector<io::Input> inputs;
  const GeneratedLines* generated = nullptr;  ///< instead of inputs
  std::uint64_t rows = UINT64_MAX;            ///< at most
};

/// One load of a bench, by the parts of `penstock load`. What it refers to outlives it.
struct BenchLoad {
  const BenchRows* rows = nullptr;
  unsigned threads = 1;
  unsigned lanes = 1;
  sink::WriteOptions write;
  pipeline::LaneOptions lane;
  std::size_t memory = std::size_t{512} << 20;
  std::size_t chunk_bytes = std::size_t{1} << 20;
  TargetTimes times;                                        ///< of the database
  bool forward_lines = false;                               ///< the server reads the lines
  schema::Catalog* catalog = nullptr;                       ///< of the database; unused with forward_lines
  std::optional<std::chrono::steady_clock::duration> time;  ///< reading ends after this; what was read is written
  /// Called once a lane, before the clock starts. `stop`: of the run.
  std::function<std::unique_ptr<sink::Writer>(sink::WriteObserver&, std::stop_token stop)> make_writer;
};

/// What it did.
struct BenchResult {
  report::Summary summary;  ///< rows, requests, latencies, stages, limit; times of reading to the last answer
  double cpu_seconds = 0;   ///< of this process, user and system
  double row_bytes = 0;     ///< memory of a parsed row, in the mean
  std::uint64_t child_tables = 0;
  std::exception_ptr error;
  bool interrupted = false;  ///< by `stop`, not by the time

  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(summary.elapsed).count(); }
  [[nodiscard]] double rows_per_second() const { return static_cast<double>(summary.total.written) / seconds(); }
  [[nodiscard]] double bytes_per_second() const { return static_cast<double>(summary.total.bytes) / seconds(); }
};

/// Throws what making a writer throws (a connection that cannot be made); what ends the run later is in the result.
BenchResult run_bench_load(const BenchLoad& load, const std::stop_source& stop);

/// What the first source that can be read needs of a database, at least ms. Throws Error when none can be read.
data::Precision needed_precision(const BenchRows& rows);

/// User and system time of this process.
double process_cpu_seconds();

/// The middle one; of an even number the mean of the two. 0 for none.
double median(std::vector<double> values);

}  // namespace penstock::cli
