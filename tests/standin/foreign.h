#pragma once

#include <filesystem>
#include <string>

/// Running programs of others over the stand-in library.
namespace penstock::test {

struct Outcome {
  int status = -1;  ///< of exit; -1: ended by a signal, or never begun
  std::string output;
};

/// Runs a line of shell; its output and what it writes to standard error are one.
Outcome run(const std::string& command);

std::string shell_quoted(const std::filesystem::path& path);

/// "NAME=value …" for a program that loads the library. A sanitizer's library must come first in a program that was
/// built without it, and finds what throws exceptions only when that is there from the start.
std::string library_environment();

std::filesystem::path beside_the_program(const char* name);

}  // namespace penstock::test
