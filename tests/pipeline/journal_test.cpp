#include "pipeline/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/error.h"
#include "io/identity.h"
#include "pipeline/checkpointer.h"
#include "pipeline/rejects.h"

namespace penstock::pipeline {
namespace {

namespace fs = std::filesystem;

class JournalTest : public testing::Test {
 protected:
  JournalTest() : folder_(fs::temp_directory_path() / fmt::format("penstock-journal-{}", ::getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~JournalTest() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path file() const { return folder_ / "a.journal"; }
  static std::string content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  static std::vector<std::string> lines_of(const fs::path& path) {
    std::istringstream in(content(path));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  static JournalSource source(const std::string& id) {
    JournalSource made;
    made.id = id;
    made.name = "name of " + id;
    made.path = "/data/" + id;
    made.format = "line";
    made.compression = "none";
    made.identity = {1, 2, 3, 4, 5, "hash"};
    made.time_base_ns = 77;
    made.extra = "extra\n";
    return made;
  }
  static JournalContent run_of(std::vector<JournalSource> sources) {
    JournalContent run;
    run.head.command = "load";
    run.head.target = "ws://host/db";
    run.head.settings = {{"--format", "line"}, {"target", "x"}};
    run.head.memory = {{"since", "1 2"}};
    run.sources = std::move(sources);
    return run;
  }
  static Settled settled(std::uint64_t offset) {
    Settled made;
    made.offset = offset;
    made.lines = offset / 10;
    made.rows = {offset, offset - 3, 2, 1, 4, offset};
    return made;
  }
  static std::string refusal(const fs::path& path) {
    try {
      Journal::open(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config) << error.what();
      return error.what();
    }
    return "";
  }

  fs::path folder_;
};

TEST_F(JournalTest, GivesBackAllThatWasCommitted) {
  {
    const auto journal = Journal::open(file());
    EXPECT_FALSE(journal->found());
    journal->begin(run_of({source("a"), source("b")}));
    journal->settle(1, settled(500), "tail", 44);
    journal->set_rejects(1, {"/r/b", 1, 2, 3, ".s"});
    journal->remember("since", "3 4");
    journal->remember("more", "x");
    journal->commit();
    journal->settle(0, settled(900));  // never committed
  }
  struct stat info {};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto found = Journal::read(file());
  EXPECT_EQ(found.head.command, "load");
  EXPECT_EQ(found.head.target, "ws://host/db");
  EXPECT_EQ(found.head.settings, run_of({}).head.settings);
  EXPECT_EQ(found.head.memory, (std::vector<std::pair<std::string, std::string>>{{"more", "x"}, {"since", "3 4"}}));
  EXPECT_EQ(found.head.state, JournalState::running);
  EXPECT_EQ(found.head.runs, 1u);
  EXPECT_GT(found.head.updated_ns, 0);
  ASSERT_EQ(found.sources.size(), 2u);
  EXPECT_EQ(found.sources[0].settled.offset, 0u);
  const auto& b = found.sources[1];
  EXPECT_EQ(b.id, "b");
  EXPECT_EQ(b.name, "name of b");
  EXPECT_EQ(b.path, "/data/b");
  EXPECT_EQ(b.identity, source("b").identity);
  EXPECT_EQ(b.extra, "extra\n");
  EXPECT_EQ(b.time_base_ns, 77);
  EXPECT_EQ(b.settled.offset, 500u);
  EXPECT_EQ(b.settled.lines, 50u);
  EXPECT_EQ(b.settled.rows.written, 497u);
  EXPECT_EQ(b.settled.rows.not_done(), 0u);
  EXPECT_EQ(b.tail_hash, "tail");
  EXPECT_EQ(b.tail_bytes, 44u);
  EXPECT_EQ(b.rejects.records, "/r/b");
  EXPECT_EQ(b.rejects.reasons_bytes, 3u);
  EXPECT_EQ(b.rejects.swap, ".s");
}

TEST_F(JournalTest, GoesOnWithOtherNumbersAndNewSources) {
  {
    const auto journal = Journal::open(file());
    journal->begin(run_of({source("a"), source("b"), source("c")}));
    journal->settle(2, settled(300));
    journal->end(JournalState::interrupted, 130, "stopped");
  }
  {
    const auto journal = Journal::open(file());
    ASSERT_TRUE(journal->found());
    EXPECT_EQ(journal->found()->head.state, JournalState::interrupted);
    EXPECT_EQ(journal->found()->head.exit_status, 130);
    journal->go_on({"c", "d", "a"});
    journal->describe(1, source("d"));
    auto described = source("c");
    described.extra = "other";
    journal->describe(0, described);
    journal->settle(2, settled(100));
    journal->commit();
  }
  const auto found = Journal::read(file());
  EXPECT_EQ(found.head.runs, 2u);
  EXPECT_EQ(found.head.state, JournalState::running);
  ASSERT_EQ(found.sources.size(), 4u);
  std::map<std::string, std::uint64_t> offsets;
  for (const auto& one : found.sources) offsets[one.id] = one.settled.offset;
  EXPECT_EQ(offsets, (std::map<std::string, std::uint64_t>{{"a", 100}, {"b", 0}, {"c", 300}, {"d", 0}}));
  EXPECT_EQ(found.sources[2].extra, "other") << "described anew, settled as before";
}

TEST_F(JournalTest, ForgetsSourcesAndTakesOnesThatAppear) {
  const auto journal = Journal::open(file());
  journal->begin(run_of({}));
  for (std::uint32_t i = 0; i < 5'000; ++i) journal->describe(i, source(fmt::format("s{}", i)));
  journal->commit();
  for (std::uint32_t i = 0; i < 5'000; i += 2) journal->forget(i);
  journal->settle(4'999, settled(10));
  journal->commit();
  const auto found = Journal::read(file());
  ASSERT_EQ(found.sources.size(), 2'500u);
  EXPECT_EQ(found.sources.front().id, "s1");
  EXPECT_EQ(found.sources.back().settled.offset, 10u);
}

TEST_F(JournalTest, IsHeldByOneAndReadByAll) {
  EXPECT_FALSE(Journal::holder(file()).held);
  auto journal = Journal::open(file());
  journal->begin(run_of({source("a")}));
  const auto holder = Journal::holder(file());
  EXPECT_TRUE(holder.held);
  EXPECT_EQ(holder.pid, ::getpid());
  EXPECT_NE(refusal(file()).find(fmt::format("another penstock (process {})", ::getpid())), std::string::npos);
  EXPECT_EQ(Journal::read(file()).sources.size(), 1u);
  journal.reset();
  EXPECT_FALSE(Journal::holder(file()).held);
  EXPECT_EQ(refusal(file()), "");
}

TEST_F(JournalTest, RefusesWhatOthersCouldHaveMade) {
  std::ofstream(folder_ / "real") << "";
  fs::create_symlink(folder_ / "real", folder_ / "link");
  EXPECT_NE(refusal(folder_ / "link").find("symbolic link"), std::string::npos);
  fs::create_symlink(folder_ / "real", folder_ / "b.journal.lock");
  EXPECT_NE(refusal(folder_ / "b.journal").find("symbolic link"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "b.journal"));
  EXPECT_NE(refusal(folder_).find("folder"), std::string::npos);
  EXPECT_NE(refusal(folder_ / "missing" / "x").find("missing"), std::string::npos);
  std::ofstream(folder_ / "text") << "cpu a=1i 1\n" << std::string(5'000, 'x');
  EXPECT_NE(refusal(folder_ / "text").find("no journal"), std::string::npos);
  ::chmod((folder_ / "real").c_str(), 0666);
  EXPECT_NE(refusal(folder_ / "real").find("others may write it"), std::string::npos);
  // A folder that is reached through a link is the user's own business.
  fs::create_directory(folder_ / "sub");
  fs::create_directory_symlink(folder_ / "sub", folder_ / "way");
  EXPECT_EQ(refusal(folder_ / "way" / "c.journal"), "");
}

// What is committed goes up together: whenever the writer is killed, all sources stand at the same place.
TEST_F(JournalTest, HoldsOneWholeEntryWheneverItsWriterIsKilled) {
  std::mt19937 random(7);
  std::uint64_t last = 0;
  for (int round = 0; round < 30; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const auto child = ::fork();
    if (child == 0) {
      try {
        const auto journal = Journal::open(file());
        if (journal->found()) {
          journal->go_on({"a", "b", "c"});
          journal->commit();
        } else {
          journal->begin(run_of({source("a"), source("b"), source("c")}));
        }
        for (std::uint64_t i = last + 1;; ++i) {
          for (std::uint32_t s = 0; s < 3; ++s) journal->settle(s, settled(10 * i));
          journal->commit();
          if (::write(pipe_ends[1], &i, sizeof i) < 0) ::_exit(2);
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    ::close(pipe_ends[1]);
    std::uint64_t told = 0;
    for (unsigned i = 0; i < 1 + random() % 5; ++i) ASSERT_EQ(::read(pipe_ends[0], &told, sizeof told), 8);
    ::usleep(static_cast<useconds_t>(random() % 3'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (std::uint64_t more = 0; ::read(pipe_ends[0], &more, sizeof more) == 8;) told = more;
    ::close(pipe_ends[0]);
    const auto found = Journal::read(file());
    ASSERT_EQ(found.sources.size(), 3u);
    const auto place = found.sources[0].settled.offset / 10;
    for (const auto& one : found.sources) EXPECT_EQ(one.settled.offset, 10 * place);
    EXPECT_GE(place, told) << "a commit that returned is there";
    EXPECT_LE(place, told + 1);
    last = place;
  }
}

TEST_F(JournalTest, FilesAreKnownByTheirContent) {
  std::ofstream(folder_ / "a", std::ios::binary) << std::string(100'000, 'a');
  std::ofstream(folder_ / "b", std::ios::binary) << std::string(100'000, 'a') << "more";
  std::ofstream(folder_ / "c", std::ios::binary) << std::string(60'000, 'a');
  const auto a = io::identity_of(folder_ / "a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->size, 100'000u);
  EXPECT_EQ(a->head_bytes, 65'536u);
  EXPECT_EQ(a->head_hash, io::hash_hex(std::string(65'536, 'a')));
  const auto begins = [&](const char* name) {
    const int fd = ::open((folder_ / name).c_str(), O_RDONLY);
    const bool same = io::begins_as(fd, *a);
    ::close(fd);
    return same;
  };
  EXPECT_TRUE(begins("a"));
  EXPECT_TRUE(begins("b"));
  EXPECT_FALSE(begins("c")) << "shorter than the head";
  EXPECT_FALSE(io::identity_of(folder_));
  EXPECT_FALSE(io::identity_of(folder_ / "none"));
}

class RestoreTest : public JournalTest {
 protected:
  struct Record {
    std::uint64_t offset;
    std::string text;
    std::string head;
    bool by_server;
  };
  Rejects::Options to(const std::string& name) const {
    Rejects::Options options;
    options.path = folder_ / name / "";
    return options;
  }
  static std::vector<Rejects::Source> sources() { return {{"a.csv", "csv", "x,y", "--format csv", ""}}; }
  static void put(Rejects& rejects, const Record& record) {
    rejects.add({0, record.offset / 10 + 1, record.offset, 1, 7, record.by_server, "why '" + record.text + "'",
                 record.text, record.head});
  }
  // Bytes of each record as reasons tell them must lead to the records.
  void expect_sound(const fs::path& records) {
    const auto all = content(records);
    std::istringstream reasons(content(records.string() + ".reasons.jsonl"));
    std::size_t at = std::string_view("x,y\n").size();
    for (std::string line; std::getline(reasons, line);) {
      const auto reason = nlohmann::json::parse(line);
      const std::size_t bytes = reason["bytes"];
      const std::size_t head = reason.value("head_bytes", 0);
      ASSERT_LE(at + bytes, all.size());
      const auto text = all.substr(at + head, bytes - head - 1);
      EXPECT_EQ(reason["reason"], "why '" + text + "'");
      at += bytes;
    }
    EXPECT_EQ(at, all.size());
  }
};

TEST_F(RestoreTest, EndsWithTheRecordsOfAnUndisturbedRun) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    const auto name = fmt::format("whole{}", round);
    const auto parts = fmt::format("parts{}", round);
    std::vector<Record> records;
    const bool heads = round % 3 == 0;
    for (std::uint64_t i = 0; i < 40; ++i)
      records.push_back({10 * i, fmt::format("record {}{}", i, std::string(random() % 50, 'z')),
                         heads ? fmt::format("#head\nof {}", i / 7) : "", random() % 2 == 0});
    {
      Rejects rejects(to(name), sources());
      for (const auto& record : records) put(rejects, record);
    }
    RejectFiles files;
    std::uint64_t place = 0;  // settled
    std::vector<Rejects::Group> groups;
    for (int runs = 0; place < 400;) {
      Rejects rejects(to(parts), sources());
      rejects.on_new_files([&](std::uint32_t, const RejectFiles& made) { files = made; });
      const auto before = place / 10;
      const auto suffix = fmt::format(".resumed{}", runs);
      auto restored = rejects.begin_restore(0, files, place, before, suffix);
      EXPECT_EQ(restored.note, "");
      if (random() % 3 == 0) {  // a crash before the journal knows: the next attempt finds the files as they were
        Rejects second(to(parts), sources());
        restored = second.begin_restore(0, files, place, before, suffix);
        files = restored.files;
        ++runs;
        second.end_restore(0, files);
        for (const auto& change : second.sync()) files = change.files;
        continue;
      }
      files = restored.files;  // committed
      ++runs;
      if (random() % 4 == 0) continue;  // a crash before the files are in their places
      rejects.end_restore(0, files);
      EXPECT_EQ(rejects.count(), before);
      // Some records are written, not in order; those up to `place` are durable, of the others some.
      const auto until = std::min<std::uint64_t>(40, before + random() % 25);
      std::vector<Record> now(records.begin() + static_cast<std::ptrdiff_t>(before),
                              records.begin() + static_cast<std::ptrdiff_t>(until));
      if (!heads) std::shuffle(now.begin(), now.end(), random);
      const auto durable = random() % (now.size() + 1);
      std::uint64_t settled_to = 400;
      for (std::size_t i = 0; i < now.size(); ++i) {
        put(rejects, now[i]);
        if (i + 1 == durable)
          for (const auto& change : rejects.sync()) files = change.files;
      }
      for (std::size_t i = durable; i < now.size(); ++i) settled_to = std::min(settled_to, now[i].offset);
      place = std::clamp<std::uint64_t>(std::min(settled_to, 10 * until), place, 400);
      if (place == 400) groups = rejects.groups();
    }
    fs::path whole = folder_ / name / "a.csv.rejects.csv";
    fs::path part = folder_ / parts / "a.csv.rejects.csv";
    expect_sound(part);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / parts), fs::directory_iterator()), 2) << round;
    if (!heads) {
      EXPECT_EQ(lines_of(part), lines_of(whole)) << round;
      EXPECT_EQ(lines_of(part.string() + ".reasons.jsonl"), lines_of(whole.string() + ".reasons.jsonl")) << round;
    } else {
      EXPECT_EQ(content(part), content(whole)) << round;
      EXPECT_EQ(content(part.string() + ".reasons.jsonl"), content(whole.string() + ".reasons.jsonl"));
    }
    std::uint64_t counted = 0;
    for (const auto& group : groups) counted += group.count;
    EXPECT_EQ(counted, 40u) << round;
  }
}

TEST_F(RestoreTest, LeavesFilesAloneThatWereChanged) {
  RejectFiles files;
  {
    Rejects rejects(to("r"), sources());
    for (std::uint64_t i = 0; i < 5; ++i) put(rejects, {10 * i, fmt::format("record {}", i), "", false});
    files = rejects.sync().at(0).files;
  }
  const auto path = folder_ / "r" / "a.csv.rejects.csv";
  std::ofstream(path, std::ios::binary) << "x,y\nmended 1\n";
  Rejects rejects(to("r"), sources());
  const auto restored = rejects.begin_restore(0, files, 1000, 5, ".s");
  EXPECT_NE(restored.note.find("gone or was changed"), std::string::npos);
  rejects.end_restore(0, restored.files);
  EXPECT_EQ(rejects.count(), 5u);
  EXPECT_EQ(rejects.groups().at(0).count, 5u);
  put(rejects, {2000, "more", "", false});
  rejects.sync();
  EXPECT_EQ(content(path), "x,y\nmended 1\n");
  EXPECT_EQ(content(folder_ / "r" / "a.csv.rejects-2.csv"), "x,y\nmore\n");
}

TEST_F(RestoreTest, APieceWithoutAnEndGoesAndOthersWaitForIt) {
  Rejects rejects(to("r"), sources());
  put(rejects, {0, "first", "", false});
  rejects.put_piece(0, "piece1");
  put(rejects, {5, "by the server", "", true});
  EXPECT_TRUE(rejects.holding_back());
  rejects.sync();
  rejects.drop_pieces();
  EXPECT_FALSE(rejects.holding_back());
  const auto path = folder_ / "r" / "a.csv.rejects.csv";
  auto files = rejects.sync().at(0).files;
  EXPECT_EQ(content(path), "x,y\nfirst\nby the server\n");
  rejects.put_piece(0, "long ");
  put(rejects, {6, "waits", "", true});
  RejectedRecord end{0, 9, 70, 0, 0, false, "why 'long record'", "record"};
  end.ends_pieces = true;
  rejects.add(end);
  files = rejects.sync().at(0).files;
  EXPECT_EQ(content(path), "x,y\nfirst\nby the server\nlong record\nwaits\n");
  EXPECT_EQ(files.records_bytes, content(path).size());
  expect_sound(path);
}

TEST_F(JournalTest, CheckpointsWriteSettledRowsAndTellOfFailures) {
  const auto journal = Journal::open(file());
  journal->begin(run_of({source("a")}));
  Ledger ledger(1);
  Rejects::Options to;
  to.path = folder_ / "r" / "";
  Rejects rejects(to, {{"a", "line", "", "", ""}});
  Checkpointer::Options options;
  options.every = std::chrono::hours(1);
  options.look = [](std::uint32_t, const Settled& place) {
    return Checkpointer::Options::Tail{fmt::format("tail of {}", place.offset), 9};
  };
  Checkpointer checkpointer(ledger, rejects, *journal, options);
  ledger.open(0, 0, 100, 1, 10, 1, 100, 0, 11);
  rejects.add({0, 1, 5, 0, 0, false, "bad", "record"});
  checkpointer.checkpoint();
  auto found = Journal::read(file());
  EXPECT_EQ(found.sources[0].settled.offset, 0u);
  EXPECT_EQ(found.sources[0].rejects.records_bytes, 7u);
  ledger.settle(0, 9, 0, 0);
  checkpointer.checkpoint();
  found = Journal::read(file());
  EXPECT_EQ(found.sources[0].settled.offset, 100u);
  EXPECT_EQ(found.sources[0].settled.lines, 11u);
  EXPECT_EQ(found.sources[0].settled.rows.written, 9u);
  EXPECT_EQ(found.sources[0].tail_hash, "tail of 100");
  EXPECT_EQ(checkpointer.failure(), nullptr);
}

}  // namespace
}  // namespace penstock::pipeline
