#include "client/detail/statement_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "client/detail/value_convert.h"
#include "client/errors.h"
#include "wire/bytes.h"

namespace penstock::client::detail {
namespace {

using data::Type;
using wire::CellState;

constexpr std::size_t kMostRows = data::Limits::rows_per_table;

constexpr std::size_t kFormCount = 9;

}  // namespace

/// Where a value stands, for errors.
struct StatementBatch::Place {
  std::string_view table;
  std::string_view what;  // "column" or "tag"
  std::size_t index = 0;
  const StatementField* field = nullptr;

  [[nodiscard]] std::string text() const {
    return fmt::format(
        "{}{} {}{}", table.empty() ? "" : fmt::format("table '{}', ", printable(table)), what, index + 1,
        field == nullptr ? "" : fmt::format(" ('{}', {})", printable(field->name), data::type_name(field->type)));
  }
};

void StatementBatch::refuse(const std::string& what) const {
  throw StatementError(Errc::config, fmt::format("cannot bind for '{}': {}", printable(sql_, 120), what),
                       client::Place{{}, "bind", 0});
}

StatementBatch::Part StatementBatch::resolve(const Cells& cells, const StatementField* field,
                                             const Place& place) const {
  static_assert(static_cast<std::size_t>(Cells::Form::not_given) + 1 == kFormCount);
  const auto wrong = [&](std::string_view got) { refuse(fmt::format("{} does not take {}", place.text(), got)); };
  if (!cells.states_.empty() && cells.states_.size() != cells.rows_)
    refuse(fmt::format("{}: {} states for {} rows", place.text(), cells.states_.size(), cells.rows_));
  Part part;
  part.cells = &cells;
  part.type = field != nullptr ? field->type : Type::null;
  switch (cells.form_) {
    case Cells::Form::fixed:
      if (field == nullptr) part.type = cells.type_;
      else if (field->type != cells.type_ && !(field->type == Type::timestamp && cells.type_ == Type::bigint))
        wrong(fmt::format("values of type {}", data::type_name(cells.type_)));
      break;
    case Cells::Form::times: {
      if (field != nullptr && field->type != Type::timestamp) wrong("times");
      part.type = Type::timestamp;
      const auto to = field != nullptr ? static_cast<data::Precision>(field->precision) : cells.precision_;
      if (to == cells.precision_) break;
      part.times.resize(cells.rows_);
      for (std::size_t row = 0; row < cells.rows_; ++row) {
        if (!cells.states_.empty() && cells.states_[row] != 0) continue;
        const auto ticks = wire::load<std::int64_t>(static_cast<const char*>(cells.values_) + 8 * row);
        if (!convert_ticks(ticks, cells.precision_, to, part.times[row]))
          refuse(fmt::format("{}, row {}: the database counts {}, which cannot hold the time", place.text(), row + 1,
                             data::precision_name(to)));
      }
      break;
    }
    case Cells::Form::views:
    case Cells::Form::strings:
    case Cells::Form::packed: {
      if (field == nullptr) part.type = Type::varchar;
      else if (!data::is_variable(field->type)) wrong("texts or bytes");
      if (cells.form_ != Cells::Form::packed) break;
      std::size_t total = 0;
      for (std::size_t row = 0; row < cells.rows_; ++row) {
        const auto length = cells.lengths_[row];
        const bool has_value = cells.states_.empty() || cells.states_[row] == 0;
        if (length < 0 || (!has_value && length != 0))
          refuse(fmt::format("{}, row {}: a length of {}", place.text(), row + 1, length));
        total += static_cast<std::size_t>(length);
      }
      if (total != cells.bytes_.size())
        refuse(fmt::format("{}: the lengths are {} bytes, the values {}", place.text(), total, cells.bytes_.size()));
      break;
    }
    case Cells::Form::decimals: {
      if (field == nullptr || !is_decimal(field->type)) wrong("DECIMAL");
      const auto* decimals = static_cast<const Decimal*>(cells.values_);
      part.texts.resize(cells.rows_);
      for (std::size_t row = 0; row < cells.rows_; ++row) {
        if (!cells.states_.empty() && cells.states_[row] != 0) continue;
        const auto why = convert_decimal(decimals[row], *field, part.texts[row]);
        if (!why.empty()) refuse(fmt::format("{}, row {}: {}", place.text(), row + 1, why));
      }
      break;
    }
    case Cells::Form::values: {
      const auto* values = static_cast<const Value*>(cells.values_);
      if (field == nullptr) refuse(fmt::format("{}: its type is not known; bind typed columns", place.text()));
      const bool texts = data::is_variable(field->type) || is_decimal(field->type);
      part.states.resize(cells.rows_);
      if (texts) part.texts.resize(cells.rows_);
      else part.bits.resize(cells.rows_);
      std::uint64_t bits = 0;
      std::string text;
      for (std::size_t row = 0; row < cells.rows_; ++row) {
        if (std::holds_alternative<Null>(values[row]) || std::holds_alternative<NotGiven>(values[row])) {
          part.states[row] = static_cast<std::uint8_t>(
              std::holds_alternative<Null>(values[row]) ? CellState::null : CellState::not_given);
          continue;
        }
        const auto why = convert(values[row], *field, bits, text);
        if (!why.empty()) refuse(fmt::format("{} does not take the value of row {}: {}", place.text(), row + 1, why));
        if (texts) part.texts[row] = std::move(text);
        else part.bits[row] = bits;
      }
      break;
    }
    case Cells::Form::nulls:
    case Cells::Form::not_given: break;
  }
  return part;
}

void StatementBatch::put(const Part& part, std::size_t first, std::uint32_t rows) {
  const Cells& cells = *part.cells;
  const Type type = part.type == Type::null ? Type::varchar : part.type;
  if (cells.form_ == Cells::Form::nulls || cells.form_ == Cells::Form::not_given) {
    encoder_.uniform_column(type, rows, cells.form_ == Cells::Form::nulls ? CellState::null : CellState::not_given);
    return;
  }
  const auto states = !part.states.empty()    ? CellStates(part.states).subspan(first, rows)
                      : cells.states_.empty() ? CellStates()
                                              : cells.states_.subspan(first, rows);
  const auto put_states = [&](std::uint8_t* out) {
    if (states.empty()) std::fill_n(out, rows, std::uint8_t{0});
    else std::transform(states.begin(), states.end(), out, [](std::uint8_t s) { return std::min<std::uint8_t>(s, 2); });
  };
  const auto has_value = [&](std::size_t row) { return states.empty() || states[row] == 0; };
  if (!data::is_variable(type) && !is_decimal(type)) {
    const auto out = encoder_.fixed_column(type, rows);
    put_states(out.state);
    const std::size_t size = data::fixed_size(type);
    if (cells.form_ == Cells::Form::values) {
      for (std::uint32_t row = 0; row < rows; ++row)
        std::memcpy(out.values + size * row, &part.bits[first + row], size);
    } else {
      const void* from = part.times.empty() ? static_cast<const char*>(cells.values_) + size * first
                                            : static_cast<const void*>(part.times.data() + first);
      std::memcpy(out.values, from, size * rows);
    }
    return;
  }
  if (is_decimal(type)) {
    const auto out = encoder_.decimal_column(type, rows);
    put_states(out.state);
    const std::size_t size = data::fixed_size(type);
    for (std::size_t row = 0; row < rows; ++row) {
      if (has_value(row)) std::memcpy(out.values + size * row, part.texts[first + row].data(), size);
      else std::memset(out.values + size * row, 0, size);
    }
    return;
  }
  // Texts: their sum first, for the record is made in one piece.
  const auto text_of = [&](std::size_t row) -> std::string_view {
    switch (cells.form_) {
      case Cells::Form::views: return static_cast<const std::string_view*>(cells.values_)[first + row];
      case Cells::Form::strings: return static_cast<const std::string*>(cells.values_)[first + row];
      default: return part.texts[first + row];
    }
  };
  if (cells.form_ == Cells::Form::packed) {
    std::size_t begin = 0;
    for (std::size_t row = 0; row < first; ++row) begin += static_cast<std::size_t>(cells.lengths_[row]);
    std::size_t bytes = 0;
    for (std::size_t row = 0; row < rows; ++row) bytes += static_cast<std::size_t>(cells.lengths_[first + row]);
    const auto out = encoder_.variable_column(type, rows, bytes);
    put_states(out.state);
    std::memcpy(out.lengths, cells.lengths_.data() + first, 4 * std::size_t{rows});
    if (bytes > 0) std::memcpy(out.data, cells.bytes_.data() + begin, bytes);
    return;
  }
  std::size_t bytes = 0;
  for (std::size_t row = 0; row < rows; ++row) bytes += has_value(row) ? text_of(row).size() : 0;
  const auto out = encoder_.variable_column(type, rows, bytes);
  put_states(out.state);
  char* at = out.data;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto text = has_value(row) ? text_of(row) : std::string_view();
    wire::store(out.lengths + 4 * row, static_cast<std::int32_t>(text.size()));
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    at += text.size();
  }
}

