#include "sandbox/net.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace penstock::sandbox {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::chrono::seconds kWriteTimeout{60};

/// Milliseconds for poll(), rounded up, within int.
int poll_timeout(Socket::Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Socket::Clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 3'600'000));
}

}  // namespace

Socket::Socket(int descriptor) : descriptor_(descriptor) {
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Socket::~Socket() { ::close(descriptor_); }

Socket::Wait Socket::wait_readable(Clock::time_point deadline) {
  return begin_ < buffer_.size() ? Wait::ready : wait_for_more(deadline);
}

Socket::Wait Socket::wait_for_more(Clock::time_point deadline) {
  pollfd waiting{descriptor_, POLLIN, 0};
  for (;;) {
    const int ready = ::poll(&waiting, 1, poll_timeout(deadline));
    if (ready > 0) return Wait::ready;
    if (ready < 0 && errno != EINTR) return Wait::ready;  // read_some() will see the error
    if (Clock::now() >= deadline) return Wait::timed_out;
  }
}

bool Socket::fill() {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  const std::size_t old_size = buffer_.size();
  buffer_.resize(old_size + kReadBytes);
  ssize_t count = 0;
  do {
    count = ::recv(descriptor_, buffer_.data() + old_size, kReadBytes, 0);
  } while (count < 0 && errno == EINTR);
  buffer_.resize(old_size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  return count > 0;
}

std::size_t Socket::read_some(char* to, std::size_t count) {
  if (begin_ == buffer_.size() && count < kReadBytes && !fill()) return 0;
  if (begin_ < buffer_.size()) {
    const std::size_t taken = std::min(count, buffer_.size() - begin_);
    std::memcpy(to, buffer_.data() + begin_, taken);
    begin_ += taken;
    return taken;
  }
  ssize_t received = 0;
  do {
    received = ::recv(descriptor_, to, count, 0);
  } while (received < 0 && errno == EINTR);
  return static_cast<std::size_t>(std::max<ssize_t>(received, 0));
}

bool Socket::write_all(std::string_view head, std::string_view body) {
  auto deadline = Clock::now() + kWriteTimeout;
  while (!head.empty() || !body.empty()) {
    // sendmsg does not write through the pointers; iovec has no const form.
    std::array<iovec, 2> pieces{iovec{const_cast<char*>(head.data()), head.size()},
                                iovec{const_cast<char*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    const ssize_t sent = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
      pollfd waiting{descriptor_, POLLOUT, 0};
      const int ready = ::poll(&waiting, 1, poll_timeout(deadline));
      if (ready == 0 && Clock::now() >= deadline) return false;
      if (ready > 0 && (waiting.revents & (POLLERR | POLLHUP)) != 0 && (waiting.revents & POLLOUT) == 0) return false;
      continue;
    }
    deadline = Clock::now() + kWriteTimeout;
    const std::size_t from_head = std::min(head.size(), static_cast<std::size_t>(sent));
    head.remove_prefix(from_head);
    body.remove_prefix(static_cast<std::size_t>(sent) - from_head);
  }
  return true;
}

void Socket::shut_down() noexcept { ::shutdown(descriptor_, SHUT_RDWR); }

}  // namespace penstock::sandbox
