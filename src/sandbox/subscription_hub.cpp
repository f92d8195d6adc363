#include "sandbox/subscription_hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "sandbox/store.h"

namespace penstock::sandbox {
namespace {

constexpr std::string_view kMetaKey = "topics";

std::int64_t now_ms() { return now_in(data::Precision::milliseconds); }

}  // namespace

// --- topics ---

void Subscriptions::create(Topic topic, bool exists_ok) {
  const std::lock_guard lock(mutex_);
  if (topics_.contains(topic.name)) {
    if (exists_ok) return;
    refuse(0x03E0, "Topic already exists");
  }
  const auto made = std::make_shared<const Topic>(std::move(topic));
  {
    const LockedDatabase db(made->database);
    if (db->dropped) refuse(0x0388, "Database not exist");
    if (!db->changes) db->changes = std::make_unique<ChangeLog>(*db, signal_);
    topics_.emplace(made->name, made);
    save(*db);
  }
}

void Subscriptions::drop(std::string_view name, bool missing_ok) {
  const std::lock_guard lock(mutex_);
  const auto found = topics_.find(name);
  if (found == topics_.end()) {
    if (missing_ok) return;
    refuse(0x03E1, "Topic not exist");
  }
  for (const auto& [key, group] : groups_) {
    if (key.first == name && !group.members.empty()) refuse(0x03EB, "Topic subscribed cannot be dropped");
  }
  const auto database = found->second->database;
  topics_.erase(found);
  std::erase_if(groups_, [&](const auto& it) { return it.first.first == name; });
  const LockedDatabase db(database);
  if (db->dropped) return;
  const bool last =
      std::none_of(topics_.begin(), topics_.end(), [&](const auto& it) { return it.second->database == database; });
  if (last) db->changes.reset();
  save(*db);
}

std::shared_ptr<const Topic> Subscriptions::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = topics_.find(name);
  return found == topics_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Topic>> Subscriptions::topics() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const Topic>> list;
  for (const auto& [name, topic] : topics_) list.push_back(topic);
  return list;
}

void Subscriptions::check_free(std::string_view database, std::string_view table) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, topic] : topics_) {
    if (topic->database->name != database) continue;
    if (!table.empty()) {
      if (topic->kind == Topic::Kind::database) continue;
      const LockedDatabase db(topic->database);
      const auto found = db->find(table);
      if (found.table == nullptr || found.child != nullptr || found.table->id != topic->table) continue;
    }
    refuse(0x03ED, "Topic must be dropped first");
  }
}

void Subscriptions::save(Database& database) const {
  auto list = nlohmann::json::array();
  for (const auto& [name, topic] : topics_) {
    if (topic->database.get() != &database) continue;
    list.push_back({{"sql", topic->sql}, {"database", topic->session_database}, {"created", topic->created}});
  }
  database.store->set_meta(kMetaKey, list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Subscriptions::load(const SessionContext& context, const std::shared_ptr<Database>& database) {
  std::string text;
  {
    const LockedDatabase db(database);
    text = db->store->meta(kMetaKey);
  }
  const auto list = nlohmann::json::parse(text, nullptr, false);
  if (!list.is_array()) return;
  for (const auto& one : list) {
    const auto sql = one.value("sql", std::string());
    try {
      auto session = context;
      session.database = one.value("database", std::string());
      Cursor in(sql);
      in.expect("create");
      in.expect("topic");
      bool ignored = false;
      auto topic = parse_topic(session, in, ignored);
      topic.created = one.value("created", topic.created);
      create(std::move(topic), true);
    } catch (const RefusalError& error) {
      log(LogLevel::warning, fmt::format("sandbox: the topic of '{}' could not be made again: {}", sql, error.what()));
    }
  }
}

// --- groups ---

std::uint64_t Subscriptions::next_id() {
  const std::lock_guard lock(mutex_);
  return ++last_id_;
}

void Subscriptions::rebalanced(const Group& group) {
  for (const auto id : group.members) {
    if (const auto found = members_.find(id); found != members_.end()) found->second.rebalanced = now_ms();
  }
}

std::vector<std::shared_ptr<const Topic>> Subscriptions::join(const Member& member) {
  std::vector<std::shared_ptr<const Topic>> list;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& name : member.topics) {
      const auto found = topics_.find(name);
      if (found == topics_.end()) refuse(0x03E1, "Topic not exist");
      if (std::find(list.begin(), list.end(), found->second) == list.end()) list.push_back(found->second);
    }
    auto& mine = members_[member.id] = member;
    mine.topics.clear();
    mine.subscribed = now_ms();
    for (const auto& topic : list) {
      mine.topics.push_back(topic->name);
      auto& group = groups_[{topic->name, member.options.group}];
      group.members.push_back(member.id);
      rebalanced(group);
    }
  }
  signal_->notify();
  return list;
}

