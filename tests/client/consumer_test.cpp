#include "client/consumer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>

#include "client/connection.h"
#include "client/detail/consumer_backend.h"
#include "client/message_text.h"
#include "client/scripted_server.h"
#include "wire/block.h"
#include "wire/bytes.h"
#include "wire/tmq.h"

namespace penstock::client {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

const Consumer::Config kGroup{{"group.id", "g"}, {"auto.offset.reset", "earliest"}};

std::string delivery(int id, int offset, int type = 1, int vgroup = 7) {
  return fmt::format(
      R"("have_message":true,"topic":"t","database":"d","vgroup_id":{},"message_type":{},"message_id":{},"offset":{})",
      vgroup, type, id, offset);
}

// The adapter's side: takes requests of one connection and says what is asked.
struct Adapter {
  Peer& peer;
  explicit Adapter(Peer& p) : peer(p) {
    peer.upgrade();
    const auto version = peer.receive();
    peer.answer(version, "version", R"("version":"3.3.7.5")");
  }
  /// The next request, which must be this.
  Peer::Message expect(const std::string& action) {
    auto request = peer.receive();
    const auto got = request.json().at("action").get<std::string>();
    if (got != action) throw std::runtime_error("expected " + action + ", got " + request.bytes);
    return request;
  }
  void join() { peer.answer(expect("subscribe"), "subscribe", R"("version":"3.3.7.5")"); }
  json answer(const std::string& action, const std::string& members = {}) {
    const auto request = expect(action);
    peer.answer(request, action, members);
    return request.json()["args"];
  }
};

Consumer subscribed(const ScriptedServer& server, Consumer::Config config = kGroup, const std::string& rest = {}) {
  config.emplace("enable.auto.commit", "false");
  auto consumer = Consumer::open(server.dsn(rest), config);
  consumer.subscribe({"t"});
  return consumer;
}

// The answer to fetch_raw_data: one row of one table, from one place in the log to another.
std::string one_row(const Peer::Message& request, std::int64_t from, std::int64_t to) {
  wire::BlockWriter writer({{data::Type::timestamp, 8},
                            {data::Type::decimal64, wire::BlockWriter::decimal_bytes(data::Type::decimal64, 10, 2)}});
  writer.add_fixed(0, 1'700'000'000'000'123);
  writer.add_fixed(1, static_cast<std::uint64_t>(-1234));
  const auto block = writer.finish(1, 2);
  wire::DataPayload payload;
  const auto head = wire::message_head(from, to);
  payload.head = head;
  payload.with_tables = true;
  payload.columns = {{data::Type::timestamp, 1, 8, 1, "ts"}, {data::Type::decimal64, 1, 8, 2, "amount"}};
  payload.blocks = {{1, 1, block, 1, 0, 2, "c1"}};
  wire::RawDataAnswer answer;
  answer.request_id = request.json()["args"]["req_id"];
  answer.message_id = request.json()["args"]["message_id"];
  answer.type = 2;
  const auto bytes = wire::encode_data_payload(payload);
  answer.payload = bytes;
  return wire::encode_raw_data_answer(answer);
}

#define EXPECT_NO_FAILURES(server) EXPECT_EQ((server).failures(), std::vector<std::string>{})

TEST(Consumer, SaysEveryPropertyInItsMember) {
  json first, second;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    const auto request = adapter.expect("subscribe");
    first = request.json()["args"];
    peer.answer(request, "subscribe");
    adapter.answer("unsubscribe");
    second = adapter.answer("subscribe");
    peer.wait_for_end();
  });
  {
    auto options = Options::parse(server.dsn("/d1?timezone=Asia/Shanghai&app=mine&token=secret"));
    options.bearer_token = "bearer";
    const auto port = options.endpoints[0].port;
    options.endpoints = {{"nowhere.invalid", 1}};
    auto consumer = Consumer::open(options, {{"td.connect.ip", "127.0.0.1"},
                                             {"td.connect.port", std::to_string(port)},
                                             {"td.connect.user", "u\"x"},
                                             {"td.connect.pass", "p"},
                                             {"td.connect.db", "d2"},
                                             {"td.connect.token", "other"},
                                             {"td.connect.websocket.scheme", "ws"},
                                             {"group.id", "g"},
                                             {"client.id", "c"},
                                             {"auto.offset.reset", "Latest"},
                                             {"enable.auto.commit", "0"},
                                             {"auto.commit.interval.ms", "250"},
                                             {"msg.with.table.name", "TRUE"},
                                             {"experimental.snapshot.enable", "1"},
                                             {"session.timeout.ms", "12000"},
                                             {"max.poll.interval.ms", "300000"},
                                             {"msg.enable.batchmeta", "true"},
                                             {"msg.consume.excluded", "1"},
                                             {"msg.consume.rawdata", "0"},
                                             {"fetch.max.wait.ms", "100"}});
    consumer.subscribe({"t1", "t\"2"});
    consumer.unsubscribe();
    consumer.subscribe({"t3"});
    EXPECT_EQ(consumer.topics(), std::vector<std::string>{"t3"});
  }
  EXPECT_NO_FAILURES(server);
  first.erase("req_id");
  EXPECT_EQ(first, json::parse(R"({"user":"u\"x","password":"p","db":"d2","tz":"Asia/Shanghai","app":"mine",
    "group_id":"g","client_id":"c","offset_reset":"latest","auto_commit":"false","auto_commit_interval_ms":"250",
    "with_table_name":"true","snapshot_enable":"true","session_timeout_ms":"12000","max_poll_interval_ms":"300000",
    "enable_batch_meta":"1","msg_consume_excluded":"1","msg_consume_rawdata":"0","topics":["t1","t\"2"],
    "config":{"fetch.max.wait.ms":"100","td.connect.token":"bearer"}})"));
  EXPECT_EQ(second["topics"], json({"t3"}));
}

