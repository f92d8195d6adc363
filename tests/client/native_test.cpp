#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "client/connection.h"
#include "client/consumer.h"
#include "client/native_fixture.h"
#include "client/thrown.h"
#include "wire/block.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

/// The native transport: what is its own beside the tests of results and statements, which run over it too.
namespace penstock::client {
namespace {

using wire::CellState;
using wire::LineProtocol;
using wire::Stmt2Encoder;

constexpr std::int64_t kT0 = 1'700'000'000'000;

class Native : public SandboxTest {
 protected:
  std::string cell(const std::string& sql) {
    auto rows = connection().query(sql);
    return rows.next() ? rows.display(0) : "no row";
  }
};

TEST_F(Native, TellsItsServerAndDatabase) {
  EXPECT_EQ(connection().server_version(), "3.3.7.5");
  EXPECT_EQ(connection().endpoint(), "127.0.0.1:6030");
  EXPECT_EQ(connection().current_database(), "db");
  connection().execute("USE information_schema");
  EXPECT_EQ(connection().current_database(), "information_schema");
  EXPECT_EQ(Connection::open(dsn()).current_database(), "");
}

TEST_F(Native, SaysWhyALoginWasRefused) {
  const auto refused = [&](const std::string& address) {
    try {
      Connection::open(address);
    } catch (const ConnectionError& error) {
      return error.code();
    }
    return Errc::io;
  };
  const std::string library = "?library=" PENSTOCK_STANDIN_LIBRARY;
  EXPECT_EQ(refused("taos://root:wrong@127.0.0.1:6030" + library), Errc::auth);
  EXPECT_EQ(refused("taos://nobody:taosdata@127.0.0.1:6030" + library), Errc::auth);
  EXPECT_EQ(refused(dsn("/nope")), Errc::config);
  Standin::refuse_port(6031, true);
  EXPECT_EQ(refused("taos://127.0.0.1:6031" + library), Errc::unreachable);
  EXPECT_HAS(thrown([&] { Connection::open("taos://127.0.0.1:6031" + library); }), "6030");
  EXPECT_HAS(thrown([&] { Connection::open("taos://127.0.0.1:6030" + library + "&token=secret"); }), "InterfaceError");
}

TEST_F(Native, TriesTheEndpointsInTurn) {
  Standin::refuse_port(6031, true);
  auto connection = Connection::open("taos://127.0.0.1:6031,127.0.0.1:6030/db?library=" PENSTOCK_STANDIN_LIBRARY);
  EXPECT_EQ(connection.endpoint(), "127.0.0.1:6030");
  Standin::refuse_port(6030, true);
  const auto text =
      thrown([&] { Connection::open("taos://127.0.0.1:6031,127.0.0.1:6030?library=" PENSTOCK_STANDIN_LIBRARY); });
  EXPECT_HAS(text, "127.0.0.1:6031");
  EXPECT_HAS(text, "127.0.0.1:6030");
}

TEST_F(Native, SaysWhichLibraryOrFunctionIsMissing) {
  const auto text = thrown([] { Connection::open("taos://localhost?library=/nowhere/libtaos.so"); });
  EXPECT_HAS(text, "InterfaceError");
  EXPECT_HAS(text, "/nowhere/libtaos.so");
  EXPECT_HAS(text, "No such file");
  // Any other library is none of TDengine's.
  EXPECT_HAS(
      thrown([] { Connection::open("taos://localhost,elsewhere?library=libz.so.1"); }),
      "InterfaceError TDengine's client library 'libz.so.1' (of unknown version) has no function 'taos_options'");
}

// In a process of its own: here the loader knows the stand-in as libtaos.so.
TEST(NativeDeathTest, SaysWhereItLookedForTheLibrary) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        std::fputs(thrown([] { Connection::open("taos://localhost"); }).c_str(), stderr);
        std::_Exit(0);
      },
      ::testing::ExitedWithCode(0),
      "InterfaceError.*libtaos.so: cannot open.*libtaos.so.1: .*libtaosnative.so: .*library=.*ws://");
}

