#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "report/counters.h"
#include "report/histogram.h"

namespace penstock::report {

/// Rows of one source or of all: read = written + rejected + left_out + not_done.
struct Tally {
  std::uint64_t read = 0;
  std::uint64_t written = 0;  ///< acknowledged by the server
  std::uint64_t rejected = 0;
  std::uint64_t left_out = 0;  ///< not wanted: --since, --until, --limit and the like
  std::uint64_t not_done = 0;  ///< read, but the run ended before they were written or rejected
  std::uint64_t merged = 0;    ///< of the written: joined with another row of the same request by an equal key
  std::uint64_t bytes = 0;     ///< of text, decompressed
};

/// One source in the report.
struct SourceSummary {
  std::string name;
  std::string format;
  std::string compression;
  Tally tally;
  std::string error;  ///< why it could not be read to its end; empty when it was
};

/// Rejected rows with one reason.
struct RejectSummary {
  std::string reason;
  std::int32_t code = 0;  ///< the server's, or what it would answer; 0 none
  std::uint64_t count = 0;
  std::string first;  ///< "file:line:column" of the first one
};

/// What a run did. Shown as text or JSON at its end.
struct Summary {
  Tally total;
  std::uint64_t merged_by_precision = 0;
  std::chrono::nanoseconds elapsed{};
  std::vector<SourceSummary> sources;
  std::vector<RejectSummary> rejects;
  std::string rejects_file;  ///< where the rejected records lie; empty when there are none
  std::string advice;        ///< what would help against rejects or overwritten rows; may be empty
  std::uint64_t requests = 0, retries = 0, reconnects = 0, request_bytes = 0, runs = 0;
  std::chrono::nanoseconds p50{}, p90{}, p99{}, max{};
  /// Share of the run that a stage was busy, of all threads that can work at it: 0 … 1.
  std::vector<std::pair<std::string, double>> stages;
  std::string limit;  ///< which stage set the pace, in words
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<std::string> schema_changes;  ///< DDL that the load ran
  std::vector<std::string> restarts;        ///< why the load began anew, one sentence each time
  std::uint64_t memory_peak = 0;            ///< bytes of row data held at most
  std::string version;
  std::string target;   ///< DSN without secrets
  std::string outcome;  ///< "complete", "complete with rejects", or why it stopped
  int exit_status = 0;
};

/// Several lines for a terminal or log.
std::string to_text(const Summary& summary);
/// One JSON object, indented; the members are documented in docs/report.md.
std::string to_json(const Summary& summary);

/// Fills stages and limit from the counters: `parse_threads` workers, `lanes` connections.
void fill_stages(Summary& summary, const Counters& counters, unsigned parse_threads, unsigned lanes);

}  // namespace penstock::report
