#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "client/connection.h"
#include "client/consumer.h"
#include "client/native_fixture.h"
#include "client/thrown.h"
#include "wire/block.h"

/// Subscriptions over TDengine's own library.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;

class NativeConsumers : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    connection().execute("CREATE STABLE m (ts TIMESTAMP, v INT, n NCHAR(8)) TAGS (g INT)");
    connection().execute("CREATE TABLE a USING m TAGS (1)");
    connection().execute("CREATE TABLE b USING m TAGS (2)");
    connection().execute("CREATE TOPIC t AS SELECT ts, v, n FROM m");
  }
  void TearDown() override {
    if (::testing::Test::HasFatalFailure()) Standin::reset();
    SandboxTest::TearDown();
  }
  Consumer open(Consumer::Config config = {}) {
    config.insert({"group.id", "g"});
    config.insert({"auto.offset.reset", "earliest"});
    config.insert({"enable.auto.commit", "false"});
    return Consumer::open(dsn("/db?timezone=Asia/Shanghai"), config);
  }
  void insert(const std::string& table, int from, int count) {
    for (int i = from; i < from + count; ++i)
      connection().execute("INSERT INTO " + table + " VALUES (" + std::to_string(1'700'000'000'000 + i) + ", " +
                           std::to_string(i) + ", '北京')");
  }
  // Values until there were `count`, or nothing came for a while.
  static std::multiset<int> read(Consumer& consumer, std::size_t count) {
    std::multiset<int> values;
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (values.size() < count && std::chrono::steady_clock::now() < until) {
      auto message = consumer.poll(500ms);
      if (!message) continue;
      for (auto& block : message->blocks())
        for (const auto row : block.rows) values.insert(static_cast<int>(std::get<std::int64_t>(row["v"])));
    }
    return values;
  }
  static std::multiset<int> numbers(int from, int count) {
    std::multiset<int> out;
    for (int i = from; i < from + count; ++i) out.insert(i);
    return out;
  }
};

TEST_F(NativeConsumers, NeedASubscription) {
  auto consumer = open();
  EXPECT_HAS(thrown([&] { consumer.poll(0ms); }), "InterfaceError");
  EXPECT_HAS(thrown([&] { consumer.commit(); }), "InterfaceError");
  EXPECT_HAS(thrown([&] { consumer.subscribe({"nope"}); }), "TmqError");
  EXPECT_TRUE(consumer.topics().empty());
  consumer.close();
  consumer.close();
  EXPECT_HAS(thrown([&] { consumer.subscribe({"t"}); }), "closed");
}

TEST_F(NativeConsumers, GoOnAtWhatWasCommitted) {
  insert("a", 0, 5);
  insert("b", 5, 5);
  {
    auto consumer = open();
    consumer.subscribe({"t"});
    EXPECT_EQ(consumer.topics(), (std::vector<std::string>{"t"}));
    EXPECT_EQ(read(consumer, 10), numbers(0, 10));
    consumer.commit();
    insert("a", 10, 3);
    EXPECT_EQ(read(consumer, 3), numbers(10, 3));  // not committed
    consumer.close();
  }
  auto consumer = open();
  consumer.subscribe({"t"});
  EXPECT_EQ(read(consumer, 3), numbers(10, 3));
  EXPECT_FALSE(consumer.poll(10ms));
  consumer.unsubscribe();
  EXPECT_TRUE(consumer.topics().empty());
}

TEST_F(NativeConsumers, TellWhereAMessageIsFromAndItsRows) {
  insert("a", 0, 1);
  auto consumer = open({{"msg.with.table.name", "true"}});
  consumer.subscribe({"t"});
  std::optional<Message> message;
  while (!message) message = consumer.poll(500ms);
  EXPECT_EQ(message->kind(), Message::Kind::data);
  EXPECT_EQ(message->topic(), "t");
  EXPECT_EQ(message->database(), "db");
  EXPECT_GE(message->vgroup(), 1);
  EXPECT_GE(message->offset(), 0);
  EXPECT_EQ(message->json(), "");
  for (int again = 0; again < 2; ++again) {
    auto blocks = message->blocks();
    ASSERT_EQ(blocks.size(), 1U);
    ASSERT_TRUE(blocks[0].rows.next());
    EXPECT_EQ(blocks[0].rows.fields()[1].name, "v");
    EXPECT_EQ(blocks[0].rows.display(0), "2023-11-15T06:13:20.000+08:00");
    EXPECT_EQ(blocks[0].rows.text(2), "北京");
    EXPECT_FALSE(blocks[0].rows.next());
  }
  auto blocks = message->blocks();
  consumer.commit(*message);
  const auto committed = consumer.committed("t", message->vgroup());
  ASSERT_TRUE(committed);
  EXPECT_EQ(consumer.position("t", message->vgroup()), committed);
  auto kept = std::move(message);
  consumer.close();
  ASSERT_TRUE(blocks[0].rows.next()) << "rows need no consumer";
  EXPECT_EQ(kept->blocks().size(), 1U) << "what was read stays";
}

