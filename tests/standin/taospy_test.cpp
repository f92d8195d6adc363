#include <gtest/gtest.h>

#include <filesystem>

#include "standin/foreign.h"

/// TDengine's own Python client from PyPI, unmodified, over the stand-in library. It is installed once, beside the test
/// program; without python3, pip or a registry the test is skipped.
namespace penstock::test {
namespace {

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
  const auto outcome = run(library_environment() + "PYTHONPATH=" + shell_quoted(packages) + " timeout 60 python3 " +
                           shell_quoted(script));
  if (outcome.status == 77) GTEST_SKIP() << outcome.output;
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

}  // namespace
}  // namespace penstock::test
