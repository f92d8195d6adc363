#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "client/detail/native_result.h"
#include "client/detail/native_session.h"
#include "client/detail/statement_sql.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

/// The requests of NativeSession.
namespace penstock::client::detail {
namespace {

constexpr std::int32_t kInvalidParameters = 0x0118;
constexpr std::int32_t kTooLong = 0x0219;
constexpr std::int32_t kNoTableName = 0x022B;
constexpr std::int32_t kFailed = 0x0110;
// taos_stmt2_get_fields() of the releases before has the same name and other arguments.
constexpr std::array<unsigned, 4> kStatementsSince{3, 3, 5, 0};

std::int32_t fallback_code(std::string_view sql) {
  return sql.size() > data::Limits::sql ? kTooLong : kInvalidParameters;
}

std::optional<int> line_precision(std::string_view name) {
  if (name.empty()) return native::line_not_configured;
  if (name == "h") return native::line_hours;
  if (name == "m") return native::line_minutes;
  if (name == "s") return native::line_seconds;
  if (name == "ms") return native::line_milliseconds;
  if (name == "u") return native::line_microseconds;
  if (name == "ns") return native::line_nanoseconds;
  return std::nullopt;
}

// Placeholders outside of quotes.
std::size_t placeholders(std::string_view sql) {
  std::size_t count = 0;
  char quote = 0;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    const char c = sql[i];
    if (quote != 0) {
      if (c == '\\' && quote != '`') ++i;
      else if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"' || c == '`') {
      quote = c;
    } else if (c == '?') {
      ++count;
    }
  }
  return count;
}

std::string name_of(const char (&name)[65]) { return std::string(name, ::strnlen(name, sizeof name)); }

struct Prepared {
  std::shared_ptr<NativeStatementHandle> handle;
  bool is_insert = true;
  std::vector<StatementField> fields;
  std::size_t parameters = 0;  // of a query
};

NativeOutcome prepare_statement(const std::shared_ptr<NativeConnection>& connection, const std::string& sql,
                                StatementMode mode, Prepared& out) {
  const auto& library = connection->library;
  native::Stmt2Option option{};
  option.single_stb_insert = option.single_table_bind_once = mode == StatementMode::interlace;
  auto* const stmt = library.stmt2_init(connection->taos, &option);
  if (stmt == nullptr) return last_outcome(library, kFailed);
  out.handle = std::make_shared<NativeStatementHandle>(connection, stmt);
  const auto outcome = [&](int code) { return outcome_of(code, code == 0 ? nullptr : library.stmt2_error(stmt)); };
  if (const int code = library.stmt2_prepare(stmt, sql.c_str(), sql.size()); code != 0) return outcome(code);
  int is_insert = 0;
  if (const int code = library.stmt2_is_insert(stmt, &is_insert); code != 0) return outcome(code);
  out.is_insert = is_insert != 0;
  int count = 0;
  native::FieldAll* fields = nullptr;
  if (const int code = library.stmt2_fields(stmt, &count, &fields); code != 0) {
    // Which table is known only when it is bound; the failure stays with the statement until it is prepared again.
    if (low_code(code) == kNoTableName && names_table_when_bound(sql))
      return outcome(library.stmt2_prepare(stmt, sql.c_str(), sql.size()));
    return outcome(code);
  }
  const auto size = static_cast<std::size_t>(std::max(count, 0));
  if (!out.is_insert) out.parameters = size;
  for (std::size_t i = 0; out.is_insert && fields != nullptr && i < size; ++i)
    out.fields.push_back({name_of(fields[i].name), static_cast<data::Type>(fields[i].type),
                          static_cast<StatementField::Bind>(fields[i].field_type), fields[i].precision, fields[i].scale,
                          fields[i].bytes});
  if (fields != nullptr) library.stmt2_free_fields(stmt, fields);
  return {};
}

}  // namespace

NativeStatement::~NativeStatement() {
  if (const auto owner = std::static_pointer_cast<NativeSession>(session.lock())) owner->release(std::move(handle));
}

Ticket NativeSession::send_execute(std::string_view sql, RequestId request_id) {
  need_connection("query");
  if (sql.empty()) misuse("the SQL is empty", "query");
  if (sql.find('\0') != std::string_view::npos) misuse("the SQL has a NUL character", "query");
  const auto ticket = next_ticket(request_id);
  return send(*executor_, ticket, "query", [connection = connection_, sql = std::string(sql), ticket](Answer& answer) {
    const auto& library = connection->library;
    NativeAnswer taken;
    auto outcome =
        take_result(connection, library.query(connection->taos, sql.c_str(), static_cast<std::int64_t>(ticket)),
                    nullptr, fallback_code(sql), taken);
    answer.affected_rows = taken.affected_rows;
    return outcome;
  });
}

