#include "io/detail/follow_rotation.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "io/detail/follow_names.h"

namespace penstock::io::detail {
namespace {

std::string in_quotes(const std::string& name) { return std::string("'").append(printable(name, 400)).append("'"); }

std::string trouble_text(int error) {
  switch (error) {
    case EISDIR: return "it is no regular file";
    case EACCES:
    case EPERM: return errno_text(error) + "; check its owner and mode, and those of the directories above it";
    default: return errno_text(error);
  }
}

FileKey key_of(const FoundFile& file) { return {file.device, file.inode}; }
FileKey key_of(const Tracked& file) { return {file.info.device, file.info.inode}; }

}  // namespace

FollowRotation::FollowRotation(const FollowOptions& options, FollowTable& table)
    : options_(options), table_(table), places_(options.sources) {
  for (const FollowedFile& known : options_.known) {
    FollowedFile info = known;
    if (info.place.empty()) info.place = info.path;
    Tracked& file = table_.add(std::move(info), known.finished ? FileState::finished : FileState::lost);
    file.seen_mtime = known.mtime_ns;
    file.read_mtime = known.mtime_ns;
    if (!known.finished) lost_.push_back(&file);
  }
  // Those that were given up before anything was read of them may still turn up.
  for (const FollowedFile& known : options_.known) {
    if (known.finished && known.offset == 0 && !known.compressed) give_up_search(*table_.by_id(known.id));
  }
}

bool FollowRotation::concerns(const std::string& path) const {
  if (table_.by_path(path) != nullptr || places_.concerns(path)) return true;
  return std::any_of(copies_.begin(), copies_.end(), [&](const auto& copy) { return copy.second.where.path == path; });
}

void FollowRotation::tell_trouble(Tracked& file, const std::string& why) {
  if (why == file.trouble) return;
  file.trouble = why;
  if (why.empty()) {
    table_.tell(FollowCode::readable, &file, file.info.path, 0, in_quotes(file.info.path) + " can be read again");
  } else {
    table_.tell(FollowCode::unreadable, &file, file.info.path, 0,
                "cannot read " + in_quotes(file.info.path) + ": " + why + " (tried again)");
  }
}

bool FollowRotation::scan() {
  listings_.forget();
  recheck_ = false;
  ++scans_;
  renamed_.clear();
  seen_.clear();
  FollowPlaces::Scan found = places_.scan(listings_);
  directories_ = std::move(found.directories);
  std::vector<FoundFile> fresh;
  std::unordered_map<std::string, int> troubles;
  for (const FollowPlaces::Trouble& trouble : found.troubles) troubles[trouble.path] = trouble.error;
  for (FoundFile& file : found.files) {
    Tracked* known = table_.by_key(key_of(file));
    if (known != nullptr && known->state == FileState::following && known->info.path == file.path &&
        !may_be_reused(*known)) {
      seen_.insert(known);
      continue;
    }
    const int error = file.exact ? 0 : look_at(file);
    if (error == 0) {
      meet(file, fresh);
    } else if (error != ENOENT) {
      troubles[file.path] = error;
    }
  }
  for (const auto& [path, error] : troubles) {
    if (const auto told = troubles_.find(path); told != troubles_.end() && told->second == error) continue;
    table_.tell(FollowCode::unreadable, table_.by_path(path), path, 0,
                "cannot look at " + in_quotes(path) + ": " + trouble_text(error) + " (tried again)");
  }
  for (const auto& [path, error] : troubles_) {
    if (troubles.contains(path)) continue;
    table_.tell(FollowCode::readable, table_.by_path(path), path, 0, in_quotes(path) + " can be looked at again");
  }
  troubles_ = std::move(troubles);
  settle_names();
  meet_lost(fresh);
  settle_copies(fresh);
  take_fresh(fresh);
  take_siblings();
  take_missing(found.missing);
  if (first_) {
    note_start();
    chain_resumed();
  }
  table_.compact_live();
  first_ = false;
  return found.complete && lost_.empty();
}

void FollowRotation::meet(FoundFile& file, std::vector<FoundFile>& fresh) {
  if (const auto copy = copies_.find(key_of(file)); copy != copies_.end()) {
    copy->second.where.path = file.path;  // settle_copies() looks whether it has changed
    return;
  }
  Tracked* known = table_.by_key(key_of(file));
  if (known == nullptr) {
    fresh.push_back(std::move(file));
    return;
  }
  switch (known->state) {
    case FileState::lost: {
      if (is_known(file, *known)) {
        resume(*known, file);
        seen_.insert(known);
      } else {  // its inode serves another file now
        table_.unbind(*known);
        fresh.push_back(std::move(file));
      }
      return;
    }
    case FileState::finished:
      if (!meet_finished(*known, file)) {
        table_.unbind(*known);
        fresh.push_back(std::move(file));
      }
      return;
    case FileState::following:
    case FileState::leaving:
      if (known->info.path == file.path && !may_be_reused(*known)) {
        seen_.insert(known);
      } else if (known->fd.get() < 0 && is_other(file, *known)) {  // its inode serves another file now
        table_.unbind(*known);
        orphans_.push_back(known);
        fresh.push_back(std::move(file));
      } else if (known->info.path == file.path) {
        seen_.insert(known);
      } else {
        renamed_.emplace_back(known, std::move(file));
      }
  }
}

/// Whether a file with the inode of a known one is that one. One that was empty then may hold anything
/// now: under another name it is taken for a new one, which is read from its start, too.
bool FollowRotation::is_known(const FoundFile& where, Tracked& file) {
  if (file.info.head_bytes == 0) return file.info.offset == 0 && where.path == file.info.path && !file.rotated;
  bool compressed = false;
  return compare_with(where, file, compressed) == Match::same && (compressed || where.size >= file.info.offset);
}

/// A rotated file may have been removed and its name and inode given to the next one. (The same of a name that does not
/// rotate is seen when it is read.)
bool FollowRotation::may_be_reused(const Tracked& file) {
  return file.rotated && file.fd.get() < 0 && directory_changed(std::string(directory_of(file.info.path)));
}

bool FollowRotation::is_other(const FoundFile& where, Tracked& file) {
  if (where.size < std::max(file.info.offset, file.info.head_bytes) && !file.info.compressed) return true;
  if (file.info.head_bytes == 0) return where.path != file.info.path || file.rotated;  // nothing is lost with it
  bool compressed = false;
  return compare_with(where, file, compressed) == Match::other;
}

bool FollowRotation::meet_finished(Tracked& file, const FoundFile& where) {
  if (where.size != file.info.size || where.mtime_ns != file.seen_mtime) {
    bool compressed = false;
    const Match match = compare_with(where, file, compressed);
    if (match != Match::same) return match == Match::unclear;
    const bool grown = !compressed && where.size > file.info.offset;
    table_.put(file, where);
    table_.update(file, [&](FollowedFile& info) { info.compressed = compressed; });
    if (grown) table_.revive(file, FileState::following);
  } else if (file.info.path != where.path) {
    FoundFile old;
    old.path = file.info.path;
    if (look_at(old) == 0 && key_of(old) == key_of(where)) return true;  // another name of it
    table_.put(file, where);
    table_.tell(FollowCode::moved, &file, where.path, 0,
                in_quotes(old.path) + ", read to its end, is now " + in_quotes(where.path));
  }
  return true;
}

/// Files that have another name now, and files whose name is gone.
void FollowRotation::settle_names() {
  for (auto& [file, where] : renamed_) {
    if (!seen_.insert(file).second) continue;  // a further name of it
    if (file->state == FileState::leaving && !file->nameless) {
      FoundFile old;
      old.path = file->info.path;
      if (look_at(old) == 0 && key_of(old) == key_of(*file)) continue;
    }
    const std::string old = file->info.path;
    table_.put(*file, where);
    note_head(*file);
    if (file->state == FileState::following) file->grown = table_.now();
    file->state = FileState::leaving;
    table_.queue(*file);
    table_.tell(FollowCode::moved, file, where.path, 0, in_quotes(old) + " is now " + in_quotes(where.path));
  }
  for (Tracked* file : std::exchange(orphans_, {})) name_lost(*file);
  const std::vector<Tracked*> live = table_.live();
  for (Tracked* file : live) {
    if (file->state != FileState::following || seen_.contains(file)) continue;
    FoundFile named;
    named.path = file->info.path;
    const int error = look_at(named);
    if (error == 0 && key_of(named) == key_of(*file)) continue;
    if (error != 0 && error != ENOENT && error != ENOTDIR && error != EISDIR) continue;  // told by the scan
    name_lost(*file);
  }
}

/// Known files that were not found under their inode.
void FollowRotation::meet_lost(std::vector<FoundFile>& fresh) {
  for (Tracked* file : std::exchange(lost_, {})) {
    if (file->state != FileState::lost) continue;
    const FollowedFile known = file->info;
    const int error = listings_.of(std::string(directory_of(known.path))).error;
    if (error != 0 && error != ENOENT && error != ENOTDIR) {
      lost_.push_back(file);  // its directory can perhaps be read later
      continue;
    }
    // By inode beside its old name, then by content: of what the sources lead to, then of what lies beside its name.
    if (find_by_inode(*file)) continue;
    const auto again = std::find_if(fresh.begin(), fresh.end(), [&](const FoundFile& where) {
      bool compressed = false;
      return rotation_base(name_of(where.path)) == rotation_base(name_of(known.path)) &&
             compare_with(where, *file, compressed) == Match::same && (compressed || where.size >= known.offset);
    });
    if (again != fresh.end()) {
      resume(*file, *again);
      fresh.erase(again);
      continue;
    }
    if (find_by_content(*file)) continue;
    const std::uint64_t lost = known.compressed ? known.size : known.size - std::min(known.size, known.offset);
    if (lost > 0 && !is_weak(known)) {
      table_.tell(FollowCode::vanished, file, known.path, lost,
                  in_quotes(known.path) + " is gone, and no copy of it was found; it was read up to byte " +
                      std::to_string(known.offset) + " and had " + std::to_string(known.size));
    }
    give_up_search(*file);
  }
}

/// Copies that have changed are compared again; one that is no copy any more is a file of its own.
void FollowRotation::settle_copies(std::vector<FoundFile>& fresh) {
  for (auto place = copies_.begin(); place != copies_.end();) {
    Copy& copy = place->second;
    FoundFile now;
    now.path = copy.where.path;
    if (look_at(now) != 0 || key_of(now) != place->first) {
      place = copies_.erase(place);
      continue;
    }
    const bool changed = now.size != copy.where.size || now.mtime_ns != copy.where.mtime_ns;
    const bool overdue = copy.waits && table_.now() >= copy.checked + options_.finish_after;
    FoundFile source;
    source.path = now.path.substr(0, now.path.rfind('.'));
    const bool made = copy.waits && look_at(source) != 0;  // what it was made of is gone: it is done
    if (!changed && !overdue && !made) {
      recheck_ |= copy.waits;
      ++place;
      continue;
    }
    if (!made && table_.now() < copy.checked + options_.poll) {
      recheck_ = true;
      ++place;
      continue;
    }
    if (copy.of_source) fresh.push_back(std::move(now));
    place = copies_.erase(place);
  }
}

void FollowRotation::take_fresh(std::vector<FoundFile>& fresh) {
  std::vector<std::tuple<std::string, bool, std::int64_t, std::size_t>> order;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    const std::string base = rotation_group(fresh[i].path);
    order.emplace_back(base, fresh[i].path == base, fresh[i].mtime_ns, i);
  }
  std::sort(order.begin(), order.end());
  for (const auto& [base, is_base, time, i] : order) {
    if (is_base) continue;
    const std::vector<Tracked*> related = table_.relatives(name_of(base));
    for (Tracked* file : related) check_intact(*file);
  }
  std::string group;
  Tracked* older = nullptr;
  for (const auto& [base, is_base, time, i] : order) {
    const FoundFile& where = fresh[i];
    if (base != group) older = nullptr;
    group = base;
    if (table_.by_key(key_of(where)) != nullptr) continue;  // found meanwhile to be what an older one was
    if (known_content(where, true) == Known::yes) continue;
    begin_place(where, fresh);
    Tracked* file = table_.by_key(key_of(where));
    if (older != nullptr && file != nullptr) table_.chain(*older, *file);
    older = file;
  }
}

}  // namespace penstock::io::detail
