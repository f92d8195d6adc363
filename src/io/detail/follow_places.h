#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace penstock::io::detail {

/// A regular file under a name that a source leads to.
struct FoundFile {
  std::string path;
  std::string real;  ///< where a symbolic link leads; empty: `path` is none
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;     ///< only if exact
  std::int64_t mtime_ns = 0;  ///< only if exact
  bool exact = false;         ///< from stat(); else from the listing, whose numbers some file systems make up
};

/// Fills in what stat() says. 0, or the error (ENOENT …; EISDIR: not a regular file).
int look_at(FoundFile& file);

/// What lies in directories, each listed once until forget().
class Listings {
 public:
  struct Entry {
    std::string name;
    std::uint64_t inode = 0;
    unsigned char type = 0;  ///< DT_…
  };
  struct Directory {
    std::vector<Entry> entries;  ///< sorted by name, without hidden ones
    std::uint64_t device = 0;
    int error = 0;
  };
  const Directory& of(const std::string& directory);
  /// The entries whose names start with `prefix`.
  std::vector<const Entry*> starting_with(const std::string& directory, std::string_view prefix);
  void forget() { directories_.clear(); }

 private:
  std::unordered_map<std::string, Directory> directories_;
};

/// Which files the sources mean at present. One thread.
class FollowPlaces {
 public:
  /// Throws Error(Errc::config) for an empty source and "-".
  explicit FollowPlaces(const std::vector<std::string>& sources);

  struct Trouble {
    std::string path;
    int error = 0;
  };
  struct Scan {
    std::vector<FoundFile> files;  ///< each path once
    std::vector<Trouble> troubles;
    std::vector<std::string> missing;             ///< sources that are no pattern and not there
    std::unordered_set<std::string> directories;  ///< to be watched
    bool complete = true;                         ///< false: something is missing that no watch will tell of
  };
  Scan scan(Listings& listings);

  /// False: a file of this name is certainly none of ours.
  [[nodiscard]] bool concerns(const std::string& path) const;

 private:
  struct Source {
    std::string path;
    std::vector<std::string> patterns;  ///< braces expanded; empty: no pattern
  };

  void add_path(const std::string& path, Scan& scan, Listings& listings, bool named);
  void add_pattern(const std::string& pattern, Scan& scan, Listings& listings);
  void add_directory(const std::string& path, Scan& scan, Listings& listings);
  void add_entry(const std::string& directory, const Listings::Directory& listed, const Listings::Entry& entry,
                 Scan& scan, Listings& listings);
  void add_found(FoundFile file, Scan& scan);

  std::vector<Source> sources_;
  std::unordered_set<std::string> seen_;                        ///< paths, in a scan
  std::vector<std::pair<std::uint64_t, std::uint64_t>> above_;  ///< directories that are being walked
  bool recurse_ = false;                                        ///< in a directory source
};

}  // namespace penstock::io::detail
