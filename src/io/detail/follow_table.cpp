#include "io/detail/follow_table.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "io/detail/byte_source.h"
#include "io/detail/follow_names.h"

namespace penstock::io::detail {

FollowTable::FollowTable(const FollowOptions& options) : options_(options) {}

void FollowTable::tell(FollowCode code, const Tracked* file, const std::string& path, std::uint64_t bytes,
                       const std::string& text) const {
  if (!options_.event) return;
  FollowEvent event;
  event.code = code;
  if (file != nullptr) event.id = file->info.id;
  event.path = path;
  event.bytes = bytes;
  event.text = text;
  options_.event(event);
}

Tracked& FollowTable::add(FollowedFile info, FileState state) {
  auto owned = std::make_unique<Tracked>(std::move(info));
  Tracked& file = *owned;
  file.state = state;
  file.grown = now();
  {
    const std::lock_guard lock(mutex_);
    if (file.info.id >= files_.size()) files_.resize(std::size_t{file.info.id} + 1);
    files_[file.info.id] = std::move(owned);
  }
  if (file.info.inode != 0) keys_[{file.info.device, file.info.inode}] = &file;
  index_names(file);
  Tracked*& newest = newest_[file.info.place];
  // A generation that was found late has a higher number than the one that has the name.
  const auto named = [](const Tracked& one) { return one.info.path == one.info.place && !one.info.finished; };
  if (newest == nullptr || std::pair(named(*newest), newest->info.id) < std::pair(named(file), file.info.id)) {
    newest = &file;
  }
  if (state == FileState::following || state == FileState::leaving) live_.push_back(&file);
  return file;
}

void FollowTable::index_names(Tracked& file) {
  paths_[file.info.path] = &file;
  if (!file.real.empty()) paths_[file.real] = &file;
  const std::string base = rotation_base(name_of(file.info.path));
  file.rotated = base != name_of(file.info.path);
  std::vector<Tracked*>& related = relatives_[base];
  if (std::find(related.begin(), related.end(), &file) == related.end()) related.push_back(&file);
}

void FollowTable::put(Tracked& file, const FoundFile& where) {
  const FileKey key{where.device, where.inode};
  if (FileKey{file.info.device, file.info.inode} != key) {
    unbind(file);
    file.decoding.reset();
  }
  const auto named = paths_.find(file.info.path);
  if (named != paths_.end() && named->second == &file) paths_.erase(named);
  keys_[key] = &file;
  file.real = where.real;
  file.nameless = false;
  update(file, [&](FollowedFile& info) {
    info.path = where.path;
    info.device = where.device;
    info.inode = where.inode;
    info.size = where.size;
  });
  file.seen_mtime = where.mtime_ns;
  index_names(file);
}

void FollowTable::unbind(Tracked& file) {
  const auto held = keys_.find({file.info.device, file.info.inode});
  if (held != keys_.end() && held->second == &file) keys_.erase(held);
  update(file, [](FollowedFile& info) { info.inode = 0; });
  close(file);
}

Tracked* FollowTable::by_key(FileKey key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : found->second;
}

Tracked* FollowTable::by_path(const std::string& path) const {
  const auto found = paths_.find(path);
  return found == paths_.end() ? nullptr : found->second;
}

Tracked* FollowTable::newest(const std::string& place) const {
  const auto found = newest_.find(place);
  return found == newest_.end() ? nullptr : found->second;
}

const std::vector<Tracked*>& FollowTable::relatives(std::string_view name) const {
  static const std::vector<Tracked*> kNone;
  const auto found = relatives_.find(rotation_base(name));
  return found == relatives_.end() ? kNone : found->second;
}

void FollowTable::compact_live() {
  std::erase_if(live_, [](const Tracked* file) {
    return file->state != FileState::following && file->state != FileState::leaving;
  });
}

bool FollowTable::any_leaving() const noexcept {
  return std::any_of(live_.begin(), live_.end(), [](const Tracked* file) { return file->state == FileState::leaving; });
}

int FollowTable::open(Tracked& file) {
  if (file.fd.get() >= 0) {
    open_.splice(open_.begin(), open_, file.used);
    return 0;
  }
  if (open_.size() >= options_.max_open_files) close_oldest();
  const char* path = file.info.path.c_str();
  Descriptor fd(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0 && (errno == EMFILE || errno == ENFILE) && !open_.empty()) {
    close_oldest();
    fd = Descriptor(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  }
  if (fd.get() < 0) return errno == ENOTDIR ? ENOENT : errno;
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno;
  if (status.st_dev != file.info.device || status.st_ino != file.info.inode) return ESTALE;
  file.fd = std::move(fd);
  open_.push_front(&file);
  file.used = open_.begin();
  return 0;
}

void FollowTable::close_oldest() {
  for (auto oldest = open_.rbegin(); oldest != open_.rend(); ++oldest) {
    if ((*oldest)->nameless || (*oldest)->decoding != nullptr) continue;
    close(**oldest);
    return;
  }
}

void FollowTable::close(Tracked& file) {
  if (file.fd.get() < 0) return;
  open_.erase(file.used);
  file.fd = Descriptor();
}

void FollowTable::finish(Tracked& file) {
  close(file);
  {
    const std::lock_guard lock(mutex_);
    file.state = FileState::finished;
    file.info.finished = true;
  }
  file.decoding.reset();
  file.cutter.reset();
  release_newer(file);
}

void FollowTable::revive(Tracked& file, FileState state) {
  {
    const std::lock_guard lock(mutex_);
    file.state = state;
    file.info.finished = false;
  }
  file.grown = now();
  file.looked_at = 0;
  if (std::find(live_.begin(), live_.end(), &file) == live_.end()) live_.push_back(&file);
  queue(file);
}

void FollowTable::chain(Tracked& older, Tracked& newer) {
  if (&older == &newer || older.state == FileState::finished || older.state == FileState::lost) return;
  older.newer.push_back(&newer);
  ++newer.older;
  queue(older);
}

void FollowTable::release_newer(Tracked& file) {
  for (Tracked* newer : std::exchange(file.newer, {})) {
    if (--newer->older == 0) note(*newer);
  }
}

void FollowTable::queue(Tracked& file) {
  if (file.queued || file.state == FileState::finished || file.state == FileState::lost) return;
  file.queued = true;
  queue_.push_back(&file);
}

Tracked* FollowTable::next_queued() {
  while (!queue_.empty()) {
    Tracked* file = queue_.front();
    queue_.pop_front();
    file->queued = false;
    if (file->state != FileState::finished && file->state != FileState::lost && file->older == 0) return file;
  }
  return nullptr;
}

void FollowTable::note(Tracked& file) {
  if (std::exchange(file.noted, true)) return;
  noted_.push_back(&file);
}

FollowedFile FollowTable::snapshot(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  if (id >= files_.size() || files_[id] == nullptr)
    throw std::out_of_range("no file has the number " + std::to_string(id));
  return files_[id]->info;
}

std::vector<FollowedFile> FollowTable::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<FollowedFile> files;
  for (const auto& file : files_) {
    if (file != nullptr) files.push_back(file->info);
  }
  return files;
}

std::vector<FollowLag> FollowTable::lag() const {
  const std::lock_guard lock(mutex_);
  std::vector<FollowLag> lags;
  for (const auto& file : files_) {
    if (file == nullptr || file->state == FileState::finished || file->state == FileState::lost) continue;
    lags.push_back({file->info.id, file->info.path, file->unread()});
  }
  return lags;
}

}  // namespace penstock::io::detail
