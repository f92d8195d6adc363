// The part of FollowRotation that compares content: copies, generations that were missed, truncation.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "io/detail/follow_names.h"
#include "io/detail/follow_rotation.h"

namespace penstock::io::detail {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::string in_quotes(const std::string& name) { return std::string("'").append(printable(name, 400)).append("'"); }
FileKey key_of(const FoundFile& file) { return {file.device, file.inode}; }
FileKey key_of(const Tracked& file) { return {file.info.device, file.info.inode}; }

bool has_compressed_name(std::string_view name) {
  return name.ends_with(".gz") || name.ends_with(".zst") || name.ends_with(".zstd") || name.ends_with(".lz4");
}

/// A file opened to be compared, if it is still the one that was found.
struct Opened {
  explicit Opened(const FoundFile& where) : fd(::open(where.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat status {};
    if (fd.get() < 0 || ::fstat(fd.get(), &status) != 0 || status.st_ino != where.inode) return;
    char first[8];
    const std::int64_t got = read_at(fd.get(), 0, first, sizeof first);
    if (got < 0) return;
    content = {fd.get(), where.path, static_cast<std::uint64_t>(status.st_size), false};
    try {
      content.compressed = is_compressed({first, static_cast<std::size_t>(got)}, where.path);
      good = true;
    } catch (const Error&) {  // xz, bzip2 …: told when it is read
    }
  }
  Descriptor fd;
  ContentFile content;
  bool good = false;
};

}  // namespace

Match FollowRotation::compare_with(const FoundFile& where, Tracked& file, bool& compressed) {
  const Opened opened(where);
  if (!opened.good) return Match::unclear;
  compressed = opened.content.compressed;
  return compare(opened.content, file.info);
}

/// Compares with a file that is still there as it was: a copy of it is no longer than it is, and ends as it does there.
Match FollowRotation::compare_live(const FoundFile& where, Tracked& file) {
  const Opened copy(where);
  if (!copy.good) return Match::unclear;
  // Nothing was in it yet when it was opened, so it is what it was.
  if (file.info.head_bytes == 0 && file.fd.get() >= 0) return compare_as_prefix(copy.content, file.fd.get());
  const bool open = !file.info.compressed && table_.open(file) == 0;
  if (!open || compare({file.fd.get(), file.info.path, file.info.size, false}, file.info) == Match::other) {
    if (is_weak(file.info)) return Match::other;
    const Match match = compare(copy.content, file.info);
    return match == Match::prefix && !copy.content.compressed ? Match::other : match;
  }
  return compare_as_prefix(copy.content, file.fd.get());
}

void FollowRotation::keep_copy(const FoundFile& where, Tracked* of, bool of_source, bool waits) {
  copies_[key_of(where)] = {of, where, of_source, waits, table_.now()};
  recheck_ |= waits;
}

FollowRotation::Known FollowRotation::known_content(const FoundFile& where, bool of_source) {
  const std::string name(name_of(where.path));
  if (rotation_base(name) == name) return Known::no;
  // What is compressed lies beside it until that is done.
  FoundFile source;
  source.path = where.path.substr(0, where.path.rfind('.'));
  const bool being_made = has_compressed_name(name) && look_at(source) == 0;
  if (being_made && wait_for(where, of_source)) return Known::yes;
  bool waits = false;
  const std::vector<Tracked*> related = table_.relatives(name);
  for (Tracked* file : related) {
    if (file->state == FileState::lost || key_of(*file) == key_of(where)) continue;
    bool compressed = false;
    const bool live = file->state != FileState::finished;
    if (!live && is_weak(file->info)) continue;
    Match match = live ? compare_live(where, *file) : compare_with(where, *file, compressed);
    if (!live && !compressed && match == Match::prefix) match = Match::other;
    if (recognised(where, *file, match, compressed, of_source) == Known::yes) return Known::yes;
    waits |= match == Match::unclear;
  }
  // One that is being compressed at this moment: what it is will show.
  waits |= where.size == 0 && !related.empty();
  if (!waits || !has_compressed_name(name)) return Known::no;
  return wait_for(where, of_source) ? Known::yes : Known::no;
}

/// Keeps a file for later, unless it has not changed for long enough.
bool FollowRotation::wait_for(const FoundFile& where, bool of_source) {
  Waiting& waiting = waiting_[key_of(where)];
  if (waiting.size != where.size || waiting.mtime_ns != where.mtime_ns) {
    waiting = {where.size, where.mtime_ns, table_.now()};
  }
  if (table_.now() >= waiting.since + options_.finish_after) return false;
  keep_copy(where, nullptr, of_source, true);
  return true;
}

FollowRotation::Known FollowRotation::recognised(const FoundFile& where, Tracked& file, Match match, bool compressed,
                                                 bool of_source) {
  if (match == Match::prefix) {
    keep_copy(where, &file, of_source, compressed);
    return Known::yes;
  }
  if (match != Match::same) return Known::no;
  FoundFile own;
  own.path = file.info.path;
  const bool there = look_at(own) == 0 && key_of(own) == key_of(file);
  if (file.state != FileState::finished || there) {
    keep_copy(where, &file, of_source, false);
    return Known::yes;
  }
  const std::string old = file.info.path;
  if (compressed || where.size > file.info.offset) {  // perhaps there is more in it
    adopt(file, where, compressed);
  } else {
    table_.put(file, where);
    table_.update(file, [&](FollowedFile& info) { info.compressed = compressed; });
  }
  table_.tell(FollowCode::moved, &file, where.path, 0,
              in_quotes(where.path) + " holds what was read as " + in_quotes(old));
  return Known::yes;
}

void FollowRotation::resume(Tracked& file, const FoundFile& where) {
  const std::string old = file.info.path;
  const bool compressed = Opened(where).content.compressed;
  table_.put(file, where);
  file.complete = compressed;
  table_.update(file, [&](FollowedFile& info) { info.compressed = compressed; });
  const bool moved = old != where.path;
  table_.revive(file,
                moved && is_longer_name(name_of(old), name_of(where.path)) ? FileState::leaving : FileState::following);
  std::string text = in_quotes(where.path) + " goes on at byte " + std::to_string(file.info.offset);
  if (moved) text += "; it was " + in_quotes(old);
  table_.tell(FollowCode::resumed, &file, where.path, file.info.offset, text);
}

/// Before its content is compared with that of others: whether it still is what it was.
void FollowRotation::check_intact(Tracked& file) {
  if (file.state != FileState::following && file.state != FileState::leaving) return;
  const bool named = file.state == FileState::following;
  look(file);
  if (file.info.compressed || file.info.head_bytes == 0 || file.state == FileState::finished) return;
  if (named != (file.state == FileState::following) || table_.open(file) != 0) return;
  if (compare({file.fd.get(), file.info.path, file.info.size, false}, file.info) == Match::other) content_changed(file);
}

/// Files beside `path` (and beside what it links to) whose names go on from its name.
std::vector<FoundFile> FollowRotation::siblings(const std::string& path, const std::string& real, bool rotated_only) {
  std::vector<FoundFile> found;
  for (const std::string& one : {path, real}) {
    if (one.empty()) continue;
    const std::string directory(directory_of(one));
    const std::string name(name_of(one));
    const std::string base = rotation_base(name);
    for (const auto* entry : listings_.starting_with(directory, base.substr(0, base.find_first_of(".-_", 1)))) {
      const bool rotated = is_rotated_name(name, entry->name) ||
                           (entry->name != name && is_rotated_name(base, entry->name) && (one == real || base != name));
      if (!rotated && (rotated_only || !is_longer_name(name, entry->name))) continue;
      FoundFile file;
      file.path = join_path(directory, entry->name);
      if (look_at(file) == 0) found.push_back(std::move(file));
    }
  }
  return found;
}

/// The known file that lies there: by its inode, if that does not serve another file now.
Tracked* FollowRotation::holder_of(const FoundFile& where) {
  Tracked* file = table_.by_key(key_of(where));
  if (file == nullptr || file->fd.get() >= 0) return file;
  if (where.size == file->info.size && where.mtime_ns == file->seen_mtime) return file;
  if (file->state == FileState::lost) return file;
  if (file->state != FileState::finished)
    return file->info.path != where.path && is_other(where, *file) ? nullptr : file;
  bool compressed = false;
  const Match match = compare_with(where, *file, compressed);
  if (match == Match::same || match == Match::unclear) return file;
  table_.unbind(*file);
  return nullptr;
}

/// True for a file that is known to hold what another one holds, unless its inode serves another file now.
bool FollowRotation::is_copy(const FoundFile& where) {
  const auto copy = copies_.find(key_of(where));
  if (copy == copies_.end()) return false;
  if (copy->second.where.size == where.size && copy->second.where.mtime_ns == where.mtime_ns) return true;
  copies_.erase(copy);
  return false;
}

bool FollowRotation::find_by_inode(Tracked& file) {
  std::vector<std::string> directories{std::string(directory_of(file.info.path))};
  if (!file.real.empty()) directories.emplace_back(directory_of(file.real));
  const bool must_compare = file.state == FileState::lost;
  for (const std::string& directory : directories) {
    for (const auto& entry : listings_.of(directory).entries) {
      if (entry.inode != file.info.inode) continue;
      FoundFile where;
      where.path = join_path(directory, entry.name);
      if (look_at(where) != 0 || key_of(where) != key_of(file)) continue;
      if (must_compare) {
        if (!is_known(where, file)) return false;
        resume(file, where);
        file.state = FileState::leaving;
        return true;
      }
      const std::string old = file.info.path;
      table_.put(file, where);
      table_.tell(FollowCode::moved, &file, where.path, 0, in_quotes(old) + " is now " + in_quotes(where.path));
      return true;
    }
  }
  return false;
}

bool FollowRotation::find_by_content(Tracked& file) {
  if (is_weak(file.info)) return false;
  std::vector<FoundFile> candidates = siblings(file.info.path, file.real, false);
  if (file.info.place != file.info.path) {
    for (FoundFile& more : siblings(file.info.place, {}, false)) candidates.push_back(std::move(more));
  }
  for (const auto& [key, copy] : copies_) {
    if (copy.of == &file) candidates.push_back(copy.where);
  }
  std::optional<FoundFile> best;
  bool best_compressed = false;
  for (const FoundFile& one : candidates) {
    Tracked* holder = holder_of(one);
    const bool live = holder != nullptr && holder->state != FileState::lost && holder->state != FileState::finished;
    if (live && holder != &file && holder->fd.get() < 0 && is_other(one, *holder)) holder = nullptr;
    if (holder != nullptr && holder != &file && holder->state != FileState::lost && !is_weak(holder->info)) continue;
    bool compressed = false;
    if (compare_with(one, file, compressed) != Match::same) continue;
    if (!compressed && one.size < file.info.offset) continue;
    const bool better = !best || (best_compressed && !compressed) ||
                        (best_compressed == compressed && !compressed && one.size > best->size);
    if (!better) continue;
    best = one;
    best_compressed = compressed;
  }
  if (!best) return false;
  const std::string old = file.info.path;
  adopt(file, *best, best_compressed);
  table_.tell(FollowCode::moved, &file, best->path, 0,
              in_quotes(best->path) + " holds what was " + in_quotes(old) + "; read on there from byte " +
                  std::to_string(file.info.offset));
  return true;
}

/// The content is read on in a copy, which does not grow.
void FollowRotation::adopt(Tracked& file, const FoundFile& copy, bool compressed) {
  copies_.erase(key_of(copy));
  if (Tracked* holder = table_.by_key(key_of(copy)); holder != nullptr && holder != &file) {
    table_.unbind(*holder);  // nothing was read of it
    if (holder->state != FileState::lost && holder->state != FileState::finished) give_up_search(*holder);
  }
  table_.put(file, copy);
  std::string head;
  const Opened opened(copy);
  if (compressed && opened.good) read_head(opened.content, head);
  table_.update(file, [&](FollowedFile& info) {
    info.compressed = compressed;
    if (head.size() > info.head_bytes) {
      info.head_bytes = head.size();
      info.head_hash = hash_bytes(head);
    }
  });
  file.complete = true;
  file.consumed = 0;
  table_.revive(file, FileState::leaving);
}

void FollowRotation::content_changed(Tracked& file) {
  FoundFile where;
  where.path = file.info.path;
  where.real = file.real;
  const FileKey key = key_of(file);
  const std::uint64_t unread = is_weak(file.info) ? 0 : file.unread();
  const bool placed = file.state == FileState::following;
  listings_.forget();
  table_.unbind(file);
  file.state = FileState::leaving;
  const bool copied = find_by_content(file);
  std::string text = in_quotes(where.path) + " was truncated or written anew behind byte " +
                     std::to_string(file.info.offset) + "; what is there now is read from its start";
  if (!copied && unread > 0) text += "; " + std::to_string(unread) + " bytes were not read, and no copy was found";
  table_.tell(FollowCode::truncated, &file, where.path, copied ? 0 : unread, text);
  if (look_at(where) == 0 && key_of(where) == key && table_.by_key(key) == nullptr) {
    if (placed) {
      if (known_content(where, true) == Known::no) begin_place(where, {});
    } else if (known_content(where, false) == Known::no) {
      // Not a file that is being compressed under the inode of one that is done.
      begin(where, where.path).state = FileState::leaving;
    }
  }
  if (!copied) {
    file.cut_short = unread > 0;
    give_up_search(file);
  }
}

/// A file that cannot be found again is done with. What it held, if that cannot be told from others, is looked for
/// among what nobody knows.
void FollowRotation::give_up_search(Tracked& file) {
  if (is_weak(file.info)) {
    const auto [floor, first] = floors_.try_emplace(file.info.place, file.info.mtime_ns);
    floor->second = std::min(floor->second, file.info.mtime_ns);
  }
  table_.finish(file);
}

void FollowRotation::name_lost(Tracked& file) {
  file.state = FileState::leaving;
  file.grown = table_.now();
  table_.queue(file);
  if (find_by_inode(file)) return;
  if (file.fd.get() >= 0) {
    file.nameless = true;
    return;
  }
  table_.unbind(file);
  if (find_by_content(file)) return;
  const std::uint64_t unread = is_weak(file.info) ? 0 : file.unread();
  file.cut_short = unread > 0;
  if (unread > 0) {
    table_.tell(FollowCode::vanished, &file, file.info.path, unread,
                in_quotes(file.info.path) + " is gone, and no copy of it was found; it was read up to byte " +
                    std::to_string(file.info.offset) + " and had " + std::to_string(file.info.size));
  } else {
    table_.tell(FollowCode::finished, &file, file.info.path, 0, in_quotes(file.info.path) + " was removed, all read");
  }
  give_up_search(file);
}

void FollowRotation::look(Tracked& file) {
  if (file.state != FileState::following && file.state != FileState::leaving) return;
  FoundFile now;
  now.path = file.info.path;
  struct stat status {};
  int error = 0;
  if (file.fd.get() >= 0) {
    if (::fstat(file.fd.get(), &status) != 0) error = errno;
    now.size = static_cast<std::uint64_t>(status.st_size);
    now.mtime_ns = std::int64_t{status.st_mtim.tv_sec} * kSecond + status.st_mtim.tv_nsec;
  } else {
    error = look_at(now);
    if (error == 0 && key_of(now) != key_of(file)) error = ENOENT;
  }
  if (error == ENOENT || error == ENOTDIR || error == EISDIR) {
    listings_.forget();
    name_lost(file);
    return;
  }
  if (error != 0) {
    tell_trouble(file, errno_text(error));
    return;
  }
  if (file.rotated && file.info.head_bytes == 0 && file.fd.get() < 0 && now.size > 0) {
    // It was empty; its name and inode serve another one now, for all that is known of it. The next scan says which.
    table_.unbind(file);
    give_up_search(file);
    return;
  }
  const bool plain = !file.info.compressed;
  if (plain && now.size < std::max(file.info.offset, file.info.head_bytes)) {
    content_changed(file);
    return;
  }
  const bool grew = now.size > file.info.size;
  const bool touched = now.mtime_ns != file.seen_mtime;
  if (grew) file.grown = table_.now();
  file.seen_mtime = now.mtime_ns;
  if (now.size != file.info.size) table_.update(file, [&](FollowedFile& info) { info.size = now.size; });
  if (plain && touched && !grew && file.info.head_bytes > 0 && table_.open(file) == 0) {
    if (compare({file.fd.get(), file.info.path, now.size, false}, file.info) == Match::other) {
      content_changed(file);
      return;
    }
  }
  if (grew) note_head(file);
  const bool ready = plain ? now.size > std::max(file.info.offset, file.looked_at) : file.broken_size != now.size;
  if (ready || !file.newer.empty()) table_.queue(file);
}

}  // namespace penstock::io::detail
