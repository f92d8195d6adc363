#include "client/rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "client/connection.h"
#include "client/sandbox_fixture.h"
#include "wire/block.h"

/// Results as programs read them.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;

class Results : public SandboxTest {};

TEST_F(Results, AreReadByRowByNameAndIntoMemory) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT, s VARCHAR(10))");
  connection().execute(
      "INSERT INTO t VALUES (1700000000000, 1, 'a') (1700000000001, NULL, '') (1700000000002, 3, NULL)");
  auto rows = connection().query("SELECT * FROM t ORDER BY ts");
  std::vector<std::string> seen;
  for (const auto row : rows) {
    EXPECT_EQ(row.size(), 3U);
    EXPECT_TRUE(row["v"] == row[1]);
    seen.push_back(row->display(0) + " " + row->display(1) + " " + row->display(2));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"2023-11-14T22:13:20.000Z 1 a", "2023-11-14T22:13:20.001Z NULL ",
                                            "2023-11-14T22:13:20.002Z 3 NULL"}));
  rows = connection().query("SELECT v, s FROM t ORDER BY ts");
  ASSERT_TRUE(rows.next());
  const auto named = rows.named();
  EXPECT_EQ(named[0].first, "v");
  EXPECT_EQ(std::get<std::string>(named[1].second), "a");
  EXPECT_EQ(rows.index_of("s"), 1U);
  EXPECT_THROW(std::ignore = rows.index_of("nope"), InterfaceError);
  EXPECT_EQ(rows.fetch_all().size(), 2U) << "those that are left";
  EXPECT_EQ(connection().query("SELECT * FROM t WHERE v > 100").fetch_all().size(), 0U);
}

TEST_F(Results, TellTimesWithoutLossAndInTheZoneOfTheConnection) {
  connection().execute("CREATE DATABASE nano PRECISION 'ns' KEEP 36500");
  connection().execute("CREATE TABLE nano.t (ts TIMESTAMP, v INT)");
  connection().execute("INSERT INTO nano.t VALUES (1700000000123456789, 1)");
  auto berlin = Connection::open(dsn("/nano?timezone=Europe/Berlin"));
  auto rows = berlin.query("SELECT ts FROM t");
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(rows.precision(), data::Precision::nanoseconds);
  const auto time = rows.timestamp(0);
  EXPECT_EQ(time.time<std::chrono::nanoseconds>().time_since_epoch(), 1'700'000'000'123'456'789ns);
  EXPECT_THROW(std::ignore = time.time<std::chrono::microseconds>(), Error);
  EXPECT_EQ(rows.display(0), "2023-11-14T23:13:20.123456789+01:00");
  const Timestamp far{253'402'300'799'999, data::Precision::milliseconds};
  EXPECT_EQ(far.time<std::chrono::milliseconds>().time_since_epoch(), 253'402'300'799'999ms);
  EXPECT_THROW(std::ignore = far.time<std::chrono::nanoseconds>(), Error);
  EXPECT_EQ(time_text(far), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(time_text({-1, data::Precision::microseconds}, "America/St_Johns"), "1969-12-31T20:29:59.999999-03:30");
}

TEST_F(Results, AreReadByColumnWithoutACopy) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  std::string sql = "INSERT INTO t VALUES";
  for (int i = 0; i < 9000; ++i)
    sql += " (" + std::to_string(1'700'000'000'000 + i) + "," + (i % 10 == 0 ? "NULL" : std::to_string(i)) + ")";
  connection().execute(sql);
  auto rows = connection().query("SELECT ts, v FROM t ORDER BY ts");
  std::int64_t sum = 0;
  std::uint32_t count = 0;
  std::uint32_t nulls = 0;
  while (rows.next_block()) {
    const auto& block = rows.block();
    const auto values = block.column<std::int32_t>(1);
    ASSERT_EQ(values.size(), block.rows());
    EXPECT_EQ(static_cast<const void*>(values.data()), static_cast<const void*>(block.values(1)));
    for (std::uint32_t row = 0; row < block.rows(); ++row) {
      if (block.is_null(row, 1)) ++nulls;
      else sum += values[row];
    }
    EXPECT_TRUE(std::is_sorted(block.column<std::int64_t>(0).begin(), block.column<std::int64_t>(0).end()));
    count += block.rows();
  }
  EXPECT_EQ(count, 9000U);
  EXPECT_EQ(nulls, 900U);
  std::int64_t wanted = 0;
  for (int i = 0; i < 9000; ++i) wanted += i % 10 == 0 ? 0 : i;
  EXPECT_EQ(sum, wanted);
}

