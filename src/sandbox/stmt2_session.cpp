#include "sandbox/stmt2_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wire/stmt2.h"

namespace penstock::sandbox {
namespace {

constexpr std::int32_t kMismatch = 0x0200;
constexpr std::int32_t kWrongOrder = 0x022A;
constexpr std::int32_t kNoTableName = 0x022B;
constexpr std::int32_t kBindNumber = 0x0236;
constexpr std::int32_t kTableMissing = 0x2603;
constexpr std::int32_t kAdapterError = 0xFFFF;

[[noreturn]] void refuse(std::int32_t code, const char* text) { throw RefusalError(code, text); }

/// The value of a record's first row, read as `type` whatever type the record names: that is how the server takes tags.
Value first_value(const wire::BindRecord& record, data::Type type) {
  Value value;
  value.type = type;
  const auto state = record.cell_state(0);
  value.state = state == wire::CellState::value  ? Value::State::value
                : state == wire::CellState::null ? Value::State::null
                                                 : Value::State::not_given;
  if (value.state != Value::State::value) return value;
  std::string_view bytes = record.buffer;
  if (record.have_length) {
    bytes = bytes.substr(0, static_cast<std::size_t>(std::max(0, wire::load<std::int32_t>(record.lengths))));
  }
  if (data::is_variable(type) || type == data::Type::decimal128) {
    if (!record.have_length) refuse(kMismatch, "var tag length is null");
    value.text = bytes;
    return value;
  }
  const std::size_t size = data::fixed_size(type);
  std::memcpy(&value.bits, bytes.data(), std::min({bytes.size(), size, sizeof value.bits}));
  const bool is_signed = type == data::Type::tinyint || type == data::Type::smallint || type == data::Type::integer;
  if (is_signed) {
    const int unused = 64 - static_cast<int>(8 * size);
    value.bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(value.bits << unused) >> unused);
  }
  return value;
}

ColumnView view_of(const wire::BindRecord& record) {
  ColumnView view;
  // Out of range numbers become a type that no field has.
  view.type = record.type >= 0 && record.type <= 21 ? static_cast<data::Type>(record.type) : data::Type::null;
  view.rows = static_cast<std::int32_t>(record.rows);
  view.is_null = reinterpret_cast<const std::uint8_t*>(record.state);
  view.lengths = record.stride == 0 ? record.lengths : nullptr;  // slots have none, also those of DECIMAL
  view.data = record.buffer;
  return view;
}

}  // namespace

struct Stmt2Session::Statement {
  struct Message {
    std::unique_ptr<const std::string> bytes;  ///< stays where it is: `decoded` and `tables` look into it
    wire::Stmt2Bind decoded;
  };
  std::shared_ptr<Prepared> prepared;
  bool is_insert = false;
  std::optional<Refusal> failed;  ///< a refused bind spoils the statement until it is prepared again
  bool bound = false;             ///< a bind since the last exec
  std::vector<Message> messages;
  std::vector<ColumnarTable> tables;
  std::vector<Value> parameters;  ///< of a query
  std::optional<Answer> result;

  void forget_binds() {
    bound = false;
    tables.clear();
    messages.clear();
    parameters.clear();
  }
  void bind_insert(Session& session, Message message);
  void bind_query(Session& session, const wire::Stmt2Bind& decoded);
  void bind_rows(Session& session, const wire::Stmt2BindExec& decoded);
};

Stmt2Session::Stmt2Session() = default;
Stmt2Session::~Stmt2Session() = default;

Stmt2Session::Statement& Stmt2Session::find(std::uint64_t id) {
  const auto found = statements_.find(id);
  if (found == statements_.end()) refuse(kAdapterError, "stmt2 is nil");
  return *found->second;
}

std::uint64_t Stmt2Session::init() {
  statements_.emplace(++last_id_, std::make_unique<Statement>());
  return last_id_;
}

