#include "standin/stmt2.h"

#include <algorithm>
#include <map>
#include <utility>

#include "data/schema.h"
#include "sandbox/sql_lexer.h"
#include "standin/bind.h"
#include "standin/pool.h"

namespace penstock::standin {
namespace {

using Bind = sandbox::PreparedField::Bind;

constexpr std::int32_t kRetry = 0x0125;
constexpr std::int32_t kMismatch = 0x0200;
constexpr std::int32_t kWrongOrder = 0x022A;
constexpr std::int32_t kNoTableName = 0x022B;
constexpr std::int32_t kBindNumber = 0x0236;
constexpr std::int32_t kSchemaOld = 0x061B;
constexpr std::int32_t kTableMissing = 0x2603;

[[noreturn]] void wrong_order() { fail(kWrongOrder, "Stmt API usage error"); }

/// Placeholders behind VALUES, for statements whose columns are known only when a table is named.
std::size_t values_placeholders(std::string_view sql) {
  std::size_t count = 0;
  bool behind = false;
  for (const auto& token : sandbox::tokenize(sql)) {
    if (token.is("values")) behind = true;
    if (behind && token.kind == sandbox::Token::Kind::question) ++count;
  }
  return count;
}

/// INSERT INTO … VALUES (?, …) with the names of its columns; as it is when it names them, or binds only some.
std::string with_column_list(const std::string& sql, std::span<const sandbox::PreparedField> columns) {
  const auto tokens = sandbox::tokenize(sql);
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    if (!tokens[i].is("values")) continue;
    // A list of columns stands right before, but so do the values of tags.
    std::size_t open = i - 1;
    if (tokens[open].is(")")) {
      while (open > 0 && !tokens[open].is("(")) --open;
      if (open > 0 && !tokens[open - 1].is("tags")) return sql;
    }
    if (columns.empty() || values_placeholders(sql) != columns.size()) return sql;
    std::string list;
    for (const auto& field : columns) list += (list.empty() ? "(" : ",") + data::quote_identifier(field.column.name);
    return sql.substr(0, tokens[i].at) + list + ") " + sql.substr(tokens[i].at);
  }
  return sql;
}

}  // namespace

Stmt2::Stmt2(std::shared_ptr<Connection> connection, const TAOS_STMT2_OPTION* option)
    : connection_(std::move(connection)),
      interlace_(option != nullptr && option->singleStbInsert && option->singleTableBindOnce),
      async_exec_(option == nullptr ? nullptr : option->asyncExecFn),
      userdata_(option == nullptr ? nullptr : option->userdata),
      session_(connection_->new_session()) {}

Stmt2::~Stmt2() = default;

void Stmt2::keep_failure(Failure failure) {
  const std::lock_guard lock(mutex_);
  last_failure_ = std::move(failure);
}

std::string Stmt2::error_text() {
  const std::lock_guard lock(mutex_);
  return last_failure_.text;
}

void Stmt2::wait_until_idle() {
  std::unique_lock lock(mutex_);
  if (working_ == Busy::bind) wrong_order();
  idle_.wait(lock, [this] { return working_ == Busy::none; });
}

void Stmt2::begin_work(Busy work) {
  const std::lock_guard lock(mutex_);
  working_ = work;
}

void Stmt2::end_work() {
  {
    const std::lock_guard lock(mutex_);
    working_ = Busy::none;
  }
  idle_.notify_all();
}

void Stmt2::throw_if_failed() const {
  connection_->check_alive();
  if (failed_) throw FailureError(*failed_);
}

template <class Work>
void Stmt2::sticky(Work work) {
  throw_if_failed();
  try {
    work();
  } catch (...) {
    failed_ = current_failure();
    tables_.clear();
    open_table_.reset();
    bound_ = false;
    throw;
  }
}

void Stmt2::prepare(std::string sql) {
  wait_until_idle();
  connection_->check_alive();
  if (dead_) throw FailureError(*failed_);
  failed_.reset();
  at_exec_.reset();
  prepared_.reset();
  tables_.clear();
  open_table_.reset();
  parameters_.clear();
  bound_ = false;
  drop_result();
  sql_ = std::move(sql);
  has_sql_ = true;
  sticky([&] {
    std::size_t at = 0;
    const auto verb = sandbox::next_token(sql_, at);
    is_insert_ = verb.is("insert") || verb.is("import");
    if (!is_insert_ && !verb.is("select")) fail(0x2600, "stmt only support 'SELECT' or 'INSERT'");
  });
}