std::unique_ptr<ResultState> NativeSession::query(std::string_view sql, RequestId request_id) {
  need_connection("query");
  if (sql.empty()) misuse("the SQL is empty", "query");
  if (sql.find('\0') != std::string_view::npos) misuse("the SQL has a NUL character", "query");
  const auto ticket = next_ticket(request_id);
  const auto answer = call<NativeAnswer>(
      "query",
      [connection = connection_, sql = std::string(sql), ticket](NativeAnswer& out) {
        return take_result(connection,
                           connection->library.query(connection->taos, sql.c_str(), static_cast<std::int64_t>(ticket)),
                           nullptr, fallback_code(sql), out);
      },
      ticket);
  return std::make_unique<NativeResult>(std::static_pointer_cast<NativeSession>(shared_from_this()),
                                        std::move(*answer));
}

std::string NativeSession::current_database() {
  need_connection("get_current_db");
  return std::move(*call<std::string>("get_current_db", [connection = connection_](std::string& out) -> NativeOutcome {
    const auto& library = connection->library;
    out.assign(data::Limits::database_name + 1, '\0');
    int needed = 0;
    int code = library.current_db(connection->taos, out.data(), static_cast<int>(out.size()), &needed);
    if (code != 0 && needed > static_cast<int>(out.size())) {
      out.assign(static_cast<std::size_t>(needed), '\0');
      code = library.current_db(connection->taos, out.data(), static_cast<int>(out.size()), &needed);
    }
    if (code != 0) return outcome_of(code, library.error_text(nullptr));
    out.resize(out.find('\0') == std::string::npos ? out.size() : out.find('\0'));
    return {};
  }));
}

Ticket NativeSession::send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                                      int ttl_days, std::string_view table_name_key, RequestId request_id) {
  need_connection("insert");
  const auto unit = line_precision(precision);
  if (!unit) misuse(fmt::format("the precision '{}' is none of h, m, s, ms, u, ns", precision), "insert");
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    misuse(fmt::format("{} bytes are more than one request may have", text.size()), "insert");
  // Older clients have fewer of these.
  enum class Way { plain, ttl, key };
  Way way = Way::key;
  if (library_->schemaless_key == nullptr) {
    if (!table_name_key.empty())
      library_->missing("taos_schemaless_insert_raw_ttl_with_reqid_tbname_key", "a table name key");
    way = Way::ttl;
  }
  if (way == Way::ttl && library_->schemaless_ttl == nullptr) {
    if (ttl_days != 0) library_->missing("taos_schemaless_insert_raw_ttl_with_reqid", "a time to live");
    library_->need(library_->schemaless, "taos_schemaless_insert_raw_with_reqid", "schemaless insert");
    way = Way::plain;
  }
  const auto ticket = next_ticket(request_id);
  auto work = [connection = connection_, lines = std::string(text), key = std::string(table_name_key), way,
               kind = static_cast<int>(protocol), unit = *unit, ttl_days, ticket](Answer& answer) mutable {
    const auto& library = connection->library;
    auto* const taos = connection->taos;
    const int length = static_cast<int>(lines.size());
    const auto id = static_cast<std::int64_t>(ticket);
    std::int32_t total = 0;
    native::Res* const result =
        way == Way::key   ? library.schemaless_key(taos, lines.data(), length, &total, kind, unit, ttl_days, id,
                                                 key.empty() ? nullptr : key.data())
          : way == Way::ttl ? library.schemaless_ttl(taos, lines.data(), length, &total, kind, unit, ttl_days, id)
                          : library.schemaless(taos, lines.data(), length, &total, kind, unit, id);
    NativeAnswer taken;
    auto outcome = take_result(connection, result, nullptr, kInvalidParameters, taken);
    answer.affected_rows = taken.affected_rows;
    answer.total_rows = total;
    return outcome;
  };
  return send(*executor_, ticket, "insert", std::move(work));
}

std::shared_ptr<StatementState> NativeSession::make_statement(std::string_view sql, StatementMode mode) {
  need_connection("stmt2_prepare");
  const auto& library = *library_;
#define PENSTOCK_NATIVE_NEED(member, symbol) library.need(library.member, #symbol, "a prepared statement")
  PENSTOCK_NATIVE_NEED(stmt2_init, taos_stmt2_init);
  PENSTOCK_NATIVE_NEED(stmt2_prepare, taos_stmt2_prepare);
  PENSTOCK_NATIVE_NEED(stmt2_is_insert, taos_stmt2_is_insert);
  PENSTOCK_NATIVE_NEED(stmt2_fields, taos_stmt2_get_fields);
  PENSTOCK_NATIVE_NEED(stmt2_free_fields, taos_stmt2_free_fields);
  PENSTOCK_NATIVE_NEED(stmt2_bind, taos_stmt2_bind_param);
  PENSTOCK_NATIVE_NEED(stmt2_exec, taos_stmt2_exec);
  PENSTOCK_NATIVE_NEED(stmt2_result, taos_stmt2_result);
  PENSTOCK_NATIVE_NEED(stmt2_error, taos_stmt2_error);
  PENSTOCK_NATIVE_NEED(stmt2_close, taos_stmt2_close);
#undef PENSTOCK_NATIVE_NEED
  if (!library.version().empty() && !library.at_least(kStatementsSince))
    library.missing("taos_stmt2_get_fields of 3.3.5", "a prepared statement");
  if (sql.empty() || sql.find('\0') != std::string_view::npos) misuse("the SQL is empty or has a NUL", "stmt2_prepare");
  const auto prepared =
      call<Prepared>("stmt2_prepare", [connection = connection_, sql = std::string(sql), mode](Prepared& out) {
        return prepare_statement(connection, sql, mode, out);
      });
  auto state = std::make_shared<NativeStatement>();
  state->session = weak_from_this();
  state->epoch = epoch_;
  state->sql = sql;
  state->mode = mode;
  state->is_insert = prepared->is_insert;
  state->fields = std::move(prepared->fields);
  state->parameter_count = prepared->parameters;
  state->handle = std::move(prepared->handle);
  return state;
}

