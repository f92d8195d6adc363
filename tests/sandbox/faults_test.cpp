#include "sandbox/faults.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "sandbox/server.h"
#include "sandbox/ws_test_client.h"
#include "wire/bytes.h"
#include "wire/messages.h"

namespace penstock::test {
namespace {

using Json = nlohmann::json;
using sandbox::FaultRule;
using Kind = FaultRule::Kind;
using When = FaultRule::When;
using namespace std::chrono_literals;

constexpr std::string_view kLogin =
    R"({"action":"conn","args":{"req_id":1,"user":"root","password":"taosdata","db":""}})";
const Headers kBasic = {{"Authorization", "Basic cm9vdDp0YW9zZGF0YQ=="}};

FaultRule rule(Kind kind, std::string endpoint, std::string action, When when = When::before) {
  FaultRule made;
  made.kind = kind;
  made.when = when;
  made.endpoint = std::move(endpoint);
  made.action = std::move(action);
  return made;
}

std::string query(std::string_view sql, int id = 7) {
  return Json{{"action", "query"}, {"args", {{"req_id", id}, {"sql", sql}}}}.dump();
}

class FaultsTest : public testing::Test {
 protected:
  std::unique_ptr<WsTestClient> logged_in() {
    auto client = std::make_unique<WsTestClient>(server.port());
    EXPECT_EQ(Json::parse(client->ask(kLogin))["code"], 0);
    return client;
  }
  bool has_database(const std::string& name) {
    return logged_in()->ask(query("use " + name)).find("\"code\":0") != std::string::npos;
  }
  sandbox::Server server{{}};
};

TEST_F(FaultsTest, DropsBeforeAndAfterCarryingOut) {
  const struct {
    When when;
    const char* database;
    bool made;
  } cases[] = {{When::before, "never", false}, {When::after, "made", true}};
  for (const auto& one : cases) {
    server.faults().set({rule(Kind::drop, "/ws", "query", one.when)});
    auto client = logged_in();
    EXPECT_EQ(client->ask(query(std::string("create database ") + one.database)), "");
    EXPECT_TRUE(client->ended());
    EXPECT_EQ(server.faults().applied(), 1u);
    EXPECT_EQ(has_database(one.database), one.made);
  }
}

TEST_F(FaultsTest, CountsOverConnectionsAndStopsAfterItsTimes) {
  auto refusal = rule(Kind::refuse, "/ws", "query");
  refusal.first = 2;
  refusal.times = 2;
  refusal.code = 0x0911;
  refusal.text = "Sync not ready";
  server.faults().set({refusal});
  std::vector<int> codes;
  for (int i = 0; i < 4; ++i) codes.push_back(Json::parse(logged_in()->ask(query("select 1")))["code"]);
  EXPECT_EQ(codes, (std::vector<int>{0, 0x0911, 0x0911, 0}));
  EXPECT_EQ(server.faults().applied(), 2u);
}

TEST_F(FaultsTest, RefusalHasTheShapeOfTheEndpoint) {
  server.faults().set({rule(Kind::refuse, "/ws", "query"), rule(Kind::refuse, "/ws", "7"),
                       rule(Kind::refuse, "/ws", "stmt2_exec"), rule(Kind::refuse, "/rest/sql", ""),
                       rule(Kind::refuse, "/influxdb", ""), rule(Kind::refuse, "/opentsdb", "POST")});
  auto client = logged_in();
  const auto text = Json::parse(client->ask(query("select 1", 99)));
  EXPECT_EQ(text["code"], 0x0118);
  EXPECT_EQ(text["message"], "refused by the test");
  EXPECT_EQ(text["action"], "query");
  EXPECT_EQ(text["req_id"], 99);
  const auto statement = Json::parse(client->ask(R"({"action":"stmt2_exec","args":{"req_id":5,"stmt_id":3}})"));
  EXPECT_EQ(statement["stmt_id"], 3);
  const auto fetch = client->ask_binary(wire::encode_fetch(12, 4));
  ASSERT_TRUE(wire::is_fetch_answer(fetch));
  EXPECT_EQ(wire::decode_fetch_answer(fetch).code, 0x0118);
  EXPECT_EQ(wire::decode_fetch_answer(fetch).request_id, 12u);

  const auto rest = http(server.port(), "POST", "/rest/sql", kBasic, "select 1");
  EXPECT_EQ(rest.status, 200);
  EXPECT_EQ(Json::parse(rest.body)["code"], 0x0118);
  const auto influx = http(server.port(), "POST", "/influxdb/v1/write?db=x", kBasic, "m v=1");
  EXPECT_EQ(influx.status, 500);
  EXPECT_EQ(Json::parse(influx.body)["message"], "[0x118] refused by the test");
  const auto tsdb = http(server.port(), "POST", "/opentsdb/v1/put/json/x", kBasic, "[]");
  EXPECT_EQ(tsdb.status, 500);
  EXPECT_EQ(Json::parse(tsdb.body)["code"], 500);
}

TEST_F(FaultsTest, StaysSilentDelaysAndGoesOn) {
  auto delay = rule(Kind::delay, "/ws", "get_current_db");
  delay.wait = 50ms;
  server.faults().set({rule(Kind::silence, "/ws", "query", When::after), delay});
  auto client = logged_in();
  client->send_message(WsTestClient::kText, query("create database quiet"));
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = Json::parse(client->ask(R"({"action":"get_current_db","args":{"req_id":3}})"));
  EXPECT_EQ(answer["req_id"], 3) << "the query must not be answered";
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 50ms);
  EXPECT_TRUE(has_database("quiet"));
}

TEST_F(FaultsTest, SpoilsAnswers) {
  server.faults().set({rule(Kind::wrong_request_id, "/ws", "query"),
                       rule(Kind::wrong_request_id, "/ws", "fetch_raw_block"),
                       rule(Kind::truncate, "/ws", "get_current_db"), rule(Kind::damage, "/ws", "get_server_info")});
  auto client = logged_in();
  const auto answer = Json::parse(client->ask(query("select 1")));
  EXPECT_EQ(answer["code"], 0);
  EXPECT_NE(answer["req_id"], 7);
  const auto fetch = client->ask_binary(wire::encode_fetch(12, answer["id"]));
  EXPECT_NE(wire::decode_fetch_answer(fetch).request_id, 12u);
  EXPECT_FALSE(wire::decode_fetch_answer(fetch).block.empty());
  EXPECT_FALSE(Json::accept(client->ask(R"({"action":"get_current_db","args":{"req_id":3}})")));
  const auto damaged = client->ask(R"({"action":"get_server_info","args":{"req_id":3}})");
  EXPECT_TRUE(damaged.find("3.3.7.5") == std::string::npos || !Json::accept(damaged) ||
              damaged.find("\"action\":\"get_server_info\",\"req_id\":3,") == std::string::npos);
  EXPECT_EQ(server.faults().applied(), 4u);
}

TEST_F(FaultsTest, CutsAnswersOff) {
  server.faults().set({rule(Kind::cut_off, "/ws", "query"), rule(Kind::cut_off, "/rest/sql", "")});
  auto client = logged_in();
  client->send_message(WsTestClient::kText, query("select 1"));
  EXPECT_FALSE(client->receive().has_value());
  EXPECT_TRUE(client->ended());
  RawConnection connection(server.port());
  connection.send(
      "POST /rest/sql HTTP/1.1\r\nAuthorization: Basic cm9vdDp0YW9zZGF0YQ==\r\nContent-Length: 8\r\n\r\nselect 1");
  std::string all;
  while (const auto some = connection.receive_some(20s)) {
    if (some->empty()) break;
    all += *some;
  }
  const auto body = all.find("\r\n\r\n");
  ASSERT_NE(body, std::string::npos);
  const auto told = all.find("Content-Length: ");
  ASSERT_NE(told, std::string::npos);
  EXPECT_EQ((all.size() - body - 4), std::stoul(all.substr(told + 16)) / 2);
}

TEST_F(FaultsTest, RefusesWithABodyOfItsOwn) {
  auto memory = rule(Kind::refuse, "/rest/sql", "");
  memory.http_status = 503;
  memory.http_body = "\"memory exceeds threshold\"";
  server.faults().set({memory});
  const auto refused = http(server.port(), "POST", "/rest/sql", kBasic, "select 1");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.body, memory.http_body);
}