bool Stmt2::is_insert() {
  wait_until_idle();
  if (!has_sql_) wrong_order();
  return is_insert_;
}

/// The text is looked at only when something needs it.
void Stmt2::parse() {
  if (!has_sql_) wrong_order();
  if (prepared_) return;
  auto prepared = session_->prepare(sql_);
  fields_.clear();
  column_fields_.clear();
  tag_fields_.clear();
  named_ = false;
  if (!is_insert_) {
    column_count_ = session_->parameter_count(*prepared);
  } else {
    const auto fields = session_->fields(*prepared);
    fields_.assign(fields.begin(), fields.end());
    for (const auto& field : fields_) {
      if (field.bind == Bind::table_name) named_ = true;
      if (field.bind == Bind::column) column_fields_.push_back(field);
      if (field.bind == Bind::tag) tag_fields_.push_back(field);
    }
    column_count_ = column_fields_.empty() ? values_placeholders(sql_) : column_fields_.size();
  }
  prepared_ = std::move(prepared);
}

std::vector<sandbox::PreparedField> Stmt2::get_fields(int& count) {
  wait_until_idle();
  count = 0;
  throw_if_failed();
  try {
    parse();
    // INSERT INTO ? VALUES (…): nothing to describe before a table is named.
    if (is_insert_ && column_fields_.empty() && named_) fail(kNoTableName, "Table does not exist");
  } catch (...) {
    auto failure = current_failure();
    if (failure.code == full_code(kTableMissing)) failure.code = full_code(kNoTableName);
    throw FailureError(std::move(failure));
  }
  count = static_cast<int>(is_insert_ ? fields_.size() : column_count_);
  return fields_;
}

void Stmt2::bind(const TAOS_STMT2_BINDV& bindv, std::int32_t column) {
  wait_until_idle();
  bind_tables(bindv, column);
}

void Stmt2::bind_async(const std::shared_ptr<Stmt2>& self, const TAOS_STMT2_BINDV* bindv, std::int32_t column,
                       taos_async_fn done, void* param) {
  wait_until_idle();
  begin_work(Busy::bind);
  run_on_pool([=] {
    const int code = code_call("taos_stmt2_bind_param_a callback",
                               [&] { self->remember([&] { self->bind_tables(*bindv, column); }); });
    self->end_work();
    done(param, nullptr, code);
  });
}

void Stmt2::bind_tables(const TAOS_STMT2_BINDV& bindv, std::int32_t column) {
  sticky([&] {
    if (bindv.count <= 0) wrong_order();
    if (column < -1) wrong_order();
    if (column >= 0 && interlace_) wrong_order();
    try {
      parse();
    } catch (...) {
      auto failure = current_failure();
      if (failure.code == full_code(kNoTableName)) failure.code = full_code(kTableMissing);
      throw FailureError(std::move(failure));
    }
    if (!is_insert_) {
      bind_query(bindv, column);
    } else {
      std::vector<Table> tables;
      for (int i = 0; i < bindv.count; ++i) {
        auto table = bound_table(bindv, i, column);
        if (column < 0 && table.columns.empty()) continue;  // tags alone store nothing
        if (column < 0) tables.push_back(std::move(table));
        else bind_one_column(*bindv.bind_cols[i], column, std::move(table));
      }
      take(std::move(tables));
    }
    bound_ = true;
  });
}

Stmt2::Table Stmt2::bound_table(const TAOS_STMT2_BINDV& bindv, int index, std::int32_t column) {
  Table table;
  if (named_) {
    const char* const name = bindv.tbnames == nullptr ? nullptr : bindv.tbnames[index];
    if (name == nullptr || *name == '\0') fail(kNoTableName, "Stmt table name not set correctly");
    table.name = name;
  }
  const auto* const tags = bindv.tags == nullptr ? nullptr : bindv.tags[index];
  for (std::size_t i = 0; tags != nullptr && i < tag_fields_.size(); ++i) {
    table.tags.push_back(bound_tag(tags[i], tag_fields_[i].column.type, tag_fields_[i].stored_bytes));
  }
  const auto* const columns = bindv.bind_cols == nullptr ? nullptr : bindv.bind_cols[index];
  if (columns == nullptr) {
    if (tags == nullptr || column >= 0) fail_parameters();
    return table;
  }
  if (column >= 0) return table;
  for (std::size_t i = 0; i < column_count_; ++i) {
    const auto type = i < column_fields_.size() ? column_fields_[i].column.type : data::Type::null;
    table.columns.push_back(bound_column(columns[i], type));
    if (table.columns.back().rows() != table.columns.front().rows()) {
      fail(kMismatch, "row number in each bind param should be the same");
    }
  }
  return table;
}

