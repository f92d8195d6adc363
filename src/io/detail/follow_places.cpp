#include "io/detail/follow_places.h"

#include <dirent.h>
#include <fnmatch.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "io/detail/follow_names.h"

namespace penstock::io::detail {
namespace {

bool is_pattern(const std::string& text) { return text.find_first_of("*?[{~") != std::string::npos; }

std::string absolute(std::string path) {
  while (path.starts_with("./")) path.erase(0, path.find_first_not_of('/', 2) == std::string::npos ? 1 : 2);
  if (path.starts_with('/') || path.starts_with('~')) return path;
  std::error_code failure;
  const std::string here = std::filesystem::current_path(failure).string();
  return failure ? path : join_path(here, path);
}

/// Names that a pattern matches, in the file system. Unreadable directories are told to `troubles`.
std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t matches{};
  ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_TILDE, nullptr, &matches);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < matches.gl_pathc; ++i) names.emplace_back(matches.gl_pathv[i]);
  ::globfree(&matches);
  return names;
}

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real == nullptr ? std::string() : std::string(real.get());
}

}  // namespace

int look_at(FoundFile& file) {
  struct stat status {};
  if (::stat(file.path.c_str(), &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EISDIR;
  file.device = status.st_dev;
  file.inode = status.st_ino;
  file.size = static_cast<std::uint64_t>(status.st_size);
  file.mtime_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  file.exact = true;
  return 0;
}

const Listings::Directory& Listings::of(const std::string& directory) {
  const auto [place, fresh] = directories_.try_emplace(directory);
  Directory& listed = place->second;
  if (!fresh) return listed;
  const char* name = directory.empty() ? "." : directory.c_str();
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(name), &::closedir);
  if (stream == nullptr) {
    listed.error = errno;
    return listed;
  }
  struct stat status {};
  if (::fstat(::dirfd(stream.get()), &status) == 0) listed.device = status.st_dev;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (entry->d_name[0] != '.') listed.entries.push_back({entry->d_name, entry->d_ino, entry->d_type});
  }
  std::sort(listed.entries.begin(), listed.entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return listed;
}

std::vector<const Listings::Entry*> Listings::starting_with(const std::string& directory, std::string_view prefix) {
  const Directory& listed = of(directory);
  auto entry = std::lower_bound(listed.entries.begin(), listed.entries.end(), prefix,
                                [](const Entry& a, std::string_view text) { return a.name < text; });
  std::vector<const Entry*> found;
  for (; entry != listed.entries.end() && entry->name.starts_with(prefix); ++entry) found.push_back(&*entry);
  return found;
}

FollowPlaces::FollowPlaces(const std::vector<std::string>& sources) {
  for (const std::string& source : sources) {
    if (source.empty()) throw Error(Errc::config, "a source is empty; give a file, a pattern or a directory");
    if (source == "-") {
      throw Error(Errc::config,
                  "standard input cannot be followed; give a file, a pattern or a directory, or use load");
    }
    Source one{absolute(source), {}};
    if (is_pattern(one.path)) one.patterns = expand_braces(one.path);
    while (one.path.size() > 1 && one.path.ends_with('/')) one.path.pop_back();
    sources_.push_back(std::move(one));
  }
}

FollowPlaces::Scan FollowPlaces::scan(Listings& listings) {
  Scan scan;
  seen_.clear();
  for (const Source& source : sources_) {
    struct stat status {};
    if (source.patterns.empty() || ::stat(source.path.c_str(), &status) == 0) {
      add_path(source.path, scan, listings, true);
    } else {
      for (const std::string& pattern : source.patterns) add_pattern(pattern, scan, listings);
    }
  }
  return scan;
}

void FollowPlaces::add_path(const std::string& path, Scan& scan, Listings& listings, bool named) {
  FoundFile file;
  file.path = path;
  scan.directories.emplace(directory_of(path));
  const int error = look_at(file);
  if (error == EISDIR) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
      if (!named) return;  // a pattern means files
      recurse_ = true;
      add_directory(path, scan, listings);
      recurse_ = false;
      return;
    }
    if (named) scan.troubles.push_back({path, EISDIR});
    return;
  }
  struct stat link {};
  const bool linked = ::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode);
  if (linked) {
    file.real = real_path(path);
    if (!file.real.empty()) scan.directories.emplace(directory_of(file.real));
  }
  if (error != 0) {
    if (error != ENOENT && error != ENOTDIR) {
      scan.troubles.push_back({path, error});
      scan.complete = false;  // rights that change may be those of a directory further up
    } else if (linked) {
      scan.complete = false;
    } else if (named) {
      scan.missing.push_back(path);
    }
    return;
  }
  add_found(std::move(file), scan);
}

