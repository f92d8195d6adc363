#include "standin/bind.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "standin/call.h"

namespace penstock::standin {
namespace {

using data::Type;

constexpr std::int32_t kMismatch = 0x0200;
constexpr int kMostRows = static_cast<int>(data::Limits::rows_per_table);

[[noreturn]] void bad_number() { fail(0x0236, "bind number out of range or not match"); }
[[noreturn]] void no_length() { fail(kMismatch, "var tag length is null"); }

/// Numbers that are no type become one that no column has.
Type type_of(int number) noexcept { return number > 0 && number <= 21 ? static_cast<Type>(number) : Type::null; }

std::uint64_t bits_of(const char* at, Type type) {
  const auto size = std::min<std::size_t>(data::fixed_size(type), 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, at, size);
  if (type == Type::boolean) return bits != 0 ? 1 : 0;
  if (type != Type::tinyint && type != Type::smallint && type != Type::integer) return bits;
  const int unused = 64 - static_cast<int>(8 * size);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(bits << unused) >> unused);
}

/// Clients may give lengths that are not aligned.
std::int32_t length_at(const std::int32_t* lengths, int row) noexcept {
  std::int32_t length = 0;
  std::memcpy(&length, reinterpret_cast<const char*>(lengths) + sizeof length * static_cast<std::size_t>(row),
              sizeof length);
  return length;
}

bool has_value(const char* is_null, int row) noexcept { return is_null == nullptr || is_null[row] == 0; }

/// The parts that both generations have. `none` is the state of a row that is neither a value nor NULL.
sandbox::BoundColumn with_states(Type type, const char* is_null, int rows, char none) {
  sandbox::BoundColumn column;
  column.type = type;
  column.is_null.assign(static_cast<std::size_t>(rows), '\0');
  for (int r = 0; is_null != nullptr && r < rows; ++r) {
    const char state = is_null[r];
    column.is_null[static_cast<std::size_t>(r)] = state == 0 || state == 1 ? state : none;
  }
  return column;
}

void copy_fixed(sandbox::BoundColumn& column, void* buffer, const std::int32_t* lengths) {
  const auto rows = column.rows();
  const auto size = data::fixed_size(column.type);
  const bool any = std::find(column.is_null.begin(), column.is_null.end(), '\0') != column.is_null.end();
  if (!any) return;  // an empty buffer says that too
  if (buffer == nullptr) fail_parameters();
  auto* const values = static_cast<char*>(buffer);
  const bool decimal = column.type == Type::decimal64 || column.type == Type::decimal128;
  // Of other types nobody reads lengths, and clients leave there what they like.
  const std::int32_t first = decimal && rows == 1 && lengths != nullptr ? length_at(lengths, 0) : -1;
  if (first >= 0 && first < static_cast<int>(size)) {
    column.data.assign(values, static_cast<std::size_t>(first));
    column.data.resize(size, '\0');
    return;
  }
  for (std::size_t r = 0; column.type == Type::boolean && r < rows; ++r) {
    if (column.is_null[r] == 0 && values[r] != 0 && values[r] != 1) values[r] = 1;
  }
  column.data.assign(values, rows * size);
}

void append_length(sandbox::BoundColumn& column, std::int32_t length) {
  const auto at = column.lengths.size();
  column.lengths.resize(at + sizeof length);
  std::memcpy(column.lengths.data() + at, &length, sizeof length);
}

sandbox::Value value_of(Type type, std::string_view bytes) {
  sandbox::Value value;
  value.type = type;
  value.state = sandbox::Value::State::value;
  if (data::is_variable(type) || type == Type::decimal128) {
    value.text = bytes;
  } else {
    value.bits = bits_of(bytes.data(), type);
  }
  return value;
}

sandbox::Value tag_value(Type type, std::int32_t stored_bytes, const char* is_null, const void* buffer,
                         const std::int32_t* lengths) {
  sandbox::Value value;
  value.type = type;
  if (!has_value(is_null, 0)) return value;
  std::size_t size = data::fixed_size(type);
  if (data::is_variable(type)) {
    const std::int32_t length = lengths == nullptr ? -1 : length_at(lengths, 0);
    if (length < 0) no_length();
    size = static_cast<std::size_t>(length);
    if (type != Type::json && length + 2 > stored_bytes) fail(kMismatch, "tag length is too big");
  }
  if (size == 0) return value_of(type, {});
  if (buffer == nullptr) fail_parameters();
  return value_of(type, {static_cast<const char*>(buffer), size});
}

}  // namespace

sandbox::BoundColumn bound_column(const TAOS_STMT2_BIND& bind, Type field) {
  if (bind.num < 1 || bind.num > kMostRows) bad_number();
  auto type = type_of(bind.buffer_type);
  if (bind.num == 1 && bind.is_null != nullptr && bind.is_null[0] == 1 && field != Type::null) type = field;
  auto column = with_states(type, bind.is_null, bind.num, 2);
  if (!data::is_variable(type)) {
    if (type != Type::null) copy_fixed(column, bind.buffer, bind.length);
    return column;
  }
  column.has_lengths = true;
  std::size_t size = 0;
  for (int r = 0; r < bind.num; ++r) {
    std::int32_t length = 0;
    if (column.is_null[static_cast<std::size_t>(r)] == 0) {
      length = bind.length == nullptr ? -1 : length_at(bind.length, r);
      if (length < 0) no_length();
    }
    append_length(column, length);
    size += static_cast<std::size_t>(length);
  }
  if (size > 0 && bind.buffer == nullptr) fail_parameters();
  if (size > 0) column.data.assign(static_cast<const char*>(bind.buffer), size);
  return column;
}

sandbox::Value bound_tag(const TAOS_STMT2_BIND& bind, Type type, std::int32_t stored_bytes) {
  if (bind.num == 0 && bind.buffer == nullptr && bind.is_null == nullptr) bad_number();
  return tag_value(type, stored_bytes, bind.is_null, bind.buffer, bind.length);
}

sandbox::BoundColumn bound_column(const TAOS_MULTI_BIND& bind) {
  if (bind.num < 1 || bind.num > kMostRows) bad_number();
  const auto type = type_of(bind.buffer_type);
  auto column = with_states(type, bind.is_null, bind.num, 1);
  if (!data::is_variable(type)) {
    if (type != Type::null) copy_fixed(column, bind.buffer, bind.length);
    return column;
  }
  column.has_lengths = true;
  const auto* const values = static_cast<const char*>(bind.buffer);
  for (int r = 0; r < bind.num; ++r) {
    std::int32_t length = 0;
    if (column.is_null[static_cast<std::size_t>(r)] == 0) {
      // Without lengths the real library takes whole slots.
      length = bind.length != nullptr ? length_at(bind.length, r) : static_cast<std::int32_t>(bind.buffer_length);
      if (length < 0) no_length();
      if (length > 0 && values == nullptr) fail_parameters();
      if (length > 0)
        column.data.append(values + bind.buffer_length * static_cast<std::size_t>(r), static_cast<std::size_t>(length));
    }
    append_length(column, length);
  }
  return column;
}

sandbox::Value bound_tag(const TAOS_MULTI_BIND& bind, Type type, std::int32_t stored_bytes) {
  return tag_value(type, stored_bytes, bind.is_null, bind.buffer, bind.length);
}

}  // namespace penstock::standin