// The library reads as many tags and columns as the statement has placeholders, whatever it was given.
void NativeSession::need_matching(const NativeStatement& statement, const NativeBindArrays& arrays) const {
  std::size_t tags = 0;
  std::size_t columns = 0;
  for (const auto& field : statement.fields) {
    tags += field.bind == StatementField::Bind::tag;
    columns += field.bind == StatementField::Bind::column;
  }
  if (!statement.is_insert) columns = statement.parameter_count;
  else if (statement.fields.empty()) columns = placeholders(statement.sql) - 1;  // INSERT INTO ? VALUES
  if (arrays.tag_count() == tags && arrays.column_count() == columns) return;
  misuse(fmt::format("it has {} tags and {} columns, the statement {} and {}; the client library would die of this",
                     arrays.tag_count(), arrays.column_count(), tags, columns),
         "stmt2_bind");
}

std::shared_ptr<NativeBindArrays> NativeSession::free_arrays() {
  // Others are in use, or their bind has not been collected yet.
  for (const auto& arrays : arrays_)
    if (arrays.use_count() == 1) return arrays;
  return arrays_.emplace_back(std::make_shared<NativeBindArrays>());
}

Ticket NativeSession::send_bind(const std::shared_ptr<StatementState>& statement, wire::Stmt2Encoder& encoder) {
  collect();
  need_usable(*statement, "stmt2_bind");
  const auto ticket = next_ticket(0);
  const auto& own = static_cast<const NativeStatement&>(*statement);
  const auto arrays = free_arrays();
  arrays->build(encoder.parts(ticket, 0));
  need_matching(own, *arrays);
  if (!binder_) binder_ = std::make_unique<NativeWorker>();
  send(
      *binder_, ticket, "stmt2_bind",
      [handle = own.handle, arrays](Answer&) {
        const auto& library = handle->connection->library;
        ++handle->steps;
        const int code = library.stmt2_bind(handle->stmt, &arrays->tables(), -1);
        return outcome_of(code, code == 0 ? nullptr : library.stmt2_error(handle->stmt));
      },
      statement, Step::bind);
  pending_[ticket].encoder = &encoder;
  pending_[ticket].arrays = arrays;
  return ticket;
}

Ticket NativeSession::send_exec(const std::shared_ptr<StatementState>& statement) {
  collect();
  need_usable(*statement, "stmt2_exec");
  if (!statement->bound) misuse("nothing is bound; the client library would die of this", "stmt2_exec");
  return send(
      *executor_, next_ticket(0), "stmt2_exec",
      [handle = static_cast<NativeStatement&>(*statement).handle](Answer& answer) {
        const auto& library = handle->connection->library;
        ++handle->steps;
        int affected = 0;
        const int code = library.stmt2_exec(handle->stmt, &affected);
        if (code == 0) answer.affected_rows = affected;
        return outcome_of(code, code == 0 ? nullptr : library.stmt2_error(handle->stmt));
      },
      statement, Step::exec);
}

std::unique_ptr<ResultState> NativeSession::result(const std::shared_ptr<StatementState>& statement) {
  collect();
  need_usable(*statement, "stmt2_result");
  if (statement->is_insert) misuse("an insert has no result", "stmt2_result");
  if (statement->bound) misuse("it was not executed yet", "stmt2_result");
  const auto answer = call<NativeAnswer>(
      "stmt2_result", [handle = static_cast<NativeStatement&>(*statement).handle](NativeAnswer& out) {
        return take_result(handle->connection, handle->connection->library.stmt2_result(handle->stmt), handle,
                           kInvalidParameters, out);
      });
  return std::make_unique<NativeResult>(std::static_pointer_cast<NativeSession>(shared_from_this()),
                                        std::move(*answer));
}

void NativeSession::close_statement(StatementState& statement) {
  if (statement.closed || !is_open() || epoch_ != statement.epoch) return;
  collect();
  if (statement.busy) misuse("a step of the statement has not been answered yet", "stmt2_close");
  statement.closed = true;
  struct Nothing {};
  call<Nothing>(
      "stmt2_close",
      [handle = std::move(static_cast<NativeStatement&>(statement).handle)](Nothing&) mutable -> NativeOutcome {
        handle.reset();
        return {};
      });
}

}  // namespace penstock::client::detail
