#include "sandbox/subscription.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "sandbox/result_block.h"
#include "sandbox/subscription_hub.h"
#include "wire/block.h"
#include "wire/tmq.h"

namespace penstock::sandbox {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// Rows after which a message goes out, as the server's min.poll.rows.
constexpr std::size_t kMessageRows = 4096;

bool equal_any_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

class ConsumerImpl final : public Consumer {
 public:
  ConsumerImpl(std::shared_ptr<Instance> instance, ConsumerOptions options)
      : instance_(std::move(instance)), hub_(*instance_->subscriptions) {
    self_.id = hub_.next_id();
    self_.options = std::move(options);
    self_.up = now_in(data::Precision::milliseconds);
  }
  ~ConsumerImpl() override { leave(); }

  void subscribe(std::span<const std::string> topics) override {
    const std::lock_guard lock(mutex_);
    if (!subscribed_.empty()) leave_locked();
    self_.topics.assign(topics.begin(), topics.end());
    if (topics.empty()) return;
    subscribed_ = hub_.join(self_);
    was_subscribed_ = true;
    last_commit_ = Clock::now();
    SessionContext context;
    context.instance = instance_;
    context.user = self_.options.user;
    context.zone = TimeZone::find("");
    for (const auto& topic : subscribed_) views_.push_back(std::make_unique<TopicView>(topic, context));
  }

  void unsubscribe() override { leave(); }

