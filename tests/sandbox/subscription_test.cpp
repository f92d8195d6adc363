#include "sandbox/subscription.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "sandbox/result_block.h"
#include "sandbox/value.h"
#include "sandbox/ws_test_client.h"
#include "wire/block.h"
#include "wire/tmq.h"

namespace penstock::sandbox {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using test::to_hex;

constexpr std::int64_t kTime = 1'700'000'000'000;

class SubscriptionTest : public testing::Test {
 protected:
  SubscriptionTest() { reopen(); }
  ~SubscriptionTest() override {
    session_.reset();
    engine_.reset();
    if (!options_.directory.empty()) std::filesystem::remove_all(options_.directory);
  }
  void reopen() {
    session_.reset();
    engine_.reset();
    engine_ = Engine::open(options_);
    session_ = engine_->login("root", "taosdata", "");
  }
  void in_directory() {
    options_.directory =
        std::filesystem::temp_directory_path() /
        fmt::format("penstock-tmq-{}-{}", ::getpid(), testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(options_.directory);
    reopen();
  }

  Answer run(std::string_view sql) { return session_->execute(sql); }
  int code(const char* sql) {
    return code([&] { run(sql); });
  }
  template <class Work>
  static int code(Work work) {
    try {
      work();
      return 0;
    } catch (const RefusalError& error) {
      return error.refusal().code;
    }
  }
  void database(int vgroups = 2) {
    run(fmt::format("create database d vgroups {} keep 36500", vgroups));
    run("use d");
    run("create stable m (ts timestamp, v int, s varchar(8)) tags (g int)");
  }

  std::unique_ptr<Consumer> consumer(const std::string& group, std::vector<std::string> topics,
                                     std::string_view reset = "earliest",
                                     std::vector<std::pair<std::string, std::string>> more = {}) {
    ConsumerOptions options;
    EXPECT_EQ(set_option(options, "group.id", group), OptionResult::ok);
    EXPECT_EQ(set_option(options, "auto.offset.reset", reset), OptionResult::ok);
    EXPECT_EQ(set_option(options, "enable.auto.commit", "false"), OptionResult::ok);
    for (const auto& [key, value] : more) EXPECT_EQ(set_option(options, key, value), OptionResult::ok);
    auto made = engine_->consumer(options);
    made->subscribe(topics);
    return made;
  }

  /// "c1: 1700000000000 1 a / …; c2: …": one piece a part.
  static std::string text_of(const Message& message) {
    std::string out;
    for (const auto& part : message.parts) {
      if (!out.empty()) out += "; ";
      if (!part.table.empty()) out += part.table + ": ";
      out += rows_of(part.rows);
    }
    return out;
  }
  static std::string rows_of(const Answer& answer) {
    std::string out;
    for (const auto& row : answer.rows) {
      if (!out.empty()) out += " / ";
      for (std::size_t i = 0; i < row.size(); ++i) {
        const auto& f = answer.fields[i];
        const auto datum = datum_of(row[i], {f.type, f.length, f.precision, f.scale});
        out += (i > 0 ? " " : "") + (datum.null ? std::string("-") : to_text(datum));
      }
    }
    return out;
  }
  /// All messages there are, without waiting for more.
  static std::vector<Message> drain(Consumer& from) {
    std::vector<Message> all;
    while (auto message = from.poll(0ms)) all.push_back(std::move(*message));
    return all;
  }
  static std::string drained(Consumer& from) {
    std::string out;
    for (const auto& message : drain(from)) out += (out.empty() ? "" : " | ") + text_of(message);
    return out;
  }

  Engine::Options options_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
};

TEST_F(SubscriptionTest, QueriesChooseRowsAndComputeColumns) {
  database(1);
  run("create table c1 using m tags(1)");
  run("create table c2 using m tags(2)");
  run("create topic t as select v + 1 as w, ts, tbname, g, upper(s) from m where v > 1 and g = 2");
  run(fmt::format("insert into c1 values({0},5,'a') c2 values({0},1,'b')({1},2,'c')", kTime, kTime + 1));
  run("insert into c2(ts, s) values(1700000000009, 'x')");
  run("insert into c2(ts, v) values(1700000000010, 7)");
  const auto reader = consumer("g", {"t"});
  const auto message = reader->poll(0ms);
  ASSERT_TRUE(message);
  EXPECT_EQ(text_of(*message), "3.000000 1700000000001 c2 2 C; 8.000000 1700000000010 c2 2 -");
  EXPECT_EQ(message->type, Message::Type::data);
  EXPECT_FALSE(message->with_tables);
  EXPECT_EQ(message->parts[0].rows.fields[0].name, "w");
  EXPECT_EQ(message->database, "d");
  EXPECT_EQ(drained(*reader), "");
}

TEST_F(SubscriptionTest, StarOfASuperTableHasItsTags) {
  database(1);
  run("create topic t as select * from m");
  run(fmt::format("insert into c1 using m tags(7) values({},1,'a')", kTime));
  EXPECT_EQ(drained(*consumer("g", {"t"})), "1700000000000 1 a 7");
  run("create topic tc as select * from c1");
  run(fmt::format("insert into c2 using m tags(8) values({},2,'b')", kTime));
  EXPECT_EQ(drained(*consumer("g", {"tc"})), "1700000000000 1 a");
}

TEST_F(SubscriptionTest, StarKeepsItsMeaning) {
  database(1);
  run("create topic t as select * from m");
  run("alter table m add column x double");
  run("alter table m add tag h int");
  run(fmt::format("insert into c1 using m tags(7, 8) values({},1,'a',0.5)", kTime));
  run("alter table m drop column s");
  run(fmt::format("insert into c1 values({},2,0.5)", kTime + 1));
  EXPECT_EQ(drained(*consumer("g", {"t"})), "1700000000000 1 a 7; 1700000000001 2 7");
}

TEST_F(SubscriptionTest, TablesShowTheColumnsThatAreGiven) {
  database(1);
  run("create topic t as database d");
  run(fmt::format("insert into c1 using m tags(1) values({},1,'a')({},null,null)", kTime, kTime + 1));
  run(fmt::format("insert into c1(ts, s) values({},'b')", kTime + 2));
  run("alter table m add column x double");
  run(fmt::format("insert into c1 values({},3,'c',0.5)", kTime + 3));
  run("alter table m drop column x");
  const auto reader = consumer("g", {"t"});
  const auto message = reader->poll(0ms);
  ASSERT_TRUE(message);
  EXPECT_EQ(text_of(*message),
            "c1: 1700000000000 1 a / 1700000000001 - -; c1: 1700000000002 b; c1: 1700000000003 3 c 0.500000");
  EXPECT_TRUE(message->with_tables);
  ASSERT_EQ(message->parts.size(), 3U);
  EXPECT_EQ(message->parts[2].ids, (std::vector<std::int32_t>{1, 2, 3, 5}));
  EXPECT_EQ(message->parts[2].flags, (std::vector<std::uint8_t>{1, 1, 1, 0x80}));
}

// Blocks of messages are those of a query, but for their version.
TEST_F(SubscriptionTest, AllTypesComeAsQueriesGiveThem) {
  for (const std::string precision : {"ms", "us", "ns"}) {
    const auto d = "p" + precision;
    run(fmt::format("create database {} vgroups 1 keep 36500 precision '{}'", d, precision));
    run(fmt::format(
        "create table {}.n (ts timestamp, b bool, i8 tinyint, i16 smallint, i32 int, i64 bigint, u8 tinyint "
        "unsigned, u16 smallint unsigned, u32 int unsigned, u64 bigint unsigned, f float, d double, "
        "s varchar(9), n nchar(9), t2 timestamp, vb varbinary(9), g geometry(99), d1 decimal(10,2), "
        "d2 decimal(30,5))",
        d));
    run(fmt::format("create topic q{0} as select * from {0}.n", d));
    run(fmt::format("create topic w{0} as database {0}", d));
    run(fmt::format(
        "insert into {}.n values(now,true,-128,-32768,-2147483648,-9223372036854775807,255,65535,4294967295,"
        "18446744073709551615,-0.5,1e300,'abc','ä¸­æ',now,'\\x00ff','POINT(1 2)',"
        "'-12345678.91','1.5')(now+1s,null,null,null,null,null,null,null,null,null,null,null,null,null,null,"
        "null,null,null,null)(now+2s,false,1,1,1,1,1,1,1,1,1,1,'','',0,'','POINT(0 0)','0','0')",
        d));
    const auto wanted = run(fmt::format("select * from {}.n", d));
    for (const auto kind : {'q', 'w'}) {
      const auto message = consumer("g", {kind + d})->poll(0ms);
      ASSERT_TRUE(message);
      ASSERT_EQ(message->parts.size(), 1U) << d;
      EXPECT_EQ(to_hex(result_block(message->parts[0].rows, 0, 3, 2)), to_hex(result_block(wanted, 0, 3, 2)))
          << kind << d;
      const auto bytes = message_payload(*message);
      EXPECT_EQ(wire::decode_data_payload(bytes).blocks[0].precision, precision == "ms"   ? 0
                                                                      : precision == "us" ? 1
                                                                                          : 2);
    }
  }
}

TEST_F(SubscriptionTest, PayloadSaysWhatThePartsSay) {
  database(1);
  run("create topic t as database d");
  run(fmt::format("insert into c1 using m tags(1) values({},1,'a') c2 using m tags(2) values({},2,null)", kTime,
                  kTime));
  const auto message = consumer("g", {"t"})->poll(0ms);
  ASSERT_TRUE(message);
  const auto bytes = message_payload(*message);
  const auto payload = wire::decode_data_payload(bytes);
  ASSERT_EQ(payload.blocks.size(), message->parts.size());
  EXPECT_EQ(payload.head, wire::message_head(message->from, message->next));
  for (std::size_t i = 0; i < payload.blocks.size(); ++i) {
    const auto& part = message->parts[i];
    EXPECT_EQ(payload.blocks[i].table, part.table);
    EXPECT_EQ(payload.blocks[i].block, result_block(part.rows, 0, part.rows.rows.size(), 2));
    const auto block = wire::Block::decode(payload.blocks[i].block);
    EXPECT_EQ(block.rows(), part.rows.rows.size());
    EXPECT_EQ(payload.columns_of(i).size(), block.columns());
  }
}

TEST_F(SubscriptionTest, RowsOlderThanTheTopicComeOnce) {
  database(3);
  for (int i = 0; i < 30; ++i) run(fmt::format("insert into c{} using m tags({}) values({},{},'x')", i, i, kTime, i));
  run(fmt::format("insert into c0 values({},100,'y')", kTime + 1));
  run("create topic t as select v from m");
  run(fmt::format("insert into c0 values({},101,'z')", kTime + 2));
  std::multiset<std::string> rows;
  for (const auto& message : drain(*consumer("g", {"t"}))) {
    for (const auto& part : message.parts) {
      for (const auto& row : part.rows.rows) rows.insert(std::to_string(row[0].bits));
    }
  }
  EXPECT_EQ(rows.size(), 32U);
  EXPECT_EQ(std::set<std::string>(rows.begin(), rows.end()).size(), 32U);
}

TEST_F(SubscriptionTest, ResetSaysWhereAGroupBegins) {
  database(1);
  run("create topic t as select v from m");
  run(fmt::format("insert into c1 using m tags(1) values({},1,'a')", kTime));
  const auto latest = consumer("latest", {"t"}, "latest");
  const auto none = consumer("none", {"t"}, "none");
  EXPECT_EQ(drained(*latest), "");
  EXPECT_EQ(drained(*none), "");
  run(fmt::format("insert into c1 values({},2,'b')", kTime + 1));
  EXPECT_EQ(drained(*latest), "2");
  EXPECT_EQ(drained(*none), "");
  EXPECT_EQ(drained(*consumer("earliest", {"t"}, "EARLIEST")), "1; 2");
}

TEST_F(SubscriptionTest, GroupsGoOnBehindWhatTheyCommitted) {
  database(1);
  run("create topic t as select v from m");
  run(fmt::format("insert into c1 using m tags(1) values({},1,'a')", kTime));
  auto first = consumer("g", {"t"});
  const auto vgroup = first->assignment("t").at(0).vgroup;
  EXPECT_EQ(first->committed("t", vgroup), kNothingCommitted);
  const auto message = first->poll(0ms);
  ASSERT_TRUE(message);
  first->commit(*message);
  EXPECT_EQ(first->committed("t", vgroup), message->next);
  EXPECT_EQ(first->position("t", vgroup), message->next);
  run(fmt::format("insert into c1 values({},2,'b')", kTime + 1));
  EXPECT_EQ(drained(*first), "2");  // and not committed
  first.reset();
  auto second = consumer("g", {"t"}, "latest");
  EXPECT_EQ(drained(*second), "2");
  second->commit();
  second->unsubscribe();
  EXPECT_FALSE(second->poll(0ms));
  EXPECT_TRUE(second->topics().empty());
  second->subscribe(std::vector<std::string>{"t"});
  EXPECT_EQ(drained(*second), "");
  second->seek("t", vgroup, 0);
  EXPECT_EQ(drained(*second), "1; 2");
  EXPECT_EQ(drained(*consumer("other", {"t"})), "1; 2");
}

TEST_F(SubscriptionTest, AutoCommitHappensWhenAConsumerGoes) {
  database(1);
  run("create topic t as select v from m");
  run(fmt::format("insert into c1 using m tags(1) values({},1,'a')", kTime));
  auto first = consumer("g", {"t"}, "earliest", {{"enable.auto.commit", "true"}});
  EXPECT_EQ(drained(*first), "1");
  first.reset();
  EXPECT_EQ(drained(*consumer("g", {"t"})), "");
}

TEST_F(SubscriptionTest, ConsumersOfAGroupShareTheVgroups) {
  database(5);
  run("create topic t as database d");
  for (int i = 0; i < 60; ++i) run(fmt::format("insert into c{} using m tags({}) values({},{},'x')", i, i, kTime, i));
  auto one = consumer("g", {"t"});
  auto two = consumer("g", {"t"});
  EXPECT_EQ(one->assignment("t").size() + two->assignment("t").size(), 5U);
  EXPECT_EQ(one->assignment("t").size(), 3U);
  std::multiset<std::string> seen;
  const auto take = [&](Consumer& from) {
    for (const auto& message : drain(from)) {
      const auto mine = from.assignment("t");
      EXPECT_TRUE(std::any_of(mine.begin(), mine.end(), [&](const auto& it) { return it.vgroup == message.vgroup; }));
      for (const auto& part : message.parts) seen.insert(part.table);
    }
  };
  take(*two);
  EXPECT_GT(seen.size(), 0U);
  EXPECT_LT(seen.size(), 60U);
  two->commit();
  const auto of_two = two->assignment("t").at(0).vgroup;
  EXPECT_EQ(code([&] { one->seek("t", of_two, 0); }), 0x4008);
  EXPECT_EQ(code([&] { one->seek("other", of_two, 0); }), 0x4009);
  EXPECT_EQ(code([&] { two->seek("t", of_two, 1'000'000); }), 0x4007);
  two.reset();
  EXPECT_EQ(one->assignment("t").size(), 5U);
  take(*one);
  EXPECT_EQ(seen.size(), 60U);
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 60U);
}

TEST_F(SubscriptionTest, MessagesOfManyRowsAreCut) {
  database(1);
  run("create topic t as select v from m");
  std::string sql = "insert into c1 using m tags(1) values";
  for (int i = 0; i < 1000; ++i) sql += fmt::format("({},{},'x')", kTime + i, i);
  for (int k = 0; k < 10; ++k) run(sql);
  const auto messages = drain(*consumer("g", {"t"}));
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0].parts.size(), 5U);
  EXPECT_EQ(messages[0].next, messages[1].from);
  EXPECT_EQ(messages[1].parts.size(), 5U);
}

