#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "sandbox/server.h"
#include "sandbox/ws_test_client.h"
#include "wire/tmq.h"

/// What recorded conversations do not show of /rest/tmq: order of polls, ends of connections, damaged messages.
namespace penstock::test {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

class TmqServer : public testing::Test {
 protected:
  TmqServer() : sql_(server_.port()) {
    ask(sql_, R"({"action":"conn","args":{"req_id":1,"user":"root","password":"taosdata"}})");
    run("create database d vgroups 2 keep 36500");
    run("create stable d.m (ts timestamp, v int) tags (g int)");
    run("create topic t as select v from d.m");
    run("create topic td with meta as database d");
  }
  static Json ask(WsTestClient& peer, std::string_view text) { return Json::parse(peer.ask(text), nullptr, false); }
  void run(const std::string& text) {
    const auto answer = ask(sql_, Json{{"action", "query"}, {"args", {{"req_id", 1}, {"sql", text}}}}.dump());
    EXPECT_EQ(answer.value("code", -1), 0) << text << " " << answer;
  }
  void insert(int k) {
    run(fmt::format("insert into d.c{0} using d.m tags({0}) values({1},{0})", k, 1'700'000'000'000 + k));
  }
  static void subscribe(WsTestClient& peer, const std::string& group, const std::string& topic = "t", Json more = {}) {
    Json args = {{"req_id", 1},
                 {"user", "root"},
                 {"password", "taosdata"},
                 {"group_id", group},
                 {"offset_reset", "earliest"},
                 {"topics", {topic}}};
    if (more.is_object()) args.update(more);
    const auto answer = ask(peer, Json{{"action", "subscribe"}, {"args", args}}.dump());
    EXPECT_EQ(answer.value("code", -1), 0) << answer;
  }
  static std::string poll(int id, int blocking_ms) {
    return fmt::format(R"({{"action":"poll","args":{{"req_id":{},"blocking_time":{}}}}})", id, blocking_ms);
  }