TEST_F(Native, UsesAnOldLibraryForWhatItCan) {
  auto old = Connection::open("taos://root:taosdata@127.0.0.1:6030?library=" PENSTOCK_STANDIN_OLD_LIBRARY);
  old.execute("CREATE DATABASE db");
  old.execute("USE db");
  old.execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  EXPECT_EQ(old.execute("INSERT INTO t VALUES (1700000000000, 1)"), 1);
  const auto text = thrown([&] { old.prepare("INSERT INTO t VALUES (?, ?)"); });
  EXPECT_HAS(text, "InterfaceError");
  EXPECT_HAS(text, "taos_stmt2_");
}

// In a process of its own: a library is started once in each.
TEST(NativeDeathTest, DealsWithALibraryThatFailsOrIsOlder) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto run = [] {
    bool fine = true;
    const auto expect = [&](const std::string& text, const std::string& part) {
      if (text.find(part) != std::string::npos) return;
      std::fprintf(stderr, "'%s' is not in: %s\n", part.c_str(), text.c_str());
      fine = false;
    };
    const std::string dsn = "taos://localhost/db?library=" PENSTOCK_NATIVE_STUB_LIBRARY;
    ::setenv("PENSTOCK_NATIVE_STUB", "init", 1);
    expect(thrown([&] { Connection::open(dsn); }), "libtaosnative.so");
    ::setenv("PENSTOCK_NATIVE_STUB", "config", 1);
    expect(thrown([&] { Connection::open(dsn + "&config_dir=/etc/other"); }), "/etc/other");
    ::unsetenv("PENSTOCK_NATIVE_STUB");
    // What failed may be mended meanwhile.
    auto connection = Connection::open(dsn);
    expect(connection.server_version(), "3.3.4.8");
    expect(connection.current_database(), "longer_than_any_database_may_be_called_in_this_release_of_it");
    expect(thrown([&] { connection.prepare("INSERT INTO t VALUES (?)"); }), "taos_stmt2_get_fields of 3.3.5");
    expect(thrown([&] { Connection::open(dsn + "&timezone=UTC"); }), "taos_options_connection");
    expect(thrown([&] { Consumer::open(dsn, {{"group.id", "g"}}); }), "tmq_conf_new");
    const auto answer = connection.insert_schemaless(LineProtocol::line, "ns", "m v=1", 0, {}, 1234);
    expect(std::to_string(answer.affected_rows), "1234");
    expect(std::to_string(answer.total_rows), "5");
    expect(thrown([&] { connection.insert_schemaless(LineProtocol::line, "ns", "m v=1", 1); }),
           "taos_schemaless_insert_raw_ttl_with_reqid',");
    expect(thrown([&] { connection.insert_schemaless(LineProtocol::line, "ns", "m v=1", 0, "t"); }), "tbname_key");
    // No result at all.
    expect(thrown([&] { connection.query("SELECT 1"); }), "Out of Memory");
    std::_Exit(fine ? 0 : 1);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "");
}

TEST_F(Native, ReadsTimesInTheZoneOfTheConnection) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  Connection::open(dsn("/db?timezone=Asia/Shanghai")).execute("INSERT INTO t VALUES ('2023-11-15 06:13:20', 1)");
  auto rows = connection().query("SELECT ts FROM t");
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(rows.timestamp(0).ticks, kT0);
  EXPECT_EQ(rows.display(0), "2023-11-14T22:13:20.000Z");
}

TEST_F(Native, HasOneConfigurationDirectoryForTheProcess) {
  const auto text = thrown([&] { Connection::open(dsn("?config_dir=/etc")); });
  EXPECT_HAS(text, "InterfaceError");
  EXPECT_HAS(text, "/etc");
}

