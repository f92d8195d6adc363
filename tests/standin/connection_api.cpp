#include <algorithm>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "base/hash.h"
#include "standin/call.h"
#include "standin/connection.h"
#include "standin/taos_abi.h"

/// Connections: taos_init() … taos_check_server_status().
namespace penstock::standin {
namespace {

constexpr const char* kClientVersion = "3.3.7.5";
constexpr const char* kServerInfo = "ver:3.3.7.5\nbuild:penstock stand-in\ngitinfo:none";
constexpr std::size_t kUserBytes = 23;
constexpr std::uint16_t kDefaultPort = 6030;

/// What taos_options() set, and the passwords seen: taos_connect_auth() gives only the MD5 of one.
struct Settings {
  std::mutex mutex;
  std::string zone;
  std::string config_directory;
  std::set<std::string> passwords{"taosdata"};
};

Settings& settings() {
  static Settings& instance = *new Settings;  // never destroyed: threads of the library may outlive main()
  return instance;
}

std::string text_of(const char* text) { return text == nullptr ? std::string() : std::string(text); }

struct Endpoint {
  std::string host = "localhost";
  std::uint16_t port = kDefaultPort;
};

/// firstEp and serverPort of taos.cfg in the directory that was set.
Endpoint configured_endpoint() {
  Endpoint endpoint;
  std::string directory;
  {
    const std::lock_guard lock(settings().mutex);
    directory = settings().config_directory;
  }
  if (directory.empty()) return endpoint;
  std::ifstream file(std::filesystem::path(directory) / "taos.cfg");
  bool port_known = false;
  for (std::string line; std::getline(file, line);) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line[begin] == '#') continue;
    const auto key_end = line.find_first_of(" \t", begin);
    if (key_end == std::string::npos) continue;
    const auto value_begin = line.find_first_not_of(" \t", key_end);
    if (value_begin == std::string::npos) continue;
    const auto key = line.substr(begin, key_end - begin);
    const auto value = line.substr(value_begin, line.find_first_of(" \t\r", value_begin) - value_begin);
    if (key == "serverPort" && !port_known) endpoint.port = static_cast<std::uint16_t>(std::atoi(value.c_str()));
    if (key != "firstEp") continue;
    const auto colon = value.rfind(':');
    endpoint.host = value.substr(0, colon);
    port_known = colon != std::string::npos;
    if (port_known) endpoint.port = static_cast<std::uint16_t>(std::atoi(value.c_str() + colon + 1));
  }
  return endpoint;
}

void* connect(const char* ip, const char* user, std::string password, const char* database, std::uint16_t port) {
  auto endpoint = configured_endpoint();
  if (ip != nullptr && *ip != '\0') endpoint.host = ip;
  if (port != 0) endpoint.port = port;
  const std::string name = user == nullptr || *user == '\0' ? "root" : user;
  if (name.size() > kUserBytes) fail(0x0207, "Invalid user name");
  if (text_of(database).size() > 192) fail(0x0383, "Invalid database name");
  auto connection =
      std::make_shared<Connection>(server_at(endpoint.host, endpoint.port), name, password, text_of(database));
  std::string zone;
  {
    const std::lock_guard lock(settings().mutex);
    settings().passwords.insert(std::move(password));
    zone = settings().zone;
  }
  if (!zone.empty()) connection->set_time_zone(zone);
  return give_out(std::move(connection));
}

std::string password_of(const char* digest) {
  const std::lock_guard lock(settings().mutex);
  for (const auto& password : settings().passwords) {
    if (md5_hex(password) == text_of(digest)) return password;
  }
  return {};
}

/// The group that a table is in; every database of the sandbox that says nothing has two.
int vgroup_of(Connection& connection, const char* database, const char* table) {
  if (database == nullptr || table == nullptr) fail_parameters();
  const auto answer =
      connection.execute("select table_name, vgroup_id from information_schema.ins_tables where db_name = '" +
                         std::string(database) + "'");
  for (const auto& row : answer.rows) {
    if (row[0].text == table) return static_cast<int>(row[1].bits);
  }
  fail(0x2603, "Table does not exist");
}

}  // namespace
}  // namespace penstock::standin

using namespace penstock::standin;

