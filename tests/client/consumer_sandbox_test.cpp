#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "client/connection.h"
#include "client/consumer.h"
#include "client/sandbox_fixture.h"
#include "wire/tmq.h"

/// Subscriptions over WebSocket and natively.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;
#ifndef PENSTOCK_TEST_NATIVE
using sandbox::FaultRule;
#endif

constexpr int kTables = 8;

// A super table of eight tables over four vgroups, and topics on it.
class Consumers : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    connection().execute("CREATE DATABASE many VGROUPS 4 KEEP 36500 WAL_RETENTION_PERIOD 3600");
    connection().execute("CREATE STABLE many.m (ts TIMESTAMP, v INT, s VARCHAR(8)) TAGS (g INT)");
    for (int i = 0; i < kTables; ++i)
      connection().execute(fmt::format("CREATE TABLE many.t{0} USING many.m TAGS ({0})", i));
    connection().execute("CREATE TOPIC rows_of_m AS SELECT ts, v, s FROM many.m");
    connection().execute("CREATE TOPIC tables_of_m AS STABLE many.m");
    connection().execute("CREATE TOPIC all_of_it WITH META AS DATABASE many");
  }
  void insert(int from, int count) {
    for (int i = from; i < from + count; ++i)
      connection().execute(
          fmt::format("INSERT INTO many.t{} VALUES ({}, {}, 's{}')", i % kTables, 1'700'000'000'000 + i, i, i % 100));
  }
  Consumer open(const std::string& group, Consumer::Config config = {}, const std::string& rest = "/many") {
    config.insert({"group.id", group});
    config.insert({"auto.offset.reset", "earliest"});
    config.insert({"enable.auto.commit", "false"});
    return Consumer::open(dsn(rest), config);
  }
  static void take(Message& message, std::multiset<int>& seen) {
    for (auto& block : message.blocks())
      for (const auto row : block.rows) seen.insert(static_cast<int>(std::get<std::int64_t>(row["v"])));
  }
  // Values of `consumer` until there are `count` different ones.
  template <class Done>
  static void read(Consumer& consumer, std::multiset<int>& seen, std::size_t count, Done&& done) {
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (std::set<int>(seen.begin(), seen.end()).size() < count && std::chrono::steady_clock::now() < until) {
      auto message = consumer.poll(200ms);
      if (!message) continue;
      take(*message, seen);
      done(*message);
    }
  }
  static std::multiset<int> numbers(int count) {
    std::multiset<int> out;
    for (int i = 0; i < count; ++i) out.insert(i);
    return out;
  }
};

TEST_F(Consumers, ReadEachRowOnceOverSeveralVgroups) {
  insert(0, 200);
  auto consumer = open("g");
  consumer.subscribe({"rows_of_m"});
  std::multiset<int> seen;
  std::set<std::int32_t> vgroups;
  read(consumer, seen, 200, [&](const Message& message) {
    EXPECT_EQ(message.topic(), "rows_of_m");
    EXPECT_EQ(message.database(), "many");
    EXPECT_EQ(message.kind(), Message::Kind::data);
    vgroups.insert(message.vgroup());
  });
  EXPECT_EQ(seen, numbers(200));
  EXPECT_GT(vgroups.size(), 1U);
  consumer.commit();
  const auto parts = consumer.assignment("rows_of_m");
  EXPECT_EQ(parts.size(), 4U);
  for (const auto& part : parts) {
    if (!vgroups.contains(part.vgroup)) continue;
    EXPECT_EQ(consumer.committed("rows_of_m", part.vgroup), consumer.position("rows_of_m", part.vgroup));
  }
  EXPECT_FALSE(consumer.poll(50ms));
  insert(200, 5);
  read(consumer, seen, 205, [](const Message&) {});
  EXPECT_EQ(seen, numbers(205));
  consumer.close();
}

TEST_F(Consumers, OfOneGroupShareTheVgroups) {
  auto one = open("shared"), two = open("shared");
  one.subscribe({"rows_of_m"});
  two.subscribe({"rows_of_m"});
  const auto until = std::chrono::steady_clock::now() + 10s;
  const auto parts = [](Consumer& consumer) { return consumer.assignment("rows_of_m").size(); };
  while ((parts(one) == 0 || parts(two) == 0 || parts(one) + parts(two) != 4) &&
         std::chrono::steady_clock::now() < until) {
    one.poll(1ms);
    two.poll(1ms);
  }
  EXPECT_EQ(parts(one) + parts(two), 4U);
  insert(0, 80);
  std::multiset<int> seen, of_one, of_two;
  for (const auto end = std::chrono::steady_clock::now() + 10s;
       of_one.size() + of_two.size() < 80 && std::chrono::steady_clock::now() < end;) {
    for (const auto& [consumer, values] : {std::pair(&one, &of_one), std::pair(&two, &of_two)}) {
      if (auto message = consumer->poll(20ms)) {
        take(*message, *values);
        consumer->commit(*message);
      }
    }
  }
  EXPECT_FALSE(of_one.empty());
  EXPECT_FALSE(of_two.empty());
  seen = of_one;
  seen.insert(of_two.begin(), of_two.end());
  EXPECT_EQ(seen, numbers(80));
}