TEST_F(FaultsTest, MatchesBytesOfTheRequest) {
  auto only = rule(Kind::refuse, "", "");
  only.contains = "select 2";
  only.times = 0;
  server.faults().set({only});
  auto client = logged_in();
  EXPECT_EQ(Json::parse(client->ask(query("select 1")))["code"], 0);
  EXPECT_EQ(Json::parse(client->ask(query("select 2")))["code"], 0x0118);
  EXPECT_EQ(Json::parse(client->ask_binary(wire::encode_query(4, "select 2")))["code"], 0x0118);
  EXPECT_EQ(Json::parse(http(server.port(), "POST", "/rest/sql", kBasic, "select 2").body)["code"], 0x0118);
  server.faults().clear();
  EXPECT_EQ(Json::parse(client->ask(query("select 2")))["code"], 0);
}

TEST_F(FaultsTest, RefusesAndDropsConnections) {
  auto busy = rule(Kind::refuse, "/ws", "connect");
  auto moved = busy;
  moved.first = 2;
  moved.http_status = 404;
  auto full = rule(Kind::refuse, "/rest/sql", "");
  full.first = 3;
  full.http_status = 503;
  server.faults().set(
      {busy, moved, full, rule(Kind::drop, "/rest/stmt", "connect"), rule(Kind::drop, "/rest/sql", "")});
  EXPECT_EQ(WsTestClient(server.port(), "/ws", upgrade_headers()).upgrade.status, 503);
  EXPECT_EQ(WsTestClient(server.port(), "/ws", upgrade_headers()).upgrade.status, 404);
  EXPECT_EQ(WsTestClient(server.port(), "/ws", upgrade_headers()).upgrade.status, 101);
  EXPECT_EQ(WsTestClient(server.port(), "/rest/stmt", upgrade_headers()).upgrade.status, 0);
  EXPECT_EQ(http(server.port(), "POST", "/rest/sql", kBasic, "select 1").status, 0);
  EXPECT_EQ(http(server.port(), "POST", "/rest/sql", kBasic, "select 1").status, 200);
  const auto refused = http(server.port(), "POST", "/rest/sql", kBasic, "select 1");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(Json::parse(refused.body)["code"], 0x0118);
}

