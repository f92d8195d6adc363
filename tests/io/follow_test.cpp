#include "io/follow.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "io/follow_support.h"

namespace penstock::io::test {
namespace {

using std::chrono::milliseconds;

TEST(Follower, HandsOutLinesWhenTheirEndIsThere) {
  Following at;
  at.write("app.log", "one\ntw");
  at.start({"app.log"});
  at.look();
  EXPECT_EQ(at.take(), "one\n");
  at.append("app.log", "o");
  at.look();
  EXPECT_EQ(at.take(), "");
  at.append("app.log", "\nthree\nfour\nfi");
  at.look();
  EXPECT_EQ(at.take(), "two\nthree\nfour\n");
  EXPECT_EQ(at.events(), "found");
  EXPECT_TRUE(at.faults.empty());
}

TEST(Follower, FindsFilesThatAppearLater) {
  Following at;
  at.start({"a.log", "*.txt", "sub"});
  at.look();
  EXPECT_EQ(at.take(), "");
  at.write("a.log", "a\n");
  at.write("b.txt", "b\n");
  at.write("c.other", "c\n");
  at.write("sub/deep/d.log", "d\n");
  at.write("sub/.hidden", "e\n");
  at.look();
  std::string got = at.take();
  EXPECT_EQ(got.size(), 6U) << got;
  for (const char* line : {"a\n", "b\n", "d\n"}) EXPECT_NE(got.find(line), std::string::npos) << line;
}

TEST(Follower, BeginsAtTheEndOnlyWithFilesThatAreThereAtTheFirstStart) {
  Following at;
  at.options.from_end = true;
  at.write("a.log", "old\nhalf");
  at.start({"*.log"});
  at.look();
  EXPECT_EQ(at.take(), "");
  at.append("a.log", "line\nnew\n");
  at.write("b.log", "later\n");
  at.look();
  EXPECT_EQ(at.texts[0].substr(4), "halfline\nnew\n");
  EXPECT_EQ(at.texts[1], "later\n");
  at.take();
  at.write("c.log", "while down\n");
  at.restart({"*.log"});
  at.look();
  EXPECT_EQ(at.take(), "while down\n");
  EXPECT_TRUE(at.faults.empty());
}

TEST(Follower, ReadsARenamedFileToItsEndFirst) {
  Following at;
  at.write("app.log", "1\n2\n");
  at.start({"app.log"});
  at.look();
  EXPECT_EQ(at.take(), "1\n2\n");
  at.append("app.log", "3\n");
  at.rename("app.log", "app.log.1");
  at.write("app.log", "4\n");
  at.append("app.log.1", "3b\n");
  at.look();
  EXPECT_EQ(at.take(), "3\n3b\n4\n");
  at.append("app.log.1", "late\nhalf");
  at.append("app.log", "5\n");
  at.look();
  at.finish();
  EXPECT_EQ(at.texts[0], "1\n2\n3\n3b\nlate\nhalf");
  EXPECT_EQ(at.texts[1], "4\n5\n");
  EXPECT_EQ(at.events(), "found moved found finished");
  EXPECT_TRUE(at.follower->describe(0).finished);
  EXPECT_EQ(at.follower->describe(0).path, at.path("app.log.1"));
  EXPECT_TRUE(at.faults.empty());
}

TEST(Follower, FindsTheTailOfATruncatedFileInItsCopy) {
  Following at;
  at.write("app.log", "1\n2\n");
  at.start({"app.log"});
  at.look();
  at.append("app.log", "3\n4\nhalf");
  at.copy("app.log", "app.log.1");
  at.truncate("app.log");
  at.append("app.log", "5\n");
  at.look();
  EXPECT_EQ(at.take(), "1\n2\n3\n4\nhalf5\n");
  EXPECT_EQ(at.texts[0], "1\n2\n3\n4\nhalf");
  EXPECT_EQ(at.texts[1], "5\n");
  EXPECT_EQ(at.events(), "found moved truncated found finished");
  EXPECT_TRUE(at.faults.empty());
}

TEST(Follower, SeesThatAFileWasCutAndGrewBeyondTheOldPlace) {
  Following at;
  at.write("app.log", "first 1\nfirst 2\n");
  at.start({"app.log"});
  at.look();
  at.truncate("app.log");
  at.append("app.log", "second 1\nsecond 2\nsecond 3\n");
  at.look();
  EXPECT_EQ(at.texts[1], "second 1\nsecond 2\nsecond 3\n");
  EXPECT_EQ(at.events(), "found truncated found");
}

}  // namespace
}  // namespace penstock::io::test
