#include "io/follow.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "io/detail/follow_identity.h"
#include "io/detail/follow_rotation.h"
#include "io/detail/follow_table.h"
#include "io/detail/follow_watch.h"

namespace penstock::io {
namespace {

using detail::FileState;
using detail::Got;
using detail::Tracked;
using Clock = std::chrono::steady_clock;

/// Where notices come from the system, everything is looked at anyway after this many polls.
constexpr int kSlowPolls = 10;
/// A record longer than this is looked for again only when the file has grown by a quarter of it.
constexpr std::uint64_t kLongRecord = std::uint64_t{256} * 1024;

std::string in_quotes(const std::string& name) { return std::string("'").append(printable(name, 400)).append("'"); }

}  // namespace

const char* to_string(FollowCode code) noexcept {
  switch (code) {
    case FollowCode::found: return "found";
    case FollowCode::resumed: return "resumed";
    case FollowCode::moved: return "moved";
    case FollowCode::truncated: return "truncated";
    case FollowCode::finished: return "finished";
    case FollowCode::vanished: return "vanished";
    case FollowCode::unreadable: return "unreadable";
    case FollowCode::readable: return "readable";
    case FollowCode::given_up: return "given_up";
    case FollowCode::polling: return "polling";
  }
  return "unknown";
}

class Follower::Impl {
 public:
  explicit Impl(FollowOptions options)
      : options_(std::move(options)),
        table_(options_),
        reader_(options_, table_.mutex()),
        watch_(options_.inotify),
        rotation_(options_, table_) {
    if (!options_.inotify) polling_told_ = true;
    scan();
    sweep_start_ = table_.now();
  }

  Next next(Chunk& out, const std::stop_token& stop, std::optional<Clock::time_point> until) {
    out = Chunk{};
    while (true) {
      if (stop.stop_requested()) return Next::stopped;
      look_around();
      while (Tracked* file = table_.next_queued()) {
        const Got got = serve(*file, out, stop);
        if (got == Got::stopped) return Next::stopped;
        if (got != Got::chunk) continue;
        out.seq = seq_++;
        return Next::chunk;
      }
      if (look_at_noted()) continue;
      const Clock::time_point now = table_.now();
      if (until && now >= *until) return Next::idle;
      watch_.wait(stop, time_to_wait(now, until));
    }
  }

  void look_again() noexcept {
    look_again_.store(true);
    watch_.wake();
  }

  detail::FollowTable& table() noexcept { return table_; }

 private:
  /// Takes notices, and does what is due.
  void look_around() {
    notices_.changed.clear();
    notices_.entries.clear();
    notices_.everything = false;
    watch_.drain(notices_);
    const bool all = look_again_.exchange(false) || notices_.everything;
    for (const std::string& path : notices_.changed) {
      if (Tracked* file = table_.by_path(path)) {
        table_.note(*file);
      } else if (!scan_wanted_ && rotation_.concerns(path)) {
        scan_wanted_ = true;
      }
    }
    for (const std::string& path : notices_.entries) {
      if (Tracked* file = table_.by_path(path)) table_.note(*file);
      if (!scan_wanted_) scan_wanted_ = rotation_.concerns(path);
    }
    const Clock::time_point now = table_.now();
    if (all || now >= scan_due_ || (scan_wanted_ && now >= scan_allowed_)) scan();
    if (all) {
      const std::vector<Tracked*> live = table_.live();
      for (Tracked* file : live) rotation_.look(*file);
    } else {
      sweep(now);
    }
    look_at_noted();
    end_leaving(now, all);
    std::erase_if(delayed_, [&](const auto& one) {
      if (now < one.first) return false;
      table_.queue(*one.second);
      return true;
    });
  }

  bool look_at_noted() {
    const std::vector<Tracked*> noted = table_.take_noted();
    for (Tracked* file : noted) {
      file->noted = false;
      rotation_.look(*file);
    }
    return !noted.empty();
  }

