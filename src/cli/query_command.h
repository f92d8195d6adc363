#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// Adds `query` to the program; its callback sets `status`.
void add_query_command(CLI::App& program, int& status);

}  // namespace penstock::cli
