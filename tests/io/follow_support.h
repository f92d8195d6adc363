#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/follow.h"
#include "io/support.h"

namespace penstock::io::test {

/// A follower in a directory of its own, with a clock that moves when it is told to.
class Following {
 public:
  Following();

  [[nodiscard]] std::string path(std::string_view name) const { return directory.path(name); }
  void append(std::string_view name, std::string_view text) const;
  void write(std::string_view name, std::string_view text) const { directory.write(name, text); }
  void rename(std::string_view from, std::string_view to) const;
  void copy(std::string_view from, std::string_view to) const;
  void remove(std::string_view name) const;
  void truncate(std::string_view name, std::size_t bytes = 0) const;

  [[nodiscard]] std::string slurp(std::string_view name) const;
  /// Gives a file the time of change `file_time_ns`; append(), copy() and truncate() do so by themselves.
  void stamp(std::string_view name) const;

  /// (Re)starts it; sources are relative to the directory.
  void start(const std::vector<std::string>& sources);
  /// As after a crash: what was handed out is settled, and known to the new one.
  void restart(const std::vector<std::string>& sources);
  /// Lets it look at everything and takes all there is.
  void look();
  /// Lets time pass, then looks.
  void pass(std::chrono::milliseconds time);
  /// Looks until files without a name are at their end.
  void finish();

  /// All that was handed out since the last call, in order, as "text" (of all files).
  std::string take();
  /// The codes of the events since the last call, joined by blanks.
  std::string events();

  TemporaryDirectory directory;
  std::int64_t file_time_ns = 0;  ///< what time it is for files; 0: leave that to the system
  FollowOptions options;
  std::unique_ptr<Follower> follower;
  std::map<std::uint32_t, std::string> texts;  ///< by file, of this run of the follower and those before
  std::string all;
  std::vector<FollowEvent> told;
  std::uint64_t next_seq = 0;
  std::size_t oversized = 0;        ///< bytes in pieces of records that were too long
  std::vector<std::string> faults;  ///< of what must hold for all chunks

  /// What happens, to standard error, if PENSTOCK_FOLLOW_TRACE is set.
  static void trace(const std::string& text);

 private:
  FollowOptions made(const std::vector<std::string>& sources);
  std::chrono::steady_clock::time_point now_;
};

}  // namespace penstock::io::test
