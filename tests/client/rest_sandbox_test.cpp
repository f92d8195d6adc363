#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "client/connection.h"
#include "client/consumer.h"
#include "client/rows.h"
#include "client/sandbox_fixture.h"
#include "wire/block.h"
#include "wire/schemaless.h"

/// REST beside WebSocket.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;
using sandbox::FaultRule;

class RestSandbox : public SandboxTest {
 protected:
  Connection open(const std::string& rest = "/db") { return Connection::open(dsn(rest, "http")); }
  // All of a result: columns, precision and cells.
  static std::string text(Connection& connection, const std::string& sql) {
    auto rows = connection.query(sql);
    auto out = fmt::format("{}\n", rows.affected_rows());
    bool timed = false;
    for (const auto& field : rows.fields())
      out += fmt::format("{} {}({}) {}.{}|", field.name, data::type_name(field.type), field.length, field.precision,
                         field.scale);
    while (rows.next()) {
      out += '\n';
      for (std::size_t c = 0; c < rows.fields().size(); ++c) {
        out += fmt::format("{}:{}|", rows.value(c).index(), rows.display(c));
        timed |= std::holds_alternative<Timestamp>(rows.value(c));
      }
    }
    // Without a time in it REST's answer does not say in what it would be.
    return timed ? out + std::string(data::precision_name(rows.precision())) : out;
  }
};

TEST_F(RestSandbox, EveryTypeReadsTheSameAsOverWebSocket) {
  for (const std::string precision : {"ms", "us", "ns"}) {
    const auto name = "types_" + precision;
    connection().execute("CREATE DATABASE " + name + " PRECISION '" + precision + "' KEEP 36500");
    auto rest = open("/" + name + "?timezone=America/New_York");
    auto ws = Connection::open(dsn("/" + name + "?timezone=America/New_York"));
    rest.execute(
        "CREATE STABLE st (ts TIMESTAMP, b BOOL, i1 TINYINT, i2 SMALLINT, i4 INT, i8 BIGINT, u1 TINYINT UNSIGNED, u2 "
        "SMALLINT UNSIGNED, u4 INT UNSIGNED, u8 BIGINT UNSIGNED, f FLOAT, d DOUBLE, s VARCHAR(40), n NCHAR(10), vb "
        "VARBINARY(20), g GEOMETRY(64), d1 DECIMAL(10,2), d2 DECIMAL(38,10), ts2 TIMESTAMP) TAGS (t1 INT, t2 "
        "VARCHAR(10))");
    rest.execute("CREATE STABLE sj (ts TIMESTAMP, v INT) TAGS (j JSON)");
    rest.execute("CREATE TABLE bl (ts TIMESTAMP, b BLOB)");
    EXPECT_EQ(
        rest.execute(
            "INSERT INTO t1 USING st TAGS (1, 'x') VALUES ('2023-11-14 22:13:20.123', true, -128, -32768, "
            "-2147483648, -9223372036854775808, 255, 65535, 4294967295, 18446744073709551615, 0.1, 1e-300, 'te\"x\\t', "
            "'北京😀', '\\x00ff10', 'POINT(3.5 -7.25)', -12345678.91, 1234567890123456789012345678.0123456789, "
            "'1969-12-31 23:59:59.999') ('2023-11-14 22:13:20.124', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
            "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) ('2023-11-14 22:13:20.125', false, 127, "
            "32767, 2147483647, 9223372036854775807, 0, 0, 0, 9007199254740993, 3.4028e38, "
            "1.7976931348623157e308, '', '', '', NULL, 0, -0.0000000001, 0)"),
        3);
    rest.execute(
        "INSERT INTO j1 USING sj TAGS ('{\"k\":1,\"s\":\"a<b>\",\"n\":null}') VALUES (1700000000000, 1) j2 USING sj "
        "TAGS "
        "(NULL) VALUES (1700000000000, 2)");
    rest.execute("INSERT INTO bl VALUES (1700000000000, '\\xcafe') (1700000000001, NULL)");
    for (const std::string sql :
         {"SELECT * FROM st ORDER BY ts", "SELECT * FROM sj ORDER BY v", "SELECT * FROM bl",
          "SELECT tbname, t1, t2, COUNT(*), SUM(i4), AVG(d) FROM st PARTITION BY tbname",
          "SELECT * FROM st WHERE i4 = 12345", "DESCRIBE st", "SHOW TABLES", "SELECT 1, 'x', null, true, 1.5"})
      EXPECT_EQ(text(rest, sql), text(ws, sql)) << precision << ' ' << sql;
  }
}

