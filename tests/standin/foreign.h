#pragma once

#include <filesystem>
#include <string>

/// Running the clients that others wrote, as they are.
namespace penstock::test {

struct Outcome {
  int status = -1;  ///< of exit; -1: ended by a signal, or never begun
  std::string output;
};

/// Runs a line of shell; its output and what it writes to standard error are one.
Outcome run(const std::string& command);

std::string shell_quoted(const std::filesystem::path& path);

std::filesystem::path beside_the_program(const char* name);

struct PythonPackages {
  std::filesystem::path folder;  ///< for PYTHONPATH
  std::string missing;           ///< why there are none: no python3, pip or registry; empty when they are there
};

/// Packages from PyPI ("taospy==2.8.10 …"), installed once, beside the test program.
PythonPackages python_packages(const std::string& names);

}  // namespace penstock::test
