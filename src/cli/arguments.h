#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace penstock::cli {

/// The arguments (without the program's name) with the settings of the TOML file that `--config FILE` or
/// $PENSTOCK_CONFIG names put behind the command as flags, unless the command line or the environment gives them: the
/// command line counts before the environment, the environment before the file. Settings stand at the top of the file
/// (for every command that has such a flag) or in a table named after a command. Throws Error(Errc::config) for an
/// unknown command, an unreadable file, an unknown setting (with file and line).
std::vector<std::string> with_settings(const CLI::App& program, std::vector<std::string> arguments);

/// The commands that do something: `load`, `bench parse`. In the order in which they were added.
std::vector<CLI::App*> leaf_commands(CLI::App& program);
/// "load ", "bench parse ": what the arguments named so far; "" for nothing.
std::string chosen_command(const CLI::App& program);

/// What is wrong with the arguments, in one sentence, with the flag that was perhaps meant; without passwords.
std::string explain(const CLI::App& program, const CLI::ParseError& error);

/// Name of a flag's environment variable: --request-timeout is PENSTOCK_REQUEST_TIMEOUT.
std::string environment_name(const std::string& flag);

}  // namespace penstock::cli