TEST_F(SubscriptionTest, MetaTellsOfEveryChange) {
  database(1);
  run("create topic t with meta as database d");
  run("create topic tm with meta as stable m");
  run("create topic only only meta as database d");
  run("create table a using m tags(1) b using m tags(null)");
  run(fmt::format("insert into c using m tags(3) values({},1,'a') e using m tags(4) values({},2,'b')", kTime, kTime));
  run("create table n (ts timestamp, x nchar(5))");
  run("alter table m add tag h varchar(4)");
  run("alter table a set tag g = 5, h = 'x'");
  run("alter table a set tag h = null");
  run("alter table n rename column x y");
  run("alter table n comment 'c'");
  run("delete from m where ts > 5");
  run("drop table b, c");
  const auto texts = [&](const std::string& topic) {
    std::vector<std::string> list;
    for (const auto& message : drain(*consumer("g", {topic}))) {
      if (message.json.empty()) continue;
      const auto json = Json::parse(message.json);
      EXPECT_TRUE(json.is_object());
      list.push_back(message.json);
    }
    return list;
  };
  const std::vector<std::string> of_m = {
      R"({"type":"create","tableType":"super","tableName":"m","columns":[{"name":"ts","type":9,"isPrimarykey":false,"encode":"delta-i","compress":"lz4","level":"medium"},{"name":"v","type":4,"isPrimarykey":false,"encode":"simple8b","compress":"lz4","level":"medium"},{"name":"s","type":8,"length":8,"isPrimarykey":false,"encode":"disabled","compress":"zstd","level":"medium"}],"tags":[{"name":"g","type":4}]})",
      R"({"type":"create","tableType":"child","tableName":"a","using":"m","tagNum":1,"tags":[{"name":"g","type":4,"value":1}],"createList":[{"tableName":"a","using":"m","tagNum":1,"tags":[{"name":"g","type":4,"value":1}]},{"tableName":"b","using":"m","tagNum":1,"tags":[]}]})",
      R"({"type":"create","tableType":"child","tableName":"c","using":"m","tagNum":1,"tags":[{"name":"g","type":4,"value":3}],"createList":[{"tableName":"c","using":"m","tagNum":1,"tags":[{"name":"g","type":4,"value":3}]},{"tableName":"e","using":"m","tagNum":1,"tags":[{"name":"g","type":4,"value":4}]}]})",
      R"({"type":"alter","tableType":"super","tableName":"m","alterType":1,"colName":"h","colType":8,"colLength":4})",
      R"({"type":"alter","tableType":"child","tableName":"a","alterType":15,"tags":[{"colName":"g","colValue":"5","colValueNull":false},{"colName":"h","colValue":"\"x\"","colValueNull":false}]})",
      R"({"type":"alter","tableType":"child","tableName":"a","alterType":4,"colName":"h","colValueNull":true})",
      R"({"type":"delete","sql":"delete from `m` where `ts` >= 6 and `ts` <= 9223372036854775807"})",
      R"({"type":"drop","tableNameList":["b","c"]})"};
  const std::vector<std::string> of_n = {
      R"({"type":"create","tableType":"normal","tableName":"n","columns":[{"name":"ts","type":9,"isPrimarykey":false,"encode":"delta-i","compress":"lz4","level":"medium"},{"name":"x","type":10,"length":5,"isPrimarykey":false,"encode":"disabled","compress":"zstd","level":"medium"}],"tags":[]})",
      R"({"type":"alter","tableType":"normal","tableName":"n","alterType":10,"colName":"x","colNewName":"y"})",
      R"({"type":"alter","tableType":"normal","tableName":"n","alterType":9})"};
  EXPECT_EQ(texts("tm"), of_m);
  auto all = of_m;
  all.insert(all.begin() + 3, of_n[0]);
  all.insert(all.begin() + 7, of_n.begin() + 1, of_n.end());
  EXPECT_EQ(texts("t"), all);
  EXPECT_EQ(texts("only"), all);
  for (const auto& message : drain(*consumer("h", {"only"}))) {
    EXPECT_EQ(message.type, Message::Type::meta);
    EXPECT_TRUE(message.parts.empty());
  }
}