void Stmt2Session::open(std::uint64_t id) {
  last_id_ = std::max(last_id_, id);
  statements_.emplace(id, std::make_unique<Statement>());
}

void Stmt2Session::close(std::uint64_t id) { statements_.erase(id); }

Stmt2Session::Preparation Stmt2Session::prepare(Session& session, std::uint64_t id, const std::string& sql,
                                                bool get_fields) {
  Statement& statement = find(id);
  statement = Statement{};
  Preparation preparation;
  try {
    statement.prepared = session.prepare(sql);
    preparation.is_insert = statement.is_insert = session.is_insert(*statement.prepared);
    if (!get_fields) return preparation;
    if (!statement.is_insert) {
      preparation.fields_count = session.parameter_count(*statement.prepared);
      return preparation;
    }
    const auto fields = session.fields(*statement.prepared);
    preparation.fields.assign(fields.begin(), fields.end());
    preparation.fields_count = fields.size();
    // INSERT INTO ? VALUES (…): nothing to describe before a table is named.
    const auto has = [&](PreparedField::Bind bind) {
      return std::any_of(fields.begin(), fields.end(), [&](const auto& field) { return field.bind == bind; });
    };
    if (has(PreparedField::Bind::table_name) && !has(PreparedField::Bind::column))
      refuse(kNoTableName, "Table does not exist");
    return preparation;
  } catch (const RefusalError& error) {
    statement.prepared.reset();
    if (error.refusal().code != kTableMissing) throw;
    throw RefusalError(kNoTableName, error.refusal().message);  // what the real server answers at this place
  }
}

void Stmt2Session::bind(Session& session, std::uint64_t id, std::string&& message) {
  auto bytes = std::make_unique<const std::string>(std::move(message));
  auto decoded = wire::decode_stmt2_bind(*bytes);
  constexpr std::size_t kPayload = 30;
  const bool readable = bytes->size() >= kPayload && wire::load<std::uint16_t>(bytes->data() + 24) == 1;
  if (!readable && !decoded) throw RefusalError(decoded.error().code, decoded.error().message);
  Statement& statement = find(id);
  if (!decoded) throw RefusalError(decoded.error().code, decoded.error().message);
  if (!statement.prepared) refuse(kWrongOrder, "Stmt API usage error");
  if (statement.failed) throw RefusalError(statement.failed->code, statement.failed->message);
  try {
    if (decoded->tables.empty()) refuse(kWrongOrder, "Stmt API usage error");
    if (decoded->column_index >= 0 && std::cmp_greater_equal(decoded->column_index, decoded->column_count)) {
      refuse(kWrongOrder, "Stmt API usage error");
    }
    if (statement.is_insert) {
      statement.bind_insert(session, {std::move(bytes), std::move(*decoded)});
    } else {
      statement.bind_query(session, *decoded);
    }
    statement.bound = true;
  } catch (const RefusalError& error) {
    statement.failed = error.refusal();
    throw;
  }
}

void Stmt2Session::Statement::bind_query(Session& session, const wire::Stmt2Bind& decoded) {
  const auto& records = decoded.tables.front().columns;
  if (records.size() < session.parameter_count(*prepared)) {
    refuse(kBindNumber, "bind number out of range or not match");  // ends the real server
  }
  std::vector<Value> values;
  for (const auto& record : records) {
    if (record.rows != 1) refuse(kBindNumber, "bind number out of range or not match");
    const auto type = view_of(record).type;
    values.push_back(first_value(record, type));
  }
  parameters = std::move(values);
}

