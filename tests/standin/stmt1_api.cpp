#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/stmt1_session.h"
#include "standin/bind.h"
#include "standin/call.h"
#include "standin/connection.h"
#include "standin/result.h"
#include "standin/taos_abi.h"

/// Statements of the first generation: the sandbox's state machine, with binds as C lays them out.
namespace penstock::standin {
namespace {

class Stmt1 final : public Handle {
 public:
  explicit Stmt1(std::shared_ptr<Connection> owner)
      : connection(std::move(owner)), session(connection->new_session()) {}

  const std::shared_ptr<Connection> connection;
  const std::unique_ptr<sandbox::Session> session;
  sandbox::Stmt1Statement statement;
  Failure failure;                ///< of the last call
  std::int64_t affected = 0;      ///< by the last execute
  void* result_handle = nullptr;  ///< clients may free it, or leave it to close
};

template <class Work>
int statement_call(const char* function, TAOS_STMT* handle, Work work) {
  std::shared_ptr<Stmt1> found;
  return call(
      function,
      [&](Failure failure) {
        const int code = failure.code;
        if (found) found->failure = failure;
        last_failure() = std::move(failure);
        return code;
      },
      [&] {
        found = find<Stmt1>(handle);
        if (!found) fail_parameters();
        found->connection->check_alive();
        found->failure = {};
        work(*found);
        return 0;
      });
}

TAOS_STMT* init(const char* function, TAOS* taos) {
  return pointer_call(function, [&] { return give_out(std::make_shared<Stmt1>(connection_of(taos))); });
}

void set_tags(Stmt1& stmt, const TAOS_MULTI_BIND* tags) {
  if (tags == nullptr) fail_parameters();
  std::vector<sandbox::Value> values;
  std::size_t i = 0;
  for (const auto& field : stmt.statement.expected_tags(*stmt.session)) {
    values.push_back(bound_tag(tags[i++], field.column.type, field.stored_bytes));
  }
  stmt.statement.set_tags(*stmt.session, std::move(values));
}

void bind(Stmt1& stmt, const TAOS_MULTI_BIND* binds) {
  if (binds == nullptr) fail_parameters();
  auto count = stmt.statement.expected_columns(*stmt.session).size();
  if (!stmt.statement.is_insert()) count = stmt.statement.parameter_count(*stmt.session);
  std::vector<sandbox::BoundColumn> columns;
  for (std::size_t i = 0; i < count; ++i) columns.push_back(bound_column(binds[i]));
  stmt.statement.bind(*stmt.session, std::move(columns));
}

void give_fields(const std::vector<sandbox::PreparedField>& from, int* count, TAOS_FIELD_E** fields) {
  *count = static_cast<int>(from.size());
  if (fields == nullptr || from.empty()) return;
  *fields = static_cast<TAOS_FIELD_E*>(std::calloc(from.size(), sizeof(TAOS_FIELD_E)));
  if (*fields == nullptr) throw std::bad_alloc();
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto& field = (*fields)[i];
    const auto& column = from[i].column;
    std::memcpy(field.name, column.name.data(), std::min(column.name.size(), sizeof field.name - 1));
    field.type = static_cast<std::int8_t>(column.type);
    field.precision = column.type == data::Type::timestamp ? from[i].time_precision : std::uint8_t{0};
    field.bytes = from[i].stored_bytes;
  }
}

/// Starts the answer of a call that fills *count and *fields.
void clear_fields(int* count, TAOS_FIELD_E** fields) {
  if (count != nullptr) *count = 0;
  if (fields != nullptr) *fields = nullptr;
}

}  // namespace
}  // namespace penstock::standin

using namespace penstock::standin;

