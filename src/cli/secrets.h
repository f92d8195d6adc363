#pragma once

#include <optional>
#include <string>

namespace penstock::cli {

/// A secret from a file (its first line) if one is named, else from the environment; nullopt when neither has it.
/// Throws Error(Errc::config) when the file cannot be read; warns when others than its owner can read it.
std::optional<std::string> secret(const char* environment, const std::string& file);

/// Overwrites passwords, tokens and one-time codes of addresses among the program's arguments with '*', so that the
/// list of processes does not show them. Call it once the arguments are copied.
void hide_secrets(int argc, char** argv);

/// Asks on the terminal without echo. Throws Error(Errc::config) when there is no terminal.
std::string ask_secret(const std::string& prompt);

}  // namespace penstock::cli