void StatementBatch::add(const std::vector<StatementField>& fields, std::span<const TableRows> tables) {
  std::vector<const StatementField*> tags;
  std::vector<const StatementField*> columns;
  bool names = insert_ && fields.empty();
  for (const auto& field : fields) {
    if (field.bind == StatementField::Bind::table_name) names = true;
    else (field.bind == StatementField::Bind::tag ? tags : columns).push_back(&field);
  }
  // Everything is looked at before the first byte is written: all tables are taken or none.
  struct Table {
    std::vector<std::uint64_t> tag_bits;
    std::vector<std::string> tag_texts;
    std::vector<Part> parts;
    std::size_t rows = 0;
  };
  std::vector<Table> checked(tables.size());
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const TableRows& given = tables[t];
    Table& table = checked[t];
    if (names && given.name.empty()) refuse("the SQL has a '?' for the table's name, and none was given");
    if (!names && !given.name.empty() && insert_)
      refuse(fmt::format("the SQL names its table itself, so that '{}' cannot be given", printable(given.name)));
    if (given.tags.size() != tags.size())
      refuse(fmt::format("table '{}': {} tags given, the SQL has {} placeholders of tags", printable(given.name),
                         given.tags.size(), tags.size()));
    if (insert_ && !fields.empty() && given.columns.size() != columns.size())
      refuse(fmt::format("table '{}': {} columns given, the SQL has {} placeholders of columns", printable(given.name),
                         given.columns.size(), columns.size()));
    if (given.columns.empty()) refuse("no columns given");
    table.tag_bits.resize(tags.size());
    table.tag_texts.resize(tags.size());
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const Value& tag = given.tags[i];
      if (std::holds_alternative<Null>(tag) || std::holds_alternative<NotGiven>(tag)) continue;
      const auto why = convert(tag, *tags[i], table.tag_bits[i], table.tag_texts[i]);
      if (!why.empty())
        refuse(fmt::format("{} does not take the value: {}", Place{given.name, "tag", i, tags[i]}.text(), why));
    }
    table.rows = given.columns.front().rows();
    if (table.rows == 0) refuse(fmt::format("table '{}': no rows", printable(given.name)));
    for (std::size_t c = 0; c < given.columns.size(); ++c) {
      const Cells& cells = given.columns[c];
      const auto* field = c < columns.size() ? columns[c] : nullptr;
      const Place place{given.name, "column", c, field};
      if (cells.rows() != table.rows)
        refuse(fmt::format("{} has {} rows, the first column {}", place.text(), cells.rows(), table.rows));
      table.parts.push_back(resolve(cells, field, place));
    }
  }
  if (tables_ == 0 && !tables.empty())
    encoder_.begin(static_cast<std::uint32_t>(tags.size()), static_cast<std::uint32_t>(tables[0].columns.size()));
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const Table& table = checked[t];
    // A record holds so many rows; more of one table go as another table of the same name.
    for (std::size_t first = 0; first < table.rows; first += kMostRows) {
      const auto rows = static_cast<std::uint32_t>(std::min(kMostRows, table.rows - first));
      if (names) encoder_.begin_table(tables[t].name);
      else encoder_.begin_table(std::nullopt);
      for (std::size_t i = 0; i < tags.size(); ++i) {
        const Value& tag = tables[t].tags[i];
        if (std::holds_alternative<Null>(tag) || std::holds_alternative<NotGiven>(tag))
          encoder_.null_tag(tags[i]->type);
        else if (data::is_variable(tags[i]->type) || is_decimal(tags[i]->type))
          encoder_.text_tag(tags[i]->type, table.tag_texts[i]);
        else encoder_.fixed_tag(tags[i]->type, table.tag_bits[i]);
      }
      for (const Part& part : table.parts) put(part, first, rows);
      ++tables_;
    }
    rows_ += table.rows;
  }
}

