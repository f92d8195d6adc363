#include <array>
#include <cctype>
#include <memory>
#include <string>
#include <utility>

#include "data/types.h"
#include "standin/call.h"
#include "standin/connection.h"
#include "standin/pool.h"
#include "standin/result.h"
#include "standin/taos_abi.h"

/// taos_query() and its kin: each makes a result that also tells why it failed.
namespace penstock::standin {
namespace {

std::string first_word(const std::string& sql) {
  std::string word;
  for (const char c : sql) {
    if (std::isalpha(static_cast<unsigned char>(c)) == 0) {
      if (!word.empty()) break;
      continue;
    }
    word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return word;
}

std::shared_ptr<Result> run(const std::shared_ptr<Connection>& connection, const std::string& sql) {
  auto answer = connection->execute(sql);
  if (!answer.is_update) {
    // Of what the client answers by itself the rows count as affected.
    const auto verb = first_word(sql);
    answer.affected_rows = verb == "describe" || verb == "desc" ? static_cast<std::int64_t>(answer.rows.size()) : 0;
  }
  if (is_cache_reset(sql)) Connection::note_cache_reset();
  return std::make_shared<Result>(connection, std::move(answer));
}

/// NULL (and the thread's error) where there is nothing to make a result of.
TAOS_RES* query(const char* function, TAOS* taos, const char* sql) {
  bool has_result = false;
  return call(
      function,
      [&](Failure failure) -> TAOS_RES* {
        if (has_result) return give_out(std::make_shared<Result>(std::move(failure)));
        last_failure() = std::move(failure);
        return nullptr;
      },
      [&]() -> TAOS_RES* {
        const auto found = find<Connection>(taos);
        if (!found) fail(0x0213, "Disconnected from service");
        if (sql == nullptr) fail_parameters();
        const std::string text = sql;
        if (text.size() > data::Limits::sql) fail(0x0219, "SQL statement too long");
        has_result = true;
        found->check_alive();
        return give_out(run(found, text));
      });
}

void query_async(const char* function, TAOS* taos, const char* sql, taos_async_fn done, void* param) {
  if (done == nullptr) return;
  std::string text = sql == nullptr ? std::string() : std::string(sql);
  auto connection = find<Connection>(taos);
  run_on_pool([=, text = std::move(text)] {
    std::shared_ptr<Result> result;
    call(
        function, [&](Failure failure) { result = std::make_shared<Result>(std::move(failure)); },
        [&] {
          if (!connection) fail(0x0213, "Disconnected from service");
          if (sql == nullptr) fail_parameters();
          if (text.size() > data::Limits::sql) fail(0x0219, "SQL statement too long");
          connection->check_alive();
          result = run(connection, text);
        });
    const auto code = result->failure().code;
    result->call_back(done, param, give_out(result), code);
  });
}

}  // namespace
}  // namespace penstock::standin

using namespace penstock::standin;

extern "C" {

TAOS_RES* taos_query(TAOS* taos, const char* sql) { return query("taos_query", taos, sql); }

TAOS_RES* taos_query_with_reqid(TAOS* taos, const char* sql, int64_t) {
  return query("taos_query_with_reqid", taos, sql);
}

void taos_query_a(TAOS* taos, const char* sql, taos_async_fn done, void* param) {
  query_async("taos_query_a", taos, sql, done, param);
}

void taos_query_a_with_reqid(TAOS* taos, const char* sql, taos_async_fn done, void* param, int64_t) {
  query_async("taos_query_a_with_reqid", taos, sql, done, param);
}

int taos_validate_sql(TAOS* taos, const char* sql) {
  return code_call("taos_validate_sql", [&] {
    const auto connection = connection_of(taos);
    if (sql == nullptr) fail_parameters();
    // The engine has no dry run: statements that only read are carried out, of others only the verb is looked at.
    const std::string verb = first_word(sql);
    if (verb == "select" || verb == "show" || verb == "describe" || verb == "desc" || verb == "explain") {
      run(connection, sql);
      return;
    }
    for (const auto* known : {"insert", "create", "drop", "alter", "use", "delete", "reset", "grant", "flush"}) {
      if (verb == known) return;
    }
    fail(0x2600, "syntax error near \"" + std::string(sql) + '"');
  });
}

/// What runs here cannot be interrupted: it is over when this is called, or soon.
void taos_kill_query(TAOS* taos) {
  code_call("taos_kill_query", [&] { connection_of(taos); });
}
}
