#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace penstock::io {

/// One source that the user named, or that a pattern or a directory led to. Not opened yet.
struct Input {
  std::string name;            ///< for messages: the path as the user would write it, or "standard input"
  std::filesystem::path path;  ///< empty for standard input
  bool standard_input = false;
  std::uint64_t size = 0;  ///< bytes in the file as it lies on disk; 0: unknown (or empty)
};

/// Expands SOURCE arguments in their order: a path; a pattern (`*`, `?`, `[…]`, `{a,b}`, a leading `~`; matches sorted
/// by bytes), unless a file has just this name; a directory (its regular files, recursively, sorted, without hidden
/// ones; links are followed, loops are not); `-` for standard input. A file that is named twice comes once.
/// A file that exists but cannot be read is no error here: opening it is, and the others can still be loaded.
/// Throws Error(Errc::config) for a missing file, a pattern without a match and a directory without a file.
std::vector<Input> expand_inputs(std::span<const std::string> sources);

}  // namespace penstock::io
