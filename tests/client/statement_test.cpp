#include "client/statement.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <limits>
#include <set>

#include "client/connection.h"
#include "client/sandbox_fixture.h"

/// Statements as programs use them, against the sandbox: what was bound is read back.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::sys_time;

constexpr std::int64_t kT0 = 1'700'000'000'000;

class Statements : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    connection().execute(
        "CREATE STABLE meters (ts TIMESTAMP, v INT, f FLOAT, name VARCHAR(20)) TAGS (g INT, place NCHAR(20))");
  }
  Statement insert_using() {
    return connection().prepare("INSERT INTO ? USING meters TAGS (?, ?) VALUES (?, ?, ?, ?)");
  }
  std::vector<std::string> read(const std::string& sql) {
    std::vector<std::string> out;
    auto rows = connection().query(sql);
    while (rows.next()) {
      std::string line;
      for (std::size_t c = 0; c < rows.fields().size(); ++c) line += (c == 0 ? "" : " ") + rows.display(c);
      out.push_back(line);
    }
    return out;
  }
};

TEST_F(Statements, BindsTablesByColumn) {
  auto statement = insert_using();
  ASSERT_TRUE(statement.is_insert());
  ASSERT_EQ(statement.fields().size(), 7U);
  const std::vector<sys_time<milliseconds>> times{sys_time<milliseconds>(milliseconds(kT0)),
                                                  sys_time<milliseconds>(milliseconds(kT0 + 1))};
  const std::vector<std::int32_t> values{1, 2};
  const std::array<std::uint8_t, 2> second_is_null{0, 1};
  const std::vector<float> reals{1.5F, 0};
  const std::vector<std::string> names{"one", "two"};
  const std::array<Cells, 4> columns{Cells::times<milliseconds>(times), values, Cells(reals, second_is_null),
                                     Cells::texts(std::span(names))};
  const std::array<Value, 2> north{std::int64_t{1}, std::string("nörd")};
  const std::array<Value, 2> south{std::int64_t{2}, Null{}};
  const std::array<TableRows, 2> tables{TableRows{"d1", north, columns}, TableRows{"d2", south, columns}};
  statement.bind(tables);
  EXPECT_EQ(statement.execute(), 4);
  EXPECT_EQ(read("SELECT tbname, ts, v, f, name, g, place FROM meters ORDER BY tbname, ts"),
            (std::vector<std::string>{
                "d1 2023-11-14T22:13:20.000Z 1 1.5 one 1 nörd", "d1 2023-11-14T22:13:20.001Z 2 NULL two 1 nörd",
                "d2 2023-11-14T22:13:20.000Z 1 1.5 one 2 NULL", "d2 2023-11-14T22:13:20.001Z 2 NULL two 2 NULL"}));
  // The same statement again; the sum is of all executions.
  statement.bind(tables[0]);
  statement.execute();
  EXPECT_EQ(statement.affected_rows(), 6);
}

TEST_F(Statements, TakesTheCallsOfOtherClients) {
  auto statement = insert_using();
  for (std::int64_t table = 0; table < 3; ++table) {
    statement.set_tbname_tags("c" + std::to_string(table), std::array<Value, 2>{table, std::string("somewhere")});
    for (std::int64_t row = 0; row < 2; ++row)
      statement.bind_param({Timestamp{kT0 + row}, row, 0.5, row == 0 ? Value(std::string("x")) : Value(Null{})});
    statement.add_batch();
  }
  EXPECT_EQ(statement.execute(), 6);
  statement.set_tbname("c0");
  statement.set_tags(std::array<Value, 2>{std::int64_t{0}, std::string("somewhere")});
  const std::vector<std::int64_t> times{kT0 + 10, kT0 + 11};
  const std::vector<std::int32_t> values{7, 8};
  const std::array<Cells, 4> columns{Cells::ticks(times), values, Cells::nulls(2), Cells::not_given(2)};
  statement.bind_param_batch(columns);
  EXPECT_EQ(statement.execute(), 2);
  EXPECT_EQ(read("SELECT count(*) FROM meters"), (std::vector<std::string>{"8"}));
  EXPECT_EQ(read("SELECT v, f, name FROM c0 WHERE v = 8"), (std::vector<std::string>{"8 NULL NULL"}));
  EXPECT_THROW(statement.execute(), InterfaceError) << "nothing is bound";
}

