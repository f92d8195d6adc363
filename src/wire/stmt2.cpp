#include "wire/stmt2.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

namespace penstock::wire {
namespace {

using data::Type;

constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kBindPayloadHead = 28;
constexpr std::size_t kExecPayloadHead = 20;
constexpr std::size_t kMostBytes = std::numeric_limits<std::int32_t>::max();

// DECIMAL travels with lengths although its size is fixed: clients send text, engine 3.3.7 takes the integer.
bool travels_with_lengths(Type type) noexcept {
  return data::is_variable(type) || data::fixed_size(type) == 0 || type == Type::decimal64 || type == Type::decimal128;
}

void put_request_header(char* at, std::uint64_t request_id, std::uint64_t statement_id, Action action) noexcept {
  store(at, request_id);
  store(at + 8, statement_id);
  store(at + 16, number(action));
  store(at + 24, kVersion);
}

[[noreturn]] void cannot_send(const std::string& why) {
  throw Error(Errc::unsupported, "cannot build a bind message: " + why);
}

template <class Parts>
std::string joined(const Parts& parts) {
  std::string out;
  for (const auto part : parts) out += part;
  return out;
}

}  // namespace

// Shape of a record: see the head of stmt2.h.
FixedColumn Stmt2Encoder::fixed_record(Buffer& out, Type type, std::uint32_t rows) {
  const std::size_t values = std::size_t{rows} * data::fixed_size(type);
  const std::size_t total = 17 + rows + values;
  char* const at = out.grow(total);
  store(at, static_cast<std::uint32_t>(total));
  store(at + 4, static_cast<std::int32_t>(type));
  store(at + 8, rows);
  at[12 + rows] = 0;
  store(at + 13 + rows, static_cast<std::uint32_t>(values));
  return {reinterpret_cast<std::uint8_t*>(at + 12), at + 17 + rows};
}

VariableColumn Stmt2Encoder::variable_record(Buffer& out, Type type, std::uint32_t rows, std::size_t bytes) {
  const std::size_t total = 17 + 5 * std::size_t{rows} + bytes;
  char* const at = out.grow(total);
  store(at, static_cast<std::uint32_t>(total));
  store(at + 4, static_cast<std::int32_t>(type));
  store(at + 8, rows);
  at[12 + rows] = 1;
  char* const lengths = at + 13 + rows;
  char* const data = lengths + 4 * std::size_t{rows} + 4;
  store(data - 4, static_cast<std::uint32_t>(bytes));
  return {reinterpret_cast<std::uint8_t*>(at + 12), lengths, data};
}

FixedColumn Stmt2Encoder::decimal_record(Buffer& out, Type type, std::uint32_t rows) {
  const std::size_t size = data::fixed_size(type);
  const auto record = variable_record(out, type, rows, size * rows);
  for (std::uint32_t row = 0; row < rows; ++row)
    store(record.lengths + 4 * std::size_t{row}, static_cast<std::int32_t>(size));
  return {record.state, record.data};
}

void Stmt2Encoder::uniform_record(Buffer& out, Type type, std::uint32_t rows, CellState state) {
  const bool lengths = travels_with_lengths(type);
  const std::size_t total = 17 + rows + (lengths ? 4 * std::size_t{rows} : 0);
  char* const at = out.grow(total);
  store(at, static_cast<std::uint32_t>(total));
  store(at + 4, static_cast<std::int32_t>(type));
  store(at + 8, rows);
  std::memset(at + 12, number(state), rows);
  at[12 + rows] = lengths ? 1 : 0;
  std::memset(at + 13 + rows, 0, total - 13 - rows);
}

void Stmt2Encoder::fixed_tag_record(Buffer& out, Type type, std::uint64_t bits) {
  const auto record = fixed_record(out, type, 1);
  *record.state = 0;
  const std::size_t size = data::fixed_size(type);
  std::memcpy(record.values, &bits, size < sizeof bits ? size : sizeof bits);
  if (size > sizeof bits)
    std::memset(record.values + sizeof bits, static_cast<std::int64_t>(bits) < 0 ? 0xFF : 0, size - sizeof bits);
}

void Stmt2Encoder::text_tag_record(Buffer& out, Type type, std::string_view value) {
  const auto record = variable_record(out, type, 1, value.size());
  *record.state = 0;
  store(record.lengths, static_cast<std::int32_t>(value.size()));
  if (!value.empty()) std::memcpy(record.data, value.data(), value.size());
}

void Stmt2Encoder::begin(std::uint32_t tag_count, std::uint32_t column_count) {
  tag_count_ = tag_count;
  column_count_ = column_count;
  tables_ = 0;
  open_ = false;
  bad_rows_ = false;
  for (Buffer* buffer : {&name_lengths_, &names_, &tag_lengths_, &tags_, &column_lengths_, &columns_}) buffer->clear();
}

void Stmt2Encoder::end_table() {
  if (!open_) return;
  open_ = false;
  if (tag_count_ > 0) tag_lengths_.put(static_cast<std::uint32_t>(tags_.size() - tags_begin_));
  if (column_count_ > 0) column_lengths_.put(static_cast<std::uint32_t>(columns_.size() - columns_begin_));
}

void Stmt2Encoder::begin_table(std::optional<std::string_view> name) {
  end_table();
  open_ = true;
  ++tables_;
  tags_begin_ = tags_.size();
  columns_begin_ = columns_.size();
  if (!name) return;
  name_lengths_.put(static_cast<std::uint16_t>(name->size() + 1));
  char* const at = names_.grow(name->size() + 1);
  std::memcpy(at, name->data(), name->size());
  at[name->size()] = '\0';
}

void Stmt2Encoder::fixed_tag(Type type, std::uint64_t bits) { fixed_tag_record(tags_, type, bits); }
void Stmt2Encoder::text_tag(Type type, std::string_view value) { text_tag_record(tags_, type, value); }
void Stmt2Encoder::null_tag(Type type) { null_tag_record(tags_, type); }

std::size_t Stmt2Encoder::capacity() const noexcept {
  return name_lengths_.capacity() + names_.capacity() + tag_lengths_.capacity() + tags_.capacity() +
         column_lengths_.capacity() + columns_.capacity();
}

Stmt2Encoder::Parts Stmt2Encoder::parts(std::uint64_t request_id, std::uint64_t statement_id) {
  end_table();
  const std::size_t total = bytes();
  if (tables_ == 0) cannot_send("it has no tables");
  if (bad_rows_)
    cannot_send(fmt::format("a table has no rows or more than {} in one record", data::Limits::rows_per_table));
  if (total > kMostBytes) cannot_send(fmt::format("{} bytes are more than one message may have", total));
  if (!name_lengths_.empty() && name_lengths_.size() != std::size_t{tables_} * 2)
    cannot_send("some tables have a name and some have none");

  char* const head = head_.data();
  put_request_header(head, request_id, statement_id, Action::stmt2_bind);
  store(head + 26, std::int32_t{-1});  // all columns
  char* const payload = head + 30;
  store(payload, static_cast<std::uint32_t>(total - 30));
  store(payload + 4, tables_);
  store(payload + 8, tag_count_);
  store(payload + 12, column_count_);
  const std::size_t names = kBindPayloadHead;
  const std::size_t tags = names + name_lengths_.size() + names_.size();
  const std::size_t columns = tags + tag_lengths_.size() + tags_.size();
  const auto offset = [](bool present, std::size_t at) { return present ? static_cast<std::uint32_t>(at) : 0U; };
  store(payload + 16, offset(!name_lengths_.empty(), names));
  store(payload + 20, offset(tag_count_ > 0, tags));
  store(payload + 24, offset(column_count_ > 0, columns));
  return {std::string_view(head, kHeadBytes),
          name_lengths_.view(),
          names_.view(),
          tag_lengths_.view(),
          tags_.view(),
          column_lengths_.view(),
          columns_.view()};
}

std::string Stmt2Encoder::join(std::uint64_t request_id, std::uint64_t statement_id) {
  return joined(parts(request_id, statement_id));
}

Stmt2Encoder Stmt2Encoder::leave_to_reader() {
  Stmt2Encoder left = std::move(*this);
  *this = Stmt2Encoder();
  tag_count_ = left.tag_count_;
  column_count_ = left.column_count_;
  tables_ = left.tables_;
  open_ = left.open_;
  bad_rows_ = left.bad_rows_;
  tags_begin_ = left.tags_begin_;
  columns_begin_ = left.columns_begin_;
  for (const auto buffer : {&Stmt2Encoder::name_lengths_, &Stmt2Encoder::names_, &Stmt2Encoder::tag_lengths_,
                            &Stmt2Encoder::tags_, &Stmt2Encoder::column_lengths_, &Stmt2Encoder::columns_})
    (this->*buffer).put_bytes((left.*buffer).view());
  return left;
}

void Stmt2ExecEncoder::begin(std::uint32_t rows) {
  rows_ = rows;
  fields_ = 0;
  records_.clear();
}

Stmt2ExecEncoder::Parts Stmt2ExecEncoder::parts(std::uint64_t request_id, std::uint64_t statement_id,
                                                std::uint32_t table_runs) {
  if (rows_ == 0) cannot_send("it has no rows");
  if (fields_ == 0 || fields_ > data::Limits::columns) cannot_send(fmt::format("it has {} fields", fields_));
  if (bytes() > kMostBytes) cannot_send(fmt::format("{} bytes are more than one message may have", bytes()));
  char* const head = head_.data();
  put_request_header(head, request_id, statement_id, Action::stmt2_bind_exec);
  char* const payload = head + 26;
  store(payload, static_cast<std::uint32_t>(bytes() - 26));
  store(payload + 4, rows_);
  store(payload + 8, table_runs);
  store(payload + 12, fields_);
  store(payload + 16, static_cast<std::uint32_t>(kExecPayloadHead));
  return {std::string_view(head, kHeadBytes), records_.view()};
}

std::string Stmt2ExecEncoder::join(std::uint64_t request_id, std::uint64_t statement_id, std::uint32_t table_runs) {
  return joined(parts(request_id, statement_id, table_runs));
}

}  // namespace penstock::wire
