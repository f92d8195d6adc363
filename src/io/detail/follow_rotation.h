#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "io/detail/follow_identity.h"
#include "io/detail/follow_places.h"
#include "io/detail/follow_table.h"

namespace penstock::io::detail {

/// Decides which content is which: after each look at the sources, and when a file turns out to hold something else.
/// One thread.
class FollowRotation {
 public:
  FollowRotation(const FollowOptions& options, FollowTable& table);

  /// Looks at all sources; takes up what is new, finds again what has moved. The directories to watch are left in
  /// directories(). False: something will not be told of by watches.
  bool scan();
  [[nodiscard]] const std::unordered_set<std::string>& directories() const noexcept { return directories_; }
  /// True when scan() is to be called again within a poll, though nothing tells of a change.
  [[nodiscard]] bool unsettled() const noexcept { return recheck_; }
  [[nodiscard]] bool concerns(const std::string& path) const;

  /// Looks at size and time of a file; queues it if there is something to read.
  void look(Tracked& file);
  /// What was read is not there any more: looks for a copy, and begins anew with what is there now.
  void content_changed(Tracked& file);
  /// Its name leads to it no longer: looks for where it went.
  void name_lost(Tracked& file);
  /// Once a trouble; an empty `why`: it is over.
  void tell_trouble(Tracked& file, const std::string& why);

 private:
  /// A file whose content is that of a known one; not read.
  struct Copy {
    Tracked* of = nullptr;
    FoundFile where;
    bool of_source = false;  ///< its name is one that the sources lead to
    bool waits = false;      ///< being written as it seems: what it holds is not clear yet
    FollowClock::time_point checked;
  };
  /// A compressed file that seems to be made at this moment, as it was when it changed last.
  struct Waiting {
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    FollowClock::time_point since;
  };
  enum class Known : std::uint8_t { no, yes };

  void meet(FoundFile& file, std::vector<FoundFile>& fresh);
  bool is_known(const FoundFile& where, Tracked& file);
  bool may_be_reused(const Tracked& file);
  bool is_other(const FoundFile& where, Tracked& file);
  bool meet_finished(Tracked& file, const FoundFile& where);
  void meet_lost(std::vector<FoundFile>& fresh);
  void settle_names();
  void settle_copies(std::vector<FoundFile>& fresh);
  void take_fresh(std::vector<FoundFile>& fresh);
  void resume(Tracked& file, const FoundFile& where);
  Tracked& begin(const FoundFile& where, const std::string& place, std::int64_t not_before = 0);
  void skip_to_end(Tracked& file);
  void begin_place(const FoundFile& where, const std::vector<FoundFile>& fresh);
  void take_siblings();
  bool directory_changed(const std::string& directory);
  std::vector<FoundFile> missed_generations(const FoundFile& where, const Tracked* before);
  std::vector<FoundFile> siblings(const std::string& path, const std::string& real, bool rotated_only);

  void note_start();
  void chain_resumed();
  Tracked* begin_missed(const FoundFile& missed, const std::string& place, Tracked* before,
                        const std::vector<FoundFile>& fresh);
  void take_missing(const std::vector<std::string>& missing);
  void give_up_search(Tracked& file);

  void note_head(Tracked& file);
  void check_intact(Tracked& file);
  Tracked* holder_of(const FoundFile& where);
  bool is_copy(const FoundFile& where);
  bool find_by_inode(Tracked& file);
  bool find_by_content(Tracked& file);
  void adopt(Tracked& file, const FoundFile& copy, bool compressed);
  Known known_content(const FoundFile& where, bool of_source);
  Known recognised(const FoundFile& where, Tracked& file, Match match, bool compressed, bool of_source);
  bool wait_for(const FoundFile& where, bool of_source);
  void keep_copy(const FoundFile& where, Tracked* of, bool of_source, bool waits);
  Match compare_with(const FoundFile& where, Tracked& file, bool& compressed);
  Match compare_live(const FoundFile& where, Tracked& file);

  const FollowOptions& options_;
  FollowTable& table_;
  FollowPlaces places_;
  Listings listings_;
  bool first_ = true;
  bool recheck_ = false;  ///< a copy is to be looked at again soon
  std::vector<Tracked*> lost_;
  std::unordered_set<std::string> directories_;
  std::unordered_map<FileKey, Copy, FileKeyHash> copies_;
  std::unordered_map<FileKey, Waiting, FileKeyHash> waiting_;
  /// Rotated files beside a place that were there before its first generation: their time of change.
  std::unordered_map<FileKey, std::int64_t, FileKeyHash> before_;
  std::unordered_map<std::string, std::int64_t> newest_before_;  ///< of them, by place
  /// Rotated files in the directories of the sources at the first look: their time of change.
  std::unordered_map<FileKey, std::int64_t, FileKeyHash> at_start_;
  /// By place: generations from this time on may hold what was not found again, though newer ones are known.
  std::unordered_map<std::string, std::int64_t> floors_;
  struct Looked {
    std::int64_t mtime_ns = 0;
    std::int64_t time_ns = 0;  ///< of the look, by the same clock
    bool fresh = false;        ///< looked at in this scan, and changed
    std::uint64_t scan = 0;
  };
  std::unordered_map<std::string, Looked> looked_;  ///< directories, when their files' siblings were looked at
  std::uint64_t scans_ = 0;
  std::unordered_map<std::string, int> troubles_;        ///< told, by path
  std::vector<std::pair<Tracked*, FoundFile>> renamed_;  ///< in a scan
  std::vector<Tracked*> orphans_;                        ///< in a scan: without an inode
  std::unordered_set<const Tracked*> seen_;              ///< in a scan: under their own name
};

}  // namespace penstock::io::detail
