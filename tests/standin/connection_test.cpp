#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "standin/fixture.h"

namespace penstock::test {
namespace {

std::vector<std::string> declared_functions() {
  std::ifstream in("tests/standin/taos_abi.h");
  std::stringstream text;
  text << in.rdbuf();
  const std::string header = text.str();
  std::vector<std::string> names;
  for (std::size_t at = 0; (at = header.find("\nSTANDIN_API ", at)) != std::string::npos;) {
    const auto end = header.find('(', ++at);
    const auto begin = header.find_last_of(" *", end) + 1;
    names.push_back(header.substr(begin, end - begin));
  }
  return names;
}

TEST(StandinLibrary, HasEveryDeclaredFunction) {
  const auto names = declared_functions();
  if (names.empty()) GTEST_SKIP() << "not started in the source directory";
  EXPECT_GT(names.size(), 120U);
  const Library library(PENSTOCK_STANDIN_LIBRARY);
  const Library old(PENSTOCK_STANDIN_OLD_LIBRARY);
  for (const auto& name : names) {
    EXPECT_NE(library.find(name.c_str()), nullptr) << name;
    EXPECT_EQ(old.find(name.c_str()) != nullptr, !name.starts_with("taos_stmt2_")) << name;
  }
  EXPECT_EQ(library.find("_ZN8penstock7sandbox6Engine4openERKNS1_7OptionsE"), nullptr) << "what is inside stays inside";
  EXPECT_THROW(Library("/nowhere/libtaos.so"), std::runtime_error);
}

using StandinConnection = StandinTest;

TEST_F(StandinConnection, RefusesWhereNothingListens) {
  const auto refused = [&](TAOS* made) {
    EXPECT_EQ(made, nullptr);
    EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), code_of(0x000B));
    EXPECT_STREQ(STANDIN(library, taos_errstr)(nullptr), "Unable to establish connection");
  };
  refused(STANDIN(library, taos_connect)("nowhere.invalid", "root", "taosdata", nullptr, port));
  STANDIN(library, penstock_standin_refuse_port)(port, 1);
  refused(connect(port));
  STANDIN(library, penstock_standin_refuse_port)(port, 0);
  ::setenv("PENSTOCK_STANDIN_REFUSE", ("1," + std::to_string(port)).c_str(), 1);
  refused(connect(port));
  ::unsetenv("PENSTOCK_STANDIN_REFUSE");
  TAOS* const again = connect(port);
  EXPECT_NE(again, nullptr);
  EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), 0);
  STANDIN(library, taos_close)(again);
}

TEST_F(StandinConnection, TakesTheDigestOfAPassword) {
  const auto auth = STANDIN(library, taos_connect_auth);
  TAOS* const other = auth("127.0.0.1", "root", "dcc5bed04851fec854c035b2e40263b6", "d", port);
  ASSERT_NE(other, nullptr);
  STANDIN(library, taos_close)(other);
  EXPECT_EQ(auth("127.0.0.1", "root", "00000000000000000000000000000000", nullptr, port), nullptr);
  EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), code_of(0x0357));
}

TEST_F(StandinConnection, KeepsServersApart) {
  TAOS* const other = connect(static_cast<std::uint16_t>(port + 20000));
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(STANDIN(library, taos_select_db)(other, "d"), code_of(0x0388));
  STANDIN(library, taos_close)(other);
  TAOS* const same = STANDIN(library, taos_connect)("localhost", nullptr, nullptr, "d", port);
  ASSERT_NE(same, nullptr) << "one server by two names";
  STANDIN(library, taos_close)(same);
}

