#include <gtest/gtest.h>

#include <stop_token>
#include <thread>
#include <vector>

#include "client/connection.h"
#include "client/native_fixture.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

/// The native transport when the library or the server behind it fails, is slow or goes away.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kT0 = 1'700'000'000'000;

class NativeFaults : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    connection().execute("CREATE STABLE s (ts TIMESTAMP, v INT) TAGS (g INT)");
  }
  Statement insert() { return connection().prepare("INSERT INTO ? USING s TAGS (?) VALUES (?, ?)"); }
  static void fill(wire::Stmt2Encoder& encoder, std::int64_t time, std::int32_t value) {
    encoder.begin(1, 2);
    encoder.begin_table("t");
    encoder.fixed_tag(data::Type::integer, 1);
    const auto times = encoder.fixed_column(data::Type::timestamp, 1);
    times.state[0] = 0;
    wire::store(times.values, time);
    const auto values = encoder.fixed_column(data::Type::integer, 1);
    values.state[0] = 0;
    wire::store(values.values, value);
  }
  std::string cell(const std::string& sql) {
    auto rows = connection().query(sql);
    return rows.next() ? rows.display(0) : "no row";
  }
};

template <class Call>
Errc code_of(Call&& call) {
  try {
    call();
  } catch (const ConnectionError& error) {
    return error.code();
  } catch (const Error&) {
    return Errc::io;
  }
  return Errc::limit;
}

TEST_F(NativeFaults, GiveUpAfterTheTimeOutAndLeaveTheConnectionUsable) {
  Standin::delay("taos_query_with_reqid", 300);
  const auto slow = connection().send_execute("CREATE TABLE late (ts TIMESTAMP, v INT)");
  EXPECT_EQ(code_of([&] { connection().wait(slow, 20ms); }), Errc::timeout);
  Standin::delay("taos_query_with_reqid", 0);
  EXPECT_TRUE(connection().is_open());
  EXPECT_EQ(cell("SELECT 1"), "1") << "not behind the one that hangs";
  EXPECT_EQ(code_of([&] { connection().wait(slow, 1ms); }), Errc::io) << "its answer is dropped";
  // It is carried out all the same.
  while (cell("SELECT count(*) FROM information_schema.ins_tables WHERE table_name = 'late'") != "1")
    std::this_thread::yield();
}

TEST_F(NativeFaults, WhatWaitsBehindASlowRequestIsCarriedOutOrDroppedAsAsked) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  Standin::delay("taos_query_with_reqid", 200);
  const auto slow = connection().send_execute("INSERT INTO t VALUES (1700000000000, 1)");
  const auto dropped = connection().send_execute("INSERT INTO t VALUES (1700000000001, 2)");
  const auto waited = connection().send_execute("INSERT INTO t VALUES (1700000000002, 3)");
  EXPECT_EQ(code_of([&] { connection().wait(dropped, 10ms); }), Errc::timeout) << "not begun, so never";
  Standin::delay("taos_query_with_reqid", 0);
  EXPECT_EQ(code_of([&] { connection().wait(slow, 1ms); }), Errc::timeout);
  EXPECT_TRUE(connection().wait(waited).ok());
  while (cell("SELECT count(*) FROM t") != "2") std::this_thread::yield();
  EXPECT_EQ(cell("SELECT sum(v) FROM t"), "4");
}

TEST_F(NativeFaults, ABindThatHangsKeepsTheRowsItReads) {
  auto statement = insert();
  auto encoder = std::make_unique<wire::Stmt2Encoder>();
  fill(*encoder, kT0, 1);
  Standin::delay("taos_stmt2_bind_param", 200);
  const auto binds = Standin::calls("taos_stmt2_bind_param");
  const auto bind = connection().send_bind(statement, *encoder);
  while (Standin::calls("taos_stmt2_bind_param") == binds) std::this_thread::yield();
  EXPECT_EQ(code_of([&] { connection().wait(bind, 10ms); }), Errc::timeout);
  EXPECT_FALSE(statement.usable());
  Standin::delay("taos_stmt2_bind_param", 0);
  // The message is still there for another statement, and may be freed while the library reads the first one.
  EXPECT_EQ(encoder->tables(), 1U);
  auto another = insert();
  EXPECT_TRUE(connection().wait(connection().send_bind(another, *encoder)).ok());
  EXPECT_TRUE(connection().wait(connection().send_exec(another)).ok());
  encoder.reset();
  EXPECT_EQ(cell("SELECT v FROM s"), "1");
}

TEST_F(NativeFaults, AConnectionIsClosedWhileARequestHangs) {
  auto encoder = std::make_unique<wire::Stmt2Encoder>();
  fill(*encoder, kT0, 1);
  {
    auto other = Connection::open(dsn("/db"));
    auto statement = other.prepare("INSERT INTO ? USING s TAGS (?) VALUES (?, ?)");
    auto rows = other.query("SELECT 1");
    Standin::delay("taos_stmt2_bind_param", 900);
    const auto binds = Standin::calls("taos_stmt2_bind_param");
    Standin::delay("taos_query_with_reqid", 900);
    other.send_bind(statement, *encoder);
    other.send_execute("SELECT 1");
    while (Standin::calls("taos_stmt2_bind_param") == binds) std::this_thread::yield();
    const auto begin = std::chrono::steady_clock::now();
    other.close();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 850ms);
    EXPECT_FALSE(other.is_open());
    encoder.reset();
  }
}

TEST_F(NativeFaults, ConnectingEndsAtItsTimeOut) {
  Standin::delay("taos_connect", 400);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(code_of([&] { Connection::open(dsn("?connect_timeout=50ms")); }), Errc::timeout);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 350ms);
}

