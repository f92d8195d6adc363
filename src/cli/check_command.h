#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// Adds `check` to the program; its callback sets `status`.
void add_check_command(CLI::App& program, int& status);

}  // namespace penstock::cli
