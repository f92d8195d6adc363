// The part of FollowRotation that begins with files: new ones, and generations that came and went unseen.
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

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

/// Compressing keeps the time of change, some tools only to the microsecond or the second.
bool is_before(std::int64_t time, std::int64_t since) {
  const std::int64_t grain = time % kSecond == 0 ? kSecond : time % 1000 == 0 ? 1000 : 1;
  return time / grain < since / grain;
}

/// Whether `file` has to be at its end before `other` begins.
bool comes_before(const Tracked& file, const Tracked& other) {
  return std::any_of(file.newer.begin(), file.newer.end(),
                     [&](const Tracked* next) { return next == &other || comes_before(*next, other); });
}

}  // namespace

/// As soon as there is one: a file without a head cannot be found again.
void FollowRotation::note_head(Tracked& file) {
  if (file.info.head_bytes > 0 || file.info.size == 0 || table_.open(file) != 0) return;
  FollowedFile now = file.info;
  char first[8];
  const std::int64_t got = read_at(file.fd.get(), 0, first, sizeof first);
  try {
    const std::string_view bytes(first, static_cast<std::size_t>(std::max<std::int64_t>(got, 0)));
    if (bytes.empty() || may_become_compressed(bytes)) return;
    if (is_compressed(bytes, file.info.path)) {
      std::string head;
      if (!read_head({file.fd.get(), file.info.path, file.info.size, true}, head)) return;
      now.compressed = true;
      now.head_bytes = head.size();
      now.head_hash = hash_bytes(head);
    } else if (!extend_head(file.fd.get(), now.size, now)) {
      return;
    }
  } catch (const Error&) {  // told when it is read
    return;
  }
  table_.update(file, [&](FollowedFile& info) { info = now; });
}

Tracked& FollowRotation::begin(const FoundFile& where, const std::string& place, std::int64_t not_before) {
  if (Tracked* before = table_.by_key(key_of(where)); before != nullptr) {  // its inode serves another file now
    table_.unbind(*before);
    if (before->state == FileState::following || before->state == FileState::leaving) name_lost(*before);
  }
  FollowedFile info;
  info.id = table_.next_id();
  info.path = where.path;
  info.place = place;
  info.device = where.device;
  info.inode = where.inode;
  info.size = where.size;
  info.mtime_ns = where.size == 0 ? std::max(where.mtime_ns, not_before) : where.mtime_ns;
  Tracked& file = table_.add(std::move(info), FileState::following);
  table_.put(file, where);
  file.read_mtime = where.mtime_ns;
  note_head(file);
  if (first_ && options_.from_end && options_.known.empty()) skip_to_end(file);
  std::string text = in_quotes(where.path) + " is read from byte " + std::to_string(file.info.offset);
  if (where.path != place) text += "; it came and went as " + in_quotes(place) + " unseen";
  table_.tell(FollowCode::found, &file, where.path, file.info.offset, text);
  table_.queue(file);
  return file;
}

void FollowRotation::skip_to_end(Tracked& file) {
  if (table_.open(file) != 0) return;
  char first[8];
  const std::int64_t got = read_at(file.fd.get(), 0, first, sizeof first);
  bool compressed = false;
  try {
    compressed = is_compressed({first, static_cast<std::size_t>(std::max<std::int64_t>(got, 0))}, file.info.path);
  } catch (const Error&) {
    return;  // told when it is read
  }
  std::string head;
  if (!read_head({file.fd.get(), file.info.path, file.info.size, compressed}, head)) return;
  std::uint64_t end = compressed ? 0 : last_line_end(file.fd.get(), file.info.size, options_.max_record);
  if (!compressed && end == 0 && file.info.size > options_.max_record) end = file.info.size;
  table_.update(file, [&](FollowedFile& info) {
    info.compressed = compressed;
    info.head_bytes = head.size();
    info.head_hash = hash_bytes(head);
    info.offset = end;
  });
  if (compressed) table_.finish(file);
}

