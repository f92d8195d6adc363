#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// Adds `load` to the program; its callback sets `status`.
void add_load_command(CLI::App& program, int& status);

}  // namespace penstock::cli
