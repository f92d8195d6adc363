#include "sandbox/server_tmq.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "sandbox/result_block.h"
#include "sandbox/result_json.h"
#include "sandbox/server_ws.h"
#include "wire/tmq.h"

namespace penstock::sandbox {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::int32_t kUnknownOption = 65534;

std::uint64_t nanoseconds(const WsRequest& request) { return static_cast<std::uint64_t>(request.elapsed_ns()); }

/// As Go's ParseBool and ParseInt, with their error texts.
bool parse_bool(const std::string& text) {
  for (const auto word : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == word) return true;
  }
  for (const auto word : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == word) return false;
  }
  refuse_request(fmt::format("strconv.ParseBool: parsing \"{}\": invalid syntax", text));
}
std::int64_t parse_int(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range)
    refuse_request(fmt::format("strconv.ParseInt: parsing \"{}\": value out of range", text));
  if (error != std::errc{} || end != text.data() + text.size())
    refuse_request(fmt::format("strconv.ParseInt: parsing \"{}\": invalid syntax", text));
  return value;
}

void set(ConsumerOptions& options, std::string_view key, const std::string& value) {
  switch (set_option(options, key, value)) {
    case OptionResult::ok: return;
    case OptionResult::invalid: refuse_request("fail");
    case OptionResult::unknown: refuse_request("Unknown error 65534", kUnknownOption);
  }
}

/// JSON that passes through Go's encoder: it writes < > & as escapes.
std::string go_json(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '<' || c == '>' || c == '&') {
      out += c == '<' ? "\\u003c" : c == '>' ? "\\u003e" : "\\u0026";
    } else {
      out += c;
    }
  }
  return out;
}

std::string message_id_member(const WsArgs& args) { return fmt::format(",\"message_id\":{}", args.u64("message_id")); }

template <class T, class Append>
std::string list_of(const T& items, Append append) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    append(out, item);
  }
  return out += ']';
}

struct TopicVgroup {
  std::string topic;
  std::int32_t vgroup;
};
std::int32_t to_vgroup(std::optional<std::int64_t> number) {
  const auto value = number.value_or(0);
  if (value < INT32_MIN || value > INT32_MAX) throw UnmarshalError{};
  return static_cast<std::int32_t>(value);
}
std::vector<TopicVgroup> topic_vgroups(const WsArgs& args) {
  std::vector<TopicVgroup> list;
  const auto* const json = static_cast<const Json*>(args.find("topic_vgroup_ids"));
  if (json == nullptr) return list;
  if (!json->is_array()) throw UnmarshalError{};
  for (const auto& one : *json) {
    if (!one.is_object()) throw UnmarshalError{};
    const WsArgs members(&one);
    list.push_back({members.text("topic"), to_vgroup(members.i64("vgroup_id"))});
  }
  return list;
}

}  // namespace

struct TmqDialogue::ActionEntry {
  std::string_view name;
  Action run;
  bool echoes_message = false;    ///< errors carry message_id
  std::string_view error_member;  ///< what errors carry besides, for clients that cannot do without
};

const TmqDialogue::ActionEntry* TmqDialogue::find_action(std::string_view name) {
  using D = TmqDialogue;
  static constexpr std::array kActions = {
      ActionEntry{"version", &D::version, false, {}},
      ActionEntry{"subscribe", &D::subscribe, false, {}},
      ActionEntry{"unsubscribe", &D::unsubscribe, false, {}},
      ActionEntry{"poll", &D::poll, false, {}},
      ActionEntry{"fetch", &D::fetch, true, {}},
      ActionEntry{"fetch_block", &D::fetch_block, true, {}},
      ActionEntry{"fetch_raw_data", &D::fetch_raw_data, true, {}},
      ActionEntry{"fetch_raw", &D::fetch_raw, true, {}},
      ActionEntry{"fetch_json_meta", &D::fetch_json_meta, true, ",\"data\":null"},
      ActionEntry{"commit", &D::commit, false, {}},
      ActionEntry{"commit_offset", &D::commit_offset, false, {}},
      ActionEntry{"assignment", &D::assignment, false, {}},
      ActionEntry{"seek", &D::seek, false, {}},
      ActionEntry{"committed", &D::committed, false, ",\"committed\":[]"},
      ActionEntry{"position", &D::position, false, ",\"position\":[]"},
      ActionEntry{"list_topics", &D::list_topics, false, {}},
  };
  const auto found = std::find_if(kActions.begin(), kActions.end(), [&](const auto& it) { return it.name == name; });
  return found == kActions.end() ? nullptr : &*found;
}

