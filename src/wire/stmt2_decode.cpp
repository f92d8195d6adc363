#include <fmt/format.h>

#include <utility>

#include "wire/stmt2.h"

// Texts are those of the adapter, whose clients look at them. It counts in 32 bits and wraps; here all sums have 64,
// so that what wraps there is refused here.
namespace penstock::wire {
namespace {

using data::Type;

constexpr std::uint16_t kVersionOne = 1;

template <class... Args>
AdapterError refuse(fmt::format_string<Args...> format, Args&&... args) {
  return {.message = fmt::format(format, std::forward<Args>(args)...)};
}

// The adapter prints its sums as signed 32-bit numbers.
std::int32_t as_printed(std::uint64_t sum) noexcept {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(sum));
}

// DECIMAL as integers: a slot a row, also where there is no value, which engine 3.3.7 reads whatever the lengths say.
bool has_decimal_slots(const BindRecord& record) noexcept {
  const auto decimal64 = static_cast<std::int32_t>(Type::decimal64);
  if (record.type != decimal64 && record.type != static_cast<std::int32_t>(Type::decimal128)) return false;
  const std::size_t size = record.type == decimal64 ? 8 : 16;
  if (record.buffer.size() != size * record.rows) return false;
  for (std::uint32_t row = 0; row < record.rows; ++row) {
    if (record.state[row] == 0 &&
        load<std::int32_t>(record.lengths + 4 * std::size_t{row}) != static_cast<std::int32_t>(size))
      return false;
  }
  return true;
}

// Whether the buffer holds every value that the states and lengths promise. Sets the stride of fixed slots.
bool has_all_values(BindRecord& record) noexcept {
  if (record.have_length && has_decimal_slots(record)) {
    record.stride = static_cast<std::uint32_t>(data::fixed_size(static_cast<Type>(record.type)));
    return true;
  }
  if (record.have_length) {
    std::uint64_t sum = 0;
    for (std::uint32_t row = 0; row < record.rows; ++row) {
      if (record.state[row] != 0) continue;
      const auto length = load<std::int32_t>(record.lengths + 4 * std::size_t{row});
      if (length < 0) return false;
      sum += static_cast<std::uint64_t>(length);
    }
    return sum <= record.buffer.size();
  }
  bool any = false;
  for (std::uint32_t row = 0; row < record.rows && !any; ++row) any = record.state[row] == 0;
  const bool known = record.type >= 0 && record.type <= static_cast<std::int32_t>(Type::decimal64);
  std::size_t size = known ? data::fixed_size(static_cast<Type>(record.type)) : 0;
  if (size == 0 && record.rows > 0) size = record.buffer.size() / record.rows;
  record.stride = static_cast<std::uint32_t>(size);
  return !any || std::uint64_t{size} * record.rows <= record.buffer.size();
}

// Reads the record at `at` of `payload` and moves `at` behind it. False when it leaves the payload or contradicts
// itself.
bool read_record(std::string_view payload, std::size_t& at, BindRecord& record) noexcept {
  const std::uint64_t left = payload.size() - at;
  if (left < 12) return false;
  const char* const begin = payload.data() + at;
  const auto length = load<std::uint32_t>(begin);
  record.type = load<std::int32_t>(begin + 4);
  record.rows = load<std::uint32_t>(begin + 8);
  std::uint64_t used = 12;
  if (left - used < std::uint64_t{record.rows} + 5) return false;  // states, have_length, buffer length
  record.state = begin + used;
  used += record.rows;
  record.have_length = begin[used] != 0;
  ++used;
  if (record.have_length) {
    if (left - used < 4 * std::uint64_t{record.rows} + 4) return false;
    record.lengths = begin + used;
    used += 4 * std::uint64_t{record.rows};
  }
  const auto buffer = load<std::uint32_t>(begin + used);
  used += 4;
  if (left - used < buffer || used + buffer != length) return false;
  record.buffer = std::string_view(begin + used, buffer);
  at += length;
  return has_all_values(record);
}

struct BindHead {
  std::uint32_t tables, tag_count, column_count, names_at, tags_at, columns_at;
};

std::optional<AdapterError> read_names(std::string_view payload, const BindHead& head,
                                       std::vector<Stmt2Bind::Table>& tables) {
  const std::uint64_t size = payload.size();
  const std::uint64_t end = std::uint64_t{head.names_at} + std::uint64_t{head.tables} * 2;
  if (end > size)
    return refuse("table name lengths out of range, total length: {}, tableNamesLengthEnd: {}", size, as_printed(end));
  std::uint64_t total = end;
  for (std::uint32_t i = 0; i < head.tables; ++i) {
    const auto length = load<std::uint16_t>(payload.data() + head.names_at + 2 * std::size_t{i});
    if (length == 0) return refuse("table name length is 0, tableIndex: {}", i);
    total += length;
  }
  if (total > size)
    return refuse("table names out of range, total length: {}, tableNameTotalLength: {}", size, as_printed(total));
  auto at = static_cast<std::size_t>(end);
  tables.resize(head.tables);
  for (std::uint32_t i = 0; i < head.tables; ++i) {
    const auto rest = payload.substr(at);
    tables[i].name = rest.substr(0, rest.find('\0'));  // the engine reads up to the NUL, whatever the length says
    at += load<std::uint16_t>(payload.data() + head.names_at + 2 * std::size_t{i});
  }
  return std::nullopt;
}

// Checks a section of records: T lengths, then the records.
std::optional<AdapterError> check_section(std::uint64_t size, std::string_view payload, std::uint32_t tables,
                                          std::uint32_t begin, std::string_view what) {
  const std::uint64_t end = std::uint64_t{begin} + std::uint64_t{tables} * 4;
  if (end > size) return refuse("{0}s out of range, total length: {1}, {0}End: {2}", what, size, as_printed(end));
  std::uint64_t total = end;
  for (std::uint32_t i = 0; i < tables; ++i) {
    const auto length = load<std::uint32_t>(payload.data() + begin + 4 * std::size_t{i});
    if (length == 0) return refuse("{} length is 0, tableIndex: {}", what, i);
    total += length;
  }
  if (total > size)
    return refuse("{0}s out of range, total length: {1}, {0}sTotalLength: {2}", what, size, as_printed(total));
  return std::nullopt;
}

// Reads `count` records for each table. As in the adapter they follow one another whatever the lengths say.
std::optional<AdapterError> read_records(std::string_view payload, std::uint32_t tables, std::uint32_t begin,
                                         std::uint32_t count, std::vector<BindRecord>& records) {
  std::size_t at = begin + 4 * std::size_t{tables};
  for (std::uint32_t table = 0; table < tables; ++table)
    for (std::uint32_t field = 0; field < count; ++field) {
      BindRecord record;
      if (!read_record(payload, at, record))
        return refuse("bind data length error, tableIndex: {}, fieldIndex: {}", table, field);
      records.push_back(record);
    }
  return std::nullopt;
}

}  // namespace

