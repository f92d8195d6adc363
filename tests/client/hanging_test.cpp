#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "client/connection.h"
#include "client/detail/retry_after.h"
#include "client/scripted_server.h"

// Peers that say nothing, or later; and what must be right before anything is said.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Reads and never answers, not even pings.
void swallow(Peer& peer) {
  for (;;) peer.read_some();
}

TEST(Hanging, APeerWithoutASignOfLifeIsGivenUpLongBeforeTheRequest) {
  ScriptedServer server([](Peer& peer, std::size_t) {
    peer.log_in();
    swallow(peer);
  });
  auto options = Options::parse(server.dsn());
  options.ping_after = 40ms;
  options.silence_limit = 200ms;
  auto connection = Connection::open(options);
  const auto begin = Clock::now();
  try {
    connection.execute("select 1");
    FAIL();
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), Errc::timeout);
    EXPECT_NE(std::string(error.what()).find("no sign of life from " + server.endpoint()), std::string::npos)
        << error.what();
  }
  EXPECT_GE(Clock::now() - begin, 200ms);
  EXPECT_LT(Clock::now() - begin, 20s);
  EXPECT_FALSE(connection.is_open());
}

TEST(Hanging, APeerThatAnswersPingsMayTakeItsTime) {
  ScriptedServer server([](Peer& peer, std::size_t) {
    peer.log_in();
    const auto query = peer.receive();
    // Answers pings of the client, and its answer comes long after the limit.
    std::jthread later([&peer, query, until = Clock::now() + 700ms] {
      while (Clock::now() < until) std::this_thread::yield();
      peer.answer(query, "binary_query", "\"is_update\":true,\"affected_rows\":7");
    });
    peer.wait_for_end();
  });
  auto options = Options::parse(server.dsn());
  options.ping_after = 40ms;
  options.silence_limit = 200ms;
  auto connection = Connection::open(options);
  EXPECT_EQ(connection.execute("insert"), 7);
  EXPECT_TRUE(connection.is_open());
}

TEST(Hanging, AnIdleConnectionToADeadPeerIsFoundOutByPolling) {
  ScriptedServer server([](Peer& peer, std::size_t) {
    peer.log_in();
    swallow(peer);
  });
  auto options = Options::parse(server.dsn());
  options.ping_after = 20ms;
  options.silence_limit = 100ms;
  auto connection = Connection::open(options);
  const auto begin = Clock::now();
  try {
    while (Clock::now() - begin < 20s) connection.poll();
    FAIL();
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), Errc::timeout) << error.what();
  }
  EXPECT_FALSE(connection.is_open());
}

TEST(Hanging, AStopEndsTheWaitForAnAnswer) {
  std::stop_source stop;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in();
    peer.receive();
    stop.request_stop();
    peer.wait_for_end();
  });
  auto options = Options::parse(server.dsn());
  options.stop = stop.get_token();
  options.stop_grace = 50ms;
  auto connection = Connection::open(options);
  const auto begin = Clock::now();
  try {
    connection.execute("select 1");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::stopped) << error.what();
  }
  EXPECT_LT(Clock::now() - begin, 10s);
}

TEST(Hanging, AStopLeavesTimeForAnAnswerThatComes) {
  std::stop_source stop;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.log_in();
    const auto query = peer.receive();
    stop.request_stop();
    peer.answer(query, "binary_query", "\"is_update\":true,\"affected_rows\":3");
    peer.wait_for_end();
  });
  auto options = Options::parse(server.dsn());
  options.stop = stop.get_token();
  auto connection = Connection::open(options);
  EXPECT_EQ(connection.execute("insert"), 3);
}

TEST(Hanging, AStopEndsConnecting) {
  std::stop_source stop;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    peer.read_head();
    stop.request_stop();
    swallow(peer);
  });
  auto options = Options::parse(server.dsn());
  options.stop = stop.get_token();
  options.handshake_timeout = 60s;
  options.connect_timeout = 60s;
  const auto begin = Clock::now();
  EXPECT_THROW(Connection::open(options), Error);
  EXPECT_LT(Clock::now() - begin, 20s);
}

TEST(RetryAfter, IsReadInAllItsForms) {
  using detail::parse_retry_after;
  const auto now = std::chrono::sys_days(std::chrono::year(1994) / 11 / 6) + 8h + 49min + 7s;
  struct Case {
    std::string_view text;
    std::optional<std::chrono::milliseconds> wanted;
  };
  for (const auto& c :
       {Case{"0", 0ms}, Case{"120", 120s}, Case{" 7 ", 7s}, Case{"99999999999999999999999", 365 * 24h},
        Case{"Sun, 06 Nov 1994 08:49:37 GMT", 30s}, Case{"Sunday, 06-Nov-94 08:49:37 GMT", 30s},
        Case{"Sun Nov  6 08:49:37 1994", 30s}, Case{"Sun, 06 Nov 1994 08:49:00 GMT", 0ms},
        Case{"Mon, 07 Nov 1994 00:00:07 GMT", 15h + 11min}, Case{"Sun, 06 Nov 2994 08:49:37 GMT", 365 * 24h},
        Case{"", std::nullopt}, Case{"soon", std::nullopt}, Case{"-1", std::nullopt}, Case{"1.5", std::nullopt},
        Case{"7s", std::nullopt}, Case{"Sun, 31 Feb 1994 08:49:37 GMT", std::nullopt},
        Case{"Sun, 06 Nov 1994 08:61:37 GMT", std::nullopt}, Case{"Sun, 06 Nov 1994 08:49:37 CET", std::nullopt}})
    EXPECT_EQ(parse_retry_after(c.text, now), c.wanted) << c.text;
}

