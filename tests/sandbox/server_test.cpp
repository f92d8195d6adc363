#include "sandbox/server.h"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "base/error.h"
#include "sandbox/ws_test_client.h"
#include "wire/messages.h"
#include "wire/stmt2.h"

namespace penstock::sandbox {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using test::RawConnection;
using test::WsTestClient;

constexpr std::string_view kLogin =
    R"json({"action":"conn","args":{"req_id":1,"user":"root","password":"taosdata","db":""}})json";

std::string query(std::string_view sql) {
  return Json{{"action", "query"}, {"args", {{"req_id", 2}, {"sql", sql}}}}.dump();
}

TEST(Server, TellsWhatToDoWhenItCannotListen) {
  Server first({});
  Server::Options options;
  options.port = first.port();
  try {
    Server second(options);
    FAIL() << "two servers on one port";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::io);
    EXPECT_NE(std::string(error.what()).find("127.0.0.1:" + std::to_string(first.port())), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("another port"), std::string::npos) << error.what();
  }
  options.port = 0;
  options.address = "no.such.host.invalid";
  EXPECT_THROW(Server{options}, Error);
}

TEST(Server, StopsAtOnceWithOpenConnections) {
  auto server = std::make_unique<Server>(Server::Options{});
  WsTestClient idle(server->port());
  EXPECT_NE(idle.ask(kLogin), "");
  WsTestClient in_a_frame(server->port());
  in_a_frame.send("\x81\xfe");
  RawConnection silent(server->port());
  RawConnection in_a_head(server->port());
  in_a_head.send("POST /rest/sql HTTP/1.1\r\nContent-Le");
  RawConnection in_a_body(server->port());
  in_a_body.send("POST /rest/sql HTTP/1.1\r\nContent-Length: 100\r\n\r\nsel");
  const auto begun = std::chrono::steady_clock::now();
  server->stop();
  server->stop();
  server.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 1s);
  EXPECT_FALSE(idle.receive(5s));
  EXPECT_TRUE(idle.ended());
}

TEST(Server, ForgetsConnectionsThatEnded) {
  Server server({});
  for (int i = 0; i < 20; ++i) WsTestClient client(server.port());
  // A new connection is accepted after the ended ones woke the acceptor; ask until they are gone.
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (server.connection_count() > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(server.connection_count(), 0U);
}

TEST(Server, PingsAndDropsTheSilent) {
  Server::Options options;
  options.ping_every = 20ms;
  options.silence = 300ms;
  Server server(options);
  WsTestClient silent(server.port());
  WsTestClient pinging(server.port());
  WsTestClient answering(server.port());
  int pings = 0;
  // The one that answers lives well past the others' end.
  for (int i = 0; i < 25; ++i) {
    const auto message = answering.receive(10s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->opcode, WsTestClient::kPing);
    EXPECT_EQ(message->payload, "");
    answering.send_message(WsTestClient::kPong, "");
    pinging.send_message(WsTestClient::kPing, "TAOS");  // a client's own PING does not count
  }
  while (const auto message = silent.receive(10s)) {
    EXPECT_EQ(message->opcode, WsTestClient::kPing);
    ++pings;
  }
  EXPECT_TRUE(silent.ended());
  EXPECT_GE(pings, 5);
  while (pinging.receive(10s)) {
  }
  EXPECT_TRUE(pinging.ended());
  EXPECT_TRUE(answering.send_message(WsTestClient::kText, R"json({"action":"version"})json"));
  std::optional<WsTestClient::Message> answer;
  while ((answer = answering.receive(10s)) && answer->opcode == WsTestClient::kPing) {
  }
  ASSERT_TRUE(answer);
  EXPECT_EQ(Json::parse(answer->payload)["version"], "3.3.7.5");
}

TEST(Server, JoinsFragmentsAroundControlFrames) {
  Server server({});
  WsTestClient client(server.port(), "/ws", true);
  const std::string text = R"json({"action":"version","args":{"req_id":7}})json";
  for (const bool compressed : {false, true}) {
    for (const int frames : {1, 2, 3, 11}) {
      ASSERT_TRUE(client.send_message(WsTestClient::kText, text, {true, compressed, frames}));
      const auto answer = client.receive();
      ASSERT_TRUE(answer);
      EXPECT_TRUE(answer->compressed);
      EXPECT_EQ(Json::parse(answer->payload)["req_id"], 7);
    }
  }
  // A PING between two fragments (mask 0 leaves the payload as it is).
  ASSERT_TRUE(client.send(std::string("\x01\x94\0\0\0\0", 6) + text.substr(0, 20)));
  client.send_message(WsTestClient::kPing, "between");
  ASSERT_TRUE(client.send(std::string("\x80") + static_cast<char>(0x80 | (text.size() - 20)) + std::string(4, '\0') +
                          text.substr(20)));
  const auto pong = client.receive();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->opcode, WsTestClient::kPong);
  EXPECT_EQ(pong->payload, "between");
  EXPECT_EQ(Json::parse(client.receive().value().payload)["req_id"], 7);
}