Result<Stmt2Bind, AdapterError> decode_stmt2_bind(std::string_view message) {
  if (message.size() < 30) return AdapterError{.message = "message length is too short"};
  Stmt2Bind bind;
  bind.request_id = load<std::uint64_t>(message.data());
  bind.statement_id = load<std::uint64_t>(message.data() + 8);
  if (load<std::uint16_t>(message.data() + 24) != kVersionOne)
    return AdapterError{.message = "unknown stmt2 bind version"};
  bind.column_index = load<std::int32_t>(message.data() + 26);
  const std::string_view payload = message.substr(30);
  if (payload.size() < 28) return AdapterError{.message = "data length is less than 28"};
  const auto field = [&](std::size_t at) { return load<std::uint32_t>(payload.data() + at); };
  if (field(0) != payload.size())
    return refuse("total length not match, expect {}, but get {}", payload.size(), field(0));
  const BindHead head{field(4), field(8), field(12), field(16), field(20), field(24)};
  if (head.tag_count == 0 && head.tags_at != 0)
    return AdapterError{.message = "tag count is 0, but tags offset is not 0"};
  if (head.column_count == 0 && head.columns_at != 0)
    return AdapterError{.message = "col count is 0, but cols offset is not 0"};

  bind.has_names = head.names_at != 0;
  bind.tag_count = head.tags_at != 0 ? head.tag_count : 0;
  bind.column_count = head.columns_at != 0 ? head.column_count : 0;
  if (bind.has_names)
    if (auto error = read_names(payload, head, bind.tables)) return std::move(*error);
  if (bind.tag_count > 0)
    if (auto error = check_section(payload.size(), payload, head.tables, head.tags_at, "tag")) return std::move(*error);
  if (bind.column_count > 0)
    if (auto error = check_section(payload.size(), payload, head.tables, head.columns_at, "col"))
      return std::move(*error);
  if (!bind.has_names && bind.tag_count == 0 && bind.column_count == 0) {
    if (head.tables > 1) return AdapterError{.message = "no table names, tags or columns"};
  }
  bind.tables.resize(head.tables);  // bounded: some section has bytes for every table, or there is at most one

  if (auto error = read_records(payload, head.tables, head.tags_at, bind.tag_count, bind.records))
    return std::move(*error);
  const std::size_t tag_records = bind.records.size();
  if (auto error = read_records(payload, head.tables, head.columns_at, bind.column_count, bind.records))
    return std::move(*error);
  const std::span<const BindRecord> all(bind.records);
  for (std::size_t i = 0; i < bind.tables.size(); ++i) {
    bind.tables[i].tags = all.subspan(i * bind.tag_count, bind.tag_count);
    bind.tables[i].columns = all.subspan(tag_records + i * bind.column_count, bind.column_count);
  }
  return bind;
}

