#include <gtest/gtest.h>

#include <filesystem>

#include "standin/foreign.h"
#include "standin/library_environment.h"

/// TDengine's own Python client from PyPI, unmodified, over the stand-in library. It is installed once, beside the test
/// program; without python3, pip or a registry the test is skipped.
namespace penstock::test {
namespace {

TEST(ForeignClients, TaospyWorksOverTheStandIn) {
  const std::filesystem::path script = "tests/standin/taospy_client.py";
  if (!std::filesystem::exists(script)) GTEST_SKIP() << "not started in the source directory";
  const auto packages = python_packages("taospy==2.8.10");
  if (!packages.missing.empty()) GTEST_SKIP() << packages.missing;
  const auto outcome = run(library_environment() + "PYTHONPATH=" + shell_quoted(packages.folder) +
                           " timeout 60 python3 " + shell_quoted(script));
  if (outcome.status == 77) GTEST_SKIP() << outcome.output;
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

}  // namespace
}  // namespace penstock::test