TEST_F(SubscriptionTest, StableTopicsChooseTables) {
  database(2);
  run("create topic t as stable m where g > 1");
  run(fmt::format("insert into c1 using m tags(1) values({0},1,'a') c2 using m tags(2) values({0},2,'b')", kTime));
  EXPECT_EQ(drained(*consumer("g", {"t"})), "c2: 1700000000000 2 b");
  EXPECT_EQ(code("create topic t2 as stable m where v > 1"), 0x2639);
}

TEST_F(SubscriptionTest, RowsOfDroppedTablesAreNotTold) {
  database(1);
  run("create topic t as database d");
  run(fmt::format("insert into c1 using m tags(1) values({0},1,'a') c2 using m tags(2) values({0},2,'b')", kTime));
  run("drop table c1");
  run(fmt::format("insert into c1 using m tags(1) values({0},3,'c')", kTime));
  EXPECT_EQ(drained(*consumer("g", {"t"})), "c2: 1700000000000 2 b; c1: 1700000000000 3 c");
}

TEST_F(SubscriptionTest, TopicsAreGuardedAndShown) {
  database(2);
  EXPECT_EQ(code("create topic t as select ts, v from m"), 0);
  EXPECT_EQ(code("create topic t as select ts from m"), 0x03E0);
  EXPECT_EQ(code("create topic if not exists t as select ts from m"), 0);
  EXPECT_EQ(code("create topic u as select count(*) from m"), 0x2639);
  EXPECT_EQ(code("create topic u as select * from m order by ts"), 0x2639);
  EXPECT_EQ(code("create topic u as select * from (select ts from m)"), 0x2639);
  EXPECT_EQ(code("create topic u as select * from information_schema.ins_tables"), 0x2639);
  EXPECT_EQ(code("create topic u with meta as select ts from m"), 0x2600);
  EXPECT_EQ(code("create topic u as database nope"), 0x0388);
  EXPECT_EQ(code("drop topic nope"), 0x03E1);
  EXPECT_EQ(code("drop consumer group g on t"), 0x03E8);
  EXPECT_EQ(code("drop stable m"), 0x03ED);
  EXPECT_EQ(code("drop database d"), 0x03ED);
  EXPECT_EQ(rows_of(run("show topics")), "t");
  EXPECT_EQ(rows_of(run("select topic_name, db_name, `sql`, `meta`, `type` from information_schema.ins_topics")),
            "t d create topic t as select ts, v from m no column");
  auto one = consumer("g", {"t"}, "earliest", {{"client.id", "me"}});
  EXPECT_EQ(rows_of(run("select consumer_group, client_id, status, topics, `parameters` from "
                        "performance_schema.perf_consumers")),
            "g me ready t tbname:0,commit:0,interval:5000ms,reset:earliest");
  run(fmt::format("insert into c1 using m tags(1) values({},1,'a')({},2,'b')", kTime, kTime + 1));
  EXPECT_NE(drained(*one), "");
  one->commit();
  EXPECT_EQ(rows_of(run("select topic_name, consumer_group, sum(`rows`) from information_schema.ins_subscriptions "
                        "group by topic_name, consumer_group")),
            "t g 2");
  EXPECT_EQ(code("drop topic t"), 0x03EB);
  EXPECT_EQ(code("drop consumer group g on t"), 0x03EC);
  one->unsubscribe();
  EXPECT_EQ(code("drop consumer group g on t"), 0);
  EXPECT_EQ(code("drop topic t"), 0);
  EXPECT_EQ(code("drop database d"), 0);
  EXPECT_EQ(code([&] { one->subscribe(std::vector<std::string>{"t"}); }), 0x03E1);
}

