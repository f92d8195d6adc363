#include "client/consumer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>

#include "client/connection.h"
#include "client/detail/consumer_backend.h"
#include "client/scripted_server.h"
#include "wire/block.h"
#include "wire/bytes.h"
#include "wire/records.h"
#include "wire/tmq.h"

namespace penstock::client {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using records::Line;

// --- recorded conversations, driven again by our consumer ---

struct Exchange {
  json args;
  std::string action;
  Line answer;
  bool used = false;
  bool sent_again = false;  ///< a poll whose answer our consumer has: it never asks so
};

json json_of(const Line& line) { return line.str("kind") == "text" ? json::parse(line.bytes) : json::object(); }

// The requests of one recorded connection to /rest/tmq that were answered.
std::map<int, std::vector<Exchange>> exchanges_of(const std::string& file) {
  std::map<int, std::vector<Exchange>> all;
  std::map<int, std::optional<Exchange>> open;
  for (auto& line : records::read(file)) {
    const int connection = line.json.value("conn", 0);
    if (line.str("path") != "/rest/tmq") continue;
    if (line.sent() && line.str("kind") == "text") {
      const auto request = json::parse(line.bytes, nullptr, false);
      open[connection].reset();
      if (!request.is_object() || !request.contains("args") || !request["args"].is_object()) continue;
      open[connection] = Exchange{request["args"], request.value("action", ""), {}, false};
    } else if (line.received() && (line.str("kind") == "text" || line.str("kind") == "binary") && open[connection]) {
      open[connection]->answer = std::move(line);
      all[connection].push_back(std::move(*open[connection]));
      open[connection].reset();
    }
  }
  return all;
}

// What must be the same, whichever client asks.
std::string key_of(const std::string& action, json args) {
  for (const char* volatile_member : {"req_id", "connector", "app", "ip", "tz", "offset_seek", "blocking_time"})
    args.erase(volatile_member);
  if (action == "poll") args.erase("message_id");    // looked at apart
  if (action == "commit") args.erase("message_id");  // the server only says it again
  if (action == "subscribe") {
    // The older spelling of the same member.
    if (const auto rest = args.value("offset_rest", ""); !rest.empty()) args["offset_reset"] = rest;
    args.erase("offset_rest");
    if (args.value("auto_commit", "false") == "false") {
      args.erase("auto_commit");
      args.erase("auto_commit_interval_ms");
    }
    if (args.value("offset_reset", "") == "EARLIEST") args["offset_reset"] = "earliest";
    for (auto it = args.begin(); it != args.end();)
      it = it->empty() || (it->is_string() && it->get<std::string>().empty()) ? args.erase(it) : std::next(it);
  }
  return action + ' ' + args.dump();
}

// The answer with the id of our request.
std::string with_id(const Line& answer, std::uint64_t id) {
  std::string bytes = answer.bytes;
  if (answer.str("kind") == "text") {
    const auto at = bytes.find("\"req_id\":") + 9;
    return bytes.replace(at, bytes.find_first_not_of("0123456789", at) - at, std::to_string(id));
  }
  wire::store(bytes.data() + (wire::is_raw_data_answer(bytes) ? 26 : 8), id);
  return bytes;
}

// The real server's side of one recorded connection.
class Recorded {
 public:
  Recorded(std::vector<Exchange>& exchanges, std::string version)
      : exchanges_(exchanges), version_(std::move(version)) {}

