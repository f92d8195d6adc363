// The ledger and the rejects.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/error.h"
#include "pipeline/ledger.h"
#include "pipeline/rejects.h"

namespace penstock::pipeline {
namespace {

namespace fs = std::filesystem;

TEST(Ledger, SettlesOnlyWithoutAGap) {
  Ledger ledger(2);
  const auto settled = [&] {
    std::vector<std::uint64_t> offsets;
    for (const auto& position : ledger.settled()) offsets.push_back(position.offset);
    return offsets;
  };
  using Offsets = std::vector<std::uint64_t>;
  ledger.open(0, 0, 100, 2, 10, 1, 100);
  ledger.open(1, 0, 200, 1, 10, 0, 100);
  ledger.open(2, 0, 300, 0, 3, 3, 100);  // nothing for a lane
  ledger.open(3, 1, 50, 1, 5, 0, 50);
  EXPECT_EQ(settled(), (Offsets{0, 0}));
  ledger.settle(1, 9, 1, 2);
  ledger.settle(3, 5, 0, 0);
  EXPECT_EQ(settled(), (Offsets{0, 0})) << "the first chunk is open";
  ledger.settle(0, 4, 0, 0);
  EXPECT_EQ(settled(), (Offsets{0, 0})) << "one of its parts is";
  ledger.settle(0, 5, 0, 0);
  EXPECT_EQ(settled(), (Offsets{300, 50}));
  const auto sources = ledger.sources();
  EXPECT_EQ(sources[0].read, 23u);
  EXPECT_EQ(sources[0].written, 18u);
  EXPECT_EQ(sources[0].rejected, 5u);
  EXPECT_EQ(sources[0].merged, 2u);
  EXPECT_EQ(sources[0].not_done(), 0u);
  EXPECT_EQ(sources[1].written, 5u);
  EXPECT_EQ(ledger.total().read, 28u);
  EXPECT_EQ(ledger.total().text_bytes, 350u);
}

TEST(Ledger, KeepsWhatWasGivenUpAsNotDone) {
  Ledger ledger(1);
  ledger.open(0, 0, 100, 1, 10, 0, 100);
  ledger.open(1, 0, 200, 1, 10, 0, 100);
  ledger.abandon(0, 4, 1, 0);
  ledger.settle(1, 10, 0, 0);
  EXPECT_EQ(ledger.total().written, 14u);
  EXPECT_EQ(ledger.total().not_done(), 5u);
  EXPECT_EQ(ledger.settled()[0].offset, 0u);
}

TEST(Ledger, SettlesInAnyOrderOfParts) {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    Ledger ledger(3);
    std::vector<std::uint64_t> parts;
    std::uint64_t seq = 0;
    for (std::uint32_t source = 0; source < 3; ++source)
      for (std::uint64_t chunk = 1; chunk <= 10; ++chunk, ++seq) {
        const auto count = static_cast<std::uint32_t>(random() % 4);
        ledger.open(seq, source, 100 * chunk, count, 2 * count, 0, 100);
        parts.insert(parts.end(), count, seq);
        if (random() % 2 == 0 && !parts.empty()) {
          std::swap(parts[random() % parts.size()], parts.back());
          ledger.settle(parts.back(), 2, 0, 0);
          parts.pop_back();
        }
      }
    std::shuffle(parts.begin(), parts.end(), random);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto first = *std::min_element(parts.begin() + static_cast<std::ptrdiff_t>(i), parts.end());
      const auto positions = ledger.settled();
      for (std::uint32_t source = 0; source < 3; ++source)
        EXPECT_EQ(positions[source].offset,
                  100 * std::clamp<std::int64_t>(static_cast<std::int64_t>(first) - 10 * source, 0, 10));
      ledger.settle(parts[i], 2, 0, 0);
    }
    for (const auto& position : ledger.settled()) EXPECT_EQ(position.offset, 1000u);
    EXPECT_EQ(ledger.total().not_done(), 0u);
  }
}