TmqDialogue::TmqDialogue(Engine& engine, std::optional<Credentials> credentials)
    : engine_(engine), credentials_(std::move(credentials)) {}
TmqDialogue::~TmqDialogue() { end(); }

void TmqDialogue::end() {
  if (!polling_.joinable()) return;
  polling_.request_stop();
  polling_.join();
}

std::optional<Dialogue::Reply> TmqDialogue::handle(WsMessage message) {
  if (message.binary) return std::nullopt;
  const Json root = Json::parse(message.payload, nullptr, false);
  if (!root.is_object()) return std::nullopt;
  const WsArgs outer(&root);
  WsRequest request;
  const ActionEntry* entry = nullptr;
  std::string error_tail;
  try {
    request.action = outer.text("action");
    entry = find_action(request.action);
    const auto* const args = static_cast<const Json*>(outer.member("args"));
    if (entry == nullptr || (args == nullptr && entry->run != &TmqDialogue::version)) return std::nullopt;
    if (args != nullptr && !args->is_object() && !args->is_null()) return std::nullopt;
    const WsArgs members(args != nullptr && args->is_object() ? args : nullptr);
    request.id = members.u64("req_id");
    if (entry->echoes_message) error_tail = message_id_member(members);
    error_tail += entry->error_member;
    const auto more = (this->*entry->run)(request, members);
    if (request.silent) return std::nullopt;
    if (request.binary) return Reply{true, std::move(*request.binary), {}};
    return Reply{false, request.answer(0, "", more), {}};
  } catch (const UnmarshalError&) {
    return std::nullopt;
  } catch (const RefusalError& error) {
    return Reply{false, request.answer(error.refusal().code & 0xffff, error.refusal().message, error_tail), {}};
  } catch (const std::exception& error) {
    return Reply{false, request.answer(kAdapterError, fmt::format("sandbox: {}", error.what()), error_tail), {}};
  }
}

Consumer& TmqDialogue::consumer() const {
  if (!consumer_) refuse_request("tmq not init");
  return *consumer_;
}

std::string TmqDialogue::version(WsRequest&, const WsArgs&) {
  return fmt::format(",\"version\":\"{}\"", kServerVersion);
}

