#pragma once

#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "client/connection.h"
#include "standin/library.h"

namespace penstock::client {

/// Servers of the stand-in library, and its controls.
class Standin {
 public:
  static const test::Library& library() {
    static const test::Library loaded(PENSTOCK_STANDIN_LIBRARY);
    return loaded;
  }
  static void fail_next(const char* function, std::uint32_t code, std::int32_t times = 1) {
    STANDIN(library(), penstock_standin_fail_next)(function, static_cast<std::int32_t>(code), times);
  }
  static void delay(const char* function, std::int32_t milliseconds) {
    STANDIN(library(), penstock_standin_delay)(function, milliseconds);
  }
  static std::int32_t drop_all() { return STANDIN(library(), penstock_standin_drop_all_connections)(); }
  static void refuse_port(std::uint16_t port, bool refuse) {
    STANDIN(library(), penstock_standin_refuse_port)(port, refuse ? 1 : 0);
  }
  static std::int64_t open_handles() { return STANDIN(library(), penstock_standin_open_handles)(); }
  static std::int64_t misuses() { return STANDIN(library(), penstock_standin_misuses)(); }
  static std::int64_t calls(const char* function) { return STANDIN(library(), penstock_standin_calls)(function); }
  static void reset() {
    STANDIN(library(), penstock_standin_reset_controls)();
    STANDIN(library(), penstock_standin_forget_servers)();
  }
};

/// What sandbox_fixture.h is for WebSocket: a server of the stand-in library and a connection to its database `db`.
/// Everything taken from the library must be given back in the end.
class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Standin::reset();
    misuses_ = Standin::misuses();
    Connection::open(dsn()).execute("CREATE DATABASE db KEEP 36500");
    connection_.emplace(Connection::open(dsn("/db")));
  }
  void TearDown() override {
    connection_.reset();
    // Calls that were given up give back what they use when they return.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (Standin::open_handles() != 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    EXPECT_EQ(Standin::open_handles(), 0) << "not given back";
    EXPECT_EQ(Standin::misuses(), misuses_);
    Standin::reset();
  }
  /// `rest`: "/database?option=value". Another scheme reaches nobody.
  [[nodiscard]] std::string dsn(const std::string& rest = {}, const std::string& scheme = "taos") const {
    return scheme + "://root:taosdata@127.0.0.1:6030" + rest + (rest.find('?') == std::string::npos ? "?" : "&") +
           "library=" PENSTOCK_STANDIN_LIBRARY;
  }
  /// As a server that was restarted: its connections are gone, its data are not.
  void restart_server(bool = false) {
    Standin::drop_all();
    connection_->reopen();
  }
  Connection& connection() { return *connection_; }
  void disconnect() { connection_.reset(); }

 private:
  std::int64_t misuses_ = 0;
  std::optional<Connection> connection_;
};

}  // namespace penstock::client