void Stmt2::bind_one_column(const TAOS_STMT2_BIND& bind, std::int32_t column, Table table) {
  const auto at = static_cast<std::size_t>(column);
  if (at >= column_count_) wrong_order();
  if (column == 0) {
    open_table_ = std::move(table);
  } else if (!open_table_ || open_table_->columns.size() != at) {
    fail(0x0110, "bind column index not in sequence");
  }
  const auto type = at < column_fields_.size() ? column_fields_[at].column.type : data::Type::null;
  open_table_->columns.push_back(bound_column(bind, type));
  if (open_table_->columns.back().rows() != open_table_->columns.front().rows()) {
    fail(kMismatch, "row number in each bind param should be the same");
  }
  if (open_table_->columns.size() < column_count_) return;
  std::vector<Table> tables;
  tables.push_back(std::move(*open_table_));
  open_table_.reset();
  take(std::move(tables));
}

void Stmt2::bind_query(const TAOS_STMT2_BINDV& bindv, std::int32_t column) {
  const auto* const binds = bindv.bind_cols == nullptr ? nullptr : bindv.bind_cols[0];
  if (binds == nullptr) fail_parameters();
  if (column <= 0) parameters_.clear();
  const std::size_t first = column < 0 ? 0 : static_cast<std::size_t>(column);
  const std::size_t last = column < 0 ? column_count_ : first + 1;
  if (first != parameters_.size() || last > column_count_) wrong_order();
  for (std::size_t i = first; i < last; ++i) {
    const auto& bind = binds[i - first];
    if (bind.num != 1) fail(kBindNumber, "bind number out of range or not match");
    const auto bound = bound_column(bind, data::Type::null);
    if (bound.type == data::Type::null && bound.is_null[0] == 0) {
      fail(kMismatch, "column type mis-match with buffer type");
    }
    parameters_.push_back(bound.value(0));
    parameters_.back().type = bound.type;
  }
}

template <class Work>
auto Stmt2::with_old_schema(Work work) {
  try {
    return work();
  } catch (const sandbox::RefusalError& error) {
    if (error.refusal().code != kRetry || interlace_) throw;
  }
  // The same text may mean other columns now: name those that it meant.
  const auto before = column_fields_;
  sql_ = with_column_list(sql_, before);
  prepared_.reset();
  parse();
  const auto same = [](const auto& a, const auto& b) {
    return a.column.name == b.column.name && a.column.type == b.column.type;
  };
  if (!std::equal(before.begin(), before.end(), column_fields_.begin(), column_fields_.end(), same)) {
    fail(kRetry, "Retry needed");
  }
  return work();
}

void Stmt2::take(std::vector<Table> tables) {
  if (tables.empty()) return;
  try {
    with_old_schema([&] { session_->check_columns(*prepared_, views(tables)); });
  } catch (...) {
    auto failure = current_failure();
    // The interlace mode sends rows later, and only then hears of it.
    const bool late = failure.code == full_code(kRetry) || failure.code == full_code(kTableMissing);
    if (!interlace_ || !late) throw FailureError(std::move(failure));
    if (!at_exec_) at_exec_ = std::move(failure);
  }
  for (auto& table : tables) tables_.push_back(std::move(table));
}

void Stmt2::merge_as_mode_says() {
  std::map<std::string, std::vector<std::size_t>, std::less<>> same;
  for (std::size_t i = 0; i < tables_.size(); ++i) same[tables_[i].name].push_back(i);
  for (const auto& [name, places] : same) {
    auto& tags = tables_[interlace_ ? places.front() : places.back()].tags;
    const auto winner = tags;
    for (const auto place : places) tables_[place].tags = winner;
    if (interlace_) keep_values_from_null(places);
  }
}

