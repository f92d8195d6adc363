#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "sandbox/http_message.h"
#include "sandbox/result_json.h"
#include "sandbox/server.h"
#include "sandbox/server_rest.h"
#include "sandbox/ws_test_client.h"

namespace penstock::sandbox {
namespace {

using test::Headers;
using test::http;
using test::RawConnection;

const Headers kRoot = {{"Authorization", "Basic cm9vdDp0YW9zZGF0YQ=="}};

std::string number(double value) {
  std::string text;
  append_json_number(text, value);
  return text;
}
std::string number(float value) {
  std::string text;
  append_json_number(text, value);
  return text;
}

TEST(ResultJson, WritesNumbersAsTheAdapter) {
  EXPECT_EQ(number(0.0), "0");
  EXPECT_EQ(number(-0.0), "-0");
  EXPECT_EQ(number(0.1), "0.1");
  EXPECT_EQ(number(0.1F), "0.1");
  EXPECT_EQ(number(9.5F), "9.5");
  EXPECT_EQ(number(1e20), "100000000000000000000");
  EXPECT_EQ(number(1e21), "1e+21");
  EXPECT_EQ(number(1e30F), "1e+30");
  EXPECT_EQ(number(1e-6), "0.000001");
  EXPECT_EQ(number(1e-7), "1e-07");
  EXPECT_EQ(number(123456789012345680000.0), "123456789012345680000");
  EXPECT_EQ(number(-1.382840872971012e+307), "-1.382840872971012e+307");
  EXPECT_EQ(number(16777216.0F), "16777216");
  EXPECT_EQ(number(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(number(-std::numeric_limits<float>::infinity()), "null");
}

TEST(ResultJson, NumbersReadBackTheSame) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (std::isfinite(value)) {
      ASSERT_EQ(std::strtod(number(value).c_str(), nullptr), value);
    }
  }
}

TEST(ResultJson, WritesTimestampsInTheZone) {
  struct Case {
    std::int64_t ticks;
    data::Precision precision;
    const char* zone;
    const char* text;
  };
  using enum data::Precision;
  for (const Case& one :
       {Case{1700000000000, milliseconds, "", "2023-11-14T22:13:20.000Z"},
        Case{1700000000000, milliseconds, "Asia/Shanghai", "2023-11-15T06:13:20.000+08:00"},
        Case{1700000000000, milliseconds, "America/New_York", "2023-11-14T17:13:20.000-05:00"},
        Case{1700000000000120, microseconds, "", "2023-11-14T22:13:20.000120Z"},
        Case{1700000000000000120, nanoseconds, "", "2023-11-14T22:13:20.000000120Z"},
        Case{-1, milliseconds, "", "1969-12-31T23:59:59.999Z"},
        Case{253402300800000, milliseconds, "", "10000-01-01T00:00:00.000Z"},
        Case{-62135596800001, milliseconds, "", "0000-12-31T23:59:59.999Z"},
        Case{std::numeric_limits<std::int64_t>::min(), nanoseconds, "", "1677-09-21T00:12:43.145224192Z"}}) {
    EXPECT_EQ(rest_timestamp(one.ticks, one.precision, *TimeZone::find(one.zone)), one.text);
  }
}

TEST(ResultJson, EscapesAnswersForHtmlAndCellsNot) {
  std::string text;
  append_json_text(text, "a<b>&\"\\\n\x01\xff\xe2\x80\xa8\xc3\xa4");
  EXPECT_EQ(text, "\"a\\u003cb\\u003e\\u0026\\\"\\\\\\n\\u0001\\ufffd\\u2028\xc3\xa4\"");
  std::string cell;
  append_json_cell(cell, "a<b>&\"\\\n\x01\xff");
  EXPECT_EQ(cell, "\"a<b>&\\\"\\\\\\n\\u0001\xff\"");
}

TEST(TaosdToken, MatchesTheRecordedOne) {
  constexpr std::string_view kToken = "/KfeAzX/f9na8qdtNZmtONryp201ma04bEl8LcvLUd7a8qdtNZmtONryp201ma04";
  EXPECT_EQ(make_taosd_token("root", "taosdata"), kToken);
  const auto read = read_taosd_token(kToken);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->user, "root");
  EXPECT_EQ(read->password, "taosdata");
}

TEST(TaosdToken, ReadsWhatItMakes) {
  for (std::size_t length = 1; length < 60; ++length) {
    const std::string password(length, 'p');
    const auto token = make_taosd_token("u" + password.substr(0, length % 23), password);
    ASSERT_TRUE(token);
    EXPECT_EQ(read_taosd_token(*token)->password, password);
  }
  EXPECT_FALSE(make_taosd_token("", "x"));
  EXPECT_FALSE(make_taosd_token("x", ""));
  EXPECT_FALSE(make_taosd_token(std::string(25, 'u'), "x"));
  for (const char* bad : {"", "AAAA", "!!", "=", "////", "====", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
    EXPECT_FALSE(read_taosd_token(bad)) << bad;
  }
}

TEST(Gzip, ReadsWhatItWritesAndRefusesTheRest) {
  for (const std::size_t size : {0U, 1U, 1000U, 300'000U}) {
    const std::string plain(size, 'x');
    EXPECT_EQ(gunzip(gzip(plain)), plain);
    EXPECT_FALSE(gunzip(gzip(plain).substr(0, gzip(plain).size() - 1)));
  }
  EXPECT_FALSE(gunzip("not gzip"));
  EXPECT_FALSE(gunzip(""));
}

class Rest : public testing::Test {
 protected:
  Server server_{{}};
};

TEST_F(Rest, KeepsAConnectionForManyRequests) {
  RawConnection connection(server_.port());
  for (int i = 0; i < 3; ++i) {
    const auto reply = connection.exchange("POST", "/rest/sql", kRoot, "select 1");
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, R"({"code":0,"column_meta":[["1","BIGINT",8]],"data":[[1]],"rows":1})");
  }
  EXPECT_EQ(connection.exchange("GET", "/-/ping", {}, std::nullopt).status, 200);
}

TEST_F(Rest, TakesAChunkedAndAGzippedBody) {
  auto headers = kRoot;
  headers.emplace_back("Transfer-Encoding", "chunked");
  EXPECT_EQ(http(server_.port(), "POST", "/rest/sql", headers, "4\r\nsele\r\n4;x=y\r\nct 1\r\n0\r\nTrailer: x\r\n\r\n")
                .status,
            200);
  headers = kRoot;
  headers.emplace_back("Content-Encoding", "gzip");
  headers.emplace_back("Accept-Encoding", "gzip, deflate");
  const auto reply = http(server_.port(), "POST", "/rest/sql", headers, gzip("select 1"));
  EXPECT_EQ(reply.header("Content-Encoding"), "gzip");
  EXPECT_EQ(reply.body, R"({"code":0,"column_meta":[["1","BIGINT",8]],"data":[[1]],"rows":1})");
}

TEST_F(Rest, AnswersExpectContinue) {
  RawConnection connection(server_.port());
  connection.send(
      "POST /rest/sql HTTP/1.1\r\nHost: x\r\nAuthorization: Basic cm9vdDp0YW9zZGF0YQ==\r\n"
      "Content-Length: 8\r\nExpect: 100-continue\r\n\r\n");
  const auto go_on = connection.receive_some(std::chrono::seconds(10));
  ASSERT_TRUE(go_on);
  EXPECT_EQ(*go_on, "HTTP/1.1 100 Continue\r\n\r\n");
  connection.send("select 1");
  const auto reply = connection.receive_some(std::chrono::seconds(10));
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->starts_with("HTTP/1.1 200 OK\r\n")) << *reply;
}

TEST_F(Rest, RefusesWhatIsNoRequest) {
  struct Case {
    std::string bytes;
    const char* status;
  };
  const std::vector<Case> cases = {
      {"hello\r\n\r\n", "400"},
      {"GET / HTTP/3.0\r\n\r\n", "400"},
      {"GET nowhere HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"},
      {"POST /rest/sql HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400"},
      {"POST /rest/sql HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"},
      {"POST /rest/sql HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "413"},
      {"POST /rest/sql HTTP/1.1\r\nContent-Length: 2000000000\r\n\r\n", "413"},
      {"POST /rest/sql HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
      {"POST /rest/sql HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "400"},
      {"POST /rest/sql HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
      {"POST /rest/sql HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", "413"},
      {"GET /" + std::string(100'000, 'a'), "431"},
      {"GET /" + std::string(60'000, 'a') + " HTTP/1.1\r\n\r\n", "404"},
  };
  for (const auto& one : cases) {
    RawConnection connection(server_.port());
    connection.send(one.bytes);
    const auto reply = connection.receive_some(std::chrono::seconds(10));
    ASSERT_TRUE(reply) << one.bytes.substr(0, 80);
    EXPECT_EQ(reply->substr(9, 3), one.status) << one.bytes.substr(0, 80);
  }
}

TEST_F(Rest, SurvivesDamagedRequests) {
  const std::string good =
      "POST /rest/sql/db?tz=Asia/Tokyo&row_with_meta=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic "
      "cm9vdDp0YW9zZGF0YQ==\r\nAccept-Encoding: gzip\r\nContent-Length: 8\r\n\r\nselect 1";
  std::mt19937 random(3);
  for (int i = 0; i < 400; ++i) {
    std::string bytes = good;
    for (int k = 0; k < 3; ++k) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0: bytes[at] = static_cast<char>(random()); break;
        case 1: bytes.erase(at, random() % 8); break;
        default: bytes.insert(at, 1 + random() % 3, static_cast<char>(random()));
      }
    }
    RawConnection connection(server_.port());
    connection.send(bytes);
    connection.close_sending();
    while (true) {
      const auto some = connection.receive_some(std::chrono::seconds(20));
      ASSERT_TRUE(some) << "no end: " << bytes;
      if (some->empty()) break;
    }
  }
  EXPECT_EQ(http(server_.port(), "GET", "/-/ping").status, 200);
}

/// Bodies and parameters of the endpoints that write, damaged: an answer each, and the server goes on.
TEST_F(Rest, WritesSurviveDamage) {
  const Headers headers = {{"Authorization", "Basic cm9vdDp0YW9zZGF0YQ=="},
                           {"Content-Type", "multipart/form-data; boundary=b"}};
  const auto post = [&](std::string_view target, std::string_view body) {
    return http(server_.port(), "POST", target, headers, body);
  };
  post("/rest/sql", "create database dmg keep 36500");
  post("/rest/sql", "create table dmg.t (ts timestamp, v int, s varchar(8))");
  const struct {
    const char* target;
    std::string body;
  } requests[] = {
      {"/influxdb/v1/write?db=dmg&precision=ms&ttl=1",
       "m,t=a v=1,s=\"x y\",b=true 1626006833639\nm,t=b v=2 1626006833640"},
      {"/opentsdb/v1/put/telnet/dmg?ttl=2", "put sys.cpu 1626006833639 1.5 host=a\nsys.cpu 1626006833640 2 host=b"},
      {"/opentsdb/v1/put/json/dmg", R"([{"metric":"sj","timestamp":1626006833,"value":18,"tags":{"host":"web01"}}])"},
      {"/rest/upload?db=dmg&table=t",
       "--b\r\nContent-Disposition: form-data; "
       "name=\"data\"\r\n\r\n1700000000000,1,\"a\"\"b\"\n1700000000001,,\r\n--b--"},
      {"/rest/sql/dmg/vgid", R"(["t1","t2"])"},
  };
  std::mt19937 random(11);
  std::map<int, int> statuses;
  for (const auto& [target, good] : requests) {
    ASSERT_LT(post(target, good).status, 300) << target;
    for (int i = 0; i < 150; ++i) {
      std::string body = good;
      for (std::size_t k = 0, n = 1 + random() % 3; k < n && !body.empty(); ++k) {
        const std::size_t at = random() % body.size();
        switch (random() % 4) {
          case 0: body[at] = static_cast<char>(random()); break;
          case 1: body.erase(at, random() % 8); break;
          case 2: body.resize(at); break;
          default: body.insert(at, std::size_t{1 + random() % 3}, "\"\\,{}[]\n\0"[random() % 10]);
        }
      }
      const auto reply = post(target, body);
      ASSERT_NE(reply.status, 0) << target << ": " << body;
      ++statuses[reply.status];
    }
  }
  EXPECT_GT(statuses[204] + statuses[200], 50);
  EXPECT_GT(statuses[500] + statuses[400], 50);
  EXPECT_EQ(http(server_.port(), "GET", "/-/ping").status, 200);
}

TEST(Gateway, TokenNeedsNoOtherCredentials) {
  sandbox::Server::Options options;
  options.token = "cloud-secret";
  options.engine.password = "not-the-default";
  sandbox::Server server(options);
  const auto post = [&](std::string_view target, std::string_view body) {
    return http(server.port(), "POST", target, {}, body);
  };
  EXPECT_EQ(post("/rest/sql?token=cloud-secret", "create database cloud keep 36500").body,
            R"({"code":0,"column_meta":[["affected_rows","INT",4]],"data":[[0]],"rows":1})");
  EXPECT_EQ(post("/rest/sql?token=other", "select 1").status, 401);
  EXPECT_EQ(post("/rest/sql", "select 1").status, 401);
  EXPECT_EQ(post("/influxdb/v1/write?db=cloud&token=cloud-secret", "m,t=a v=1 1626006833639000000").status, 204);
  EXPECT_EQ(post("/influxdb/v1/write?db=cloud&token=other", "m,t=a v=1 1626006833639000000").status, 401);
  EXPECT_EQ(post("/opentsdb/v1/put/telnet/cloud?token=cloud-secret", "n 1626006833639 1 host=a").status, 204);
  EXPECT_EQ(post("/opentsdb/v1/put/json/cloud?token=other", "[]").status, 401);

  test::WsTestClient client(server.port(), "/ws?token=cloud-secret");
  constexpr std::string_view kDummy =
      R"({"action":"conn","args":{"req_id":1,"user":"root","password":"taosdata","db":"cloud"}})";
  EXPECT_NE(client.ask(kDummy).find("\"code\":0"), std::string::npos);
  EXPECT_NE(client.ask(R"({"action":"query","args":{"req_id":2,"sql":"select * from m"}})").find("\"code\":0"),
            std::string::npos);
  EXPECT_EQ(test::WsTestClient(server.port(), "/ws?token=other", test::upgrade_headers()).upgrade.status, 401);
  test::WsTestClient plain(server.port());
  EXPECT_NE(plain.ask(kDummy).find("\"code\":855"), std::string::npos) << "without the token it is a plain server";
}

TEST(Upload, TakesQuotesAndSaysWhichRecordIsWrong) {
  sandbox::Server server({});
  const Headers headers = {{"Authorization", "Basic cm9vdDp0YW9zZGF0YQ=="},
                           {"Content-Type", "multipart/form-data; boundary=\"b\""}};
  const auto sql = [&](std::string_view text) { return http(server.port(), "POST", "/rest/sql", headers, text).body; };
  sql("create database up keep 36500");
  sql("create table up.t (ts timestamp, v int, s varchar(20))");
  const auto upload = [&](std::string_view csv) {
    return http(server.port(), "POST", "/rest/upload?db=up&table=t", headers,
                "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n" + std::string(csv) + "\r\n--b--\r\n");
  };
  EXPECT_NE(upload("1700000000000,1,\"a,\"\"b\"\"'c\"\r\n1700000000001,,\n").body.find("[[2]]"), std::string::npos);
  EXPECT_NE(sql("select v, s from up.t order by ts").find(R"([[1,"a,\"b\"'c"],[null,null]])"), std::string::npos);
  const auto wrong = upload("1700000000002,1,x\n1700000000003,1\n");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_NE(wrong.body.find("record 2 of the CSV has 2 fields"), std::string::npos);
  EXPECT_EQ(http(server.port(), "POST", "/rest/upload?db=up&table=t", headers, "no form").status, 400);
}

}  // namespace
}  // namespace penstock::sandbox
