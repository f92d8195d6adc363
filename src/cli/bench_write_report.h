#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/bench_paths.h"
#include "cli/bench_run.h"

namespace penstock::cli {

/// How a run of `bench write` writes.
struct WriteSetting {
  unsigned lanes = 1;
  unsigned batch_rows = 20'000;
  std::uint32_t rows_per_table = 0;  ///< windows close at so many rows a child table; 0: as those of `load`
  bool operator==(const WriteSetting&) const = default;
};

/// A way into a target with one setting, and what its rounds gave.
struct WriteLine {
  struct Run {
    BenchResult result;
    std::uint64_t counted = 0;  ///< rows that the database had afterwards
    std::string error;          ///< what ended the run before its end; empty: nothing
  };
  std::size_t target = 0;
  BenchPath path;
  WriteSetting setting;
  std::vector<Run> runs;
  std::string left_out;  ///< why the path cannot take these rows; empty: it can
  std::string wrong;     ///< why the counts do not add up; empty: they do

  [[nodiscard]] bool measured() const;
  /// Of the runs that came to their end.
  template <class Of>
  [[nodiscard]] double middle(Of&& of) const {
    std::vector<double> values;
    for (const auto& run : runs)
      if (run.error.empty() && run.result.summary.total.written > 0) values.push_back(of(run.result));
    return median(std::move(values));
  }
  [[nodiscard]] double rows_per_second() const {
    return middle([](const BenchResult& result) { return result.rows_per_second(); });
  }
};

struct WriteReport {
  struct Target {
    std::string name;     ///< the DSN without secrets
    std::string version;  ///< of the server; empty: null:
  };
  std::string input;
  std::string database;
  std::string precision;
  unsigned rounds = 1;
  std::vector<Target> targets;
  std::vector<WriteLine> lines;
  WriteSetting loads_own;  ///< what `load` does without flags
};

/// The flags of `load` that did best on a target, by its stmt lines: the fastest setting, or one within 3 % of it that
/// needs fewer flags. Empty without two settings to compare.
std::string recommendation(const WriteReport& report, std::size_t target);

std::string to_text(const WriteReport& report);
std::string to_json(const WriteReport& report);

}  // namespace penstock::cli
