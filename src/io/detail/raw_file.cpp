#include "io/detail/raw_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace penstock::io::detail {
namespace {

std::string in_quotes(const std::string& name) { return std::string("'").append(printable(name, 400)).append("'"); }

std::string advice(int error_number) {
  switch (error_number) {
    case EACCES:
    case EPERM: return "; check its owner and mode, or run as a user who may read it";
    case ENOENT: return "; it was removed, or it is a link to nowhere";
    case EMFILE:
    case ENFILE: return "; raise the limit of open files (ulimit -n)";
    default: return "";
  }
}

[[noreturn]] void refuse(const std::string& name, const char* what, const char* instead) {
  throw Error(Errc::io, "cannot read '" + printable(name, 400) + "': it is " + what + "; " + instead);
}

void refuse_special(const std::string& name, int fd, const struct stat& status) {
  if (S_ISDIR(status.st_mode)) refuse(name, "a directory", "name the files in it, or check that it may be listed");
  if (S_ISSOCK(status.st_mode)) refuse(name, "a socket", "pipe its data into standard input ('-')");
  if (S_ISBLK(status.st_mode)) refuse(name, "a block device", "name a file");
  if (S_ISCHR(status.st_mode) && ::isatty(fd) == 0) {
    struct stat null_device {};
    if (::stat("/dev/null", &null_device) == 0 && null_device.st_rdev == status.st_rdev) return;
    refuse(name, "a device", "pipe its data into standard input ('-')");
  }
}

/// Whether a regular file is one of those that the kernel writes while they are read (/proc, /sys): their size says
/// nothing, it is 0 or a page.
bool is_made_up(int fd, const struct stat& status) {
  if (!S_ISREG(status.st_mode) || status.st_blocks != 0) return false;
  if (status.st_size == 0) {
    char byte = 0;
    struct stat now {};
    return ::pread(fd, &byte, 1, 0) == 1 && ::fstat(fd, &now) == 0 && now.st_size == 0;
  }
  constexpr decltype(statfs::f_type) kSysfs = 0x62656572;
  struct statfs system {};
  return ::fstatfs(fd, &system) == 0 && system.f_type == kSysfs;
}

bool same_time(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

RawFile::RawFile(const Input& input) : name_(input.name) {
  if (input.standard_input) {
    fd_ = STDIN_FILENO;
  } else {
    path_ = input.path.string();
    // Not blocking: opening a FIFO must not wait for its writer where no stop can be heard. A socket is told apart
    // before it is opened, as open() would only say "no such device or address".
    struct stat before {};
    if (::stat(path_.c_str(), &before) == 0) {
      if (S_ISSOCK(before.st_mode) || S_ISBLK(before.st_mode)) refuse_special(name_, -1, before);
    }
    owned_ = Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    fd_ = owned_.get();
    if (fd_ < 0) {
      const int error_number = errno;
      throw Error(Errc::io, "cannot open " + in_quotes(name_) + ": " + errno_text(error_number) + advice(error_number));
    }
  }
  if (::fstat(fd_, &opened_) != 0) {
    const int error_number = errno;
    throw Error(Errc::io, "cannot look at " + in_quotes(name_) + ": " + errno_text(error_number) +
                              (input.standard_input ? "; it is not connected" : ""));
  }
  refuse_special(name_, fd_, opened_);
  regular_ = S_ISREG(opened_.st_mode);
  made_up_ = is_made_up(fd_, opened_);
  if (regular_ && !made_up_) {
    const auto end = static_cast<std::uint64_t>(opened_.st_size);
    const off_t at = ::lseek(fd_, 0, SEEK_CUR);  // standard input may be a file that somebody has read the front of
    size_ = end - std::min(end, static_cast<std::uint64_t>(std::max<off_t>(at, 0)));
  } else if (!regular_) {
    wake_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }
}

bool RawFile::wait_readable(const Wait& wait, ReadState& why_not) {
  const std::stop_callback wake(wait.stop, [this] {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
  });
  while (true) {
    if (wait.stop.stop_requested()) {
      why_not = ReadState::stopped;
      return false;
    }
    int timeout_ms = -1;
    if (wait.deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*wait.deadline - std::chrono::steady_clock::now());
      timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
    }
    pollfd polled[2] = {{fd_, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    const int ready = ::poll(polled, 2, timeout_ms);
    if (ready > 0 && polled[0].revents != 0) return true;
    if (ready == 0) {
      why_not = ReadState::idle;
      return false;
    }
    if (ready < 0 && errno != EINTR) {
      const int error_number = errno;
      throw Error(Errc::io, "cannot wait for " + in_quotes(name_) + ": " + errno_text(error_number));
    }
  }
}

ReadResult RawFile::read(char* to, std::size_t most, const Wait& wait) {
  if (regular_ && !made_up_) {
    most = static_cast<std::size_t>(std::min<std::uint64_t>(most, size_ - consumed()));
    if (most == 0) return {ReadState::end, 0};
  }
  while (true) {
    if (wait.stop.stop_requested()) return {ReadState::stopped, 0};
    ReadState why_not = ReadState::end;
    if (!regular_ && !wait_readable(wait, why_not)) return {why_not, 0};
    const ssize_t got = ::read(fd_, to, most);
    if (got > 0) {
      consumed_.fetch_add(static_cast<std::uint64_t>(got), std::memory_order_relaxed);
      return {ReadState::data, static_cast<std::size_t>(got)};
    }
    if (got == 0) {
      if (regular_ && !made_up_) throw_truncated();
      return {ReadState::end, 0};
    }
    const int error_number = errno;
    if (error_number == EINTR || error_number == EAGAIN) continue;
    throw Error(Errc::io, "cannot read " + in_quotes(name_) + " behind byte " + std::to_string(consumed()) + ": " +
                              errno_text(error_number) + "; what came before has been taken");
  }
}

bool RawFile::seek(std::uint64_t at) noexcept {
  if (!regular_ || made_up_ || path_.empty() || at > size_ || ::lseek(fd_, static_cast<off_t>(at), SEEK_SET) < 0)
    return false;
  consumed_.store(at, std::memory_order_relaxed);
  return true;
}

bool RawFile::read_at(std::uint64_t offset, char* to, std::size_t most, std::size_t& got) const {
  got = 0;
  if (!regular_ || made_up_ || path_.empty()) return false;
  while (got < most) {
    const ssize_t count = ::pread(fd_, to + got, most - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  return true;
}

bool RawFile::shrunk() const noexcept {
  struct stat now {};
  return regular_ && !made_up_ && (::fstat(fd_, &now) != 0 || now.st_size < opened_.st_size);
}

void RawFile::throw_truncated() const {
  throw Error(Errc::io, in_quotes(name_) + " was truncated while it was read: it had " +
                            std::to_string(opened_.st_size) +
                            " bytes when it was opened; load a copy that nobody writes to");
}

void RawFile::check_unchanged() const {
  if (!regular_ || made_up_) return;
  struct stat now {};
  if (::fstat(fd_, &now) != 0 || now.st_size < opened_.st_size) throw_truncated();
  if (now.st_size == opened_.st_size && !same_time(now.st_mtim, opened_.st_mtim)) {
    throw Error(Errc::io, in_quotes(name_) +
                              " was written over while it was read: its time of change moved and its size "
                              "did not; load it again, or a copy that nobody writes to");
  }
  struct stat named {};
  if (path_.empty() || ::stat(path_.c_str(), &named) != 0) return;
  if (named.st_ino != opened_.st_ino || named.st_dev != opened_.st_dev) {
    throw Error(Errc::io, in_quotes(name_) +
                              " was replaced while it was read: another file has its name now; the old "
                              "file was read to its end, load the new one too if it holds other rows");
  }
}

}  // namespace penstock::io::detail