void StatementBatch::set_table(std::string_view name) {
  table_ = name;
  tags_.clear();
}

void StatementBatch::set_tags(std::span<const Value> tags) { tags_.assign(tags.begin(), tags.end()); }

void StatementBatch::add_row(const std::vector<StatementField>& fields, std::span<const Value> row) {
  if (!pending_.empty() && row.size() != pending_.size())
    refuse(fmt::format("a row of {} values follows rows of {}", row.size(), pending_.size()));
  // Values that do not fit are told here, where they are given.
  std::size_t column = 0;
  std::uint64_t bits = 0;
  std::string text;
  for (const auto& field : fields) {
    if (field.bind != StatementField::Bind::column) continue;
    if (column == row.size())
      refuse(fmt::format("a row of {} values; the SQL has more placeholders of columns", row.size()));
    const Value& value = row[column];
    if (!std::holds_alternative<Null>(value) && !std::holds_alternative<NotGiven>(value)) {
      const auto why = convert(value, field, bits, text);
      if (!why.empty())
        refuse(fmt::format("{} does not take the value of row {}: {}", Place{table_, "column", column, &field}.text(),
                           pending_.empty() ? 1 : pending_[column].size() + 1, why));
    }
    ++column;
  }
  pending_.resize(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) pending_[i].push_back(row[i]);
}

