#include "sandbox/stmt1_session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sandbox/sql_lexer.h"

namespace penstock::sandbox {
namespace {

constexpr std::int32_t kInvalidPointer = 0x0117;
constexpr std::int32_t kInvalidParameter = 0x0118;
constexpr std::int32_t kRetry = 0x0125;
constexpr std::int32_t kMismatch = 0x0200;
constexpr std::int32_t kWrongOrder = 0x022A;
constexpr std::int32_t kNoTableName = 0x022B;
constexpr std::int32_t kBindNumber = 0x0236;
constexpr std::int32_t kTableMissing = 0x2603;
constexpr std::int32_t kAdapterError = 0xFFFF;

[[noreturn]] void refuse(std::int32_t code, std::string text) { throw RefusalError(code, std::move(text)); }
[[noreturn]] void wrong_order() { refuse(kWrongOrder, "Stmt API usage error"); }
[[noreturn]] void no_table_name() { refuse(kNoTableName, "Stmt table name not set correctly"); }
[[noreturn]] void bad_bind_number() { refuse(kBindNumber, "bind number out of range or not match"); }

/// What the words of the statement say, before it is parsed.
struct Outline {
  bool is_insert = false;
  bool is_select = false;
  bool is_sql = false;                 ///< begins with a word that begins statements
  std::optional<std::size_t> name_at;  ///< of the '?' behind INSERT INTO
  bool has_using = false;
  bool constant_tags = false;  ///< TAGS (…) gives a value
};

Outline outline_of(std::string_view sql) {
  Outline outline;
  const auto tokens = tokenize(sql);
  const auto& first = tokens.front();
  outline.is_insert = first.is("insert") || first.is("import");
  outline.is_select = first.is("select");
  for (const auto* word : {"create", "drop", "alter", "show", "describe", "desc", "use", "delete"}) {
    if (first.is(word)) outline.is_sql = true;
  }
  if (!outline.is_insert) return outline;
  std::size_t at = 1;
  if (at < tokens.size() && tokens[at].is("into")) ++at;
  if (at < tokens.size() && tokens[at].kind == Token::Kind::question) outline.name_at = tokens[at].at;
  bool in_tags = false;
  for (; at + 1 < tokens.size(); ++at) {
    if (tokens[at].is("using")) outline.has_using = true;
    if (tokens[at].is("values")) break;
    if (in_tags && tokens[at].is(")")) in_tags = false;
    if (in_tags && tokens[at].kind != Token::Kind::question && !tokens[at].is(",")) outline.constant_tags = true;
    if (tokens[at].is("tags") && tokens[at + 1].is("(")) {
      in_tags = true;
      ++at;
    }
  }
  return outline;
}

/// The statement with a placeholder for each value of its first row.
std::string with_placeholders(std::string_view sql) {
  const auto tokens = tokenize(sql);
  const auto values = std::find_if(tokens.begin(), tokens.end(), [](const Token& token) { return token.is("values"); });
  if (values == tokens.end()) return std::string(sql);
  std::string marks = "?";
  int depth = 0;
  for (auto token = values + 1; token != tokens.end(); ++token) {
    if (token->is("(")) ++depth;
    if (token->is(",") && depth == 1) marks += ",?";
    if (token->is(")") && --depth == 0) break;
  }
  return std::string(sql.substr(0, values->at)) + "values (" + marks + ")";
}

/// `db.table` as identifiers that SQL reads as they are: a bound name keeps its case.
std::string quoted_name(std::string_view name) {
  if (name.find('`') != std::string_view::npos || name.find('\'') != std::string_view::npos) return std::string(name);
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return data::quote_identifier(name);
  return data::quote_identifier(name.substr(0, dot)) + "." + data::quote_identifier(name.substr(dot + 1));
}

/// Where the dots outside quotes stand.
std::vector<std::size_t> dots_outside_quotes(std::string_view name) {
  std::vector<std::size_t> dots;
  char quote = '\0';
  for (std::size_t at = 0; at < name.size(); ++at) {
    const char c = name[at];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '`' || c == '\'' || c == '"') {
      quote = c;
    } else if (c == '.') {
      dots.push_back(at);
    }
  }
  return dots;
}

}  // namespace

// --- BoundColumn ---

ColumnView BoundColumn::view() const noexcept {
  ColumnView view;
  view.type = type;
  view.rows = static_cast<std::int32_t>(rows());
  view.is_null = reinterpret_cast<const std::uint8_t*>(is_null.data());
  view.lengths = has_lengths ? lengths.data() : nullptr;
  view.data = data;
  return view;
}

