#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/sources.h"

/// The fixed inputs of the performance gate, and the load that is measured. See docs/performance.md.
namespace penstock::performance {

inline constexpr std::size_t kRecords = 100'000;

/// Names of the inputs, in the order of expected.json.
const std::vector<std::string>& input_names();

/// The text of an input, kRecords records without padding; the same in every run.
std::string input_text(const std::string& name);

/// The text with how it is read.
bench::Source input(const std::string& name, std::string text);

/// What a load came to, for checks.
struct Loaded {
  std::uint64_t rows = 0;
  std::uint64_t merged = 0;
  std::uint64_t message_bytes = 0;
};

/// Cuts, parses, admits, gathers and builds masked frames, as one lane of `--to null:` does it, all in this thread and
/// with everything made anew.
Loaded load(const bench::Source& source);

}  // namespace penstock::performance

/// load() under a name that tools/perf-gate tells callgrind.
extern "C" void penstock_measured_load(const penstock::bench::Source& source, penstock::performance::Loaded& loaded);