TEST_F(SubscriptionTest, TopicsSurviveARestart) {
  in_directory();
  database(2);
  run("create topic t as select v from d.m");
  run(fmt::format("insert into c1 using m tags(1) values({},1,'a')", kTime));
  run(fmt::format("insert into c1 values({},2,'b')", kTime + 1));
  auto before = consumer("g", {"t"});
  EXPECT_EQ(drained(*before), "1; 2");
  before->commit();
  before.reset();
  reopen();
  run("use d");
  run(fmt::format("insert into c1 values({},3,'c')", kTime + 2));
  EXPECT_EQ(drained(*consumer("g", {"t"})), "1 / 2; 3");
  EXPECT_EQ(code("drop topic t"), 0);
  reopen();
  EXPECT_EQ(rows_of(run("show topics")), "");
}

TEST_F(SubscriptionTest, PollWaitsForRows) {
  database(2);
  run("create topic t as select v from m");
  const auto reader = consumer("g", {"t"});
  std::jthread writer([&] {
    const auto session = engine_->login("root", "taosdata", "d");
    session->execute(fmt::format("insert into c1 using m tags(1) values({},1,'a')", kTime));
  });
  const auto message = reader->poll(60s);
  ASSERT_TRUE(message);
  EXPECT_EQ(text_of(*message), "1");
  writer.join();
  std::jthread other([&] {
    const auto session = engine_->login("root", "taosdata", "d");
    session->execute(fmt::format("insert into c1 values({},2,'b')", kTime + 1));
  });
  const auto second = reader->poll(-1ms);
  ASSERT_TRUE(second);
  EXPECT_EQ(text_of(*second), "2");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(reader->poll(60s, stop.get_token()));
}

