#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "data/types.h"
#include "schema/registry.h"
#include "sink/key_tracker.h"
#include "sink/session.h"

namespace penstock::sink {

/// A child table that does not hold what it should.
struct VerifyDifference {
  std::string super_table;
  std::string child_table;
  std::uint64_t expected = 0;              ///< different keys that were written
  std::uint64_t found = 0;                 ///< rows on the server in the time range of these
  std::uint64_t missing = 0;               ///< of the expected
  std::uint64_t unexpected = 0;            ///< of the found
  std::vector<std::string> first_missing;  ///< times of the first few, ISO 8601 in UTC
  std::vector<std::string> first_unexpected;
};

/// What a comparison of the written rows with the server found out.
struct VerifyOutcome {
  std::uint64_t super_tables = 0;
  std::uint64_t child_tables = 0;
  std::uint64_t keys = 0;      ///< different keys that were written; the rows that must be there
  std::uint64_t repeated = 0;  ///< rows written whose key another written row has too
  std::uint64_t missing = 0;   ///< keys that the server does not hold
  std::uint64_t doubtful = 0;  ///< rows that nobody wrote, in tables that only this load can have written to
  std::uint64_t others =
      0;  ///< rows of others in the same child tables and time ranges, in tables that were there before
  std::uint64_t different = 0;                ///< child tables with a difference
  std::vector<VerifyDifference> differences;  ///< of the first of them, most kVerifyListed
  std::uint64_t compared_by_key = 0;          ///< child tables whose times were fetched
  std::chrono::nanoseconds elapsed{};
};
inline constexpr std::size_t kVerifyListed = 1000;

/// Compares what a KeyTracker knows with what the server holds. One query a super table gives the number of rows and
/// the first and last time of each child table in the time range of what was written. Where they are not what they
/// should be, and in super tables that held rows before, the times themselves are fetched and compared one by one. A
/// difference counts only when it is still there after a few more looks over `patience`: a cluster may lag. Outages are
/// ridden out as while writing. One thread.
class Verifier {
 public:
  /// A super table that rows were written to.
  struct Table {
    const data::SuperTableRef* ref = nullptr;
    std::string time_column;
    std::string second_column;  ///< of a composite key; empty: none
    bool is_text = false;       ///< the type of that column
    /// Made by this load, from nothing: rows that it did not write have no business there.
    bool only_ours = false;
  };
  struct Options {
    data::Precision precision = data::Precision::milliseconds;  ///< of the database
    std::chrono::milliseconds patience{5'000};
    std::size_t listed_keys = 5;  ///< of a difference
  };
  /// All must outlive this.
  Verifier(Session& session, const KeyTracker& keys, const schema::Registry& registry, Options options)
      : session_(session), keys_(keys), registry_(registry), options_(options) {}

  /// Throws Error: the server cannot be asked any more, a stop was asked for, or the tracker lost keys.
  VerifyOutcome run(std::span<const Table> tables);

 private:
  // The rows that a child table should hold, and what the server said of them.
  struct Expected {
    std::uint32_t child = 0;
    std::uint64_t keys = 0;
    std::int64_t first = 0;
    std::int64_t last = 0;
  };
  template <class Call>
  void with_retries(Call&& call);
  void compare_table(const Table& table, std::vector<Expected>& children);
  VerifyDifference compare_keys(const Table& table, const Expected& expected);
  [[nodiscard]] bool is_fine(const Table& table, const VerifyDifference& difference) const noexcept {
    return difference.missing == 0 && (difference.unexpected == 0 || !table.only_ours);
  }

  Session& session_;
  const KeyTracker& keys_;
  const schema::Registry& registry_;
  const Options options_;
  VerifyOutcome outcome_;
};

/// "2024-05-01T06:00:00.123Z" with as many digits as the unit has; far off times as a number.
std::string time_text(std::int64_t time, data::Precision unit);

}  // namespace penstock::sink