TEST(Ledger, SettledRowsAreThoseOfTheSettledPartAlone) {
  Ledger ledger(1);
  ledger.open(0, 0, 100, 1, 10, 2, 100, 1, 12);
  ledger.open(1, 0, 200, 2, 20, 0, 100, 0, 20);
  ledger.settle(1, 9, 1, 0);
  auto settled = ledger.settled(0);
  EXPECT_EQ(settled.offset, 0u);
  EXPECT_EQ(settled.rows.read, 0u);
  EXPECT_EQ(settled.rows.written, 0u) << "what is behind the first open chunk does not count yet";
  ledger.settle(0, 6, 1, 3);
  settled = ledger.settled(0);
  EXPECT_EQ(settled.offset, 100u);
  EXPECT_EQ(settled.lines, 12u);
  EXPECT_EQ(settled.rows.read, 10u);
  EXPECT_EQ(settled.rows.written, 6u);
  EXPECT_EQ(settled.rows.rejected, 3u);
  EXPECT_EQ(settled.rows.left_out, 1u);
  EXPECT_EQ(settled.rows.merged, 3u);
  EXPECT_EQ(settled.rows.text_bytes, 100u);
  EXPECT_EQ(settled.rows.not_done(), 0u);
  ledger.settle(1, 10, 0, 0);
  settled = ledger.settled(0);
  EXPECT_EQ(settled.lines, 32u);
  EXPECT_EQ(settled.rows.read, 30u);
  EXPECT_EQ(settled.rows.not_done(), 0u);
}

TEST(Ledger, GoesOnFromWhatAnEarlierRunHasSettled) {
  Settled before;
  before.offset = 500;
  before.lines = 50;
  before.rows = {50, 40, 10, 0, 2, 500};
  Ledger ledger(1);
  ledger.restore(0, before);
  EXPECT_EQ(ledger.add_source(before), 1u);
  EXPECT_EQ(ledger.add_source(), 2u);
  EXPECT_TRUE(ledger.take_changes().empty()) << "the journal has these already";
  ledger.open(0, 1, 600, 1, 10, 0, 100, 0, 10);
  EXPECT_EQ(ledger.total().read, 110u);
  EXPECT_EQ(ledger.total().not_done(), 10u);
  ledger.settle(0, 10, 0, 0);
  EXPECT_EQ(ledger.sources()[0].read, 50u);
  EXPECT_EQ(ledger.settled(1).offset, 600u);
  EXPECT_EQ(ledger.settled(1).lines, 60u);
  EXPECT_EQ(ledger.settled(1).rows.written, 50u);
  EXPECT_EQ(ledger.settled(2).offset, 0u);
}

TEST(Ledger, TellsOnlyOfSourcesThatChanged) {
  Ledger ledger(1000);
  EXPECT_TRUE(ledger.take_changes().empty());
  ledger.open(0, 7, 10, 1, 1, 0, 10);
  ledger.open(1, 7, 20, 0, 0, 0, 10);
  ledger.open(2, 9, 30, 0, 0, 0, 10);
  EXPECT_TRUE(ledger.take_changes().empty()) << "nothing is settled";
  ledger.settle(0, 1, 0, 0);
  auto changes = ledger.take_changes();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].source, 7u);
  EXPECT_EQ(changes[0].settled.offset, 20u);
  EXPECT_EQ(changes[1].source, 9u);
  EXPECT_TRUE(ledger.take_changes().empty());
  ledger.open(3, 9, 40, 0, 0, 0, 10);
  changes = ledger.take_changes();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].settled.offset, 40u);
}

TEST(Ledger, ASourceIsFinishedWhenAllBeforeItsEndIsSettled) {
  Ledger ledger(3);
  ledger.finish(2, 0);  // empty
  EXPECT_TRUE(ledger.settled(2).finished);
  ledger.open(0, 0, 10, 1, 1, 0, 10);
  ledger.finish(0, 2);  // its second chunk is on its way
  ledger.settle(0, 1, 0, 0);
  EXPECT_FALSE(ledger.settled(0).finished);
  ledger.open(1, 0, 20, 1, 1, 0, 10);
  EXPECT_FALSE(ledger.settled(0).finished);
  ledger.settle(1, 1, 0, 0);
  EXPECT_TRUE(ledger.settled(0).finished);
  EXPECT_FALSE(ledger.settled(1).finished);
}

class RejectsTest : public testing::Test {
 protected:
  RejectsTest() : folder_(fs::temp_directory_path() / ("penstock-books-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~RejectsTest() override { fs::remove_all(folder_); }
  static std::string content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.is_regular_file()) names.push_back(fs::relative(entry.path(), folder_).string());
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] Rejects::Options to(const std::string& path) const {
    Rejects::Options options;
    options.path = folder_ / path;
    return options;
  }
  static RejectedRecord record(std::string_view text, std::string_view reason = "bad", std::uint32_t source = 0) {
    return {source, 3, 40, 2, 0x3002, false, reason, text};
  }
  fs::path folder_;
};

using Names = std::vector<std::string>;