ConsumerOptions TmqDialogue::read_options(const WsArgs& args) {
  ConsumerOptions options;
  options.user = args.text("user");
  options.password = args.text("password");
  if (credentials_) {
    options.user = credentials_->user;
    options.password = credentials_->password;
  }
  auto_commit_ = false;
  auto_commit_every_ = std::chrono::milliseconds(5000);
  const auto read_auto_commit = [&](const std::string& text) { auto_commit_ = parse_bool(text); };
  const auto read_interval = [&](const std::string& text) {
    // A year is for ever.
    auto_commit_every_ = std::chrono::milliseconds(std::clamp<std::int64_t>(parse_int(text), 0, 31'536'000'000));
  };
  if (const auto text = args.text("auto_commit"); !text.empty()) read_auto_commit(text);
  if (const auto text = args.text("auto_commit_interval_ms"); !text.empty()) read_interval(text);
  const auto reset = args.text("offset_reset");
  const auto misspelt = args.text("offset_rest");
  if (const auto& text = reset.empty() ? misspelt : reset; !text.empty()) set(options, "auto.offset.reset", text);
  for (const auto& [member, key] : {std::pair{"group_id", "group.id"},
                                    {"client_id", "client.id"},
                                    {"snapshot_enable", "experimental.snapshot.enable"},
                                    {"with_table_name", "msg.with.table.name"},
                                    {"enable_batch_meta", "msg.enable.batchmeta"},
                                    {"msg_consume_excluded", "msg.consume.excluded"},
                                    {"msg_consume_rawdata", "msg.consume.rawdata"},
                                    {"session_timeout_ms", "session.timeout.ms"},
                                    {"max_poll_interval_ms", "max.poll.interval.ms"}}) {
    if (const auto text = args.text(member); !text.empty()) set(options, key, text);
  }
  for (const auto member : {"db", "tz", "app", "ip"}) args.text(member);
  if (const auto* const config = static_cast<const Json*>(args.find("config"))) {
    if (!config->is_object()) throw UnmarshalError{};
    for (const auto& [key, value] : config->items()) {
      if (!value.is_string()) throw UnmarshalError{};
      const auto& text = value.get_ref<const std::string&>();
      if (key == "enable.auto.commit") {
        read_auto_commit(text);
      } else if (key == "auto.commit.interval.ms") {
        read_interval(text);
      } else if (!key.starts_with("td.connect.")) {
        set(options, key, text);
      }
    }
  }
  options.auto_commit = false;  // that is done here, as by the adapter
  return options;
}

std::string TmqDialogue::subscribe(WsRequest& request, const WsArgs& args) {
  std::vector<std::string> topics;
  if (const auto* const json = static_cast<const Json*>(args.find("topics"))) {
    if (!json->is_array()) throw UnmarshalError{};
    for (const auto& topic : *json) {
      if (!topic.is_string()) throw UnmarshalError{};
      topics.push_back(topic.get<std::string>());
    }
  }
  if (subscribed_) refuse_request("tmq should have unsubscribed first");
  if (consumer_) {
    consumer_->subscribe(topics);
  } else {
    auto made = engine_.consumer(read_options(args));
    made->subscribe(topics);
    consumer_ = std::move(made);
    start_polling();
  }
  subscribed_ = true;
  return version(request, args);
}

std::string TmqDialogue::unsubscribe(WsRequest&, const WsArgs&) {
  consumer().unsubscribe();
  subscribed_ = false;
  const std::lock_guard lock(mutex_);
  message_.reset();
  buffer_.clear();
  return {};
}

// --- poll ---

std::string TmqDialogue::poll(WsRequest& request, const WsArgs& args) {
  Poll poll;
  poll.blocking_time = std::chrono::milliseconds(args.i64("blocking_time").value_or(0));
  if (args.has("message_id")) poll.message_id = args.u64("message_id");
  request.silent = true;  // answered by the polling thread
  poll.request = request;
  {
    const std::lock_guard lock(mutex_);
    waiting_ = std::move(poll);
  }
  asked_.notify_one();
  return {};
}

void TmqDialogue::start_polling() {
  next_commit_ = Clock::now() + auto_commit_every_;
  polling_ = std::jthread([this](const std::stop_token& stop) { poll_loop(stop); });
}

void TmqDialogue::poll_loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::optional<Poll> poll;
    {
      std::unique_lock lock(mutex_);
      if (!asked_.wait(lock, stop, [&] { return waiting_.has_value(); })) return;
      poll.swap(waiting_);
    }
    std::string answer;
    try {
      answer = poll->request.answer(0, "", carry_out(*poll, stop));
    } catch (const RefusalError& error) {
      answer = poll->request.answer(error.refusal().code & 0xffff, error.refusal().message, {});
    } catch (const std::exception& error) {
      answer = poll->request.answer(kAdapterError, fmt::format("sandbox: {}", error.what()), {});
    }
    if (!stop.stop_requested() && send_) send_(Reply{false, std::move(answer), {}});
  }
}

