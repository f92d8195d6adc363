#pragma once

namespace CLI {
class App;
}

namespace penstock::cli {

/// `penstock status [JOURNAL]`: how far loads and followers are, by their journals.
void add_status_command(CLI::App& program, int& status);

}  // namespace penstock::cli
