#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "sandbox/replay_tally.h"
#include "sandbox/server.h"
#include "sandbox/ws_test_client.h"
#include "wire/block.h"
#include "wire/messages.h"
#include "wire/tmq.h"

/// Replays recorded subscriptions against the sandbox and counts how many answers are the same. What never counts:
/// timing, version, the head of a message with rows, payloads of DDL; of vgroups and offsets only which are the same
/// and their order (see the records' README).
namespace penstock::test {
namespace {

using Json = nlohmann::json;

/// Waits of the recorder that nothing depends on: an empty poll ends when they do.
constexpr int kBlockingMs = 30;

/// Numbers that differ between the two servers, but stand for the same things in the same order.
class Places {
 public:
  /// False: the pair contradicts what is known.
  bool vgroup(std::int64_t recorded, std::int64_t got) {
    if ((recorded == 0) != (got == 0)) return false;
    const auto [known, is_new] = vgroups_.try_emplace(recorded, got);
    return is_new || known->second == got;
  }
  bool offset(std::int64_t recorded, std::int64_t got) {
    if (recorded < 0 || got < 0) return recorded == got;
    for (const auto& [r, g] : offsets_) {
      if ((r < recorded && g > got) || (r > recorded && g < got)) return false;
    }
    offsets_.emplace_back(recorded, got);
    return true;
  }
  [[nodiscard]] std::int64_t own_vgroup(std::int64_t recorded) const {
    const auto found = vgroups_.find(recorded);
    return found == vgroups_.end() ? recorded : found->second;
  }
  [[nodiscard]] std::int64_t own_offset(std::int64_t recorded) const {
    for (const auto& [r, g] : offsets_) {
      if (r == recorded) return g;
    }
    return recorded;
  }

 private:
  std::map<std::int64_t, std::int64_t> vgroups_;
  std::vector<std::pair<std::int64_t, std::int64_t>> offsets_;
};

class TmqReplay : public ReplayTally {
 public:
  explicit TmqReplay(std::uint16_t port) : port_(port) {}

