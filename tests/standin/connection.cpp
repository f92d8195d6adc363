#include "standin/connection.h"

#include <charconv>
#include <cstdlib>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "sandbox/sql_lexer.h"
#include "standin/call.h"
#include "standin/controls.h"

namespace penstock::standin {
namespace {

struct Servers {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<sandbox::Engine>> engines;
  std::set<std::int32_t> refused;
};

Servers& servers() {
  static Servers& instance = *new Servers;  // never destroyed: threads of the library may outlive main()
  return instance;
}

bool lists_port(const char* list, std::uint16_t port) {
  if (list == nullptr) return false;
  std::string_view rest = list;
  while (!rest.empty()) {
    const auto item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    int value = 0;
    std::from_chars(item.data(), item.data() + item.size(), value);
    if (value == port) return true;
  }
  return false;
}

std::atomic<std::uint64_t> resets{0};

}  // namespace

std::shared_ptr<sandbox::Engine> server_at(const std::string& host, std::uint16_t port) {
  auto& all = servers();
  const std::lock_guard lock(all.mutex);
  if (host == "nowhere.invalid" || all.refused.contains(port) ||
      lists_port(std::getenv("PENSTOCK_STANDIN_REFUSE"), port)) {
    fail(0x000B, "Unable to establish connection");
  }
  const char* directory = std::getenv("PENSTOCK_STANDIN_DIRECTORY");
  const bool on_disk = directory != nullptr && *directory != '\0';
  const auto key =
      on_disk ? std::string(directory) : (host == "localhost" ? "127.0.0.1" : host) + ':' + std::to_string(port);
  auto& engine = all.engines[key];
  if (!engine) {
    sandbox::Engine::Options options;
    if (on_disk) options.directory = directory;
    engine = sandbox::Engine::open(options);
  }
  return engine;
}

Connection::Connection(std::shared_ptr<sandbox::Engine> engine, std::string user, std::string password,
                       const std::string& database)
    : engine_(std::move(engine)),
      user_(std::move(user)),
      password_(std::move(password)),
      session_(engine_->login(user_, password_, database)) {}

std::unique_ptr<sandbox::Session> Connection::new_session() {
  const std::lock_guard lock(mutex_);
  check_alive();
  auto session = engine_->login(user_, password_, session_->current_database());
  if (!zone_.empty()) session->set_time_zone(zone_);
  return session;
}

void Connection::set_time_zone(const std::string& name) {
  const std::lock_guard lock(mutex_);
  check_alive();
  zone_ = name;
  session_->set_time_zone(name);
}

void Connection::use(const std::string& database) {
  const std::lock_guard lock(mutex_);
  check_alive();
  if (!database.empty()) {
    std::string sql = "use `";
    for (const char c : database) sql += c == '`' ? std::string("``") : std::string(1, c);
    session_->execute(sql + '`');
    return;
  }
  // No statement chooses no database.
  session_ = engine_->login(user_, password_, "");
  if (!zone_.empty()) session_->set_time_zone(zone_);
}

std::string Connection::current_database() {
  const std::lock_guard lock(mutex_);
  check_alive();
  return session_->current_database();
}

void Connection::check_alive() const {
  if (dropped_) fail(0x000B, "Unable to establish connection");
}

std::uint64_t Connection::cache_resets() noexcept { return resets; }
void Connection::note_cache_reset() noexcept { ++resets; }

std::shared_ptr<Connection> connection_of(const void* handle) {
  auto connection = find<Connection>(handle);
  if (!connection) fail(0x0213, "Disconnected from service");
  connection->check_alive();
  return connection;
}

bool is_cache_reset(std::string_view sql) {
  std::size_t at = 0;
  for (const auto* word : {"reset", "query", "cache"}) {
    if (!sandbox::next_token(sql, at).is(word)) return false;
  }
  return true;
}

}  // namespace penstock::standin

using penstock::standin::Connection;

extern "C" {

void penstock_standin_drop_connection(void* taos) {
  if (const auto connection = penstock::standin::find<Connection>(taos)) connection->drop();
}

std::int32_t penstock_standin_drop_all_connections() {
  std::int32_t count = 0;
  penstock::standin::for_each_handle([&](penstock::standin::Handle& handle) {
    if (auto* const connection = dynamic_cast<Connection*>(&handle)) {
      connection->drop();
      ++count;
    }
  });
  return count;
}

void penstock_standin_refuse_port(std::int32_t port, std::int32_t refuse) {
  auto& all = penstock::standin::servers();
  const std::lock_guard lock(all.mutex);
  if (refuse != 0) {
    all.refused.insert(port);
  } else {
    all.refused.erase(port);
  }
}

void penstock_standin_reset_controls() {
  penstock::standin::reset_call_controls();
  auto& all = penstock::standin::servers();
  const std::lock_guard lock(all.mutex);
  all.refused.clear();
}

void penstock_standin_forget_servers() {
  auto& all = penstock::standin::servers();
  const std::lock_guard lock(all.mutex);
  all.engines.clear();
}
}
