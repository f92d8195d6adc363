#include "client/consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/text.h"
#include "client/detail/consumer_backend.h"
#include "client/detail/native_consumer.h"
#include "client/detail/session.h"
#include "client/detail/ws_consumer.h"

namespace penstock::client {

using detail::ConsumerPlan;

namespace detail {
namespace {

[[noreturn]] void refuse(std::string_view property, std::string_view value, const std::string& why) {
  throw InterfaceError(Errc::config,
                       fmt::format("the property {} of a consumer cannot be '{}': {}", property, printable(value), why),
                       Place{{}, "subscribe", 0});
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

bool read_bool(std::string_view property, std::string_view value) {
  const auto word = lower(value);
  if (word == "true" || word == "1" || word == "t") return true;
  if (word == "false" || word == "0" || word == "f") return false;
  refuse(property, value, "it takes true or false");
}

std::int64_t read_number(std::string_view property, std::string_view value, std::int64_t least, std::int64_t most) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < least || number > most)
    refuse(property, value, fmt::format("it takes a number from {} to {}", least, most));
  return number;
}

// What says where and as whom.
bool read_connection(std::string_view property, const std::string& value, Options& options) {
  constexpr std::string_view kPrefix = "td.connect.";
  if (!property.starts_with(kPrefix)) return false;
  const auto name = property.substr(kPrefix.size());
  if (name == "user") options.user = value;
  else if (name == "pass") options.password = value;
  else if (name == "db") options.database = value;
  else if (name == "token") options.token = value;
  else if (name == "ip" || name == "port") return true;  // together, see plan_consumer()
  else if (name == "websocket.scheme") {
    if (value != "ws" && value != "wss") refuse(property, value, "it takes ws or wss");
    options.transport = Transport::websocket;
    options.tls = value == "wss";
  } else {
    return false;
  }
  return true;
}

// Checks a value and gives it the form that every server takes.
std::string read_property(std::string_view property, const std::string& value) {
  constexpr std::int64_t kMost = INT32_MAX;
  constexpr std::array<std::string_view, 2> kWords{"msg.with.table.name", "experimental.snapshot.enable"};
  constexpr std::array<std::string_view, 3> kDigits{"msg.enable.batchmeta", "msg.consume.excluded",
                                                    "msg.consume.rawdata"};
  const auto is_in = [&](const auto& names) { return std::find(names.begin(), names.end(), property) != names.end(); };
  if (is_in(kWords)) return read_bool(property, value) ? "true" : "false";
  if (is_in(kDigits)) return read_bool(property, value) ? "1" : "0";
  if (property == "auto.offset.reset") {
    auto word = lower(value);
    if (word != "earliest" && word != "latest" && word != "none")
      refuse(property, value, "it takes earliest, latest or none");
    return word;
  }
  if (property == "session.timeout.ms") read_number(property, value, 6'000, 1'800'000);
  if (property == "max.poll.interval.ms") read_number(property, value, 1'000, kMost);
  return value;
}

}  // namespace

std::string_view ConsumerPlan::property(std::string_view name) const {
  const auto found = properties.find(name);
  return found == properties.end() ? std::string_view() : std::string_view(found->second);
}

ConsumerPlan plan_consumer(const Options& options, const Consumer::Config& config) {
  ConsumerPlan plan;
  plan.options = options;
  for (const auto& [property, value] : config) {
    if (read_connection(property, value, plan.options)) continue;
    plan.properties[property] = read_property(property, value);
  }
  const auto ip = config.find("td.connect.ip"), port = config.find("td.connect.port");
  if (ip != config.end() || port != config.end()) {
    Endpoint endpoint = plan.options.endpoints.empty() ? Endpoint{} : plan.options.endpoints.front();
    if (ip != config.end()) endpoint.host = ip->second;
    if (port != config.end())
      endpoint.port = static_cast<std::uint16_t>(read_number("td.connect.port", port->second, 1, 65'535));
    if (endpoint.host.empty()) refuse("td.connect.ip", endpoint.host, "it takes a host name or an address");
    plan.options.endpoints = {endpoint};
  }
  if (plan.property("group.id").empty())
    refuse("group.id", {}, "every consumer belongs to a group; give its name, at most 192 bytes");
  if (const auto value = plan.property("enable.auto.commit"); !value.empty())
    plan.auto_commit = read_bool("enable.auto.commit", value);
  if (const auto value = plan.property("auto.commit.interval.ms"); !value.empty())
    plan.commit_interval = std::chrono::milliseconds(read_number("auto.commit.interval.ms", value, 1, INT32_MAX));
  return plan;
}

void throw_tmq_error(std::int32_t server_code, const std::string& message, const Place& place) {
  const auto text = printable(message.empty() ? std::string_view("no reason given") : std::string_view(message), 1000);
  if (server_code == 0x0351 || server_code == 0x0357 || message == "init tscObj failed")
    throw ConnectionError(
        Errc::auth,
        fmt::format("{} refused the login of a consumer: {}: wrong user or password?", place.endpoint, text), place,
        server_code, message);
  throw TmqError(server_code == 0x03E1 || server_code == 0x0388 ? Errc::config : Errc::server,
                 fmt::format("TDengine at {} refused '{}' of a consumer: {} (0x{:04X})", place.endpoint, place.action,
                             text, server_code & 0xFFFF),
                 place, server_code, message);
}

namespace {

std::unique_ptr<ConsumerBackend> make_backend(ConsumerPlan plan) {
  switch (plan.options.transport) {
    case Transport::websocket: return std::make_unique<WsConsumer>(std::move(plan));
    case Transport::native: return std::make_unique<NativeConsumer>(std::move(plan));
    case Transport::rest: break;
  }
  throw InterfaceError(
      Errc::unsupported,
      fmt::format("{}: this transport has no subscriptions; consume over ws:// or taos://", plan.options.display()),
      Place{plan.options.display(), "subscribe", 0});
}

}  // namespace
}  // namespace detail

// --- Message ---

Message::Message(std::unique_ptr<detail::MessageState> state) : state_(std::move(state)) {}
Message::Message(Message&&) noexcept = default;
Message& Message::operator=(Message&&) noexcept = default;
Message::~Message() = default;

Message::Kind Message::kind() const noexcept { return state_->kind; }
const std::string& Message::topic() const noexcept { return state_->topic; }
const std::string& Message::database() const noexcept { return state_->database; }
std::int32_t Message::vgroup() const noexcept { return state_->vgroup; }
std::int64_t Message::offset() const noexcept { return state_->offset; }

std::vector<Message::Block> Message::blocks() {
  if (kind() == Kind::meta) return {};
  if (kind() == Kind::raw)
    throw InterfaceError(Errc::unsupported,
                         "with msg.consume.rawdata rows come as the engine stores them: take raw(), or leave the "
                         "property out",
                         Place{{}, "blocks", 0});
  return state_->blocks();
}

std::string Message::json() {
  if (kind() == Kind::data || kind() == Kind::raw) return {};
  return state_->json();
}

Message::Raw Message::raw() { return state_->raw(); }

// --- Consumer ---

Consumer::Consumer(std::unique_ptr<detail::ConsumerBackend> backend) : backend_(std::move(backend)) {}
Consumer::Consumer(Consumer&&) noexcept = default;
Consumer& Consumer::operator=(Consumer&&) noexcept = default;
Consumer::~Consumer() = default;

Consumer Consumer::open(const Options& options, const Config& config) {
  return Consumer(detail::make_backend(detail::plan_consumer(options, config)));
}

Consumer Consumer::open(std::string_view dsn, const Config& config) { return open(Options::parse(dsn), config); }

void Consumer::subscribe(std::span<const std::string> topics) {
  if (topics.empty())
    throw InterfaceError(Errc::config, "subscribe() takes at least one topic; to leave all, unsubscribe()",
                         Place{{}, "subscribe", 0});
  backend_->subscribe(topics);
}

void Consumer::unsubscribe() { backend_->unsubscribe(); }
std::vector<std::string> Consumer::topics() const { return backend_->topics(); }

std::optional<Message> Consumer::poll(std::chrono::milliseconds timeout) {
  auto state = backend_->poll(timeout);
  if (!state) return std::nullopt;
  return Message(std::move(state));
}

void Consumer::commit() { backend_->commit(); }
void Consumer::commit(const Message& message) { backend_->commit(*message.state_); }
void Consumer::commit(const Offset& offset) { backend_->commit(offset); }

std::vector<Assignment> Consumer::assignment(std::string_view topic) { return backend_->assignment(topic); }
void Consumer::seek(const Offset& offset) { backend_->seek(offset); }

void Consumer::seek_to_beginning(std::string_view topic) {
  for (const auto& part : assignment(topic)) seek({std::string(topic), part.vgroup, part.begin});
}

void Consumer::seek_to_end(std::string_view topic) {
  for (const auto& part : assignment(topic)) seek({std::string(topic), part.vgroup, part.end});
}

std::optional<std::int64_t> Consumer::committed(std::string_view topic, std::int32_t vgroup) {
  return backend_->committed(topic, vgroup);
}

std::optional<std::int64_t> Consumer::position(std::string_view topic, std::int32_t vgroup) {
  return backend_->position(topic, vgroup);
}

void Consumer::close() { backend_->close(); }

}  // namespace penstock::client
