#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/result_block.h"
#include "sandbox/subscription.h"
#include "standin/call.h"
#include "standin/connection.h"
#include "standin/pool.h"
#include "standin/result.h"
#include "standin/taos_abi.h"

/// Subscriptions: tmq_conf_new() … tmq_free_json_meta(), over the sandbox's consumers.
namespace penstock::standin {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint16_t kDefaultPort = 6030;
constexpr std::int32_t kUnsupported = 0x0100;

class Conf final : public Handle {
 public:
  sandbox::ConsumerOptions options;
  std::string host = "localhost";
  std::uint16_t port = kDefaultPort;
  tmq_commit_cb committed = nullptr;
  void* param = nullptr;
};

class List final : public Handle {
 public:
  void append(const char* topic) {
    topics.emplace_back(topic);
    pointers.clear();
    for (auto& one : topics) pointers.push_back(one.data());
  }
  std::vector<std::string> topics;
  std::vector<char*> pointers;
};

class Subscriber final : public Handle {
 public:
  Subscriber(std::shared_ptr<Connection> owner, const Conf& conf)
      : connection(std::move(owner)),
        consumer(connection->engine()->consumer(conf.options)),
        committed(conf.options.auto_commit ? conf.committed : nullptr),
        param(conf.param),
        commit_every(conf.options.auto_commit_every) {}

  const std::shared_ptr<Connection> connection;
  const std::unique_ptr<sandbox::Consumer> consumer;
  const tmq_commit_cb committed;
  void* const param;
  const std::chrono::milliseconds commit_every;
  void* connection_handle = nullptr;
  Clock::time_point last_commit = Clock::now();

  /// Runs the work on a thread of the library; wait_for_callbacks() waits for it.
  template <class Work>
  static void run_later(const std::shared_ptr<Subscriber>& self, Work work) {
    {
      const std::lock_guard lock(self->mutex_);
      ++self->under_way_;
    }
    run_on_pool([self, work] {
      const auto* const outer = std::exchange(calling_back, self.get());
      work();
      calling_back = outer;
      const std::lock_guard lock(self->mutex_);
      --self->under_way_;
      self->changed_.notify_all();
    });
  }
  /// Until none runs any more, but for the one that this is called in.
  void wait_for_callbacks() {
    const int own = calling_back == this ? 1 : 0;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return under_way_ <= own; });
  }

 private:
  static thread_local const Subscriber* calling_back;
  std::mutex mutex_;
  std::condition_variable changed_;
  int under_way_ = 0;
};

thread_local const Subscriber* Subscriber::calling_back = nullptr;

/// A message as a result: a block for each table in it.
class MessageResult final : public Result {
 public:
  MessageResult(std::shared_ptr<Connection> connection, sandbox::Message taken)
      : Result(std::move(connection)), message(std::move(taken)) {
    if (!message.parts.empty()) show(message.parts.front());
  }
  [[nodiscard]] const char* table() const noexcept {
    if (next_ == 0) return nullptr;
    const auto& name = message.parts[next_ - 1].table;
    return name.empty() ? nullptr : name.c_str();
  }
  const sandbox::Message message;

 protected:
  std::optional<ResultBlock> load_block() override {
    if (next_ >= message.parts.size()) return std::nullopt;
    const auto& part = message.parts[next_++];
    show(part);
    const auto rows = part.rows.rows.size();
    return ResultBlock{sandbox::result_block(part.rows, 0, rows, 2), static_cast<std::int32_t>(rows)};
  }

 private:
  void show(const sandbox::Message::Part& part) { set_fields(part.rows.fields, part.rows.precision); }
  std::size_t next_ = 0;
};

std::shared_ptr<Subscriber> subscriber_of(tmq_t* handle) {
  auto found = find<Subscriber>(handle);
  if (!found) fail_parameters();
  found->connection->check_alive();
  return found;
}

std::shared_ptr<MessageResult> message_of(const TAOS_RES* handle) {
  auto found = find<MessageResult>(handle);
  if (!found) fail_parameters();
  return found;
}

std::string topic_of(const char* topic) {
  if (topic == nullptr) fail_parameters();
  return topic;
}

void commit(Subscriber& subscriber, const TAOS_RES* message) {
  if (message == nullptr) subscriber.consumer->commit();
  else subscriber.consumer->commit(message_of(message)->message);
}