TEST(Consumer, DefaultsAreThoseOfTheDocumentation) {
  json args;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    args = adapter.answer("subscribe");
    peer.wait_for_end();
  });
  {
    auto consumer = Consumer::open(server.dsn(), {{"group.id", "g"}});
    consumer.subscribe({"t"});
  }
  EXPECT_NO_FAILURES(server);
  args.erase("req_id");
  EXPECT_EQ(args, json::parse(R"({"user":"root","password":"taosdata","db":"","app":"penstock","group_id":"g",
    "auto_commit":"true","auto_commit_interval_ms":"5000","topics":["t"]})"));
}

TEST(Consumer, RefusesPropertiesThatCannotBe) {
  for (const Consumer::Config& config :
       std::vector<Consumer::Config>{{},
                                     {{"group.id", ""}},
                                     {{"group.id", "g"}, {"auto.offset.reset", "middle"}},
                                     {{"group.id", "g"}, {"enable.auto.commit", "yes"}},
                                     {{"group.id", "g"}, {"auto.commit.interval.ms", "0"}},
                                     {{"group.id", "g"}, {"session.timeout.ms", "5999"}},
                                     {{"group.id", "g"}, {"max.poll.interval.ms", "x"}},
                                     {{"group.id", "g"}, {"msg.with.table.name", "2"}},
                                     {{"group.id", "g"}, {"td.connect.port", "65536"}},
                                     {{"group.id", "g"}, {"td.connect.websocket.scheme", "http"}}}) {
    const auto name = config.empty()       ? std::string("group.id")
                      : config.size() == 1 ? "group.id"
                                           : [&] {
                                               for (const auto& [key, value] : config)
                                                 if (key != "group.id") return key;
                                               return std::string();
                                             }();
    try {
      Consumer::open("ws://127.0.0.1:1", config);
      ADD_FAILURE() << name;
    } catch (const InterfaceError& error) {
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(Consumer::open("http://127.0.0.1:1", kGroup), InterfaceError);
}

TEST(Consumer, AsksAgainWithoutBatchMetaWhereTheServerDoesNotKnowIt) {
  for (const auto& [code, text] : {std::pair(0xFFFE, "Unknown error 65534"),
                                   std::pair(0x0118, "unknown configuration key: msg.enable.batchmeta")}) {
    ScriptedServer server([&, refusal = code, why = text](Peer& peer, std::size_t) {
      Adapter adapter(peer);
      const auto first = adapter.expect("subscribe");
      if (!first.json()["args"].contains("enable_batch_meta")) throw std::runtime_error("no batch meta");
      peer.refuse(first, "subscribe", refusal, why);
      if (adapter.answer("subscribe").contains("enable_batch_meta")) throw std::runtime_error("batch meta again");
      peer.wait_for_end();
    });
    { const auto consumer = subscribed(server, {{"group.id", "g"}, {"msg.enable.batchmeta", "1"}}); }
    EXPECT_NO_FAILURES(server);
  }
}

TEST(Consumer, RefusalsOfASubscriptionSayWhatToDo) {
  struct Case {
    int code;
    std::string text, part;
    Errc errc;
  };
  for (const Case& c :
       {Case{0x03E1, "Topic not exist", "Topic not exist", Errc::config},
        Case{0xFFFF, "init tscObj failed", "wrong user or password", Errc::auth},
        Case{0x0357, "Authentication failure", "wrong user or password", Errc::auth},
        Case{0xFFFE, "Unknown error 65534", "no.such.key=1", Errc::config},
        Case{0x0118, "unknown configuration key: no.such.key", "no.such.key=1", Errc::config},
        Case{0xFFFF, "fail", "no.such.key=1", Errc::config}, Case{0x0020, "", "no reason given", Errc::server}}) {
    ScriptedServer server([&](Peer& peer, std::size_t) {
      Adapter adapter(peer);
      peer.refuse(adapter.expect("subscribe"), "subscribe", c.code, c.text);
      peer.wait_for_end();
    });
    auto consumer = Consumer::open(server.dsn(), {{"group.id", "g"}, {"no.such.key", "1"}});
    try {
      consumer.subscribe({"t"});
      ADD_FAILURE() << c.text;
    } catch (const ClientError& error) {
      EXPECT_EQ(error.code(), c.errc) << error.what();
      EXPECT_EQ(error.server_code(), c.code);
      EXPECT_EQ(error.action(), "subscribe");
      EXPECT_NE(std::string(error.what()).find(c.part), std::string::npos) << error.what();
      EXPECT_EQ(dynamic_cast<const ConnectionError*>(&error) != nullptr, c.errc == Errc::auth);
    }
    EXPECT_TRUE(consumer.topics().empty());
  }
}

TEST(Consumer, ReadsRowsWithNamesTypesAndPlaceOnce) {
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    adapter.join();
    adapter.answer("poll", delivery(1, 4));
    const auto fetch = adapter.expect("fetch_raw_data");
    peer.send(one_row(fetch, 4, 9), false);
    if (adapter.answer("commit_offset")["offset"] != 9) throw std::runtime_error("not behind the message");
    peer.wait_for_end();
  });
  {
    auto consumer = subscribed(server, kGroup, "?timezone=Asia/Shanghai");
    auto message = consumer.poll(1s);
    ASSERT_TRUE(message);
    const std::string known = "[c1: ts TIMESTAMP(8) amount DECIMAL(8)\n2023-11-15T06:13:20.000123+08:00|-12.34|]\n";
    EXPECT_EQ(text_of(message->blocks()), known);
    EXPECT_EQ(text_of(message->blocks()), known);  // asked for once only
    EXPECT_EQ(message->raw().type, 2);
    EXPECT_EQ(message->json(), "");
    auto blocks = message->blocks();
    EXPECT_EQ(blocks.at(0).rows.fields().at(1).scale, 2);
    EXPECT_EQ(blocks.at(0).rows.fields().at(1).precision, 10);
    consumer.commit(*message);
    message.reset();
    EXPECT_EQ(text_of(std::move(blocks)), known);  // outlives its message
  }
  EXPECT_NO_FAILURES(server);
}

