#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// Adds `sandbox` to the program; its callback sets `status`.
void add_sandbox_command(CLI::App& program, int& status);

}  // namespace penstock::cli