TEST_F(StandinConnection, ReadsTheFirstEndpointOfAConfiguration) {
  const auto directory = std::filesystem::temp_directory_path() / ("standin-cfg-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  std::ofstream(directory / "taos.cfg") << "# a comment\n  firstEp   127.0.0.1:" << port << "\nserverPort 1\n";
  EXPECT_EQ(STANDIN(library, taos_options)(TSDB_OPTION_CONFIGDIR, directory.c_str()), 0);
  TAOS* const made = STANDIN(library, taos_connect)(nullptr, nullptr, nullptr, "d", 0);
  EXPECT_NE(made, nullptr);
  STANDIN(library, taos_close)(made);
  EXPECT_EQ(STANDIN(library, taos_options)(TSDB_OPTION_CONFIGDIR, ""), 0);
  std::filesystem::remove_all(directory);
}

TEST_F(StandinConnection, KnowsItsDatabase) {
  char name[8] = "";
  int needed = 0;
  const auto current = STANDIN(library, taos_get_current_db);
  EXPECT_EQ(current(taos, name, sizeof name, &needed), 0);
  EXPECT_STREQ(name, "d");
  EXPECT_EQ(needed, 2);
  run("create database `longer_name`");
  EXPECT_EQ(STANDIN(library, taos_select_db)(taos, "longer_name"), 0);
  EXPECT_NE(current(taos, name, sizeof name, &needed), 0) << "too small";
  EXPECT_STREQ(name, "longer_");
  EXPECT_EQ(needed, 12);
  STANDIN(library, taos_reset_current_db)(taos);
  EXPECT_EQ(current(taos, name, sizeof name, &needed), 0);
  EXPECT_STREQ(name, "");
  EXPECT_EQ(code("select * from t"), code_of(0x2616));
}

TEST_F(StandinConnection, PlacesTablesInGroups) {
  run("create table t (ts timestamp, v int)");
  TAOS_DB_ROUTE_INFO route{};
  EXPECT_EQ(STANDIN(library, taos_get_db_route_info)(taos, "d", &route), 0);
  ASSERT_GE(route.vgNum, 1);
  int group = 0;
  EXPECT_EQ(STANDIN(library, taos_get_table_vgId)(taos, "d", "t", &group), 0);
  bool known = false;
  for (int i = 0; i < route.vgNum; ++i) known = known || route.vgHash[i].vgId == group;
  EXPECT_TRUE(known) << group;
  EXPECT_EQ(route.vgHash[route.vgNum - 1].hashEnd, 0xFFFFFFFFU);
  std::free(route.vgHash);
  EXPECT_EQ(STANDIN(library, taos_get_table_vgId)(taos, "d", "nope", &group), code_of(0x2603));
  EXPECT_EQ(STANDIN(library, taos_load_table_info)(taos, "d.t,t"), 0);
  EXPECT_EQ(STANDIN(library, taos_load_table_info)(taos, "d.nope"), code_of(0x2603));
}

TEST_F(StandinConnection, HasATimeZoneOfItsOwn) {
  run("create table t (ts timestamp, v int)");
  run("insert into t values ('2024-01-01 00:00:00', 1)");
  EXPECT_EQ(STANDIN(library, taos_options_connection)(taos, TSDB_OPTION_CONNECTION_TIMEZONE, "Asia/Shanghai"), 0);
  run("insert into t values ('2024-01-01 00:00:00', 2)");
  EXPECT_EQ(rows("select ts, v from t"), "1704038400000 2\n1704067200000 1\n");
  EXPECT_EQ(STANDIN(library, taos_options_connection)(taos, 9, "x"), code_of(0x0118));
}

TEST_F(StandinConnection, KeepsItsDataInADirectory) {
  const auto directory = std::filesystem::temp_directory_path() / ("standin-data-" + std::to_string(::getpid()));
  std::filesystem::remove_all(directory);
  ::setenv("PENSTOCK_STANDIN_DIRECTORY", directory.c_str(), 1);
  STANDIN(library, taos_close)(taos);
  taos = connect(1);
  run("create database kept keep 36500");
  run("create table kept.t (ts timestamp, v int)");
  run("insert into kept.t values (1700000000000, 7)");
  STANDIN(library, taos_close)(taos);
  STANDIN(library, penstock_standin_forget_servers)();
  taos = connect(2);
  EXPECT_EQ(rows("select v from kept.t"), "7\n");
  STANDIN(library, taos_close)(taos);
  taos = nullptr;
  STANDIN(library, penstock_standin_forget_servers)();
  ::unsetenv("PENSTOCK_STANDIN_DIRECTORY");
  std::filesystem::remove_all(directory);
}

TEST_F(StandinConnection, AnswersWhatIsNoHandleWithACode) {
  const char* const text = "x";
  TAOS_RES* const result = STANDIN(library, taos_query)(taos, "select 1");
  TAOS* const closed = connect(port);
  STANDIN(library, taos_close)(closed);
  int wrong = 0;
  for (void* bad : {static_cast<void*>(nullptr), static_cast<void*>(const_cast<char*>(text)), result, closed}) {
    EXPECT_EQ(STANDIN(library, taos_query)(bad, "select 1"), nullptr);
    EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), code_of(0x0213));
    EXPECT_EQ(STANDIN(library, taos_select_db)(bad, "d"), code_of(0x0213));
    EXPECT_EQ(STANDIN(library, taos_stmt2_init)(bad, nullptr), nullptr);
    EXPECT_EQ(STANDIN(library, taos_stmt_init)(bad), nullptr);
    EXPECT_NE(STANDIN(library, taos_stmt2_prepare)(bad, "select 1", 0), 0);
    EXPECT_NE(STANDIN(library, taos_stmt_prepare)(bad, "select 1", 0), 0);
    EXPECT_NE(STANDIN(library, taos_stmt2_close)(bad), 0);
    EXPECT_EQ(STANDIN(library, taos_stmt_affected_rows)(bad), 0);
    if (bad != nullptr) ++wrong;
  }
  expected_misuses += 8 * wrong;
  for (void* bad : {static_cast<void*>(const_cast<char*>(text)), taos, closed}) {
    EXPECT_EQ(STANDIN(library, taos_errno)(bad), code_of(0x0118));
    EXPECT_EQ(STANDIN(library, taos_fetch_row)(bad), nullptr);
    EXPECT_EQ(STANDIN(library, taos_field_count)(bad), 0);
    STANDIN(library, taos_free_result)(bad);
    expected_misuses += 4;
  }
  STANDIN(library, taos_free_result)(nullptr);
  STANDIN(library, taos_free_result)(result);
  STANDIN(library, taos_close)(nullptr);
  STANDIN(library, taos_query)(taos, nullptr);
  EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), code_of(0x0118));
}