TEST_F(Consumers, GoOnBehindWhatWasCommitted) {
  insert(0, 120);
  std::multiset<int> seen;
  std::size_t members = 0;
  while (std::set<int>(seen.begin(), seen.end()).size() < 120 && members < 60) {
    // Each reads a little, commits it and is gone without a word.
    auto consumer = open("relay");
    consumer.subscribe({"rows_of_m"});
    ++members;
    for (int messages = 0; messages < 2;) {
      auto message = consumer.poll(300ms);
      if (!message) break;
      take(*message, seen);
      consumer.commit(*message);
      ++messages;
    }
  }
  EXPECT_EQ(seen, numbers(120)) << "each once, for all was committed";
  EXPECT_GT(members, 1U);
}

#ifndef PENSTOCK_TEST_NATIVE  // the faults are those of WebSocket
TEST_F(Consumers, LoseNothingWhenConnectionsAreKilled) {
  const std::vector<std::string> actions{"poll", "fetch_raw_data", "commit_offset", "position", "subscribe"};
  int round = 0;
  for (const auto& action : actions) {
    for (const auto kind : {FaultRule::Kind::drop, FaultRule::Kind::silence, FaultRule::Kind::truncate,
                            FaultRule::Kind::wrong_request_id, FaultRule::Kind::damage, FaultRule::Kind::refuse}) {
      for (const auto when : {FaultRule::When::before, FaultRule::When::after}) {
        const bool twice = kind == FaultRule::Kind::drop || kind == FaultRule::Kind::silence;
        if (when == FaultRule::When::after && !twice) continue;
        const auto group = fmt::format("killed{}", ++round);
        if (round == 1) insert(0, 40);
        auto consumer = open(group, {}, "/many?request_timeout=200ms");
        std::multiset<int> seen;
        std::size_t errors = 0;
        bool subscribed = false;
        FaultRule rule;
        rule.kind = kind;
        rule.when = when;
        rule.endpoint = "/rest/tmq";
        rule.action = action;
        rule.first = action == "subscribe" ? 1 : 2;
        rule.code = 0x0020;
        server().faults().set({rule});
        const auto until = std::chrono::steady_clock::now() + 20s;
        bool idle = false;
        while ((std::set<int>(seen.begin(), seen.end()).size() < 40 || !idle) &&
               std::chrono::steady_clock::now() < until) {
          try {
            if (!subscribed) {
              consumer.subscribe({"rows_of_m"});
              subscribed = true;
            }
            auto message = consumer.poll(20ms);
            idle = !message;
            if (!message) continue;
            if (action != "position") take(*message, seen);
            consumer.commit(*message);
            if (action == "position") take(*message, seen);
          } catch (const ClientError& error) {
            ++errors;
            if (errors > 20) {
              ADD_FAILURE() << error.what();
              break;
            }
            // An answer whose fate is unknown: without anything else to do, begin anew, as a program would.
            if (dynamic_cast<const ConnectionError*>(&error) == nullptr) {
              consumer = open(group, {}, "/many?request_timeout=200ms");
              subscribed = false;
            }
          }
        }
        const auto where = fmt::format("{} {} {}", action, static_cast<int>(kind), static_cast<int>(when));
        EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), 40U) << where;
        EXPECT_EQ(server().faults().applied(), 1U) << where;
        server().faults().clear();
      }
    }
  }
  EXPECT_EQ(round, 40);
}
#endif

TEST_F(Consumers, OutliveTheServersRestart) {
  insert(0, 50);
  auto consumer = open("patient");
  consumer.subscribe({"rows_of_m"});
  std::multiset<int> seen;
  auto first = consumer.poll(5s);
  ASSERT_TRUE(first);
  take(*first, seen);
  consumer.commit(*first);
  restart_server();
  std::size_t errors = 0;
  for (const auto until = std::chrono::steady_clock::now() + 15s; std::chrono::steady_clock::now() < until;) {
    try {
      read(consumer, seen, 50, [&](const Message& message) { consumer.commit(message); });
      break;
    } catch (const ConnectionError&) {
      ++errors;
    }
  }
  EXPECT_GE(errors, 1U);
  const auto all = numbers(50);
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()), std::set<int>(all.begin(), all.end()));
}

