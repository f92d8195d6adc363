#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <stop_token>

#include "base/gzip.h"
#include "client/connection.h"
#include "client/http_script.h"
#include "client/rows.h"
#include "wire/schemaless.h"

// REST with servers that behave in ways of which nobody has a record.
namespace penstock::client {
namespace {

using namespace std::chrono_literals;

const std::string kOne = result(R"(["v","INT",4])", "[1]", 1);

using test::gunzip;

// Logs connections in and gives other requests to `next`.
ScriptedServer::Script after_login(std::function<void(Peer&, const HttpRequest&)> next) {
  return [next = std::move(next)](Peer& peer, std::size_t) {
    for (;;) {
      const auto request = take(peer);
      if (!answer_login(peer, request)) next(peer, request);
    }
  };
}

TEST(Rest, SaysWhoAsks) {
  struct Case {
    std::string dsn, authorization, token;
  };
  for (const Case& c :
       {Case{"", "Basic cm9vdDp0YW9zZGF0YQ==", ""}, Case{"?token=a%26b", "", "a%26b"},
        Case{"?bearer_token=xyz", "Bearer xyz", ""}, Case{"?bearer_token=xyz&token=t", "Bearer xyz", ""}}) {
    std::vector<HttpRequest> seen;
    ScriptedServer server([&](Peer& peer, std::size_t) {
      for (;;) {
        seen.push_back(take(peer));
        if (!answer_login(peer, seen.back())) reply(peer, 200, kOne);
      }
    });
    {
      auto connection = Connection::open(
          rest_dsn(server, "/db%20x" + c.dsn + (c.dsn.empty() ? "?" : "&") + "timezone=Asia/Shanghai&app=a%20b"));
      EXPECT_EQ(connection.server_version(), "3.3.7.5");
      EXPECT_EQ(connection.query("select 1", 77).fetch_all().size(), 1U);
    }
    EXPECT_NO_FAILURES(server);
    ASSERT_EQ(seen.size(), 3U) << c.dsn;
    for (const auto& request : seen) {
      EXPECT_EQ(request.method, "POST");
      EXPECT_EQ(request.header("Authorization"), c.authorization);
      EXPECT_EQ(request.query.contains("token") ? request.query.at("token") : "", c.token);
      EXPECT_EQ(request.query.at("conn_tz"), "Asia%2FShanghai");
      EXPECT_EQ(request.query.at("app"), "a%20b");
      EXPECT_FALSE(request.query.contains("row_with_meta"));
    }
    EXPECT_EQ(seen[2].path, "/rest/sql/db%20x");
    EXPECT_EQ(seen[2].query.at("req_id"), "77");
    EXPECT_EQ(server.connections(), 1U) << "one connection serves all";
  }
  ScriptedServer server([&](Peer& peer, std::size_t) {
    for (;;) {
      const auto request = take(peer);
      if (answer_login(peer, request)) continue;
      if (request.query.contains("token") && request.header("Authorization") == "Basic dTpw") reply(peer, 200, kOne);
      else reply(peer, 401, "{}");
    }
  });
  auto both = Connection::open("http://u:p@" + server.endpoint() + "?token=t");
  EXPECT_EQ(both.query("select 1").fetch_all().size(), 1U) << "a password that was given is sent beside the token";
}

TEST(Rest, LogsInForATokenWhereThatIsWanted) {
  std::vector<std::string> paths;
  ScriptedServer server([&](Peer& peer, std::size_t) {
    for (;;) {
      const auto request = take(peer);
      paths.push_back(request.method + ' ' + request.path);
      if (request.method == "GET") reply(peer, 200, R"({"code":0,"desc":"to/ken+1="})");
      else if (request.header("Authorization") != "Taosd to/ken+1=") throw std::runtime_error(request.head);
      else if (!answer_login(peer, request)) reply(peer, 200, kOne);
    }
  });
  {
    auto connection = Connection::open("http://us%2Fer:p%26w@" + server.endpoint() + "?login_token=true");
    EXPECT_EQ(connection.query("select 1").fetch_all().size(), 1U);
  }
  EXPECT_NO_FAILURES(server);
  EXPECT_EQ(paths.at(0), "GET /rest/login/us%2Fer/p%26w");
  ScriptedServer refusing([&](Peer& peer, std::size_t) {
    take(peer);
    reply(peer, 401, R"({"code":3,"desc":"Authentication failure","timing":1})");
    peer.wait_for_end();
  });
  try {
    Connection::open(rest_dsn(refusing, "?login_token=true"));
    ADD_FAILURE();
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), Errc::auth);
  }
}