TEST_F(NativeConsumers, SeekAndCommitOffsets) {
  insert("a", 0, 4);
  auto consumer = open();
  consumer.subscribe({"t"});
  EXPECT_EQ(read(consumer, 4), numbers(0, 4));
  const auto parts = consumer.assignment("t");
  ASSERT_FALSE(parts.empty());
  for (const auto& part : parts) EXPECT_LE(part.begin, part.end);
  consumer.seek_to_beginning("t");
  EXPECT_EQ(read(consumer, 4), numbers(0, 4));
  consumer.seek_to_end("t");
  insert("a", 4, 1);
  EXPECT_EQ(read(consumer, 1), numbers(4, 1));
  consumer.commit(Offset{"t", parts[0].vgroup, parts[0].begin});
  EXPECT_EQ(consumer.committed("t", parts[0].vgroup), parts[0].begin);
  EXPECT_HAS(thrown([&] { consumer.seek(Offset{"t", parts[0].vgroup, 1'000'000}); }), "TmqError");
  EXPECT_HAS(thrown([&] { consumer.assignment("nope"); }), "TmqError");
}

TEST_F(NativeConsumers, ReadChangesOfTables) {
  connection().execute("CREATE TOPIC dbt WITH META AS DATABASE db");
  connection().execute("CREATE TABLE n (ts TIMESTAMP, v INT)");
  insert("a", 0, 1);
  auto consumer = open();
  consumer.subscribe({"dbt"});
  bool seen = false;
  bool rows = false;
  for (int i = 0; i < 100 && !(seen && rows); ++i) {
    auto message = consumer.poll(200ms);
    if (!message) continue;
    if (message->kind() == Message::Kind::meta) {
      EXPECT_TRUE(message->blocks().empty());
      seen |= message->json().find("\"tableName\":\"n\"") != std::string::npos;
      EXPECT_FALSE(message->raw().bytes.empty());
    } else {
      for (auto& block : message->blocks()) rows |= block.rows.next();
    }
  }
  EXPECT_TRUE(seen);
  EXPECT_TRUE(rows);
}

TEST_F(NativeConsumers, CheckTheirProperties) {
  EXPECT_HAS(thrown([&] { open({{"no.such.property", "x"}}).subscribe({"t"}); }), "TmqError");
  EXPECT_HAS(thrown([&] { open({{"no.such.property", "x"}}).subscribe({"t"}); }), "no.such.property");
  EXPECT_HAS(thrown([&] { open({{"enable.auto.commit", "perhaps"}}); }), "enable.auto.commit");
  EXPECT_HAS(thrown([&] { open({{"td.connect.pass", "wrong"}}).subscribe({"t"}); }), "ConnectionError");
  EXPECT_HAS(thrown([&] { open({{"td.connect.token", "x"}}); }), "InterfaceError");
  EXPECT_EQ(thrown([&] { open({{"client.id", "c"}, {"session.timeout.ms", "12000"}}).subscribe({"t"}); }), "nothing");
  Standin::refuse_port(6031, true);
  EXPECT_HAS(thrown([&] { open({{"td.connect.port", "6031"}}); }), "ConnectionError");
  EXPECT_HAS(thrown([] {
               Consumer::open("taos://127.0.0.1:6030?library=" PENSTOCK_STANDIN_OLD_LIBRARY, {{"group.id", "g"}})
                   .subscribe({"t"});
             }),
             "Error");
}

TEST_F(NativeConsumers, AutoCommitIsTheLibrarys) {
  insert("a", 0, 3);
  {
    auto consumer = open({{"enable.auto.commit", "true"}, {"auto.commit.interval.ms", "1"}});
    consumer.subscribe({"t"});
    EXPECT_EQ(read(consumer, 3), numbers(0, 3));
    consumer.close();
  }
  insert("a", 3, 1);
  auto consumer = open();
  consumer.subscribe({"t"});
  EXPECT_EQ(read(consumer, 1), numbers(3, 1));
}