TEST(Consumer, AMessageIsCommittedToItsEndHoweverThatIsKnown) {
  std::vector<json> commits;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    adapter.join();
    adapter.answer("poll", delivery(1, 5, 2));  // meta: its offset is its end
    commits.push_back(adapter.answer("commit_offset"));
    adapter.answer("poll", delivery(2, 5));
    adapter.answer("position", R"("position":[8])");  // newest and not read
    commits.push_back(adapter.answer("commit_offset"));
    adapter.answer("poll", delivery(3, 8));
    adapter.answer("poll", delivery(4, 11));
    commits.push_back(adapter.answer("commit_offset"));  // the message before the newest: where the newest begins
    adapter.answer("poll", delivery(5, 30, 1, 8));       // of another vgroup
    adapter.answer("poll", delivery(6, -1, 1, 9));       // of a snapshot: all that was delivered
    adapter.answer("commit");
    adapter.answer("seek");
    peer.wait_for_end();
  });
  {
    auto consumer = subscribed(server);
    consumer.commit(*consumer.poll(1s));
    consumer.commit(*consumer.poll(1s));
    const auto third = consumer.poll(1s);
    const auto fourth = consumer.poll(1s);
    consumer.commit(*third);
    ASSERT_TRUE(consumer.poll(1s));
    consumer.commit(*consumer.poll(1s));
    consumer.seek({"t", 7, 0});
    EXPECT_THROW(consumer.commit(*fourth), InterfaceError);
  }
  EXPECT_NO_FAILURES(server);
  ASSERT_EQ(commits.size(), 3U);
  EXPECT_EQ(commits[0]["offset"], 5);
  EXPECT_EQ(commits[1]["offset"], 8);
  EXPECT_EQ(commits[2]["offset"], 11);
  EXPECT_EQ(commits[2]["vgroup_id"], 7);
}