TEST(Rest, AnswersOfOthersAreErrorsThatSayWhatWasFound) {
  struct Case {
    int status;
    std::string body, type, more, part;
    Errc errc;
    bool transient;
    std::optional<std::chrono::milliseconds> retry;
  };
  const std::string json(kJson);
  for (const Case& c : std::vector<Case>{
           {503, "\"memory exceeds threshold\"", json, "Retry-After: 120\r\n", "memory exceeds threshold", Errc::server,
            true, 120s},
           {503, "\"query memory exceeds threshold\"", json, "", "query memory exceeds", Errc::server, true,
            std::nullopt},
           {503, R"({"code":65535,"desc":"get connection timeout","timing":1})", json, "", "get connection timeout",
            Errc::server, true, std::nullopt},
           {502, "<html>Bad Gateway</html>", "text/html", "", "HTTP 502: <html>Bad", Errc::unreachable, true,
            std::nullopt},
           {429, "slow down", "text/plain", "Retry-After: 3\r\n", "HTTP 429", Errc::unreachable, true, 3s},
           {404, "404 page not found", "text/plain", "", "no adapter of TDengine", Errc::unreachable, true,
            std::nullopt},
           {200, "<html>hello</html>", "text/html", "", "<html>hello", Errc::unreachable, true, std::nullopt},
           {200, "", "text/html", "", "HTTP 200", Errc::unreachable, true, std::nullopt},
           {301, "", "text/html", "Location: https://other/\r\n", "https://other/", Errc::unreachable, true,
            std::nullopt},
           {400, "Client sent an HTTP request to an HTTPS server.\n", "text/plain", "", "https:// instead",
            Errc::unreachable, true, std::nullopt},
           {401, R"({"code":4386,"desc":"invalid type of Authorization","timing":1})", json, "",
            "invalid type of Authorization", Errc::auth, false, std::nullopt},
           {401, "go away", "text/plain", "", "HTTP 401", Errc::auth, false, std::nullopt},
           {403, "<html>no</html>", "text/html", "", "allowed", Errc::auth, false, std::nullopt},
           {403, R"({"code":65535,"desc":"sql rejected","timing":1})", json, "", "sql rejected", Errc::server, false,
            std::nullopt},
           {400, R"({"code":9728,"desc":"syntax error","timing":1})", json, "", "0x2600", Errc::server, false,
            std::nullopt},
           {500, R"({"code":904,"desc":"Database not exist","timing":1})", json, "", "0x0388", Errc::config, false,
            std::nullopt},
           {502, R"({"code":11,"desc":"Unable to establish connection","timing":1})", json, "", "0x000B", Errc::server,
            true, std::nullopt},
           {200, R"({"code":0,"column_meta":[["v","INT",4]],"data":[[1]})", json, "", "", Errc::protocol, false,
            std::nullopt}}) {
    ScriptedServer server(
        after_login([&](Peer& peer, const HttpRequest&) { reply(peer, c.status, c.body, c.type, c.more); }));
    auto connection = Connection::open(rest_dsn(server));
    try {
      connection.query("select v from t").fetch_all();
      ADD_FAILURE() << c.body;
    } catch (const ClientError& error) {
      EXPECT_EQ(error.code(), c.errc) << error.what();
      EXPECT_EQ(error.transient(), c.transient) << error.what();
      EXPECT_EQ(error.retry_after(), c.retry) << error.what();
      EXPECT_NE(std::string(error.what()).find(c.part), std::string::npos) << error.what();
      EXPECT_EQ(error.endpoint(), server.endpoint());
    }
    EXPECT_TRUE(connection.is_open()) << "the server is there";
  }
}

