#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "io/detail/raw_file.h"

namespace penstock::io::detail {

/// Waits for something to happen in directories: inotify, or only the clock where there is none. One thread, except
/// wake().
class FollowWatch {
 public:
  explicit FollowWatch(bool use_inotify);

  /// Watches a directory (again, should another one have its name now). False: not watched; failure() may say why.
  bool add(const std::string& directory);
  /// Gives up the watches of directories that are not in `wanted`.
  void keep(const std::unordered_set<std::string>& wanted);
  /// Why there is no inotify (any more); empty while there is.
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

  struct Notices {
    std::vector<std::string> changed;  ///< paths of files with new content
    std::vector<std::string> entries;  ///< paths that came or went
    bool everything = false;           ///< notices were lost: look at all
  };
  /// Takes what has come since the last call, without waiting; appends.
  void drain(Notices& out);
  /// Until there are notices, a wake(), a stop, or the deadline.
  void wait(const std::stop_token& stop, std::optional<std::chrono::milliseconds> most);
  /// Any thread; also from a signal handler.
  void wake() noexcept;

 private:
  Descriptor inotify_;
  Descriptor wake_;
  std::string failure_;
  std::unordered_map<int, std::string> directories_;
  std::unordered_map<std::string, int> watches_;
};

}  // namespace penstock::io::detail
