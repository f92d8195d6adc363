#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <stop_token>

#include "base/error.h"
#include "io/reader.h"
#include "io/support.h"

// Going on in the middle of a source. Files in data/ were made by tools that people use (data/README.md). Whether a
// part was passed over or inflated is told by damaging it: what is inflated cannot be read then.
namespace penstock::io {
namespace {

using test::input_of;
using test::read_all;

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string tool_file(const char* name) { return content(std::filesystem::path(PENSTOCK_IO_TEST_DATA) / name); }

// What the files in data/ hold.
std::string tool_text(const char* name) {
  std::string text;
  for (int i = 0; i < 6000; ++i)
    text += "cpu,host=h" + std::to_string(i % 10) + " v=" + std::to_string(i) + "i " +
            std::to_string(1'700'000'000 + i) + "000000000\n";
  if (std::string_view(name).ends_with(".lz4")) text.resize(text.find('\n', 60'000) + 1);
  return text;
}

class Skip : public testing::Test {
 protected:
  std::unique_ptr<Reader> open(const std::string& bytes, ReadOptions options = {}) {
    return Reader::open(input_of(directory_.write("file" + std::to_string(++files_), bytes)), options);
  }
  // "" when reading from `offset` on gives the rest of the text.
  std::string difference(const std::string& bytes, const std::string& text, std::size_t offset) {
    const auto reader = open(bytes);
    try {
      reader->start_at(offset);
    } catch (const Error& error) {
      return error.what();
    }
    const auto rest = read_all(*reader);
    if (!rest.error.empty()) return rest.error;
    if (rest.text() != std::string_view(text).substr(offset)) return "other bytes";
    if (!rest.chunks.empty() && rest.chunks[0].offset != offset) return "another offset";
    return "";
  }

  test::TemporaryDirectory directory_;
  int files_ = 0;
};

struct ToolFile {
  const char* name;
  std::size_t damage_at;  // in a part of the file that need not be read for the last lines
};
constexpr ToolFile kToolFiles[] = {
    {"seekable.zst", 900}, {"frames.zst", 900}, {"blocks.bgz", 900}, {"frames.lz4", 900}};

TEST_F(Skip, GoesOnAtAnyLineOfFilesMadeByTools) {
  for (const auto& [name, damage_at] : kToolFiles) {
    const std::string bytes = tool_file(name);
    const std::string text = tool_text(name);
    ASSERT_EQ(difference(bytes, text, 0), "") << name;
    for (std::size_t at = 0; at < text.size(); at += 7'919) {
      const auto offset = text.find('\n', at) + 1;
      EXPECT_EQ(difference(bytes, text, offset), "") << name << " at " << offset;
    }
    EXPECT_EQ(difference(bytes, text, text.size()), "") << name;
  }
}

TEST_F(Skip, DoesNotInflateWhatIsBefore) {
  for (const auto& [name, damage_at] : kToolFiles) {
    std::string bytes = tool_file(name);
    const std::string text = tool_text(name);
    for (std::size_t i = 0; i < 8; ++i) bytes[damage_at + i] = static_cast<char>(~bytes[damage_at + i]);
    const auto last_lines = text.rfind('\n', text.size() - 500) + 1;
    EXPECT_EQ(difference(bytes, text, last_lines), "") << name;
    EXPECT_NE(difference(bytes, text, 0), "") << name << ": the damage does not show";
  }
}

TEST_F(Skip, EndsBeforeTheOffset) {
  for (const auto& [name, damage_at] : kToolFiles) {
    const std::string text = tool_text(name);
    const auto reader = open(tool_file(name));
    try {
      reader->start_at(text.size() + 1);
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::io);
      EXPECT_NE(std::string(error.what()).find("it is not the file that was read before"), std::string::npos)
          << error.what();
    }
  }
}

void store32(std::string& bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
}

std::uint32_t load32(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value |= std::uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

// The reader believes no seek table more than the data.
TEST_F(Skip, InflatesWhereTheSeekTableIsWrong) {
  const std::string good = tool_file("seekable.zst");
  const std::string text = tool_text("seekable.zst");
  const std::size_t frames = load32(good, good.size() - 9);
  const std::size_t entry = (good[good.size() - 5] & 0x80) != 0 ? 12 : 8;
  const std::size_t table = good.size() - 9 - frames * entry;
  ASSERT_GE(frames, 3U);
  const auto offset = text.rfind('\n', text.size() - 5'000) + 1;
  ASSERT_EQ(difference(good, text, offset), "");
  const auto change = [&](std::size_t at, std::uint32_t by) {
    std::string bytes = good;
    store32(bytes, at, load32(bytes, at) + by);
    return bytes;
  };
  const std::pair<const char*, std::string> cases[] = {
      {"decompressed size of the first frame, too large", change(table + 4, 7)},
      {"decompressed size of the first frame, too small", change(table + 4, 0U - 7)},
      {"compressed size of the first frame", change(table, 3)},
      {"compressed sizes of two frames",
       [&] {
         std::string bytes = change(table, 3);
         store32(bytes, table + entry, load32(bytes, table + entry) - 3);
         return bytes;
       }()},
      {"number of frames", change(good.size() - 9, 1)},
      {"huge number of frames", change(good.size() - 9, 0x7FFFFFFF)},
      {"reserved bits",
       [&] {
         std::string bytes = good;
         bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] | 0x10);
         return bytes;
       }()},
  };
  for (const auto& [what, bytes] : cases) EXPECT_EQ(difference(bytes, text, offset), "") << what;
}

TEST_F(Skip, FramesThatDoNotTellTheirSizeAreInflated) {
  const std::string text = test::numbered_lines(400'000);
  const auto cut = text.find('\n', 200'000) + 1;
  // Members of gzip as `cat a.gz b.gz` makes them; frames of lz4 without a size.
  for (const auto compress : {test::gzip, test::lz4}) {
    const std::string bytes = compress(text.substr(0, cut)) + compress(text.substr(cut));
    for (const auto offset : {cut, text.find('\n', 300'000) + 1, text.find('\n', 1'000) + 1})
      EXPECT_EQ(difference(bytes, text, offset), "");
  }
  // Blocks of bgzip with an ordinary member among them.
  const std::string blocks = tool_file("blocks.bgz");
  const std::string in_blocks = tool_text("blocks.bgz");
  EXPECT_EQ(difference(blocks + test::gzip(text) + blocks, in_blocks + text + in_blocks, in_blocks.size() + cut), "");
  EXPECT_EQ(difference(blocks + test::gzip(text) + blocks, in_blocks + text + in_blocks,
                       in_blocks.size() + text.size() + in_blocks.find('\n', 100'000) + 1),
            "");
}

TEST_F(Skip, ByteOrderMarksCount) {
  const std::string text = "\xEF\xBB\xBF" + test::numbered_lines(100'000);
  const auto cut = text.find('\n', 50'000) + 1;
  const std::string bytes = test::zstd(text.substr(0, cut)) + test::zstd(text.substr(cut));
  for (const auto offset : {text.find('\n', 1'000) + 1, cut, text.find('\n', 70'000) + 1})
    EXPECT_EQ(difference(bytes, text, offset), "");
}

TEST_F(Skip, PlainFilesThatAreNotMapped) {
  const std::string text = test::numbered_lines(300'000);
  ReadOptions options;
  options.use_mmap = false;
  const auto offset = text.find('\n', 200'000) + 1;
  const auto reader = open(text, options);
  reader->start_at(offset);
  EXPECT_EQ(read_all(*reader).text(), text.substr(offset));
}

TEST_F(Skip, TellsHowFarItIsAndStops) {
  const std::string text = test::numbered_lines(2'000'000);
  std::atomic<std::uint64_t> skipped{0};
  ReadOptions options;
  options.skipped = &skipped;
  const auto offset = text.find('\n', 1'500'000) + 1;
  const auto reader = open(test::gzip(text), options);
  reader->start_at(offset);
  EXPECT_EQ(skipped, offset);
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = open(test::gzip(text), options);
  stopped->start_at(offset, stop.get_token());
  Chunk chunk;
  EXPECT_FALSE(stopped->next(chunk, stop.get_token()));
}

// Zeros inflate to a thousand times their size and more.
TEST_F(Skip, DecompressionBombs) {
  constexpr std::size_t kPart = std::size_t{64} << 20;
  const std::string part = test::zstd(std::string(kPart, '\n'));
  std::string bomb;
  for (int i = 0; i < 5; ++i) bomb += part;
  const auto end_of = [&](const std::string& bytes, std::uint64_t max_ratio) {
    ReadOptions options;
    options.max_ratio = max_ratio;
    const auto reader = open(bytes, options);
    Chunk chunk;
    std::uint64_t got = 0;
    try {
      while (reader->next(chunk, {})) got += chunk.text.size();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::io);
      EXPECT_GE(got, (std::size_t{256} << 20) - (std::size_t{1} << 20));
      return std::string(error.what());
    }
    return got == bytes.size() / part.size() * kPart ? std::string() : "bytes are missing";
  };
  const auto refused = end_of(bomb, 1000);
  EXPECT_NE(refused.find("--max-ratio"), std::string::npos) << refused;
  EXPECT_NE(refused.find("more than 1000 times its size"), std::string::npos) << refused;
  EXPECT_NE(refused.find("file"), std::string::npos) << refused;
  EXPECT_EQ(end_of(bomb, 0), "");
  EXPECT_EQ(end_of(bomb, 1'000'000), "");
  EXPECT_EQ(end_of(part + part, 1000), "") << "what is small is nobody's harm";
}

}  // namespace
}  // namespace penstock::io