namespace {

void append_length(std::vector<char>& lengths, std::int32_t length) {
  const auto at = lengths.size();
  lengths.resize(at + sizeof length);
  std::memcpy(lengths.data() + at, &length, sizeof length);
}

std::int32_t length_at(const std::vector<char>& lengths, std::size_t row) {
  std::int32_t length = 0;
  std::memcpy(&length, lengths.data() + row * sizeof length, sizeof length);
  return std::max(length, 0);
}

}  // namespace

void BoundColumn::add_null() {
  is_null += '\1';
  if (data::is_variable(type)) has_lengths = true;
  if (has_lengths) {
    append_length(lengths, 0);
  } else {
    data.append(data::fixed_size(type), '\0');
  }
}

void BoundColumn::add_fixed(std::uint64_t bits) {
  if (has_lengths) refuse(kMismatch, "column type mis-match with buffer type");
  is_null += '\0';
  const auto size = data::fixed_size(type);
  const auto at = data.size();
  data.resize(at + size);
  std::memcpy(data.data() + at, &bits, std::min(size, sizeof bits));
}

void BoundColumn::add_text(std::string_view value) {
  if (!has_lengths) {
    // Rows before it have no bytes: of a DECIMAL bound as text they can only be NULL.
    if (is_null.find('\0') != std::string::npos) refuse(kMismatch, "column type mis-match with buffer type");
    has_lengths = true;
    data.clear();
    lengths.assign(rows() * sizeof(std::int32_t), '\0');
  }
  is_null += '\0';
  append_length(lengths, static_cast<std::int32_t>(value.size()));
  data += value;
}

Value BoundColumn::value(std::size_t row) const {
  Value value;
  value.type = type;
  if (row >= rows() || is_null[row] != 0) return value;
  value.state = Value::State::value;
  if (has_lengths) {
    std::size_t at = 0;
    for (std::size_t r = 0; r < row; ++r) at += is_null[r] == 0 ? static_cast<std::size_t>(length_at(lengths, r)) : 0;
    value.text = data.substr(std::min(at, data.size()), static_cast<std::size_t>(length_at(lengths, row)));
    return value;
  }
  const auto size = data::fixed_size(type);
  if (size == 0 || data.size() < (row + 1) * size) refuse(kMismatch, "the bind buffer is too short for its rows");
  const char* const at = data.data() + row * size;
  if (type == data::Type::decimal128) {
    value.text.assign(at, size);
    return value;
  }
  std::memcpy(&value.bits, at, size);
  if (type == data::Type::tinyint || type == data::Type::smallint || type == data::Type::integer) {
    const int unused = 64 - static_cast<int>(8 * size);
    value.bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(value.bits << unused) >> unused);
  }
  return value;
}

// --- the statement ---

struct Stmt1Statement::State {
  struct Batch {
    std::string table;
    std::vector<Value> tags;
    std::vector<BoundColumn> columns;

    [[nodiscard]] ColumnarTable view() const {
      ColumnarTable out;
      out.name = table;
      out.tags = tags;
      for (const auto& column : columns) out.columns.push_back(column.view());
      return out;
    }
  };

  bool prepared = false;  ///< prepare() was called
  std::string sql;
  Outline outline;
  std::shared_ptr<Prepared> parsed;
  std::shared_ptr<Prepared> named;  ///< INSERT INTO ? VALUES with the table's name in place: its columns
  std::string table;
  std::vector<Value> tags;
  std::optional<Refusal> failed;
  std::vector<BoundColumn> open;  ///< of bind_column()
  std::vector<Batch> bound;       ///< since the last add_batch()
  std::vector<Batch> batches;
  std::vector<Value> parameters;
  bool added = false;  ///< add_batch() after the last bind
  std::optional<Answer> result;
  std::int64_t total = 0;

  void begin() const {
    if (failed) throw RefusalError(failed->code, failed->message);
  }
  /// Runs a step whose refusal spoils the statement.
  template <class Step>
  auto step(Step run) -> decltype(run()) {
    begin();
    try {
      return run();
    } catch (const RefusalError& error) {
      failed = error.refusal();
      throw;
    }
  }

  Prepared& parse(Session& session) {
    if (!prepared) wrong_order();
    if (parsed) return *parsed;
    if (!outline.is_insert && !outline.is_select && outline.is_sql) refuse(kInvalidPointer, "Invalid pointer");
    try {
      auto made = session.prepare(sql);
      if (outline.is_insert && !outline.name_at) {
        for (const auto& field : session.fields(*made)) {
          if (field.bind == PreparedField::Bind::table_name) refuse(kMismatch, "Invalid operation");
        }
      }
      parsed = std::move(made);
    } catch (const RefusalError& error) {
      // The code of the second generation for a table that is missing.
      if (error.refusal().code != kNoTableName) throw;
      refuse(kTableMissing, error.refusal().message);
    }
    return *parsed;
  }

