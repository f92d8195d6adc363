#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "client/connection.h"
#include "client/scripted_server.h"

// What is behind an address that does not answer as an adapter: said within five seconds, with what to do.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Opens `dsn`, expects it to fail with the code and the words, and never with the password.
void expect_failure(const std::string& dsn, Errc code, const std::vector<std::string>& words) {
  const auto begin = std::chrono::steady_clock::now();
  try {
    Connection::open(Options::parse(dsn));
    ADD_FAILURE() << dsn << ": connected";
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const auto& word : words) EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find("taosdata"), std::string::npos) << error.what();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5500ms);
}

std::string http(const std::string& status, const std::string& body, const std::string& headers = {}) {
  return "HTTP/1.1 " + status + "\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

ScriptedServer::Script answers_with(const std::string& answer) {
  return [answer](Peer& peer, std::size_t) {
    peer.read_head();
    peer.write(answer);
  };
}

TEST(Recognition, NobodyListens) {
  const auto port = std::to_string(free_port());
  expect_failure("ws://127.0.0.1:" + port, Errc::unreachable, {"127.0.0.1:" + port, "refused", "taosAdapter"});
}

TEST(Recognition, UnknownHost) {
  expect_failure("ws://no-such-host.invalid:6041", Errc::unreachable, {"cannot find the host 'no-such-host.invalid'"});
}

TEST(Recognition, OtherHttpServers) {
  const ScriptedServer not_found(answers_with(http("404 Not Found", "404 page not found")));
  expect_failure(not_found.dsn(), Errc::unreachable, {"no adapter", "404 Not Found", "6041"});
  const ScriptedServer page(answers_with(http("200 OK", "<html></html>")));
  expect_failure(page.dsn(), Errc::unreachable, {"no adapter", "200 OK"});
  const ScriptedServer refused(answers_with(http("401 Unauthorized", "")));
  expect_failure(refused.dsn("?token=wrong"), Errc::auth, {"401", "token"});
  const ScriptedServer busy(answers_with(http("503 Service Unavailable", "")));
  expect_failure(busy.dsn(), Errc::unreachable, {"503", "again later"});
  const ScriptedServer moved(answers_with(http("307 Temporary Redirect", "", "Location: https://h/ws\r\n")));
  expect_failure(moved.dsn(), Errc::unreachable, {"307", "https://h/ws", "wss://"});
  const ScriptedServer go(
      answers_with("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"));
  expect_failure(go.dsn(), Errc::unreachable, {"speaks TLS", "wss://"});
}

TEST(Recognition, OtherProtocols) {
  const ScriptedServer ssh([](Peer& peer, std::size_t) {
    peer.write("SSH-2.0-OpenSSH_9.2p1\r\n");
    peer.wait_for_end();
  });
  expect_failure(ssh.dsn(), Errc::unreachable, {"no adapter", "no HTTP", "6041"});
  const ScriptedServer closes([](Peer& peer, std::size_t) { peer.read_some(); });  // as the native port does
  expect_failure(closes.dsn(), Errc::unreachable, {"no adapter", "closed the connection", "6041"});
  const ScriptedServer echo([](Peer& peer, std::size_t) {
    peer.upgrade();
    for (;;) {
      const auto message = peer.receive();
      peer.send(message.bytes, message.text);
    }
  });
  expect_failure(echo.dsn(), Errc::unreachable, {"speaks WebSocket but is no adapter"});
}

TEST(Recognition, SilentServers) {
  const ScriptedServer silent([](Peer& peer, std::size_t) { peer.wait_for_end(); });
  expect_failure(silent.dsn("?connect_timeout=1s"), Errc::unreachable, {"no answer to the WebSocket upgrade", "6041"});
  const ScriptedServer mute([](Peer& peer, std::size_t) {
    peer.upgrade();
    peer.wait_for_end();
  });
  expect_failure(mute.dsn("?connect_timeout=1s"), Errc::unreachable, {"no adapter", "does not answer"});
}

TEST(Recognition, SilentServerWithinFiveSecondsByDefault) {
  const ScriptedServer silent([](Peer& peer, std::size_t) { peer.wait_for_end(); });
  expect_failure(silent.dsn(), Errc::unreachable, {"no answer to the WebSocket upgrade"});
}

TEST(Recognition, TlsOnAPlainPortAndTheOtherWayRound) {
  const Folder folder;
  const auto files = make_certificates(folder.path(), "127.0.0.1");
  const ScriptedServer tls([](Peer& peer, std::size_t) { peer.log_in(); }, files.certificate_file, files.key_file);
  expect_failure(tls.dsn("?connect_timeout=2s"), Errc::unreachable, {"speaks TLS", "wss://"});
  const ScriptedServer plain([](Peer& peer, std::size_t) {
    peer.read_head();
    peer.write(http("400 Bad Request", ""));
  });
  expect_failure("wss://" + plain.endpoint() + "?connect_timeout=2s", Errc::unreachable, {"plain HTTP", "ws://"});
  const ScriptedServer silent([](Peer& peer, std::size_t) { peer.wait_for_end(); });
  expect_failure("wss://" + silent.endpoint() + "?connect_timeout=1s", Errc::unreachable, {"does not speak TLS"});
}

TEST(Recognition, CertificatesAreVerifiedUnlessToldOtherwise) {
  const Folder folder;
  const auto files = make_certificates(folder.path(), "127.0.0.1");
  ScriptedServer server(
      [](Peer& peer, std::size_t) {
        peer.log_in();
        peer.wait_for_end();
      },
      files.certificate_file, files.key_file);
  const std::string dsn = "wss://" + server.endpoint();
  expect_failure(dsn, Errc::unreachable, {"cannot be trusted", "tls_ca"});
  EXPECT_TRUE(Connection::open(Options::parse(dsn + "?tls_ca=" + files.ca_file)).is_open());
  EXPECT_TRUE(Connection::open(Options::parse(dsn + "?tls_verify=none")).is_open());
  // The certificate names the address, not this name of the same host.
  const std::string by_name = "wss://localhost:" + std::to_string(server.port()) + "?tls_ca=" + files.ca_file;
  expect_failure(by_name, Errc::unreachable, {"cannot be trusted", "ostname"});
  EXPECT_TRUE(Connection::open(Options::parse(by_name + "&tls_verify=ca")).is_open());
  expect_failure(dsn + "?tls_ca=/no/such/file", Errc::config, {"/no/such/file", "no such file"});
}

TEST(Recognition, WrongPasswordAndMissingDatabase) {
  const ScriptedServer server([](Peer& peer, std::size_t) {
    peer.upgrade();
    peer.answer(peer.receive(), "version", "\"version\":\"3.3.7.5\"");
    const auto login = peer.receive();
    if (login.json()["args"]["db"] == "nowhere") peer.refuse(login, "conn", 904, "Database not exist");
    else peer.refuse(login, "conn", 855, "Authentication failure");
    peer.wait_for_end();
  });
  expect_failure(server.dsn(), Errc::auth, {"user 'root'", "wrong user or password"});
  expect_failure(server.dsn("/nowhere"), Errc::config, {"database 'nowhere' does not exist", server.endpoint()});
}

TEST(Recognition, OtherEndpointsAreTried) {
  const auto dead = "127.0.0.1:" + std::to_string(free_port());
  ScriptedServer server([](Peer& peer, std::size_t) {
    peer.log_in();
    peer.wait_for_end();
  });
  auto connection = Connection::open(Options::parse("ws://" + dead + "," + server.endpoint()));
  EXPECT_EQ(connection.endpoint(), server.endpoint());
  expect_failure("ws://" + dead + "," + dead, Errc::unreachable, {"; and "});
}

TEST(Recognition, AClientLibraryThatIsNotThereIsMissed) {
  EXPECT_THROW(Connection::open("taos://h/db?library=/nowhere/libtaos.so"), InterfaceError);
}

}  // namespace
}  // namespace penstock::client