  [[nodiscard]] std::vector<std::string> topics() const override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& topic : subscribed_) names.push_back(topic->name);
    return names;
  }

  std::optional<Message> poll(std::chrono::milliseconds timeout, const std::stop_token& stop) override {
    constexpr auto kForever = std::chrono::hours(24 * 365);
    const auto deadline =
        Clock::now() + (timeout < 0ms ? kForever : std::min<std::chrono::milliseconds>(timeout, kForever));
    while (true) {
      const auto seen = hub_.signal()->generation();
      {
        const std::lock_guard lock(mutex_);
        if (!was_subscribed_) refuse(0x03E6, "Consumer not exist");
        commit_in_time();
        if (auto message = next_message()) return message;
      }
      if (!hub_.signal()->wait(seen, deadline, stop)) return std::nullopt;
    }
  }

  void commit() override {
    const std::lock_guard lock(mutex_);
    commit_locked();
  }

  void commit(const Message& message) override {
    const std::lock_guard lock(mutex_);
    const auto place = find_place(message.topic, message.vgroup);
    hub_.commit(message.topic, self_.options.group, place.vgroup, message.next, take_rows(place));
  }

  void commit_offset(std::string_view topic, std::int32_t vgroup, std::int64_t offset) override {
    const std::lock_guard lock(mutex_);
    const auto place = find_place(topic, vgroup);
    check_offset(place, offset);
    hub_.commit(place.view->topic().name, self_.options.group, place.vgroup, offset, 0);
  }

  std::vector<Assignment> assignment(std::string_view topic) override {
    const std::lock_guard lock(mutex_);
    auto& view = find_view(topic);
    std::vector<Assignment> list;
    for (const auto v : refresh(view)) {
      auto& position = positions_[{view.topic().name, v}];
      const auto [begin, end] = limits(view, v);
      const auto at = position.begin ? *position.begin : start(committed(view, v), begin, end).value_or(begin);
      list.push_back({view.topic().database->vgroups[v], at, begin, end});
    }
    return list;
  }

  void seek(std::string_view topic, std::int32_t vgroup, std::int64_t offset) override {
    {
      const std::lock_guard lock(mutex_);
      const auto place = find_place(topic, vgroup);
      check_offset(place, offset);
      auto& position = positions_[{place.view->topic().name, place.vgroup}];
      position.begin = position.next = offset;
    }
    hub_.signal()->notify();
  }

  std::int64_t committed(std::string_view topic, std::int32_t vgroup) override {
    const std::lock_guard lock(mutex_);
    const auto place = find_place(topic, vgroup);
    return hub_.committed(place.view->topic().name, self_.options.group, place.vgroup).value_or(kNothingCommitted);
  }

  std::int64_t position(std::string_view topic, std::int32_t vgroup) override {
    const std::lock_guard lock(mutex_);
    const auto place = find_place(topic, vgroup);
    auto& position = positions_[{place.view->topic().name, place.vgroup}];
    if (position.next) return *position.next;
    const auto [begin, end] = limits(*place.view, place.vgroup);
    return start(committed(*place.view, place.vgroup), begin, end).value_or(kNothingCommitted);
  }

 private:
  struct Position {
    std::optional<std::int64_t> begin;  ///< of the last message
    std::optional<std::int64_t> next;
    std::int64_t rows = 0;  ///< polled and not yet committed
  };
  using Place = std::pair<std::string, std::size_t>;  // topic, vgroup of its database
  struct Found {
    TopicView* view;
    std::size_t vgroup;
  };

  void leave() {
    const std::lock_guard lock(mutex_);
    leave_locked();
  }
  void leave_locked() {
    if (subscribed_.empty()) {
      was_subscribed_ = was_subscribed_ || !self_.topics.empty();
      return;
    }
    if (self_.options.auto_commit) commit_locked();
    hub_.leave(self_.id);
    views_.clear();
    subscribed_.clear();
    positions_.clear();
  }

  void commit_locked() {
    for (auto& [place, position] : positions_) {
      if (!position.next) continue;
      hub_.commit(place.first, self_.options.group, place.second, *position.next, std::exchange(position.rows, 0));
    }
  }
  void commit_in_time() {
    if (!self_.options.auto_commit || Clock::now() - last_commit_ < self_.options.auto_commit_every) return;
    last_commit_ = Clock::now();
    commit_locked();
  }

  TopicView& find_view(std::string_view topic) {
    for (const auto& view : views_) {
      if (view->topic().name == topic) return *view;
    }
    refuse(0x4009, "Topic does not belong to this consumer");
  }
  Found find_place(std::string_view topic, std::int32_t vgroup) {
    auto& view = find_view(topic);
    for (const auto v : refresh(view)) {
      if (view.topic().database->vgroups[v] == vgroup) return {&view, v};
    }
    refuse(0x4008, "VgId does not belong to this consumer");
  }
  std::int64_t take_rows(const Found& place) {
    return std::exchange(positions_[{place.view->topic().name, place.vgroup}].rows, 0);
  }
  void check_offset(const Found& place, std::int64_t offset) {
    if (offset > limits(*place.view, place.vgroup).second) refuse(0x4007, "Offset out of range");
  }

  /// The vgroups that are this consumer's now; forgets the positions in others.
  std::vector<std::size_t> refresh(const TopicView& view) {
    const auto& name = view.topic().name;
    auto mine = hub_.share(self_.id, name);
    std::erase_if(positions_, [&](const auto& it) {
      return it.first.first == name && std::find(mine.begin(), mine.end(), it.first.second) == mine.end();
    });
    return mine;
  }

  static std::pair<std::int64_t, std::int64_t> limits(const TopicView& view, std::size_t vgroup) {
    const LockedDatabase db(view.topic().database);
    if (!db->changes) return {0, 0};
    return {db->changes->begin(vgroup), db->changes->end(vgroup)};
  }
  std::optional<std::int64_t> committed(const TopicView& view, std::size_t vgroup) const {
    return hub_.committed(view.topic().name, self_.options.group, vgroup);
  }
  /// Where reading begins: what was committed, else by the reset; nullopt: nowhere.
  std::optional<std::int64_t> start(std::optional<std::int64_t> committed, std::int64_t begin, std::int64_t end) const {
    if (committed) return committed;
    if (self_.options.reset == ConsumerOptions::Reset::earliest) return begin;
    if (self_.options.reset == ConsumerOptions::Reset::latest) return end;
    return std::nullopt;
  }

  std::optional<Message> next_message() {
    hub_.polled(self_.id);
    // Each topic and vgroup has its turn.
    struct Turn {
      TopicView* view;
      std::size_t vgroup;
    };
    std::vector<Turn> turns;
    for (const auto& view : views_) {
      for (const auto v : refresh(*view)) turns.push_back({view.get(), v});
    }
    for (std::size_t i = 0; i < turns.size(); ++i) {
      const auto& turn = turns[(turn_ + i) % turns.size()];
      if (auto message = read(*turn.view, turn.vgroup)) {
        turn_ = (turn_ + i + 1) % turns.size();
        return message;
      }
    }
    return std::nullopt;
  }

  std::optional<Message> read(TopicView& view, std::size_t vgroup) {
    const auto& topic = view.topic();
    auto& position = positions_[{topic.name, vgroup}];
    const auto resumed = position.next ? std::nullopt : committed(view, vgroup);  // not while the database is locked
    const LockedDatabase db(topic.database);
    if (!db->changes || db->dropped) return std::nullopt;
    const auto begin = db->changes->begin(vgroup);
    const auto end = db->changes->end(vgroup);
    if (!position.next) {
      const auto first = start(resumed, begin, end);
      if (!first) return std::nullopt;
      position.begin = position.next = first;
    }
    const auto from = std::clamp(*position.next, begin, end);
    auto message = gather(view, *db, vgroup, from);
    position.next = message.next;
    if (message.parts.empty() && message.json.empty()) return std::nullopt;
    position.begin = from;
    message.topic = topic.name;
    message.database = topic.database->name;
    message.vgroup = topic.database->vgroups[vgroup];
    message.from = from;
    message.offset = message.type == Message::Type::meta ? message.next : from;
    message.with_tables = topic.kind != Topic::Kind::query;
    for (const auto& part : message.parts) position.rows += static_cast<std::int64_t>(part.rows.rows.size());
    return message;
  }

  /// What one poll gives: rows up to a change of tables, or one such change (all that follow each other with
  /// batch_meta).
  Message gather(TopicView& view, Database& database, std::size_t vgroup, std::int64_t from) const {
    Message message;
    std::vector<const TableImage*> created;
    std::vector<std::string> metas;
    std::size_t rows = 0;
    message.next = from;
    const auto end = database.changes->end(vgroup);
    for (auto at = from; at < end && rows < kMessageRows; ++at) {
      const auto& change = database.changes->at(database, vgroup, at);
      if (change.kind == Change::Kind::rows) {
        if (!metas.empty()) break;
        for (const auto& part : change.rows) rows += view.add_rows(part, message.parts);
        const auto more = view.created(change);
        created.insert(created.end(), more.begin(), more.end());
      } else if (const auto meta = view.meta(change)) {
        if (!message.parts.empty() || !created.empty()) break;
        metas.push_back(meta->json);
        message.raw_type = meta->type;
        if (!self_.options.batch_meta) {
          message.next = at + 1;
          break;
        }
      }
      message.next = at + 1;
    }
    if (!metas.empty()) {
      message.type = Message::Type::meta;
      message.json = metas.front();
      if (self_.options.batch_meta) {
        message.raw_type = wire::number(wire::RawType::batch_meta);
        message.json = fmt::format("{{\"tmq_meta_version\":\"1.0\",\"metas\":[{}]}}", fmt::join(metas, ","));
      }
    } else if (!created.empty() && message.parts.empty()) {
      message.type = Message::Type::meta;
      message.raw_type = wire::number(wire::RawType::create_table);
      message.json = creation_json(created);
    } else if (!created.empty()) {
      message.type = Message::Type::data_and_meta;
      message.raw_type = wire::number(wire::RawType::data_and_meta);
      message.json = creation_json(created);
    } else if (self_.options.raw_data) {
      message.type = Message::Type::raw;
      message.raw_type = wire::number(wire::RawType::raw_data);
    }
    return message;
  }

  const std::shared_ptr<Instance> instance_;
  Subscriptions& hub_;
  mutable std::mutex mutex_;  // before the hub's and the database's
  Subscriptions::Member self_;
  std::vector<std::shared_ptr<const Topic>> subscribed_;
  std::vector<std::unique_ptr<TopicView>> views_;
  std::map<Place, Position> positions_;
  std::size_t turn_ = 0;
  bool was_subscribed_ = false;
  Clock::time_point last_commit_{};
};

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

