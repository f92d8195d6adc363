#include "client/detail/native_consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "client/detail/native_message.h"

namespace penstock::client::detail {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// The library waits in slices, so that a stop is noticed and other calls need not wait long for a poll.
constexpr milliseconds kSlice{500};
constexpr milliseconds kLate{200};
constexpr milliseconds kLongest = std::chrono::hours(24 * 365);

NativeOutcome outcome_of_tmq(const NativeLibrary& library, std::int64_t code) {
  return outcome_of(code, code == 0 ? nullptr : library.tmq_error_text(static_cast<std::int32_t>(code)));
}

void need_functions(const NativeLibrary& library) {
#define PENSTOCK_NATIVE_NEED(member, symbol) library.need(library.member, #symbol, "a subscription");
  PENSTOCK_NATIVE_NEED(tmq_conf_new, tmq_conf_new)
  PENSTOCK_NATIVE_NEED(tmq_conf_set, tmq_conf_set)
  PENSTOCK_NATIVE_NEED(tmq_conf_destroy, tmq_conf_destroy)
  PENSTOCK_NATIVE_NEED(tmq_list_new, tmq_list_new)
  PENSTOCK_NATIVE_NEED(tmq_list_append, tmq_list_append)
  PENSTOCK_NATIVE_NEED(tmq_list_destroy, tmq_list_destroy)
  PENSTOCK_NATIVE_NEED(tmq_consumer_new, tmq_consumer_new)
  PENSTOCK_NATIVE_NEED(tmq_subscribe, tmq_subscribe)
  PENSTOCK_NATIVE_NEED(tmq_unsubscribe, tmq_unsubscribe)
  PENSTOCK_NATIVE_NEED(tmq_poll, tmq_consumer_poll)
  PENSTOCK_NATIVE_NEED(tmq_close, tmq_consumer_close)
  PENSTOCK_NATIVE_NEED(tmq_commit, tmq_commit_sync)
  PENSTOCK_NATIVE_NEED(tmq_result_type, tmq_get_res_type)
  PENSTOCK_NATIVE_NEED(tmq_topic_name, tmq_get_topic_name)
  PENSTOCK_NATIVE_NEED(tmq_db_name, tmq_get_db_name)
  PENSTOCK_NATIVE_NEED(tmq_table_name, tmq_get_table_name)
  PENSTOCK_NATIVE_NEED(tmq_vgroup, tmq_get_vgroup_id)
  PENSTOCK_NATIVE_NEED(tmq_vgroup_offset, tmq_get_vgroup_offset)
  PENSTOCK_NATIVE_NEED(tmq_error_text, tmq_err2str)
#undef PENSTOCK_NATIVE_NEED
}

std::string text_of(const char* text) { return text == nullptr ? std::string() : std::string(text); }

}  // namespace

NativeConsumer::NativeConsumer(ConsumerPlan plan)
    : plan_(std::move(plan)), library_(NativeLibrary::get(plan_.options)) {
  const auto& options = plan_.options;
  if (!options.token.empty() || !options.bearer_token.empty())
    throw InterfaceError(Errc::unsupported,
                         fmt::format("cannot consume from {}: a token is for ws:// and wss://; natively a user logs in "
                                     "with a password",
                                     options.display()),
                         Place{options.display(), "subscribe", 0});
  need_functions(library_);
  try {
    open();
  } catch (const TmqError&) {
    // What is wrong with a property or a password is said by subscribe(), as over WebSocket.
  } catch (const ConnectionError& error) {
    if (error.code() != Errc::auth) throw;
  }
}

NativeConsumer::~NativeConsumer() = default;