  sandbox::Server server_{{}};
  WsTestClient sql_;
};

TEST_F(TmqServer, AWaitingPollIsReplacedByTheNext) {
  WsTestClient peer(server_.port(), "/rest/tmq");
  subscribe(peer, "g");
  peer.send_message(WsTestClient::kText, poll(1, 60'000));
  // Other requests are answered meanwhile; this one also tells that the poll before it was read.
  EXPECT_EQ(ask(peer, R"({"action":"list_topics","args":{"req_id":2}})")["topics"], Json::array({"t"}));
  peer.send_message(WsTestClient::kText, poll(3, 60'000));
  peer.send_message(WsTestClient::kText, poll(4, 60'000));
  EXPECT_EQ(ask(peer, R"({"action":"list_topics","args":{"req_id":5}})")["req_id"], 5);
  insert(1);
  std::set<int> answered;
  for (int i = 0; i < 2; ++i) {
    if (i == 1) insert(2);
    const auto message = peer.receive();
    ASSERT_TRUE(message);
    const auto answer = Json::parse(message->payload);
    EXPECT_TRUE(answer["have_message"].get<bool>()) << answer;
    answered.insert(answer["req_id"].get<int>());
  }
  EXPECT_TRUE(answered.contains(4));
  EXPECT_FALSE(answered.contains(3) && answered.contains(1) && answered.contains(4));
  EXPECT_FALSE(answered.contains(3)) << "the poll that waited was answered";
}

TEST_F(TmqServer, TheLostMessageComesAgain) {
  insert(1);
  WsTestClient peer(server_.port(), "/rest/tmq");
  subscribe(peer, "g");
  const auto with = [](int held) {
    return fmt::format(R"({{"action":"poll","args":{{"req_id":7,"blocking_time":0,"message_id":{}}}}})", held);
  };
  auto first = ask(peer, with(0));
  auto again = ask(peer, with(0));
  first["timing"] = again["timing"] = 0;
  EXPECT_EQ(first, again);
  EXPECT_EQ(first["message_id"], 1);
  EXPECT_FALSE(ask(peer, with(1))["have_message"].get<bool>());
}

TEST_F(TmqServer, ConnectionsEndWhileAPollWaits) {
  {
    WsTestClient peer(server_.port(), "/rest/tmq");
    subscribe(peer, "gone");
    peer.send_message(WsTestClient::kText, poll(1, 600'000));
    EXPECT_EQ(ask(peer, R"({"action":"list_topics","args":{"req_id":2}})")["code"], 0);
  }
  // The group is free as soon as the server has noticed.
  const auto until = std::chrono::steady_clock::now() + 10s;
  Json answer;
  do {
    answer = ask(sql_, R"({"action":"query","args":{"req_id":1,"sql":"drop consumer group gone on t"}})");
    if (answer["code"] != 0) std::this_thread::yield();
  } while (answer["code"] != 0 && std::chrono::steady_clock::now() < until);
  EXPECT_EQ(answer["code"], 0) << answer;

  WsTestClient peer(server_.port(), "/rest/tmq");
  subscribe(peer, "stays");
  peer.send_message(WsTestClient::kText, poll(1, 600'000));
  EXPECT_EQ(ask(peer, R"({"action":"list_topics","args":{"req_id":2}})")["code"], 0);
  server_.stop();
  EXPECT_FALSE(peer.receive(10s));
  EXPECT_TRUE(peer.ended());
}

TEST_F(TmqServer, NumbersOfAnySizeAreTaken) {
  insert(1);
  for (const std::string number : {"9223372036854775807", "-9223372036854775808", "0"}) {
    WsTestClient peer(server_.port(), "/rest/tmq");
    subscribe(peer, "g" + number, "t", {{"auto_commit", "true"}, {"auto_commit_interval_ms", number}});
    for (int i = 0; i < 2; ++i) {
      const auto answer = ask(
          peer, R"({"action":"poll","args":{"req_id":1,"blocking_time":)" + std::string(i == 0 ? number : "0") + "}}");
      EXPECT_EQ(answer["have_message"].get<bool>(), i == 0) << answer;
    }
  }
  WsTestClient peer(server_.port(), "/rest/tmq");
  const auto answer = ask(peer, R"({"action":"subscribe","args":{"req_id":1,"user":"root","password":"taosdata",)"
                                R"("group_id":"g","topics":["t"],"auto_commit_interval_ms":"9223372036854775808"}})");
  EXPECT_EQ(answer["code"], 65535);
}

TEST_F(TmqServer, PingsAreAnsweredWhileAPollWaits) {
  WsTestClient peer(server_.port(), "/rest/tmq");
  subscribe(peer, "g");
  peer.send_message(WsTestClient::kText, poll(1, 60'000));
  peer.send_message(WsTestClient::kPing, "TAOS");
  const auto pong = peer.receive();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->opcode, WsTestClient::kPong);
  EXPECT_EQ(pong->payload, "TAOS");
}

TEST_F(TmqServer, ErrorsCarryWhatClientsCannotDoWithout) {
  WsTestClient peer(server_.port(), "/rest/tmq");
  const auto error = [&](std::string_view text) {
    const auto answer = ask(peer, text);
    EXPECT_EQ(answer.value("code", 0), 65535) << answer;
    EXPECT_TRUE(answer.contains("timing")) << answer;
    return answer;
  };
  EXPECT_EQ(error(R"({"action":"committed","args":{"req_id":1,"topic_vgroup_ids":[]}})")["committed"], Json::array());
  EXPECT_EQ(error(R"({"action":"position","args":{"req_id":1,"topic_vgroup_ids":[]}})")["position"], Json::array());
  EXPECT_TRUE(error(R"({"action":"fetch_json_meta","args":{"req_id":1,"message_id":1}})").contains("data"));
  error(R"({"action":"seek","args":{"req_id":1,"topic":"t","vgroup_id":2,"offset":0}})");
}

TEST_F(TmqServer, MessagesAreReadInEveryWayAlike) {
  for (int k = 0; k < 20; ++k) insert(k);
  WsTestClient peer(server_.port(), "/rest/tmq");
  subscribe(peer, "g", "td", {{"enable_batch_meta", "1"}});
  int rows = 0;
  std::uint64_t id = 0;
  while (true) {
    const auto message = ask(peer, poll(1, 0));
    if (!message["have_message"].get<bool>()) break;
    EXPECT_EQ(message["message_id"].get<std::uint64_t>(), ++id);
    const auto request = [&](const char* action) {
      return fmt::format(R"({{"action":"{}","args":{{"req_id":9,"message_id":{}}}}})", action, id);
    };
    const auto raw_data = peer.ask(request("fetch_raw_data"));
    const auto raw = peer.ask(request("fetch_raw"));
    const auto one = wire::decode_raw_data_answer(raw_data);
    const auto other = wire::decode_raw_answer(raw);
    EXPECT_EQ(one.payload, other.payload);
    EXPECT_EQ(one.type, other.type);
    if (message["message_type"] == 2) {
      EXPECT_EQ(ask(peer, request("fetch_json_meta"))["data"], Json::parse(one.payload));
      continue;
    }
    const auto payload = wire::decode_data_payload(one.payload);
    for (const auto& entry : payload.blocks) {
      const auto head = ask(peer, request("fetch"));
      EXPECT_EQ(head["table_name"], std::string(entry.table));
      EXPECT_EQ(head["rows"].get<std::uint64_t>(), entry.rows);
      EXPECT_EQ(wire::decode_message_block_answer(peer.ask(request("fetch_block"))).block, entry.block);
      rows += static_cast<int>(entry.rows);
    }
    EXPECT_TRUE(ask(peer, request("fetch"))["completed"].get<bool>());
  }
  EXPECT_EQ(rows, 20);
}

// Whatever a client sends: the server answers, is silent or ends the connection, and goes on.
TEST_F(TmqServer, DamagedMessagesDoNoHarm) {
  insert(1);
  const std::vector<std::string> good = {
      R"({"action":"poll","args":{"req_id":4,"blocking_time":0,"message_id":0}})",
      R"({"action":"fetch","args":{"req_id":5,"message_id":1}})",
      R"({"action":"fetch_block","args":{"req_id":6,"message_id":1}})",
      R"({"action":"fetch_raw_data","args":{"req_id":7,"message_id":1}})",
      R"({"action":"fetch_raw","args":{"req_id":7,"message_id":1}})",
      R"({"action":"fetch_json_meta","args":{"req_id":8,"message_id":1}})",
      R"({"action":"commit","args":{"req_id":9,"message_id":1}})",
      R"({"action":"commit_offset","args":{"req_id":10,"topic":"t","vgroup_id":2,"offset":1}})",
      R"({"action":"assignment","args":{"req_id":11,"topic":"t"}})",
      R"({"action":"seek","args":{"req_id":12,"topic":"t","vgroup_id":2,"offset":-9223372036854775808}})",
      R"({"action":"committed","args":{"req_id":13,"topic_vgroup_ids":[{"topic":"t","vgroup_id":2}]}})",
      R"({"action":"position","args":{"req_id":14,"topic_vgroup_ids":[{"topic":"t","vgroup_id":99999999999}]}})",
      R"({"action":"unsubscribe","args":{"req_id":15}})",
      R"({"action":"subscribe","args":{"req_id":16,"user":"root","password":"taosdata","group_id":"g","topics":["t"],"config":{"auto.offset.reset":"earliest"}}})"};
  std::mt19937 random(20'240'613);
  for (int round = 0; round < 6; ++round) {
    WsTestClient peer(server_.port(), "/rest/tmq");
    subscribe(peer, "g", round % 2 == 0 ? "t" : "td");
    for (int n = 0; n < 150; ++n) {
      auto text = good[random() % good.size()];
      for (auto changes = random() % 3; changes > 0 && !text.empty(); --changes) {
        const auto at = random() % text.size();
        switch (random() % 3) {
          case 0: text[at] = "{}[]\",:0-9tfn\\e"[random() % 15]; break;
          case 1: text.erase(at, 1 + random() % 8); break;
          default: text.insert(at, text.substr(random() % text.size(), random() % 12)); break;
        }
      }
      peer.send_message(random() % 20 == 0 ? WsTestClient::kBinary : WsTestClient::kText, text);
    }
    // The answer to a request at the end stands behind all others.
    peer.send_message(WsTestClient::kText, R"({"action":"version","args":{"req_id":4242}})");
    bool alive = false;
    while (const auto message = peer.receive()) {
      alive = message->payload.find("4242") != std::string::npos;
      if (alive) break;
    }
    EXPECT_TRUE(alive);
  }
}

}  // namespace
}  // namespace penstock::test
