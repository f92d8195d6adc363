#include "client/scripted_server.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <csignal>
#include <cstring>
#include <stdexcept>

namespace penstock::client {
namespace {

int listen_anywhere(std::uint16_t& port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 64) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("cannot listen on 127.0.0.1");
  port = ntohs(address.sin_port);
  return listener;
}

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return out;
}

std::string sha1(std::string_view bytes) {
  std::string out(20, '\0');
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), nullptr, EVP_sha1(), nullptr);
  return out;
}

// One message as permessage-deflate without context takeover (RFC 7692, 7.2.1): the flush's tail is left out.
std::string deflated(std::string_view bytes) {
  z_stream stream{};
  deflateInit2(&stream, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  std::string out(bytes.size() + bytes.size() / 100 + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_SYNC_FLUSH);
  out.resize(out.size() - stream.avail_out - 4);
  deflateEnd(&stream);
  return out;
}

std::string inflated(std::string bytes) {
  bytes.append("\x00\x00\xff\xff", 4);
  z_stream stream{};
  inflateInit2(&stream, -15);
  stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  char piece[4096];
  do {
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    const int status = inflate(&stream, Z_SYNC_FLUSH);
    out.append(piece, sizeof piece - stream.avail_out);
    if (status != Z_OK) break;
  } while (stream.avail_out == 0 || stream.avail_in > 0);
  inflateEnd(&stream);
  return out;
}

std::string header_value(const std::string& head, std::string_view name) {
  const auto at = head.find(std::string("\r\n") + std::string(name) + ": ");
  if (at == std::string::npos) return {};
  const auto begin = at + name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

}  // namespace

std::uint64_t request_id(const Peer::Message& message) {
  if (!message.text) {
    std::uint64_t id = 0;
    std::memcpy(&id, message.bytes.data(), sizeof id);
    return id;
  }
  const auto json = message.json();
  return json.contains("args") && json["args"].is_object() ? json["args"].value("req_id", std::uint64_t{0}) : 0;
}

Peer::Peer(int socket, SSL_CTX* tls) : socket_(socket) {
  if (tls != nullptr) {
    tls_ = SSL_new(tls);
    SSL_set_fd(tls_, socket);
  }
}

Peer::~Peer() {
  if (tls_ != nullptr) SSL_free(tls_);
  ::close(socket_);
}

void Peer::wake() { ::shutdown(socket_, SHUT_RDWR); }

void Peer::drop() {
  const linger hard{1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  throw PeerGone();
}

std::string Peer::read_some() {
  char piece[65536];
  if (tls_ != nullptr) {
    if (!SSL_is_init_finished(tls_) && SSL_accept(tls_) != 1) throw PeerGone();
    const int n = SSL_read(tls_, piece, sizeof piece);
    if (n <= 0) throw PeerGone();
    return {piece, static_cast<std::size_t>(n)};
  }
  const auto n = ::recv(socket_, piece, sizeof piece, 0);
  if (n <= 0) throw PeerGone();
  return {piece, static_cast<std::size_t>(n)};
}

void Peer::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = tls_ != nullptr ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                                   : static_cast<int>(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    if (n <= 0) throw PeerGone();
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void Peer::wait_for_end() {
  for (;;) {
    if (upgraded_) receive();
    else read_some();
  }
}

void Peer::fill(std::size_t bytes) {
  while (in_.size() < bytes) in_ += read_some();
}

std::string Peer::read_head() {
  std::size_t end = 0;
  while ((end = in_.find("\r\n\r\n")) == std::string::npos) in_ += read_some();
  head_ = in_.substr(0, end + 4);
  in_.erase(0, end + 4);
  return head_;
}

std::string Peer::read_body() {
  const auto length = header_value(head_, "Content-Length");
  const std::size_t bytes = length.empty() ? 0 : std::stoul(length);
  fill(bytes);
  auto body = in_.substr(0, bytes);
  in_.erase(0, bytes);
  return body;
}

bool Peer::upgrade(bool allow_deflate) {
  read_head();
  const auto key = header_value(head_, "Sec-WebSocket-Key");
  if (key.empty()) return false;
  upgraded_ = true;
  deflate_ = allow_deflate && head_.find("permessage-deflate") != std::string::npos;
  write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
        base64(sha1(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) +
        (deflate_ ? "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                    "client_no_context_takeover\r\n\r\n"
                  : "\r\n\r\n"));
  return true;
}

Peer::Message Peer::read_frame(int& opcode, bool& final) {
  fill(2);
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(in_[i]); };
  opcode = byte(0) & 15;
  final = (byte(0) & 0x80) != 0;
  const bool compressed = (byte(0) & 0x40) != 0;
  if ((byte(1) & 0x80) == 0) throw std::runtime_error("the client sent a frame without mask");
  std::size_t length = byte(1) & 0x7F;
  const std::size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
  fill(2 + more + 4);
  if (more > 0) length = 0;
  for (std::size_t i = 0; i < more; ++i) length = length << 8 | byte(2 + i);
  const std::size_t head = 2 + more + 4;
  fill(head + length);
  Message message;
  message.text = compressed;  // for receive()
  message.bytes = in_.substr(head, length);
  for (std::size_t i = 0; i < length; ++i)
    message.bytes[i] = static_cast<char>(message.bytes[i] ^ in_[head - 4 + i % 4]);
  in_.erase(0, head + length);
  return message;
}

Peer::Message Peer::receive() {
  if (!kept_.empty()) {
    auto message = std::move(kept_.front());
    kept_.erase(kept_.begin());
    return message;
  }
  Message whole;
  bool compressed = false;
  for (bool first = true;;) {
    int opcode = 0;
    bool final = false;
    auto frame = read_frame(opcode, final);
    if (opcode == 8) throw PeerGone();
    if (opcode == 9) {
      write_frame(0x8A, frame.bytes);
      continue;
    }
    if (opcode == 10) {
      pongs_.push_back(frame.bytes);
      continue;
    }
    if (first) {
      whole.text = opcode == 1;
      compressed = frame.text;
      first = false;
    }
    whole.bytes += frame.bytes;
    if (final) break;
  }
  if (compressed) whole.bytes = inflated(std::move(whole.bytes));
  return whole;
}

void Peer::write_frame(int first_byte, std::string_view payload) {
  std::string frame(1, static_cast<char>(first_byte));
  const std::size_t more = payload.size() < 126 ? 0 : payload.size() < 65536 ? 2 : 8;
  frame += static_cast<char>(more == 0 ? payload.size() : more == 2 ? 126 : 127);
  for (std::size_t i = more; i > 0; --i) frame += static_cast<char>(payload.size() >> 8 * (i - 1));
  write(frame += payload);
}

void Peer::send(std::string_view bytes, bool text, std::size_t frames) {
  const std::string payload = deflate_ ? deflated(bytes) : std::string(bytes);
  const std::size_t piece = (payload.size() + frames - 1) / frames;
  for (std::size_t i = 0; i < frames; ++i) {
    const int opcode = i > 0 ? 0 : (text ? 1 : 2) | (deflate_ ? 0x40 : 0);
    const auto begin = std::min(payload.size(), i * piece);
    write_frame(opcode | (i + 1 == frames ? 0x80 : 0), std::string_view(payload).substr(begin, piece));
  }
}

void Peer::ping(std::string_view payload) { write_frame(0x89, payload); }

std::string Peer::receive_pong() {
  while (pongs_.empty()) {
    int opcode = 0;
    bool final = false;
    auto frame = read_frame(opcode, final);
    if (opcode == 10) pongs_.push_back(frame.bytes);
    else if (opcode == 8) throw PeerGone();
    else kept_.push_back({opcode == 1, frame.bytes});
  }
  auto pong = pongs_.front();
  pongs_.erase(pongs_.begin());
  return pong;
}

void Peer::answer(const Message& request, std::string_view action, std::string_view members) {
  send_text("{\"code\":0,\"message\":\"\",\"action\":\"" + std::string(action) +
            "\",\"req_id\":" + std::to_string(request_id(request)) + ",\"timing\":5" + (members.empty() ? "" : ",") +
            std::string(members) + "}");
}

void Peer::refuse(const Message& request, std::string_view action, int code, std::string_view message) {
  nlohmann::json answer{{"code", code}, {"message", message}, {"action", action}, {"req_id", request_id(request)}};
  send_text(answer.dump());
}

void Peer::log_in(std::string_view version) {
  if (head_.empty() && !upgrade()) throw std::runtime_error("the client asked for no upgrade");
  const auto asked = receive();
  if (asked.json()["action"] != "version") throw std::runtime_error("the client did not ask for the version first");
  answer(asked, "version", "\"version\":\"" + std::string(version) + "\"");
  const auto login = receive();
  if (login.json()["action"] != "conn") throw std::runtime_error("the client did not log in");
  answer(login, "conn", "\"version\":\"" + std::string(version) + "\"");
}

ScriptedServer::ScriptedServer(Script script, const std::string& certificate_file, const std::string& key_file)
    : script_(std::move(script)) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  if (!certificate_file.empty()) {
    tls_ = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls_, certificate_file.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
      throw std::runtime_error("cannot read the test certificate");
  }
  listener_ = listen_anywhere(port_);
  acceptor_ = std::jthread([this] { accept_all(); });
}

void ScriptedServer::accept_all() {
  while (!stopping_) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const auto peer = std::make_shared<Peer>(socket, tls_);
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    peers_.push_back(peer);
    ++running_;
    const std::size_t index = connections_++;
    threads_.emplace_back([this, peer = peer, index]() mutable {
      std::string failure;
      try {
        script_(*peer, index);
      } catch (const PeerGone&) {
      } catch (const std::exception& error) {
        failure = error.what();
      }
      const std::lock_guard end(mutex_);
      if (!failure.empty()) failures_.push_back(failure);
      peers_.remove(peer);
      peer.reset();
      --running_;
      ended_.notify_all();
    });
  }
}

std::vector<std::string> ScriptedServer::failures() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return running_ == 0; });
  return failures_;
}

ScriptedServer::~ScriptedServer() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& peer : peers_) peer->wake();
  }
  threads_.clear();
  ::close(listener_);
  if (tls_ != nullptr) SSL_CTX_free(tls_);
}

std::uint16_t free_port() {
  std::uint16_t port = 0;
  ::close(listen_anywhere(port));
  return port;
}

}  // namespace penstock::client
