#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// What the callback of `tail` sets instead of an exit status when SIGHUP asked for the configuration to be read again:
/// everything is written and noted; the command is to be run again with fresh flags.
inline constexpr int kReload = -1;

/// Adds `penstock tail`. Its callback sets `status`: an exit status, or kReload.
void add_tail_command(CLI::App& program, int& status);

}  // namespace penstock::cli