/// A new file under a name of the sources, after the generations of that name that nobody saw.
void FollowRotation::begin_place(const FoundFile& where, const std::vector<FoundFile>& fresh) {
  Tracked* before = table_.newest(where.path);
  if (rotation_base(name_of(where.path)) != name_of(where.path)) {  // one that has come and gone itself
    begin(where, where.path);
    return;
  }
  if (before == nullptr) {
    // What was there before anything was looked for is none of ours; what has come since then is.
    std::int64_t newest = 0;
    for (const FoundFile& old : siblings(where.path, where.real, true)) {
      const auto noted = at_start_.find(key_of(old));
      if (!first_ && (noted == at_start_.end() || noted->second != old.mtime_ns)) continue;
      before_[key_of(old)] = old.mtime_ns;
      newest = std::max(newest, old.mtime_ns);
    }
    if (newest > 0) newest_before_[where.path] = newest;
    if (!first_) {
      for (const FoundFile& missed : missed_generations(where, nullptr)) {
        if (Tracked* file = begin_missed(missed, where.path, before, fresh)) before = file;
      }
    }
    Tracked& file = begin(where, where.path, newest + 1);  // an empty one holds nothing that could be as old
    if (before != nullptr) table_.chain(*before, file);
    return;
  }
  for (const FoundFile& missed : missed_generations(where, before)) {
    if (Tracked* file = begin_missed(missed, where.path, before, fresh)) before = file;
  }
  table_.chain(*before, begin(where, where.path));
}

/// Null: its content is known, or it is begun by itself.
Tracked* FollowRotation::begin_missed(const FoundFile& missed, const std::string& place, Tracked* before,
                                      const std::vector<FoundFile>& fresh) {
  const bool of_source =
      std::any_of(fresh.begin(), fresh.end(), [&](const FoundFile& one) { return key_of(one) == key_of(missed); });
  if (of_source || known_content(missed, false) == Known::yes) return nullptr;
  Tracked& file = begin(missed, place);
  file.state = FileState::leaving;
  if (before != nullptr) table_.chain(*before, file);
  return &file;
}

/// Generations of names that nothing has at present.
void FollowRotation::take_missing(const std::vector<std::string>& missing) {
  if (first_ && options_.known.empty()) return;
  for (const std::string& path : missing) {
    Tracked* before = table_.newest(path);
    if ((first_ && before == nullptr) || !directory_changed(std::string(directory_of(path)))) continue;
    FoundFile where;
    where.path = path;
    if (before == nullptr) {
      for (const FoundFile& old : siblings(path, {}, true)) {
        const auto noted = at_start_.find(key_of(old));
        if (noted == at_start_.end() || noted->second != old.mtime_ns) continue;
        before_[key_of(old)] = old.mtime_ns;
        std::int64_t& newest = newest_before_[path];
        newest = std::max(newest, old.mtime_ns);
      }
    }
    for (const FoundFile& missed : missed_generations(where, before)) {
      if (Tracked* file = begin_missed(missed, path, before, {})) before = file;
    }
  }
}

void FollowRotation::note_start() {
  for (const std::string& directory : directories_) {
    for (const auto& entry : listings_.of(directory).entries) {
      if (rotation_base(entry.name) == entry.name) continue;
      FoundFile file;
      file.path = join_path(directory, entry.name);
      if (look_at(file) == 0) at_start_[key_of(file)] = file.mtime_ns;
    }
  }
}

/// After a restart: of what one name had, older generations come first.
void FollowRotation::chain_resumed() {
  if (options_.known.empty()) return;
  using Age = std::tuple<bool, std::int64_t, Tracked*>;
  std::unordered_map<std::string, std::vector<Age>> groups;
  for (Tracked* file : table_.live()) {
    if (file->state != FileState::following && file->state != FileState::leaving) continue;
    groups[rotation_group(file->info.place)].emplace_back(!file->rotated, file->info.mtime_ns, file);
  }
  for (auto& [group, files] : groups) {
    std::sort(files.begin(), files.end(), [](const Age& a, const Age& b) {
      const auto& [a_named, a_time, a_file] = a;
      const auto& [b_named, b_time, b_file] = b;
      if (a_named != b_named || a_time != b_time) return std::tie(a_named, a_time) < std::tie(b_named, b_time);
      return is_older_name(a_file->info.path, b_file->info.path);
    });
    for (std::size_t i = 1; i < files.size(); ++i) {
      Tracked& older = *std::get<2>(files[i - 1]);
      Tracked& newer = *std::get<2>(files[i]);
      if (!comes_before(newer, older) && !comes_before(older, newer)) table_.chain(older, newer);
    }
  }
}

