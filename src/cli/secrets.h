#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock::cli {

/// A secret from a file (its first line) if one is named, else from the environment; nullopt when neither has it.
/// Throws Error(Errc::config) when the file cannot be read; warns when others than its owner can read it.
std::optional<std::string> secret(const char* environment, const std::string& file);

/// Overwrites passwords, tokens and one-time codes of addresses among the program's arguments with '*', so that the
/// list of processes does not show them. Call it once the arguments are copied.
void hide_secrets(int argc, char** argv);

/// A message for the user in which every address has lost its secrets: a flag or a file's name may be one by mistake.
std::string without_secrets(std::string_view message);

/// Writes a file that may show data: a new one is readable by its owner only, one that is there keeps its mode. Returns
/// "" or why it failed.
std::string write_private(const std::string& path, std::string_view content);

/// Asks on the terminal without echo. Throws Error(Errc::config) when there is no terminal.
std::string ask_secret(const std::string& prompt);

}  // namespace penstock::cli