TEST_F(Native, MarksItsRequestsAndRefusesWhatCannotBe) {
  EXPECT_EQ(connection().query("SELECT 1", 4711).fetch_all().size(), 1U);
  EXPECT_HAS(thrown([&] { connection().execute(""); }), "InterfaceError");
  EXPECT_HAS(thrown([&] { connection().execute(std::string_view("SELECT 1\0;", 10)); }), "NUL");
  const auto too_long = thrown([&] { connection().execute("SELECT '" + std::string(1'100'000, 'x') + "'"); });
  EXPECT_NE(too_long, "nothing");
  EXPECT_HAS(too_long, "0x");
  EXPECT_EQ(cell("SELECT 1"), "1");
  const auto ticket = connection().send_execute("CREATE TABLE t (ts TIMESTAMP, v INT)", 99);
  EXPECT_EQ(ticket, 99U);
  EXPECT_HAS(thrown([&] { connection().send_execute("SELECT 1", 99); }), "under way");
  EXPECT_TRUE(connection().wait(ticket).ok());
  EXPECT_HAS(thrown([&] { connection().wait(ticket); }), "InterfaceError");
  EXPECT_HAS(thrown([&] { connection().send_action("version", ""); }), "InterfaceError");
}

TEST_F(Native, CarriesOutWhatWasSentInItsOrder) {
  std::vector<Ticket> tickets;
  tickets.push_back(connection().send_execute("CREATE TABLE t (ts TIMESTAMP, v INT)"));
  for (int i = 0; i < 20; ++i)
    tickets.push_back(connection().send_execute("INSERT INTO t VALUES (1700000000000, " + std::to_string(i) + ")"));
  for (auto i = tickets.rbegin(); i != tickets.rend(); ++i) {
    const auto answer = connection().wait(*i);
    EXPECT_TRUE(answer.ok()) << answer.message;
    EXPECT_EQ(answer.ticket, *i);
    EXPECT_EQ(answer.action, "query");
  }
  EXPECT_EQ(cell("SELECT v FROM t"), "19");
  const auto refused = connection().send_execute("SELEC 1");
  while (!connection().ready(refused)) std::this_thread::yield();
  const auto answer = connection().wait(refused);
  EXPECT_EQ(answer.code, 0x2600);
  EXPECT_HAS(answer.message, "syntax error");
  EXPECT_HAS(thrown([&] { connection().require(answer); }), "0x2600");
}

TEST_F(Native, InsertsSchemaless) {
  const auto calls = Standin::calls("taos_schemaless_insert_raw_ttl_with_reqid_tbname_key");
  const auto answer = connection().insert_schemaless(
      LineProtocol::line, "ms", "m,t=a v=1i64 1700000000000\nm,t=b v=2i64 1700000000000\n", 3, {}, 77);
  EXPECT_EQ(answer.affected_rows, 2);
  EXPECT_EQ(answer.total_rows, 2);
  EXPECT_EQ(answer.ticket, 77U);
  EXPECT_EQ(cell("SELECT count(*) FROM m"), "2");
  connection().insert_schemaless(LineProtocol::line, "ns", "n,dev=d1 v=1 1700000000000000000", 0, "dev");
  EXPECT_EQ(cell("SELECT tbname FROM n"), "d1");
  connection().insert_schemaless(LineProtocol::telnet, "", "p.q 1700000000 5 host=x");
  EXPECT_EQ(cell("SELECT count(*) FROM p_q"), "1");
  connection().insert_schemaless(LineProtocol::json, "s",
                                 R"({"metric":"j","timestamp":1700000000,"value":1.5,"tags":{"host":"x"}})");
  EXPECT_EQ(cell("SELECT _value FROM j"), "1.5");
  EXPECT_HAS(thrown([&] { connection().insert_schemaless(LineProtocol::line, "ns", "broken"); }), "SchemalessError");
  EXPECT_HAS(thrown([&] { connection().insert_schemaless(LineProtocol::line, "us", "m v=1"); }), "InterfaceError");
  EXPECT_EQ(Standin::calls("taos_schemaless_insert_raw_ttl_with_reqid_tbname_key") - calls, 5);
}

TEST_F(Native, GivesBackWhatWasNotReadAndLetsResultsOutliveTheConnection) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  connection().execute("INSERT INTO t VALUES (1700000000000, 1) (1700000000001, 2)");
  auto kept = connection().query("SELECT v FROM t ORDER BY ts");
  ASSERT_TRUE(kept.next());
  { auto dropped = connection().query("SELECT v FROM t"); }
  auto statement = connection().prepare("INSERT INTO t VALUES (?, ?)");
  disconnect();
  EXPECT_EQ(kept.integer(0), 1U) << "the block that was fetched stays";
  EXPECT_TRUE(kept.next());
  EXPECT_THROW(kept.next(), ClientError);
}