TEST_F(Statements, LearnsTheColumnsOfATableThatIsNamedInTheBind) {
  connection().execute("CREATE TABLE plain (ts TIMESTAMP, a NCHAR(5), b DECIMAL(10, 2))");
  auto statement = connection().prepare("INSERT INTO ? (ts, b, a) VALUES (?, ?, ?)");
  EXPECT_TRUE(statement.fields().empty());
  statement.set_tbname("plain");
  ASSERT_EQ(statement.fields().size(), 4U);
  statement.bind_param({Timestamp{kT0}, std::string("-12.345"), std::string("ä中")});
  EXPECT_EQ(statement.execute(), 1);
  EXPECT_EQ(read("SELECT a, b FROM plain"), (std::vector<std::string>{"ä中 -12.35"}));
}

TEST_F(Statements, RunsQueriesWithParameters) {
  auto insert = insert_using();
  insert.set_tbname_tags("d1", std::array<Value, 2>{std::int64_t{1}, Null{}});
  for (std::int64_t i = 0; i < 10; ++i) insert.bind_param({Timestamp{kT0 + i}, i, 1.0, "n" + std::to_string(i)});
  insert.execute();
  auto query = connection().prepare("SELECT v, name FROM meters WHERE v > ? AND name <> ? ORDER BY ts");
  EXPECT_FALSE(query.is_insert());
  EXPECT_EQ(query.parameter_count(), 2U);
  auto rows = query.query({std::int64_t{6}, std::string("n8")});
  const auto all = rows.fetch_all();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(std::get<std::int64_t>(all[0][0]), 7);
  EXPECT_EQ(std::get<std::string>(all[1][1]), "n9");
  EXPECT_EQ(query.query({std::int64_t{8}, std::string("")}).fetch_all().size(), 1U);
  EXPECT_THROW(query.query({std::int64_t{6}}), StatementError);
}

TEST_F(Statements, SaysWhichValueDoesNotFitAndTakesNoneOfTheBind) {
  auto statement = insert_using();
  const std::vector<std::int64_t> times{kT0};
  const std::vector<std::int64_t> wide{1};
  const std::vector<std::int32_t> narrow{1};
  const std::array<Value, 2> tags{std::int64_t{1}, Null{}};
  const std::array<Cells, 4> good{Cells::ticks(times), narrow, Cells::nulls(1), Cells::nulls(1)};
  const std::array<Cells, 4> bad{Cells::ticks(times), wide, Cells::nulls(1), Cells::nulls(1)};
  const auto complaint = [&](auto&& call) -> std::string {
    try {
      call();
    } catch (const StatementError& error) {
      return error.what();
    }
    return {};
  };
  const std::array<TableRows, 2> tables{TableRows{"good", tags, good}, TableRows{"bad", tags, bad}};
  auto text = complaint([&] { statement.bind(tables); });
  EXPECT_NE(text.find("table 'bad', column 2 ('v', INT) does not take values of type BIGINT"), std::string::npos)
      << text;
  statement.set_tbname_tags("t", tags);
  text = complaint([&] { statement.bind_param({Timestamp{kT0}, std::int64_t{1} << 40, 1.0, std::string()}); });
  EXPECT_NE(text.find("column 2 ('v', INT)"), std::string::npos) << text;
  EXPECT_NE(text.find("outside of what the type holds"), std::string::npos) << text;
  text = complaint([&] {
    statement.bind_param(
        {Timestamp{kT0 * 1'000'000 + 1, data::Precision::nanoseconds}, std::int64_t{1}, 1.0, std::string()});
  });
  EXPECT_NE(text.find("the database counts ms"), std::string::npos) << text;
  text = complaint([&] { statement.bind(TableRows{"t", std::span(tags).first(1), good}); });
  EXPECT_NE(text.find("1 tags given, the SQL has 2"), std::string::npos) << text;
  statement.bind(tables[0]);
  EXPECT_EQ(statement.execute(), 1) << "what was refused is not there";
  EXPECT_EQ(read("SELECT DISTINCT tbname FROM meters"), (std::vector<std::string>{"good"}));
}