TEST_F(SubscriptionTest, ConsumersThatWereNothingAreNone) {
  database(1);
  ConsumerOptions options;
  EXPECT_EQ(code([&] { engine_->consumer(options); }), 0xFFFF);
  options.group = "g";
  options.password = "wrong";
  EXPECT_EQ(code([&] { engine_->consumer(options); }), 0xFFFF);
  options.password = "taosdata";
  const auto made = engine_->consumer(options);
  made->subscribe({});
  EXPECT_EQ(code([&] { made->poll(0ms); }), 0x03E6);
  EXPECT_EQ(code([&] { made->subscribe(std::vector<std::string>{"nope"}); }), 0x03E1);
  made->unsubscribe();
}

TEST(ConsumerOptions, AreTakenAsTheServersClientDoes) {
  struct Case {
    std::string_view key, value;
    OptionResult result;
  };
  for (const auto& [key, value, result] : {
           Case{"group.id", "g", OptionResult::ok},
           Case{"auto.offset.reset", "Latest", OptionResult::ok},
           Case{"auto.offset.reset", "middle", OptionResult::invalid},
           Case{"enable.auto.commit", "yes", OptionResult::invalid},
           Case{"auto.commit.interval.ms", "x", OptionResult::invalid},
           Case{"session.timeout.ms", "5999", OptionResult::invalid},
           Case{"session.timeout.ms", "1800000", OptionResult::ok},
           Case{"max.poll.interval.ms", "999", OptionResult::invalid},
           Case{"experimental.snapshot.enable", "maybe", OptionResult::invalid},
           Case{"msg.enable.batchmeta", "x", OptionResult::ok},
           Case{"td.connect.db", "d", OptionResult::ok},
           Case{"td.connect.port", "x", OptionResult::invalid},
           Case{"no.such.key", "1", OptionResult::unknown},
       }) {
    ConsumerOptions options;
    EXPECT_EQ(set_option(options, key, value), result) << key << " = " << value;
  }
}