void Stmt2Session::Statement::bind_insert(Session& session, Message message) {
  const auto fields = session.fields(*prepared);
  std::vector<data::Type> tag_types;
  std::size_t column_count = 0;
  bool named = false;
  for (const auto& field : fields) {
    if (field.bind == PreparedField::Bind::tag) tag_types.push_back(field.column.type);
    if (field.bind == PreparedField::Bind::column) ++column_count;
    if (field.bind == PreparedField::Bind::table_name) named = true;
  }
  if (column_count == 0) column_count = message.decoded.column_count;  // known once the table is

  const std::size_t old_count = tables.size();
  try {
    for (const auto& bound_table : message.decoded.tables) {
      ColumnarTable table;
      if (named) {
        if (bound_table.name.empty()) refuse(kNoTableName, "Stmt table name not set correctly");
        table.name = bound_table.name;
      }
      if (!bound_table.tags.empty() && !tag_types.empty()) {
        if (bound_table.tags.size() < tag_types.size()) refuse(kMismatch, "var tag length is null");
        for (std::size_t i = 0; i < tag_types.size(); ++i) {
          if (bound_table.tags[i].rows == 0) refuse(kBindNumber, "bind number out of range or not match");
          table.tags.push_back(first_value(bound_table.tags[i], tag_types[i]));
        }
      }
      if (bound_table.columns.empty()) continue;  // tags alone store nothing
      if (bound_table.columns.size() < column_count) {
        refuse(kMismatch, "row number in each bind param should be the same");
      }
      const std::uint32_t rows = bound_table.columns.front().rows;
      if (rows == 0 || rows > data::Limits::rows_per_table)
        refuse(kBindNumber, "bind number out of range or not match");
      table.columns.reserve(column_count);
      for (const auto& record : bound_table.columns.first(column_count)) {
        if (record.rows != rows) refuse(kMismatch, "row number in each bind param should be the same");
        table.columns.push_back(view_of(record));
      }
      tables.push_back(std::move(table));
    }
    session.check_columns(*prepared, std::span(tables).subspan(old_count));
    messages.push_back(std::move(message));
  } catch (const RefusalError&) {
    tables.resize(old_count);
    throw;
  }
}

std::int64_t Stmt2Session::execute(Session& session, std::uint64_t id) {
  Statement& statement = find(id);
  if (statement.failed) throw RefusalError(statement.failed->code, statement.failed->message);
  // Without a bind the real server ends (insert) or answers this (query).
  if (!statement.prepared || !statement.bound) refuse(kWrongOrder, "Stmt API usage error");
  statement.result.reset();
  try {
    std::int64_t affected = 0;
    if (statement.is_insert) {
      if (!statement.tables.empty()) affected = session.insert_columns(*statement.prepared, statement.tables);
    } else {
      statement.result = session.query(*statement.prepared, statement.parameters);
    }
    statement.forget_binds();
    return affected;
  } catch (...) {
    statement.forget_binds();
    throw;
  }
}

namespace {

/// Rows [first, first + count) of a record; `data_at` is where the values of the first one begin (records with
/// lengths).
ColumnView part_of(const wire::BindRecord& record, std::size_t first, std::size_t count, std::size_t data_at) {
  ColumnView view = view_of(record);
  view.rows = static_cast<std::int32_t>(count);
  view.is_null += first;
  if (view.lengths != nullptr) {
    view.lengths += 4 * first;
    view.data.remove_prefix(data_at);
  } else {
    view.data.remove_prefix(std::min(view.data.size(), first * record.stride));
  }
  return view;
}

/// Bytes of each row's value in the buffer of a record with lengths: [rows + 1] offsets.
std::vector<std::size_t> offsets_of(const wire::BindRecord& record) {
  std::vector<std::size_t> offsets{0};
  offsets.reserve(record.rows + 1);
  record.for_each([&](std::uint32_t, wire::CellState, std::string_view bytes) {
    offsets.push_back(offsets.back() + (record.have_length && record.stride == 0 ? bytes.size() : 0));
  });
  return offsets;
}

}  // namespace

