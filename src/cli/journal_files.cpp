#include "cli/journal_files.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "io/identity.h"

namespace penstock::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExtension = ".journal";
constexpr std::size_t kLongestStem = 60;
constexpr const char* kAdvice = "name another place with --journal FILE, or go without with --no-journal";

// Of the first source: letters, digits and a few signs that no shell and no file system minds.
std::string readable_stem(std::span<const std::string> sources) {
  std::string stem;
  if (!sources.empty()) {
    auto path = fs::path(sources.front());
    if (path.filename().empty()) path = path.parent_path();
    stem = sources.front() == "-" ? "stdin" : path.stem().string();
  }
  std::string out;
  for (const char c : stem) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                       c == '-' || (c == '.' && !out.empty());
    if (plain && out.size() < kLongestStem) out += c;
  }
  return out.empty() ? "load" : out;
}

}  // namespace

fs::path state_directory() {
  const auto* const state = std::getenv("XDG_STATE_HOME");
  // The specification: a relative path is to be ignored.
  if (state != nullptr && *state == '/') return fs::path(state) / "penstock";
  const auto* const home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return fs::path(home) / ".local" / "state" / "penstock";
  throw Error(Errc::config, fmt::format("neither XDG_STATE_HOME nor HOME says where journals go: {}", kAdvice));
}

void prepare_state_directory(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (error)
    throw Error(Errc::io, fmt::format("cannot make the folder '{}' for journals: {}: {}", folder.parent_path().string(),
                                      error.message(), kAdvice));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw Error(Errc::io, fmt::format("cannot make the folder '{}' for journals: {}: {}", folder.string(),
                                      errno_text(errno), kAdvice));
  const auto refuse = [&](const std::string& why) {
    throw Error(Errc::config, fmt::format("the folder '{}' for journals {}: {}", folder.string(), why, kAdvice));
  };
  struct stat link {};
  struct stat target {};
  if (::lstat(folder.c_str(), &link) != 0 || ::stat(folder.c_str(), &target) != 0)
    refuse("cannot be looked at: " + errno_text(errno));
  // A link of one's own (to another disk) is fine.
  if (link.st_uid != ::geteuid())
    refuse(fmt::format("is {} of another user's (id {})", S_ISLNK(link.st_mode) ? "a link" : "a folder", link.st_uid));
  if (!S_ISDIR(target.st_mode)) refuse("is no folder");
  if (target.st_uid != ::geteuid()) refuse(fmt::format("leads to a folder of another user's (id {})", target.st_uid));
  if ((target.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    refuse(fmt::format("may be written by others (chmod 700 {} mends it)", folder.string()));
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    throw Error(Errc::io, fmt::format("cannot write to the folder '{}' for journals: {}: {}", folder.string(),
                                      errno_text(errno), kAdvice));
}

fs::path default_journal(std::string_view kind, std::span<const std::string> sources, const std::string& target) {
  std::string all(kind);
  all += '\0';
  all += target;
  for (const auto& source : sources) {
    all += '\0';
    // A link that leads elsewhere later is found by what it leads to then; the name stays that of the link.
    std::error_code ignored;
    all += source == "-" ? source : fs::absolute(source, ignored).lexically_normal().string();
  }
  return state_directory() /
         fmt::format("{}-{}{}", readable_stem(sources), io::hash_hex(all).substr(0, 16), kExtension);
}

std::vector<fs::path> journals_in(const fs::path& folder) {
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    std::error_code ignored;
    if (entry.path().extension() != kExtension || !entry.is_regular_file(ignored)) continue;
    found.emplace_back(entry.last_write_time(ignored), entry.path());
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return std::pair(b.first, a.second) < std::pair(a.first, b.second); });
  std::vector<fs::path> paths;
  for (auto& [time, path] : found) paths.push_back(std::move(path));
  return paths;
}

}  // namespace penstock::cli
