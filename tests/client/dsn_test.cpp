#include "client/dsn.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace penstock::client {
namespace {

using namespace std::chrono_literals;

TEST(Dsn, ReadsEveryPart) {
  const auto o = Options::parse(
      "wss://me:p%40ss%2Fw%3Fx@h1:7000,[::1]:7001,h3/my%20db?token=t%26t&tls_verify=ca&tls_ca=/"
      "a.pem&tls_cert=c&tls_key=k"
      "&compression=true&timezone=Asia/Shanghai&connect_timeout=3s&request_timeout=500ms&app=x");
  EXPECT_TRUE(o.tls);
  EXPECT_EQ(o.user, "me");
  EXPECT_EQ(o.password, "p@ss/w?x");
  EXPECT_TRUE(o.has_password);
  EXPECT_EQ(o.endpoints, (std::vector<Endpoint>{{"h1", 7000}, {"::1", 7001}, {"h3", 443}}));
  EXPECT_EQ(o.endpoints[1].text(), "[::1]:7001");
  EXPECT_EQ(o.database, "my db");
  EXPECT_EQ(o.token, "t&t");
  EXPECT_EQ(o.verify, Options::Verify::ca);
  EXPECT_EQ(o.ca_file, "/a.pem");
  EXPECT_TRUE(o.compression);
  EXPECT_EQ(o.time_zone, "Asia/Shanghai");
  EXPECT_EQ(o.connect_timeout, 3s);
  EXPECT_EQ(o.handshake_timeout, 3s);
  EXPECT_EQ(o.request_timeout, 500ms);
  EXPECT_EQ(o.display(), "wss://h1:7000,[::1]:7001,h3:443/my db");
}

TEST(Dsn, FillsInDefaults) {
  const auto o = Options::parse("ws://");
  EXPECT_EQ(o.endpoints, (std::vector<Endpoint>{{"localhost", 6041}}));
  EXPECT_EQ(o.user, "root");
  EXPECT_EQ(o.password, "taosdata");
  EXPECT_FALSE(o.has_password);
  EXPECT_EQ(o.verify, Options::Verify::full);
  EXPECT_EQ(o.connect_timeout, 10s);
  EXPECT_EQ(o.request_timeout, 120s);
  EXPECT_EQ(Options::parse("wss://localhost").endpoints[0].port, 6041);
  EXPECT_EQ(Options::parse("wss://cloud.example").endpoints[0].port, 443);
  EXPECT_EQ(Options::parse("ws://me@h/db").user, "me");
  EXPECT_FALSE(Options::parse("ws://me@h/db").has_password);
  EXPECT_EQ(Options::parse("ws://me:@h/db").password, "");
  EXPECT_TRUE(Options::parse("ws://me:@h/db").has_password);
  // An '@' or '/' that somebody forgot to encode still belongs to the password.
  EXPECT_EQ(Options::parse("ws://me:p@s/s@h:1/db").password, "p@s/s");
}

TEST(Dsn, KnowsTheSchemes) {
  struct Case {
    const char* dsn;
    Transport transport;
    bool tls;
    std::uint16_t port;
  };
  for (const auto& c :
       {Case{"ws://h", Transport::websocket, false, 6041}, Case{"taosws://h", Transport::websocket, false, 6041},
        Case{"taos+ws://h", Transport::websocket, false, 6041}, Case{"TAOS+WSS://h", Transport::websocket, true, 443},
        Case{"taoswss://h", Transport::websocket, true, 443}, Case{"taos://h", Transport::native, false, 6030},
        Case{"http://h", Transport::rest, false, 6041}, Case{"https://h", Transport::rest, true, 443}}) {
    const auto o = Options::parse(c.dsn);
    EXPECT_EQ(o.transport, c.transport) << c.dsn;
    EXPECT_EQ(o.tls, c.tls) << c.dsn;
    EXPECT_EQ(o.endpoints[0].port, c.port) << c.dsn;
  }
}

TEST(Dsn, SaysWhatIsWrongWithoutTellingASecret) {
  struct Case {
    const char* dsn;
    const char* says;
  };
  for (const auto& c :
       {Case{"localhost:6041", "no scheme"}, Case{"mysql://u:secret@h", "'mysql' is unknown"},
        Case{"ws://u:secret@h:0/", "'0' is no port"}, Case{"ws://u:secret@h:99999", "no port"},
        Case{"ws://u:secret@h:60x", "'60x' is no port"}, Case{"ws://u:secret%zz@h", "hexadecimal digits"},
        Case{"ws://u:secret@h/%ff", "UTF-8"}, Case{"ws://u:secret@h/a/b", "only the database"},
        Case{"ws://u:secret@h?colour=red&token=secret", "'colour' is unknown; known are token"},
        Case{"ws://u:secret@h?compression=maybe", "compression takes true or false"},
        Case{"ws://u:secret@h?request_timeout=soon", "'soon'"}, Case{"ws://u:secret@h?request_timeout=0", "'0'"},
        Case{"ws://u:secret@h?tls_verify=yes", "none, ca or full"}, Case{"ws://u:secret@::1:6041", "brackets"},
        Case{"ws://u:secret@[::1", "']'"}, Case{"ws://u:secret@h?tls_cert=c", "together"}}) {
    try {
      Options::parse(c.dsn);
      ADD_FAILURE() << c.dsn;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      EXPECT_NE(std::string(error.what()).find(c.says), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace penstock::client
