// What tools/perf-gate runs: `list`, `write NAME FILE` (the text of an input), `load NAME FILE` (loads it and prints
// what it took as one JSON object; under callgrind for the instructions).

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>

#include "performance/allocation_counter.h"
#include "performance/fixed_load.h"

using namespace penstock::performance;

int main(int argc, char** argv) {
  try {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "list" && argc == 2) {
      for (const auto& name : input_names()) fmt::print("{}\n", name);
      return 0;
    }
    if (what == "write" && argc == 4) {
      std::ofstream(argv[3], std::ios::binary) << input_text(argv[2]);
      return 0;
    }
    if (what == "load" && argc == 4) {
      std::ifstream in(argv[3], std::ios::binary);
      const auto source = input(argv[2], {std::istreambuf_iterator<char>(in), {}});
      Loaded loaded;
      const auto before = allocations();
      penstock_measured_load(source, loaded);
      const auto after = allocations();
      if (loaded.rows != kRecords) {
        fmt::print(stderr, "perf-gate: {} of {} records became rows\n", loaded.rows, kRecords);
        return 1;
      }
      fmt::print(R"({{"message_bytes":{},"allocations":{},"allocated_bytes":{}}})"
                 "\n",
                 loaded.message_bytes, after.count - before.count, after.bytes - before.bytes);
      return 0;
    }
    fmt::print(stderr, "usage: penstock_perf_gate list | write NAME FILE | load NAME FILE\n");
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "perf-gate: {}\n", error.what());
    return 1;
  }
}