TEST(Server, CarriesLongMessagesBothWays) {
  Server server({});
  for (const bool deflate : {false, true}) {
    WsTestClient client(server.port(), "/ws", deflate);
    // The name of the unknown action comes back: escaped letters make the answer long too.
    for (const std::size_t size :
         {std::size_t{125}, std::size_t{126}, std::size_t{65'535}, std::size_t{65'536}, std::size_t{5'000'000}}) {
      const std::string action(size, 'a');
      client.send_message(WsTestClient::kText, "{\"action\":\"" + action + "\"}", {true, deflate, 3});
      const auto answer = client.receive();
      ASSERT_TRUE(answer);
      EXPECT_EQ(Json::parse(answer->payload)["action"], action);
      EXPECT_EQ(answer->compressed, deflate);
    }
  }
}

TEST(Server, ClosesOnBrokenFrames) {
  struct Case {
    std::string bytes;
    int code;
  };
  const std::vector<Case> cases = {
      {std::string("\x81\x02{}", 4), 1002},                           // not masked
      {std::string("\xc1\x80\0\0\0\0", 6), 1002},                     // compressed, nothing negotiated
      {std::string("\xa1\x80\0\0\0\0", 6), 1002},                     // reserved bit
      {std::string("\x83\x80\0\0\0\0", 6), 1002},                     // reserved opcode
      {std::string("\x8b\x80\0\0\0\0", 6), 1002},                     // reserved control opcode
      {std::string("\x80\x80\0\0\0\0", 6), 1002},                     // continuation of nothing
      {std::string("\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12), 1002},    // new message inside another
      {std::string("\x09\x80\0\0\0\0", 6), 1002},                     // fragmented PING
      {std::string("\x89\xfe\0\x80\0\0\0\0", 8), 1002},               // long PING
      {std::string("\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 14), 1009},  // 2^62 bytes promised
  };
  Server server({});
  for (const auto& one : cases) {
    WsTestClient client(server.port());
    client.send(one.bytes);
    const auto close = client.receive();
    ASSERT_TRUE(close) << test::to_hex(one.bytes);
    EXPECT_EQ(close->opcode, WsTestClient::kClose);
    ASSERT_GE(close->payload.size(), 2U);
    EXPECT_EQ(static_cast<unsigned char>(close->payload[0]) * 256 + static_cast<unsigned char>(close->payload[1]),
              one.code)
        << test::to_hex(one.bytes);
    EXPECT_FALSE(client.receive());
    EXPECT_TRUE(client.ended());
  }
  WsTestClient client(server.port(), "/ws", true);
  client.send(std::string("\xc1\x84\0\0\0\0\xff\xff\xff\xff", 10));  // no deflate data
  EXPECT_EQ(client.receive().value().payload.substr(0, 2), "\x03\xef");
}

TEST(Server, AnswersTextThatIsNotUtf8) {
  Server server({});
  WsTestClient client(server.port());
  auto answer = Json::parse(client.ask("{\"action\":\"x\xff\xfe\"}"));
  EXPECT_EQ(answer["code"], 65535);
  EXPECT_EQ(answer["action"], "x\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Server, AnswersEveryShortBinaryMessage) {
  Server server({});
  WsTestClient client(server.port());
  ASSERT_EQ(Json::parse(client.ask(kLogin))["code"], 0);
  for (std::size_t size = 0; size < 24; ++size) {
    auto answer = Json::parse(client.ask_binary(std::string(size, '\1')));
    EXPECT_EQ(answer["code"], 65535);
    EXPECT_EQ(answer["message"], "message length is too short");
  }
  std::mt19937 random(11);
  for (std::uint64_t action = 0; action < 14; ++action) {
    for (std::size_t size = 24; size < 80; ++size) {
      std::string message(size, '\0');
      for (char& byte : message) byte = static_cast<char>(random() % 4 == 0 ? random() : 0);
      message.replace(16, 8, std::string(reinterpret_cast<const char*>(&action), 8));
      if (size > 26) message.replace(24, 2, std::string("\1\0", 2));
      EXPECT_NE(client.ask_binary(message), "") << "action " << action << " size " << size;
    }
  }
}

TEST(Server, SurvivesDamagedRequests) {
  Server server({});
  const std::vector<std::string> good = {
      std::string(kLogin), query("select 1"),
      R"json({"action":"insert","args":{"req_id":5,"protocol":1,"precision":"ms","data":"m,t1=a f=1i64 1626006833639"}})json",
      R"json({"action":"options_connection","args":{"req_id":11,"options":[{"option":1,"value":"Asia/Shanghai"}]}})json",
      R"json({"action":"stmt2_prepare","args":{"req_id":7,"stmt_id":1,"sql":"insert into ? using m tags(?) values(?)"}})json"};
  std::mt19937 random(5);
  auto client = std::make_unique<WsTestClient>(server.port());
  client->ask(kLogin);
  for (int i = 0; i < 2000; ++i) {
    std::string text = good[random() % good.size()];
    for (unsigned k = 0; k <= random() % 3; ++k) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = static_cast<char>(random());
      } else {
        text.erase(at, 1 + random() % 4);
      }
    }
    ASSERT_NE(client->ask(text), "") << text;
  }
  // Deep nesting must not exhaust the stack.
  EXPECT_EQ(Json::parse(client->ask(std::string(200'000, '[')))["code"], 65535);
  EXPECT_EQ(
      Json::parse(client->ask("{\"action\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}"))["code"],
      65535);
}

/// What is sent before CLOSE or the end is carried out; whatever a connection held goes with it.
TEST(Server, ServesManyConnectionsAtOnce) {
  Server server({});
  {
    WsTestClient client(server.port());
    client.ask(kLogin);
    ASSERT_EQ(Json::parse(client.ask(query("create database many")))["code"], 0);
    ASSERT_EQ(Json::parse(client.ask(query("create stable many.m (ts timestamp, v int) tags (g int)")))["code"], 0);
  }
  constexpr int kWriters = 4;
  constexpr int kRequests = 25;
  std::vector<std::jthread> writers;
  std::array<int, kWriters> good{};
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      WsTestClient client(server.port(), "/ws", w % 2 == 1);
      client.ask(kLogin);
      for (int r = 0; r < kRequests; ++r) {
        const std::string sql = "insert into many.t" + std::to_string(w) + " using many.m tags(" + std::to_string(w) +
                                ") values(" + std::to_string(1700000000000 + r) + "," + std::to_string(r) + ")";
        auto answer = Json::parse(client.ask(query(sql)));
        if (answer["code"] == 0 && answer["affected_rows"] == 1) ++good[static_cast<std::size_t>(w)];
      }
    });
  }
  writers.clear();
  for (const int count : good) EXPECT_EQ(count, kRequests);
  const auto reply = test::http(server.port(), "POST", "/rest/sql", {{"Authorization", "Basic cm9vdDp0YW9zZGF0YQ=="}},
                                "select count(*) from many.m");
  EXPECT_EQ(reply.body, R"json({"code":0,"column_meta":[["count(*)","BIGINT",8]],"data":[[100]],"rows":1})json");
}

TEST(Server, BindsManyTablesThroughOneStatement) {
  Server server({});
  WsTestClient client(server.port());
  client.ask(kLogin);
  ASSERT_EQ(Json::parse(client.ask(query("create database s2")))["code"], 0);
  ASSERT_EQ(Json::parse(client.ask(query("use s2")))["code"], 0);
  ASSERT_EQ(Json::parse(client.ask(query("create stable m (ts timestamp, v int, s varchar(8)) tags (g int)")))["code"],
            0);
  EXPECT_EQ(Json::parse(client.ask(
                R"json({"action":"stmt2_init","args":{"req_id":6,"single_stb_insert":true}})json"))["stmt_id"],
            1);
  auto prepared = Json::parse(client.ask(
      R"json({"action":"stmt2_prepare","args":{"req_id":7,"stmt_id":1,"sql":"insert into ? using m tags(?) values(?,?,?)","get_fields":true}})json"));
  EXPECT_EQ(prepared["fields_count"], 5);

  constexpr std::uint32_t kTables = 50;
  constexpr std::uint32_t kRows = 40;
  wire::Stmt2Encoder encoder;
  for (int round = 0; round < 2; ++round) {
    encoder.begin(1, 3);
    for (std::uint32_t t = 0; t < kTables; ++t) {
      encoder.begin_table("t" + std::to_string(t));
      encoder.fixed_tag(data::Type::integer, t);
      const auto times = encoder.fixed_column(data::Type::timestamp, kRows);
      for (std::uint32_t r = 0; r < kRows; ++r) {
        times.state[r] = 0;
        wire::store<std::int64_t>(times.values + 8 * r, 1700000000000 + r + 100 * round);
      }
      const auto values = encoder.fixed_column(data::Type::integer, kRows);
      for (std::uint32_t r = 0; r < kRows; ++r) {
        values.state[r] = r % 4 == 0;
        wire::store<std::int32_t>(values.values + 4 * r, static_cast<std::int32_t>(r));
      }
      const auto texts = encoder.variable_column(data::Type::varchar, kRows, 2 * kRows);
      for (std::uint32_t r = 0; r < kRows; ++r) {
        texts.state[r] = 0;
        wire::store<std::int32_t>(texts.lengths + 4 * r, 2);
        texts.data[2 * r] = 'x';
        texts.data[2 * r + 1] = static_cast<char>('a' + r % 26);
      }
    }
    EXPECT_EQ(Json::parse(client.ask_binary(encoder.join(8, 1)))["code"], 0);
    auto done = Json::parse(client.ask(R"json({"action":"stmt2_exec","args":{"req_id":9,"stmt_id":1}})json"));
    EXPECT_EQ(done["affected"], kTables * kRows) << done;
  }
  const auto reply =
      test::http(server.port(), "POST", "/rest/sql/s2", {{"Authorization", "Basic cm9vdDp0YW9zZGF0YQ=="}},
                 "select count(*), count(v), sum(v), max(s), count(s) from m");
  auto rows = Json::parse(reply.body)["data"][0];
  EXPECT_EQ(rows[0], 2 * kTables * kRows);
  EXPECT_EQ(rows[1], 2 * kTables * kRows * 3 / 4);
}

/// A bind of (timestamp, INT) for one table with any number of rows; the encoder refuses to make too many.
std::string bind_of_rows(std::uint32_t rows) {
  wire::Buffer records;
  const auto times = wire::Stmt2Encoder::fixed_record(records, data::Type::timestamp, rows);
  std::fill_n(times.state, rows, 0);
  std::fill_n(times.values, 8 * std::size_t{rows}, '\1');
  wire::Stmt2Encoder::uniform_record(records, data::Type::integer, rows, wire::CellState::null);
  std::string message;
  for (const std::uint64_t head : {8U, 1U, 9U}) wire::append(message, head);
  wire::append<std::uint16_t>(message, 1);
  wire::append<std::int32_t>(message, -1);
  const auto size = static_cast<std::uint32_t>(records.size());
  for (const std::uint32_t number : {28 + 4 + size, 1U, 0U, 2U, 0U, 0U, 28U, size}) wire::append(message, number);
  return message.append(records.view());
}

/// A statement that cannot be carried out is refused; the real adapter ends on most of these.
TEST(Server, RefusesStatementsOutOfOrder) {
  Server server({});
  WsTestClient client(server.port());
  client.ask(kLogin);
  client.ask(query("create database oo"));
  client.ask(query("use oo"));
  client.ask(query("create table t (ts timestamp, v int)"));
  const auto ask = [&](std::string_view action, std::string_view more = "") {
    return Json::parse(client.ask("{\"action\":\"" + std::string(action) + "\",\"args\":{\"req_id\":1,\"stmt_id\":1" +
                                  std::string(more) + "}}"))["code"]
        .get<int>();
  };
  EXPECT_EQ(ask("stmt2_exec"), 65535);  // unknown
  EXPECT_EQ(ask("stmt2_init"), 0);
  EXPECT_EQ(ask("stmt2_exec"), 0x022A);  // nothing prepared
  EXPECT_EQ(ask("stmt2_result"), 65535);
  EXPECT_EQ(ask("stmt2_prepare", R"json(,"sql":"insert into t values(?,?)","get_fields":true)json"), 0);
  EXPECT_EQ(ask("stmt2_exec"), 0x022A);  // nothing bound

  wire::Stmt2Encoder encoder;
  const auto bind = [&](std::uint32_t rows, data::Type value_type) {
    encoder.begin(0, 2);
    encoder.begin_table(std::nullopt);
    const auto times = encoder.fixed_column(data::Type::timestamp, rows);
    for (std::uint32_t r = 0; r < rows; ++r) {
      times.state[r] = 0;
      wire::store<std::int64_t>(times.values + 8 * r, 1700000000000 + r);
    }
    encoder.uniform_column(value_type, rows, wire::CellState::null);
    return Json::parse(client.ask_binary(encoder.join(8, 1)))["code"].get<int>();
  };
  EXPECT_EQ(bind(1, data::Type::bigint), 0x0200);
  EXPECT_EQ(bind(1, data::Type::integer), 0x0200) << "a refused bind spoils the statement";
  EXPECT_EQ(ask("stmt2_exec"), 0x0200);
  EXPECT_EQ(ask("stmt2_prepare", R"json(,"sql":"insert into t values(?,?)","get_fields":true)json"), 0);
  EXPECT_EQ(Json::parse(client.ask_binary(bind_of_rows(32768)))["code"], 0x0236);
  EXPECT_EQ(ask("stmt2_prepare", R"json(,"sql":"insert into t values(?,?)","get_fields":true)json"), 0);
  EXPECT_EQ(bind(32767, data::Type::integer), 0);
  EXPECT_EQ(ask("stmt2_exec"), 0);
  EXPECT_EQ(ask("stmt2_exec"), 0x022A) << "every exec needs a bind";
  EXPECT_EQ(ask("stmt2_close"), 0);
  EXPECT_EQ(ask("stmt2_close"), 0);
}

}  // namespace
}  // namespace penstock::sandbox
