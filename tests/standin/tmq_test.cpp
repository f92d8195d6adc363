#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "standin/fixture.h"

namespace penstock::test {
namespace {

class StandinConsumer : public StandinTest {
 protected:
  void SetUp() override {
    StandinTest::SetUp();
    run("create table m (ts timestamp, v int) tags (g int)");
    run("insert into c1 using m tags (1) values (1, 1) (2, 2)");
    run("insert into c2 using m tags (2) values (1, 3)");
  }
  void TearDown() override {
    if (consumer != nullptr) {
      EXPECT_EQ(STANDIN(library, tmq_consumer_close)(consumer), 0);
    }
    StandinTest::TearDown();
  }
  using Options = std::vector<std::pair<const char*, std::string>>;
  void open(const char* topic, const Options& more = {}) {
    tmq_conf_t* const conf = STANDIN(library, tmq_conf_new)();
    Options options{{"group.id", "g"},
                    {"td.connect.ip", "127.0.0.1"},
                    {"td.connect.port", std::to_string(port)},
                    {"td.connect.user", "root"},
                    {"td.connect.pass", "taosdata"},
                    {"auto.offset.reset", "earliest"},
                    {"enable.auto.commit", "false"},
                    {"msg.with.table.name", "true"}};
    options.insert(options.end(), more.begin(), more.end());
    for (const auto& [key, value] : options) {
      EXPECT_EQ(STANDIN(library, tmq_conf_set)(conf, key, value.c_str()), TMQ_CONF_OK) << key;
    }
    char text[100] = "";
    consumer = STANDIN(library, tmq_consumer_new)(conf, text, sizeof text);
    ASSERT_NE(consumer, nullptr) << text;
    STANDIN(library, tmq_conf_destroy)(conf);
    EXPECT_EQ(subscribe(topic), 0);
  }
  int subscribe(const char* topic) {
    tmq_list_t* const topics = STANDIN(library, tmq_list_new)();
    EXPECT_EQ(STANDIN(library, tmq_list_append)(topics, topic), 0);
    const int code = STANDIN(library, tmq_subscribe)(consumer, topics);
    STANDIN(library, tmq_list_destroy)(topics);
    return code;
  }
  /// Polls until `count` rows came; "table: values".
  std::multiset<std::string> poll(std::size_t count) {
    std::multiset<std::string> seen;
    for (int i = 0; i < 100 && seen.size() < count; ++i) {
      TAOS_RES* const message = STANDIN(library, tmq_consumer_poll)(consumer, 100);
      if (message == nullptr) continue;
      char line[256];
      while (const TAOS_ROW row = STANDIN(library, taos_fetch_row)(message)) {
        const char* const table = STANDIN(library, tmq_get_table_name)(message);
        STANDIN(library, taos_print_row)
        (line, row, STANDIN(library, taos_fetch_fields)(message), STANDIN(library, taos_num_fields)(message));
        seen.insert((table == nullptr ? "" : std::string(table) + ": ") + line);
      }
      EXPECT_STREQ(STANDIN(library, tmq_get_db_name)(message), "d");
      EXPECT_GT(STANDIN(library, tmq_get_vgroup_id)(message), 0);
      EXPECT_EQ(STANDIN(library, tmq_commit_sync)(consumer, message), 0);
      STANDIN(library, taos_free_result)(message);
    }
    return seen;
  }

  tmq_t* consumer = nullptr;
};

TEST_F(StandinConsumer, GetsRowsWithTheirTables) {
  run("create topic t1 as database d");
  open("t1");
  EXPECT_EQ(poll(3), (std::multiset<std::string>{"c1: 1 1", "c1: 2 2", "c2: 1 3"}));
  run("insert into c1 values (5, 5)");
  EXPECT_EQ(poll(1), (std::multiset<std::string>{"c1: 5 5"}));
  EXPECT_EQ(STANDIN(library, tmq_consumer_poll)(consumer, 0), nullptr);
  EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), 0) << "nothing there is no error";
}

