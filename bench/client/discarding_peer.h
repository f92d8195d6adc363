#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

/// The other end of a WebSocket: takes the upgrade, reads the first message as it should be read, then throws away all
/// that comes, as fast as the system hands it out.
namespace penstock::bench {

class DiscardingPeer {
 public:
  /// `deflate`: agrees to permessage-deflate.
  explicit DiscardingPeer(bool deflate) : deflate_(deflate) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 1) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("cannot listen");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~DiscardingPeer() {
    ::shutdown(listener_, SHUT_RDWR);
    if (const int connection = connection_.load(); connection >= 0) ::shutdown(connection, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  DiscardingPeer(const DiscardingPeer&) = delete;
  DiscardingPeer& operator=(const DiscardingPeer&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// Bytes behind the upgrade.
  [[nodiscard]] std::uint64_t received() const noexcept { return received_.load(); }
  /// The first message, unmasked and inflated; waits for it, or for the end of the connection.
  std::string first_message() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return have_first_; });
    return first_;
  }

 private:
  void serve() {
    const int connection = ::accept(listener_, nullptr, nullptr);
    if (connection < 0) return finish_first({});
    connection_ = connection;
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos)
      if (!read_some(connection, head)) break;
    const auto answer = upgrade(head);
    if (::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(answer.size())) {
      read_first(connection);
      std::vector<char> sink(std::size_t{1} << 20);
      for (ssize_t n; (n = ::recv(connection, sink.data(), sink.size(), 0)) > 0;)
        received_ += static_cast<std::uint64_t>(n);
    }
    finish_first({});
    connection_ = -1;
    ::close(connection);
  }

  [[nodiscard]] std::string upgrade(const std::string& head) const {
    static constexpr std::string_view kKey = "Sec-WebSocket-Key: ";
    const auto at = head.find(kKey);
    const auto key = at == std::string::npos ? "" : head.substr(at + kKey.size(), 24);
    const auto salted = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
    SHA1(reinterpret_cast<const unsigned char*>(salted.data()), salted.size(), digest.data());
    std::array<unsigned char, 32> text{};
    const auto length = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest.size()));
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
           std::string(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(length)) +
           (deflate_ ? "\r\nSec-WebSocket-Extensions: permessage-deflate" : "") + "\r\n\r\n";
  }

  bool read_some(int connection, std::string& into) {
    std::array<char, 65536> piece{};
    const auto n = ::recv(connection, piece.data(), piece.size(), 0);
    if (n <= 0) return false;
    into.append(piece.data(), static_cast<std::size_t>(n));
    return true;
  }

  // Frames until the one that ends the message; RFC 6455, section 5.2.
  void read_first(int connection) {
    std::string in, message;
    bool compressed = false, last = false;
    while (!last) {
      const auto need = [&](std::size_t bytes) {
        while (in.size() < bytes)
          if (!read_some(connection, in)) return false;
        return true;
      };
      if (!need(2)) return;
      const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(in[i]); };
      last = (byte(0) & 0x80) != 0;
      compressed |= (byte(0) & 0x40) != 0;
      std::size_t size = byte(1) & 0x7F;
      const std::size_t extra = size == 126 ? 2 : size == 127 ? 8 : 0;
      if (!need(2 + extra + 4)) return;
      if (extra > 0) size = 0;
      for (std::size_t i = 0; i < extra; ++i) size = size << 8 | byte(2 + i);
      const std::size_t begin = 2 + extra + 4;
      if (!need(begin + size)) return;
      for (std::size_t i = 0; i < size; ++i) message += static_cast<char>(in[begin + i] ^ in[begin - 4 + i % 4]);
      received_ += begin + size;
      in.erase(0, begin + size);
    }
    received_ += in.size();
    finish_first(compressed ? inflated(message + std::string("\0\0\xFF\xFF", 4)) : message);
  }

  static std::string inflated(const std::string& bytes) {
    z_stream stream{};
    inflateInit2(&stream, -15);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    std::string out;
    std::array<char, 65536> piece{};
    do {
      stream.next_out = reinterpret_cast<Bytef*>(piece.data());
      stream.avail_out = piece.size();
      if (inflate(&stream, Z_SYNC_FLUSH) < 0) break;
      out.append(piece.data(), piece.size() - stream.avail_out);
    } while (stream.avail_out == 0);
    inflateEnd(&stream);
    return out;
  }

  void finish_first(std::string message) {
    const std::lock_guard lock(mutex_);
    if (!have_first_) first_ = std::move(message);
    have_first_ = true;
    changed_.notify_all();
  }

  const bool deflate_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connection_{-1};
  std::atomic<std::uint64_t> received_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool have_first_ = false;
  std::string first_;
  std::thread thread_;
};

}  // namespace penstock::bench