void Stmt2::keep_values_from_null(const std::vector<std::size_t>& places) {
  const auto time = std::find_if(column_fields_.begin(), column_fields_.end(),
                                 [](const auto& field) { return field.column.type == data::Type::timestamp; });
  if (time == column_fields_.end()) return;
  const auto time_column = static_cast<std::size_t>(time - column_fields_.begin());
  const auto time_at = [&](std::size_t place, std::size_t row) {
    return static_cast<std::int64_t>(tables_[place].columns[time_column].value(row).bits);
  };
  bool ascending = true;
  std::optional<std::int64_t> last;
  for (const auto place : places) {
    for (std::size_t r = 0; r < tables_[place].columns.front().rows(); ++r) {
      const auto now = time_at(place, r);
      ascending = ascending && (!last || *last < now);
      last = now;
    }
  }
  if (ascending) return;
  std::map<std::int64_t, std::vector<bool>> given;  // by timestamp: columns that have a value so far
  for (const auto place : places) {
    auto& columns = tables_[place].columns;
    for (std::size_t r = 0; r < columns.front().rows(); ++r) {
      auto& seen = given[time_at(place, r)];
      seen.resize(columns.size());
      for (std::size_t c = 0; c < columns.size(); ++c) {
        char& state = columns[c].is_null[r];
        if (state == 0) seen[c] = true;
        else if (state == 1 && seen[c]) state = 2;
      }
    }
  }
}

std::vector<sandbox::ColumnarTable> Stmt2::views(std::span<const Table> tables) {
  std::vector<sandbox::ColumnarTable> out;
  out.reserve(tables.size());
  for (const auto& table : tables) {
    sandbox::ColumnarTable view;
    view.name = table.name;
    view.tags = table.tags;
    for (const auto& column : table.columns) view.columns.push_back(column.view());
    out.push_back(std::move(view));
  }
  return out;
}

std::optional<int> Stmt2::execute(const std::shared_ptr<Stmt2>& self) {
  wait_until_idle();
  throw_if_failed();
  if (!has_sql_ || !bound_ || open_table_) sticky([] { wrong_order(); });
  if (async_exec_ != nullptr) {
    begin_work(Busy::execution);
    run_async(self);
    return std::nullopt;
  }
  std::int64_t affected = 0;
  sticky([&] { affected = run(); });
  return static_cast<int>(affected);
}

std::int64_t Stmt2::run() {
  drop_result();
  if (!is_insert_) {
    auto answer = session_->query(*prepared_, parameters_);
    result_ = std::make_shared<Result>(connection_, std::move(answer));
    result_->borrowed = true;
    bound_ = false;
    return 0;
  }
  if (stale_since_ && *stale_since_ == Connection::cache_resets()) fail(kSchemaOld, "Table schema is old");
  stale_since_.reset();
  try {
    if (at_exec_) throw FailureError(*std::exchange(at_exec_, std::nullopt));
    std::int64_t affected = 0;
    if (!tables_.empty()) {
      merge_as_mode_says();
      affected = with_old_schema([&] { return session_->insert_columns(*prepared_, views(tables_)); });
    }
    tables_.clear();
    bound_ = false;
    return affected;
  } catch (...) {
    auto failure = current_failure();
    if (failure.code != full_code(kRetry) || !interlace_) throw FailureError(std::move(failure));
    if (async_exec_ == nullptr) {
      dead_ = true;
      throw FailureError({failure.code, "Retry needed"});
    }
    stale_since_ = Connection::cache_resets();
    fail(kSchemaOld, "Table schema is old");
  }
}

void Stmt2::run_async(const std::shared_ptr<Stmt2>& self) {
  run_on_pool([self] {
    auto answer = std::make_shared<Result>(self->connection_);
    const int code = code_call("taos_stmt2_exec callback", [&] {
      self->remember([&] { self->sticky([&] { answer->set_affected_rows(self->run()); }); });
    });
    if (code != 0) answer->set_failure(self->last_failure_);
    answer->borrowed = true;
    void* const handle = give_out(answer);
    self->async_exec_(self->userdata_, handle, code);
    take_back(handle);
    self->end_work();
  });
}

TAOS_RES* Stmt2::result() {
  wait_until_idle();
  throw_if_failed();
  if (is_insert_ || !result_) wrong_order();
  if (result_handle_ == nullptr) result_handle_ = give_out(result_);
  return result_handle_;
}

void Stmt2::drop_result() {
  if (result_handle_ != nullptr) take_back(std::exchange(result_handle_, nullptr));
  result_.reset();
}

void Stmt2::close() {
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return working_ == Busy::none; });
  }
  drop_result();
}

}  // namespace penstock::standin