TEST_F(StandinConsumer, KnowsItsPlaces) {
  run("create topic t2 as select ts, v from m");
  open("t2");
  poll(3);
  tmq_topic_assignment* places = nullptr;
  std::int32_t count = 0;
  ASSERT_EQ(STANDIN(library, tmq_get_topic_assignment)(consumer, "t2", &places, &count), 0);
  ASSERT_GE(count, 1);
  bool some = false;
  for (int i = 0; i < count; ++i) {
    const auto position = STANDIN(library, tmq_position)(consumer, "t2", places[i].vgId);
    EXPECT_GE(places[i].end, places[i].begin);
    EXPECT_EQ(position, places[i].end);
    const auto committed = STANDIN(library, tmq_committed)(consumer, "t2", places[i].vgId);
    some = some || committed == position;
    EXPECT_EQ(STANDIN(library, tmq_offset_seek)(consumer, "t2", places[i].vgId, places[i].begin), 0);
    EXPECT_EQ(STANDIN(library, tmq_offset_seek)(consumer, "t2", places[i].vgId, places[i].end + 99), code_of(0x4007));
    EXPECT_EQ(STANDIN(library, tmq_commit_offset_sync)(consumer, "t2", places[i].vgId, places[i].begin), 0);
  }
  EXPECT_TRUE(some);
  STANDIN(library, tmq_free_assignment)(places);
  EXPECT_EQ(poll(3).size(), 3U) << "once more after the seek";
  EXPECT_LT(STANDIN(library, tmq_position)(consumer, "nope", 1), 0);
  tmq_list_t* topics = nullptr;
  EXPECT_EQ(STANDIN(library, tmq_subscription)(consumer, &topics), 0);
  ASSERT_EQ(STANDIN(library, tmq_list_get_size)(topics), 1);
  EXPECT_STREQ(STANDIN(library, tmq_list_to_c_array)(topics)[0], "t2");
  STANDIN(library, tmq_list_destroy)(topics);
}

