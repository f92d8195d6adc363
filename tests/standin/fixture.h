#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "standin/library.h"

namespace penstock::test {

/// 0x8000xxxx as the C interface gives it.
constexpr int code_of(int low) noexcept { return static_cast<int>(0x80000000U | static_cast<unsigned>(low)); }

/// A connection to a server of the test's own, and checks that the test leaves nothing open.
class StandinTest : public testing::Test {
 protected:
  void SetUp() override {
    open_before_ = STANDIN(library, penstock_standin_open_handles)();
    misuses_before_ = STANDIN(library, penstock_standin_misuses)();
    taos = connect(port);
    ASSERT_NE(taos, nullptr);
    run("create database d keep 36500");
    run("use d");
  }
  void TearDown() override {
    if (taos != nullptr) STANDIN(library, taos_close)(taos);
    STANDIN(library, penstock_standin_reset_controls)();
    EXPECT_EQ(STANDIN(library, penstock_standin_open_handles)(), open_before_);
    EXPECT_EQ(STANDIN(library, penstock_standin_misuses)() - misuses_before_, expected_misuses);
  }

  TAOS* connect(std::uint16_t at, const char* database = nullptr) const {
    return STANDIN(library, taos_connect)("127.0.0.1", "root", "taosdata", database, at);
  }
  /// The code that the statement answers with.
  int code(const std::string& sql) const {
    TAOS_RES* const result = STANDIN(library, taos_query)(taos, sql.c_str());
    const int answer = STANDIN(library, taos_errno)(result);
    STANDIN(library, taos_free_result)(result);
    return answer;
  }
  void run(const std::string& sql) const { EXPECT_EQ(code(sql), 0) << sql; }
  /// Rows as taos_print_row() prints them, one a line.
  std::string rows(const std::string& sql) const {
    TAOS_RES* const result = STANDIN(library, taos_query)(taos, sql.c_str());
    EXPECT_EQ(STANDIN(library, taos_errno)(result), 0) << sql << ": " << STANDIN(library, taos_errstr)(result);
    auto text = rows_of(result);
    STANDIN(library, taos_free_result)(result);
    return text;
  }
  std::string rows_of(TAOS_RES* result) const {
    std::string out;
    char line[1024];
    TAOS_FIELD* const fields = STANDIN(library, taos_fetch_fields)(result);
    const int count = STANDIN(library, taos_num_fields)(result);
    while (const TAOS_ROW row = STANDIN(library, taos_fetch_row)(result)) {
      STANDIN(library, taos_print_row_with_size)(line, sizeof line, row, fields, count);
      out += std::string(line) + "\n";
    }
    return out;
  }

  const Library library{PENSTOCK_STANDIN_LIBRARY};
  const std::uint16_t port = next_port();
  TAOS* taos = nullptr;
  std::int64_t expected_misuses = 0;
  [[nodiscard]] std::int64_t misuses_before() const noexcept { return misuses_before_; }

 private:
  /// Only names: nothing listens anywhere.
  static std::uint16_t next_port() {
    static std::uint16_t last = 10000;
    return ++last;
  }
  std::int64_t open_before_ = 0;
  std::int64_t misuses_before_ = 0;
};

}  // namespace penstock::test
