#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// `penstock bench write`: the ways into a server side by side, in a scratch database that it makes and drops.
void add_bench_write_command(CLI::App& bench, int& status);

}  // namespace penstock::cli