TEST_F(StandinConsumer, CommitsLaterAndOnItsOwn) {
  run("create topic t3 as select ts, v from m");
  struct Once {
    std::promise<int> said;
    std::atomic<bool> done{false};
    static void callback(tmq_t*, std::int32_t code, void* param) {
      auto& it = *static_cast<Once*>(param);
      if (!it.done.exchange(true)) it.said.set_value(code);
    }
  } later, alone;
  open("t3");
  poll(3);
  STANDIN(library, tmq_commit_async)(consumer, nullptr, Once::callback, &later);
  EXPECT_EQ(later.said.get_future().get(), 0);
  EXPECT_EQ(STANDIN(library, tmq_unsubscribe)(consumer), 0);
  EXPECT_EQ(STANDIN(library, tmq_consumer_close)(consumer), 0);
  tmq_conf_t* const conf = STANDIN(library, tmq_conf_new)();
  for (const auto& [key, value] :
       Options{{"group.id", "g"}, {"td.connect.port", std::to_string(port)}, {"auto.commit.interval.ms", "1"}}) {
    EXPECT_EQ(STANDIN(library, tmq_conf_set)(conf, key, value.c_str()), TMQ_CONF_OK) << key;
  }
  STANDIN(library, tmq_conf_set_auto_commit_cb)(conf, Once::callback, &alone);
  consumer = STANDIN(library, tmq_consumer_new)(conf, nullptr, 0);
  STANDIN(library, tmq_conf_destroy)(conf);
  EXPECT_EQ(subscribe("t3"), 0);
  auto said = alone.said.get_future();
  for (int i = 0; i < 500 && said.wait_for(std::chrono::seconds(0)) != std::future_status::ready; ++i) {
    TAOS_RES* const message = STANDIN(library, tmq_consumer_poll)(consumer, 10);
    STANDIN(library, taos_free_result)(message);
  }
  EXPECT_EQ(STANDIN(library, tmq_consumer_close)(std::exchange(consumer, nullptr)), 0) << "waits for callbacks";
  ASSERT_EQ(said.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  EXPECT_EQ(said.get(), 0);
}

TEST_F(StandinConsumer, TellsOfTables) {
  run("create topic t4 with meta as database d");
  open("t4");
  std::string json;
  for (int i = 0; i < 20 && json.empty(); ++i) {
    TAOS_RES* const message = STANDIN(library, tmq_consumer_poll)(consumer, 100);
    if (message == nullptr) continue;
    if (char* const text = STANDIN(library, tmq_get_json_meta)(message)) {
      json = text;
      STANDIN(library, tmq_free_json_meta)(text);
      EXPECT_NE(STANDIN(library, tmq_get_res_type)(message), TMQ_RES_DATA);
      tmq_raw_data raw{};
      EXPECT_EQ(STANDIN(library, tmq_get_raw)(message, &raw), 0);
      EXPECT_GT(raw.raw_len, 0U);
      EXPECT_NE(STANDIN(library, tmq_write_raw)(taos, raw), 0);
      STANDIN(library, tmq_free_raw)(raw);
    }
    STANDIN(library, taos_free_result)(message);
  }
  EXPECT_NE(json.find("\"tableName\""), std::string::npos) << json;
}

TEST_F(StandinConsumer, RefusesWhatIsWrong) {
  tmq_conf_t* const conf = STANDIN(library, tmq_conf_new)();
  EXPECT_EQ(STANDIN(library, tmq_conf_set)(conf, "no.such.key", "x"), TMQ_CONF_UNKNOWN);
  EXPECT_EQ(STANDIN(library, tmq_conf_set)(conf, "auto.offset.reset", "x"), TMQ_CONF_INVALID);
  EXPECT_EQ(STANDIN(library, tmq_conf_set)(nullptr, "group.id", "x"), TMQ_CONF_INVALID);
  char text[8] = "";
  EXPECT_EQ(STANDIN(library, tmq_consumer_new)(conf, text, sizeof text), nullptr) << "no group";
  EXPECT_EQ(std::strlen(text), sizeof text - 1);
  STANDIN(library, tmq_conf_set)(conf, "group.id", "g");
  STANDIN(library, tmq_conf_set)(conf, "td.connect.port", std::to_string(port).c_str());
  STANDIN(library, tmq_conf_set)(conf, "td.connect.pass", "wrong");
  EXPECT_EQ(STANDIN(library, tmq_consumer_new)(conf, text, sizeof text), nullptr);
  EXPECT_EQ(STANDIN(library, taos_errno)(nullptr), code_of(0x0357));
  STANDIN(library, tmq_conf_set)(conf, "td.connect.pass", "taosdata");
  consumer = STANDIN(library, tmq_consumer_new)(conf, nullptr, 0);
  STANDIN(library, tmq_conf_destroy)(conf);
  ASSERT_NE(consumer, nullptr);
  EXPECT_EQ(subscribe("nope"), code_of(0x03E1));
  EXPECT_EQ(STANDIN(library, tmq_consumer_poll)(consumer, 10), nullptr);
  EXPECT_NE(STANDIN(library, taos_errno)(nullptr), 0);
  EXPECT_EQ(STANDIN(library, tmq_consumer_close)(nullptr), code_of(0x0118));
}

TEST_F(StandinConsumer, IsLostWithItsConnection) {
  run("create topic t5 as select ts, v from m");
  open("t5");
  poll(3);
  auto waiting = std::async(std::launch::async, [&] {
    TAOS_RES* const message = STANDIN(library, tmq_consumer_poll)(consumer, 60'000);
    return std::pair(message, STANDIN(library, taos_errno)(nullptr));
  });
  STANDIN(library, penstock_standin_drop_connection)(STANDIN(library, tmq_get_connect)(consumer));
  const auto [message, code] = waiting.get();
  EXPECT_EQ(message, nullptr);
  EXPECT_EQ(code, code_of(0x000B));
  EXPECT_EQ(STANDIN(library, tmq_commit_sync)(consumer, nullptr), code_of(0x000B));
}

}  // namespace
}  // namespace penstock::test
