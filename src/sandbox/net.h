#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace penstock::sandbox {

/// One accepted TCP connection with a read buffer. One thread reads; writers take turns (the caller sees to that);
/// shut_down() is for any thread. Owns the descriptor.
///
/// Plain sockets and not Beast, because the recorded server does what Beast cannot be told to: it takes text messages
/// that are not UTF-8, names the reason in a close frame, and ends on CLOSE without a CLOSE of its own.
class Socket {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Wait { ready, timed_out };

  explicit Socket(int descriptor);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// Waits until read_some() has something to say (bytes or the end).
  Wait wait_readable(Clock::time_point deadline);
  /// Waits until fill() has something to say, whatever is buffered.
  Wait wait_for_more(Clock::time_point deadline);
  /// What was read and not taken yet.
  [[nodiscard]] std::string_view buffered() const { return std::string_view(buffer_).substr(begin_); }
  void consume(std::size_t count) { begin_ += count; }
  /// Reads more into buffered(). False at the end or on failure. Blocks: call wait_for_more() first.
  bool fill();
  /// Takes 1 to `count` bytes to `to`, from the buffer or straight from the socket. 0 at the end. May block.
  std::size_t read_some(char* to, std::size_t count);

  /// Writes both pieces. False when the peer is gone, took nothing for 60 s, or after shut_down().
  bool write_all(std::string_view head, std::string_view body = {});
  /// Ends both directions; blocked calls of other threads return.
  void shut_down() noexcept;

 private:
  int descriptor_;
  std::string buffer_;
  std::size_t begin_ = 0;
};

}  // namespace penstock::sandbox