TEST_F(RestSandbox, LargeResults) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT, s VARCHAR(10))");
  for (int i = 0; i < 20; ++i) {
    std::string sql = "INSERT INTO t VALUES";
    for (int k = 0; k < 1'000; ++k)
      sql += fmt::format(" ({}, {}, 's{}')", 1'700'000'000'000 + i * 1'000 + k, i * 1'000 + k, k);
    connection().execute(sql);
  }
  auto rest = open("/db?compression=true");
  auto rows = rest.query("SELECT * FROM t ORDER BY ts");
  std::size_t blocks = 0, count = 0;
  while (rows.next_block()) {
    ++blocks;
    for (std::uint32_t r = 0; r < rows.block().rows(); ++r) ASSERT_EQ(rows.block().integer(r, 1), count++);
  }
  EXPECT_EQ(count, 20'000U);
  EXPECT_GE(blocks, 5U);
}

TEST_F(RestSandbox, ErrorsAreThoseOfWebSocket) {
  auto rest = open();
  const auto outcome = [](Connection& connection, const std::string& sql) {
    try {
      connection.query(sql);
      return std::string("done");
    } catch (const DatabaseError& error) {
      return fmt::format("{} {} {}", error.server_code(), error.message(), static_cast<int>(error.code()));
    }
  };
  for (const std::string sql : {"SELEC 1", "SELECT * FROM nope", "INSERT INTO nope VALUES (1, 2)", "DROP TABLE nope",
                                "USE nope", "CREATE DATABASE db", "SELECT * FROM nope.t", ";"})
    EXPECT_EQ(outcome(rest, sql), outcome(connection(), sql)) << sql;
  EXPECT_THROW(Connection::open(dsn("/nope", "http")), ConnectionError);
  EXPECT_THROW(Connection::open("http://root:wrong@127.0.0.1:" + std::to_string(server().port())), ConnectionError);
  EXPECT_THROW(Connection::open(dsn("?timezone=Nope/Zone", "http")), ConnectionError);
  EXPECT_EQ(rest.current_database(), "db");
  rest.execute("CREATE DATABASE other");
  rest.execute("USE other");
  EXPECT_EQ(rest.current_database(), "other");
}

TEST_F(RestSandbox, LogsInEveryWay) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  for (const std::string rest : {"/db", "/db?login_token=true", "/db?compression=true"})
    EXPECT_EQ(open(rest).execute("INSERT INTO t VALUES (1700000000000, 1)"), 1) << rest;
}

TEST(RestGateway, LetsInByItsToken) {
  const auto directory = ::testing::TempDir() + "penstock-gateway-" + std::to_string(::getpid());
  std::filesystem::remove_all(directory);
  {
    sandbox::Server::Options options;
    options.engine.directory = directory;
    options.token = "let me in";
    sandbox::Server gateway(options);
    const auto host = "127.0.0.1:" + std::to_string(gateway.port());
    auto rest = Connection::open("http://" + host + "?token=let%20me%20in");
    rest.execute("CREATE DATABASE db VGROUPS 1 WAL_RETENTION_PERIOD 3600");
    rest.execute("USE db");
    rest.execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
    rest.execute("CREATE TOPIC tp AS SELECT * FROM t");
    rest.execute("INSERT INTO t VALUES (NOW, 1)");
    EXPECT_TRUE(rest.insert_schemaless(wire::LineProtocol::line, "ms", "m,t=a v=1 1626006833639").ok());
    EXPECT_THROW(Connection::open("http://" + host + "?token=wrong"), ConnectionError);
    auto consumer =
        Consumer::open("ws://nobody:nothing@" + host,
                       {{"group.id", "g"}, {"auto.offset.reset", "earliest"}, {"td.connect.token", "let me in"}});
    consumer.subscribe({"tp"});
    EXPECT_TRUE(consumer.poll(5s));
  }
  std::filesystem::remove_all(directory);
}

