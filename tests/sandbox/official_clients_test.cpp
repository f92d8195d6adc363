#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "sandbox/server.h"
#include "standin/foreign.h"

/// The official Python clients from PyPI, unmodified, against the sandbox. Their packages are installed once, beside
/// the test program; without python3, pip or a registry the test is skipped.
namespace penstock::test {
namespace {

TEST(OfficialClients, WorkAgainstTheSandbox) {
  const std::filesystem::path script = "tests/sandbox/official_clients.py";
  if (!std::filesystem::exists(script)) GTEST_SKIP() << "not started in the source directory";
  const auto packages = python_packages("taos-ws-py==0.7.0 taospy==2.8.10");
  if (!packages.missing.empty()) GTEST_SKIP() << packages.missing;
  sandbox::Server::Options options;
  options.canned_rows = 100'000;
  options.token = "cloud-token";
  sandbox::Server server(options);
  const auto outcome = run("PYTHONPATH=" + shell_quoted(packages.folder) + " timeout 60 python3 " +
                           shell_quoted(script) + " 127.0.0.1 " + std::to_string(server.port()));
  if (outcome.status == 77) GTEST_SKIP() << outcome.output;
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

}  // namespace
}  // namespace penstock::test