TEST_F(Native, BindsWhatTheEncoderHoldsWithoutCopying) {
  connection().execute(
      "CREATE STABLE s (ts TIMESTAMP, i INT, v VARCHAR(10), d DECIMAL(10, 2)) TAGS (g INT, n NCHAR(10))");
  for (const auto mode : {StatementMode::standard, StatementMode::interlace}) {
    auto statement =
        connection().prepare("INSERT INTO s (tbname, ts, i, v, d, g, n) VALUES (?, ?, ?, ?, ?, ?, ?)", mode);
    ASSERT_EQ(statement.fields().size(), 7U);
    Stmt2Encoder encoder;
    for (int round = 0; round < 3; ++round) {
      encoder.begin(2, 4);
      for (int table = 0; table < 50; ++table) {
        encoder.begin_table("t" + std::to_string(table));
        encoder.fixed_tag(data::Type::integer, static_cast<std::uint64_t>(table));
        if (table % 2 == 0) encoder.text_tag(data::Type::nchar, "北京");
        else encoder.null_tag(data::Type::nchar);
        const auto times = encoder.fixed_column(data::Type::timestamp, 3);
        const auto ints = encoder.fixed_column(data::Type::integer, 3);
        for (std::uint32_t row = 0; row < 3; ++row) {
          times.state[row] = 0;
          wire::store(times.values + 8 * row, kT0 + round * 10 + row);
          ints.state[row] = row == 1 ? 1 : 0;
          wire::store(ints.values + 4 * row, static_cast<std::int32_t>(table + row));
        }
        const auto texts = encoder.variable_column(data::Type::varchar, 3, 4);
        const std::array<std::int32_t, 3> lengths{1, 0, 3};
        for (std::uint32_t row = 0; row < 3; ++row) {
          texts.state[row] = row == 1 ? 1 : 0;
          wire::store(texts.lengths + 4 * row, lengths[row]);
        }
        std::memcpy(texts.data, "abcd", 4);
        // DECIMAL: no bytes for the row without a value.
        const auto decimals = encoder.variable_column(data::Type::decimal64, 3, 16);
        for (std::uint32_t row = 0; row < 3; ++row) {
          decimals.state[row] = row == 1 ? 1 : 0;
          wire::store(decimals.lengths + 4 * row, row == 1 ? 0 : 8);
        }
        wire::store(decimals.data, std::int64_t{-150});
        wire::store(decimals.data + 8, std::int64_t{12345});
      }
      ASSERT_TRUE(connection().wait(connection().send_bind(statement, encoder)).ok());
      EXPECT_TRUE(statement.bound());
      const auto answer = connection().wait(connection().send_exec(statement));
      EXPECT_EQ(answer.affected_rows, 150) << answer.message;
    }
    EXPECT_EQ(cell("SELECT count(*) FROM s"), "450");
    EXPECT_EQ(cell("SELECT count(i) FROM s"), "300");
    EXPECT_EQ(cell("SELECT v FROM t7 WHERE ts = 1700000000002"), "bcd");
    EXPECT_EQ(cell("SELECT d FROM t7 WHERE ts = 1700000000002"), "123.45");
    EXPECT_EQ(cell("SELECT d FROM t7 WHERE ts = 1700000000000"), "-1.50");
    EXPECT_EQ(cell("SELECT n FROM t8 LIMIT 1"), "北京");
  }
}