TEST(Consumer, PollsEndInTimeAndOnlyOneIsUnderWay) {
  std::size_t polls = 0;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    adapter.join();
    const auto first = adapter.expect("poll");
    ++polls;
    const auto assignment = adapter.expect("assignment");  // and no second poll
    peer.answer(assignment, "assignment", R"("assignment":[{"vgroup_id":7,"offset":3,"begin":0,"end":9}])");
    peer.answer(first, "poll", delivery(1, 3));
    adapter.answer("commit_offset");
    peer.wait_for_end();
  });
  {
    auto consumer = subscribed(server);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(consumer.poll(20ms));
    EXPECT_FALSE(consumer.poll(20ms));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
    const auto parts = consumer.assignment("t");
    ASSERT_EQ(parts.size(), 1U);
    EXPECT_EQ(parts[0].end, 9);
    const auto message = consumer.poll(1s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->offset(), 3);
    consumer.commit(Offset{"t", 7, 4});
  }
  EXPECT_NO_FAILURES(server);
  EXPECT_EQ(polls, 1U);
}

TEST(Consumer, ACommitLeavesOutWhatCameLate) {
  std::vector<json> commits;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    adapter.join();
    adapter.answer("poll", delivery(1, 0));
    adapter.answer("poll", delivery(2, 50, 1, 8));
    const auto late = adapter.expect("poll");
    const auto committed = adapter.expect("committed");  // the poll is over for the one who called it
    peer.answer(committed, "committed", R"("committed":[-2147467247])");
    peer.answer(late, "poll", delivery(3, 6));
    commits.push_back(adapter.answer("commit_offset"));
    adapter.answer("position", R"("position":[57])");
    commits.push_back(adapter.answer("commit_offset"));
    peer.wait_for_end();
  });
  {
    auto consumer = subscribed(server);
    ASSERT_TRUE(consumer.poll(1s));
    ASSERT_TRUE(consumer.poll(1s));
    EXPECT_FALSE(consumer.poll(1ms));
    EXPECT_EQ(consumer.committed("t", 7), std::nullopt);
    consumer.commit();
    const auto message = consumer.poll(1s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->offset(), 6);
  }
  EXPECT_NO_FAILURES(server);
  std::map<int, int> places;
  for (const auto& commit : commits) places[commit["vgroup_id"]] = commit["offset"];
  EXPECT_EQ(places, (std::map<int, int>{{7, 6}, {8, 57}}));
}

TEST(Consumer, ALostConnectionIsToldOnceAndThenMadeAnew) {
  ScriptedServer server([&](Peer& peer, std::size_t index) {
    Adapter adapter(peer);
    adapter.join();
    if (index == 0) {
      adapter.answer("poll", delivery(1, 3));
      adapter.expect("poll");
      peer.drop();
      return;
    }
    if (adapter.answer("poll", delivery(1, 3))["message_id"] != 0)
      throw std::runtime_error("an id of another connection");
    peer.wait_for_end();
  });
  {
    auto consumer = subscribed(server);
    auto lost = consumer.poll(1s);
    ASSERT_TRUE(lost);
    EXPECT_THROW(consumer.poll(1s), ConnectionError);
    EXPECT_THROW(lost->blocks(), TmqError);
    const auto again = consumer.poll(1s);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->offset(), 3);
    EXPECT_THROW(consumer.commit(*lost), TmqError);
  }
  EXPECT_NO_FAILURES(server);
  EXPECT_EQ(server.connections(), 2U);
}

