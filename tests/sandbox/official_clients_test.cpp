#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "sandbox/server.h"

/// The official Python clients from PyPI, unmodified, against the sandbox. Their packages are installed once, beside
/// the test program; without python3, pip or a registry the test is skipped.
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

TEST(OfficialClients, WorkAgainstTheSandbox) {
  const std::filesystem::path script = "tests/sandbox/official_clients.py";
  if (!std::filesystem::exists(script)) GTEST_SKIP() << "not started in the source directory";
  if (run("python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))'").status != 0) GTEST_SKIP() << "no python3";
  const auto packages = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "python-clients";
  if (!std::filesystem::exists(packages)) {
    const auto fresh = packages.string() + ".new";
    std::filesystem::remove_all(fresh);
    const auto install = run("timeout 120 python3 -m pip install --quiet --disable-pip-version-check --target " +
                             shell_quoted(fresh) + " taos-ws-py==0.7.0 taospy==2.8.10");
    if (install.status != 0) GTEST_SKIP() << "the packages cannot be installed: " << install.output;
    std::filesystem::rename(fresh, packages);
  }
  sandbox::Server::Options options;
  options.canned_rows = 100'000;
  options.token = "cloud-token";
  sandbox::Server server(options);
  const auto outcome = run("PYTHONPATH=" + shell_quoted(packages) + " timeout 60 python3 " + shell_quoted(script) +
                           " 127.0.0.1 " + std::to_string(server.port()));
  if (outcome.status == 77) GTEST_SKIP() << outcome.output;
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

}  // namespace
}  // namespace penstock::test
