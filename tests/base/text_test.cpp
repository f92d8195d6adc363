#include "base/text.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/hash.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST(Text, FormatsCountsBytesAndDurations) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1'000), "1,000");
  EXPECT_EQ(format_count(1'234'567), "1,234,567");
  EXPECT_EQ(format_count(UINT64_MAX), "18,446,744,073,709,551,615");

  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(345), "345 B");
  EXPECT_EQ(format_bytes(999.7), "1 kB");
  EXPECT_EQ(format_bytes(1'230), "1.23 kB");
  EXPECT_EQ(format_bytes(45'600'000), "45.6 MB");
  EXPECT_EQ(format_bytes(999'950), "1 MB") << "never 1e+03 kB";
  EXPECT_EQ(format_bytes(1.5e12), "1.5 TB");
  EXPECT_EQ(format_bytes(2.5e18), "2500 PB");

  EXPECT_EQ(format_duration(0ns), "0 ms");
  EXPECT_EQ(format_duration(250ms), "250 ms");
  EXPECT_EQ(format_duration(999'900us), "1.0 s");
  EXPECT_EQ(format_duration(12'340ms), "12.3 s");
  EXPECT_EQ(format_duration(59'990ms), "1 m 00 s");
  EXPECT_EQ(format_duration(125s), "2 m 05 s");
  EXPECT_EQ(format_duration(3'599'900ms), "1 h 00 m");
  EXPECT_EQ(format_duration(3'720s), "1 h 02 m");
}

TEST(Text, ReadsSizes) {
  struct Case {
    std::string_view text;
    std::uint64_t base;
    std::optional<std::uint64_t> value;
  };
  for (const auto& c : {Case{"1048576", 1024, 1048576},
                        Case{"512M", 1024, 512ULL << 20},
                        Case{"4MiB", 1024, 4ULL << 20},
                        Case{"1.5G", 1024, 3ULL << 29},
                        Case{"100k", 1024, 102'400},
                        Case{"100k", 1000, 100'000},
                        Case{"100ki", 1000, 102'400},
                        Case{"2 MB", 1000, 2'000'000},
                        Case{"7b", 1024, 7},
                        Case{"1T", 1024, 1ULL << 40},
                        Case{"1e3", 1024, 1000},
                        Case{"0", 1024, 0},
                        Case{"", 1024, {}},
                        Case{"M", 1024, {}},
                        Case{"-1", 1024, {}},
                        Case{"nan", 1024, {}},
                        Case{"inf", 1024, {}},
                        Case{"1X", 1024, {}},
                        Case{"1MM", 1024, {}},
                        Case{"1MiBB", 1024, {}},
                        Case{" 1", 1024, {}},
                        Case{"0x10", 1024, {}},
                        Case{"1e30", 1024, {}},
                        Case{"99999999T", 1024, {}}})
    EXPECT_EQ(parse_size(c.text, c.base), c.value) << "'" << c.text << "'";
}

TEST(Text, ReadsDurations) {
  struct Case {
    std::string_view text;
    std::optional<std::chrono::milliseconds> value;
  };
  for (const auto& c : {Case{"5s", 5s}, Case{"5", 5s}, Case{"200ms", 200ms}, Case{"1.5m", 90s}, Case{"5min", 5min},
                        Case{"1h", 1h}, Case{"2d", 48h}, Case{"0", 0ms}, Case{"", {}}, Case{"s", {}}, Case{"-1s", {}},
                        Case{"1y", {}}, Case{"1S", {}}, Case{"inf", {}}, Case{"1e30h", {}}})
    EXPECT_EQ(parse_duration(c.text), c.value) << "'" << c.text << "'";
}

TEST(Text, PrintsAnyBytesOnOneLine) {
  EXPECT_EQ(printable("plain ü 中"), "plain ü 中");
  EXPECT_EQ(printable(std::string_view("a\0b\n\r\t\x1b[2J\x7f", 11)), "a\\x00b\\n\\r\\t\\x1b[2J\\x7f");
  EXPECT_EQ(printable("ok \xff\xfe"), "ok \\xff\\xfe");
  EXPECT_EQ(printable("abcdef", 3), "abc…");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("a中中", 3), "a…") << "cut between characters";
  const auto junk = printable(std::string(100, '\x80'), 8);
  EXPECT_EQ(junk.find("\\x80\\x80\\x80\\x80"), 0u) << "what is no text is shown too: " << junk;
}

TEST(Text, RedactsSecrets) {
  struct Case {
    std::string_view dsn, shown;
  };
  for (const auto& c : {
           Case{"ws://root:secret@h:6041/db", "ws://root:***@h:6041/db"},
           Case{"ws://root@h:6041/db", "ws://root@h:6041/db"},
           Case{"ws://h1:6041,h2:6041/db", "ws://h1:6041,h2:6041/db"},
           Case{"ws://:secret@h", "ws://:***@h"},
           Case{"taos+ws://u:se:cr@et@h/db", "taos+ws://u:***@h/db"},
           Case{"ws://u:se/cr?et@h/db", "ws://u:***@h/db"},
           Case{"root:secret@h", "root:***@h"},
           Case{"root:se://cret@h", "root:***@h"},
           Case{"wss://gw.cloud/db?token=secret", "wss://gw.cloud/db?token=***"},
           Case{"wss://gw/db?a=1&token=secret&b=2", "wss://gw/db?a=1&token=***&b=2"},
           Case{"wss://gw/db?bearer_token=secret", "wss://gw/db?bearer_token=***"},
           Case{"wss://gw/db?token=secret&bearer_token=secret", "wss://gw/db?token=***&bearer_token=***"},
           Case{"wss://u:p@gw/db?token=", "wss://u:***@gw/db?token=***"},
           Case{"ws://h/db?totp_code=secret&password=secret", "ws://h/db?totp_code=***&password=***"},
           Case{"ws://h/db?TOKEN=secret", "ws://h/db?TOKEN=***"},
           Case{"", ""},
           Case{"no dsn at all", "no dsn at all"},
       })
    EXPECT_EQ(redact(c.dsn), c.shown);
}

TEST(Text, KnowsUtf8) {
  for (const std::string_view good : {"", "a", "ü", "中", "😀", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const std::string_view bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE0\x9F\xBF",
                                     "\xE4\xB8", "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98",
                                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "a\xFF"})
    EXPECT_FALSE(is_utf8(bad)) << printable(bad);
  EXPECT_EQ(utf8_length("aü中😀"), 4u);
}

TEST(Hash, GivesTheKnownMd5) {
  EXPECT_EQ(md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(md5_hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_NE(hash_bytes("a"), hash_bytes("b"));
}

TEST(Error, SpeaksAsPartOfASentence) {
  EXPECT_EQ(errno_text(13), "permission denied");
  EXPECT_EQ(Error(Errc::server, "what", 0x0303).server_code(), 0x0303);
}

}  // namespace
}  // namespace penstock