/// Tells who asked for it that the interval passed; the sandbox's consumer commits on its own.
void note_auto_commit(tmq_t* handle, const std::shared_ptr<Subscriber>& subscriber) {
  if (subscriber->committed == nullptr || Clock::now() - subscriber->last_commit < subscriber->commit_every) return;
  subscriber->last_commit = Clock::now();
  Subscriber::run_later(subscriber, [handle, self = subscriber.get()] { self->committed(handle, 0, self->param); });
}

template <class Work>
void commit_async(const char* function, tmq_t* handle, tmq_commit_cb done, void* param, Work work) {
  std::shared_ptr<Subscriber> subscriber;
  const int refused = code_call(function, [&] { subscriber = subscriber_of(handle); });
  if (!subscriber) {
    if (done != nullptr) run_on_pool([=] { done(handle, refused, param); });
    return;
  }
  Subscriber::run_later(subscriber, [=, self = subscriber.get()] {
    const int code = code_call("commit callback", [&] { work(*self); });
    if (done != nullptr) done(handle, code, param);
  });
}

/// A copy that the client gives back with free().
char* allocated(const std::string& text) {
  auto* const copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

std::shared_ptr<Conf> conf_of(tmq_conf_t* handle) {
  auto found = find<Conf>(handle);
  if (!found) fail_parameters();
  return found;
}

std::shared_ptr<List> list_of(const tmq_list_t* handle) {
  auto found = find<List>(handle);
  if (!found) fail_parameters();
  return found;
}

/// As code_call() of a call that gives a number, or the code as a negative one.
template <class Body>
std::int64_t number_call(const char* function, Body body) noexcept {
  return call(
      function, [](const Failure& failure) { return static_cast<std::int64_t>(failure.code); }, body);
}

}  // namespace
}  // namespace penstock::standin

using namespace penstock::standin;