void Stmt2Session::Statement::bind_rows(Session& session, const wire::Stmt2BindExec& decoded) {
  const auto wanted = session.fields(*prepared);
  if (decoded.fields.size() != wanted.size()) refuse(kBindNumber, "bind number out of range or not match");
  const wire::BindRecord* names = nullptr;
  std::vector<std::vector<std::size_t>> offsets;
  for (std::size_t f = 0; f < wanted.size(); ++f) {
    const auto& record = decoded.fields[f];
    offsets.push_back(offsets_of(record));
    if (wanted[f].bind != PreparedField::Bind::table_name) continue;
    names = &record;
    if (!record.have_length) refuse(kNoTableName, "Stmt table name not set correctly");
  }
  const auto cell = [&](std::size_t f, std::size_t row) {
    const auto& at = offsets[f];
    return decoded.fields[f].buffer.substr(at[row], at[row + 1] - at[row]);
  };
  const auto name_field = names == nullptr ? 0 : static_cast<std::size_t>(names - decoded.fields.data());
  std::uint32_t runs = 0;
  for (std::uint32_t first = 0; first < decoded.rows; ++runs) {
    std::uint32_t last = decoded.rows;
    ColumnarTable table;
    if (names != nullptr) {
      table.name = cell(name_field, first);
      if (table.name.empty()) refuse(kNoTableName, "Stmt table name not set correctly");
      last = first + 1;
      while (last < decoded.rows && cell(name_field, last) == table.name) ++last;
    }
    const std::size_t count = last - first;
    if (count > data::Limits::rows_per_table) refuse(kBindNumber, "bind number out of range or not match");
    for (std::size_t f = 0; f < wanted.size(); ++f) {
      const auto& record = decoded.fields[f];
      if (wanted[f].bind == PreparedField::Bind::tag) {
        wire::BindRecord one = record;
        one.rows = 1;
        one.state += first;
        if (record.have_length) {
          one.lengths += 4 * std::size_t{first};
          one.buffer = cell(f, first);
        } else {
          one.buffer = record.buffer.substr(std::min(record.buffer.size(), std::size_t{first} * record.stride));
        }
        table.tags.push_back(first_value(one, wanted[f].column.type));
      } else if (wanted[f].bind == PreparedField::Bind::column) {
        table.columns.push_back(part_of(record, first, count, offsets[f][first]));
      }
    }
    tables.push_back(std::move(table));
    first = last;
  }
  if (runs != decoded.table_runs) refuse(kBindNumber, "bind number out of range or not match");
}

std::int64_t Stmt2Session::bind_execute(Session& session, std::uint64_t id, std::string&& message) {
  const std::string bytes = std::move(message);
  const auto decoded = wire::decode_stmt2_bind_exec(bytes);
  if (!decoded) throw RefusalError(decoded.error().code, decoded.error().message);
  Statement& statement = find(id);
  if (statement.failed) throw RefusalError(statement.failed->code, statement.failed->message);
  if (!statement.prepared) refuse(kWrongOrder, "Stmt API usage error");
  statement.forget_binds();
  try {
    if (statement.is_insert) {
      statement.bind_rows(session, *decoded);
      session.check_columns(*statement.prepared, statement.tables);
    } else {
      if (decoded->rows != 1) refuse(kAdapterError, "query only supports one row");
      if (decoded->fields.size() < session.parameter_count(*statement.prepared)) {
        refuse(kBindNumber, "bind number out of range or not match");
      }
      for (const auto& record : decoded->fields) {
        statement.parameters.push_back(first_value(record, view_of(record).type));
      }
    }
    statement.bound = true;
  } catch (const RefusalError& error) {
    statement.forget_binds();
    statement.failed = error.refusal();
    throw;
  }
  return execute(session, id);
}

Answer Stmt2Session::take_result(std::uint64_t id) {
  Statement& statement = find(id);
  if (!statement.result) refuse(kAdapterError, "result is nil");
  Answer answer = std::move(*statement.result);
  statement.result.reset();
  return answer;
}

}  // namespace penstock::sandbox
