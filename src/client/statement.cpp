#include "client/statement.h"

#include <fmt/format.h>

#include <utility>

#include "client/detail/session.h"
#include "client/detail/statement_batch.h"
#include "client/detail/statement_sql.h"
#include "wire/errors.h"

namespace penstock::client {
namespace {

using detail::Session;
using detail::StatementState;

std::shared_ptr<Session> session_of(const StatementState& state) {
  auto session = state.session.lock();
  if (!session)
    throw InterfaceError(Errc::unsupported, "the connection of the statement is gone: prepare it on another one",
                         Place{{}, "stmt2", 0});
  return session;
}

// A statement that can be used, prepared anew where a step failed or the connection was lost.
void make_usable(std::shared_ptr<StatementState>& state) {
  if (state->closed) {
    throw InterfaceError(Errc::unsupported, "the statement was closed: prepare a new one", Place{{}, "stmt2", 0});
  }
  const auto session = session_of(*state);
  session->revive();
  if (state->usable() && !state->busy) return;
  auto fresh = session->prepare(state->sql, state->mode);
  fresh->batch = std::move(state->batch);
  if (fresh->fields.empty()) fresh->fields = std::move(state->fields);  // of a table that was looked at
  state = std::move(fresh);
}

detail::StatementBatch& batch_of(StatementState& state) {
  if (!state.batch) state.batch = std::make_unique<detail::StatementBatch>(state.is_insert, state.sql);
  return *state.batch;
}

// INSERT INTO ? VALUES: the columns are those of the first table.
void learn_fields(std::shared_ptr<StatementState>& state, std::string_view table) {
  if (!state->is_insert || !state->fields.empty() || table.empty() || !detail::names_table_when_bound(state->sql))
    return;
  make_usable(state);
  const auto result = session_of(*state)->query(detail::columns_query(state->sql, table), 0);
  for (const auto& field : result->fields)
    state->fields.push_back({field.name, field.type, StatementField::Bind::column,
                             field.type == data::Type::timestamp ? wire::number(result->precision) : field.precision,
                             field.scale, field.length});
  state->fields.insert(state->fields.begin(),
                       {"tbname", data::Type::varchar, StatementField::Bind::table_name, 0, 0, 0});
}

// Another client changed the table since the statement was prepared: a new one knows it.
bool is_stale(const ClientError& error) { return error.error_class() == wire::ErrorClass::stale_schema; }

// Sends what is bound and carries it out. Throws; the batch stays as it is.
std::int64_t run(std::shared_ptr<StatementState>& state) {
  auto& batch = *state->batch;
  for (int attempt = 0;; ++attempt) {
    make_usable(state);
    const auto session = session_of(*state);
    bool executing = false;
    try {
      if (state->is_insert && session->can_bind_exec() && batch.rows() <= data::Limits::rows_per_table &&
          !state->fields.empty()) {
        wire::Stmt2ExecEncoder encoder;
        const auto runs = batch.encode_exec(state->fields, encoder);
        executing = true;
        const auto answer =
            session->wait(session->send_bind_exec(state, encoder, runs), session->options().request_timeout);
        if (session->can_bind_exec()) {
          session->require(answer);
          return answer.affected_rows;
        }
        executing = false;  // the server does not know it
      }
      session->require(session->send_bind(state, batch.encoder()));
      executing = true;
      return session->require(session->send_exec(state)).affected_rows;
    } catch (const ConnectionError& error) {
      // What was not executed is not stored: once more. Of the rest the caller decides.
      if (executing || attempt > 0 || error.code() != Errc::unreachable || !session->options().reconnect) throw;
    } catch (const ClientError& error) {
      if (attempt > 0 || !is_stale(error)) throw;
    }
  }
}

}  // namespace

Statement::Statement(std::shared_ptr<StatementState> state) : state_(std::move(state)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement& Statement::operator=(Statement&&) noexcept = default;
Statement::~Statement() = default;

bool Statement::is_insert() const noexcept { return state_->is_insert; }
const std::string& Statement::sql() const noexcept { return state_->sql; }
const std::vector<StatementField>& Statement::fields() const noexcept { return state_->fields; }
std::size_t Statement::parameter_count() const noexcept { return state_->parameter_count; }
bool Statement::usable() const noexcept { return state_ && state_->usable(); }
bool Statement::bound() const noexcept { return state_ && state_->bound; }
std::int64_t Statement::affected_rows() const noexcept { return state_->batch ? state_->batch->affected : 0; }

void Statement::bind(std::span<const TableRows> tables) {
  if (tables.empty()) return;
  learn_fields(state_, tables.front().name);
  auto& batch = batch_of(*state_);
  batch.end_table(state_->fields);
  batch.add(state_->fields, tables);
}

void Statement::set_tbname(std::string_view name) {
  auto& batch = batch_of(*state_);
  batch.end_table(state_->fields);
  batch.set_table(name);
  learn_fields(state_, name);
}

void Statement::set_tags(std::span<const Value> tags) {
  auto& batch = batch_of(*state_);
  batch.end_table(state_->fields);
  batch.set_tags(tags);
}

void Statement::set_tbname_tags(std::string_view name, std::span<const Value> tags) {
  set_tbname(name);
  batch_of(*state_).set_tags(tags);
}

void Statement::bind_param(std::span<const Value> row) {
  auto& batch = batch_of(*state_);
  if (state_->is_insert) return batch.add_row(state_->fields, row);
  if (state_->parameter_count != 0 && row.size() != state_->parameter_count)
    throw StatementError(
        Errc::config,
        fmt::format("the query has {} placeholders, {} values were given", state_->parameter_count, row.size()),
        Place{{}, "stmt2_bind", 0});
  batch.set_parameters(row);
}

void Statement::bind_param_batch(std::span<const Cells> columns) {
  batch_of(*state_).add_columns(state_->fields, columns);
}

void Statement::add_batch() { batch_of(*state_).end_table(state_->fields); }

std::int64_t Statement::execute() {
  auto& batch = batch_of(*state_);
  batch.end_table(state_->fields);
  if (batch.empty())
    throw InterfaceError(Errc::unsupported, "nothing is bound: call bind() or bind_param() first",
                         Place{{}, "stmt2_exec", 0});
  std::int64_t affected = 0;
  try {
    affected = run(state_);
  } catch (const ConnectionError&) {
    throw;  // the rows are kept: they may be executed again
  } catch (...) {
    if (state_->batch) state_->batch->clear();
    throw;
  }
  state_->batch->affected += affected;
  if (state_->is_insert) state_->batch->clear();
  return affected;
}

Rows Statement::query() {
  if (state_->is_insert)
    throw InterfaceError(Errc::unsupported, "an insert has no result: call execute()", Place{{}, "stmt2_result", 0});
  execute();
  return Rows(session_of(*state_)->result(state_));
}

void Statement::close() {
  if (!state_ || state_->closed) return;
  if (const auto session = state_->session.lock()) session->close_statement(*state_);
  state_->closed = true;
}

Cells::Cells(Form form, data::Type type, const void* values, std::size_t rows, CellStates states)
    : form_(form), type_(type), values_(values), rows_(rows), states_(states) {}

Cells Cells::ticks(std::span<const std::int64_t> ticks, CellStates states) {
  return {Form::fixed, data::Type::timestamp, ticks.data(), ticks.size(), states};
}
Cells Cells::texts(std::span<const std::string_view> values, CellStates states) {
  return {Form::views, data::Type::null, values.data(), values.size(), states};
}
Cells Cells::texts(std::span<const std::string> values, CellStates states) {
  return {Form::strings, data::Type::null, values.data(), values.size(), states};
}
Cells Cells::packed(std::string_view bytes, std::span<const std::int32_t> lengths, CellStates states) {
  Cells cells(Form::packed, data::Type::null, bytes.data(), lengths.size(), states);
  cells.bytes_ = bytes;
  cells.lengths_ = lengths;
  return cells;
}
Cells Cells::decimals(std::span<const Decimal> values, CellStates states) {
  return {Form::decimals, data::Type::null, values.data(), values.size(), states};
}
Cells Cells::values(std::span<const Value> values) {
  return {Form::values, data::Type::null, values.data(), values.size(), {}};
}
Cells Cells::nulls(std::size_t rows) { return {Form::nulls, data::Type::null, nullptr, rows, {}}; }
Cells Cells::not_given(std::size_t rows) { return {Form::not_given, data::Type::null, nullptr, rows, {}}; }

}  // namespace penstock::client
