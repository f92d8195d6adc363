#include "io/follow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stop_token>
#include <thread>

#include "base/error.h"

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

TEST(Follower, TakesSeveralNamesOfOneFileAsOne) {
  Following at;
  at.write("a.log", "1\n");
  std::filesystem::create_hard_link(at.path("a.log"), at.path("b.log"));
  std::filesystem::create_symlink("a.log", at.path("c.log"));
  at.start({"*.log", "a.log", "."});
  at.look();
  EXPECT_EQ(at.take(), "1\n");
  EXPECT_EQ(at.texts.size(), 1U);
}

TEST(Follower, TakesALinkToAnotherFileAsRotation) {
  Following at;
  at.write("logs/app-20261121.log", "1\n");
  std::filesystem::create_symlink("logs/app-20261121.log", at.path("app.log"));
  at.start({"app.log"});
  at.look();
  at.append("logs/app-20261121.log", "2\n");
  at.write("logs/app-20261122.log", "3\n");
  std::filesystem::remove(at.path("app.log"));
  std::filesystem::create_symlink("logs/app-20261122.log", at.path("app.log"));
  at.look();
  EXPECT_EQ(at.take(), "1\n2\n3\n");
  at.finish();
  EXPECT_TRUE(at.follower->describe(0).finished);
  EXPECT_FALSE(at.follower->describe(1).finished);
}

TEST(Follower, TellsOnceOfWhatCannotBeLookedAtAndTriesAgain) {
  Following at;
  std::filesystem::create_symlink("a.log", at.path("a.log"));  // a loop: ELOOP, also for root
  at.start({"a.log"});
  at.look();
  at.look();
  EXPECT_EQ(at.events(), "unreadable");
  std::filesystem::remove(at.path("a.log"));
  at.write("a.log", "1\n");
  at.look();
  EXPECT_EQ(at.take(), "1\n");
  EXPECT_EQ(at.events(), "readable found");
}

TEST(Follower, CutsRecordsThatAreTooLong) {
  Following at;
  at.options.chunk_bytes = 64;
  at.options.max_record = 256;
  const std::string text = "short\n" + std::string(1000, 'x') + "\nnext\n";
  at.start({"a.log"});
  for (std::size_t i = 0; i < text.size(); i += 7) {
    at.append("a.log", text.substr(i, 7));
    at.look();
  }
  EXPECT_EQ(at.take(), text);
  EXPECT_EQ(at.oversized, 1001U);
  EXPECT_TRUE(at.faults.empty());
}

TEST(Follower, KeepsRecordsOfManyLinesWhole) {
  for (const auto splitting : {Splitting::csv, Splitting::json}) {
    Following at;
    Cutting cutting;
    cutting.splitting = splitting;
    at.options.prepare = [&](const FollowedFile&, const std::string&) { return cutting; };
    at.start({"a"});
    const std::string record =
        splitting == Splitting::csv ? "1,\"two\nlines \"\"x\"\"\n\",3\n" : "{\"a\": {\"b\":\n [1]}}\n";
    for (const char c : record + record) {
      at.append("a", std::string(1, c));
      at.look();
      const std::size_t part = at.all.size() % record.size();  // a JSON object ends before its newline
      EXPECT_TRUE(part <= 1 || part == record.size() - 1) << at.all;
    }
    at.append("a", record.substr(0, 1));
    at.look();
    EXPECT_EQ(at.take().substr(0, 2 * record.size() - 1), (record + record).substr(0, 2 * record.size() - 1));
    EXPECT_TRUE(at.faults.empty());
  }
}