// What a consumer of a database gets, written again, makes the same tables.
TEST_F(SubscriptionTest, RandomWritesCanBeRepeatedFromTheMessages) {
  database(3);
  run("create topic t as database d");
  std::mt19937 random(20'240'613);
  const auto below = [&](unsigned most) { return static_cast<int>(random() % most); };
  constexpr const char* kColumns[] = {"v", "s"};
  for (int n = 0; n < 400; ++n) {
    std::string sql = "insert into ";
    for (int tables = 1 + below(3); tables > 0; --tables) {
      const int child = below(9);
      const int which = below(4);
      sql += fmt::format("c{} using m tags({}) ", child, child);
      if (which < 2) sql += fmt::format("(ts,{}) ", kColumns[which]);
      if (which == 2) sql += "(s,ts,v) ";
      sql += "values";
      for (int rows = 1 + below(4); rows > 0; --rows) {
        const auto v = below(5) == 0 ? std::string("null") : std::to_string(below(1000));
        const auto s = below(5) == 0 ? std::string("null") : fmt::format("'{}'", below(1000));
        const auto ts = kTime + below(60);
        if (which == 0) sql += fmt::format("({},{})", ts, v);
        if (which == 1) sql += fmt::format("({},{})", ts, s);
        if (which == 2) sql += fmt::format("({},{},{})", s, ts, v);
        if (which == 3) sql += fmt::format("({},{},{})", ts, v, s);
      }
      sql += ' ';
    }
    run(sql);
  }
  run("create database e keep 36500");
  run("create stable e.m (ts timestamp, v int, s varchar(8)) tags (g int)");
  std::int64_t parts = 0;
  for (const auto& message : drain(*consumer("g", {"t"}))) {
    for (const auto& part : message.parts) {
      ++parts;
      std::string names, values;
      for (const auto& field : part.rows.fields) names += (names.empty() ? "" : ",") + field.name;
      for (const auto& row : part.rows.rows) {
        values += '(';
        for (std::size_t i = 0; i < row.size(); ++i) {
          if (i > 0) values += ',';
          if (row[i].state != Value::State::value) values += "null";
          else if (part.rows.fields[i].type == data::Type::varchar) values += '\'' + row[i].text + '\'';
          else values += std::to_string(static_cast<std::int64_t>(row[i].bits));
        }
        values += ')';
      }
      run(fmt::format("insert into e.{0} using e.m tags({1}) ({2}) values {3}", part.table, part.table.substr(1), names,
                      values));
    }
  }
  EXPECT_GT(parts, 400);
  const auto wanted = rows_of(run("select tbname, ts, v, s from d.m order by tbname, ts"));
  EXPECT_GT(wanted.size(), 5000U);
  EXPECT_EQ(rows_of(run("select tbname, ts, v, s from e.m order by tbname, ts")), wanted);
}

