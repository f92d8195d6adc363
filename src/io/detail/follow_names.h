#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::io::detail {

std::string_view directory_of(
    std::string_view path) noexcept;  ///< without the slash, but "/" stays; "" for a bare name
std::string_view name_of(std::string_view path) noexcept;
std::string join_path(std::string_view directory, std::string_view name);

/// The name that a rotated file had once: without .gz, .zst, .lz4 … and without what rotation appends (`.1`,
/// `-20261122`, `.2026-11-22_13`, `.old`), which may also stand before the last extension (`app-20261122.log`).
/// The name itself when nothing is to be taken off.
std::string rotation_base(std::string_view name);
/// rotation_base() of the name, in its directory: what generations of one log have in common.
std::string rotation_group(std::string_view path);

/// True when `name` is `base` with something that looks like a rotation behind it: `.` or `-` or `_`, digits, a
/// compression.
bool is_rotated_name(std::string_view base, std::string_view name);
/// Of two rotated names of one log, whether the first is the older generation: `.2` is older than `.1`, but
/// `-20261121` than `-20261122`.
bool is_older_name(std::string_view a, std::string_view b);
/// True when `name` goes on behind `base` with '.' or '-': perhaps a copy of it.
bool is_longer_name(std::string_view base, std::string_view name) noexcept;

/// `{a,b}` written out, nested ones too; a pattern without them comes back as it is.
std::vector<std::string> expand_braces(const std::string& pattern);

}  // namespace penstock::io::detail