void StatementBatch::add_columns(const std::vector<StatementField>& fields, std::span<const Cells> columns) {
  end_table(fields);
  const TableRows table{table_, tags_, columns};
  add(fields, std::span(&table, 1));
}

void StatementBatch::end_table(const std::vector<StatementField>& fields) {
  if (pending_.empty()) return;
  const auto values = std::exchange(pending_, {});
  std::vector<Cells> columns;
  columns.reserve(values.size());
  for (const auto& column : values) columns.push_back(Cells::values(column));
  const TableRows table{table_, tags_, columns};
  add(fields, std::span(&table, 1));
}

void StatementBatch::set_parameters(std::span<const Value> values) {
  clear();
  encoder_.begin(0, static_cast<std::uint32_t>(values.size()));
  encoder_.begin_table(std::nullopt);
  const auto fixed = [&]<class T>(Type type, T value) {
    const auto out = encoder_.fixed_column(type, 1);
    *out.state = 0;
    wire::store(out.values, value);
  };
  const auto text = [&](Type type, std::string_view value) {
    const auto out = encoder_.variable_column(type, 1, value.size());
    *out.state = 0;
    wire::store(out.lengths, static_cast<std::int32_t>(value.size()));
    if (!value.empty()) std::memcpy(out.data, value.data(), value.size());
  };
  for (const Value& value : values) {
    if (const auto* b = std::get_if<bool>(&value)) fixed(Type::boolean, *b);
    else if (const auto* i = std::get_if<std::int64_t>(&value)) fixed(Type::bigint, *i);
    else if (const auto* u = std::get_if<std::uint64_t>(&value)) fixed(Type::ubigint, *u);
    else if (const auto* f = std::get_if<float>(&value)) fixed(Type::float32, *f);
    else if (const auto* d = std::get_if<double>(&value)) fixed(Type::float64, *d);
    else if (const auto* t = std::get_if<Timestamp>(&value)) fixed(Type::timestamp, t->ticks);
    else if (const auto* s = std::get_if<std::string>(&value)) text(Type::varchar, *s);
    else if (const auto* j = std::get_if<Json>(&value)) text(Type::varchar, j->text);
    else if (const auto* bytes = std::get_if<Binary>(&value)) text(Type::varbinary, bytes->bytes);
    else if (const auto* g = std::get_if<Geometry>(&value)) text(Type::geometry, g->wkb);
    else if (const auto* decimal = std::get_if<Decimal>(&value)) text(Type::varchar, decimal->text());
    else encoder_.uniform_column(Type::varchar, 1, CellState::null);
  }
  tables_ = 1;
  rows_ = 1;
}