Result<Stmt2BindExec, AdapterError> decode_stmt2_bind_exec(std::string_view message) {
  if (message.size() < 26) return AdapterError{.message = "message length is too short"};
  Stmt2BindExec bind;
  bind.request_id = load<std::uint64_t>(message.data());
  bind.statement_id = load<std::uint64_t>(message.data() + 8);
  if (load<std::uint16_t>(message.data() + 24) != kVersionOne)
    return AdapterError{.message = "unknown stmt2 bind exec version"};
  const std::string_view payload = message.substr(26);
  if (payload.size() < 20) return AdapterError{.message = "data length is less than 20"};
  const auto word = [&](std::size_t at) { return load<std::uint32_t>(payload.data() + at); };
  if (word(0) != payload.size())
    return refuse("total length not match, expect {}, but get {}", payload.size(), word(0));
  bind.rows = word(4);
  bind.table_runs = word(8);
  const std::uint32_t fields = word(12);
  const std::uint32_t begin = word(16);
  if (bind.rows == 0) return AdapterError{.message = "row count is 0"};
  if (fields == 0) return AdapterError{.message = "field count is 0"};
  if (fields > data::Limits::columns) return refuse("field count exceeds maximum 4096: {}", fields);
  if (begin < 20 || begin > payload.size())
    return refuse("field offset out of range, total length: {}, field offset: {}", payload.size(), begin);

  std::size_t at = begin;
  for (std::uint32_t i = 0; i < fields; ++i) {
    if (payload.size() - at < 12) return refuse("column {} header out of range", i);
    const auto length = word(at);
    if (length < 18) return refuse("column {} length too short: {}", i, length);
    if (payload.size() - at < length) return refuse("column {} out of range, total length: {}", i, payload.size());
    if (word(at + 8) != bind.rows)
      return refuse("column {} row count not match, got: {}, expect: {}", i, word(at + 8), bind.rows);
    const std::uint64_t rows = bind.rows;
    if (12 + rows + 5 > length) return refuse("column {} is_null array out of range", i);
    const bool lengths = payload[at + 12 + bind.rows] != 0;
    if (lengths && 12 + rows + 5 + 4 * rows > length) return refuse("column {} length array out of range", i);
    BindRecord record;
    if (!read_record(payload, at, record)) return refuse("column {} data length error", i);
    bind.fields.push_back(record);
  }
  if (at != payload.size()) return AdapterError{.message = "payload has trailing bytes"};
  return bind;
}

}  // namespace penstock::wire
