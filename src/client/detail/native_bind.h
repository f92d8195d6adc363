#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "client/detail/native_abi.h"
#include "wire/stmt2.h"

namespace penstock::client::detail {

/// The arguments of taos_stmt2_bind_param() for the rows of a bind message, whose buffers they point into: states,
/// lengths and values as they lie there, not aligned (what sends them over WebSocket hands them on the same way). Keeps
/// its memory from one message to the next.
class NativeBindArrays {
 public:
  /// `parts` of Stmt2Encoder::parts(), which must stay as they are until the bind is done. Throws
  /// Error(Errc::unsupported) when a table has not the tags and columns that the message announces.
  void build(const wire::Stmt2Encoder::Parts& parts);

  [[nodiscard]] native::Stmt2BindTables& tables() noexcept { return arguments_; }
  [[nodiscard]] std::uint32_t table_count() const noexcept { return tables_; }
  [[nodiscard]] std::uint32_t tag_count() const noexcept { return tag_count_; }
  [[nodiscard]] std::uint32_t column_count() const noexcept { return column_count_; }
  [[nodiscard]] bool has_names() const noexcept { return !names_.empty(); }

 private:
  void build_names(std::string_view lengths, std::string_view names);
  void build_section(std::string_view lengths, std::string_view records, std::uint32_t count,
                     std::vector<native::Stmt2Bind>& binds, std::vector<native::Stmt2Bind*>& tables,
                     std::string_view what);
  native::Stmt2Bind record(const char*& at, const char* end, std::string_view what);
  void spread_decimals(native::Stmt2Bind& bind, std::size_t bytes);

  native::Stmt2BindTables arguments_{};
  std::uint32_t tables_ = 0;
  std::uint32_t tag_count_ = 0;
  std::uint32_t column_count_ = 0;
  std::vector<char*> names_;
  std::vector<native::Stmt2Bind> tag_binds_;
  std::vector<native::Stmt2Bind> column_binds_;
  std::vector<native::Stmt2Bind*> tag_tables_;
  std::vector<native::Stmt2Bind*> column_tables_;
  std::vector<std::unique_ptr<char[]>> decimals_;
};

}  // namespace penstock::client::detail