TEST(RetryAfter, OfAGatewayReachesTheCaller) {
  for (const char* const status : {"503 Service Unavailable", "429 Too Many Requests"})
    for (const bool given : {true, false}) {
      ScriptedServer server([&](Peer& peer, std::size_t) {
        peer.read_head();
        peer.write(std::string("HTTP/1.1 ") + status + "\r\n" + (given ? "Retry-After: 7\r\n" : "") +
                   "Content-Length: 26\r\n\r\n\"memory exceeds threshold\"");
      });
      try {
        Connection::open(Options::parse(server.dsn()));
        FAIL();
      } catch (const ConnectionError& error) {
        EXPECT_EQ(error.code(), Errc::unreachable);
        EXPECT_TRUE(error.transient());
        EXPECT_EQ(error.retry_after(), given ? std::optional<std::chrono::milliseconds>(7s) : std::nullopt);
        EXPECT_NE(std::string(error.what()).find("try again later"), std::string::npos) << error.what();
      }
    }
}

class TlsFiles : public testing::Test {
 protected:
  TlsFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directory(folder_ + "/other");
    files_ = make_certificates(folder_, "127.0.0.1");
    other_ = make_certificates(folder_ + "/other", "127.0.0.1");
    server_ = std::make_unique<ScriptedServer>(
        [](Peer& peer, std::size_t) {
          peer.log_in();
          peer.wait_for_end();
        },
        files_.certificate_file, files_.key_file);
  }
  ~TlsFiles() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& content) {
    std::ofstream(folder_ + "/" + name) << content;
    return folder_ + "/" + name;
  }

  Connection open(const std::string& ca, const std::string& certificate, const std::string& key) {
    auto options = Options::parse("wss://me:rarepassword@" + server_->endpoint());
    options.ca_file = ca;
    options.certificate_file = certificate;
    options.key_file = key;
    return Connection::open(options);
  }

  void expect_refused(const std::string& ca, const std::string& certificate, const std::string& key,
                      const std::vector<std::string>& words) {
    try {
      open(ca, certificate, key);
      ADD_FAILURE() << "connected";
    } catch (const Error& error) {
      const std::string what = error.what();
      EXPECT_EQ(error.code(), Errc::config) << what;
      for (const auto& word : words) EXPECT_NE(what.find(word), std::string::npos) << what << "\nlacks " << word;
      EXPECT_EQ(what.find("rarepassword"), std::string::npos);
    }
  }

  std::string folder_;
  TestCertificates files_, other_;
  std::unique_ptr<ScriptedServer> server_;
};

TEST_F(TlsFiles, OfAClientAreTaken) {
  EXPECT_TRUE(open(files_.ca_file, other_.certificate_file, other_.key_file).is_open());
}

TEST_F(TlsFiles, ThatCannotBeUsedAreNamed) {
  const auto missing = folder_ + "/none.pem";
  const auto text = file("text.pem", "this is no certificate\n");
  const auto empty = file("empty.pem", "");
  const auto& ca = files_.ca_file;
  expect_refused(missing, "", "", {"tls_ca", missing, "no such file"});
  expect_refused(folder_, "", "", {"tls_ca", folder_, "directory"});
  expect_refused(text, "", "", {"tls_ca", text, "no certificate in PEM form"});
  expect_refused(empty, "", "", {"tls_ca", empty, "no certificate in PEM form"});
  expect_refused(ca, missing, other_.key_file, {"tls_cert", missing, "no such file"});
  expect_refused(ca, text, other_.key_file, {"tls_cert", text, "no certificate in PEM form"});
  expect_refused(ca, other_.certificate_file, missing, {"tls_key", missing, "no such file"});
  expect_refused(ca, other_.certificate_file, text, {"tls_key", text, "no private key in PEM form"});
  expect_refused(ca, other_.certificate_file, files_.key_file,
                 {"tls_key", files_.key_file, "does not belong to the certificate", other_.certificate_file});
  if (::geteuid() != 0) {  // root reads everything
    const auto closed = file("closed.pem", "x");
    std::filesystem::permissions(closed, std::filesystem::perms::none);
    expect_refused(closed, "", "", {"tls_ca", closed, "permission denied"});
  }
}

TEST_F(TlsFiles, WithAPasswordAreRefusedWithoutAskingForIt) {
  std::FILE* const in = std::fopen(other_.key_file.c_str(), "r");
  EVP_PKEY* const key = PEM_read_PrivateKey(in, nullptr, nullptr, nullptr);
  std::fclose(in);
  const auto path = folder_ + "/locked.key";
  std::FILE* const out = std::fopen(path.c_str(), "w");
  unsigned char word[] = "word";
  PEM_write_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), nullptr, 0, nullptr, word);
  std::fclose(out);
  EVP_PKEY_free(key);
  expect_refused(files_.ca_file, other_.certificate_file, path,
                 {"tls_key", path, "protected by a password", "openssl"});
}

}  // namespace
}  // namespace penstock::client