TEST(Rest, WrongLoginsAndMissingDatabases) {
  ScriptedServer server([&](Peer& peer, std::size_t) {
    for (;;) {
      const auto request = take(peer);
      if (request.header("Authorization") != "Basic cm9vdDp0YW9zZGF0YQ==")
        reply(peer, 200, R"({"code":855,"desc":"Authentication failure","timing":1})");
      else answer_login(peer, request);
    }
  });
  for (const auto& [dsn, errc] : {std::pair("http://root:bad@" + server.endpoint(), Errc::auth),
                                  std::pair(rest_dsn(server, "/nope"), Errc::config)}) {
    try {
      Connection::open(dsn);
      ADD_FAILURE() << dsn;
    } catch (const ConnectionError& error) {
      EXPECT_EQ(error.code(), errc) << error.what();
    }
  }
  EXPECT_TRUE(Connection::open(rest_dsn(server, "/there")).is_open());
}

TEST(Rest, AnAnswerCutShortIsALostConnectionThatIsMadeAgain) {
  for (const bool chunked : {true, false}) {
    std::size_t asked = 0;
    ScriptedServer server(after_login([&](Peer& peer, const HttpRequest&) {
      if (++asked == 1) {
        if (chunked) peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cod\r\n");
        else peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + kOne);
        peer.drop();
        throw PeerGone();
      }
      reply(peer, 200, kOne);
    }));
    auto connection = Connection::open(rest_dsn(server));
    try {
      connection.query("select v from t");
      ADD_FAILURE();
    } catch (const ConnectionError& error) {
      EXPECT_EQ(error.code(), Errc::unreachable);
      EXPECT_NE(std::string(error.what()).find("cut short"), std::string::npos) << error.what();
    }
    EXPECT_FALSE(connection.is_open());
    EXPECT_EQ(connection.query("select v from t").fetch_all().size(), 1U);
    EXPECT_EQ(asked, 2U) << "nothing is sent twice";
  }
}

TEST(Rest, AConnectionThatTheServerEndedWhileIdleIsMadeAnew) {
  ScriptedServer server([&](Peer& peer, std::size_t) {
    for (;;) {
      const auto request = take(peer);
      if (answer_login(peer, request)) continue;
      reply(peer, 200, kOne, kJson, "Connection: close\r\n");
      return;
    }
  });
  auto connection = Connection::open(rest_dsn(server));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(connection.query("select v from t").fetch_all().size(), 1U);
  EXPECT_TRUE(connection.is_open());
  EXPECT_EQ(server.connections(), 5U);
}