OptionResult set_bool(bool& to, std::string_view value) {
  if (value != "true" && value != "false") return OptionResult::invalid;
  to = value == "true";
  return OptionResult::ok;
}

OptionResult set_duration(std::chrono::milliseconds& to, std::string_view value, std::int64_t least,
                          std::int64_t most) {
  const auto number = number_of(value);
  if (!number || *number < least || *number > most) return OptionResult::invalid;
  to = std::chrono::milliseconds(*number);
  return OptionResult::ok;
}

}  // namespace

OptionResult set_option(ConsumerOptions& o, std::string_view key, std::string_view value) {
  // The server reads these with atoi(): what is no number is 0.
  const bool flag = number_of(value).value_or(0) != 0;
  if (key == "group.id") {
    o.group = value;
  } else if (key == "client.id") {
    o.client = value;
  } else if (key == "td.connect.user") {
    o.user = value;
  } else if (key == "td.connect.pass") {
    o.password = value;
  } else if (key == "auto.offset.reset") {
    if (equal_any_case(value, "earliest")) o.reset = ConsumerOptions::Reset::earliest;
    else if (equal_any_case(value, "latest")) o.reset = ConsumerOptions::Reset::latest;
    else if (equal_any_case(value, "none")) o.reset = ConsumerOptions::Reset::none;
    else return OptionResult::invalid;
  } else if (key == "enable.auto.commit") {
    return set_bool(o.auto_commit, value);
  } else if (key == "auto.commit.interval.ms") {
    return set_duration(o.auto_commit_every, value, 1, INT32_MAX);
  } else if (key == "msg.with.table.name") {
    return set_bool(o.with_table_name, value);
  } else if (key == "experimental.snapshot.enable") {
    return set_bool(o.snapshot, value);
  } else if (key == "session.timeout.ms") {
    return set_duration(o.session_timeout, value, 6'000, 1'800'000);
  } else if (key == "max.poll.interval.ms") {
    return set_duration(o.max_poll_interval, value, 1'000, INT32_MAX);
  } else if (key == "msg.enable.batchmeta") {
    o.batch_meta = flag;
  } else if (key == "msg.consume.rawdata") {
    o.raw_data = flag;
  } else if (key == "msg.consume.excluded") {
    o.skip_replicated = flag;
  } else if (key == "heartbeat.interval.ms" || key == "min.poll.rows" || key == "fetch.max.wait.ms" ||
             key == "td.connect.port") {
    return number_of(value) ? OptionResult::ok : OptionResult::invalid;
  } else if (key == "enable.replay") {
    bool ignored = false;
    return set_bool(ignored, value);
  } else if (key != "td.connect.ip" && key != "td.connect.db") {
    return OptionResult::unknown;
  }
  return OptionResult::ok;
}

std::string message_payload(const Message& message) {
  if (message.type == Message::Type::meta) return message.json;
  wire::DataPayload payload;
  const auto head = wire::message_head(message.from, message.next);
  payload.head = head;
  payload.with_tables = message.with_tables;
  std::vector<std::string> blocks;
  blocks.reserve(message.parts.size());
  for (const auto& part : message.parts) {
    const auto& rows = part.rows;
    blocks.push_back(result_block(rows, 0, rows.rows.size(), 2));
    payload.blocks.push_back({rows.rows.size(), static_cast<std::uint8_t>(rows.precision), blocks.back(), 0,
                              payload.columns.size(), rows.fields.size(), part.table});
    for (std::size_t f = 0; f < rows.fields.size(); ++f) {
      const auto& field = rows.fields[f];
      const bool decimal = is_decimal(field.type);
      payload.columns.push_back(
          {field.type, part.flags[f],
           decimal ? wire::BlockWriter::decimal_bytes(field.type, field.precision, field.scale) : field.stored_bytes,
           part.ids[f], field.name});
    }
  }
  const std::string tail(8, '\0');
  payload.tail = tail;
  return wire::encode_data_payload(payload);
}

std::unique_ptr<Consumer> make_consumer(std::shared_ptr<Instance> instance, const ConsumerOptions& options) {
  if (options.group.empty()) refuse(0xFFFF, "malloc tmq element failed or group is empty");
  {
    const std::lock_guard lock(instance->users_mutex);
    const auto found = instance->users.find(options.user);
    if (found == instance->users.end() || found->second != options.password) refuse(0xFFFF, "init tscObj failed");
  }
  return std::make_unique<ConsumerImpl>(std::move(instance), options);
}

}  // namespace penstock::sandbox