TEST_F(Statements, IsPreparedAnewAfterARefusal) {
  auto statement = insert_using();
  statement.set_tbname_tags("t", std::array<Value, 2>{std::int64_t{1}, Null{}});
  statement.bind_param({Null{}, std::int64_t{1}, 1.0, std::string()});
  EXPECT_THROW(statement.execute(), StatementError);
  EXPECT_FALSE(statement.usable());
  statement.bind_param({Timestamp{kT0}, std::int64_t{1}, 1.0, std::string()});
  EXPECT_EQ(statement.execute(), 1);
}

TEST_F(Statements, OutlivesItsSocket) {
  auto statement = insert_using();
  statement.set_tbname_tags("t", std::array<Value, 2>{std::int64_t{1}, Null{}});
  statement.bind_param({Timestamp{kT0}, std::int64_t{1}, 1.0, std::string()});
  restart_server();
  EXPECT_EQ(statement.execute(), 1) << "what was bound was kept";
  restart_server();
  statement.bind_param({Timestamp{kT0 + 1}, std::int64_t{2}, 1.0, std::string()});
  statement.set_tbname_tags("u", std::array<Value, 2>{std::int64_t{1}, Null{}});
  statement.bind_param({Timestamp{kT0 + 1}, std::int64_t{2}, 1.0, std::string()});
  EXPECT_EQ(statement.execute(), 2);
  EXPECT_EQ(read("SELECT count(*) FROM meters"), (std::vector<std::string>{"3"}));
}

TEST_F(Statements, BindsMoreRowsThanARecordHolds) {
  auto statement = insert_using();
  constexpr std::size_t kRows = 70'000;
  std::vector<std::int64_t> times(kRows);
  std::vector<std::int32_t> values(kRows);
  std::string bytes;
  std::vector<std::int32_t> lengths(kRows);
  for (std::size_t i = 0; i < kRows; ++i) {
    times[i] = kT0 + static_cast<std::int64_t>(i);
    values[i] = static_cast<std::int32_t>(i);
    const auto text = std::to_string(i);
    bytes += text;
    lengths[i] = static_cast<std::int32_t>(text.size());
  }
  const std::array<Value, 2> tags{std::int64_t{1}, Null{}};
  const std::array<Cells, 4> columns{Cells::ticks(times), values, Cells::nulls(kRows), Cells::packed(bytes, lengths)};
  statement.bind(TableRows{"long", tags, columns});
  EXPECT_EQ(statement.execute(), static_cast<std::int64_t>(kRows));
  EXPECT_EQ(read("SELECT count(*), max(v) FROM meters"), (std::vector<std::string>{"70000 69999"}));
  EXPECT_EQ(read("SELECT name FROM long WHERE v = 65535"), (std::vector<std::string>{"65535"}));
}

TEST_F(Statements, BindsAndExecutesInOneWhereTheServerDoes) {
  restart_server(true);
  auto statement = insert_using();
  for (const char* table : {"a", "b", "a"}) {
    statement.set_tbname_tags(table, std::array<Value, 2>{std::int64_t{3}, std::string("ort")});
    statement.bind_param({Timestamp{kT0 + (table[0] == 'a' ? 1 : 2)}, std::int64_t{1}, Null{}, std::string("text")});
    statement.bind_param({Timestamp{kT0 + 5}, Null{}, 2.5, Null{}});
  }
  EXPECT_EQ(statement.execute(), 4);
  EXPECT_EQ(read("SELECT tbname, v, f, name, g, place FROM meters ORDER BY tbname, ts"),
            (std::vector<std::string>{"a 1 NULL text 3 ort", "a NULL 2.5 NULL 3 ort", "b 1 NULL text 3 ort",
                                      "b NULL 2.5 NULL 3 ort"}));
}