// Writers and consumers at once: every row once, the rows of a table in their order.
TEST_F(SubscriptionTest, NothingIsLostBetweenWritersAndConsumers) {
  database(4);
  run("create topic t as select tbname, v from m");
  constexpr int kWriters = 3, kTables = 4, kRows = 150;
  std::atomic<int> left{kWriters * kTables * kRows};
  std::mutex mutex;
  std::map<std::string, std::vector<std::int64_t>> seen;
  {
    std::vector<std::jthread> threads;
    for (int c = 0; c < 2; ++c) {
      threads.emplace_back([&] {
        const auto reader = consumer("g", {"t"});
        while (left > 0) {
          const auto message = reader->poll(5ms);
          if (!message) continue;
          const std::lock_guard lock(mutex);
          for (const auto& part : message->parts) {
            for (const auto& row : part.rows.rows) {
              seen[row[0].text].push_back(static_cast<std::int64_t>(row[1].bits));
              --left;
            }
          }
          reader->commit(*message);
        }
      });
    }
    // Both have joined before the first row: a vgroup that changed hands would begin again behind its last commit.
    while (rows_of(run("select count(*) from performance_schema.perf_consumers")) != "2") std::this_thread::yield();
    for (int w = 0; w < kWriters; ++w) {
      threads.emplace_back([&, w] {
        const auto session = engine_->login("root", "taosdata", "d");
        for (int r = 0; r < kRows; ++r) {
          for (int t = 0; t < kTables; ++t) {
            session->execute(
                fmt::format("insert into w{0}_{1} using m tags({0}) values({2},{3},'x')", w, t, kTime + r, r));
          }
        }
      });
    }
  }
  EXPECT_EQ(left, 0);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kWriters * kTables));
  for (const auto& [table, values] : seen) {
    ASSERT_EQ(values.size(), static_cast<std::size_t>(kRows)) << table;
    for (int r = 0; r < kRows; ++r) ASSERT_EQ(values[static_cast<std::size_t>(r)], r) << table;
  }
}

}  // namespace
}  // namespace penstock::sandbox
