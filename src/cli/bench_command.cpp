#include "cli/bench_command.h"

#include <CLI/CLI.hpp>

#include "cli/bench_parse.h"
#include "cli/bench_write.h"

namespace penstock::cli {

void add_bench_command(CLI::App& program, int& status) {
  auto* const command = program.add_subcommand("bench", "Measure: the loader's own stages, or the ways into a server");
  command->require_subcommand(1);
  add_bench_parse_command(*command, status);
  add_bench_write_command(*command, status);
}

}  // namespace penstock::cli