std::uint32_t StatementBatch::encode_exec(const std::vector<StatementField>& fields, wire::Stmt2ExecEncoder& out) {
  const auto message = encoder_.join(0, 0);
  const auto decoded = wire::decode_stmt2_bind(message);
  if (!decoded) refuse(decoded.error().message);
  const auto& tables = decoded->tables;
  out.begin(static_cast<std::uint32_t>(rows_));
  const auto rows_of = [](const wire::Stmt2Bind::Table& table) { return table.columns.front().rows; };
  std::uint32_t runs = 1;
  for (std::size_t t = 1; t < tables.size(); ++t) runs += tables[t].name != tables[t - 1].name ? 1 : 0;
  std::size_t tag = 0;
  std::size_t column = 0;
  for (const auto& field : fields) {
    // What table `t` has for this field in row `row` (tags and names: the same in all rows).
    const bool is_name = field.bind == StatementField::Bind::table_name;
    const bool is_tag = field.bind == StatementField::Bind::tag;
    const std::size_t index = is_name ? 0 : is_tag ? tag++ : column++;
    const auto each = [&](auto&& visit) {
      for (const auto& table : tables) {
        const auto rows = rows_of(table);
        if (is_name) {
          for (std::uint32_t row = 0; row < rows; ++row) visit(CellState::value, table.name);
        } else if (is_tag) {
          table.tags[index].for_each([&](std::uint32_t, CellState state, std::string_view bytes) {
            for (std::uint32_t row = 0; row < rows; ++row) visit(state, bytes);
          });
        } else {
          table.columns[index].for_each(
              [&](std::uint32_t, CellState state, std::string_view bytes) { visit(state, bytes); });
        }
      }
    };
    std::size_t at = 0;
    if (data::is_variable(field.type)) {
      std::size_t bytes = 0;
      each([&](CellState, std::string_view value) { bytes += value.size(); });
      const auto record = out.variable_field(field.type, bytes);
      char* data = record.data;
      each([&](CellState state, std::string_view value) {
        record.state[at] = static_cast<std::uint8_t>(state);
        wire::store(record.lengths + 4 * at++, static_cast<std::int32_t>(value.size()));
        if (!value.empty()) std::memcpy(data, value.data(), value.size());
        data += value.size();
      });
    } else {
      const std::size_t size = data::fixed_size(field.type);
      const auto record = is_decimal(field.type) ? out.decimal_field(field.type) : out.fixed_field(field.type);
      each([&](CellState state, std::string_view value) {
        record.state[at] = static_cast<std::uint8_t>(state);
        char* const slot = record.values + size * at++;
        if (value.size() == size) std::memcpy(slot, value.data(), size);
        else std::memset(slot, 0, size);
      });
    }
  }
  return runs;
}

void StatementBatch::clear() {
  tables_ = 0;
  rows_ = 0;
  pending_.clear();
}

}  // namespace penstock::client::detail