extern "C" {

tmq_conf_t* tmq_conf_new(void) {
  return pointer_call("tmq_conf_new", [] { return static_cast<tmq_conf_t*>(give_out(std::make_shared<Conf>())); });
}

int tmq_conf_set(tmq_conf_t* handle, const char* key, const char* value) {
  return value_call("tmq_conf_set", int{TMQ_CONF_INVALID}, [&] {
    const auto conf = conf_of(handle);
    if (key == nullptr || value == nullptr) fail_parameters();
    const auto taken = penstock::sandbox::set_option(conf->options, key, value);
    if (taken != penstock::sandbox::OptionResult::ok) return static_cast<int>(taken);
    const std::string name = key;
    const std::string text = value;
    if (name == "td.connect.ip") conf->host = text;
    if (name == "td.connect.port") std::from_chars(text.data(), text.data() + text.size(), conf->port);
    return int{TMQ_CONF_OK};
  });
}

void tmq_conf_set_auto_commit_cb(tmq_conf_t* handle, tmq_commit_cb done, void* param) {
  code_call("tmq_conf_set_auto_commit_cb", [&] {
    const auto conf = conf_of(handle);
    conf->committed = done;
    conf->param = param;
  });
}

void tmq_conf_destroy(tmq_conf_t* handle) {
  code_call("tmq_conf_destroy", [&] { take<Conf>(handle); });
}

tmq_list_t* tmq_list_new(void) {
  return pointer_call("tmq_list_new", [] { return static_cast<tmq_list_t*>(give_out(std::make_shared<List>())); });
}

int32_t tmq_list_append(tmq_list_t* handle, const char* topic) {
  return code_call("tmq_list_append", [&] {
    const auto list = list_of(handle);
    if (topic == nullptr || *topic == '\0') fail_parameters();
    list->append(topic);
  });
}

int32_t tmq_list_get_size(const tmq_list_t* handle) {
  return value_call("tmq_list_get_size", -1, [&] { return static_cast<int>(list_of(handle)->topics.size()); });
}

char** tmq_list_to_c_array(const tmq_list_t* handle) {
  return pointer_call("tmq_list_to_c_array", [&] { return list_of(handle)->pointers.data(); });
}

void tmq_list_destroy(tmq_list_t* handle) {
  code_call("tmq_list_destroy", [&] { take<List>(handle); });
}

tmq_t* tmq_consumer_new(tmq_conf_t* handle, char* errstr, int32_t errstr_len) {
  return call(
      "tmq_consumer_new",
      [&](Failure failure) -> tmq_t* {
        if (errstr != nullptr && errstr_len > 0) {
          const auto size = std::min(failure.text.size(), static_cast<std::size_t>(errstr_len) - 1);
          std::memcpy(errstr, failure.text.data(), size);
          errstr[size] = '\0';
        }
        last_failure() = std::move(failure);
        return nullptr;
      },
      [&]() -> tmq_t* {
        const auto conf = conf_of(handle);
        if (conf->options.group.empty()) fail_parameters();
        auto connection = std::make_shared<Connection>(server_at(conf->host, conf->port), conf->options.user,
                                                       conf->options.password, "");
        auto subscriber = std::make_shared<Subscriber>(connection, *conf);
        subscriber->connection_handle = give_out(std::move(connection));
        last_failure() = {};
        return static_cast<tmq_t*>(give_out(std::move(subscriber)));
      });
}

int32_t tmq_subscribe(tmq_t* handle, const tmq_list_t* topics) {
  return code_call("tmq_subscribe", [&] {
    const auto subscriber = subscriber_of(handle);
    subscriber->consumer->subscribe(list_of(topics)->topics);
  });
}

int32_t tmq_unsubscribe(tmq_t* handle) {
  return code_call("tmq_unsubscribe", [&] { subscriber_of(handle)->consumer->unsubscribe(); });
}

int32_t tmq_subscription(tmq_t* handle, tmq_list_t** topics) {
  return code_call("tmq_subscription", [&] {
    const auto subscriber = subscriber_of(handle);
    if (topics == nullptr) fail_parameters();
    const auto list = *topics == nullptr ? std::make_shared<List>() : list_of(*topics);
    for (const auto& topic : subscriber->consumer->topics()) list->append(topic.c_str());
    if (*topics == nullptr) *topics = static_cast<tmq_list_t*>(give_out(list));
  });
}

TAOS_RES* tmq_consumer_poll(tmq_t* handle, int64_t timeout_ms) {
  return pointer_call("tmq_consumer_poll", [&]() -> TAOS_RES* {
    constexpr std::int64_t kForever = 24 * 3600 * 1000;
    // Short waits one after the other, so that a connection which is dropped meanwhile ends them.
    constexpr std::chrono::milliseconds kSlice{100};
    const auto subscriber = subscriber_of(handle);
    const auto deadline =
        Clock::now() + std::chrono::milliseconds(timeout_ms < 0 ? kForever : std::min(timeout_ms, kForever));
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
      auto message = subscriber->consumer->poll(std::clamp(left, std::chrono::milliseconds(0), kSlice));
      subscriber->connection->check_alive();
      note_auto_commit(handle, subscriber);
      if (message) return give_out(std::make_shared<MessageResult>(subscriber->connection, std::move(*message)));
      if (Clock::now() >= deadline) return nullptr;
    }
  });
}

int32_t tmq_consumer_close(tmq_t* handle) {
  return code_call("tmq_consumer_close", [&] {
    const auto subscriber = take<Subscriber>(handle);
    if (!subscriber) fail_parameters();
    subscriber->wait_for_callbacks();
    drop_if_out(subscriber->connection_handle);
  });
}

int32_t tmq_commit_sync(tmq_t* handle, const TAOS_RES* message) {
  return code_call("tmq_commit_sync", [&] { commit(*subscriber_of(handle), message); });
}

void tmq_commit_async(tmq_t* handle, const TAOS_RES* message, tmq_commit_cb done, void* param) {
  // The client may free the message before the commit runs.
  const auto kept = message == nullptr ? nullptr : find<MessageResult>(message);
  commit_async("tmq_commit_async", handle, done, param, [message, kept](Subscriber& subscriber) {
    if (message != nullptr && !kept) fail_parameters();
    if (kept) subscriber.consumer->commit(kept->message);
    else subscriber.consumer->commit();
  });
}

int32_t tmq_commit_offset_sync(tmq_t* handle, const char* topic, int32_t vgroup, int64_t offset) {
  return code_call("tmq_commit_offset_sync",
                   [&] { subscriber_of(handle)->consumer->commit_offset(topic_of(topic), vgroup, offset); });
}

void tmq_commit_offset_async(tmq_t* handle, const char* topic, int32_t vgroup, int64_t offset, tmq_commit_cb done,
                             void* param) {
  const std::string name = topic == nullptr ? "" : topic;
  commit_async("tmq_commit_offset_async", handle, done, param,
               [=](Subscriber& subscriber) { subscriber.consumer->commit_offset(name, vgroup, offset); });
}