TEST(Consumer, WithoutReconnectALostConnectionStaysLost) {
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    adapter.join();
    adapter.expect("poll");
    peer.drop();
  });
  auto consumer = subscribed(server, kGroup, "?reconnect=false");
  EXPECT_THROW(consumer.poll(1s), ConnectionError);
  EXPECT_THROW(consumer.poll(1s), ConnectionError);
  EXPECT_EQ(server.connections(), 1U);
}

TEST(Consumer, OneThatTheServerPutOutJoinsAgain) {
  ScriptedServer server([&](Peer& peer, std::size_t index) {
    Adapter adapter(peer);
    adapter.join();
    if (index == 0) {
      peer.refuse(adapter.expect("poll"), "poll", 0x4002, "Consumer closed");
    } else {
      adapter.answer("poll", delivery(1, 0));
    }
    peer.wait_for_end();
  });
  {
    auto consumer = subscribed(server);
    EXPECT_THROW(consumer.poll(1s), TmqError);
    EXPECT_TRUE(consumer.poll(1s));
  }
  EXPECT_NO_FAILURES(server);
}

TEST(Consumer, ASilentServerCostsTheRequestTimeoutAndIsLeft) {
  ScriptedServer server([&](Peer& peer, std::size_t index) {
    Adapter adapter(peer);
    adapter.join();
    if (index == 0) adapter.expect("assignment");
    if (index == 1) {
      adapter.expect("poll");  // and never an answer
    }
    if (index == 2) {
      adapter.answer("poll", delivery(1, 3));
      adapter.answer("position", R"("position":[4])");
    }
    peer.wait_for_end();
  });
  {
    auto consumer = subscribed(server, kGroup, "?request_timeout=100ms");
    try {
      consumer.assignment("t");
      ADD_FAILURE();
    } catch (const ConnectionError& error) {
      EXPECT_EQ(error.code(), Errc::timeout);
      EXPECT_EQ(error.action(), "assignment");
    }
    EXPECT_THROW(
        {
          for (int i = 0; i < 100; ++i) consumer.poll(10ms);
        },
        ConnectionError);
    EXPECT_TRUE(consumer.poll(1s));
    EXPECT_EQ(consumer.position("t", 7), 4);
  }
  EXPECT_NO_FAILURES(server);
}

TEST(Consumer, NonsenseIsAnErrorAndNoCrash) {
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, bool>>{
           {"", true},
           {"nonsense", true},
           {"[]", true},
           {"{}", true},
           {R"({"code":"0"})", true},
           {"", false},
           {"short", false},
           {std::string(16, '\xff'), false},
           {std::string(8, '\xff') + std::string("\x08\0\0\0\0\0\0\0", 8), false}}) {
    ScriptedServer server([&, send = bytes, as_text = text](Peer& peer, std::size_t) {
      Adapter adapter(peer);
      adapter.join();
      adapter.expect("poll");
      peer.send(send, as_text);
      peer.wait_for_end();
    });
    auto consumer = subscribed(server, kGroup, "?reconnect=false");
    EXPECT_THROW(consumer.poll(1s), ConnectionError) << bytes;
  }
}

TEST(Consumer, ADamagedMessageIsAnErrorAndNoCrash) {
  // Every byte of the answer behind its id, one at a time.
  std::string good;
  for (std::size_t at = 54; good.empty() || at < good.size(); at += 3) {
    ScriptedServer server([&](Peer& peer, std::size_t) {
      Adapter adapter(peer);
      adapter.join();
      adapter.answer("poll", delivery(1, 3));
      const auto fetch = adapter.expect("fetch_raw_data");
      auto bytes = one_row(fetch, 3, 4);
      good = bytes;
      bytes[at] = static_cast<char>(bytes[at] ^ 0xFF);
      peer.send(bytes, false);
      peer.wait_for_end();
    });
    auto consumer = subscribed(server, kGroup, "?reconnect=false&request_timeout=10s");
    auto message = consumer.poll(1s);
    ASSERT_TRUE(message);
    try {
      for (auto& block : message->blocks())
        while (block.rows.next()) EXPECT_FALSE(block.rows.display(0).empty());
    } catch (const Error&) {
      // Said what is wrong.
    }
  }
  EXPECT_GT(good.size(), 150U);
}