  void serve(Peer& peer) {
    peer.upgrade();
    for (;;) {
      const auto request = peer.receive();
      const auto message = request.json();
      const auto action = message.at("action").get<std::string>();
      const auto id = message["args"].at("req_id").get<std::uint64_t>();
      if (action == "version") {
        peer.answer(request, "version", "\"version\":\"" + version_ + "\"");
        continue;
      }
      const auto key = key_of(action, message["args"]);
      auto* const found = find(key);
      if (found == nullptr && action == "poll") {  // again, with the rest of its time
        peer.answer(request, "poll", R"("have_message":false)");
        continue;
      }
      if (found == nullptr && action == "commit" && at_ < exchanges_.size() &&
          exchanges_[at_].action == "unsubscribe") {
        peer.answer(request, "commit", "\"message_id\":1");  // with auto commit ours commits before it leaves
        ++commits_before_leaving_;
        continue;
      }
      if (found == nullptr) {
        const std::lock_guard lock(mutex_);
        unknown_.push_back(key.substr(0, 300));
        peer.refuse(request, action, 0x7001, "not in the record");
        continue;
      }
      if (action == "poll") check_poll(message["args"], found->args);
      peer.send(with_id(found->answer, id), found->answer.str("kind") == "text");
    }
  }

  /// Which exchange is being repeated: polls behind it are not looked at.
  void driving(std::size_t index) { driven_ = index; }

  std::vector<std::string> unknown() {
    const std::lock_guard lock(mutex_);
    return unknown_;
  }
  [[nodiscard]] std::size_t polls_alike() const { return polls_alike_; }
  [[nodiscard]] std::size_t commits_before_leaving() const { return commits_before_leaving_; }

 private:
  Exchange* find(const std::string& key) {
    const bool poll = key.starts_with("poll ");
    for (std::size_t i = at_; i < exchanges_.size(); ++i) {
      if (poll && i > driven_) break;
      if (exchanges_[i].sent_again || key_of(exchanges_[i].action, exchanges_[i].args) != key) continue;
      at_ = i + 1;
      exchanges_[i].used = true;
      return &exchanges_[i];
    }
    return nullptr;
  }
  void check_poll(const json& ours, const json& theirs) {
    if (ours.at("message_id") == theirs.value("message_id", json()) &&
        ours.at("blocking_time") == theirs.at("blocking_time"))
      ++polls_alike_;
  }

  std::vector<Exchange>& exchanges_;
  const std::string version_;
  std::size_t at_ = 0;
  std::atomic<std::size_t> driven_{0};
  std::size_t polls_alike_ = 0;
  std::size_t commits_before_leaving_ = 0;
  std::mutex mutex_;
  std::vector<std::string> unknown_;
};

Consumer::Config config_of(const json& args) {
  Consumer::Config config;
  const auto take = [&](const char* property, const char* member) {
    if (const auto value = args.value(member, ""); !value.empty()) config[property] = value;
  };
  take("group.id", "group_id");
  take("client.id", "client_id");
  take("auto.offset.reset", "offset_reset");
  take("auto.offset.reset", "offset_rest");
  config["enable.auto.commit"] = "false";  // the adapter's default
  take("enable.auto.commit", "auto_commit");
  take("td.connect.user", "user");
  take("td.connect.pass", "password");
  take("td.connect.db", "db");
  take("auto.commit.interval.ms", "auto_commit_interval_ms");
  take("msg.with.table.name", "with_table_name");
  take("experimental.snapshot.enable", "snapshot_enable");
  take("msg.enable.batchmeta", "enable_batch_meta");
  take("msg.consume.rawdata", "msg_consume_rawdata");
  take("msg.consume.excluded", "msg_consume_excluded");
  take("session.timeout.ms", "session_timeout_ms");
  take("max.poll.interval.ms", "max_poll_interval_ms");
  if (args.contains("config"))
    for (const auto& [name, value] : args["config"].items()) config[name] = value.get<std::string>();
  return config;
}

std::int32_t refused(const std::function<void()>& call) {
  try {
    call();
    return 0;
  } catch (const ClientError& error) {
    EXPECT_NE(error.server_code(), 0) << error.what();
    return error.server_code();
  }
}

std::string text_of(std::vector<Message::Block>&& blocks) {
  std::string out;
  for (auto& block : blocks) {
    out += fmt::format("[{}:", block.table);
    for (const auto& field : block.rows.fields())
      out += fmt::format(" {} {}({})", field.name, data::type_name(field.type), field.length);
    while (block.rows.next()) {
      out += '\n';
      for (std::size_t c = 0; c < block.rows.fields().size(); ++c) out += block.rows.display(c) + '|';
    }
    out += "]\n";
  }
  return out;
}

struct Driven {
  std::size_t agreed = 0;
  std::size_t polls = 0;
  std::size_t commits_before_leaving = 0;
  std::size_t polls_alike = 0;  ///< with the same message id and waiting time
  std::map<std::string, std::size_t> passed_over;
  std::vector<std::string> blocks;  ///< of each message with rows, with what says so of them
  std::vector<std::string> meta;

