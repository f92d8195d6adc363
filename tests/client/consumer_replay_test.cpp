#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "client/consumer.h"
#include "client/detail/consumer_backend.h"
#include "client/message_text.h"
#include "client/scripted_server.h"
#include "wire/bytes.h"
#include "wire/records.h"
#include "wire/tmq.h"

// Recorded subscriptions, driven again by our consumer.
namespace penstock::client {
namespace {

using nlohmann::json;
using records::Line;

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
  // One reads whole messages without names of tables, the other block by block with them.
  const auto without_names = [](const std::vector<std::string>& messages) {
    std::set<std::string> all;
    for (const auto& message : messages) {
      std::string text;
      bool name = false;
      for (const char c : message) {
        if (c == ':' && name) name = false;
        if (!name) text += c;
        if (c == '[') name = true;
      }
      all.insert(text);
    }
    return all;
  };
  std::size_t alike = 0;
  const auto whole = without_names(newer.blocks);
  for (const auto& message : without_names(older.blocks)) alike += whole.count(message);
  EXPECT_EQ(alike, without_names(older.blocks).size());
  EXPECT_EQ(alike, 4U);
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

}  // namespace
}  // namespace penstock::client