TEST_F(RejectsTest, WritesRecordsByteForByteAndAReasonEach) {
  const std::string odd("m,t=\xff f=\0 1", 11);
  {
    Rejects rejects(to("out/deep"), {{"in/a.line.gz", "line", "", "--format line", ""}});
    EXPECT_EQ(files(), Names{}) << "files appear with the first reject";
    EXPECT_EQ(rejects.location(), "");
    rejects.put(record(odd, "value '\xff' is bad"), 10);
    rejects.put({0, 4, 60, 0, 0x060B, true, "too old", "m f=1 1"}, 10);
    rejects.sync();
    EXPECT_EQ(files(), (Names{"out/deep/a.line.rejects.line", "out/deep/a.line.rejects.line.reasons.jsonl"}));
    EXPECT_EQ(rejects.location(), (folder_ / "out/deep/a.line.rejects.line").string());
    EXPECT_EQ(rejects.count(), 2u);
  }
  EXPECT_EQ(content(folder_ / "out/deep/a.line.rejects.line"), odd + "\nm f=1 1\n");
  std::istringstream lines(content(folder_ / "out/deep/a.line.rejects.line.reasons.jsonl"));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["source"], "in/a.line.gz");
  EXPECT_EQ(json["line"], 3);
  EXPECT_EQ(json["offset"], 40);
  EXPECT_EQ(json["column"], 2);
  EXPECT_EQ(json["code"], 0x3002);
  EXPECT_EQ(json["by"], "penstock");
  EXPECT_EQ(json["load_with"], "--format line");
  ASSERT_TRUE(std::getline(lines, line));
  json = nlohmann::json::parse(line);
  EXPECT_EQ(json["reason"], "too old");
  EXPECT_EQ(json["by"], "server");
  EXPECT_FALSE(std::getline(lines, line));
}

TEST_F(RejectsTest, StartsACsvWithItsHeader) {
  {
    Rejects rejects(to("r"), {{"a.csv", "", "", "", ""}});
    rejects.describe(0, "ts,v", "csv", "--format csv");
    rejects.put(record("1,x"), 1);
    rejects.put(record("2,\"y\nz\""), 2);
  }
  EXPECT_EQ(content(folder_ / "r/a.csv.rejects.csv"), "ts,v\n1,x\n2,\"y\nz\"\n");
}

TEST_F(RejectsTest, NamesOneFileForOneSource) {
  {
    Rejects rejects(to("mine.line"), {{"a.line", "line", "", "", ""}});
    rejects.put(record("x"), 1);
    EXPECT_EQ(rejects.location(), (folder_ / "mine.line").string());
  }
  EXPECT_EQ(files(), (Names{"mine.line", "mine.line.reasons.jsonl"}));
}

TEST_F(RejectsTest, KeepsSourcesApartEvenOfOneName) {
  {
    Rejects rejects(to("r"), {{"x/a.line", "line", "", "", ""},
                              {"y/a.line", "line", "", "", ""},
                              {"a.line.gz", "line", "", "", ""},
                              {"z/a.line.2", "line", "", "", ""},
                              {"-", "line", "", "", ""}});
    for (std::uint32_t source = 0; source < 5; ++source)
      rejects.put(record("from " + std::to_string(source), "bad", source), 9);
    EXPECT_EQ(rejects.location(), (folder_ / "r").string());
  }
  std::multiset<std::string> contents;
  for (const auto& name : files())
    if (!name.ends_with(".jsonl")) contents.insert(content(folder_ / name));
  EXPECT_EQ(contents, (std::multiset<std::string>{"from 0\n", "from 1\n", "from 2\n", "from 3\n", "from 4\n"}));
}

TEST_F(RejectsTest, PutsALongRecordTogether) {
  {
    Rejects rejects(to("r"), {{"a.line", "line", "", "", ""}});
    rejects.put_piece(0, "first ");
    rejects.put_piece(0, "second ");
    auto last = record("last");
    last.ends_pieces = true;
    rejects.put(last, 1);
    rejects.put(record("next"), 2);
    EXPECT_EQ(rejects.count(), 2u);
  }
  EXPECT_EQ(content(folder_ / "r/a.line.rejects.line"), "first second last\nnext\n");
}

