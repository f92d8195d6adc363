#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
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

/// How the target compares with what was written (--verify).
struct VerifySummary {
  /// A child table that does not hold the rows that were written.
  struct Difference {
    std::string super_table, child_table;
    std::uint64_t expected = 0;                                ///< different keys that were written
    std::uint64_t found = 0;                                   ///< rows on the server in their time range
    std::uint64_t missing = 0;                                 ///< of the expected
    std::uint64_t unexpected = 0;                              ///< of the found
    std::vector<std::string> first_missing, first_unexpected;  ///< times
  };
  bool asked = false;
  std::string not_done;   ///< why it was not done, or not to its end; empty: it was
  std::string only_part;  ///< which of the rows could not be looked for; empty: all were
  std::uint64_t child_tables = 0;
  std::uint64_t rows = 0;               ///< that must be there: different keys
  std::uint64_t repeated = 0;           ///< written rows that have the key of another one
  std::uint64_t missing = 0;            ///< of `rows`
  std::uint64_t unexpected = 0;         ///< rows of nobody in super tables that this load made
  std::uint64_t others = 0;             ///< rows of others in the same child tables and time ranges
  std::uint64_t different = 0;          ///< child tables
  std::vector<Difference> differences;  ///< of the first of them
  std::uint64_t key_bytes = 0;          ///< memory and files that the keys took
  std::chrono::nanoseconds elapsed{};
};

/// What earlier runs did of a load that this one went on with.
struct ResumedSummary {
  bool resumed = false;
  std::uint64_t runs = 0;      ///< with this one
  std::uint64_t written = 0;   ///< rows, by the earlier runs
  std::uint64_t rejected = 0;  ///< likewise
  std::string started;         ///< of the first run, local time
};

/// What a run did. Shown as text or JSON at its end.
struct Summary {
  Tally total;
  std::uint64_t merged_now = 0;  ///< Tally::merged of this run, without those of earlier ones
  std::uint64_t merged_by_precision = 0;
  std::chrono::nanoseconds elapsed{};
  std::vector<SourceSummary> sources;
  std::vector<RejectSummary> rejects;
  ResumedSummary resumed;
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
  VerifySummary verify;
  std::uint64_t memory_peak = 0;  ///< bytes of row data held at most
  std::string version;
  std::string target;   ///< DSN without secrets
  std::string outcome;  ///< "complete", "complete with rejects", or why it stopped
  int exit_status = 0;
};

/// Several lines for a terminal or log.
std::string to_text(const Summary& summary);
/// One JSON object, indented; the members are documented in docs/report.md.
std::string to_json(const Summary& summary);

/// How many times as much a stage of that share could feed, were the others not in its way; nullopt: more than can be
/// said.
std::optional<double> could_feed(double busy);
/// "; parse could feed 3.1 times as much, build 5.0 times": of the two stages that would set the pace next; empty when
/// no other stage did anything.
std::string headroom_text(const Summary& summary);

/// Fills stages and limit from the counters: `parse_threads` workers, `lanes` connections.
void fill_stages(Summary& summary, const Counters& counters, unsigned parse_threads, unsigned lanes);

}  // namespace penstock::report
