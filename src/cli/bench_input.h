#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/input.h"

namespace penstock::cli {

/// Rows of a bench that has no files: what to make.
struct BenchShape {
  std::string name = "cpu-only";  ///< cpu-only, iot: of the Time Series Benchmark Suite (TSBS)
  std::uint32_t columns = 0;      ///< not 0: so many BIGINT columns and two tags instead
  std::uint32_t child_tables = 1'000;
  std::uint64_t rows = 500'000;
};

/// Lines of line protocol in nanoseconds, in the order of time, made by the generator of test data; the same bytes in
/// every run and on every machine. They lie in memory, in an anonymous file, so that they are read as files are.
class GeneratedLines {
 public:
  /// Throws Error(Errc::config) for a shape that cannot be, Error(Errc::io) without memory.
  explicit GeneratedLines(const BenchShape& shape);
  ~GeneratedLines();
  GeneratedLines(const GeneratedLines&) = delete;
  GeneratedLines& operator=(const GeneratedLines&) = delete;

  /// Names the text as a file.
  [[nodiscard]] io::Input input() const;
  /// io::kPadding readable bytes follow.
  [[nodiscard]] std::string_view text() const noexcept { return {memory_, bytes_}; }
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  /// Child tables that the rows fall to.
  [[nodiscard]] std::uint64_t child_tables() const noexcept { return child_tables_; }
  /// From the first row's time to just behind the last one's: what must be added to the times for the rows to come
  /// once more with new keys.
  [[nodiscard]] std::int64_t span_ns() const noexcept { return span_ns_; }
  /// "1,000,000 rows of TSBS cpu-only in 1,000 child tables".
  [[nodiscard]] const std::string& what() const noexcept { return what_; }

 private:
  int file_ = -1;
  const char* memory_ = nullptr;
  std::size_t mapped_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t child_tables_ = 0;
  std::int64_t span_ns_ = 0;
  std::string what_;
};

}  // namespace penstock::cli