TEST_F(RejectsTest, FindsOutAtOnceThatItCannotWrite) {
  std::ofstream(folder_ / "file") << "text";
  const std::string long_name(300, 'x');
  for (const auto& path : {std::string("file"), std::string("file/below"), std::string("file/below/x.line")}) {
    try {
      Rejects rejects(to(path), {{"a.line", "line", "", "", ""}});
      FAIL() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      EXPECT_NE(std::string(error.what()).find((folder_ / "file").string()), std::string::npos) << error.what();
    }
  }
  if (::geteuid() == 0) return;  // root may write everywhere
  fs::create_directory(folder_ / "closed");
  fs::permissions(folder_ / "closed", fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_THROW(Rejects(to("closed/r"), {{"a.line", "line", "", "", ""}}), Error);
}

TEST_F(RejectsTest, TouchesNoFileThatIsThere) {
  fs::create_directory(folder_ / "r");
  std::ofstream(folder_ / "victim") << "precious";
  fs::create_symlink(folder_ / "victim", folder_ / "r/a.line.rejects.line");
  fs::create_symlink(folder_ / "nowhere", folder_ / "r/a.line.rejects-2.line");
  std::ofstream(folder_ / "r/a.line.rejects-3.line") << "of an earlier load\n";
  std::ofstream(folder_ / "r/a.line.rejects-4.line.reasons.jsonl") << "{}\n";
  {
    Rejects rejects(to("r"), {{"a.line", "line", "", "", ""}});
    rejects.put(record("x"), 1);
    EXPECT_EQ(rejects.location(), (folder_ / "r/a.line.rejects-5.line").string());
  }
  EXPECT_EQ(content(folder_ / "victim"), "precious");
  EXPECT_FALSE(fs::exists(folder_ / "nowhere"));
  EXPECT_EQ(content(folder_ / "r/a.line.rejects-3.line"), "of an earlier load\n");
  EXPECT_EQ(content(folder_ / "r/a.line.rejects-4.line.reasons.jsonl"), "{}\n");
  EXPECT_FALSE(fs::exists(folder_ / "r/a.line.rejects-4.line"));
  EXPECT_EQ(content(folder_ / "r/a.line.rejects-5.line"), "x\n");

  // A reject file that is loaded again is a source of its own.
  const std::string again = (folder_ / "mine.line").string();
  std::ofstream(again) << "m f=1 1\n";
  {
    Rejects single(to("mine.line"), {{again, "line", "", "", ""}});
    single.put(record("y"), 1);
    EXPECT_EQ(single.location(), (folder_ / "mine-2.line").string());
  }
  EXPECT_EQ(content(again), "m f=1 1\n");
  EXPECT_EQ(content(folder_ / "mine-2.line"), "y\n");
}

TEST_F(RejectsTest, WritesAPointOfJsonIntoOneLine) {
  {
    Rejects rejects(to("r"), {{"a.json", "json", "", "", ""}, {"b.csv", "csv", "", "", ""}});
    rejects.put(record("{\n  \"metric\": \"m\",\r\n  \"value\": 1\n}"), 1);
    rejects.put(record("{}"), 2);
    rejects.put(record("1,\"two\nlines\"", "bad", 1), 3);
  }
  EXPECT_EQ(content(folder_ / "r/a.json.rejects.json"), "{   \"metric\": \"m\",    \"value\": 1 }\n{}\n");
  EXPECT_EQ(content(folder_ / "r/b.csv.rejects.csv"), "1,\"two\nlines\"\n");
}

TEST_F(RejectsTest, KeepsTheMappingThatReadsThemAgain) {
  {
    Rejects rejects(to("it's"), {{"a.csv", "", "", "", ""}});
    rejects.describe(0, "ts,v", "csv", "--format csv", "table = \"t\"\n");
    rejects.put(record("1,x"), 1);
  }
  const auto base = folder_ / "it's/a.csv.rejects.csv";
  EXPECT_EQ(content(base.string() + ".mapping.toml"), "table = \"t\"\n");
  const auto reason = nlohmann::json::parse(content(base.string() + ".reasons.jsonl"));
  std::string path = base.string() + ".mapping.toml";
  path.replace(path.find('\''), 1, "'\\''");
  EXPECT_EQ(reason["load_with"], "--format csv --mapping '" + path + "'");
}

TEST_F(RejectsTest, StopsBeforeTheDiskIsFull) {
  auto options = to("r");
  options.min_free_bytes = UINT64_MAX;
  Rejects rejects(options, {{"a.line", "line", "", "", ""}});
  try {
    rejects.put(record("x"), 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::limit);
    EXPECT_NE(std::string(error.what()).find("--rejects"), std::string::npos) << error.what();
  }
  rejects.sync();
  EXPECT_EQ(content(folder_ / "r/a.line.rejects.line"), "x\n") << "written down all the same";
}

TEST_F(RejectsTest, SaysWhenAFileCannotBeWritten) {
  // The child has small files only; a death test would not tell what it found.
  const auto child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{300'000, 300'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int status = 1;
    try {
      Rejects rejects(to("r"), {{"a.line", "line", "", "", ""}});
      const std::string text(10'000, 'x');
      for (int i = 0; i < 100; ++i) rejects.put(record(text), 1'000'000);
    } catch (const Error& error) {
      const std::string_view what = error.what();
      status = error.code() == Errc::io && what.find("a.line.rejects.line") != what.npos ? 42 : 2;
    }
    ::_exit(status);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
  EXPECT_LE(fs::file_size(folder_ / "r/a.line.rejects.line"), 300'000u);
}

TEST_F(RejectsTest, KeepsExamplesFitForAScreen) {
  auto options = to("nowhere");
  options.discard = true;
  Rejects rejects(options, {{"a.line", "line", "", "", ""}});
  rejects.put(record("first\x01", "value 'a' is bad"), 1);
  rejects.put(record(std::string(1'000, 'y'), "value 'b' is bad"), 2);
  for (int i = 0; i < 9; ++i) rejects.put(record("more", "value 'c' is bad"), 3);
  const auto groups = rejects.groups();
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].count, 11u);
  ASSERT_EQ(groups[0].examples.size(), Rejects::kExamples);
  EXPECT_EQ(groups[0].examples[0].record, "first\\x01");
  EXPECT_EQ(groups[0].examples[0].place, "a.line:3:2");
  EXPECT_LT(groups[0].examples[1].record.size(), 200u);
}

TEST_F(RejectsTest, EscapesReasonsAsJson) {
  const std::vector<std::string> reasons{
      "quote \" and \\", "tab\tline\nnull", std::string("zero \0 byte", 11), "ü €", "half \xC3", "\x7f"};
  {
    Rejects rejects(to("r"), {{"a \"b\".line", "line", "", "--format line", ""}});
    for (const auto& reason : reasons) rejects.put(record("x", reason), 1);
  }
  std::istringstream lines(content(folder_ / "r/a \"b\".line.rejects.line.reasons.jsonl"));
  std::string line;
  for (const auto& reason : reasons) {
    ASSERT_TRUE(std::getline(lines, line));
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json["source"], "a \"b\".line");
    EXPECT_EQ(json["reason"], reason == "half \xC3" ? "half \xEF\xBF\xBD" : reason);
  }
}

TEST_F(RejectsTest, StopsAtItsLimits) {
  auto options = to("r");
  options.max_rejects = 3;
  Rejects most(options, {{"a.line", "line", "", "", ""}});
  for (int i = 0; i < 3; ++i) most.put(record("x"), 100);
  try {
    most.put(record("the last"), 100);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::limit);
    EXPECT_NE(std::string(error.what()).find("--max-rejects"), std::string::npos);
  }
  EXPECT_EQ(most.count(), 4u) << "written down all the same";

  options = to("s");
  options.early_rows = 100;
  Rejects early(options, {{"a.line", "line", "", "", ""}});
  for (std::uint64_t i = 1; i <= 50; ++i) early.put(record("x"), i);
  EXPECT_THROW(early.put(record("x"), 51), Error) << "more than half of the first 100";

  options.max_share = 0.1;
  options.early_share = 1;
  Rejects share(options, {{"a.line", "line", "", "", ""}});
  for (std::uint64_t i = 1; i <= 100; ++i) share.put(record("x"), 1000);
  EXPECT_THROW(share.put(record("x"), 1000), Error);
  options.path = folder_ / "t";
  Rejects small(options, {{"a.line", "line", "", "", ""}});
  EXPECT_NO_THROW(small.put(record("x"), 1)) << "a share of one row says nothing";
}

TEST_F(RejectsTest, CountsByKindOfReason) {
  auto options = to("nowhere");
  options.discard = true;
  Rejects rejects(options, {{"-", "line", "", "", ""}});
  for (int i = 0; i < 5; ++i) rejects.put(record("x", "value 'v" + std::to_string(i) + "' is no number"), 10);
  rejects.put({0, 8, 0, 0, 0, false, "other", "x"}, 10);
  const auto groups = rejects.groups();
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].reason, "value '…' is no number");
  EXPECT_EQ(groups[0].count, 5u);
  EXPECT_EQ(groups[0].code, 0x3002);
  EXPECT_EQ(groups[0].first, "standard input:3:2");
  EXPECT_EQ(groups[1].first, "standard input:8");
  EXPECT_EQ(files(), Names{});
}

}  // namespace
}  // namespace penstock::pipeline