TEST_F(NativeFaults, AStopEndsTheWaitingWithinTheGrace) {
  std::stop_source stop;
  auto options = Options::parse(dsn("/db"));
  options.stop = stop.get_token();
  options.stop_grace = 300ms;
  auto other = Connection::open(options);
  Standin::delay("taos_query_with_reqid", 1500);
  const auto ticket = other.send_execute("SELECT 1");
  std::jthread stopper([&] { stop.request_stop(); });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(code_of([&] { other.wait(ticket); }), Errc::stopped);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1200ms);
  EXPECT_EQ(code_of([&] { other.execute("SELECT 1"); }), Errc::stopped) << "the grace is over";
  // In it the connection still works.
  options.stop_grace = 30s;
  Standin::delay("taos_query_with_reqid", 20);
  EXPECT_EQ(code_of([&] { Connection::open(options).execute("SELECT 1"); }), Errc::limit);
  Standin::delay("taos_query_with_reqid", 0);
}

TEST_F(NativeFaults, ServerCodesAreAnswersWithTheirText) {
  Standin::fail_next("taos_query_with_reqid", 0x80000917);
  const auto answer = connection().wait(connection().send_execute("SELECT 1"));
  EXPECT_EQ(answer.code, 0x0917);
  EXPECT_FALSE(answer.message.empty());
  Standin::fail_next("taos_query_with_reqid", 0x80000917);
  EXPECT_THROW(connection().query("SELECT 1"), OperationalError);
  Standin::fail_next("taos_schemaless_insert_raw_ttl_with_reqid_tbname_key", 0x80003002);
  EXPECT_THROW(connection().insert_schemaless(wire::LineProtocol::line, "ns", "m v=1"), SchemalessError);
  connection().execute("CREATE TABLE n (ts TIMESTAMP, v INT)");
  connection().execute("INSERT INTO n VALUES (1700000000000, 1)");
  auto rows = connection().query("SELECT v FROM n");
  Standin::fail_next("taos_fetch_raw_block", 0x8000073B);
  EXPECT_THROW(rows.next(), ResultError);
  auto statement = insert();
  wire::Stmt2Encoder encoder;
  fill(encoder, kT0, 1);
  Standin::fail_next("taos_stmt2_exec", 0x80000125);
  const auto bound = connection().wait(connection().send_bind(statement, encoder));
  ASSERT_TRUE(bound.ok()) << bound.message;
  EXPECT_EQ(connection().wait(connection().send_exec(statement)).code, 0x0125);
  EXPECT_FALSE(statement.usable());
  Standin::fail_next("taos_stmt2_init", 0x80000102);
  EXPECT_THROW(insert(), StatementError);
}

TEST_F(NativeFaults, OneNetworkErrorIsTheLibrarysBusiness) {
  Standin::fail_next("taos_query_with_reqid", 0x8000000B);
  EXPECT_EQ(code_of([&] { connection().execute("SELECT 1"); }), Errc::unreachable);
  EXPECT_TRUE(connection().is_open());
  const auto connects = Standin::calls("taos_connect");
  EXPECT_EQ(cell("SELECT 1"), "1");
  EXPECT_EQ(Standin::calls("taos_connect"), connects);
}

TEST_F(NativeFaults, AConnectionThatIsGoneIsMadeAgain) {
  connection().execute("USE information_schema");
  EXPECT_EQ(Standin::drop_all(), 1);
  EXPECT_EQ(code_of([&] { connection().execute("SELECT 1"); }), Errc::unreachable);
  EXPECT_EQ(code_of([&] { connection().execute("SELECT 1"); }), Errc::unreachable);
  EXPECT_FALSE(connection().is_open());
  EXPECT_EQ(cell("SELECT 1"), "1");
  EXPECT_EQ(connection().current_database(), "db");
  // Killed by an administrator: known at the first request.
  Standin::fail_next("taos_query_with_reqid", 0x80000215);
  EXPECT_EQ(code_of([&] { connection().execute("SELECT 1"); }), Errc::unreachable);
  EXPECT_FALSE(connection().is_open());
  EXPECT_EQ(cell("SELECT 1"), "1");
  // While the server is away each call says so.
  Standin::drop_all();
  Standin::refuse_port(6030, true);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(code_of([&] { connection().execute("SELECT 1"); }), Errc::unreachable);
  Standin::refuse_port(6030, false);
  EXPECT_EQ(cell("SELECT 1"), "1");
}

TEST_F(NativeFaults, WithoutReconnectALostConnectionStaysLost) {
  auto other = Connection::open(dsn("/db?reconnect=false"));
  Standin::drop_all();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(code_of([&] { other.execute("SELECT 1"); }), Errc::unreachable);
  EXPECT_FALSE(other.is_open());
  other.reopen();
  EXPECT_EQ(other.query("SELECT 1").fetch_all().size(), 1U);
  connection().reopen();
}

TEST_F(NativeFaults, ExecuteIsRepeatedByItsCallerAfterAnOutage) {
  auto statement = insert();
  const std::vector<Value> tags{std::int64_t{1}};
  statement.set_tbname_tags("t", tags);
  for (int i = 0; i < 20; ++i) {
    statement.bind_param({Timestamp{kT0 + i}, std::int64_t{i}});
    if (i % 3 == 0) Standin::drop_all();
    if (i % 3 == 1) Standin::fail_next("taos_stmt2_exec:after", 0x80000018);
    for (int attempt = 0;; ++attempt) {
      ASSERT_LT(attempt, 5);
      try {
        EXPECT_EQ(statement.execute(), 1);
        break;
      } catch (const ConnectionError&) {
      }
    }
  }
  EXPECT_EQ(cell("SELECT count(*) FROM s"), "20");
  EXPECT_EQ(cell("SELECT sum(v) FROM s"), "190");
}

}  // namespace
}  // namespace penstock::client
