#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "sandbox/server.h"

/// TDengine's own clients from their registries, unmodified, over the stand-in library. What they need is fetched once,
/// beside the test program; without the language, its tools or a registry the test is skipped.
namespace penstock::test {
namespace {

struct Outcome {
  int status = -1;
  std::string output;
};

Outcome run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> buffer{};
  std::size_t count = 0;
  while ((count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0) outcome.output.append(buffer.data(), count);
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

std::string shell_quoted(const std::filesystem::path& path) { return "'" + path.string() + "'"; }

/// Environment of a program that loads the library. A sanitizer's library must come first in a program that was built
/// without it, and finds what throws exceptions only when that is there from the start.
std::string environment() {
  std::string text =
      "LD_LIBRARY_PATH=" + shell_quoted(std::filesystem::path(PENSTOCK_STANDIN_LIBRARY).parent_path()) + " ";
#if defined(__SANITIZE_ADDRESS__)
  const auto library = [](const std::string& name) { return "$(" PENSTOCK_CXX " -print-file-name=" + name + ")"; };
  text += "LD_PRELOAD=\"" + library("libasan.so") + " " + library("libstdc++.so") + "\" ASAN_OPTIONS=detect_leaks=0 ";
#endif
  return text;
}

std::filesystem::path beside_the_program(const char* name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

TEST(ForeignClients, TaospyWorksOverTheStandIn) {
  const std::filesystem::path script = "tests/standin/taospy_client.py";
  if (!std::filesystem::exists(script)) GTEST_SKIP() << "not started in the source directory";
  if (run("python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))'").status != 0) GTEST_SKIP() << "no python3";
  const auto packages = beside_the_program("python-clients");
  if (!std::filesystem::exists(packages)) {
    const auto fresh = packages.string() + ".new";
    std::filesystem::remove_all(fresh);
    const auto install = run("timeout 120 python3 -m pip install --quiet --disable-pip-version-check --target " +
                             shell_quoted(fresh) + " taospy==2.8.10");
    if (install.status != 0) GTEST_SKIP() << "the package cannot be installed: " << install.output;
    std::filesystem::rename(fresh, packages);
  }
  const auto outcome =
      run(environment() + "PYTHONPATH=" + shell_quoted(packages) + " timeout 60 python3 " + shell_quoted(script));
  if (outcome.status == 77) GTEST_SKIP() << outcome.output;
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

}  // namespace
}  // namespace penstock::test
