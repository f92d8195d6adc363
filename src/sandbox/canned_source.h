#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/engine.h"

namespace penstock::sandbox {

/// Rows made beforehand, for benches of readers: `select * from canned.rows [limit N]` over WebSocket costs the server
/// one write of 4096 timestamps a block and the sending, whatever the reader does.
///
/// Row r of a result, from 0: ts TIMESTAMP 1700000000000 + r; then, with k = r mod 16384 and NULL in all but ts and b
/// where k mod 16 is 15: b BOOL k odd; i INT k; g BIGINT k * 1000003; u BIGINT UNSIGNED 2^63 + k; f FLOAT k / 4;
/// d DOUBLE k / 8; s VARCHAR(16) "text k"; n NCHAR(8) "文k".
class CannedSource {
 public:
  /// `rows` of a query without LIMIT.
  explicit CannedSource(std::uint64_t rows);

  /// Rows that the statement asks for; nullopt when it asks for something else.
  [[nodiscard]] std::optional<std::uint64_t> rows_of(std::string_view sql) const;
  [[nodiscard]] const std::vector<ResultField>& fields() const noexcept { return fields_; }

  /// One result while it is read. The source must outlive it. One thread at a time.
  class Reader {
   public:
    Reader(const CannedSource& source, std::uint64_t rows);
    /// The next raw block, "" at the end; valid until the next call. `rows` is set to its rows.
    std::string_view next(std::size_t& rows);

   private:
    const CannedSource& source_;
    const std::uint64_t rows_;
    std::uint64_t begun_ = 0;          ///< rows given out
    std::vector<std::string> blocks_;  ///< copies, for timestamps of their own
  };

 private:
  static constexpr std::size_t kBlocks = 4;
  [[nodiscard]] std::string block(std::uint64_t first, std::size_t rows) const;

  const std::uint64_t rows_;
  std::vector<ResultField> fields_;
  std::vector<std::string> blocks_;
};

}  // namespace penstock::sandbox
