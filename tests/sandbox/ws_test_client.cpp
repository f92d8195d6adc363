#include "sandbox/ws_test_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <stdexcept>

namespace penstock::test {
namespace {

constexpr std::chrono::seconds kPatience{20};

std::string inflate_all(std::string_view packed, int window_bits) {
  z_stream stream{};
  if (inflateInit2(&stream, window_bits) != Z_OK) throw std::runtime_error("zlib");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string plain;
  int status = Z_OK;
  do {
    const std::size_t begin = plain.size();
    plain.resize(begin + 65536);
    stream.next_out = reinterpret_cast<Bytef*>(plain.data() + begin);
    stream.avail_out = 65536;
    status = inflate(&stream, Z_SYNC_FLUSH);
    plain.resize(plain.size() - stream.avail_out);
  } while (status == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
  inflateEnd(&stream);
  if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) throw std::runtime_error("bad deflate data");
  return plain;
}

std::string deflate_message(std::string_view plain) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::runtime_error("zlib");
  std::string packed(deflateBound(&stream, plain.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_SYNC_FLUSH);
  packed.resize(packed.size() - stream.avail_out - 4);
  deflateEnd(&stream);
  return packed;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::string HttpReply::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (same_name(key, name)) return value;
  }
  return {};
}

RawConnection::RawConnection(std::uint16_t port) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(descriptor_);
    throw std::runtime_error("cannot connect to the test server");
  }
}

RawConnection::~RawConnection() { ::close(descriptor_); }

bool RawConnection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void RawConnection::close_sending() { ::shutdown(descriptor_, SHUT_WR); }

bool RawConnection::fill(std::chrono::milliseconds timeout) {
  pollfd waiting{descriptor_, POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(timeout.count())) <= 0) return false;
  const std::size_t begin = buffer_.size();
  buffer_.resize(begin + 65536);
  const ssize_t got = ::recv(descriptor_, buffer_.data() + begin, 65536, 0);
  buffer_.resize(begin + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got <= 0) ended_ = true;
  return got > 0;
}

std::optional<std::string> RawConnection::receive_some(std::chrono::milliseconds timeout) {
  if (buffer_.empty() && !fill(timeout)) return ended_ ? std::optional<std::string>("") : std::nullopt;
  return std::exchange(buffer_, {});
}

HttpReply RawConnection::exchange(std::string_view method, std::string_view target, const Headers& headers,
                                  std::optional<std::string_view> body) {
  std::string request = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\n";
  bool host = false;
  bool length = false;
  for (const auto& [name, value] : headers) {
    request += name + ": " + value + "\r\n";
    host |= same_name(name, "Host");
    length |= same_name(name, "Content-Length") || same_name(name, "Transfer-Encoding");
  }
  if (!host) request += "Host: 127.0.0.1\r\n";
  if (body && !length) request += "Content-Length: " + std::to_string(body->size()) + "\r\n";
  request += "\r\n";
  if (body) request += *body;
  HttpReply reply;
  if (!send(request)) return reply;
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill(kPatience)) return reply;
  }
  const std::string head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  reply.status = std::stoi(head.substr(9, 3));
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t line_end = head.find("\r\n", at);
    const std::size_t colon = head.find(':', at);
    const std::size_t value = head.find_first_not_of(' ', colon + 1);
    reply.headers.emplace_back(head.substr(at, colon - at), head.substr(value, line_end - value));
    at = line_end + 2;
  }
  if (reply.status == 100) {
    throw std::runtime_error("unexpected 100 Continue");
  }
  if (reply.status == 101 || reply.status == 204) return reply;
  const auto need = [&](std::size_t count) {
    while (buffer_.size() < count) {
      if (!fill(kPatience)) throw std::runtime_error("HTTP body cut short");
    }
  };
  if (reply.header("Transfer-Encoding") == "chunked") {
    for (;;) {
      std::size_t line = 0;
      while ((line = buffer_.find("\r\n")) == std::string::npos) need(buffer_.size() + 1);
      const auto size = static_cast<std::size_t>(std::stoul(buffer_.substr(0, line), nullptr, 16));
      need(line + 2 + size + 2);
      reply.body += buffer_.substr(line + 2, size);
      buffer_.erase(0, line + 2 + size + 2);
      if (size == 0) break;
    }
  } else if (const std::string text = reply.header("Content-Length"); !text.empty() && method != "HEAD") {
    need(std::stoul(text));
    reply.body = buffer_.substr(0, std::stoul(text));
    buffer_.erase(0, reply.body.size());
  }
  if (reply.header("Content-Encoding") == "gzip") reply.body = inflate_all(reply.body, 15 + 16);
  return reply;
}

