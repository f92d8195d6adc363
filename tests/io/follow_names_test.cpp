#include "io/detail/follow_names.h"

#include <gtest/gtest.h>

namespace penstock::io::detail {
namespace {

TEST(FollowNames, KnowWhatARotatedFileWasCalled) {
  constexpr std::pair<const char*, const char*> kCases[] = {
      {"app.log", "app.log"},
      {"app.log.1", "app.log"},
      {"app.log.12.gz", "app.log"},
      {"app.log-20261122", "app.log"},
      {"app.log-20261122.zst", "app.log"},
      {"app.log.2026-11-22_13:05", "app.log"},
      {"app.log-2026-11-22T13", "app.log"},
      {"app-20261122.log", "app.log"},
      {"app.1.log.gz", "app.log"},
      {"app.log.old", "app.log"},
      {"app.log.gz", "app.log"},
      {"host1.csv", "host1.csv"},
      {"host-a.csv", "host-a.csv"},
      {"app.log.err", "app.log.err"},
      {"syslog", "syslog"},
      {"syslog.1", "syslog"},
      {"2026", "2026"},
      {"v1.2", "v1"},
      {".1", ".1"},
      {"", ""},
  };
  for (const auto& [name, base] : kCases) EXPECT_EQ(rotation_base(name), base) << name;
  EXPECT_EQ(rotation_group("/var/log/app.log.1"), "/var/log/app.log");
  EXPECT_EQ(rotation_group("app.log.1"), "app.log");
}

TEST(FollowNames, TellRotationsFromNeighbours) {
  for (const char* name : {"app.log.1", "app.log-20261122", "app.log.3.gz", "app.log.old", "app-20261122.log"}) {
    EXPECT_TRUE(is_rotated_name("app.log", name)) << name;
  }
  for (const char* name : {"app.log", "app.log.err", "app.log2", "other.log.1", "app.log.swp", "app.log-backup"}) {
    EXPECT_FALSE(is_rotated_name("app.log", name)) << name;
  }
  EXPECT_TRUE(is_longer_name("app.log", "app.log.err"));
  EXPECT_TRUE(is_longer_name("app.log", "app.log-backup"));
  EXPECT_FALSE(is_longer_name("app.log", "app.log2"));
  EXPECT_FALSE(is_longer_name("app.log", "app.log"));
}

TEST(FollowNames, OrderGenerations) {
  EXPECT_TRUE(is_older_name("app.log.2", "app.log.1"));
  EXPECT_TRUE(is_older_name("app.log.10.gz", "app.log.9"));
  EXPECT_FALSE(is_older_name("app.log.1", "app.log.10"));
  EXPECT_TRUE(is_older_name("app.log-20261121", "app.log-20261122.gz"));
  EXPECT_FALSE(is_older_name("app.log-20261201", "app.log-20261122"));
}

TEST(FollowNames, WriteBracesOut) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(expand_braces("a.log"), Names{"a.log"});
  EXPECT_EQ(expand_braces("{a,b}.log"), (Names{"a.log", "b.log"}));
  EXPECT_EQ(expand_braces("x{a,b{1,2}}y"), (Names{"xay", "xb1y", "xb2y"}));
  EXPECT_EQ(expand_braces("{a,b}{c,d}"), (Names{"ac", "ad", "bc", "bd"}));
  EXPECT_EQ(expand_braces("{a}"), Names{"{a}"});
  EXPECT_EQ(expand_braces("{a,b"), Names{"{a,b"});
}

TEST(FollowNames, TakePathsApart) {
  EXPECT_EQ(directory_of("/a/b"), "/a");
  EXPECT_EQ(directory_of("/a"), "/");
  EXPECT_EQ(directory_of("a"), "");
  EXPECT_EQ(name_of("/a/b"), "b");
  EXPECT_EQ(join_path("/", "a"), "/a");
  EXPECT_EQ(join_path("", "a"), "a");
}

}  // namespace
}  // namespace penstock::io::detail