  void run(const std::vector<Json>& lines) {
    // A recorded client may go without a word, and then its group is free.
    std::map<int, std::size_t> last;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].contains("conn")) last[lines[i]["conn"].get<int>()] = i;
    }
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const auto& line = lines[i];
      if (line.contains("note")) {
        note_ = line["note"].get<std::string>();
      } else if (line["dir"] == "c2s") {
        send(line);
      } else if (line["dir"] == "s2c") {
        expect(line);
      }
      if (line.contains("conn") && last[line["conn"].get<int>()] == i) clients_.erase(line["conn"].get<int>());
    }
  }

 private:
  WsTestClient& client(const Json& line) {
    auto& slot = clients_[line["conn"].get<int>()];
    if (!slot) slot = std::make_unique<WsTestClient>(port_, line.value("path", "/ws"), upgrade_headers());
    return *slot;
  }

  void send(const Json& line) {
    const std::string kind = line["kind"];
    std::string payload = line.contains("hex") ? from_hex(line["hex"].get<std::string>()) : line.value("text", "");
    asked_ = payload.substr(0, 200);
    const bool subscription = line.value("path", "") == "/rest/tmq";
    if (subscription && kind == "text") {
      Json request = Json::parse(payload, nullptr, false);
      if (request.is_object() && request.contains("args") && request["args"].is_object()) {
        auto& args = request["args"];
        if (args.contains("blocking_time")) args["blocking_time"] = kBlockingMs;
        if (args.value("auto_commit", "") == "true" && args.value("auto_commit_interval_ms", "") == "1000")
          args["auto_commit_interval_ms"] = "1";
        own_places(args);
        payload = request.dump();
      }
      action_ = request.is_object() ? request.value("action", "") : "";
    }
    client(line).send_message(kind == "text"     ? WsTestClient::kText
                              : kind == "binary" ? WsTestClient::kBinary
                              : kind == "ping"   ? WsTestClient::kPing
                                                 : WsTestClient::kClose,
                              payload);
  }

  void own_places(Json& args) {
    const auto vgroup = [&](Json& object) {
      if (object.contains("vgroup_id"))
        object["vgroup_id"] = places_.own_vgroup(object["vgroup_id"].get<std::int64_t>());
    };
    vgroup(args);
    if (args.contains("topic_vgroup_ids"))
      for (auto& one : args["topic_vgroup_ids"]) vgroup(one);
    if (args.contains("offset")) args["offset"] = places_.own_offset(args["offset"].get<std::int64_t>());
  }

  void expect(const Json& line) {
    const std::string kind = line["kind"];
    auto& peer = client(line);
    if (kind == "none") {
      // An answer where none belongs would stand in the place of the next one.
      return;
    }
    if (kind == "pong") return;  // its place among the answers never counts
    ++total_;
    auto got = peer.receive();
    while (got && got->opcode == WsTestClient::kPong) got = peer.receive();
    if (kind == "eof") {
      if (!got && peer.ended()) ++same_;
      else differ("the end of the connection", got ? got->payload : "(nothing)");
      return;
    }
    const std::string recorded =
        line.contains("hex") ? from_hex(line["hex"].get<std::string>()) : line.value("text", std::string());
    if (!got) {
      differ(recorded.substr(0, 300), peer.ended() ? "(end)" : "(no answer in time)");
      return;
    }
    const bool subscription = line.value("path", "") == "/rest/tmq";
    std::string why;
    if (got->opcode == WsTestClient::kText && kind == "text") {
      const int verdict = compare_text(Json::parse(recorded), Json::parse(got->payload, nullptr, false), why);
      same_ += verdict == 2;
      same_code_ += verdict == 1;
      if (verdict != 2 && (verdict == 0 || std::getenv("PENSTOCK_REPLAY_TEXTS") != nullptr))
        differ(recorded, got->payload + "  [" + why + "]");
      return;
    }
    if (got->opcode == WsTestClient::kBinary && kind == "binary") {
      if (subscription ? compare_answer(recorded, got->payload, why) : compare_result(recorded, got->payload)) ++same_;
      else differ(to_hex(recorded).substr(0, 700), to_hex(got->payload).substr(0, 700) + "  [" + why + "]");
      return;
    }
    if (line.value("hex", "") == to_hex(got->payload)) ++same_;
    else differ(recorded, got->payload);
  }

  /// 2 the same, 1 the same error code, 0 another answer.
  int compare_text(Json a, Json b, std::string& why) {
    if (!b.is_object() || a.value("have_message", false) != b.value("have_message", false)) return 0;
    for (auto* const json : {&a, &b}) {
      if (json->contains("timing")) (*json)["timing"] = 0;
      if (json->contains("version")) (*json)["version"] = "";
    }
    // Places must be the same ones; then they are taken out.
    bool placed = true;
    const std::function<void(Json&, Json&)> each = [&](Json& x, Json& y) {
      if (x.is_object() && y.is_object()) {
        for (auto& [key, value] : x.items()) {
          if (!y.contains(key)) continue;
          if (value.is_number_integer() && y[key].is_number_integer()) {
            const bool vgroup = key == "vgroup_id";
            const bool offset = key == "offset" || key == "begin" || key == "end";
            if (!vgroup && !offset) continue;
            const auto r = value.get<std::int64_t>();
            const auto g = y[key].get<std::int64_t>();
            if (!(vgroup ? places_.vgroup(r, g) : places_.offset(r, g))) {
              placed = false;
              why += key + " ";
            }
            value = y[key] = 0;
          } else if ((key == "committed" || key == "position") && value.is_array() && y[key].is_array() &&
                     value.size() == y[key].size()) {
            for (std::size_t i = 0; i < value.size(); ++i) {
              if (!places_.offset(value[i].get<std::int64_t>(), y[key][i].get<std::int64_t>())) {
                placed = false;
                why += key + " ";
              }
              value[i] = y[key][i] = 0;
            }
          } else {
            each(value, y[key]);
          }
        }
      } else if (x.is_array() && y.is_array() && x.size() == y.size()) {
        for (std::size_t i = 0; i < x.size(); ++i) each(x[i], y[i]);
      }
    };
    each(a, b);
    if (a == b && placed) return 2;
    if (a.value("code", 0) != 0 && a.value("code", 0) == b.value("code", 0) && a["action"] == b["action"]) return 1;
    return 0;
  }

  bool compare_answer(std::string a, std::string b, std::string& why) const {
    if (wire::is_raw_data_answer(a) != wire::is_raw_data_answer(b)) return false;
    if (wire::is_raw_data_answer(a)) {
      const auto x = wire::decode_raw_data_answer(a);
      const auto y = wire::decode_raw_data_answer(b);
      if (x.request_id != y.request_id || x.code != y.code || x.message != y.message || x.message_id != y.message_id ||
          x.type != y.type) {
        why = "head of the answer";
        return false;
      }
      return x.code != 0 || compare_payload(x.type, x.payload, y.payload, why);
    }
    if (action_ == "fetch_raw") {
      const auto x = wire::decode_raw_answer(a);
      const auto y = wire::decode_raw_answer(b);
      if (x.request_id != y.request_id || x.message_id != y.message_id || x.type != y.type) return false;
      return compare_payload(x.type, x.payload, y.payload, why);
    }
    // fetch_block; after a fetch_raw_data it is that answer's memory again, of which timing and head never count.
    a.replace(0, 8, 8, '\0');
    b.replace(0, 8, 8, '\0');
    if (a == b) return true;
    return a.size() == b.size() && wire::load<std::uint64_t>(a.data() + 8) == 8 && a.substr(26, 30) == b.substr(26, 30);
  }

  static bool compare_payload(std::uint16_t type, std::string_view a, std::string_view b, std::string& why) {
    if (type != wire::number(wire::RawType::data) && type != wire::number(wire::RawType::data_and_meta)) {
      if (b.empty()) why = "no payload";
      return !b.empty();
    }
    auto x = wire::decode_data_payload(a);
    auto y = wire::decode_data_payload(b);
    if (x.head.size() != y.head.size()) return false;
    x.head = y.head = {};
    // The creations of child tables behind the rows are the engine's business.
    if (type == wire::number(wire::RawType::data_and_meta)) x.tail = y.tail = {};
    if (wire::encode_data_payload(x) == wire::encode_data_payload(y)) return true;
    why = std::to_string(x.blocks.size()) + " blocks recorded, " + std::to_string(y.blocks.size()) + " got";
    for (std::size_t i = 0; i < std::min(x.blocks.size(), y.blocks.size()); ++i) {
      if (x.blocks[i].block == y.blocks[i].block && x.blocks[i].table == y.blocks[i].table) continue;
      why += "; block " + std::to_string(i) + " of " + std::string(x.blocks[i].table) + "/" +
             std::string(y.blocks[i].table);
      break;
    }
    return false;
  }

  static bool compare_result(std::string a, std::string b) {
    for (auto* const answer : {&a, &b}) {
      const std::size_t at = wire::is_fetch_answer(*answer) ? 18 : 0;
      if (answer->size() >= at + 8) answer->replace(at, 8, 8, '\0');
    }
    return a == b;
  }

  std::uint16_t port_;
  std::map<int, std::unique_ptr<WsTestClient>> clients_;
  Places places_;
  std::string action_;
};

