#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "base/error.h"
#include "io/reader.h"
#include "io/support.h"

namespace penstock::io {
namespace {

using test::input_of;
using test::Outcome;
using test::read_all;

class Damage : public ::testing::Test {
 protected:
  std::string write(std::string_view text) { return directory_.write("file", text); }
  test::TemporaryDirectory directory_;
};

struct Format {
  const char* name;
  std::string (*compress)(std::string_view);
};
const Format kFormats[] = {
    {"zstd", [](std::string_view text) { return test::zstd(text); }}, {"gzip", test::gzip}, {"lz4", test::lz4}};

/// Whole lines at the front of `text`.
void expect_whole_records(const Outcome& outcome, const std::string& text, std::size_t at_least,
                          const std::string& what) {
  const std::string got = outcome.text();
  EXPECT_EQ(got, text.substr(0, got.size())) << what;
  EXPECT_TRUE(got.empty() || got.back() == '\n') << what;
  EXPECT_GE(got.size(), at_least) << what;
}

TEST_F(Damage, OfATruncatedCompressedFileCostsOnlyWhatIsMissing) {
  const std::string text = test::numbered_lines(1'500'000);
  for (const Format& format : kFormats) {
    const std::string whole = format.compress(text);
    for (const std::size_t missing : {std::size_t{1}, std::size_t{9}, whole.size() / 2}) {
      const std::string path = write(std::string_view(whole).substr(0, whole.size() - missing));
      const Outcome outcome = read_all(path, {});
      const std::string what = std::string(format.name) + " " + std::to_string(missing);
      EXPECT_NE(outcome.error.find("breaks off behind byte " + std::to_string(whole.size() - missing)),
                std::string::npos)
          << outcome.error;
      EXPECT_NE(outcome.error.find(path), std::string::npos);
      // Blocks of at most 4 MiB (lz4: the whole text may be one), 128 KiB for zstd.
      const bool nearly_all = missing < 10;
      const std::size_t at_least = nearly_all && format.name != std::string("lz4") ? text.size() - 140'000 : 0;
      expect_whole_records(outcome, text, at_least, what);
      if (missing > 10 && format.name != std::string("lz4")) {
        EXPECT_GT(outcome.text().size(), text.size() / 4) << what;
      }
    }
    // In the middle of a header, and between two frames, where only the second is incomplete.
    EXPECT_NE(read_all(write(whole.substr(0, 5)), {}).error, "") << format.name;
    const Outcome second = read_all(write(whole + whole.substr(0, 6)), {});
    EXPECT_EQ(second.text(), text) << format.name;
    EXPECT_NE(second.error, "") << format.name;
  }
}

TEST_F(Damage, IsFoundAndWhatCameBeforeIsDelivered) {
  const std::string text = test::numbered_lines(1'500'000);
  for (const Format& format : kFormats) {
    std::string bytes = format.compress(text);
    const std::size_t position = bytes.size() * 3 / 4;
    for (std::size_t i = 0; i < 8; ++i) bytes[position + i] = static_cast<char>(~bytes[position + i]);
    const Outcome outcome = read_all(write(bytes), {});
    EXPECT_NE(outcome.error.find("byte "), std::string::npos) << format.name << outcome.error;
    EXPECT_NE(outcome.error.find(format.name), std::string::npos) << outcome.error;
    // zlib has no checksum before the end of the member: what it decodes behind the damage may be wrong bytes.
    if (format.name == std::string("zstd")) expect_whole_records(outcome, text, 100'000, format.name);
    // Something else behind the end.
    const Outcome garbage = read_all(write(format.compress(text) + "this is no frame at all"), {});
    EXPECT_EQ(garbage.text(), text) << format.name;
    EXPECT_NE(garbage.error, "") << format.name;
  }
}

TEST_F(Damage, OfAnyKindNeitherCrashesNorHangs) {
  std::mt19937 random(17);
  const std::string text = test::numbered_lines(20'000);
  ReadOptions options;
  options.chunk_bytes = 1000;
  options.max_record = 5000;
  for (const Format& format : kFormats) {
    const std::string whole = format.compress(text);
    for (int round = 0; round < 150; ++round) {
      std::string bytes = whole;
      const std::size_t changes = random() % 4 + 1;
      for (std::size_t i = 0; i < changes; ++i) bytes[4 + random() % (bytes.size() - 4)] = static_cast<char>(random());
      if (random() % 3 == 0) bytes.resize(random() % bytes.size());
      if (random() % 5 == 0) bytes += bytes.substr(random() % (bytes.size() + 1));
      options.cutting.splitting = round % 2 == 0 ? Splitting::csv : Splitting::lines;
      const auto reader = Reader::open(input_of(write(bytes)), options);
      if (round % 3 == 0) reader->peek(random() % 30'000);
      read_all(*reader);
      Chunk chunk;
      EXPECT_FALSE(reader->next(chunk, {})) << "nothing comes behind the end or the error";
    }
  }
}

TEST_F(Damage, IsKeptByPeekForTheReading) {
  const std::string text = test::numbered_lines(400'000);
  const std::string whole = test::gzip(text);
  const auto reader = Reader::open(input_of(write(whole.substr(0, whole.size() / 2))), {});
  const std::string first(reader->peek(1 << 20));
  EXPECT_EQ(first, text.substr(0, first.size()));
  EXPECT_GT(first.size(), 50'000u);
  const Outcome outcome = read_all(*reader);
  EXPECT_NE(outcome.error, "");
  expect_whole_records(outcome, text, first.size() - 200, "gzip");
}

TEST_F(Damage, ByTruncationWhileMappedIsNoCrash) {
  const std::string text = test::numbered_lines(4'000'000);
  ReadOptions options;
  const std::string path = write(text);
  const auto reader = Reader::open(input_of(path), options);
  Chunk first;
  ASSERT_TRUE(reader->next(first, {}));
  EXPECT_FALSE(damaged(first));
  EXPECT_FALSE(reader->damaged());
  ASSERT_EQ(::truncate(path.c_str(), 100'000), 0);
  // Reads lost pages: without the guard this ends the process.
  const std::string copy(first.text);
  EXPECT_EQ(copy.substr(0, 90'000), text.substr(0, 90'000));
  EXPECT_EQ(copy[900'000], '\0');
  EXPECT_TRUE(damaged(first));
  EXPECT_TRUE(reader->damaged());
  const Outcome rest = read_all(*reader);
  EXPECT_TRUE(rest.chunks.empty());
  EXPECT_NE(rest.error.find("was truncated while it was read"), std::string::npos) << rest.error;
}

// Parsers look for the end of a line that was there when the chunk was cut.
TEST_F(Damage, ByTruncationLeavesANewlineToStopAt) {
  const std::string text = test::numbered_lines(4'000'000);
  for (const std::size_t size : {text.size(), std::size_t{1} << 20}) {
    const std::string path = write(std::string_view(text).substr(0, size));
    const auto reader = Reader::open(input_of(path), {});
    Chunk first;
    ASSERT_TRUE(reader->next(first, {}));
    ASSERT_EQ(::truncate(path.c_str(), 0), 0);
    const char* at = first.text.data();
    while (*at != '\n') ++at;
    EXPECT_GE(at, first.text.data() + size);
    EXPECT_LE(at, first.text.data() + size + 4096);
  }
}

TEST_F(Damage, ByTruncationWithinAPageIsSeenToo) {
  const std::string text = test::numbered_lines(3000);
  const std::string path = write(text);
  const auto reader = Reader::open(input_of(path), {});
  Chunk chunk;
  ASSERT_TRUE(reader->next(chunk, {}));
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(text.size() - 10)), 0);
  EXPECT_TRUE(damaged(chunk));
  EXPECT_THROW(reader->next(chunk, {}), Error);
  EXPECT_FALSE(reader->next(chunk, {}));
}

TEST_F(Damage, ByTruncationBeforeTheOnePassIsSeenAndReadsAsZeros) {
  const std::string text = test::numbered_lines(3'000'000);
  const std::string path = write(text);
  const auto reader = Reader::open(input_of(path), {});
  Chunk chunk;
  ASSERT_TRUE(reader->next(chunk, {}));
  const std::size_t left = chunk.text.size() / 2;
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(left)), 0);
  const Chunk pass = for_one_pass(chunk);
  EXPECT_EQ(pass.text.substr(0, left), std::string_view(text).substr(0, left));
  EXPECT_EQ(pass.text.substr(left), std::string(chunk.text.size() - left, '\0'));
  EXPECT_TRUE(damaged(chunk));
  // Also when somebody has made it as long again meanwhile.
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(text.size())), 0);
  EXPECT_TRUE(damaged(chunk));
}

TEST_F(Damage, OfOneMappingLeavesTheOthersAlone) {
  const std::string text = test::numbered_lines(200'000);
  const std::string path = write(text);
  const auto good = Reader::open(input_of(directory_.write("good", text)), {});
  const auto bad = Reader::open(input_of(path), {});
  Chunk good_chunk;
  Chunk bad_chunk;
  ASSERT_TRUE(good->next(good_chunk, {}));
  ASSERT_TRUE(bad->next(bad_chunk, {}));
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  EXPECT_EQ(bad_chunk.text.find_first_not_of('\0'), std::string_view::npos);
  EXPECT_TRUE(damaged(bad_chunk));
  EXPECT_FALSE(damaged(good_chunk));
  EXPECT_EQ(read_all(*good).error, "");
  Chunk none;
  EXPECT_FALSE(damaged(none));
}

TEST_F(Damage, ByTruncationWhileReadIsSaid) {
  const std::string text = test::numbered_lines(3'000'000);
  ReadOptions options;
  options.use_mmap = false;
  options.chunk_bytes = 10'000;
  const std::string path = write(text);
  const auto reader = Reader::open(input_of(path), options);
  ASSERT_EQ(::truncate(path.c_str(), 100'000), 0);
  const Outcome outcome = read_all(*reader);
  EXPECT_NE(outcome.error.find("was truncated while it was read"), std::string::npos) << outcome.error;
  expect_whole_records(outcome, text, 99'000, "read()");
}

class Replacement : public ::testing::TestWithParam<bool> {
 protected:
  ReadOptions options() const {
    ReadOptions o;
    o.use_mmap = GetParam();
    return o;
  }
  test::TemporaryDirectory directory_;
};

TEST_P(Replacement, IsAnErrorBehindTheOldContent) {
  const std::string text = test::numbered_lines(10'000);
  const std::string path = directory_.write("file", text);
  const auto reader = Reader::open(input_of(path), options());
  std::filesystem::rename(directory_.write("new", text), path);
  const Outcome outcome = read_all(*reader);
  EXPECT_EQ(outcome.text(), text);
  EXPECT_NE(outcome.error.find("was replaced while it was read"), std::string::npos) << outcome.error;
}

TEST_P(Replacement, ByAppendedDataIsFine) {
  const std::string text = test::numbered_lines(10'000);
  const std::string path = directory_.write("file", text);
  const auto reader = Reader::open(input_of(path), options());
  directory_.write("file", text);                         // the same bytes again, with another time …
  std::filesystem::resize_file(path, text.size() + 100);  // … and more of them
  const Outcome outcome = read_all(*reader);
  EXPECT_EQ(outcome.text(), text);
  EXPECT_EQ(outcome.error, "");
}

TEST_P(Replacement, InPlaceIsAnError) {
  const std::string text = test::numbered_lines(10'000);
  const std::string path = directory_.write("file", text);
  const auto reader = Reader::open(input_of(path), options());
  const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_NE(read_all(*reader).error.find("was written over while it was read"), std::string::npos);
}

TEST_P(Replacement, ByNothingIsFine) {
  const std::string text = test::numbered_lines(10'000);
  const std::string path = directory_.write("file", text);
  const auto reader = Reader::open(input_of(path), options());
  std::filesystem::remove(path);
  const Outcome outcome = read_all(*reader);
  EXPECT_EQ(outcome.text(), text);
  EXPECT_EQ(outcome.error, "");
}

INSTANTIATE_TEST_SUITE_P(Both, Replacement, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "mapped" : "read"; });

}  // namespace
}  // namespace penstock::io
