#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// `penstock bench parse`: the local stages without a server, each alone on one thread, then all of them together.
void add_bench_parse_command(CLI::App& bench, int& status);

}  // namespace penstock::cli
