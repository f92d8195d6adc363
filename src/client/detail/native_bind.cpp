#include "client/detail/native_bind.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "data/types.h"
#include "wire/bytes.h"

namespace penstock::client::detail {
namespace {

using data::Type;
using native::Stmt2Bind;
using wire::load;

constexpr std::size_t kPayload = 30;  // of the head: request header, version, column index come before

[[noreturn]] void refuse(const std::string& why) { throw Error(Errc::unsupported, "cannot bind: " + why); }

// The library takes pointers that it may write through; the memory is the encoder's own.
char* writable(const char* at) noexcept { return const_cast<char*>(at); }

}  // namespace

// DECIMAL has lengths in a message, and rows without a value take no bytes; the library counts it among the fixed
// types, whose every row has a slot.
void NativeBindArrays::spread_decimals(Stmt2Bind& bind, std::size_t bytes) {
  const std::size_t size = data::fixed_size(static_cast<Type>(bind.buffer_type));
  const auto rows = static_cast<std::size_t>(bind.rows);
  const char* const lengths = reinterpret_cast<const char*>(bind.length);
  std::size_t values = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    if (bind.is_null[row] != 0) continue;
    ++values;
    if (static_cast<std::size_t>(load<std::int32_t>(lengths + 4 * row)) != size) return;  // as text
  }
  if (values == rows || values == 0 || values * size != bytes) return;
  auto& slots = decimals_.emplace_back(std::make_unique<char[]>(rows * size));
  const char* from = static_cast<const char*>(bind.buffer);
  for (std::size_t row = 0; row < rows; ++row) {
    if (bind.is_null[row] != 0) continue;
    std::memcpy(slots.get() + row * size, from, size);
    from += size;
  }
  bind.buffer = slots.get();
}

// Shape of a record: see the head of wire/stmt2.h.
Stmt2Bind NativeBindArrays::record(const char*& at, const char* end, std::string_view what) {
  const auto left = static_cast<std::size_t>(end - at);
  if (left < 17) refuse(fmt::format("a table has too few {}s", what));
  const std::size_t length = load<std::uint32_t>(at);
  if (length > left) refuse(fmt::format("a {} leaves its table", what));
  Stmt2Bind bind{};
  bind.buffer_type = load<std::int32_t>(at + 4);
  const std::size_t rows = load<std::uint32_t>(at + 8);
  bind.rows = static_cast<int>(rows);
  bind.is_null = writable(at + 12);
  const char* next = at + 12 + rows;
  const bool has_lengths = *next++ != 0;
  if (has_lengths) {
    bind.length = reinterpret_cast<std::int32_t*>(writable(next));
    next += 4 * rows;
  }
  const std::size_t bytes = load<std::uint32_t>(next);
  bind.buffer = bytes > 0 ? writable(next + 4) : nullptr;
  at += length;
  if (has_lengths && bytes > 0 && data::fixed_size(static_cast<Type>(bind.buffer_type)) > 0)
    spread_decimals(bind, bytes);
  return bind;
}

void NativeBindArrays::build_names(std::string_view lengths, std::string_view names) {
  names_.clear();
  const char* at = names.data();
  for (std::size_t i = 0; i + 2 <= lengths.size(); i += 2) {
    names_.push_back(writable(at));
    at += load<std::uint16_t>(lengths.data() + i);
  }
}

void NativeBindArrays::build_section(std::string_view lengths, std::string_view records, std::uint32_t count,
                                     std::vector<Stmt2Bind>& binds, std::vector<Stmt2Bind*>& tables,
                                     std::string_view what) {
  binds.clear();
  tables.clear();
  if (count == 0) return;
  binds.resize(std::size_t{count} * tables_);
  tables.resize(tables_);
  const char* at = records.data();
  Stmt2Bind* out = binds.data();
  for (std::uint32_t table = 0; table < tables_; ++table) {
    tables[table] = out;
    const char* const end = at + load<std::uint32_t>(lengths.data() + 4 * std::size_t{table});
    for (std::uint32_t i = 0; i < count; ++i) *out++ = record(at, end, what);
    if (at != end) refuse(fmt::format("a table has more than the {} {}s of the message", count, what));
  }
}

void NativeBindArrays::build(const wire::Stmt2Encoder::Parts& parts) {
  const char* const payload = parts[0].data() + kPayload;
  tables_ = load<std::uint32_t>(payload + 4);
  tag_count_ = load<std::uint32_t>(payload + 8);
  column_count_ = load<std::uint32_t>(payload + 12);
  decimals_.clear();
  build_names(parts[1], parts[2]);
  build_section(parts[3], parts[4], tag_count_, tag_binds_, tag_tables_, "tag");
  build_section(parts[5], parts[6], column_count_, column_binds_, column_tables_, "column");
  arguments_.count = static_cast<int>(tables_);
  arguments_.table_names = names_.empty() ? nullptr : names_.data();
  arguments_.tags = tag_count_ == 0 ? nullptr : tag_tables_.data();
  arguments_.columns = column_count_ == 0 ? nullptr : column_tables_.data();
}

}  // namespace penstock::client::detail
