#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/flags.h"
#include "cli/sources.h"
#include "pipeline/lane.h"
#include "sink/writer.h"

namespace CLI {
class App;
}

namespace penstock::cli {

/// Flags that say how rows are written, as they were typed. The defaults that commands may have of their own are set
/// before add_writing_flags().
struct WritingFlags {
  std::string write = "stmt";
  unsigned lanes = 0;
  unsigned threads = 0;
  unsigned batch_rows = 20'000;
  std::string linger = "5s";
  std::string memory = "512M";
  std::string retry_for = "5m";  ///< or "forever"
  std::string max_rate;
  std::uint32_t max_child_tables = 1'000'000;
  bool allow_precision_loss = false;

  [[nodiscard]] bool forwards() const noexcept { return write == "schemaless"; }
};
void add_writing_flags(CLI::App& command, WritingFlags& flags);

/// The same after they were checked.
struct WritingPlan {
  sink::WriteOptions write;
  pipeline::LaneOptions lane;
  Rate rate;
  std::size_t memory = 0;
  unsigned lanes = 1;
  unsigned threads = 1;
};
/// Throws Error(Errc::config) with the flag's name.
WritingPlan to_plan(const WritingFlags& flags);

/// What they ask of those who read the sources.
void apply(const WritingFlags& flags, SourceOptions& options);

/// For the report: name and value.
std::vector<std::pair<std::string, std::string>> settings_of(const WritingFlags& flags, const WritingPlan& plan);

}  // namespace penstock::cli
