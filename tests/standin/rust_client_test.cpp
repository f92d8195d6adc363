#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "sandbox/server.h"
#include "standin/foreign.h"
#include "standin/library_environment.h"

/// TDengine's own Rust client from crates.io, unmodified: over WebSocket against the sandbox's server, and over the
/// stand-in library. Its build takes a minute or two and is kept beside the test program; without cargo or a registry
/// the tests are skipped.
namespace penstock::test {
namespace {

class RustClient : public testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path manifest = "tests/standin/rust_client/Cargo.toml";
    if (!std::filesystem::exists(manifest)) GTEST_SKIP() << "not started in the source directory";
    if (run("cargo --version").status != 0) GTEST_SKIP() << "no cargo";
    const auto target = beside_the_program("cargo");
    const std::string arguments = " --locked --manifest-path " + shell_quoted(manifest);
    if (run("cargo fetch --quiet --offline" + arguments).status != 0) {
      const auto fetched = run("CARGO_NET_RETRY=1 CARGO_HTTP_TIMEOUT=20 timeout 120 cargo fetch --quiet" + arguments);
      if (fetched.status != 0) GTEST_SKIP() << "the crates cannot be fetched: " << fetched.output;
    }
    const auto built =
        run("timeout 500 cargo build --quiet --offline" + arguments + " --target-dir " + shell_quoted(target));
    ASSERT_EQ(built.status, 0) << built.output;
    program = target / "debug" / "rust_client";
  }
  std::filesystem::path program;
};

TEST_F(RustClient, WorksOverWebSocketAgainstTheSandbox) {
  const sandbox::Server server({});
  const auto outcome = run("timeout 60 " + shell_quoted(program) + " ws://127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

TEST_F(RustClient, WorksOverTheStandIn) {
  const auto outcome = run(library_environment() + "timeout 60 " + shell_quoted(program) + " taos://localhost:6030");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

}  // namespace
}  // namespace penstock::test
