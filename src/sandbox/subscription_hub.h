#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/subscription.h"
#include "sandbox/subscription_log.h"
#include "sandbox/subscription_topic.h"

/// Topics, consumer groups and what they committed. Any thread. Locks: first this, then a database's.
namespace penstock::sandbox {

class Subscriptions {
 public:
  explicit Subscriptions(std::shared_ptr<ChangeSignal> signal) : signal_(std::move(signal)) {}

  [[nodiscard]] const std::shared_ptr<ChangeSignal>& signal() const noexcept { return signal_; }

  // --- topics ---

  /// Throws RefusalError 0x03E0 when it exists.
  void create(Topic topic, bool exists_ok);
  /// Throws RefusalError 0x03E1 (missing), 0x03EB (a consumer is subscribed).
  void drop(std::string_view name, bool missing_ok);
  [[nodiscard]] std::shared_ptr<const Topic> find(std::string_view name) const;
  /// In order of their names.
  [[nodiscard]] std::vector<std::shared_ptr<const Topic>> topics() const;
  /// Throws RefusalError 0x03ED when a topic reads the database, or (with `table`) is one on this super table of it.
  void check_free(std::string_view database, std::string_view table) const;
  /// Makes the topics again that a database's file tells of.
  void load(const SessionContext& context, const std::shared_ptr<Database>& database);

  // --- groups ---

  /// What SHOW CONSUMERS shows.
  struct Member {
    std::uint64_t id = 0;
    ConsumerOptions options;
    std::vector<std::string> topics;
    std::int64_t up = 0, subscribed = 0, rebalanced = 0, polled = 0;  ///< ms
  };
  std::uint64_t next_id();
  /// Throws RefusalError 0x03E1; then nothing changed.
  std::vector<std::shared_ptr<const Topic>> join(const Member& member);
  void leave(std::uint64_t member);
  void polled(std::uint64_t member);
  /// The vgroups (0 … count - 1) of the topic's database that are this member's now.
  [[nodiscard]] std::vector<std::size_t> share(std::uint64_t member, const std::string& topic) const;
  [[nodiscard]] std::optional<std::int64_t> committed(const std::string& topic, const std::string& group,
                                                      std::size_t vgroup) const;
  void commit(const std::string& topic, const std::string& group, std::size_t vgroup, std::int64_t offset,
              std::int64_t rows);
  /// Throws RefusalError 0x03E8 (missing), 0x03EC (it has consumers).
  void drop_group(std::string_view group, std::string_view topic, bool missing_ok);

  // --- what the system tables show ---

  [[nodiscard]] std::vector<Member> members() const;
  struct Subscription {
    std::string topic, group;
    std::int32_t vgroup = 0;
    std::optional<Member> member;
    std::optional<std::int64_t> offset;
    std::int64_t rows = 0;
  };
  [[nodiscard]] std::vector<Subscription> subscriptions() const;

 private:
  using GroupKey = std::pair<std::string, std::string>;  // topic, group
  struct Committed {
    std::int64_t offset = 0;
    std::int64_t rows = 0;
  };
  struct Group {
    std::vector<std::uint64_t> members;  ///< those that are subscribed now, in the order in which they came
    std::map<std::size_t, Committed> committed;
  };
  void save(Database& database) const;
  void rebalanced(const Group& group);

  const std::shared_ptr<ChangeSignal> signal_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Topic>, std::less<>> topics_;
  std::map<GroupKey, Group> groups_;
  std::map<std::uint64_t, Member> members_;
  std::uint64_t last_id_ = 0;
};

/// The consumer behind Engine::consumer(). Throws RefusalError 0xFFFF as the server's client does: no group, login.
std::unique_ptr<Consumer> make_consumer(std::shared_ptr<Instance> instance, const ConsumerOptions& options);

// Statements; the cursor stands behind the words that chose them.
Answer run_create_topic(SessionContext& context, Cursor& in);
Answer run_drop_topic(SessionContext& context, Cursor& in);
Answer run_drop_consumer_group(SessionContext& context, Cursor& in);
/// Rows of ins_topics, ins_subscriptions and perf_consumers; false: it is none of them.
bool subscription_rows(const SessionContext& context, std::string_view table, std::vector<std::vector<Datum>>& rows);

}  // namespace penstock::sandbox