  std::vector<PreparedField> fields(Session& session, PreparedField::Bind kind) {
    if (!outline.is_select && !outline.is_insert) parse(session);
    if (!outline.is_insert) wrong_order();
    const Prepared* from = &parse(session);
    if (outline.name_at && table.empty() && (outline.constant_tags || !outline.has_using)) no_table_name();
    if (outline.name_at && !outline.has_using) {
      if (!named) {
        std::string text = sql;
        named = session.prepare(text.replace(*outline.name_at, 1, quoted_name(table)));
      }
      from = named.get();
    }
    std::vector<PreparedField> found;
    for (const auto& field : session.fields(*from)) {
      if (field.bind == kind) found.push_back(field);
    }
    return found;
  }

  void bind_insert(Session& session, std::vector<BoundColumn> columns) {
    const auto& prepared_insert = parse(session);
    if (outline.name_at && table.empty() && !outline.has_using) no_table_name();
    const auto wanted = fields(session, PreparedField::Bind::column).size();
    if (columns.size() != wanted) refuse(kAdapterError, "stmt column count not match");
    Batch batch{table, tags, std::move(columns)};
    // Without a name there is nothing to check against yet; execute() does it.
    const auto view = batch.view();
    if (!outline.name_at || !table.empty()) {
      try {
        session.check_columns(prepared_insert, std::span(&view, 1));
      } catch (const RefusalError& error) {
        // The server looks for NULL keys when it stores.
        if (error.refusal().code != 0x267B) throw;
      }
    }
    bound.push_back(std::move(batch));
  }
};

Stmt1Statement::Stmt1Statement() : state_(std::make_unique<State>()) {}
Stmt1Statement::~Stmt1Statement() = default;
Stmt1Statement::Stmt1Statement(Stmt1Statement&&) noexcept = default;
Stmt1Statement& Stmt1Statement::operator=(Stmt1Statement&&) noexcept = default;

bool Stmt1Statement::prepare(std::string sql) {
  state_->begin();
  const auto total = state_->total;
  *state_ = State{};
  state_->total = total;
  state_->prepared = true;
  state_->outline = outline_of(sql);
  state_->sql = std::move(sql);
  return state_->outline.is_insert;
}

bool Stmt1Statement::is_insert() const noexcept { return state_->outline.is_insert; }
std::int64_t Stmt1Statement::total_affected_rows() const noexcept { return state_->total; }

void Stmt1Statement::set_table_name(Session& session, std::string_view name) {
  auto& s = *state_;
  s.step([&] {
    if (!s.prepared || !s.outline.name_at) wrong_order();
    const auto dots = dots_outside_quotes(name);
    if (name.empty() || dots.size() > 1 || name.front() == '.' || name.back() == '.') no_table_name();
    if (dots.size() == 1) {
      // Only whether the database is there; the table may be made by the first rows.
      const auto database = name.substr(0, dots.front());
      try {
        session.execute("show create database " + quoted_name(database));
      } catch (const RefusalError& error) {
        refuse(0x0388, error.refusal().message);
      }
    }
    if (s.table != name) {
      if (!s.table.empty()) s.tags.clear();
      s.named.reset();
    }
    s.table = name;
  });
}

std::vector<PreparedField> Stmt1Statement::tag_fields(Session& session) {
  auto& s = *state_;
  auto found = s.fields(session, PreparedField::Bind::tag);
  if (found.empty()) wrong_order();
  if (s.table.empty()) no_table_name();
  return found;
}

std::vector<PreparedField> Stmt1Statement::column_fields(Session& session) {
  auto& s = *state_;
  auto found = s.fields(session, PreparedField::Bind::column);
  // The server tells the columns of an insert without placeholders too.
  if (found.empty() && !s.outline.name_at) {
    const auto complete = session.prepare(with_placeholders(s.sql));
    for (const auto& field : session.fields(*complete)) {
      if (field.bind == PreparedField::Bind::column) found.push_back(field);
    }
  }
  return found;
}

std::vector<PreparedField> Stmt1Statement::expected_tags(Session& session) {
  auto& s = *state_;
  return s.step([&] {
    auto found = s.fields(session, PreparedField::Bind::tag);
    if (found.empty()) wrong_order();
    return found;
  });
}

std::vector<PreparedField> Stmt1Statement::expected_columns(Session& session) {
  auto& s = *state_;
  return s.step([&] {
    s.parse(session);
    if (!s.outline.is_insert) return std::vector<PreparedField>();
    return s.fields(session, PreparedField::Bind::column);
  });
}