HttpReply http(std::uint16_t port, std::string_view method, std::string_view target, const Headers& headers,
               std::optional<std::string_view> body) {
  RawConnection connection(port);
  return connection.exchange(method, target, headers, body);
}

Headers upgrade_headers() {
  return {{"Connection", "Upgrade"},
          {"Upgrade", "websocket"},
          {"Sec-WebSocket-Version", "13"},
          {"Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="}};
}

WsTestClient::WsTestClient(std::uint16_t port, std::string_view path, bool deflate)
    : WsTestClient(port, path, [&] {
        auto headers = upgrade_headers();
        if (deflate) headers.emplace_back("Sec-WebSocket-Extensions", "permessage-deflate");
        return headers;
      }()) {
  if (upgrade.status != 101) throw std::runtime_error("upgrade refused: " + std::to_string(upgrade.status));
}

WsTestClient::WsTestClient(std::uint16_t port, std::string_view path, const Headers& headers, std::string_view method)
    : RawConnection(port) {
  upgrade = exchange(method, path, headers, std::nullopt);
}

bool WsTestClient::send_message(std::uint8_t opcode, std::string_view payload, How how) {
  const std::string packed = how.compressed ? deflate_message(payload) : std::string(payload);
  const std::size_t part = packed.size() / static_cast<std::size_t>(how.frames);
  std::string bytes;
  for (int i = 0; i < how.frames; ++i) {
    const bool last = i + 1 == how.frames;
    const auto piece =
        std::string_view(packed).substr(static_cast<std::size_t>(i) * part, last ? std::string_view::npos : part);
    bytes += static_cast<char>((last ? 0x80 : 0) | (i == 0 ? opcode : 0) | (i == 0 && how.compressed ? 0x40 : 0));
    const char mask_bit = static_cast<char>(how.masked ? 0x80 : 0);
    if (piece.size() < 126) {
      bytes += static_cast<char>(mask_bit | static_cast<char>(piece.size()));
    } else {
      const int width = piece.size() < 65536 ? 2 : 8;
      bytes += static_cast<char>(mask_bit | (width == 2 ? 126 : 127));
      for (int b = width - 1; b >= 0; --b) bytes += static_cast<char>(piece.size() >> (8 * b));
    }
    constexpr char kMask[4] = {0x12, '\x9a', 0x00, 0x7f};
    if (how.masked) bytes.append(kMask, 4);
    for (std::size_t k = 0; k < piece.size(); ++k) {
      bytes += how.masked ? static_cast<char>(piece[k] ^ kMask[k % 4]) : piece[k];
    }
  }
  return send(bytes);
}

std::optional<WsTestClient::Message> WsTestClient::receive(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto need = [&](std::size_t count) {
    while (buffer_.size() < count) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0 || (!fill(left) && ended_)) return false;
    }
    return true;
  };
  Message message;
  for (;;) {
    if (!need(2)) return std::nullopt;
    const auto first = static_cast<std::uint8_t>(buffer_[0]);
    std::size_t length = static_cast<std::uint8_t>(buffer_[1]) & 0x7fU;
    if ((static_cast<std::uint8_t>(buffer_[1]) & 0x80U) != 0) throw std::runtime_error("the server masked a frame");
    std::size_t head = 2;
    if (length >= 126) {
      const std::size_t width = length == 126 ? 2 : 8;
      if (!need(2 + width)) return std::nullopt;
      length = 0;
      for (std::size_t i = 0; i < width; ++i) length = length << 8 | static_cast<std::uint8_t>(buffer_[2 + i]);
      head += width;
    }
    if (!need(head + length)) return std::nullopt;
    const std::uint8_t opcode = first & 0x0f;
    if (message.frames == 0) {
      message.opcode = opcode;
      message.compressed = (first & 0x40) != 0;
    } else if (opcode != 0 || (first & 0x40) != 0) {
      throw std::runtime_error("the server broke a message in two wrongly");
    }
    ++message.frames;
    message.payload.append(buffer_, head, length);
    buffer_.erase(0, head + length);
    if ((first & 0x80) != 0) break;
  }
  if (message.compressed) {
    message.payload.append("\x00\x00\xff\xff", 4);
    message.payload = inflate_all(message.payload, -15);
  }
  return message;
}

std::string WsTestClient::ask(std::string_view json) {
  send_message(kText, json);
  const auto message = receive();
  return message ? message->payload : std::string();
}

std::string WsTestClient::ask_binary(std::string_view bytes) {
  send_message(kBinary, bytes);
  const auto message = receive();
  return message ? message->payload : std::string();
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

}  // namespace penstock::test
