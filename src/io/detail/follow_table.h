#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/detail/follow_file.h"
#include "io/detail/follow_places.h"

namespace penstock::io::detail {

/// The numbers by which the system knows a file.
struct FileKey {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  bool operator==(const FileKey&) const = default;
};
struct FileKeyHash {
  std::size_t operator()(const FileKey& key) const noexcept {
    return std::hash<std::uint64_t>()(key.inode * 0x9e3779b97f4a7c15ULL ^ key.device);
  }
};

/// All files that are known, by number, by inode, by name and by what they have in common; which of them are open; and
/// which of them are to be read next. One thread, except snapshot(), all() and lag().
class FollowTable {
 public:
  explicit FollowTable(const FollowOptions& options);

  std::mutex& mutex() noexcept { return mutex_; }
  [[nodiscard]] FollowClock::time_point now() const { return options_.clock ? options_.clock() : FollowClock::now(); }
  void tell(FollowCode code, const Tracked* file, const std::string& path, std::uint64_t bytes,
            const std::string& text) const;

  /// The number for a new file.
  [[nodiscard]] std::uint32_t next_id() const noexcept { return static_cast<std::uint32_t>(files_.size()); }
  Tracked& add(FollowedFile info, FileState state);
  /// Its content lies there now: a new name, or another file. Closes it if it is another file.
  void put(Tracked& file, const FoundFile& where);
  /// Its content is not in its inode any more.
  void unbind(Tracked& file);
  /// The information that others may copy is changed by `change`.
  template <class Change>
  void update(Tracked& file, Change change) {
    const std::lock_guard lock(mutex_);
    change(file.info);
  }

  Tracked* by_id(std::uint32_t id) const noexcept { return id < files_.size() ? files_[id].get() : nullptr; }
  Tracked* by_key(FileKey key) const;
  /// The file that had this name last, also if the name was the target of a link.
  Tracked* by_path(const std::string& path) const;
  /// The newest generation of a place; null: none yet.
  Tracked* newest(const std::string& place) const;
  /// Makes it the newest of its place, also if others were found later.
  void set_newest(Tracked& file) { newest_[file.info.place] = &file; }
  /// Files whose names have the same base.
  const std::vector<Tracked*>& relatives(std::string_view name) const;
  /// Files that are followed or leaving. May grow while it is walked.
  std::vector<Tracked*>& live() noexcept { return live_; }
  [[nodiscard]] std::size_t live_count() const noexcept { return live_.size(); }
  [[nodiscard]] bool any_leaving() const noexcept;
  void compact_live();

  /// Makes file.fd valid. 0, or the error; ESTALE: another file has its name now.
  int open(Tracked& file);
  void close(Tracked& file);
  /// Everything of it has been handed out, or never will be: lets the next generation begin.
  void finish(Tracked& file);
  /// Takes a finished file up again.
  void revive(Tracked& file, FileState state);

  /// `newer` begins when `older` is at its end.
  void chain(Tracked& older, Tracked& newer);
  void release_newer(Tracked& file);

  void queue(Tracked& file);
  Tracked* next_queued();
  void note(Tracked& file);
  std::vector<Tracked*> take_noted() { return std::exchange(noted_, {}); }

  FollowedFile snapshot(std::uint32_t id) const;
  std::vector<FollowedFile> all() const;
  std::vector<FollowLag> lag() const;

 private:
  void index_names(Tracked& file);
  void close_oldest();

  const FollowOptions& options_;
  mutable std::mutex mutex_;                     ///< guards files_ and all Tracked::info
  std::vector<std::unique_ptr<Tracked>> files_;  ///< by id; gaps are null
  std::unordered_map<FileKey, Tracked*, FileKeyHash> keys_;
  std::unordered_map<std::string, Tracked*> paths_;
  std::unordered_map<std::string, Tracked*> newest_;
  std::unordered_map<std::string, std::vector<Tracked*>> relatives_;
  std::vector<Tracked*> live_;
  std::list<Tracked*> open_;  ///< used last in front
  std::deque<Tracked*> queue_;
  std::vector<Tracked*> noted_;
};

}  // namespace penstock::io::detail