void FollowPlaces::add_pattern(const std::string& pattern, Scan& scan, Listings& listings) {
  const std::string parent(directory_of(pattern));
  const std::string name(name_of(pattern));
  std::vector<std::string> directories{parent};
  if (is_pattern(parent)) {
    directories = matches_of(parent);
    for (std::string above(directory_of(parent)); is_pattern(above); above = directory_of(above)) {
      for (const std::string& directory : matches_of(above)) scan.directories.insert(directory);
    }
    std::string fixed = parent;
    while (is_pattern(fixed)) fixed = directory_of(fixed);
    scan.directories.insert(fixed);
  }
  for (const std::string& directory : directories) {
    scan.directories.insert(directory);
    const Listings::Directory& listed = listings.of(directory);
    if (listed.error != 0) {
      if (listed.error != ENOENT && listed.error != ENOTDIR) scan.troubles.push_back({directory, listed.error});
      scan.complete = false;
      continue;
    }
    for (const Listings::Entry& entry : listed.entries) {
      if (::fnmatch(name.c_str(), entry.name.c_str(), FNM_PERIOD) == 0) {
        add_entry(directory, listed, entry, scan, listings);
      }
    }
  }
}

void FollowPlaces::add_directory(const std::string& path, Scan& scan, Listings& listings) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return;
  const std::pair<std::uint64_t, std::uint64_t> self{status.st_dev, status.st_ino};
  if (std::find(above_.begin(), above_.end(), self) != above_.end()) return;  // a link back up
  scan.directories.insert(path);
  const Listings::Directory& listed = listings.of(path);
  if (listed.error != 0) {
    scan.troubles.push_back({path, listed.error});
    scan.complete = false;
    return;
  }
  above_.push_back(self);
  for (std::size_t i = 0; i < listed.entries.size(); ++i) add_entry(path, listed, listed.entries[i], scan, listings);
  above_.pop_back();
}

void FollowPlaces::add_entry(const std::string& directory, const Listings::Directory& listed,
                             const Listings::Entry& entry, Scan& scan, Listings& listings) {
  std::string path = join_path(directory, entry.name);
  if (entry.type == DT_REG) {
    FoundFile file;
    file.path = std::move(path);
    file.device = listed.device;
    file.inode = entry.inode;
    add_found(std::move(file), scan);
  } else if (entry.type == DT_LNK || entry.type == DT_UNKNOWN || entry.type == DT_DIR) {
    struct stat status {};
    if (entry.type != DT_DIR && ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) {
      add_path(path, scan, listings, false);
    } else if (recurse_ && (entry.type == DT_DIR || S_ISDIR(status.st_mode))) {
      add_directory(path, scan, listings);
    } else if (entry.type == DT_LNK && status.st_mode == 0) {
      scan.complete = false;  // leads nowhere yet; what it leads to may appear in a directory that is not watched
    }
  }
}

void FollowPlaces::add_found(FoundFile file, Scan& scan) {
  if (seen_.insert(file.path).second) scan.files.push_back(std::move(file));
}

bool FollowPlaces::concerns(const std::string& path) const {
  for (const Source& source : sources_) {
    if (path.starts_with(source.path)) return true;  // itself, or in it (or beside it with a longer name: a rotation)
    if (source.path.starts_with(path)) return true;  // a directory above it
    for (const std::string& pattern : source.patterns) {
      if (pattern.starts_with('~')) return true;
      const int depth = static_cast<int>(std::count(path.begin(), path.end(), '/'));
      if (std::count(pattern.begin(), pattern.end(), '/') != depth) return true;
      if (::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0) return true;
    }
  }
  return false;
}

}  // namespace penstock::io::detail