TEST_F(RestSandbox, SchemalessOfEveryProtocol) {
  auto rest = open();
  connection().execute("CREATE DATABASE ws KEEP 36500");
  auto ws = Connection::open(dsn("/ws"));
  struct Case {
    wire::LineProtocol protocol;
    std::string_view precision, text;
  };
  for (const Case& c :
       {Case{wire::LineProtocol::line, "ms", "m,t=a v=1i64,s=\"x y\" 1626006833639\nm,t=b v=2i64 1626006833639"},
        Case{wire::LineProtocol::line, "", "n,t=a v=1.5 1626006833639000000"},
        Case{wire::LineProtocol::line, "h", "h,t=a v=true 451668"},
        Case{wire::LineProtocol::line, "s", "m,t=a v=7i64 1626006834"},
        Case{wire::LineProtocol::telnet, "", "sys.cpu 1626006833639 1.5 host=a\nsys.cpu 1626006834 2.5 host=b"},
        Case{wire::LineProtocol::json, "",
             R"([{"metric":"j","timestamp":1626006833,"value":18,"tags":{"host":"web01"}}])"}}) {
    EXPECT_TRUE(rest.insert_schemaless(c.protocol, c.precision, c.text).ok());
    EXPECT_TRUE(ws.insert_schemaless(c.protocol, c.precision, c.text).ok());
  }
  rest.insert_schemaless(wire::LineProtocol::line, "ms", "k,name=dev1 v=1 1626006833639", 5, "name", 77);
  ws.insert_schemaless(wire::LineProtocol::line, "ms", "k,name=dev1 v=1 1626006833639", 5, "name", 77);
  for (const std::string sql : {"SHOW TABLES", "SELECT * FROM m ORDER BY _ts, t", "SELECT * FROM n", "SELECT * FROM h",
                                "SELECT * FROM sys_cpu ORDER BY _ts", "SELECT * FROM j", "SELECT * FROM dev1"}) {
    if (sql == "SHOW TABLES") {
      auto a = rest.query(sql).fetch_all(), b = ws.query(sql).fetch_all();
      EXPECT_EQ(a.size(), b.size());
      continue;
    }
    EXPECT_EQ(text(rest, sql), text(ws, sql)) << sql;
  }
  for (const auto& [protocol, line] :
       {std::pair(wire::LineProtocol::line, "bad"), std::pair(wire::LineProtocol::telnet, "bad"),
        std::pair(wire::LineProtocol::json, "{")}) {
    const auto ours = rest.wait(rest.send_schemaless(protocol, "", line));
    const auto theirs = ws.wait(ws.send_schemaless(protocol, "", line));
    EXPECT_EQ(ours.code, theirs.code) << line;
    EXPECT_FALSE(ours.ok());
    EXPECT_THROW(rest.require(ours), SchemalessError);
  }
}

TEST_F(RestSandbox, FaultsAreErrorsAndTheNextRequestSucceeds) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  connection().execute("INSERT INTO t VALUES (1700000000000, 1) (1700000000001, 2)");
  auto rest = open("/db?request_timeout=300ms");
  for (const auto kind : {FaultRule::Kind::drop, FaultRule::Kind::silence, FaultRule::Kind::truncate,
                          FaultRule::Kind::refuse, FaultRule::Kind::damage, FaultRule::Kind::delay}) {
    for (const auto when : {FaultRule::When::before, FaultRule::When::after}) {
      FaultRule rule;
      rule.kind = kind;
      rule.when = when;
      rule.endpoint = "/rest/sql";
      rule.contains = "v > 0";
      rule.code = 0x0020;
      rule.wait = 20ms;
      server().faults().set({rule});
      std::string what = "no error";
      try {
        const auto rows = rest.query("SELECT v FROM t WHERE v > 0").fetch_all();
        EXPECT_TRUE(kind == FaultRule::Kind::delay || kind == FaultRule::Kind::damage) << static_cast<int>(kind);
        if (kind == FaultRule::Kind::delay) {
          EXPECT_EQ(rows.size(), 2U);
        }
      } catch (const Error& error) {
        what = error.what();
        EXPECT_NE(kind, FaultRule::Kind::delay) << what;
      }
      EXPECT_EQ(server().faults().applied(), 1U);
      server().faults().clear();
      EXPECT_EQ(rest.query("SELECT v FROM t WHERE v > 0").fetch_all().size(), 2U) << what;
    }
  }
  restart_server();
  std::size_t errors = 0, rows = 0;
  for (int i = 0; i < 3 && rows == 0; ++i) {
    try {
      rows = rest.query("SELECT v FROM t").fetch_all().size();
    } catch (const ConnectionError&) {
      ++errors;
    }
  }
  EXPECT_EQ(rows, 2U);
  EXPECT_LE(errors, 1U);
}

}  // namespace
}  // namespace penstock::client