TEST(Follower, ReadsCompressedFilesOnceAndWaitsForTheRest) {
  const std::string text = numbered_lines(300'000);
  const std::pair<std::string, const char*> kFiles[] = {
      {gzip(text), "a.gz"}, {zstd(text), "a.zst"}, {lz4(text), "a.lz4"}};
  for (const auto& [packed, name] : kFiles) {
    Following at;
    at.append(name, packed.substr(0, packed.size() / 2));
    at.start({name});
    at.look();
    EXPECT_LT(at.all.size(), text.size());
    at.append(name, packed.substr(packed.size() / 2));
    at.pass(milliseconds(1000));
    at.pass(milliseconds(1000));
    EXPECT_EQ(at.take(), text) << name;
    EXPECT_TRUE(at.follower->describe(0).finished);
    EXPECT_TRUE(at.faults.empty());
    at.restart({name});
    at.look();
    EXPECT_EQ(at.take(), "");
  }
}

TEST(Follower, GivesUpCompressedFilesThatStayIncomplete) {
  Following at;
  const std::string packed = gzip(numbered_lines(200'000));
  at.write("a.gz", packed.substr(0, packed.size() / 2));
  at.write("b.gz", gzip("b\n"));
  at.start({"*.gz"});
  at.look();
  for (int i = 0; i < 8; ++i) at.pass(milliseconds(1000));
  EXPECT_NE(at.all.find("b\n"), std::string::npos);
  EXPECT_NE(at.events().find("given_up"), std::string::npos);
}

TEST(Follower, ReadsADeletedFileToItsEndThroughItsDescriptor) {
  Following at;
  at.write("a.log", "1\n");
  at.start({"a.log"});
  at.look();
  at.append("a.log", "2\nhalf");
  at.remove("a.log");
  at.look();
  EXPECT_EQ(at.take(), "1\n2\n");
  at.finish();
  EXPECT_EQ(at.take(), "half");
  EXPECT_EQ(at.events(), "found finished");
}

TEST(Follower, TellsWhatIsLostWithAFileThatIsGone) {
  Following at;
  at.options.max_open_files = 1;
  at.write("a.log", "1\n");
  at.start({"a.log", "b.log"});
  at.look();
  at.write("b.log", "b\n");
  at.look();  // its descriptor takes the place of the other
  at.append("a.log", "lost\n");
  at.remove("a.log");
  at.look();
  EXPECT_EQ(at.events(), "found found finished") << "nobody saw the lost line";
  at.restart({"a.log", "b.log"});
  at.follower.reset();
  at.options.known = {at.options.known[1]};
  at.options.known[0].size += 7;
  at.remove("b.log");
  at.told.clear();
  at.start({"a.log", "b.log"});
  ASSERT_EQ(at.told.size(), 1U);
  EXPECT_EQ(at.told[0].code, FollowCode::vanished);
  EXPECT_EQ(at.told[0].bytes, 7U);
}

TEST(Follower, GoesOnWhereTheJournalSaysUnderAnyName) {
  struct Case {
    const char* name;
    void (*meanwhile)(Following& at);
    const char* then;  ///< what is handed out after the start
  };
  const std::string old = numbered_lines(5000);
  constexpr Case kCases[] = {
      {"nothing", [](Following&) {}, ""},
      {"more", [](Following& at) { at.append("app.log", "new\n"); }, "new\n"},
      {"renamed",
       [](Following& at) {
         at.append("app.log", "tail\n");
         at.rename("app.log", "app.log.1");
         at.write("app.log", "next\n");
       },
       "tail\nnext\n"},
      {"renamed and compressed",
       [](Following& at) {
         at.append("app.log", "tail\n");
         at.write("app.log.1.gz", gzip(at.slurp("app.log")));
         at.remove("app.log");
         at.write("app.log", "next\n");
       },
       "tail\nnext\n"},
      {"copied and truncated",
       [](Following& at) {
         at.append("app.log", "tail\n");
         at.copy("app.log", "app.log-20261122");
         at.truncate("app.log");
         at.append("app.log", "next\n");
       },
       "tail\nnext\n"},
      {"copied, truncated, grown",
       [](Following& at) {
         at.copy("app.log", "app.log.copy");
         at.truncate("app.log");
         at.append("app.log", numbered_lines(9000).substr(0, 40) + std::string(9000, 'y') + "\n");
       },
       nullptr},
      {"three generations later",
       [](Following& at) {
         at.append("app.log", "tail\n");
         at.rename("app.log", "app.log.3");
         at.write("app.log.2", "second\n");
         at.write("app.log.1", "third\n");
         at.write("app.log", "fourth\n");
       },
       "tail\nsecond\nthird\nfourth\n"},
      {"its inode serves another file",
       [](Following& at) {
         at.copy("app.log", "moved.tmp");
         at.truncate("app.log");
         at.append("app.log", "other\n");
         at.rename("moved.tmp", "app.log.1");
       },
       "other\n"},
  };
  for (const Case& one : kCases) {
    SCOPED_TRACE(one.name);
    Following at;
    at.write("app.log", old);
    at.write("app.log.9", "from before\n");
    std::filesystem::last_write_time(at.path("app.log.9"),
                                     std::filesystem::last_write_time(at.path("app.log")) - std::chrono::hours(1));
    at.start({"app.log"});
    at.look();
    EXPECT_EQ(at.take(), old);
    std::vector<FollowedFile> known = at.follower->files();
    at.follower.reset();
    one.meanwhile(at);
    at.options.known = known;
    at.start({"app.log"});
    at.look();
    if (one.then != nullptr) EXPECT_EQ(at.take(), one.then);
    else EXPECT_EQ(at.take().size(), 9041U);
    at.finish();
    EXPECT_TRUE(at.faults.empty());
    EXPECT_EQ(at.events().find("vanished"), std::string::npos);
  }
}

TEST(Follower, PassesOverAMarkAndAHole) {
  Following at;
  at.write("mark.log",
           "\xef\xbb\xbf"
           "1\n");
  at.append("hole.log", std::string(1, '\0'));
  at.truncate("hole.log", 100'000);
  at.append("hole.log", "2\n");
  at.write("wide.log", std::string("\xff\xfe"
                                   "3\0\n\0",
                                   6));
  at.start({"*.log"});
  at.look();
  std::string got = at.take();
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, "\n\n12");
  const std::string events = at.events();
  EXPECT_NE(events.find("unreadable"), std::string::npos) << events;
}

TEST(Follower, AsksAgainHowToCutWhenThereIsMore) {
  Following at;
  int asked = 0;
  at.options.prepare = [&](const FollowedFile& file, const std::string& path) -> std::optional<Cutting> {
    ++asked;
    EXPECT_EQ(std::filesystem::file_size(path), file.size);
    if (file.size < 10 && !file.finished) return std::nullopt;
    return Cutting{};
  };
  at.write("a.log", "1\n");
  at.start({"a.log"});
  at.look();
  EXPECT_EQ(at.take(), "");
  at.append("a.log", "2345678\n");
  at.look();
  EXPECT_EQ(at.take(), "1\n2345678\n");
  at.append("a.log", "x\n");
  at.look();
  EXPECT_EQ(asked, 2);
  at.rename("a.log", "a.log.2");
  at.write("a.log", "short\n");
  at.look();
  at.remove("a.log");
  at.finish();
  EXPECT_EQ(at.texts[2] + at.texts[1], "short\n") << "what nobody could tell at first is told at the end";
}

TEST(Follower, LetsAHotFileNotStarveOthers) {
  Following at;
  at.options.chunk_bytes = 1000;
  at.write("hot", numbered_lines(1'000'000));
  for (int i = 0; i < 20; ++i) at.write("cold" + std::to_string(i), "c\n");
  at.start({"*"});
  Chunk chunk;
  std::size_t cold = 0;
  for (int i = 0; i < 25; ++i) {
    ASSERT_EQ(at.follower->next(chunk, {}), Follower::Next::chunk);
    cold += chunk.text == "c\n" ? 1 : 0;
  }
  EXPECT_EQ(cold, 20U);
}

TEST(Follower, StaysWithinTheBudgetAndReadsOnlyWhenAsked) {
  MemoryBudget budget(4 << 20);
  Following at;
  at.options.budget = &budget;
  at.write("a.log", numbered_lines(20 << 20));
  at.write("b.log.gz", gzip(numbered_lines(5 << 20)));
  at.start({"*"});
  EXPECT_EQ(budget.peak(), 0U);
  at.look();
  EXPECT_LE(budget.peak(), budget.limit());
  EXPECT_GE(at.all.size(), std::size_t{25} << 20);
  EXPECT_EQ(budget.used(), 0U);
  std::vector<Chunk> held(4);
  at.write("c.log", numbered_lines(20 << 20));
  at.follower->look_again();
  for (std::size_t i = 0; i < 3; ++i) ASSERT_EQ(at.follower->next(held[i], {}), Follower::Next::chunk);
  std::stop_source stop;  // no more room: only a stop ends the wait
  std::jthread stopper([&] {
    while (!budget.wanted()) std::this_thread::yield();
    stop.request_stop();
  });
  Follower::Next last = Follower::Next::chunk;
  for (std::size_t i = 0; i < 3 && last == Follower::Next::chunk; ++i) {
    last = at.follower->next(held[3], stop.get_token());
    if (last == Follower::Next::chunk) held.push_back(held[3]);
  }
  EXPECT_EQ(last, Follower::Next::stopped);
  held.clear();
  at.follower.reset();
}

TEST(Follower, KeepsFewFilesOpen) {
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  Following at;
  at.options.max_open_files = 8;
  for (int i = 0; i < 200; ++i) at.write("f" + std::to_string(i), "x\n");
  const auto before = open_files();
  at.start({"."});
  at.look();
  EXPECT_EQ(at.take().size(), 400U);
  for (int i = 0; i < 200; ++i) at.append("f" + std::to_string(i), "y\n");
  at.look();
  EXPECT_EQ(at.take().size(), 400U);
  EXPECT_LE(open_files(), before + 10);
  EXPECT_TRUE(at.faults.empty());
}

TEST(Follower, KnowsWhatItHasNotHandedOut) {
  Following at;
  at.options.chunk_bytes = 4;
  at.write("a", "1\n2\n3\n4\n");
  at.write("b", "5\n");
  at.start({"a", "b"});
  std::uint64_t all = 0;
  for (const FollowLag& lag : at.follower->lag()) all += lag.bytes;
  EXPECT_EQ(all, 10U);
  Chunk chunk;
  ASSERT_EQ(at.follower->next(chunk, {}), Follower::Next::chunk);
  ASSERT_EQ(at.follower->lag().size(), 2U);
  EXPECT_EQ(at.follower->lag()[0].bytes, 4U);
  EXPECT_EQ(at.follower->lag()[1].bytes, 2U);
  EXPECT_EQ(at.follower->files().size(), 2U);
  EXPECT_THROW(static_cast<void>(at.follower->describe(7)), std::out_of_range);
}

TEST(Follower, RefusesSourcesThatCannotBeFollowed) {
  for (const char* source : {"", "-"}) {
    FollowOptions options;
    options.sources = {source};
    EXPECT_THROW(Follower{options}, Error) << source;
  }
}

/// With notices of the system and the real clock, and polls so rare that only notices can help.
TEST(FollowerNotices, WakeWhoWaits) {
  TemporaryDirectory directory;
  FollowOptions options;
  options.sources = {directory.path("app.log"), directory.path("*.txt"), directory.path("tree"),
                     directory.path("late")};
  options.poll = std::chrono::hours(1);
  std::filesystem::create_directories(directory.path("tree"));
  Follower follower(options);
  const auto append = [&](const std::string& name, std::string_view text) {
    std::filesystem::create_directories(std::filesystem::path(directory.path(name)).parent_path());
    std::ofstream(directory.path(name), std::ios::app) << text;
  };
  const std::function<void()> kSteps[] = {
      [&] { append("app.log", "1\n"); },
      [&] { append("app.log", "2\n"); },
      [&] { append("b.txt", "3\n"); },
      [&] { append("tree/x/y/c.log", "4\n"); },
      [&] { append("late", "5\n"); },
      [&] {
        std::filesystem::rename(directory.path("app.log"), directory.path("app.log.1"));
        append("app.log", "6\n");
      },
      [&] { std::filesystem::resize_file(directory.path("app.log"), 0), append("app.log", "7 longer\n"); },
  };
  Chunk chunk;
  std::string got;
  for (const auto& step : kSteps) {
    std::jthread writer(step);
    ASSERT_EQ(follower.next(chunk, {}, std::chrono::steady_clock::now() + std::chrono::seconds(20)),
              Follower::Next::chunk)
        << "after " << got;
    got += chunk.text;
  }
  EXPECT_EQ(got, "1\n2\n3\n4\n5\n6\n7 longer\n");
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(follower.next(chunk, stop.get_token()), Follower::Next::stopped);
  EXPECT_EQ(follower.next(chunk, {}, std::chrono::steady_clock::now()), Follower::Next::idle);
}

}  // namespace
}  // namespace penstock::io::test