int32_t tmq_get_topic_assignment(tmq_t* handle, const char* topic, tmq_topic_assignment** assignment, int32_t* count) {
  if (assignment != nullptr) *assignment = nullptr;
  if (count != nullptr) *count = 0;
  return code_call("tmq_get_topic_assignment", [&] {
    const auto subscriber = subscriber_of(handle);
    if (assignment == nullptr || count == nullptr) fail_parameters();
    const auto parts = subscriber->consumer->assignment(topic_of(topic));
    if (parts.empty()) return;
    auto* const list = static_cast<tmq_topic_assignment*>(std::calloc(parts.size(), sizeof(tmq_topic_assignment)));
    if (list == nullptr) throw std::bad_alloc();
    for (std::size_t i = 0; i < parts.size(); ++i) {
      list[i] = {parts[i].vgroup, parts[i].offset, parts[i].begin, parts[i].end};
    }
    *assignment = list;
    *count = static_cast<std::int32_t>(parts.size());
  });
}

void tmq_free_assignment(tmq_topic_assignment* assignment) { std::free(assignment); }

int32_t tmq_offset_seek(tmq_t* handle, const char* topic, int32_t vgroup, int64_t offset) {
  return code_call("tmq_offset_seek", [&] { subscriber_of(handle)->consumer->seek(topic_of(topic), vgroup, offset); });
}

int64_t tmq_position(tmq_t* handle, const char* topic, int32_t vgroup) {
  return number_call("tmq_position",
                     [&] { return subscriber_of(handle)->consumer->position(topic_of(topic), vgroup); });
}

int64_t tmq_committed(tmq_t* handle, const char* topic, int32_t vgroup) {
  return number_call("tmq_committed",
                     [&] { return subscriber_of(handle)->consumer->committed(topic_of(topic), vgroup); });
}

int tmq_get_res_type(TAOS_RES* message) {
  const auto found = find<MessageResult>(message);
  return found ? static_cast<int>(found->message.type) : int{TMQ_RES_INVALID};
}

const char* tmq_get_topic_name(TAOS_RES* message) {
  return pointer_call("tmq_get_topic_name", [&] { return message_of(message)->message.topic.c_str(); });
}

const char* tmq_get_db_name(TAOS_RES* message) {
  return pointer_call("tmq_get_db_name", [&] { return message_of(message)->message.database.c_str(); });
}

const char* tmq_get_table_name(TAOS_RES* message) {
  return pointer_call("tmq_get_table_name", [&] { return message_of(message)->table(); });
}

int32_t tmq_get_vgroup_id(TAOS_RES* message) {
  return value_call("tmq_get_vgroup_id", -1, [&] { return message_of(message)->message.vgroup; });
}

int64_t tmq_get_vgroup_offset(TAOS_RES* message) {
  return number_call("tmq_get_vgroup_offset", [&] { return message_of(message)->message.offset; });
}

TAOS* tmq_get_connect(tmq_t* handle) {
  return pointer_call("tmq_get_connect", [&] { return subscriber_of(handle)->connection_handle; });
}

int32_t tmq_get_raw(TAOS_RES* message, tmq_raw_data* raw) {
  return code_call("tmq_get_raw", [&] {
    const auto found = message_of(message);
    if (raw == nullptr) fail_parameters();
    const auto payload = penstock::sandbox::message_payload(found->message);
    raw->raw = allocated(payload);
    raw->raw_len = static_cast<std::uint32_t>(payload.size());
    raw->raw_type = found->message.raw_type;
  });
}

/// What the payload means is the engine's business.
int32_t tmq_write_raw(TAOS* taos, tmq_raw_data) {
  return code_call("tmq_write_raw", [&] {
    connection_of(taos);
    fail(kUnsupported, "the stand-in library does not write raw messages");
  });
}

void tmq_free_raw(tmq_raw_data raw) { std::free(raw.raw); }

char* tmq_get_json_meta(TAOS_RES* message) {
  return pointer_call("tmq_get_json_meta", [&]() -> char* {
    const auto& json = message_of(message)->message.json;
    return json.empty() ? nullptr : allocated(json);
  });
}

void tmq_free_json_meta(char* json) { std::free(json); }
}
