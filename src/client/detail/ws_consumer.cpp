#include "client/detail/ws_consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "client/detail/json_answer.h"
#include "client/detail/tmq_message.h"

namespace penstock::client::detail {
namespace {

using std::chrono::milliseconds;

// The server is asked to wait in slices, so that a stop and a lost connection are noticed.
constexpr milliseconds kSlice{2'000};
// How long the answer to a poll may take beyond the time that the server was asked to wait.
constexpr milliseconds kLate{500};
constexpr milliseconds kLongest = std::chrono::hours(24 * 365);

std::string member(std::string_view name, std::string_view value) {
  return fmt::format("\"{}\":{}", name, json_quoted(value));
}

// Properties that are members of the request.
struct Known {
  std::string_view property, member;
};
constexpr std::array<Known, 10> kKnown{{
    {"group.id", "group_id"},
    {"client.id", "client_id"},
    {"auto.offset.reset", "offset_reset"},
    {"msg.with.table.name", "with_table_name"},
    {"experimental.snapshot.enable", "snapshot_enable"},
    {"session.timeout.ms", "session_timeout_ms"},
    {"max.poll.interval.ms", "max_poll_interval_ms"},
    {"msg.enable.batchmeta", "enable_batch_meta"},
    {"msg.consume.excluded", "msg_consume_excluded"},
    {"msg.consume.rawdata", "msg_consume_rawdata"},
}};

bool is_member(std::string_view property) {
  return property == "enable.auto.commit" || property == "auto.commit.interval.ms" ||
         std::any_of(kKnown.begin(), kKnown.end(), [&](const Known& known) { return known.property == property; });
}

std::string topic_arguments(std::string_view topic, std::int32_t vgroup) {
  return fmt::format("{},\"vgroup_id\":{}", member("topic", topic), vgroup);
}

}  // namespace

WsConsumer::WsConsumer(ConsumerPlan plan) : plan_(std::move(plan)), link_(std::make_shared<TmqLink>(plan_.options)) {
  link_->open();
}

WsConsumer::~WsConsumer() { link_->close(); }

void WsConsumer::revive(std::string_view action) {
  if (closed_)
    throw InterfaceError(Errc::unsupported, fmt::format("'{}' on a consumer that was closed", action),
                         Place{link_->endpoint(), std::string(action), 0});
  if (!link_->is_open() && plan_.options.reconnect) link_->open();
  if (!topics_.empty() && link_->is_open() && subscribed_ != link_->epoch()) send_subscribe();
}

void WsConsumer::need_topics(std::string_view action) const {
  if (topics_.empty())
    throw InterfaceError(Errc::unsupported, fmt::format("'{}' comes after subscribe()", action),
                         Place{link_->endpoint(), std::string(action), 0});
}

void WsConsumer::forget_messages() noexcept {
  waiting_.reset();
  delivered_.clear();
}

void WsConsumer::subscribe(std::span<const std::string> topics) {
  if (!topics_.empty()) unsubscribe();
  revive("subscribe");
  topics_.assign(topics.begin(), topics.end());
  try {
    send_subscribe();
  } catch (...) {
    topics_.clear();
    throw;
  }
}

std::string WsConsumer::subscribe_arguments(bool batch_meta) const {
  const Options& options = plan_.options;
  std::string out = fmt::format("{},{},{}", member("user", options.user), member("password", options.password),
                                member("db", options.database));
  if (!options.time_zone.empty()) out += ',' + member("tz", options.time_zone);
  out += ',' + member("app", options.application);
  for (const auto& [property, name] : kKnown) {
    const auto value = plan_.property(property);
    if (value.empty() || (name == "enable_batch_meta" && !batch_meta)) continue;
    out += ',' + member(name, value);
  }
  // The adapter commits by itself unless told otherwise; its own default is not to.
  out += fmt::format(R"(,"auto_commit":"{}","auto_commit_interval_ms":"{}","topics":[)", plan_.auto_commit,
                     plan_.commit_interval.count());
  for (std::size_t i = 0; i < topics_.size(); ++i) out += (i == 0 ? "" : ",") + json_quoted(topics_[i]);
  out += ']';
  std::string others;
  for (const auto& [property, value] : plan_.properties)
    if (!is_member(property)) others += (others.empty() ? "" : ",") + json_quoted(property) + ':' + json_quoted(value);
  if (!options.bearer_token.empty())
    others += (others.empty() ? "" : ",") + member("td.connect.token", options.bearer_token);
  if (!others.empty()) out += ",\"config\":{" + others + '}';
  return out;
}

void WsConsumer::send_subscribe() {
  forget_messages();
  const bool batch_meta = !plan_.property("msg.enable.batchmeta").empty();
  auto answer = link_->ask("subscribe", subscribe_arguments(batch_meta)).json;
  // Servers that do not know this one name it or say that something is unknown; without it each change of a table is a
  // message of its own.
  if (batch_meta &&
      (answer.code == 0xFFFE || (answer.code == 0x0118 && answer.message.find("batch") != std::string::npos)))
    answer = link_->ask("subscribe", subscribe_arguments(false)).json;
  if (answer.code != 0) refuse_subscription(answer);
  subscribed_ = link_->epoch();
  last_message_ = 0;
}

void WsConsumer::refuse_subscription(const TmqAnswer& answer) {
  const Place place{link_->endpoint(), "subscribe", answer.request_id};
  const bool property = answer.code == 0x0118 || answer.code == 0xFFFE ||
                        (answer.code == 0xFFFF && (answer.message == "fail" || answer.message.starts_with("strconv.")));
  if (!property) throw_tmq_error(answer.code, answer.message, place);
  std::string given;
  for (const auto& [name, value] : plan_.properties)
    if (name != "group.id" && name != "client.id")
      given += fmt::format("{}{}={}", given.empty() ? "" : ", ", name, printable(value));
  throw TmqError(Errc::config,
                 fmt::format("TDengine {} at {} refused a property of the consumer: {} (0x{:04X}); given were {}: take "
                             "out what this version does not know",
                             link_->version(), link_->endpoint(), printable(answer.message, 300), answer.code, given),
                 place, answer.code, answer.message);
}

void WsConsumer::unsubscribe() {
  if (topics_.empty()) return;
  const bool there = !closed_ && link_->is_open() && subscribed_ == link_->epoch();
  if (there && plan_.auto_commit) commit();
  topics_.clear();
  forget_messages();
  if (!there) return;
  if (link_->polling()) settle();
  waiting_.reset();
  link_->call("unsubscribe", {});
}

std::unique_ptr<MessageState> WsConsumer::poll(milliseconds timeout) {
  const auto deadline = Clock::now() + std::clamp(timeout, milliseconds(0), kLongest);
  revive("poll");
  need_topics("poll");
  for (bool first = true;; first = false) {
    if (waiting_) return std::move(waiting_);
    const auto begin = Clock::now();
    const auto left = std::max(milliseconds(0), std::chrono::ceil<milliseconds>(deadline - begin));
    if (!first && left.count() == 0) return nullptr;
    if (plan_.options.stop.stop_requested())
      throw ConnectionError(Errc::stopped, "stopped before polling", Place{link_->endpoint(), "poll", 0});
    const auto slice = std::min(left, kSlice);
    const bool late = link_->polling();
    if (!late) link_->send_poll(slice, last_message_);
    std::optional<TmqAnswer> answer;
    try {
      answer = link_->take_poll(begin + slice + kLate);
    } catch (const TmqError& error) {
      // The server knows this consumer no more: the next call joins the group anew.
      const auto code = error.server_code();
      if (code == 0x4001 || code == 0x4002 || code == 0x4017 || code == 0x03E6) link_->close();
      throw;
    }
    if (!answer) {
      if (Clock::now() >= deadline) return nullptr;
      continue;
    }
    if (answer->have_message) return deliver(std::move(*answer));
    // An empty answer before its time: a server that does not wait must not be asked again and again.
    if (!late && Clock::now() - begin < slice / 2) link_->idle(begin + slice);
  }
}

std::unique_ptr<MessageState> WsConsumer::deliver(TmqAnswer&& answer) {
  if (answer.message_type < 1 || answer.message_type > 4)
    throw TmqError(
        Errc::protocol,
        fmt::format("{} sent a message of the unknown type {}; it cannot be skipped: use a client that knows "
                    "this server",
                    link_->endpoint(), answer.message_type),
        Place{link_->endpoint(), "poll", answer.request_id});
  auto message = std::make_unique<TmqMessage>(link_);
  message->kind = static_cast<Message::Kind>(answer.message_type);
  message->topic = std::move(answer.topic);
  message->database = std::move(answer.database);
  message->vgroup = answer.vgroup;
  message->offset = answer.offset;
  message->id = answer.message_id;
  last_message_ = answer.message_id;
  auto& before = delivered_[{message->topic, message->vgroup}];
  if (message->kind == Message::Kind::meta) {
    if (answer.offset >= 0) message->reach->end = answer.offset;
  } else if (before && !before->end && before->newest && answer.offset >= 0) {
    before->end = answer.offset;
  }
  if (before) before->newest = false;
  message->before = std::exchange(before, message->reach);
  return message;
}

void WsConsumer::settle() {
  if (waiting_ || !link_->polling()) return;
  // Ends at the latest when the answer is overdue, with an exception.
  auto answer = link_->take_poll(Deadline::max());
  if (!answer || !answer->have_message) return;
  waiting_ = deliver(std::move(*answer));
}

void WsConsumer::commit() {
  revive("commit");
  need_topics("commit");
  settle();
  if (!waiting_) {
    if (last_message_ != 0) link_->call("commit", fmt::format("\"message_id\":{}", last_message_));
    return;
  }
  // The server counts a message as consumed that this side's caller has not seen: vgroup by vgroup, without it.
  for (const auto& [place, reach] : delivered_) {
    const auto& message = static_cast<const TmqMessage&>(*waiting_);
    if (reach == message.reach) {
      if (message.before && message.before->end) commit(Offset{place.first, place.second, *message.before->end});
      continue;
    }
    commit_behind(place.first, place.second, *reach);
  }
}

void WsConsumer::commit(const MessageState& state) {
  revive("commit");
  const auto& message = dynamic_cast<const TmqMessage&>(state);
  if (!message.reach->end && message.epoch != link_->epoch())
    throw TmqError(Errc::unreachable,
                   "the message was lost with its connection before it was committed; it comes again",
                   Place{link_->endpoint(), "commit", 0});
  settle();
  // Snapshots have no places in the log that could be named.
  if (message.offset < 0 && !message.reach->end && !waiting_ && message.id == last_message_) return commit();
  commit_behind(message.topic, message.vgroup, *message.reach);
}

void WsConsumer::commit_behind(const std::string& topic, std::int32_t vgroup, const Reach& reach) {
  auto end = reach.end;
  if (!end && reach.newest) end = position(topic, vgroup);
  if (!end)
    throw InterfaceError(
        Errc::unsupported,
        fmt::format("where the message in vgroup {} of '{}' ends is not known: commit a message before "
                    "polling on or seeking, or read it first",
                    vgroup, printable(topic)),
        Place{link_->endpoint(), "commit", 0});
  commit(Offset{topic, vgroup, *end});
}

void WsConsumer::commit(const Offset& offset) {
  revive("commit");
  need_topics("commit");
  link_->call("commit_offset",
              fmt::format("{},\"offset\":{}", topic_arguments(offset.topic, offset.vgroup), offset.offset));
}

std::vector<Assignment> WsConsumer::assignment(std::string_view topic) {
  revive("assignment");
  need_topics("assignment");
  return link_->call("assignment", member("topic", topic)).json.assignment;
}

void WsConsumer::seek(const Offset& offset) {
  revive("seek");
  need_topics("seek");
  // A poll under way reads from where it is now.
  settle();
  link_->call("seek", fmt::format("{},\"offset\":{}", topic_arguments(offset.topic, offset.vgroup), offset.offset));
  if (waiting_ && waiting_->topic == offset.topic && waiting_->vgroup == offset.vgroup) waiting_.reset();
  if (const auto found = delivered_.extract({offset.topic, offset.vgroup})) found.mapped()->newest = false;
}

std::optional<std::int64_t> WsConsumer::committed(std::string_view topic, std::int32_t vgroup) {
  return offset_of("committed", topic, vgroup);
}

std::optional<std::int64_t> WsConsumer::position(std::string_view topic, std::int32_t vgroup) {
  return offset_of("position", topic, vgroup);
}

std::optional<std::int64_t> WsConsumer::offset_of(std::string_view action, std::string_view topic,
                                                  std::int32_t vgroup) {
  revive(action);
  need_topics(action);
  const auto answer =
      link_->call(action, fmt::format("\"topic_vgroup_ids\":[{{{}}}]", topic_arguments(topic, vgroup))).json;
  if (answer.offsets.size() != 1)
    throw TmqError(Errc::protocol,
                   fmt::format("{} answered '{}' with {} offsets instead of one", link_->endpoint(), action,
                               answer.offsets.size()),
                   Place{link_->endpoint(), std::string(action), answer.request_id});
  if (answer.offsets[0] < 0) return std::nullopt;
  return answer.offsets[0];
}

void WsConsumer::close() {
  if (closed_) return;
  struct Closing {
    WsConsumer& owner;
    ~Closing() {
      owner.closed_ = true;
      owner.topics_.clear();
      owner.link_->close();
    }
  } closing{*this};
  unsubscribe();
}

}  // namespace penstock::client::detail