TEST_F(NativeConsumers, ComeBackAfterAnOutage) {
  insert("a", 0, 3);
  auto consumer = open();
  consumer.subscribe({"t"});
  EXPECT_EQ(read(consumer, 3), numbers(0, 3));
  consumer.commit();
  Standin::drop_all();
  connection().reopen();
  insert("a", 3, 2);
  std::multiset<int> values;
  int errors = 0;
  for (int i = 0; i < 100 && values.size() < 2; ++i) {
    try {
      auto message = consumer.poll(200ms);
      if (!message) continue;
      for (auto& block : message->blocks())
        for (const auto row : block.rows) values.insert(static_cast<int>(std::get<std::int64_t>(row["v"])));
    } catch (const ConnectionError&) {
      ++errors;
    }
  }
  EXPECT_EQ(values, numbers(3, 2));
  EXPECT_EQ(errors, 1);
}

TEST_F(NativeConsumers, LoseNothingWhateverFails) {
  constexpr int kRows = 40;
  insert("a", 0, kRows / 2);
  insert("b", kRows / 2, kRows / 2);
  int round = 0;
  for (const std::string function : {"tmq_consumer_poll", "taos_fetch_raw_block", "tmq_commit_sync", "tmq_subscribe",
                                     "tmq_consumer_new", "tmq_get_topic_assignment"}) {
    for (const std::uint32_t code : {0x8000000BU, 0x80000018U, 0x80004017U, 0x80000102U, 0U}) {
      ++round;
      const auto where = function + " " + std::to_string(code);
      const Consumer::Config config{{"group.id", "g" + std::to_string(round)}};
      const auto make = [&] {
        Consumer::Config all = config;
        all.insert({{"auto.offset.reset", "earliest"}, {"enable.auto.commit", "false"}});
        return Consumer::open(dsn("/db?request_timeout=100ms"), all);
      };
      std::optional<Consumer> consumer;
      std::set<int> seen;
      int errors = 0;
      bool idle = false;
      bool begun = false;
      bool hurt = false;
      const auto until = std::chrono::steady_clock::now() + 20s;
      while ((seen.size() < kRows || !idle) && std::chrono::steady_clock::now() < until) {
        try {
          // At once, or when some messages are through.
          if (!hurt && (seen.size() > 4 || function == "tmq_subscribe" || function == "tmq_consumer_new")) {
            hurt = true;
            if (code == 0) Standin::delay(function.c_str(), 150);
            else Standin::fail_next(function.c_str(), code);
          }
          if (!consumer) {
            begun = false;
            consumer.emplace(make());
          }
          if (!begun) {
            consumer->subscribe({"t"});
            begun = true;
          }
          if (function == "tmq_get_topic_assignment") consumer->assignment("t");
          auto message = consumer->poll(10ms);
          idle = !message;
          if (!message) continue;
          std::set<int> values;
          for (auto& block : message->blocks())
            for (const auto row : block.rows) values.insert(static_cast<int>(std::get<std::int64_t>(row["v"])));
          seen.insert(values.begin(), values.end());
          consumer->commit(*message);
        } catch (const ClientError& error) {
          Standin::delay(function.c_str(), 0);
          idle = false;
          if (++errors > 5) FAIL() << where << ": " << error.what();
          // Without knowing more, as a program would.
          if (dynamic_cast<const ConnectionError*>(&error) == nullptr) consumer.reset();
        }
      }
      Standin::delay(function.c_str(), 0);
      EXPECT_EQ(seen.size(), static_cast<std::size_t>(kRows)) << where;
      EXPECT_TRUE(hurt) << where;
    }
  }
  EXPECT_EQ(round, 30);
}

TEST_F(NativeConsumers, AHangingPollKeepsItsMessageForTheNext) {
  auto consumer = open();
  consumer.subscribe({"t"});
  insert("a", 0, 2);
  Standin::delay("tmq_consumer_poll", 800);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(consumer.poll(20ms));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 700ms);
  Standin::delay("tmq_consumer_poll", 0);
  EXPECT_EQ(read(consumer, 2), numbers(0, 2));
}

TEST_F(NativeConsumers, ACommitDoesNotTakeAMessageThatNobodySaw) {
  auto consumer = std::make_optional(open());
  consumer->subscribe({"t"});
  insert("a", 0, 2);
  Standin::delay("tmq_consumer_poll", 400);
  EXPECT_FALSE(consumer->poll(0ms));
  Standin::delay("tmq_consumer_poll", 0);
  consumer->commit();
  consumer.reset();
  auto another = open();
  another.subscribe({"t"});
  EXPECT_EQ(read(another, 2), numbers(0, 2));
}

}  // namespace
}  // namespace penstock::client