TEST_F(Statements, DecimalsKeepTheirPlaceBesideNulls) {
  for (const bool bind_exec : {false, true}) {
    restart_server(bind_exec);
    connection().execute("DROP TABLE IF EXISTS money");
    connection().execute("CREATE TABLE money (ts TIMESTAMP, small DECIMAL(10, 2), large DECIMAL(38, 4))");
    auto statement = connection().prepare("INSERT INTO money VALUES (?, ?, ?)");
    for (std::int64_t row = 0; row < 6; ++row) {
      const auto number = std::to_string(row) + ".25";
      statement.bind_param({Timestamp{kT0 + row}, row % 2 == 0 ? Value(Null{}) : Value(Decimal::parse(number, 10, 2)),
                            row % 3 == 0 ? Value(NotGiven{}) : Value(number)});
    }
    EXPECT_EQ(statement.execute(), 6);
    EXPECT_EQ(read("SELECT small, large FROM money ORDER BY ts"),
              (std::vector<std::string>{"NULL NULL", "1.25 1.2500", "NULL 2.2500", "3.25 NULL", "NULL 4.2500",
                                        "5.25 5.2500"}));
  }
}

TEST_F(Statements, EveryTypeComesBackAsItWasBound) {
  connection().execute(
      "CREATE TABLE all_types (ts TIMESTAMP, b BOOL, i1 TINYINT, i2 SMALLINT, i4 INT, i8 BIGINT, u1 TINYINT UNSIGNED, "
      "u2 "
      "SMALLINT UNSIGNED, u4 INT UNSIGNED, u8 BIGINT UNSIGNED, f FLOAT, d DOUBLE, s VARCHAR(30), n NCHAR(30), vb "
      "VARBINARY(30), geo GEOMETRY(100), d64 DECIMAL(10, 2), d128 DECIMAL(38, 10), t2 TIMESTAMP)");
  auto statement = connection().prepare("INSERT INTO all_types VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  // POINT(1 2)
  const std::string point("\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x40", 21);
  const std::vector<Value> low{Timestamp{kT0},
                               false,
                               std::int64_t{-128},
                               std::int64_t{-32768},
                               std::int64_t{std::numeric_limits<std::int32_t>::min()},
                               std::numeric_limits<std::int64_t>::min() + 1,
                               std::uint64_t{0},
                               std::uint64_t{0},
                               std::uint64_t{0},
                               std::uint64_t{0},
                               -1.25F,
                               -2.5e300,
                               std::string(),
                               std::string(),
                               Binary{std::string("\0\xff", 2)},
                               Geometry{point},
                               Decimal::parse("-12345678.90", 10, 2),
                               Decimal::parse("-1234567890123456789012345678.0123456789", 38, 10),
                               Timestamp{-1}};
  const std::vector<Value> high{Timestamp{kT0 + 1},
                                true,
                                std::int64_t{127},
                                std::int64_t{32767},
                                std::int64_t{std::numeric_limits<std::int32_t>::max()},
                                std::numeric_limits<std::int64_t>::max(),
                                std::uint64_t{255},
                                std::uint64_t{65535},
                                std::uint64_t{4294967295},
                                std::numeric_limits<std::uint64_t>::max(),
                                1.25F,
                                2.5e300,
                                std::string("quote ' \" \\"),
                                std::string("中文 😀"),
                                Binary{"abc"},
                                Geometry{point},
                                Decimal::parse("0.01", 10, 2),
                                Decimal::parse("0.0000000001", 38, 10),
                                Timestamp{kT0}};
  std::vector<Value> nulls(19, Null{});
  nulls[0] = Timestamp{kT0 + 2};
  for (const std::vector<Value>* row : std::array{&low, &high, static_cast<const std::vector<Value>*>(&nulls)})
    statement.bind_param(*row);
  EXPECT_EQ(statement.execute(), 3);
  auto rows = connection().query("SELECT * FROM all_types ORDER BY ts");
  const auto all = rows.fetch_all();
  ASSERT_EQ(all.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& wanted = i == 0 ? low : i == 1 ? high : nulls;
    for (std::size_t c = 0; c < wanted.size(); ++c)
      EXPECT_TRUE(all[i][c] == wanted[c]) << "row " << i << ", column " << rows.fields()[c].name;
  }
}

}  // namespace
}  // namespace penstock::client