  Driven& operator+=(const Driven& other) {
    agreed += other.agreed;
    polls += other.polls;
    polls_alike += other.polls_alike;
    commits_before_leaving += other.commits_before_leaving;
    for (const auto& [why, count] : other.passed_over) passed_over[why] += count;
    blocks.insert(blocks.end(), other.blocks.begin(), other.blocks.end());
    meta.insert(meta.end(), other.meta.begin(), other.meta.end());
    return *this;
  }
};

// Repeats with our consumer what the recorded client did on one connection.
Driven drive(std::vector<Exchange> exchanges, const std::string& version, const std::string& name) {
  Driven driven;
  std::uint64_t delivered = 0;
  for (auto& exchange : exchanges) {
    const auto answer = json_of(exchange.answer);
    if (exchange.action != "poll" || !answer.value("have_message", false)) continue;
    exchange.sent_again = answer["message_id"] == delivered;
    delivered = answer["message_id"];
  }
  Recorded recorded(exchanges, version);
  const bool newer = version == "3.3.7.5";
  ScriptedServer server([&](Peer& peer, std::size_t) { recorded.serve(peer); });
  const auto pass_over = [&](const std::string& why) { ++driven.passed_over[why]; };
  {
    std::optional<Consumer> consumer;
    std::optional<Message> message;
    std::uint64_t message_id = 0;
    bool rows_read = false;
    for (std::size_t i = 0; i < exchanges.size(); ++i) {
      recorded.driving(i);
      const auto& [action, args] = std::pair(exchanges[i].action, exchanges[i].args);
      const auto& line = exchanges[i].answer;
      const json answer = json_of(line);
      const auto code = answer.value("code", 0);
      const auto where = fmt::format("{} exchange {}: {} {}", name, i, action, args.dump().substr(0, 300));
      if (action == "version") continue;
      if (action == "subscribe") {
        if (consumer && !consumer->topics().empty()) {
          pass_over("subscribe while subscribed: unsubscribes first");
          continue;
        }
        std::vector<std::string> topics;
        if (args.contains("topics"))
          for (const auto& topic : args["topics"]) topics.push_back(topic);
        if (topics.empty()) {
          pass_over("subscribe without topics: refused here");
          continue;
        }
        if (args.contains("config") && args["config"].contains("group.id")) {
          pass_over("known properties as engine options: members here");
          continue;
        }
        if (args.size() == 2) {  // topics and id only: the server takes nothing else the second time
          pass_over("members left out the second time");
          continue;
        }
        try {
          if (!consumer) consumer = Consumer::open(server.dsn(), config_of(args));
        } catch (const InterfaceError& error) {
          if (args.value("enable_batch_meta", "") != "x") {  // which this server takes for "off"
            EXPECT_NE(code, 0) << where << ": " << error.what();
          }
          pass_over("a property that cannot be: refused here");
          continue;
        }
        EXPECT_EQ(refused([&] { consumer->subscribe(topics); }), code) << where;
        continue;
      }
      if (!consumer || consumer->topics().empty()) {
        pass_over("nothing subscribed to: refused here");
        continue;
      }
      if (action == "poll") {
        ++driven.polls;
        const bool comes = answer.value("have_message", false);
        if (exchanges[i].sent_again) {
          pass_over("a message lost and sent again");
          continue;
        }
        std::optional<Message> next;
        const auto wait = comes ? args["blocking_time"].get<int>() : 5;  // the script does not wait either
        EXPECT_EQ(refused([&] { next = consumer->poll(std::chrono::milliseconds(wait)); }), code) << where;
        EXPECT_EQ(next.has_value(), comes) << where;
        if (!next) continue;
        EXPECT_EQ(static_cast<int>(next->kind()), answer["message_type"].get<int>());
        EXPECT_EQ(next->topic(), answer["topic"].get<std::string>());
        EXPECT_EQ(next->database(), answer["database"].get<std::string>());
        EXPECT_EQ(next->vgroup(), answer["vgroup_id"].get<int>());
        EXPECT_EQ(next->offset(), answer["offset"].get<std::int64_t>());
        message = std::move(next);
        message_id = answer["message_id"];
        rows_read = false;
      } else if (action.starts_with("fetch")) {
        if (!message || args["message_id"] != message_id) {
          pass_over("a message that is not there: not asked for");
        } else if (action == "fetch_json_meta") {
          if (code != 0) {
            pass_over("meta of rows: not asked for");
            continue;
          }
          const auto text = message->json();
          EXPECT_EQ(text.empty() ? json() : json::parse(text), answer["data"]) << where;
          driven.meta.push_back(text);
        } else if (action == "fetch_raw_data" || action == "fetch_raw") {
          if ((action == "fetch_raw_data") != newer) {
            pass_over("the other way to read a message");
            continue;
          }
          const auto raw = message->raw();
          const auto known =
              newer ? wire::decode_raw_data_answer(line.bytes).payload : wire::decode_raw_answer(line.bytes).payload;
          EXPECT_TRUE(raw.bytes == known) << where;
          if (message->kind() != Message::Kind::data && message->kind() != Message::Kind::meta_and_data) continue;
          if (newer && !std::exchange(rows_read, true)) driven.blocks.push_back(text_of(message->blocks()));
        } else if (newer) {
          pass_over("the other way to read a message");
        } else if (action == "fetch" && code == 0 && !std::exchange(rows_read, true)) {
          driven.blocks.push_back(text_of(message->blocks()));
        }
      } else if (action == "commit") {
        EXPECT_EQ(refused([&] { consumer->commit(); }), code) << where;
      } else if (action == "commit_offset" || action == "seek") {
        const Offset offset{args["topic"], args["vgroup_id"], args["offset"]};
        EXPECT_EQ(refused([&] {
                    if (action == "seek") consumer->seek(offset);
                    else consumer->commit(offset);
                  }),
                  code)
            << where;
      } else if (action == "committed" || action == "position") {
        const auto& places = args["topic_vgroup_ids"];
        if (places.size() != 1) {
          pass_over("several offsets in one request: one by one here");
          continue;
        }
        std::optional<std::int64_t> offset;
        EXPECT_EQ(refused([&] {
                    offset = action == "position"
                                 ? consumer->position(places[0]["topic"].get<std::string>(), places[0]["vgroup_id"])
                                 : consumer->committed(places[0]["topic"].get<std::string>(), places[0]["vgroup_id"]);
                  }),
                  code)
            << where;
        if (code == 0) {
          const auto known = answer[action][0].get<std::int64_t>();
          EXPECT_EQ(offset, known == detail::kNoOffset ? std::nullopt : std::optional(known)) << where;
        }
      } else if (action == "assignment") {
        std::vector<Assignment> assignment;
        EXPECT_EQ(refused([&] { assignment = consumer->assignment(args["topic"].get<std::string>()); }), code) << where;
        if (code != 0) continue;
        json ours = json::array();
        for (const auto& part : assignment)
          ours.push_back(
              {{"vgroup_id", part.vgroup}, {"offset", part.offset}, {"begin", part.begin}, {"end", part.end}});
        EXPECT_EQ(ours, answer["assignment"]) << where;
      } else if (action == "unsubscribe") {
        EXPECT_EQ(refused([&] { consumer->unsubscribe(); }), code) << where;
      } else if (action == "list_topics") {
        EXPECT_EQ(json(consumer->topics()), answer["topics"]) << where;
        pass_over("list_topics: known here");
      } else {
        ADD_FAILURE() << where;
      }
    }
  }
  EXPECT_EQ(server.failures(), std::vector<std::string>{}) << name;
  EXPECT_EQ(recorded.unknown(), std::vector<std::string>{}) << name;
  for (const auto& exchange : exchanges) driven.agreed += exchange.used ? 1 : 0;
  driven.polls_alike = recorded.polls_alike();
  driven.commits_before_leaving = recorded.commits_before_leaving();
  return driven;
}

Driven drive_file(const std::string& file, const std::string& version = "3.3.7.5") {
  Driven all;
  for (auto& [connection, exchanges] : exchanges_of(file))
    all += drive(std::move(exchanges), version, fmt::format("{} connection {}", file, connection));
  std::string why;
  for (const auto& [text, count] : all.passed_over) why += fmt::format("\n  {} x {}", count, text);
  std::cout << fmt::format("{} as {}: {} requests agree with the record; passed over:{}\n", file, version, all.agreed,
                           why);
  return all;
}

#define NEED_RECORDS() \
  if (records::read("tmq_offsets").empty()) GTEST_SKIP() << "no recorded conversations at " << records::folder()

TEST(ConsumerRecords, EveryActionOnAQueryTopic) {
  NEED_RECORDS();
  const auto driven = drive_file("tmq_query_topic");
  EXPECT_EQ(driven.agreed, 34U);
  ASSERT_GE(driven.blocks.size(), 1U);
  EXPECT_EQ(driven.blocks[0],
            "[: ts TIMESTAMP(8) v INT(4) s VARCHAR(8) n NCHAR(4)\n"
            "2023-11-14T22:13:20.000Z|1|a|一|\n2023-11-14T22:13:20.001Z|NULL|NULL|NULL|]\n"
            "[: ts TIMESTAMP(8) v INT(4) s VARCHAR(8) n NCHAR(4)\n2023-11-14T22:13:20.000Z|3|||]\n"
            "[: ts TIMESTAMP(8) v INT(4) s VARCHAR(8) n NCHAR(4)\n2023-11-14T22:13:20.002Z|4|d|四|]\n"
            "[: ts TIMESTAMP(8) v INT(4) s VARCHAR(8) n NCHAR(4)\n2023-11-14T22:13:20.002Z|5|e|五|]\n");
}

TEST(ConsumerRecords, OffsetsAndAutoCommit) {
  NEED_RECORDS();
  const auto driven = drive_file("tmq_offsets");
  EXPECT_EQ(driven.agreed, 38U);
  EXPECT_EQ(driven.commits_before_leaving, 1U);
}

TEST(ConsumerRecords, TopicsOnTablesReadTheSameInBothWays) {
  NEED_RECORDS();
  const auto newer = drive_file("tmq_db_and_stable_topics");
  const auto older = drive_file("tmq_db_and_stable_topics", "3.3.1.9");
  EXPECT_EQ(newer.agreed, 193U);
  EXPECT_EQ(older.agreed, 207U);
  EXPECT_EQ(newer.meta, older.meta);
}

TEST(ConsumerRecords, Errors) {
  NEED_RECORDS();
  const auto driven = drive_file("tmq_errors");
  EXPECT_EQ(driven.agreed, 25U);
}

TEST(ConsumerRecords, TheOfficialClientsRequests) {
  NEED_RECORDS();
  const auto python = drive_file("client_python_ws_tmq");
  EXPECT_EQ(python.agreed, 15U);
  EXPECT_EQ(python.polls_alike, 2U);
  const auto node = drive_file("client_node_tmq");
  EXPECT_EQ(node.agreed, 15U);
}

// --- one scripted server each ---

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

TEST(Consumer, ASilentServerCostsTheRequestTimeout) {
  ScriptedServer server([&](Peer& peer, std::size_t) {
    Adapter adapter(peer);
    adapter.join();
    const auto request = adapter.expect("assignment");
    const auto position = adapter.expect("position");
    peer.answer(request, "assignment");  // too late: dropped
    peer.answer(position, "position", R"("position":[4])");
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
