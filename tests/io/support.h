#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/gzip.h"
#include "io/reader.h"

namespace penstock::io::test {

/// A directory that goes with its content.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string path(std::string_view name = {}) const;
  /// Writes a file, with its directories; returns its path.
  std::string write(std::string_view name, std::string_view text) const;

 private:
  std::filesystem::path root_;
};

Input input_of(const std::string& path);

std::string zstd(std::string_view text, bool checksum = true);
using penstock::test::gzip;
std::string lz4(std::string_view text);

/// A record as the chunks gave it.
struct Piece {
  std::string text;
  std::uint64_t offset = 0;
  bool oversized = false;
  bool oversized_end = false;
  bool broken_quote = false;
};

/// All that a source gives, and the error it ends with (empty: none).
struct Outcome {
  std::vector<Piece> chunks;
  std::string error;
  [[nodiscard]] std::string text() const;
};

Outcome read_all(Reader& reader);
Outcome read_all(const std::string& path, const ReadOptions& options);

/// Lines with numbers, `bytes` in all or a little more.
std::string numbered_lines(std::size_t bytes);
/// CSV with quoted newlines, doubled quotes, stray quotes, CRLF.
std::string tricky_csv(std::mt19937& random, std::size_t rows);

}  // namespace penstock::io::test
