// What a run leaves behind that ended before it had read (much of) what it found, and what the next one makes of it.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/follow_support.h"

namespace penstock::io::test {
namespace {

/// In files of which hours lie between what was there before and what comes.
class FollowerRestart : public ::testing::Test {
 protected:
  FollowerRestart() { at.file_time_ns = 1'790'000'000'123'456'789; }
  /// Time passes, for files.
  void later(std::int64_t seconds = 2) { at.file_time_ns += seconds * 1'000'000'000 + 1'001; }
  /// An old generation that nobody asked for.
  void write_old() {
    at.append("app.log.1", "old\n");
    later(3600);
  }
  /// Ends it as kill -9 does; what was found is in the journal, nothing that was handed out is settled.
  void kill() {
    std::vector<FollowedFile> known = at.follower->files();
    for (FollowedFile& file : known) {
      file.offset = 0;
      file.finished = false;
    }
    at.follower.reset();
    at.texts.clear();
    at.options.known = std::move(known);
  }
  std::string read_all() {
    at.take();
    at.start({"app.log"});
    at.look();
    at.finish();
    EXPECT_TRUE(at.faults.empty());
    return at.take();
  }
  void shift(int generations) {
    for (int age = generations; age > 0; --age) {
      at.rename("app.log." + std::to_string(age), "app.log." + std::to_string(age + 1));
    }
  }
  Following at;
};

TEST_F(FollowerRestart, FindsWhatWasRotatedBeforeItWasRead) {
  struct Case {
    const char* name;
    const char* seen;  ///< in the file when it was found
    std::function<void()> meanwhile;
    const char* expected;
  };
  const auto copy_truncate = [this](const char* to) {
    later();
    at.copy("app.log", to);
    at.truncate("app.log");
    later();
  };
  const Case kCases[] = {
      {"copied and truncated twice", "1\n",
       [&] {
         copy_truncate("app.log-20261121");
         at.append("app.log", "2\n");
         copy_truncate("app.log-20261122");
         at.append("app.log", "3\n");
       },
       "1\n2\n3\n"},
      {"empty when found, then copied and truncated", "",
       [&] {
         later();
         at.append("app.log", "1\n");
         copy_truncate("app.log-20261121");
         at.append("app.log", "2\n");
         copy_truncate("app.log-20261122");
       },
       "1\n2\n"},
      {"renamed and compressed, its inode used again", "",
       [&] {
         later();
         at.append("app.log", "1\n");
         at.append("app.log-20261121.gz", gzip("1\n"));
         at.remove("app.log");
         later();
         at.append("app.log", "2\n");
       },
       "1\n2\n"},
      {"compressed with a time in whole seconds", "1\n",
       [&] {
         at.append("app.log-20261121.gz", gzip("1\n"));
         std::filesystem::last_write_time(
             at.path("app.log-20261121.gz"),
             std::chrono::floor<std::chrono::seconds>(std::filesystem::last_write_time(at.path("app.log"))));
         at.remove("app.log");
       },
       "1\n"},
      {"three renames", "",
       [&] {
         for (const char* line : {"1\n", "2\n", "3\n"}) {
           later();
           at.append("app.log", line);
           at.rename("app.log", "app.log-2026112" + std::string(line, 1));
         }
         later();
         at.append("app.log", "4\n");
       },
       "1\n2\n3\n4\n"},
  };
  for (const Case& one : kCases) {
    for (const int kills : {1, 2, 3}) {  // before anything is read
      SCOPED_TRACE(std::string(one.name) + ", ended " + std::to_string(kills) + " times");
      for (const auto& entry : std::filesystem::directory_iterator(at.path(""))) std::filesystem::remove(entry.path());
      at.options.known.clear();
      at.texts.clear();
      write_old();
      at.append("app.log", one.seen);
      at.start({"app.log"});
      kill();
      one.meanwhile();
      for (int i = 1; i < kills; ++i) {
        at.start({"app.log"});
        kill();
      }
      EXPECT_EQ(read_all(), one.expected);
    }
  }
}

TEST_F(FollowerRestart, LeavesAloneWhatWasThereBefore) {
  write_old();
  at.append("app.log", "1\n");
  at.start({"app.log"});
  kill();
  later();
  at.rename("app.log.1", "app.log.2");
  at.rename("app.log", "app.log.1");
  later();
  at.append("app.log", "2\n");
  EXPECT_EQ(read_all(), "1\n2\n");
  at.append("app.log.3.gz", gzip("old\n"));
  std::filesystem::last_write_time(at.path("app.log.3.gz"), std::filesystem::last_write_time(at.path("app.log.2")));
  at.remove("app.log.2");
  at.finish();
  EXPECT_EQ(at.take(), "");
}

TEST_F(FollowerRestart, FindsOutOfOrderOnlyWhatTheJournalDoesNotKnow) {
  // A generation was found "unseen", was weak, and the run ended before the journal knew of it; the newer one is known.
  at.append("app.log", "1\n");
  at.start({"app.log"});
  kill();
  const FollowedFile first = at.options.known[0];
  later();
  at.rename("app.log", "app.log-20261121");
  later();
  at.append("app.log", "2\n");
  at.start({"app.log"});
  kill();
  at.append("app.log-20261121.gz", gzip("1\n"));
  std::filesystem::last_write_time(at.path("app.log-20261121.gz"),
                                   std::filesystem::last_write_time(at.path("app.log-20261121")));
  at.remove("app.log-20261121");
  later();
  EXPECT_EQ(read_all(), "1\n2\n") << first.mtime_ns;
}

TEST_F(FollowerRestart, FindsGenerationsOfANameThatHadNoFileAtFirst) {
  write_old();
  at.start({"app.log"});
  at.look();
  for (const char* line : {"1\n", "2\n", "3\n"}) {  // between two looks
    later(0);
    shift(line[0] - '0');
    at.append("app.log.1", line);
  }
  at.look();
  EXPECT_EQ(at.take(), "1\n2\n3\n");
  later();
  at.append("app.log", "4\n");
  at.look();
  at.finish();
  EXPECT_EQ(at.take(), "4\n");
  kill();
  EXPECT_EQ(read_all(), "1\n2\n3\n4\n");
}

}  // namespace
}  // namespace penstock::io::test