TEST_F(Consumers, TakeEveryProperty) {
  insert(0, 3);
  int group = 0;
  for (const auto& [name, value] : Consumer::Config{{"client.id", "me"},
                                                    {"auto.offset.reset", "latest"},
                                                    {"enable.auto.commit", "true"},
                                                    {"auto.commit.interval.ms", "10"},
                                                    {"msg.with.table.name", "false"},
                                                    {"session.timeout.ms", "6000"},
                                                    {"max.poll.interval.ms", "1000"},
                                                    {"experimental.snapshot.enable", "false"},
                                                    {"msg.enable.batchmeta", "1"},
                                                    {"msg.consume.excluded", "1"},
                                                    {"td.connect.user", "root"},
                                                    {"td.connect.db", "many"}}) {
    auto consumer = open(fmt::format("p{}", ++group), {{name, value}});
    consumer.subscribe({"rows_of_m"});
    EXPECT_EQ(consumer.poll(2s).has_value(), value != "latest") << name;
  }
  auto wrong = open("wrong", {{"no.such.property", "1"}});
  EXPECT_THROW(wrong.subscribe({"rows_of_m"}), TmqError);
  auto nobody = open("nobody", {{"td.connect.pass", "wrong"}});
  try {
    nobody.subscribe({"rows_of_m"});
    ADD_FAILURE();
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), Errc::auth) << error.what();
  }
  auto nowhere = open("nowhere");
  EXPECT_THROW(nowhere.subscribe({"no_such_topic"}), TmqError);
  EXPECT_TRUE(nowhere.topics().empty());
  nowhere.subscribe({"rows_of_m"});
  EXPECT_TRUE(nowhere.poll(2s));
}

TEST_F(Consumers, NameTheTablesOfRows) {
  insert(0, 16);
  auto consumer = open("named", {{"msg.with.table.name", "true"}});
  consumer.subscribe({"tables_of_m"});
  std::map<std::string, std::multiset<int>> tables;
  std::size_t rows = 0;
  for (const auto until = std::chrono::steady_clock::now() + 10s;
       rows < 16 && std::chrono::steady_clock::now() < until;) {
    auto message = consumer.poll(200ms);
    if (!message) continue;
    for (auto& block : message->blocks()) {
      EXPECT_EQ(block.rows.fields().at(0).name, "ts");
      EXPECT_EQ(block.rows.fields().at(2).length, 8);
      for (const auto row : block.rows) {
        tables[block.table].insert(static_cast<int>(std::get<std::int64_t>(row["v"])));
        ++rows;
      }
    }
  }
  EXPECT_EQ(tables.size(), 8U);
  for (int i = 0; i < kTables; ++i) EXPECT_EQ(tables[fmt::format("t{}", i)], (std::multiset<int>{i, i + kTables}));
}

TEST_F(Consumers, ReadWhatHappensToTables) {
  auto consumer = open("meta");
  consumer.subscribe({"all_of_it"});
  connection().execute("CREATE TABLE many.later (ts TIMESTAMP, x DOUBLE)");
  connection().execute("ALTER TABLE many.later ADD COLUMN y BOOL");
  connection().execute("INSERT INTO many.auto1 USING many.m TAGS (77) VALUES (1700000000000, 1, 'x')");
  std::string all;
  std::size_t rows = 0;
  for (const auto until = std::chrono::steady_clock::now() + 10s;
       rows < 1 && std::chrono::steady_clock::now() < until;) {
    auto message = consumer.poll(200ms);
    if (!message) continue;
    all += message->json();
    if (message->kind() == Message::Kind::meta) {
      EXPECT_TRUE(message->blocks().empty());
      const auto raw = message->raw();
      EXPECT_NE(raw.type, static_cast<std::uint16_t>(wire::RawType::data));
      EXPECT_FALSE(raw.bytes.empty());
    } else {
      for (auto& block : message->blocks()) rows += block.rows.fetch_all().size();
    }
    consumer.commit(*message);
  }
  EXPECT_EQ(rows, 1U);
  for (const char* part : {"\"tableName\":\"m\"", "\"tableName\":\"t7\"", "\"tableName\":\"later\"", "\"auto1\""})
    EXPECT_NE(all.find(part), std::string::npos) << part << " is not in " << all;
}

