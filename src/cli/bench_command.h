#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// `penstock bench parse` and `penstock bench write`. `status` is set to the exit status when the command runs.
void add_bench_command(CLI::App& program, int& status);

}  // namespace penstock::cli