  void scan() {
    const Clock::time_point before = table_.now();
    scan_wanted_ = false;
    bool watched = rotation_.scan();
    watch_.keep(rotation_.directories());
    for (const std::string& directory : rotation_.directories()) watched &= watch_.add(directory);
    if (!watch_.failure().empty() && !std::exchange(polling_told_, true)) {
      table_.tell(FollowCode::polling, nullptr, {}, 0,
                  "looking for new data every " + std::to_string(options_.poll.count()) +
                      " ms, as the system cannot tell of it: " + watch_.failure());
    }
    // A directory may have changed between the look at it and its first watch.
    const bool first_watch = watched && !std::exchange(watched_, watched);
    const Clock::time_point now = table_.now();
    const bool soon = !watched || rotation_.unsettled();
    scan_due_ = first_watch ? now : now + options_.poll * (soon ? 1 : kSlowPolls);
    scan_allowed_ = now + std::max<Clock::duration>(std::chrono::milliseconds(2), 3 * (now - before));
  }

  [[nodiscard]] Clock::duration sweep_time() const { return options_.poll * (watched_ ? kSlowPolls : 1); }

  /// Looks at all files once in a sweep's time, evenly spread over it.
  void sweep(Clock::time_point now) {
    const std::size_t count = table_.live().size();
    if (count == 0) return;
    const Clock::duration whole = std::max<Clock::duration>(sweep_time(), std::chrono::milliseconds(1));
    const double part = std::min(1.0, std::chrono::duration<double>(now - sweep_start_) / whole);
    const auto target = static_cast<std::size_t>(part * static_cast<double>(count));
    for (; swept_ < target && swept_ < table_.live().size(); ++swept_) rotation_.look(*table_.live()[swept_]);
    if (part < 1.0) return;
    swept_ = 0;
    sweep_start_ = now;
  }

  /// Files without a name of theirs that have been quiet for long enough come to their end.
  void end_leaving(Clock::time_point now, bool all) {
    if (!all && now < leaving_due_) return;
    Clock::duration wait = std::min<Clock::duration>(options_.poll, options_.finish_after);
    leaving_due_ = now + std::max<Clock::duration>(wait, std::chrono::milliseconds(10));
    const std::vector<Tracked*> live = table_.live();
    for (Tracked* file : live) {
      if (file->state != FileState::leaving) continue;
      rotation_.look(*file);
      if (file->state == FileState::leaving && now >= file->grown + options_.finish_after) {
        file->ending = true;
        table_.queue(*file);
      }
    }
  }

  std::optional<std::chrono::milliseconds> time_to_wait(Clock::time_point now,
                                                        std::optional<Clock::time_point> until) const {
    Clock::time_point due = scan_due_;
    if (scan_wanted_) due = std::min(due, scan_allowed_);
    const std::size_t count = table_.live_count();
    if (count > 0) {
      const std::size_t steps = std::min<std::size_t>(count, 16);
      const auto step = static_cast<std::int64_t>(swept_ * steps / count + 1);
      due = std::min(due, sweep_start_ + sweep_time() * step / static_cast<std::int64_t>(steps));
    }
    if (table_.any_leaving()) due = std::min(due, leaving_due_);
    for (const auto& delayed : delayed_) due = std::min(due, delayed.first);
    if (until) due = std::min(due, *until);
    return std::max(std::chrono::milliseconds(0), std::chrono::ceil<std::chrono::milliseconds>(due - now));
  }

  void delay(Tracked& file, Clock::time_point until) { delayed_.emplace_back(until, &file); }

  /// One chunk of a file, if it has one.
  Got serve(Tracked& file, Chunk& out, const std::stop_token& stop) {
    const Clock::time_point now = table_.now();
    const bool last = file.ending || file.complete;
    if (!last && !worth_reading(file, now)) return Got::nothing;
    if (const int error = table_.open(file); error != 0) return not_opened(file, error, now);
    if (!file.info.compressed && file.info.head_bytes < detail::kMarkBytes && file.info.size > file.info.head_bytes) {
      FollowedFile longer = file.info;
      if (!detail::extend_head(file.fd.get(), file.info.size, longer)) {
        rotation_.content_changed(file);
        return Got::changed;
      }
      table_.update(file, [&](FollowedFile& info) {
        info.head_bytes = longer.head_bytes;
        info.head_hash = longer.head_hash;
      });
    }
    std::string why;
    const Got got = reader_.read(file, last, out, stop, why);
    switch (got) {
      case Got::chunk:
        file.read = now;
        file.read_mtime = file.seen_mtime;
        if (!file.trouble.empty()) rotation_.tell_trouble(file, {});
        if (file.info.compressed || last || file.info.size > file.info.offset || !file.newer.empty()) {
          table_.queue(file);
        }
        break;
      case Got::nothing: at_end(file); break;
      case Got::ended: ended(file); break;
      case Got::changed: rotation_.content_changed(file); break;
      case Got::failed: failed(file, why, last, now); break;
      case Got::stopped: table_.queue(file); break;
    }
    return got;
  }