std::string TmqDialogue::carry_out(const Poll& poll, const std::stop_token& stop) {
  const auto describe = [&] {
    std::string text = ",\"have_message\":true,\"topic\":";
    append_json_text(text, message_->topic);
    text += ",\"database\":";
    append_json_text(text, message_->database);
    return text + fmt::format(",\"vgroup_id\":{},\"message_type\":{},\"message_id\":{},\"offset\":{}", message_->vgroup,
                              static_cast<int>(message_->type), message_id_, message_->offset);
  };
  {
    const std::lock_guard lock(mutex_);
    // The client has not got the message that is held: it comes again.
    if (poll.message_id && message_ && *poll.message_id != message_id_) return describe();
    if (auto_commit_ && Clock::now() >= next_commit_) {
      consumer_->commit();
      next_commit_ = Clock::now() + auto_commit_every_;
    }
  }
  auto message = consumer_->poll(poll.blocking_time, stop);
  if (!message) {
    return ",\"have_message\":false,\"topic\":\"\",\"database\":\"\",\"vgroup_id\":0,\"message_type\":0,"
           "\"message_id\":0,\"offset\":0";
  }
  const std::lock_guard lock(mutex_);
  message_ = std::move(message);
  ++message_id_;
  next_part_ = 0;
  return describe();
}

// --- reading the message ---

std::string TmqDialogue::fetch(WsRequest& request, const WsArgs& args) {
  consumer();
  const auto id = args.u64("message_id");
  const std::lock_guard lock(mutex_);
  if (!message_) refuse_request("message has been freed");
  if (id != message_id_) refuse_request("message ID are not equal");
  if (message_->type != Message::Type::data && message_->type != Message::Type::data_and_meta)
    refuse_request("message type is not data");
  std::string more = message_id_member(args);
  if (next_part_ >= message_->parts.size()) {
    return more +
           ",\"completed\":true,\"table_name\":\"\",\"rows\":0,\"fields_count\":0,\"fields_names\":null,"
           "\"fields_types\":null,\"fields_lengths\":null,\"precision\":0";
  }
  const auto& part = message_->parts[next_part_++];
  const auto& fields = part.rows.fields;
  more += ",\"completed\":false,\"table_name\":";
  append_json_text(more, part.table);
  more += fmt::format(",\"rows\":{},\"fields_count\":{},\"fields_names\":", part.rows.rows.size(), fields.size());
  more += list_of(fields, [](std::string& out, const ResultField& f) { append_json_text(out, f.name); });
  more += ",\"fields_types\":" + list_of(fields, [](std::string& out, const ResultField& f) {
            out += std::to_string(static_cast<int>(f.type));
          });
  more += ",\"fields_lengths\":" +
          list_of(fields, [](std::string& out, const ResultField& f) { out += std::to_string(f.length); });
  more += fmt::format(",\"precision\":{}", static_cast<int>(part.rows.precision));
  const auto block = result_block(part.rows, 0, part.rows.rows.size(), 2);
  buffer_ = wire::encode_message_block_answer(
      {.timing_ns = 0, .request_id = request.id, .message_id = message_id_, .block = block});
  return more;
}

std::string TmqDialogue::fetch_block(WsRequest& request, const WsArgs& args) {
  consumer();
  const auto id = args.u64("message_id");
  const std::lock_guard lock(mutex_);
  if (!message_ || id != message_id_) refuse_request("message is nil");
  if (message_->type == Message::Type::meta || message_->type == Message::Type::raw)
    refuse_request("message type is not data");
  if (buffer_.empty()) refuse_request("no fetch data");
  // What was made last goes out under another timing, be it a block or not: so does the adapter.
  wire::store(buffer_.data(), nanoseconds(request));
  request.binary = buffer_;
  return {};
}

std::string TmqDialogue::fetch_raw_data(WsRequest& request, const WsArgs& args) {
  const auto id = args.u64("message_id");
  wire::RawDataAnswer answer;
  answer.request_id = request.id;
  answer.message_id = id;
  const std::lock_guard lock(mutex_);
  std::string payload;
  answer.code = kAdapterError;
  if (!consumer_) {
    answer.message = "tmq not init";
  } else if (!message_) {
    answer.message = "message has been freed";
  } else if (id != message_id_) {
    answer.message = "message ID is not equal";
  } else {
    answer.code = 0;
    payload = message_payload(*message_);
    answer.type = message_->raw_type;
    answer.payload = payload;
  }
  answer.timing_ns = nanoseconds(request);
  auto bytes = wire::encode_raw_data_answer(answer);
  if (answer.code == 0) buffer_ = bytes;
  request.binary = std::move(bytes);
  return {};
}