TEST_F(FaultsTest, StopEndsWaits) {
  auto delay = rule(Kind::delay, "/ws", "query");
  delay.wait = 10min;
  server.faults().set({delay, rule(Kind::silence, "/rest/sql", "")});
  auto client = logged_in();
  client->send_message(WsTestClient::kText, query("select 1"));
  std::jthread other([port = server.port()] { http(port, "POST", "/rest/sql", kBasic, "select 1"); });
  while (server.faults().applied() < 2) std::this_thread::yield();
  server.stop();
  EXPECT_FALSE(client->receive().has_value());
}

/// Polls are answered out of turn: their faults wait for the answers.
TEST_F(FaultsTest, ReachesPollsThatAreAnsweredLater) {
  auto client = logged_in();
  for (const auto* sql :
       {"create database topical wal_retention_period 3600", "use topical", "create table t (ts timestamp, v int)",
        "create topic tp as select * from t", "insert into t values (1700000000000, 1)"}) {
    ASSERT_EQ(Json::parse(client->ask(query(sql)))["code"], 0) << sql;
  }
  WsTestClient consumer(server.port(), "/rest/tmq");
  const Json subscribe = {{"action", "subscribe"},
                          {"args",
                           {{"req_id", 1},
                            {"user", "root"},
                            {"password", "taosdata"},
                            {"group_id", "g"},
                            {"offset_reset", "earliest"},
                            {"topics", {"tp"}}}}};
  ASSERT_EQ(Json::parse(consumer.ask(subscribe.dump()))["code"], 0);
  const auto poll = [](int id) {
    return Json{{"action", "poll"}, {"args", {{"req_id", id}, {"blocking_time", 50}}}}.dump();
  };
  auto late = rule(Kind::delay, "/rest/tmq", "poll");
  late.wait = 30ms;
  auto refusal = rule(Kind::refuse, "/rest/tmq", "poll", When::after);
  auto wrong = rule(Kind::wrong_request_id, "/rest/tmq", "poll");
  auto drop = rule(Kind::drop, "/rest/tmq", "poll", When::after);
  refusal.first = 2;
  wrong.first = 3;
  drop.first = 4;
  server.faults().set({late, refusal, wrong, drop});
  EXPECT_EQ(Json::parse(consumer.ask(poll(11)))["req_id"], 11);
  const auto refused = Json::parse(consumer.ask(poll(12)));
  EXPECT_EQ(refused["code"], 0x0118);
  EXPECT_EQ(refused["req_id"], 12);
  const auto other = Json::parse(consumer.ask(poll(13)));
  EXPECT_EQ(other["code"], 0);
  EXPECT_NE(other["req_id"], 13);
  EXPECT_EQ(consumer.ask(poll(14)), "");
  EXPECT_TRUE(consumer.ended());
  EXPECT_EQ(server.faults().applied(), 4u);
}

TEST(FaultRules, AreTakenFromTheOptions) {
  sandbox::Server::Options options;
  options.faults.push_back(rule(Kind::drop, "/rest/sql", "POST"));
  sandbox::Server server(options);
  EXPECT_EQ(http(server.port(), "POST", "/rest/sql", kBasic, "select 1").status, 0);
  EXPECT_EQ(http(server.port(), "POST", "/rest/sql", kBasic, "select 1").status, 200);
}

}  // namespace
}  // namespace penstock::test
