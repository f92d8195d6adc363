#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "sandbox/engine.h"
#include "standin/handle.h"

namespace penstock::standin {

/// The servers of this process: an engine for each host and port, made at the first connect. Throws FailureError where
/// nothing listens.
std::shared_ptr<sandbox::Engine> server_at(const std::string& host, std::uint16_t port);

/// A login. Any thread; requests on one session go one after the other.
class Connection final : public Handle {
 public:
  Connection(std::shared_ptr<sandbox::Engine> engine, std::string user, std::string password,
             const std::string& database);

  /// Runs work(session) alone. Throws FailureError when the connection was dropped.
  template <class Work>
  auto with_session(Work work) {
    const std::lock_guard lock(mutex_);
    check_alive();
    return work(*session_);
  }
  sandbox::Answer execute(std::string_view sql) {
    return with_session([&](sandbox::Session& session) { return session.execute(sql); });
  }
  /// A session of its own for a statement: same user, current database and time zone as this one now.
  std::unique_ptr<sandbox::Session> new_session();
  void set_time_zone(const std::string& name);
  void use(const std::string& database);
  std::string current_database();

  void drop() noexcept { dropped_ = true; }
  /// Throws FailureError 0x000B after drop().
  void check_alive() const;
  [[nodiscard]] const std::string& user() const noexcept { return user_; }
  [[nodiscard]] const std::shared_ptr<sandbox::Engine>& engine() const noexcept { return engine_; }
  /// How often RESET QUERY CACHE ran on any connection.
  static std::uint64_t cache_resets() noexcept;
  static void note_cache_reset() noexcept;

 private:
  const std::shared_ptr<sandbox::Engine> engine_;
  const std::string user_;
  const std::string password_;
  std::atomic<bool> dropped_{false};
  std::mutex mutex_;
  std::unique_ptr<sandbox::Session> session_;
  std::string zone_;
};

/// Throws FailureError 0x0213 for NULL and for what is no open connection.
std::shared_ptr<Connection> connection_of(const void* handle);

/// RESET QUERY CACHE, in any case.
bool is_cache_reset(std::string_view sql);

}  // namespace penstock::standin