TEST(Rest, SlowServersCostTheTimeOut) {
  std::atomic<int> asked{0};
  ScriptedServer server(after_login([&](Peer& peer, const HttpRequest&) {
    switch (++asked) {
      case 1: peer.wait_for_end(); break;
      case 2:  // a byte now and then, for ever
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        for (;;) {
          peer.write(" ");
          std::this_thread::sleep_for(20ms);
        }
      default: reply(peer, 200, kOne);
    }
  }));
  auto connection = Connection::open(rest_dsn(server, "?request_timeout=150ms"));
  for (int i = 0; i < 2; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    try {
      connection.query("select v from t");
      ADD_FAILURE();
    } catch (const ConnectionError& error) {
      EXPECT_EQ(error.code(), Errc::timeout) << error.what();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
    EXPECT_TRUE(connection.is_open());
  }
  EXPECT_EQ(connection.query("select v from t").fetch_all().size(), 1U);
}

TEST(Rest, AStopEndsARequest) {
  std::stop_source stop;
  ScriptedServer server(after_login([&](Peer& peer, const HttpRequest&) {
    stop.request_stop();
    peer.wait_for_end();
  }));
  auto options = Options::parse(rest_dsn(server));
  options.stop = stop.get_token();
  options.stop_grace = 50ms;
  auto connection = Connection::open(options);
  try {
    connection.query("select v from t");
    ADD_FAILURE();
  } catch (const ConnectionError& error) {
    EXPECT_EQ(error.code(), Errc::stopped) << error.what();
  }
}

TEST(Rest, CompressesBothWaysWhenAsked) {
  const std::string sql = "select v from t where s in ('" + std::string(5000, 'x') + "')";
  ScriptedServer server([&](Peer& peer, std::size_t) {
    for (;;) {
      auto request = take(peer);
      if (request.header("Accept-Encoding") != "gzip") throw std::runtime_error("gzip is not taken");
      if (request.header("Content-Encoding") == "gzip") request.body = gunzip(request.body);
      if (answer_login(peer, request)) continue;
      if (request.body != sql) throw std::runtime_error("another statement");
      reply(peer, 200, test::gzip(kOne), kJson, "Content-Encoding: gzip\r\n");
    }
  });
  {
    auto connection = Connection::open(rest_dsn(server, "?compression=true"));
    EXPECT_EQ(connection.query(sql).fetch_all().size(), 1U);
  }
  EXPECT_NO_FAILURES(server);
}

TEST(Rest, RequestsAreCarriedOutWhenTheyAreSent) {
  ScriptedServer server(after_login([&](Peer& peer, const HttpRequest& request) {
    if (request.body.starts_with("bad")) reply(peer, 200, R"({"code":9728,"desc":"syntax error","timing":1})");
    else if (request.body.starts_with("select")) reply(peer, 200, result(R"(["affected_rows","INT",4])", "[7]", 1));
    else reply(peer, 200, result(R"(["affected_rows","INT",4])", fmt::format("[{}]", request.body.size()), 1));
  }));
  auto connection = Connection::open(rest_dsn(server));
  const auto first = connection.send_execute("insert 1");
  const auto bad = connection.send_execute("bad");
  const auto second = connection.send_execute("insert two", 99);
  EXPECT_EQ(second, 99U);
  EXPECT_TRUE(connection.ready(first));
  EXPECT_EQ(connection.wait(second).affected_rows, 10);
  EXPECT_EQ(connection.wait(first).affected_rows, 8);
  const auto refused = connection.wait(bad);
  EXPECT_EQ(refused.code, 9728);
  EXPECT_THROW(connection.require(refused), ProgrammingError);
  EXPECT_THROW(connection.wait(first), InterfaceError) << "once";
  EXPECT_THROW(connection.send_execute("x", UINT64_MAX), InterfaceError);
  EXPECT_EQ(connection.execute("insert"), 6);
  EXPECT_EQ(connection.query("insert").affected_rows(), 6);
  auto rows = connection.query("select n affected_rows from t");
  EXPECT_EQ(rows.fields().size(), 1U) << "a result that looks like an outcome";
  EXPECT_EQ(rows.fetch_all().size(), 1U);
  connection.poll();
}

TEST(Rest, UseHoldsForLaterRequests) {
  std::vector<std::string> paths;
  ScriptedServer server(after_login([&](Peer& peer, const HttpRequest& request) {
    paths.push_back(request.path);
    reply(peer, 200, result(R"(["affected_rows","INT",4])", "[0]", 1));
  }));
  auto connection = Connection::open(rest_dsn(server, "/one"));
  connection.execute("insert");
  connection.execute(" USE `Two` ;");
  connection.execute("insert");
  connection.execute("use THREE");
  connection.execute("insert");
  EXPECT_EQ(connection.current_database(), "three");
  connection.reopen();
  connection.execute("insert");
  EXPECT_EQ(paths, (std::vector<std::string>{"/rest/sql/one", "/rest/sql/one", "/rest/sql/Two", "/rest/sql/Two",
                                             "/rest/sql/three", "/rest/sql/one"}));
}

TEST(Rest, WhatItHasNotSaysWhichTransportHas) {
  ScriptedServer server(
      after_login([](Peer& peer, const HttpRequest&) { peer.write("HTTP/1.1 204 No Content\r\n\r\n"); }));
  auto connection = Connection::open(rest_dsn(server));
  const auto refused = [&](const std::function<void()>& call, const std::string& part) {
    try {
      call();
      ADD_FAILURE() << part;
    } catch (const InterfaceError& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refused([&] { connection.prepare("insert into t values(?,?)"); }, "ws://");
  refused([&] { connection.send_action("get_server_info", ""); }, "ws://");
  refused([&] { connection.insert_schemaless(wire::LineProtocol::line, "", "m v=1"); }, "database");
  auto with_database = Connection::open(rest_dsn(server, "/db"));
  refused([&] { with_database.insert_schemaless(wire::LineProtocol::telnet, "ms", "m 1 1 a=b"); }, "precision");
  EXPECT_TRUE(with_database.insert_schemaless(wire::LineProtocol::telnet, "", "m 1 1 a=b").ok());
}

TEST(Rest, OverTls) {
  const auto folder = testing::TempDir() + "penstock-rest-tls-" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  const auto named = make_certificates(folder, "localhost");
  {
    ScriptedServer server(after_login([](Peer& peer, const HttpRequest&) { reply(peer, 200, kOne); }),
                          named.certificate_file, named.key_file);
    const auto dsn = [&](const std::string& host, const std::string& options) {
      return fmt::format("https://{}:{}?{}", host, server.port(), options);
    };
    auto connection = Connection::open(dsn("localhost", "tls_ca=" + named.ca_file));
    EXPECT_EQ(connection.query("select v from t").fetch_all().size(), 1U);
    EXPECT_TRUE(Connection::open(dsn("127.0.0.1", "tls_verify=ca&tls_ca=" + named.ca_file)).is_open());
    EXPECT_TRUE(Connection::open(dsn("127.0.0.1", "tls_verify=none")).is_open());
    for (const auto& [wrong, part] : {std::pair(dsn("127.0.0.1", "tls_ca=" + named.ca_file), "IP address mismatch"),
                                      std::pair(dsn("localhost", ""), "certificate"),
                                      std::pair(dsn("localhost", "tls_ca=/nowhere/ca.pem"), "/nowhere/ca.pem"),
                                      std::pair(fmt::format("http://localhost:{}", server.port()), "https://")}) {
      try {
        Connection::open(wrong);
        ADD_FAILURE() << wrong;
      } catch (const ConnectionError& error) {
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      }
    }
  }
  ScriptedServer plain([](Peer& peer, std::size_t) {
    peer.read_some();
    peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  try {
    Connection::open("https://localhost:" + std::to_string(plain.port()) + "?tls_verify=none&connect_timeout=1s");
    ADD_FAILURE();
  } catch (const ConnectionError& error) {
    EXPECT_NE(std::string(error.what()).find("http://"), std::string::npos) << error.what();
  }
  std::filesystem::remove_all(folder);
}

TEST(Rest, TakesTheNextEndpoint) {
  ScriptedServer server(after_login([](Peer& peer, const HttpRequest&) { reply(peer, 200, kOne); }));
  const auto dead = "127.0.0.1:" + std::to_string(free_port());
  auto connection = Connection::open("http://" + dead + "," + server.endpoint());
  EXPECT_EQ(connection.endpoint(), server.endpoint());
  EXPECT_THROW(Connection::open("http://" + dead), ConnectionError);
}

}  // namespace
}  // namespace penstock::client