  bool worth_reading(Tracked& file, Clock::time_point now) {
    if (file.info.compressed) return true;
    const std::uint64_t unread = file.info.size - std::min(file.info.size, file.info.offset);
    if (file.looked_at >= file.info.size || unread == 0) {
      at_end(file);
      return false;
    }
    const std::uint64_t begun = file.looked_at - std::min(file.looked_at, file.info.offset);
    const bool long_record = begun > kLongRecord && file.info.size - file.looked_at < begun / 4;
    const Clock::time_point due = file.read + (long_record ? options_.poll : options_.gather);
    if (now >= due || (unread >= options_.chunk_bytes && !long_record)) return true;
    delay(file, due);
    return false;
  }

  /// There is no further record: newer generations may begin, unless it has grown meanwhile.
  void at_end(Tracked& file) {
    if (file.newer.empty()) return;
    const std::uint64_t size = file.info.size;
    const std::vector<Tracked*> newer = std::exchange(file.newer, {});
    rotation_.look(file);
    if (file.newer.empty()) file.newer = newer;
    else file.newer.insert(file.newer.end(), newer.begin(), newer.end());
    if (file.state == FileState::finished || file.info.size == size) {
      table_.release_newer(file);
    } else {
      table_.queue(file);
    }
  }

  void ended(Tracked& file) {
    const std::uint64_t size = file.info.size;
    rotation_.look(file);
    if (file.state == FileState::finished) return;
    if (file.info.size != size && !file.info.compressed) {
      file.ending = false;
      table_.queue(file);
      return;
    }
    table_.tell(FollowCode::finished, &file, file.info.path, 0,
                in_quotes(file.info.path) + " was read to its end, byte " + std::to_string(file.info.offset));
    table_.finish(file);
  }

  Got not_opened(Tracked& file, int error, Clock::time_point now) {
    if (error == ENOENT || error == ESTALE) {
      if (file.state == FileState::following) {
        scan_wanted_ = true;  // where it went is found with all that moved at the same time
      } else {
        rotation_.name_lost(file);
      }
      return Got::nothing;
    }
    rotation_.tell_trouble(file, errno_text(error));
    table_.release_newer(file);
    delay(file, now + options_.poll);
    return Got::failed;
  }

  void failed(Tracked& file, const std::string& why, bool last, Clock::time_point now) {
    const bool quiet = now >= file.grown + options_.finish_after;
    if ((last && !file.info.compressed) || (file.info.compressed && quiet)) {
      table_.tell(FollowCode::given_up, &file, file.info.path, file.unread(),
                  in_quotes(file.info.path) + " is given up at byte " + std::to_string(file.info.offset) + ": " + why);
      file.cut_short = true;
      table_.finish(file);
      return;
    }
    rotation_.tell_trouble(file, why);
    table_.release_newer(file);
    delay(file, now + options_.poll);
  }

  const FollowOptions options_;
  detail::FollowTable table_;
  detail::FollowReader reader_;
  detail::FollowWatch watch_;
  detail::FollowRotation rotation_;
  detail::FollowWatch::Notices notices_;
  std::atomic<bool> look_again_{false};
  bool watched_ = false;  ///< notices come of all that can happen
  bool polling_told_ = false;
  bool scan_wanted_ = false;
  Clock::time_point scan_due_;
  Clock::time_point scan_allowed_;
  Clock::time_point sweep_start_;
  std::size_t swept_ = 0;  ///< files looked at in this sweep
  Clock::time_point leaving_due_;
  std::vector<std::pair<Clock::time_point, Tracked*>> delayed_;
  std::uint64_t seq_ = 0;
};

Follower::Follower(FollowOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Follower::~Follower() = default;

Follower::Next Follower::next(Chunk& out, const std::stop_token& stop, std::optional<Clock::time_point> until) {
  return impl_->next(out, stop, until);
}
void Follower::look_again() noexcept { impl_->look_again(); }
FollowedFile Follower::describe(std::uint32_t id) const { return impl_->table().snapshot(id); }
std::vector<FollowedFile> Follower::files() const { return impl_->table().all(); }
std::vector<FollowLag> Follower::lag() const { return impl_->table().lag(); }

}  // namespace penstock::io