extern "C" {

TAOS_STMT* taos_stmt_init(TAOS* taos) { return init("taos_stmt_init", taos); }
TAOS_STMT* taos_stmt_init_with_reqid(TAOS* taos, int64_t) { return init("taos_stmt_init_with_reqid", taos); }
TAOS_STMT* taos_stmt_init_with_options(TAOS* taos, TAOS_STMT_OPTIONS*) {
  return init("taos_stmt_init_with_options", taos);
}

int taos_stmt_prepare(TAOS_STMT* stmt, const char* sql, unsigned long length) {
  return statement_call("taos_stmt_prepare", stmt, [&](Stmt1& s) {
    if (sql == nullptr) fail_parameters();
    s.statement.prepare(length == 0 ? std::string(sql) : std::string(sql, length));
  });
}

int taos_stmt_set_tbname(TAOS_STMT* stmt, const char* name) {
  return statement_call("taos_stmt_set_tbname", stmt, [&](Stmt1& s) {
    if (name == nullptr) fail_parameters();
    s.statement.set_table_name(*s.session, name);
  });
}

int taos_stmt_set_sub_tbname(TAOS_STMT* stmt, const char* name) { return taos_stmt_set_tbname(stmt, name); }

int taos_stmt_set_tags(TAOS_STMT* stmt, TAOS_MULTI_BIND* tags) {
  return statement_call("taos_stmt_set_tags", stmt, [&](Stmt1& s) { set_tags(s, tags); });
}

int taos_stmt_set_tbname_tags(TAOS_STMT* stmt, const char* name, TAOS_MULTI_BIND* tags) {
  return statement_call("taos_stmt_set_tbname_tags", stmt, [&](Stmt1& s) {
    if (name == nullptr) fail_parameters();
    s.statement.set_table_name(*s.session, name);
    if (tags != nullptr) set_tags(s, tags);
  });
}

int taos_stmt_get_tag_fields(TAOS_STMT* stmt, int* count, TAOS_FIELD_E** fields) {
  clear_fields(count, fields);
  return statement_call("taos_stmt_get_tag_fields", stmt, [&](Stmt1& s) {
    if (count == nullptr) fail_parameters();
    give_fields(s.statement.tag_fields(*s.session), count, fields);
  });
}

int taos_stmt_get_col_fields(TAOS_STMT* stmt, int* count, TAOS_FIELD_E** fields) {
  clear_fields(count, fields);
  return statement_call("taos_stmt_get_col_fields", stmt, [&](Stmt1& s) {
    if (count == nullptr) fail_parameters();
    give_fields(s.statement.column_fields(*s.session), count, fields);
  });
}

void taos_stmt_reclaim_fields(TAOS_STMT*, TAOS_FIELD_E* fields) { std::free(fields); }

int taos_stmt_is_insert(TAOS_STMT* stmt, int* insert) {
  return statement_call("taos_stmt_is_insert", stmt, [&](Stmt1& s) {
    if (insert == nullptr) fail_parameters();
    *insert = s.statement.is_insert() ? 1 : 0;
  });
}

int taos_stmt_num_params(TAOS_STMT* stmt, int* count) {
  return statement_call("taos_stmt_num_params", stmt, [&](Stmt1& s) {
    if (count == nullptr) fail_parameters();
    *count = static_cast<int>(s.statement.parameter_count(*s.session));
  });
}

int taos_stmt_get_param(TAOS_STMT* stmt, int index, int* type, int* bytes) {
  return statement_call("taos_stmt_get_param", stmt, [&](Stmt1& s) {
    if (type == nullptr || bytes == nullptr) fail_parameters();
    const auto parameter = s.statement.parameter(*s.session, index);
    *type = static_cast<int>(parameter.type);
    *bytes = parameter.stored_bytes;
  });
}

int taos_stmt_bind_param(TAOS_STMT* stmt, TAOS_MULTI_BIND* row) {
  return statement_call("taos_stmt_bind_param", stmt, [&](Stmt1& s) {
    if (row == nullptr) fail_parameters();
    if (row->num > 1) fail(0x0236, "bind number out of range or not match");
    bind(s, row);
  });
}

int taos_stmt_bind_param_batch(TAOS_STMT* stmt, TAOS_MULTI_BIND* columns) {
  return statement_call("taos_stmt_bind_param_batch", stmt, [&](Stmt1& s) { bind(s, columns); });
}

int taos_stmt_bind_single_param_batch(TAOS_STMT* stmt, TAOS_MULTI_BIND* column, int index) {
  return statement_call("taos_stmt_bind_single_param_batch", stmt, [&](Stmt1& s) {
    if (column == nullptr || index < 0) fail_parameters();
    s.statement.bind_column(*s.session, bound_column(*column), static_cast<std::size_t>(index));
  });
}

int taos_stmt_add_batch(TAOS_STMT* stmt) {
  return statement_call("taos_stmt_add_batch", stmt, [](Stmt1& s) { s.statement.add_batch(); });
}

int taos_stmt_execute(TAOS_STMT* stmt) {
  return statement_call("taos_stmt_execute", stmt, [](Stmt1& s) {
    s.affected = 0;
    s.affected = s.statement.execute(*s.session);
  });
}

TAOS_RES* taos_stmt_use_result(TAOS_STMT* stmt) {
  TAOS_RES* result = nullptr;
  statement_call("taos_stmt_use_result", stmt, [&](Stmt1& s) {
    auto made = std::make_shared<Result>(s.connection, s.statement.take_result());
    drop_if_out(s.result_handle);
    result = s.result_handle = give_out(std::move(made));
  });
  return result;
}

char* taos_stmt_errstr(TAOS_STMT* stmt) {
  const auto found = find<Stmt1>(stmt);
  const auto& text = found ? found->failure.text : last_failure().text;
  return const_cast<char*>(text.empty() ? "success" : text.c_str());
}

int taos_stmt_affected_rows(TAOS_STMT* stmt) {
  const auto found = find<Stmt1>(stmt);
  return found ? static_cast<int>(found->statement.total_affected_rows()) : 0;
}

int taos_stmt_affected_rows_once(TAOS_STMT* stmt) {
  const auto found = find<Stmt1>(stmt);
  return found ? static_cast<int>(found->affected) : 0;
}

int taos_stmt_close(TAOS_STMT* stmt) {
  return code_call("taos_stmt_close", [&] {
    const auto found = take<Stmt1>(stmt);
    if (!found) fail_parameters();
    drop_if_out(found->result_handle);
  });
}
}