/// Calls the function with zeros for all it takes but the first, whatever its type: enough for integers and pointers.
void call_with(void* function, void* first) {
  using Any = std::intptr_t (*)(void*, std::intptr_t, std::intptr_t, std::intptr_t, std::intptr_t, std::intptr_t,
                                std::intptr_t, std::intptr_t, std::intptr_t);
  reinterpret_cast<Any>(function)(first, 0, 0, 0, 0, 0, 0, 0, 0);
}

TEST_F(StandinConnection, SurvivesCallsWithoutArguments) {
  const auto names = declared_functions();
  if (names.empty()) GTEST_SKIP() << "not started in the source directory";
  // Whose first argument is no handle.
  const std::set<std::string> others{"taos_options",
                                     "taos_connect",
                                     "taos_connect_auth",
                                     "taos_print_row",
                                     "taos_print_row_with_size",
                                     "taos_check_server_status",
                                     "tmq_free_assignment",
                                     "tmq_free_raw",
                                     "tmq_free_json_meta",
                                     "tmq_conf_new",
                                     "tmq_list_new",
                                     "taos_init",
                                     "taos_cleanup",
                                     "taos_get_client_info"};
  TAOS* const closed = connect(port);
  STANDIN(library, taos_close)(closed);
  for (const auto& name : names) {
    if (name == "tmq_conf_new" || name == "tmq_list_new" || name == "taos_connect") continue;  // give something out
    SCOPED_TRACE(name);
    call_with(library.find(name.c_str()), nullptr);
    if (!others.contains(name)) call_with(library.find(name.c_str()), closed);
  }
  expected_misuses = STANDIN(library, penstock_standin_misuses)() - misuses_before();
  EXPECT_GT(expected_misuses, 90);
}