// The endpoints in turn.
void NativeConsumer::open() {
  const auto& endpoints = plan_.options.endpoints;
  auto patience = std::max(plan_.options.connect_timeout, milliseconds(1));
  if (endpoints.size() > 1)
    patience = std::max(patience / static_cast<int>(endpoints.size()), std::min(patience, milliseconds(2'000)));
  std::string others;
  for (std::size_t i = 0;; ++i) {
    auto link = std::make_shared<NativeTmqLink>(plan_.options, library_);
    const auto& endpoint = endpoints[next_endpoint_++ % endpoints.size()];
    try {
      link->open(endpoint, plan_, patience);
      link_ = std::move(link);
      return;
    } catch (const ConnectionError& error) {
      const bool final = error.code() == Errc::auth || error.code() == Errc::stopped;
      if (final || endpoints.size() == 1) throw;
      if (i + 1 == endpoints.size())
        throw ConnectionError(error.code(), others + error.what(), Place{error.endpoint(), error.action(), 0},
                              error.server_code(), error.message());
      others += std::string(error.what()) + "; and ";
    }
  }
}

void NativeConsumer::join() {
  link_->call("subscribe", NativeTmqLink::Work<int>([topics = topics_](NativeTmq& tmq, int&) {
                const auto& library = tmq.library;
                auto* const list = library.tmq_list_new();
                std::int32_t code = 0;
                for (const auto& topic : topics)
                  if (code == 0) code = library.tmq_list_append(list, topic.c_str());
                if (code == 0) code = library.tmq_subscribe(tmq.tmq, list);
                library.tmq_list_destroy(list);
                return outcome_of_tmq(library, code);
              }));
}

void NativeConsumer::revive(std::string_view action) {
  const Place place{link_ ? link_->endpoint() : plan_.options.display(), std::string(action), 0};
  if (closed_)
    throw InterfaceError(Errc::unsupported, fmt::format("'{}' on a consumer that was closed", action), place);
  if (link_ && !link_->is_lost()) return;
  if (link_ && !plan_.options.reconnect)
    throw ConnectionError(Errc::unreachable, fmt::format("cannot send '{}': the consumer was lost", action), place);
  polling_.reset();
  waiting_.reset();
  link_.reset();
  open();
  if (!topics_.empty()) join();
}

void NativeConsumer::need_topics(std::string_view action) const {
  if (topics_.empty())
    throw InterfaceError(Errc::unsupported, fmt::format("'{}' needs a subscription: call subscribe() first", action),
                         Place{link_->endpoint(), std::string(action), 0});
}

void NativeConsumer::subscribe(std::span<const std::string> topics) {
  if (!topics_.empty()) unsubscribe();
  revive("subscribe");
  topics_.assign(topics.begin(), topics.end());
  try {
    join();
  } catch (...) {
    topics_.clear();
    throw;
  }
}

void NativeConsumer::unsubscribe() {
  if (topics_.empty()) return;
  const bool there = !closed_ && link_ && !link_->is_lost();
  if (there && plan_.auto_commit) commit();
  topics_.clear();
  if (!there) return;
  settle();
  waiting_.reset();
  link_->call("unsubscribe", NativeTmqLink::Work<int>([](NativeTmq& tmq, int&) {
                return outcome_of_tmq(tmq.library, tmq.library.tmq_unsubscribe(tmq.tmq));
              }));
}

std::unique_ptr<MessageState> NativeConsumer::poll(milliseconds timeout) {
  const auto deadline = Clock::now() + std::clamp(timeout, milliseconds(0), kLongest);
  revive("poll");
  need_topics("poll");
  for (bool first = true;; first = false) {
    if (waiting_) return std::move(waiting_);
    const auto left = std::max(milliseconds(0), std::chrono::ceil<milliseconds>(deadline - Clock::now()));
    if (!first && left.count() == 0) return nullptr;
    if (plan_.options.stop.stop_requested())
      throw ConnectionError(Errc::stopped, "stopped before polling", Place{link_->endpoint(), "poll", 0});
    const auto slice = std::min(left, kSlice);
    if (!polling_)
      polling_ = link_->start<Polled>([slice](NativeTmq& tmq, Polled& out) -> NativeOutcome {
        const auto& library = tmq.library;
        const int before = library.error_code(nullptr);
        auto* const result = library.tmq_poll(tmq.tmq, slice.count());
        if (result == nullptr) {
          int code = library.error_code(nullptr);
          // Older releases leave what an earlier call said.
          if (code == before && !library.at_least({3, 3, 5, 0})) code = 0;
          return outcome_of(code, code == 0 ? nullptr : library.error_text(nullptr));
        }
        tmq.messages.insert(result);
        out = {result,
               library.tmq_result_type(result),
               text_of(library.tmq_topic_name(result)),
               text_of(library.tmq_db_name(result)),
               library.tmq_vgroup(result),
               library.tmq_vgroup_offset(result)};
        return {};
      });
    // A call that hangs longer stays under way: its message is for a later poll.
    if (!link_->wait(*polling_, Clock::now() + slice + kLate)) {
      if (Clock::now() >= deadline) return nullptr;
      continue;
    }
    const auto polled = std::exchange(polling_, nullptr);
    link_->require(polled->outcome, "poll");
    if (polled->out.result != nullptr) return deliver(*polled);
  }
}

std::unique_ptr<MessageState> NativeConsumer::deliver(NativeCall<Polled>& polled) {
  auto& from = polled.out;
  auto message = std::make_unique<NativeMessage>(link_, from.result);
  if (from.kind < 1 || from.kind > 4)
    throw TmqError(
        Errc::protocol,
        fmt::format("{} sent a message of the unknown type {}; it cannot be skipped: use a client that knows "
                    "this server",
                    link_->endpoint(), from.kind),
        Place{link_->endpoint(), "poll", 0});
  message->kind = static_cast<Message::Kind>(from.kind);
  message->topic = std::move(from.topic);
  message->database = std::move(from.database);
  message->vgroup = from.vgroup;
  message->offset = from.offset;
  return message;
}

// Waits for a poll that is under way; its message stays for the next one.
void NativeConsumer::settle() {
  if (waiting_ || !polling_) return;
  if (!link_->wait(*polling_, Clock::now() + plan_.options.request_timeout))
    link_->no_answer("poll", plan_.options.request_timeout);
  const auto polled = std::exchange(polling_, nullptr);
  link_->require(polled->outcome, "poll");
  if (polled->out.result != nullptr) waiting_ = deliver(*polled);
}

void NativeConsumer::commit() {
  revive("commit");
  need_topics("commit");
  settle();
  link_->call("commit", NativeTmqLink::Work<int>([](NativeTmq& tmq, int&) -> NativeOutcome {
                const auto code = tmq.library.tmq_commit(tmq.tmq, nullptr);
                // Nothing was delivered since.
                if (low_code(code) == 0x4012) return {};
                return outcome_of_tmq(tmq.library, code);
              }));
  // The library counts a message as consumed that this side's caller has not seen: back to before it.
  if (waiting_ && waiting_->offset >= 0) commit(Offset{waiting_->topic, waiting_->vgroup, waiting_->offset});
}

void NativeConsumer::commit(const MessageState& state) {
  revive("commit");
  const auto& message = dynamic_cast<const NativeMessage&>(state);
  if (message.need_link("commit") != link_)
    throw TmqError(Errc::unreachable, "the message was lost with its consumer before it was committed; it comes again",
                   Place{link_->endpoint(), "commit", 0});
  link_->call("commit", NativeTmqLink::Work<int>([handle = message.result](NativeTmq& tmq, int&) -> NativeOutcome {
                const auto code = tmq.library.tmq_commit(tmq.tmq, handle);
                if (low_code(code) == 0x4012) return {};
                return outcome_of_tmq(tmq.library, code);
              }));
}

void NativeConsumer::commit(const Offset& offset) {
  revive("commit");
  need_topics("commit");
  library_.need(library_.tmq_commit_offset, "tmq_commit_offset_sync", "committing an offset");
  link_->call("commit", NativeTmqLink::Work<int>([offset](NativeTmq& tmq, int&) -> NativeOutcome {
                const auto code =
                    tmq.library.tmq_commit_offset(tmq.tmq, offset.topic.c_str(), offset.vgroup, offset.offset);
                if (low_code(code) == 0x4012) return {};
                return outcome_of_tmq(tmq.library, code);
              }));
}

std::vector<Assignment> NativeConsumer::assignment(std::string_view topic) {
  revive("assignment");
  need_topics("assignment");
  settle();
  library_.need(library_.tmq_assignment, "tmq_get_topic_assignment", "the assignment of a consumer");
  library_.need(library_.tmq_free_assignment, "tmq_free_assignment", "the assignment of a consumer");
  using Parts = std::vector<Assignment>;
  return link_->call<Parts>("assignment", [name = std::string(topic)](NativeTmq& tmq, Parts& out) -> NativeOutcome {
    native::TopicAssignment* parts = nullptr;
    std::int32_t count = 0;
    const auto code = tmq.library.tmq_assignment(tmq.tmq, name.c_str(), &parts, &count);
    for (std::int32_t i = 0; code == 0 && i < count; ++i)
      out.push_back({parts[i].vgroup, parts[i].current_offset, parts[i].begin, parts[i].end});
    if (parts != nullptr) tmq.library.tmq_free_assignment(parts);
    return outcome_of_tmq(tmq.library, code);
  });
}

void NativeConsumer::seek(const Offset& offset) {
  revive("seek");
  need_topics("seek");
  settle();  // a poll under way reads from where it is now
  library_.need(library_.tmq_seek, "tmq_offset_seek", "seeking");
  link_->call("seek", NativeTmqLink::Work<int>([offset](NativeTmq& tmq, int&) {
                return outcome_of_tmq(
                    tmq.library, tmq.library.tmq_seek(tmq.tmq, offset.topic.c_str(), offset.vgroup, offset.offset));
              }));
  if (waiting_ && waiting_->topic == offset.topic && waiting_->vgroup == offset.vgroup) waiting_.reset();
}

std::optional<std::int64_t> NativeConsumer::offset_of(std::string_view action, std::string_view topic,
                                                      std::int32_t vgroup,
                                                      std::int64_t (*ask)(native::Tmq*, const char*, std::int32_t)) {
  revive(action);
  need_topics(action);
  settle();
  const auto work = [ask, name = std::string(topic), vgroup](NativeTmq& tmq, std::int64_t& out) -> NativeOutcome {
    out = ask(tmq.tmq, name.c_str(), vgroup);
    // Codes are far below any such value.
    constexpr std::int64_t kCodes = -65'536;
    if (out > kCodes || out == kNoOffset) return {};
    return outcome_of_tmq(tmq.library, out);
  };
  const auto offset = link_->call<std::int64_t>(action, work);
  if (offset < 0) return std::nullopt;
  return offset;
}

std::optional<std::int64_t> NativeConsumer::committed(std::string_view topic, std::int32_t vgroup) {
  return offset_of("committed", topic, vgroup,
                   library_.need(library_.tmq_committed, "tmq_committed", "a committed offset"));
}

std::optional<std::int64_t> NativeConsumer::position(std::string_view topic, std::int32_t vgroup) {
  return offset_of("position", topic, vgroup, library_.need(library_.tmq_position, "tmq_position", "a position"));
}

void NativeConsumer::close() {
  if (closed_) return;
  struct Closing {
    NativeConsumer& owner;
    ~Closing() {
      owner.closed_ = true;
      owner.topics_.clear();
      owner.polling_.reset();
      owner.waiting_.reset();
      if (owner.link_) owner.link_->lose();  // its messages are gone
    }
  } closing{*this};
  unsubscribe();
  if (!link_ || link_->is_lost()) return;
  link_->call("close", NativeTmqLink::Work<int>([](NativeTmq& tmq, int&) {
                const auto code = tmq.close();
                return outcome_of_tmq(tmq.library, code);
              }));
}

}  // namespace penstock::client::detail