std::string TmqDialogue::fetch_raw(WsRequest& request, const WsArgs& args) {
  consumer();
  const auto id = args.u64("message_id");
  const std::lock_guard lock(mutex_);
  if (!message_) refuse_request("message has been freed");
  if (id != message_id_) refuse_request("message ID is not equal");
  const auto payload = message_payload(*message_);
  request.binary = wire::encode_raw_answer({.timing_ns = nanoseconds(request),
                                            .request_id = request.id,
                                            .message_id = id,
                                            .type = message_->raw_type,
                                            .payload = payload});
  buffer_ = *request.binary;
  return {};
}

std::string TmqDialogue::fetch_json_meta(WsRequest&, const WsArgs& args) {
  consumer();
  const auto id = args.u64("message_id");
  const std::lock_guard lock(mutex_);
  if (!message_) refuse_request("message has been freed");
  if (message_->type != Message::Type::meta && message_->type != Message::Type::data_and_meta)
    refuse_request(fmt::format("message type can not get meta, type: {}", static_cast<int>(message_->type)));
  if (id != message_id_) refuse_request("message ID are not equal");
  return message_id_member(args) + ",\"data\":" + go_json(message_->json);
}

// --- offsets ---

std::string TmqDialogue::commit(WsRequest&, const WsArgs& args) {
  auto more = message_id_member(args);
  consumer().commit();
  return more;
}

std::string TmqDialogue::commit_offset(WsRequest&, const WsArgs& args) {
  const auto topic = args.text("topic");
  const auto vgroup = to_vgroup(args.i64("vgroup_id"));
  const auto offset = args.i64("offset").value_or(0);
  consumer().commit_offset(topic, vgroup, offset);
  std::string more = ",\"topic\":";
  append_json_text(more, topic);
  return more + fmt::format(",\"vgroup_id\":{},\"offset\":{}", vgroup, offset);
}

std::string TmqDialogue::assignment(WsRequest&, const WsArgs& args) {
  const auto topic = args.text("topic");
  return ",\"assignment\":" +
         list_of(consumer().assignment(topic), [](std::string& out, const Consumer::Assignment& one) {
           out += fmt::format("{{\"vgroup_id\":{},\"offset\":{},\"begin\":{},\"end\":{}}}", one.vgroup, one.offset,
                              one.begin, one.end);
         });
}

std::string TmqDialogue::seek(WsRequest&, const WsArgs& args) {
  const auto topic = args.text("topic");
  const auto vgroup = to_vgroup(args.i64("vgroup_id"));
  consumer().seek(topic, vgroup, args.i64("offset").value_or(0));
  return {};
}

std::string TmqDialogue::committed(WsRequest&, const WsArgs& args) {
  const auto wanted = topic_vgroups(args);
  auto& asked = consumer();
  return ",\"committed\":" + list_of(wanted, [&](std::string& out, const TopicVgroup& one) {
           out += std::to_string(asked.committed(one.topic, one.vgroup));
         });
}

std::string TmqDialogue::position(WsRequest&, const WsArgs& args) {
  const auto wanted = topic_vgroups(args);
  auto& asked = consumer();
  return ",\"position\":" + list_of(wanted, [&](std::string& out, const TopicVgroup& one) {
           out += std::to_string(asked.position(one.topic, one.vgroup));
         });
}

std::string TmqDialogue::list_topics(WsRequest&, const WsArgs&) {
  return ",\"topics\":" +
         list_of(consumer().topics(), [](std::string& out, const std::string& topic) { append_json_text(out, topic); });
}

}  // namespace penstock::sandbox
