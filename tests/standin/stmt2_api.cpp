#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "standin/stmt2.h"

/// Statements of the second generation. In a file of its own: libtaos_old.so is built without it.
namespace penstock::standin {
namespace {

/// Runs work(statement, handle's object); its failure is what taos_stmt2_error() tells then.
template <class Work>
int statement_call(const char* function, TAOS_STMT2* handle, Work work) {
  return call(
      function,
      [&](Failure failure) {
        const int code = failure.code;
        last_failure() = std::move(failure);
        return code;
      },
      [&] {
        const auto statement = find<Stmt2>(handle);
        if (!statement) fail_parameters();
        statement->remember([&] { work(statement); });
        return 0;
      });
}

}  // namespace
}  // namespace penstock::standin

using namespace penstock::standin;

extern "C" {

TAOS_STMT2* taos_stmt2_init(TAOS* taos, TAOS_STMT2_OPTION* option) {
  return pointer_call("taos_stmt2_init",
                      [&] { return give_out(std::make_shared<Stmt2>(connection_of(taos), option)); });
}

int taos_stmt2_prepare(TAOS_STMT2* stmt, const char* sql, unsigned long length) {
  return statement_call("taos_stmt2_prepare", stmt, [&](const auto& statement) {
    if (sql == nullptr) fail_parameters();
    statement->prepare(length == 0 ? std::string(sql) : std::string(sql, length));
  });
}

int taos_stmt2_get_fields(TAOS_STMT2* stmt, int* count, TAOS_FIELD_ALL** fields) {
  if (count != nullptr) *count = 0;
  if (fields != nullptr) *fields = nullptr;
  return statement_call("taos_stmt2_get_fields", stmt, [&](const auto& statement) {
    if (count == nullptr) fail_parameters();
    const auto found = statement->get_fields(*count);
    if (found.empty() || fields == nullptr) return;
    *fields = static_cast<TAOS_FIELD_ALL*>(std::calloc(found.size(), sizeof(TAOS_FIELD_ALL)));
    if (*fields == nullptr) throw std::bad_alloc();
    for (std::size_t i = 0; i < found.size(); ++i) {
      auto& field = (*fields)[i];
      const auto& name = found[i].column.name;
      std::memcpy(field.name, name.data(), std::min(name.size(), sizeof field.name - 1));
      field.type = static_cast<std::int8_t>(found[i].column.type);
      field.precision =
          found[i].column.type == penstock::data::Type::timestamp ? found[i].time_precision : std::uint8_t{0};
      field.bytes = found[i].stored_bytes;
      field.field_type = static_cast<std::uint8_t>(found[i].bind);
    }
  });
}

void taos_stmt2_free_fields(TAOS_STMT2*, TAOS_FIELD_ALL* fields) { std::free(fields); }

int taos_stmt2_bind_param(TAOS_STMT2* stmt, TAOS_STMT2_BINDV* bindv, int32_t column) {
  return statement_call("taos_stmt2_bind_param", stmt, [&](const auto& statement) {
    if (bindv == nullptr) fail_parameters();
    statement->bind(*bindv, column);
  });
}

int taos_stmt2_bind_param_a(TAOS_STMT2* stmt, TAOS_STMT2_BINDV* bindv, int32_t column, taos_async_fn done,
                            void* param) {
  return statement_call("taos_stmt2_bind_param_a", stmt, [&](const auto& statement) {
    if (bindv == nullptr || done == nullptr) fail_parameters();
    statement->bind_async(statement, bindv, column, done, param);
  });
}

int taos_stmt2_exec(TAOS_STMT2* stmt, int* affected_rows) {
  return statement_call("taos_stmt2_exec", stmt, [&](const auto& statement) {
    const auto affected = statement->execute(statement);
    if (affected && affected_rows != nullptr) *affected_rows = *affected;
  });
}

int taos_stmt2_is_insert(TAOS_STMT2* stmt, int* insert) {
  return statement_call("taos_stmt2_is_insert", stmt, [&](const auto& statement) {
    if (insert == nullptr) fail_parameters();
    *insert = statement->is_insert() ? 1 : 0;
  });
}

TAOS_RES* taos_stmt2_result(TAOS_STMT2* stmt) {
  TAOS_RES* result = nullptr;
  statement_call("taos_stmt2_result", stmt, [&](const auto& statement) { result = statement->result(); });
  return result;
}

char* taos_stmt2_error(TAOS_STMT2* stmt) {
  const auto statement = find<Stmt2>(stmt);
  thread_local std::string text;
  text = statement ? statement->error_text() : last_failure().text;
  if (text.empty()) text = "success";
  return text.data();
}

int taos_stmt2_close(TAOS_STMT2* stmt) {
  return code_call("taos_stmt2_close", [&] {
    const auto statement = take<Stmt2>(stmt);
    if (!statement) fail_parameters();
    statement->close();
  });
}
}