void Subscriptions::leave(std::uint64_t member) {
  {
    const std::lock_guard lock(mutex_);
    if (members_.erase(member) == 0) return;
    for (auto& [key, group] : groups_) {
      if (std::erase(group.members, member) > 0) rebalanced(group);
    }
  }
  signal_->notify();
}

void Subscriptions::polled(std::uint64_t member) {
  const std::lock_guard lock(mutex_);
  if (const auto found = members_.find(member); found != members_.end()) found->second.polled = now_ms();
}

std::vector<std::size_t> Subscriptions::share(std::uint64_t member, const std::string& topic) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::size_t> mine;
  const auto self = members_.find(member);
  const auto found = topics_.find(topic);
  if (self == members_.end() || found == topics_.end()) return mine;
  const auto group = groups_.find({topic, self->second.options.group});
  if (group == groups_.end()) return mine;
  const auto& all = group->second.members;
  const auto place = std::find(all.begin(), all.end(), member);
  if (place == all.end()) return mine;
  const auto first = static_cast<std::size_t>(place - all.begin());
  for (std::size_t v = first; v < found->second->database->vgroups.size(); v += all.size()) mine.push_back(v);
  return mine;
}

std::optional<std::int64_t> Subscriptions::committed(const std::string& topic, const std::string& group,
                                                     std::size_t vgroup) const {
  const std::lock_guard lock(mutex_);
  const auto found = groups_.find({topic, group});
  if (found == groups_.end()) return std::nullopt;
  const auto one = found->second.committed.find(vgroup);
  return one == found->second.committed.end() ? std::nullopt : std::optional(one->second.offset);
}

void Subscriptions::commit(const std::string& topic, const std::string& group, std::size_t vgroup, std::int64_t offset,
                           std::int64_t rows) {
  const std::lock_guard lock(mutex_);
  if (!topics_.contains(topic)) return;
  auto& one = groups_[{topic, group}].committed[vgroup];
  one.offset = offset;
  one.rows += rows;
}

void Subscriptions::drop_group(std::string_view group, std::string_view topic, bool missing_ok) {
  const std::lock_guard lock(mutex_);
  const auto found = groups_.find({std::string(topic), std::string(group)});
  if (found == groups_.end()) {
    if (missing_ok) return;
    refuse(0x03E8, "Subcribe not exist");
  }
  if (!found->second.members.empty()) refuse(0x03EC, "Consumer group being used by some consumer");
  groups_.erase(found);
}

// --- system tables ---

std::vector<Subscriptions::Member> Subscriptions::members() const {
  const std::lock_guard lock(mutex_);
  std::vector<Member> list;
  for (const auto& [id, member] : members_) list.push_back(member);
  return list;
}

std::vector<Subscriptions::Subscription> Subscriptions::subscriptions() const {
  const std::lock_guard lock(mutex_);
  std::vector<Subscription> list;
  for (const auto& [key, group] : groups_) {
    const auto topic = topics_.find(key.first);
    if (topic == topics_.end()) continue;
    const auto& vgroups = topic->second->database->vgroups;
    for (std::size_t v = 0; v < vgroups.size(); ++v) {
      Subscription one;
      one.topic = key.first;
      one.group = key.second;
      one.vgroup = vgroups[v];
      if (!group.members.empty()) one.member = members_.at(group.members[v % group.members.size()]);
      if (const auto found = group.committed.find(v); found != group.committed.end()) {
        one.offset = found->second.offset;
        one.rows = found->second.rows;
      }
      list.push_back(std::move(one));
    }
  }
  return list;
}

}  // namespace penstock::sandbox