struct Case {
  const char* file;
  int floor;  ///< answers that must agree (same, or the same error code)
};

void PrintTo(const Case& value, std::ostream* out) { *out << value.file; }

class TmqReplayTest : public testing::TestWithParam<Case> {};

TEST_P(TmqReplayTest, AgreesWithTheRecord) {
  const auto lines = wire_record(GetParam().file);
  if (!lines) GTEST_SKIP() << "no record " << GetParam().file;
  sandbox::Server server({});
  TmqReplay replay(server.port());
  replay.run(*lines);
  replay.report(GetParam().file, GetParam().floor);
}

// What is missing and why: a poll right behind a seek gives the rows at once, where the official clients of the real
// server first wait in vain for one that was under way (client_*).
// With msg_consume_rawdata the real server cuts its messages at changes of tables by rules of its own
// (tmq_db_and_stable_topics: the three polls of one consumer, and what follows from them).
INSTANTIATE_TEST_SUITE_P(Records, TmqReplayTest,
                         testing::Values(Case{"tmq_query_topic", 100}, Case{"tmq_offsets", 60}, Case{"tmq_errors", 78},
                                         Case{"tmq_db_and_stable_topics", 308}, Case{"client_python_ws_tmq", 29},
                                         Case{"client_node_tmq", 34}),
                         [](const auto& one) { return std::string(one.param.file); });

}  // namespace
}  // namespace penstock::test