TEST(Consumer, AStopEndsAPoll) {
  std::stop_source stop;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    adapter.join();
    adapter.expect("poll");
    stop.request_stop();
    peer.wait_for_end();
  });
  auto options = Options::parse(server.dsn());
  options.stop = stop.get_token();
  options.stop_grace = 50ms;
  auto consumer = Consumer::open(options, {{"group.id", "g"}, {"enable.auto.commit", "false"}});
  consumer.subscribe({"t"});
  try {
    consumer.poll(60s);
    ADD_FAILURE();
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), Errc::stopped);
  }
}

TEST(Consumer, CloseCommitsWhereTheConsumerDoesSoByItself) {
  for (const bool automatic : {true, false}) {
    std::vector<std::string> actions;
    ScriptedServer server([&](Peer& peer, std::size_t) {
      Adapter adapter(peer);
      adapter.join();
      adapter.answer("poll", delivery(1, 3));
      for (;;) {
        const auto request = peer.receive();
        actions.push_back(request.json()["action"]);
        peer.answer(request, actions.back());
      }
    });
    {
      auto consumer = subscribed(server, {{"group.id", "g"}, {"enable.auto.commit", automatic ? "true" : "false"}});
      ASSERT_TRUE(consumer.poll(1s));
      consumer.close();
      consumer.close();
      EXPECT_THROW(consumer.poll(1s), InterfaceError);
    }
    EXPECT_NO_FAILURES(server);
    const auto known =
        automatic ? std::vector<std::string>{"commit", "unsubscribe"} : std::vector<std::string>{"unsubscribe"};
    EXPECT_EQ(actions, known);
  }
}

TEST(Consumer, WrongOrderIsRefusedHere) {
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    peer.wait_for_end();
  });
  auto consumer = Consumer::open(server.dsn(), kGroup);
  EXPECT_THROW(consumer.poll(1s), InterfaceError);
  EXPECT_THROW(consumer.commit(), InterfaceError);
  EXPECT_THROW(consumer.subscribe({}), InterfaceError);
  EXPECT_THROW(consumer.assignment("t"), InterfaceError);
  consumer.unsubscribe();
}

TEST(Consumer, SpeaksOverTls) {
  const auto folder = testing::TempDir() + "penstock-consumer-tls-" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  const auto files = make_certificates(folder, "localhost");
  ScriptedServer server(
      [&](Peer& peer, std::size_t) {
        Adapter adapter(peer);
        adapter.join();
        adapter.answer("poll", delivery(1, 0));
        peer.wait_for_end();
      },
      files.certificate_file, files.key_file);
  {
    auto consumer =
        Consumer::open(fmt::format("ws://localhost:{}?tls_ca={}", server.port(), files.ca_file),
                       {{"group.id", "g"}, {"enable.auto.commit", "false"}, {"td.connect.websocket.scheme", "wss"}});
    consumer.subscribe({"t"});
    EXPECT_TRUE(consumer.poll(1s));
  }
  EXPECT_NO_FAILURES(server);
  std::filesystem::remove_all(folder);
}

TEST(Consumer, TakesTheNextEndpoint) {
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    adapter.join();
    peer.wait_for_end();
  });
  auto options = Options::parse(server.dsn());
  options.endpoints.insert(options.endpoints.begin(), Endpoint{"127.0.0.1", free_port()});
  {
    auto consumer = Consumer::open(options, kGroup);
    consumer.subscribe({"t"});
  }
  EXPECT_NO_FAILURES(server);
  options.endpoints.pop_back();
  EXPECT_THROW(Consumer::open(options, kGroup), ConnectionError);
}

}  // namespace
}  // namespace penstock::client