void Stmt1Statement::set_tags(Session& session, std::vector<Value> tags) {
  auto& s = *state_;
  s.step([&] {
    const auto wanted = expected_tags(session);
    if (tags.size() > wanted.size()) refuse(kAdapterError, "stmt tags count not match");
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const auto& column = wanted[i].column;
      auto& tag = tags[i];
      tag.type = column.type;
      if (tag.state != Value::State::value || !data::is_variable(column.type) || column.type == data::Type::json)
        continue;
      const auto length = column.type == data::Type::nchar
                              ? static_cast<std::size_t>(std::count_if(
                                    tag.text.begin(), tag.text.end(),
                                    [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }))
                              : tag.text.size();
      if (length > column.width) refuse(0x2653, "Value too long for column/tag");
    }
    // A section that is there with fewer values would be refused as inconsistent; missing ones are NULL.
    tags.resize(wanted.size());
    s.tags = std::move(tags);
  });
}

void Stmt1Statement::bind(Session& session, std::vector<BoundColumn> columns) {
  auto& s = *state_;
  s.begin();
  if (!s.prepared) {
    s.step([] { wrong_order(); });
  }
  if (columns.empty()) bad_bind_number();
  const auto rows = columns.front().rows();
  if (rows == 0 || rows > data::Limits::rows_per_table) bad_bind_number();
  for (const auto& column : columns) {
    if (column.rows() != rows) refuse(kMismatch, "row number in each bind param should be the same");
  }
  s.step([&] {
    if (!s.outline.is_insert) {
      const auto wanted = (s.parse(session), session.parameter_count(*s.parsed));
      if (rows != 1 || columns.size() < wanted) bad_bind_number();
      s.parameters.clear();
      for (const auto& column : columns) s.parameters.push_back(column.value(0));
    } else {
      s.bind_insert(session, std::move(columns));
    }
    s.added = false;
  });
  if (!s.outline.is_insert) s.bound.assign(1, {});
}

void Stmt1Statement::bind_column(Session& session, BoundColumn column, std::size_t index) {
  auto& s = *state_;
  s.begin();
  const auto wanted = s.fields(session, PreparedField::Bind::column).size();
  if (index == 0) s.open.clear();
  if (index != s.open.size() || index >= wanted) {
    s.step([] { wrong_order(); });
  }
  s.open.push_back(std::move(column));
  if (s.open.size() == wanted) bind(session, std::exchange(s.open, {}));
}

void Stmt1Statement::add_batch() {
  auto& s = *state_;
  s.step([&] {
    if (!s.prepared || s.bound.empty()) wrong_order();
    for (auto& batch : s.bound) s.batches.push_back(std::move(batch));
    s.bound.clear();
    s.added = true;
  });
}

std::int64_t Stmt1Statement::execute(Session& session) {
  auto& s = *state_;
  s.step([&] {
    if (!s.prepared || !s.added || s.batches.empty()) wrong_order();
    if (s.outline.name_at) {
      for (const auto& batch : s.batches) {
        if (batch.table.empty()) no_table_name();
      }
    }
  });
  const auto batches = std::exchange(s.batches, {});
  s.added = false;
  s.result.reset();
  if (!s.outline.is_insert) {
    s.result = session.query(s.parse(session), s.parameters);
    return 0;
  }
  std::vector<ColumnarTable> tables;
  tables.reserve(batches.size());
  for (const auto& batch : batches) tables.push_back(batch.view());
  try {
    const auto affected = session.insert_columns(s.parse(session), tables);
    s.total += affected;
    return affected;
  } catch (const RefusalError& error) {
    if (error.refusal().code == kRetry) s.parsed.reset();  // what was bound is lost, but the next bind is right again
    throw;
  }
}

Answer Stmt1Statement::take_result() {
  if (!state_->result) refuse(kAdapterError, "result is nil");
  auto answer = std::move(*state_->result);
  state_->result.reset();
  return answer;
}

std::size_t Stmt1Statement::parameter_count(Session& session) {
  auto& s = *state_;
  auto& parsed = s.parse(session);
  if (!s.outline.is_insert) return session.parameter_count(parsed);
  if (s.outline.name_at && s.table.empty()) no_table_name();
  return s.fields(session, PreparedField::Bind::column).size();
}

Stmt1Statement::Parameter Stmt1Statement::parameter(Session& session, std::int64_t index) {
  auto& s = *state_;
  s.parse(session);
  if (!s.outline.is_insert) wrong_order();
  if (s.outline.name_at && s.table.empty()) no_table_name();
  const auto fields = s.fields(session, PreparedField::Bind::column);
  if (index < 0 || std::cmp_greater_equal(index, fields.size())) refuse(kInvalidParameter, "Invalid parameters");
  const auto& field = fields[static_cast<std::size_t>(index)];
  return {field.column.type, field.stored_bytes};
}

}  // namespace penstock::sandbox