TEST_F(Consumers, SeekAndSayWhereTheyAre) {
  insert(0, 60);
  auto consumer = open("seeker");
  consumer.subscribe({"rows_of_m"});
  std::multiset<int> seen;
  read(consumer, seen, 60, [](const Message&) {});
  EXPECT_EQ(seen, numbers(60));
  const auto parts = consumer.assignment("rows_of_m");
  ASSERT_FALSE(parts.empty());
  for (const auto& part : parts) EXPECT_EQ(consumer.committed("rows_of_m", part.vgroup), std::nullopt);
  consumer.seek_to_beginning("rows_of_m");
  seen.clear();
  read(consumer, seen, 60, [](const Message&) {});
  EXPECT_EQ(seen, numbers(60));
  consumer.seek_to_beginning("rows_of_m");
  consumer.seek_to_end("rows_of_m");
  EXPECT_FALSE(consumer.poll(100ms));
  EXPECT_THROW(consumer.seek({"rows_of_m", parts[0].vgroup, 1'000'000}), TmqError);
  EXPECT_THROW(consumer.seek({"rows_of_m", 999'999, 0}), TmqError);
  EXPECT_THROW(consumer.commit(Offset{"rows_of_m", parts[0].vgroup, 1'000'000}), TmqError);
  EXPECT_THROW(consumer.assignment("tables_of_m"), TmqError);
  consumer.commit(Offset{"rows_of_m", parts[0].vgroup, parts[0].begin});
  EXPECT_EQ(consumer.committed("rows_of_m", parts[0].vgroup), parts[0].begin);
}

TEST_F(Consumers, CommitByThemselvesInTheirInterval) {
  insert(0, 40);
  auto consumer = open("self", {{"enable.auto.commit", "true"}, {"auto.commit.interval.ms", "1"}});
  consumer.subscribe({"rows_of_m"});
  std::multiset<int> seen;
  read(consumer, seen, 40, [](const Message&) {});
  std::size_t committed = 0;
  for (const auto until = std::chrono::steady_clock::now() + 5s;
       committed == 0 && std::chrono::steady_clock::now() < until;) {
    consumer.poll(5ms);
    for (const auto& part : consumer.assignment("rows_of_m"))
      committed += consumer.committed("rows_of_m", part.vgroup).has_value() ? 1 : 0;
  }
  EXPECT_GT(committed, 0U);
  consumer.close();
  auto next = open("self");
  next.subscribe({"rows_of_m"});
  EXPECT_FALSE(next.poll(100ms));
}

TEST_F(Consumers, ReadEveryTypeAsAQueryDoes) {
  connection().execute("CREATE DATABASE types PRECISION 'us' KEEP 36500 WAL_RETENTION_PERIOD 3600");
  connection().execute(
      "CREATE TABLE types.t (ts TIMESTAMP, b BOOL, i1 TINYINT, i2 SMALLINT, i4 INT, i8 BIGINT, u1 TINYINT UNSIGNED, u2 "
      "SMALLINT UNSIGNED, u4 INT UNSIGNED, u8 BIGINT UNSIGNED, f FLOAT, d DOUBLE, s VARCHAR(20), n NCHAR(10), vb "
      "VARBINARY(20), g GEOMETRY(64), d1 DECIMAL(10,2), d2 DECIMAL(38,10), ts2 TIMESTAMP)");
  connection().execute("CREATE TOPIC of_types AS SELECT * FROM types.t");
  connection().execute(
      "INSERT INTO types.t VALUES (1700000000000001, true, -128, -32768, -2147483648, -9223372036854775808, 255, "
      "65535, "
      "4294967295, 18446744073709551615, 0.1, 1e-300, 'text', '北京', '\\x00ff10', 'POINT(3.5 -7.25)', -12345678.91, "
      "1234567890123456789012345678.0123456789, -1) (1700000000000002, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
      "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)");
  const auto text = [](Rows& rows) {
    std::string out;
    for (const auto& field : rows.fields())
      out += fmt::format("{} {} {} {} {}|", field.name, static_cast<int>(field.type), field.length, field.precision,
                         field.scale);
    while (rows.next()) {
      out += '\n';
      for (std::size_t c = 0; c < rows.fields().size(); ++c) out += rows.display(c) + '|';
    }
    return out;
  };
  auto shanghai = Connection::open(dsn("/types?timezone=Asia/Shanghai"));
  auto query = shanghai.query("SELECT * FROM t ORDER BY ts");
  const auto known = text(query);
  auto consumer = open("typed", {}, "/types?timezone=Asia/Shanghai");
  consumer.subscribe({"of_types"});
  auto message = consumer.poll(5s);
  ASSERT_TRUE(message);
  auto blocks = message->blocks();
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_EQ(text(blocks[0].rows), known);
}

TEST_F(Consumers, AreRefusedOverRest) {
  EXPECT_THROW(Consumer::open(dsn("", "http"), {{"group.id", "g"}}), InterfaceError);
}

}  // namespace
}  // namespace penstock::client
