#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/engine.h"

namespace penstock::sandbox {
namespace {

/// A sandbox that counts rows and keeps none.
class Discard : public testing::Test {
 protected:
  Discard() {
    session->execute("create database d keep 36500");
    session->execute("use d");
    session->execute("create stable m (ts timestamp, f bigint) tags (t int)");
  }
  static std::unique_ptr<Engine> open() {
    Engine::Options options;
    options.discard_rows = true;
    return Engine::open(options);
  }
  std::uint64_t count(std::string_view sql) { return session->execute(sql).rows.at(0).at(0).bits; }
  int code_of(std::string_view sql) {
    try {
      session->execute(sql);
      return 0;
    } catch (const RefusalError& error) {
      return error.refusal().code;
    }
  }

  std::unique_ptr<Engine> engine = open();
  std::unique_ptr<Session> session = engine->login("root", "taosdata", "");
};

TEST_F(Discard, CountsRowsOfSql) {
  EXPECT_EQ(session->execute("insert into a using m tags(1) values(now,1)(now+1s,2) b using m tags(2) values(now,3)")
                .affected_rows,
            3);
  EXPECT_EQ(count("select count(*) from m"), 3u);
  EXPECT_EQ(count("select count(*) from a"), 2u);
  EXPECT_EQ(count("select count(*) from m where t = 2"), 1u);
}

TEST_F(Discard, CountsBoundRows) {
  const auto statement = session->prepare("insert into ? using m tags(?) values(?,?)");
  const std::vector<std::int64_t> times{1'700'000'000'000, 1'700'000'000'001, 1'700'000'000'001};
  const std::vector<std::uint8_t> states(times.size());
  const std::string_view bytes(reinterpret_cast<const char*>(times.data()), times.size() * sizeof times[0]);
  ColumnarTable table;
  table.name = "c";
  Value tag;
  tag.state = Value::State::value;
  tag.bits = 7;
  table.tags = {tag};
  table.columns = {{data::Type::timestamp, 3, states.data(), nullptr, bytes},
                   {data::Type::bigint, 3, states.data(), nullptr, bytes}};
  // Equal keys are not told apart: nothing remembers them.
  EXPECT_EQ(session->insert_columns(*statement, std::span(&table, 1)), 3);
  EXPECT_EQ(session->insert_columns(*statement, std::span(&table, 1)), 3);
  EXPECT_EQ(count("select count(*) from m"), 6u);
  EXPECT_EQ(count("select count(*) from m where t = 7"), 6u);
}

TEST_F(Discard, CountsSchemalessRows) {
  std::int32_t lines = 0;
  session->insert_schemaless(1, 6, "s,h=1 v=1i 1700000000000000000\ns,h=2 v=2i 1700000000000000000", 0, "", lines);
  EXPECT_EQ(lines, 2);
  EXPECT_EQ(count("select count(*) from s"), 2u);
}

TEST_F(Discard, StillChecksWhatIsInserted) {
  EXPECT_EQ(code_of("insert into a using m tags(1) values('1980-01-01', 1)"), 0);
  EXPECT_EQ(code_of("insert into a using m tags(1) values('1800-01-01', 1)"), 0x060B);
  EXPECT_EQ(code_of("insert into a using m tags(1) values(now, 'x')"), 0x0216) << "no number";
  EXPECT_EQ(code_of("insert into z values(now, 1)"), 0x2603);
  EXPECT_EQ(count("select count(*) from m"), 1u) << "what was refused does not count";
}

TEST_F(Discard, RefusesWhatNeedsTheRows) {
  EXPECT_EQ(count("select count(*) from m"), 0u);
  EXPECT_TRUE(session->execute("select * from m").rows.empty()) << "there are none, and none were thrown away";
  session->execute("insert into a using m tags(1) values(now, 1)");
  for (const auto* sql : {"select * from m", "select last(f) from m", "select count(*) from m where ts > 0",
                          "select count(f) from m", "delete from m"})
    EXPECT_EQ(code_of(sql), 0x2600) << sql;
}

TEST_F(Discard, TablesGoAndComeBackEmpty) {
  session->execute("insert into a using m tags(1) values(now, 1)");
  session->execute("drop table a");
  EXPECT_EQ(count("select count(*) from m"), 0u);
  session->execute("insert into a using m tags(1) values(now, 1)");
  session->execute("drop database d");
  session->execute("create database d");
  session->execute("use d");
  EXPECT_EQ(code_of("select count(*) from m"), 0x2603);
}

}  // namespace
}  // namespace penstock::sandbox