/// True once a scan when something came or went in a directory since the last time.
bool FollowRotation::directory_changed(const std::string& directory) {
  Looked& looked = looked_[directory];
  if (looked.scan == scans_) return looked.fresh;
  struct stat status {};
  if (::stat(directory.empty() ? "." : directory.c_str(), &status) != 0) return false;
  const std::int64_t mtime = std::int64_t{status.st_mtim.tv_sec} * kSecond + status.st_mtim.tv_nsec;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  // A change within the grain of the clock of the last one leaves no trace.
  const bool certain = looked.time_ns - looked.mtime_ns > kSecond;
  looked.fresh = looked.scan == 0 || mtime != looked.mtime_ns || !certain;
  looked.scan = scans_;
  looked.mtime_ns = mtime;
  looked.time_ns = std::int64_t{now.tv_sec} * kSecond + now.tv_nsec;
  return looked.fresh;
}

/// Generations that came and went under a name whose present file shows nothing of it: copied and truncated while it
/// had not been read at all.
void FollowRotation::take_siblings() {
  const std::vector<Tracked*> live = table_.live();
  for (Tracked* file : live) {
    if (file->state != FileState::following || file->rotated || table_.newest(file->info.path) != file) continue;
    const bool changed = directory_changed(std::string(directory_of(file->info.path)));
    if (changed && (!first_ || !options_.known.empty())) {
      FoundFile where;
      where.path = file->info.path;
      where.real = file->real;
      where.device = file->info.device;
      where.inode = file->info.inode;
      Tracked* older = nullptr;
      std::vector<FoundFile> found = missed_generations(where, file);
      if (!found.empty()) check_intact(*file);
      if (file->state != FileState::following || table_.newest(file->info.path) != file) continue;
      for (const FoundFile& missed : found) {
        if (Tracked* one = begin_missed(missed, file->info.path, older, {})) older = one;
      }
      if (older != nullptr) {
        table_.set_newest(*file);
        table_.chain(*older, *file);
      }
    }
    // It had its name after it was read: only what is newer can have come behind it.
    if (file->info.offset > 0 && file->info.mtime_ns < file->read_mtime) {
      table_.update(*file, [&](FollowedFile& info) { info.mtime_ns = file->read_mtime; });
    }
  }
}

/// Rotated files beside a place that nobody knows and that may have come behind its generation `before` (null: since
/// the first look), oldest first.
std::vector<FoundFile> FollowRotation::missed_generations(const FoundFile& where, const Tracked* before) {
  const auto newest = newest_before_.find(where.path);
  const std::int64_t newest_before = newest == newest_before_.end() ? 0 : newest->second;
  std::vector<FoundFile> found = siblings(where.path, where.real, true);
  std::int64_t since = before == nullptr ? 0 : before->info.mtime_ns;
  if (const auto floor = floors_.find(where.path); floor != floors_.end()) since = std::min(since, floor->second);
  std::erase_if(found, [&](const FoundFile& one) {
    if (holder_of(one) != nullptr || is_copy(one) || key_of(one) == key_of(where)) return true;
    if (const auto old = before_.find(key_of(one)); old != before_.end() && old->second == one.mtime_ns) return true;
    return is_before(one.mtime_ns, since) || one.mtime_ns <= newest_before;
  });
  std::sort(found.begin(), found.end(), [](const FoundFile& a, const FoundFile& b) {
    return a.mtime_ns != b.mtime_ns ? a.mtime_ns < b.mtime_ns : is_older_name(a.path, b.path);
  });
  return found;
}

}  // namespace penstock::io::detail