TEST_F(Native, RefusesWhatTheLibraryWouldDieOf) {
  connection().execute("CREATE STABLE s (ts TIMESTAMP, i INT) TAGS (g INT)");
  auto statement = connection().prepare("INSERT INTO ? USING s TAGS (?) VALUES (?, ?)");
  EXPECT_HAS(thrown([&] { connection().send_exec(statement); }), "nothing is bound");
  Stmt2Encoder encoder;
  const auto begin = [&](std::uint32_t tags, std::uint32_t columns, std::uint32_t rows) {
    encoder.begin(tags, columns);
    encoder.begin_table("t");
    for (std::uint32_t i = 0; i < tags; ++i) encoder.fixed_tag(data::Type::integer, 1);
    for (std::uint32_t i = 0; i < columns; ++i)
      encoder.uniform_column(i == 0 ? data::Type::timestamp : data::Type::integer, rows, CellState::null);
  };
  begin(0, 2, 1);
  EXPECT_HAS(thrown([&] { connection().send_bind(statement, encoder); }), "InterfaceError");
  begin(1, 1, 1);
  EXPECT_HAS(thrown([&] { connection().send_bind(statement, encoder); }), "InterfaceError");
  begin(1, 2, 0);
  EXPECT_HAS(thrown([&] { connection().send_bind(statement, encoder); }), "rows");
  begin(1, 2, 1);
  encoder.uniform_column(data::Type::integer, 1, CellState::null);
  EXPECT_HAS(thrown([&] { connection().send_bind(statement, encoder); }), "more than the 2 columns");
  encoder.begin(1, 2);
  encoder.begin_table("t");
  encoder.fixed_tag(data::Type::integer, 1);
  encoder.uniform_column(data::Type::timestamp, 1, CellState::null);
  EXPECT_HAS(thrown([&] { connection().send_bind(statement, encoder); }), "too few columns");
  EXPECT_TRUE(statement.usable()) << "nothing of this was sent";
  // A refusal of the library ends the statement.
  begin(1, 2, 1);
  const auto answer = connection().wait(connection().send_bind(statement, encoder));
  EXPECT_EQ(answer.code, 0x267B) << answer.message;
  EXPECT_FALSE(statement.usable());
  EXPECT_HAS(thrown([&] { connection().send_bind(statement, encoder); }), "prepare a new one");
  // The table named in the bind: the library cannot tell the columns, the SQL does.
  connection().execute("CREATE TABLE n (ts TIMESTAMP, i INT)");
  auto named = connection().prepare("INSERT INTO ? VALUES (?, ?)");
  begin(0, 1, 1);
  EXPECT_HAS(thrown([&] { connection().send_bind(named, encoder); }), "InterfaceError");
  EXPECT_HAS(thrown([&] { connection().prepare("INSERT INTO nope VALUES (?, ?)"); }), "StatementError");
  EXPECT_HAS(thrown([&] { connection().prepare("CREATE TABLE x (ts TIMESTAMP, v INT)"); }), "0x2600");
}

TEST_F(Native, ReadsResultsOfStatements) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  connection().execute("INSERT INTO t VALUES (1700000000000, 1) (1700000000001, 2) (1700000000002, 3)");
  auto statement = connection().prepare("SELECT v FROM t WHERE v > ? ORDER BY ts");
  EXPECT_FALSE(statement.is_insert());
  EXPECT_EQ(statement.parameter_count(), 1U);
  auto rows = statement.query({std::int64_t{1}});
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(rows.integer(0), 2U);
  auto more = statement.query({std::int64_t{2}});
  EXPECT_EQ(rows.integer(0), 2U) << "a copy of what the statement took back";
  EXPECT_EQ(more.fetch_all().size(), 1U);
  statement.close();
  EXPECT_FALSE(statement.usable());
}

TEST_F(Native, ServesThreadsWithAConnectionEach) {
  connection().execute("CREATE STABLE s (ts TIMESTAMP, i INT) TAGS (g INT)");
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      auto own = Connection::open(dsn("/db"));
      const std::string table = "t" + std::to_string(thread);
      auto insert = own.prepare("INSERT INTO ? USING s TAGS (?) VALUES (?, ?)");
      for (int i = 0; i < 50; ++i) {
        const std::vector<Value> tags{std::int64_t{thread}};
        insert.set_tbname_tags(table, tags);
        insert.bind_param({Timestamp{kT0 + i}, std::int64_t{i}});
        EXPECT_EQ(insert.execute(), 1);
        EXPECT_EQ(own.query("SELECT i FROM " + table).fetch_all().size(), static_cast<std::size_t>(i + 1));
      }
    });
  threads.clear();
  EXPECT_EQ(cell("SELECT count(*) FROM s"), "200");
}

}  // namespace
}  // namespace penstock::client
