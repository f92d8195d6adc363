#include "io/detail/follow_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace penstock::io::detail {
namespace {

constexpr std::uint32_t kContent = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE;
constexpr std::uint32_t kEntries = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
constexpr std::uint32_t kSelf = IN_DELETE_SELF | IN_MOVE_SELF;

std::string why_not(int error_number) {
  switch (error_number) {
    case ENOSPC: return "no watches of inotify are left; raise fs.inotify.max_user_watches";
    case EMFILE: return "no instances of inotify are left; raise fs.inotify.max_user_instances";
    default: return errno_text(error_number);
  }
}

/// File systems whose files change without a notice when another machine (or the process behind FUSE) writes to them.
bool changes_silently(const char* directory) {
  struct statfs system {};
  if (::statfs(directory, &system) != 0) return true;
  switch (static_cast<std::uint64_t>(system.f_type) & 0xffffffffU) {
    case 0x6969:      // NFS
    case 0x517b:      // SMB
    case 0xff534d42:  // CIFS
    case 0xfe534d42:  // SMB2
    case 0x65735546:  // FUSE
    case 0x01021997:  // 9p
    case 0x00c36400:  // Ceph
    case 0x0bd00bd0:  // Lustre
    case 0x5346414f:  // AFS
    case 0x01161970:  // GFS2
    case 0x7461636f:  // OCFS2
      return true;
    default: return false;
  }
}

}  // namespace

FollowWatch::FollowWatch(bool use_inotify) : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_.get() < 0) throw Error(Errc::io, "cannot make an eventfd: " + errno_text(errno));
  if (!use_inotify) return;
  inotify_ = Descriptor(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (inotify_.get() < 0) failure_ = why_not(errno);
}

bool FollowWatch::add(const std::string& directory) {
  if (inotify_.get() < 0) return false;
  const char* name = directory.empty() ? "." : directory.c_str();
  if (changes_silently(name)) return false;
  const int watch = ::inotify_add_watch(inotify_.get(), name, kContent | kEntries | kSelf | IN_ONLYDIR);
  if (watch < 0) {
    if (errno == ENOSPC || errno == ENOMEM) failure_ = why_not(errno);
    return false;
  }
  const auto before = watches_.find(directory);
  if (before != watches_.end() && before->second != watch) directories_.erase(before->second);
  watches_[directory] = watch;
  directories_.try_emplace(watch, directory);
  return true;
}

void FollowWatch::keep(const std::unordered_set<std::string>& wanted) {
  for (auto watch = watches_.begin(); watch != watches_.end();) {
    if (wanted.contains(watch->first)) {
      ++watch;
      continue;
    }
    const auto named = directories_.find(watch->second);
    if (named != directories_.end() && named->second == watch->first) {
      ::inotify_rm_watch(inotify_.get(), watch->second);
      directories_.erase(named);
    }
    watch = watches_.erase(watch);
  }
}

void FollowWatch::drain(Notices& out) {
  if (inotify_.get() < 0) return;
  alignas(inotify_event) char buffer[16 * 1024];
  while (true) {
    const ssize_t got = ::read(inotify_.get(), buffer, sizeof buffer);
    if (got <= 0) return;
    for (const char* at = buffer; at < buffer + got;) {
      inotify_event event;
      std::memcpy(&event, at, sizeof event);
      const char* name = at + sizeof event;
      at += sizeof event + event.len;
      if ((event.mask & (IN_Q_OVERFLOW | IN_UNMOUNT | kSelf)) != 0) out.everything = true;
      const auto found = directories_.find(event.wd);
      if (found == directories_.end()) continue;
      if ((event.mask & IN_IGNORED) != 0) {
        watches_.erase(found->second);
        directories_.erase(found);
        out.everything = true;
        continue;
      }
      if (event.len == 0) continue;
      std::string path = found->second;
      if (!path.empty() && path.back() != '/') path += '/';
      path += name;
      std::vector<std::string>& list = (event.mask & kEntries) != 0 ? out.entries : out.changed;
      if (list.empty() || list.back() != path) list.push_back(std::move(path));
    }
  }
}

void FollowWatch::wait(const std::stop_token& stop, std::optional<std::chrono::milliseconds> most) {
  const std::stop_callback on_stop(stop, [this] { wake(); });
  if (stop.stop_requested()) return;
  int timeout = -1;
  if (most) timeout = static_cast<int>(std::clamp<std::int64_t>(most->count(), 0, 3'600'000));
  pollfd polled[2] = {{wake_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}};  // a negative descriptor is passed over
  ::poll(polled, 2, timeout);
  std::uint64_t count = 0;
  [[maybe_unused]] const auto ignored = ::read(wake_.get(), &count, sizeof count);
}

void FollowWatch::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

}  // namespace penstock::io::detail