TEST_F(Results, SeveralAreReadInTurnOverOneConnection) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  std::string sql = "INSERT INTO t VALUES";
  for (int i = 0; i < 9000; ++i) sql += " (" + std::to_string(1'700'000'000'000 + i) + "," + std::to_string(i) + ")";
  connection().execute(sql);
  auto up = connection().query("SELECT v FROM t ORDER BY ts");
  auto down = connection().query("SELECT v FROM t ORDER BY ts DESC");
  for (int i = 0; i < 9000; ++i) {
    ASSERT_TRUE(up.next() && down.next());
    ASSERT_EQ(up.integer(0), static_cast<std::uint64_t>(i));
    ASSERT_EQ(down.integer(0), static_cast<std::uint64_t>(8999 - i));
    if (i % 3000 == 0) {
      auto dropped = connection().query("SELECT v FROM t");  // freed with its first block under way
      EXPECT_TRUE(dropped.next());
    }
  }
  EXPECT_FALSE(up.next() || down.next());
}

TEST_F(Results, SayWhenTheyAreReadInTheWrongOrder) {
  auto rows = connection().query("SELECT 1");
  EXPECT_THROW(std::ignore = rows.integer(0), InterfaceError);
  EXPECT_THROW(std::ignore = rows.value(0), InterfaceError);
  EXPECT_THROW(std::ignore = rows.block(), InterfaceError);
  while (rows.next()) {
  }
  EXPECT_THROW(std::ignore = rows.text(0), InterfaceError);
  EXPECT_FALSE(rows.next()) << "the end stays the end";
}

TEST_F(Results, DieWithTheirConnection) {
  connection().execute("CREATE TABLE t (ts TIMESTAMP, v INT)");
  connection().execute("INSERT INTO t VALUES (1700000000000, 1)");
  auto rows = connection().query("SELECT v FROM t");
  restart_server();
  EXPECT_THROW(
      {
        while (rows.next()) {
        }
      },
      ClientError);
}

TEST(Decimals, AreReadAndWrittenExactly) {
  const auto text = [](std::string_view number, std::uint8_t digits, std::uint8_t scale) -> std::string {
    try {
      return Decimal::parse(number, digits, scale).text();
    } catch (const Error&) {
      return "refused";
    }
  };
  EXPECT_EQ(text("0", 1, 0), "0");
  EXPECT_EQ(text("-0.005", 10, 2), "-0.01");
  EXPECT_EQ(text("0.004999", 10, 2), "0.00");
  EXPECT_EQ(text("1.5e3", 10, 2), "1500.00");
  EXPECT_EQ(text("15e-1", 10, 2), "1.50");
  EXPECT_EQ(text(".5", 10, 1), "0.5");
  EXPECT_EQ(text("99999999.99", 10, 2), "99999999.99");
  EXPECT_EQ(text("99999999.995", 10, 2), "refused");
  EXPECT_EQ(text("100000000", 10, 2), "refused");
  EXPECT_EQ(text("0000000000000000000000000000000000000000000000001", 10, 2), "1.00");
  EXPECT_EQ(text("-99999999999999999999999999999999999999", 38, 0), "-99999999999999999999999999999999999999");
  for (const char* bad : {"", "-", ".", "1.2.3", "1e", "e5", "abc", "1 ", "--1", "1e99999"})
    EXPECT_EQ(text(bad, 38, 0), "refused") << bad;
}

}  // namespace
}  // namespace penstock::client
