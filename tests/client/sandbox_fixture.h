#pragma once

#ifdef PENSTOCK_TEST_NATIVE
#include "client/native_fixture.h"
#else

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "client/connection.h"
#include "sandbox/server.h"

namespace penstock::client {

/// A sandbox server over a directory of its own, and a connection to its database `db`.
class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "penstock-client-" + std::to_string(::getpid()) + "-" +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    start(false);
    Connection::open(dsn()).execute("CREATE DATABASE db KEEP 36500");
    connection_.emplace(Connection::open(dsn("/db")));
  }
  void TearDown() override {
    connection_.reset();
    server_.reset();
    std::filesystem::remove_all(directory_);
  }
  [[nodiscard]] std::string dsn(const std::string& rest = {}, const std::string& scheme = "ws") const {
    return scheme + "://root:taosdata@127.0.0.1:" + std::to_string(server_->port()) + rest;
  }
  /// Ends the server and starts it again on the same port; with or without the combined bind and execute.
  void restart_server(bool bind_exec = false) {
    server_.reset();
    start(bind_exec);
  }
  sandbox::Server& server() { return *server_; }

  Connection& connection() { return *connection_; }

 private:
  void start(bool bind_exec) {
    sandbox::Server::Options options;
    options.engine.directory = directory_;
    options.port = port_;
    options.stmt2_bind_exec = bind_exec;
    server_ = std::make_unique<sandbox::Server>(options);
    port_ = server_->port();
  }

  std::string directory_;
  std::uint16_t port_ = 0;
  std::unique_ptr<sandbox::Server> server_;
  std::optional<Connection> connection_;
};

}  // namespace penstock::client

#endif