extern "C" {

int taos_init(void) {
  return code_call("taos_init", [] {});
}

void taos_cleanup(void) {
  code_call("taos_cleanup", [] {});
}

int taos_options(int option, const void* arg, ...) {
  const int code = code_call("taos_options", [&] {
    if (arg == nullptr || option < TSDB_OPTION_LOCALE || option > TSDB_OPTION_DRIVER) fail_parameters();
    const std::string text = static_cast<const char*>(arg);
    const std::lock_guard lock(settings().mutex);
    if (option == TSDB_OPTION_TIMEZONE) settings().zone = text;
    if (option == TSDB_OPTION_CONFIGDIR) settings().config_directory = text;
    if (option == TSDB_OPTION_DRIVER && text != "native") fail(0x0123, "Invalid driver");
  });
  if (code == 0) return 0;
  last_failure().code = code;
  return -1;
}

int taos_options_connection(TAOS* taos, int option, const void* arg, ...) {
  return code_call("taos_options_connection", [&] {
    const auto connection = connection_of(taos);
    if (option < TSDB_OPTION_CONNECTION_CLEAR || option > TSDB_OPTION_CONNECTION_USER_APP) fail_parameters();
    if (option != TSDB_OPTION_CONNECTION_CLEAR && option != TSDB_OPTION_CONNECTION_TIMEZONE) return;
    connection->set_time_zone(option == TSDB_OPTION_CONNECTION_CLEAR ? "" : text_of(static_cast<const char*>(arg)));
  });
}

TAOS* taos_connect(const char* ip, const char* user, const char* pass, const char* db, uint16_t port) {
  return pointer_call("taos_connect", [&] { return connect(ip, user, pass == nullptr ? "taosdata" : pass, db, port); });
}

TAOS* taos_connect_auth(const char* ip, const char* user, const char* auth, const char* db, uint16_t port) {
  return pointer_call("taos_connect_auth", [&] { return connect(ip, user, password_of(auth), db, port); });
}

void taos_close(TAOS* taos) {
  code_call("taos_close", [&] { take<Connection>(taos); });
}

const char* taos_get_server_info(TAOS* taos) {
  return pointer_call("taos_get_server_info", [&] {
    connection_of(taos);
    return kServerInfo;
  });
}

const char* taos_get_client_info(void) { return kClientVersion; }

int taos_select_db(TAOS* taos, const char* db) {
  last_failure() = {};  // only what this answers tells of a failure
  return code_call("taos_select_db", [&] {
    const auto connection = connection_of(taos);
    if (db == nullptr || *db == '\0') fail_parameters();
    connection->use(db);
  });
}

void taos_reset_current_db(TAOS* taos) {
  code_call("taos_reset_current_db", [&] { connection_of(taos)->use(""); });
}

int taos_get_current_db(TAOS* taos, char* database, int len, int* required) {
  return code_call("taos_get_current_db", [&] {
    const auto name = connection_of(taos)->current_database();
    const int needed = static_cast<int>(name.size()) + 1;
    if (required != nullptr) *required = needed;
    if (database == nullptr || len <= 0) fail_parameters();
    const auto copied = std::min<std::size_t>(name.size(), static_cast<std::size_t>(len) - 1);
    std::memcpy(database, name.data(), copied);
    database[copied] = '\0';
    if (needed > len) fail_parameters();
  });
}

int taos_load_table_info(TAOS* taos, const char* names) {
  return code_call("taos_load_table_info", [&] {
    const auto connection = connection_of(taos);
    std::string list = text_of(names);
    if (list.empty()) return;
    for (std::size_t begin = 0; begin <= list.size();) {
      const auto end = std::min(list.find(',', begin), list.size());
      const auto name = list.substr(begin, end - begin);
      connection->execute("describe " + name);
      begin = end + 1;
    }
  });
}

int taos_get_db_route_info(TAOS* taos, const char* db, TAOS_DB_ROUTE_INFO* info) {
  return code_call("taos_get_db_route_info", [&] {
    const auto connection = connection_of(taos);
    if (db == nullptr || info == nullptr) fail_parameters();
    const auto answer = connection->execute("show `" + std::string(db) + "`.vgroups");
    const auto count = answer.rows.size();
    if (count == 0) fail(0x0388, "Database not exist");
    *info = {};
    info->routeVersion = 1;
    info->hashMethod = 1;
    info->vgNum = static_cast<std::int32_t>(count);
    info->vgHash = static_cast<TAOS_VGROUP_HASH_INFO*>(std::calloc(count, sizeof(TAOS_VGROUP_HASH_INFO)));
    const std::uint64_t share = 0x1'0000'0000ULL / count;
    for (std::size_t i = 0; i < count; ++i) {
      info->vgHash[i].vgId = static_cast<std::int32_t>(answer.rows[i][0].bits);
      info->vgHash[i].hashBegin = static_cast<std::uint32_t>(share * i);
      info->vgHash[i].hashEnd = i + 1 == count ? 0xFFFFFFFFU : static_cast<std::uint32_t>(share * (i + 1) - 1);
    }
  });
}

int taos_get_table_vgId(TAOS* taos, const char* db, const char* table, int* vgroup) {
  return code_call("taos_get_table_vgId", [&] {
    const auto connection = connection_of(taos);
    if (vgroup == nullptr) fail_parameters();
    *vgroup = vgroup_of(*connection, db, table);
  });
}

int taos_get_tables_vgId(TAOS* taos, const char* db, const char* tables[], int count, int* vgroups) {
  return code_call("taos_get_tables_vgId", [&] {
    const auto connection = connection_of(taos);
    if (tables == nullptr || vgroups == nullptr || count <= 0) fail_parameters();
    for (int i = 0; i < count; ++i) vgroups[i] = vgroup_of(*connection, db, tables[i]);
  });
}

int taos_set_notify_cb(TAOS* taos, taos_notify_fn, void*, int type) {
  return code_call("taos_set_notify_cb", [&] {
    connection_of(taos);
    if (type < 0 || type > 2) fail_parameters();
  });
}

int taos_set_conn_mode(TAOS* taos, int mode, int) {
  return code_call("taos_set_conn_mode", [&] {
    connection_of(taos);
    if (mode != 0) fail_parameters();
  });
}

void taos_set_hb_quit(int8_t) {}

int taos_check_server_status(const char* fqdn, int port, char* details, int maxlen) {
  constexpr int kUnavailable = 0;
  constexpr int kServiceOk = 2;
  if (details != nullptr && maxlen > 0) *details = '\0';
  return value_call("taos_check_server_status", kUnavailable, [&] {
    auto endpoint = configured_endpoint();
    if (fqdn != nullptr && *fqdn != '\0') endpoint.host = fqdn;
    if (port != 0) endpoint.port = static_cast<std::uint16_t>(port);
    server_at(endpoint.host, endpoint.port);
    return kServiceOk;
  });
}
}