TEST_F(StandinConnection, FailsWhenToldTo) {
  const auto fail_next = STANDIN(library, penstock_standin_fail_next);
  run("create table t (ts timestamp, v int)");
  fail_next("taos_query", code_of(0x0917), 2);
  EXPECT_EQ(code("insert into t values (1700000000000, 1)"), code_of(0x0917));
  EXPECT_EQ(code("insert into t values (1700000000000, 1)"), code_of(0x0917));
  EXPECT_EQ(rows("select count(*) from t"), "0\n");
  fail_next("taos_query:after", 0x000B, 1);
  EXPECT_EQ(code("insert into t values (1700000000000, 1)"), code_of(0x000B));
  EXPECT_EQ(rows("select count(*) from t"), "1\n") << "done, but not answered";
  fail_next("taos_connect", 0x0015, 1);
  EXPECT_EQ(connect(port), nullptr);
  EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), code_of(0x0015));
  fail_next("*", 0x000B, 5);
  STANDIN(library, penstock_standin_reset_controls)();
  const auto calls = STANDIN(library, penstock_standin_calls)("taos_query");
  STANDIN(library, penstock_standin_delay)("taos_query", 30);
  const auto begun = std::chrono::steady_clock::now();
  run("select 1");
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(30));
  EXPECT_EQ(STANDIN(library, penstock_standin_calls)("taos_query"), calls + 1);
}

TEST_F(StandinConnection, LosesAConnectionForGood) {
  run("create table t (ts timestamp, v int)");
  run("insert into t values (1700000000000, 1)");
  TAOS* const other = connect(port, "d");
  TAOS_RES* const result = STANDIN(library, taos_query)(taos, "select * from t");
  TAOS_STMT2* const statement = STANDIN(library, taos_stmt2_init)(taos, nullptr);
  STANDIN(library, penstock_standin_drop_connection)(taos);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(code("select 1"), code_of(0x000B));
  EXPECT_EQ(STANDIN(library, taos_select_db)(taos, "d"), code_of(0x000B));
  int count = 0;
  void* data = nullptr;
  EXPECT_EQ(STANDIN(library, taos_fetch_raw_block)(result, &count, &data), code_of(0x000B));
  EXPECT_EQ(STANDIN(library, taos_stmt2_prepare)(statement, "select * from t where v=?", 0), code_of(0x000B));
  EXPECT_EQ(STANDIN(library, taos_stmt2_close)(statement), 0);
  STANDIN(library, taos_free_result)(result);
  STANDIN(library, taos_close)(taos);
  taos = other;
  EXPECT_EQ(rows("select v from t"), "1\n");
  EXPECT_EQ(STANDIN(library, penstock_standin_drop_all_connections)(), 1);
  EXPECT_EQ(code("select 1"), code_of(0x000B));
}

TEST(StandinEnvironment, TellsWhatFails) {
  ::setenv("PENSTOCK_STANDIN_FAIL", "taos_query:0x80000917:2,taos_query:after:0x0018", 1);
  ::setenv("PENSTOCK_STANDIN_DELAY", "taos_query:20", 1);
  ::setenv("PENSTOCK_STANDIN_REFUSE", "1,7777", 1);
  // A copy is loaded beside the library that other tests use, and reads the environment anew.
  const auto copy = std::filesystem::temp_directory_path() / ("standin-copy-" + std::to_string(::getpid()) + ".so");
  std::filesystem::copy_file(PENSTOCK_STANDIN_LIBRARY, copy, std::filesystem::copy_options::overwrite_existing);
  const Library library(copy);
  std::filesystem::remove(copy);
  const auto connect = [&](std::uint16_t port) {
    return STANDIN(library, taos_connect)("127.0.0.1", "root", "taosdata", nullptr, port);
  };
  EXPECT_EQ(connect(7777), nullptr);
  TAOS* const taos = connect(7778);
  ASSERT_NE(taos, nullptr);
  const auto code = [&] {
    TAOS_RES* const result = STANDIN(library, taos_query)(taos, "select 1");
    const int answer = STANDIN(library, taos_errno)(result);
    STANDIN(library, taos_free_result)(result);
    return answer;
  };
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(code(), code_of(0x0917));
  EXPECT_EQ(code(), code_of(0x0917));
  EXPECT_EQ(code(), code_of(0x0018)) << "after its work";
  EXPECT_EQ(code(), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(80));
  STANDIN(library, taos_close)(taos);
  for (const auto* const name : {"FAIL", "DELAY", "REFUSE"}) {
    ::unsetenv((std::string("PENSTOCK_STANDIN_") + name).c_str());
  }
}

}  // namespace
}  // namespace penstock::test
