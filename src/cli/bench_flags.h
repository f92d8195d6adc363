#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/bench_run.h"
#include "cli/flags.h"

namespace CLI {
class App;
}

namespace penstock::cli {

/// Flags that `bench parse` and `bench write` share, as they were typed: which rows, and where the report goes.
struct BenchFlags {
  SourceFlags source;
  std::string shape = "cpu-only";
  std::uint32_t child_tables = 1'000;
  std::string rows;
  unsigned threads = 0;
  unsigned rounds = 3;
  std::string memory = "512M";
  std::string precision;  ///< --db-precision
  bool json = false;
  std::string report;
};

/// SOURCE becomes optional.
void add_bench_flags(CLI::App& command, BenchFlags& flags);

/// The rows that they name: those of the sources, or generated ones.
struct BenchInput {
  BenchRows rows;
  std::unique_ptr<GeneratedLines> generated;
  std::string what;  ///< for people
};
/// `text`: no more bytes of generated rows than this are kept; the rest is made of them, with other times (bench
/// write). Throws Error(Errc::config) that names the flag.
BenchInput bench_input(const BenchFlags& flags, std::uint64_t default_rows, std::uint64_t most_generated);

/// "500k", "2M". Throws Error(Errc::config).
std::uint64_t count_flag(const std::string& flag, const std::string& text);

/// Prints the text, or with --json the JSON; writes --report. Returns 0, or kStopped when that cannot be written.
int show_bench(const BenchFlags& flags, const std::string& text, const std::string& json);

}  // namespace penstock::cli
