#include <gtest/gtest.h>
#include <zlib.h>

#include <random>
#include <string>

#include "base/error.h"
#include "io/detail/byte_source.h"
#include "io/support.h"

// The library that inflates is compared with zlib, for heads, blocks and ends of members at all places of the pieces
// that it is fed with, and for all places of damage.
namespace penstock::io::detail {
namespace {

struct How {
  int level = 6;
  int strategy = Z_DEFAULT_STRATEGY;
  int window_bits = 15;
  bool name = false, extra = false, head_checksum = false, flushes = false;
};

std::string member(std::string_view text, const How& how) {
  z_stream stream{};
  deflateInit2(&stream, how.level, Z_DEFLATED, how.window_bits + 16, 8, how.strategy);
  gz_header head{};
  Bytef extra[40] = {1, 2, 3};
  Bytef name[] = "a file with a name.line";
  if (how.extra) {
    head.extra = extra;
    head.extra_len = sizeof extra;
  }
  if (how.name) head.name = head.comment = name;
  head.hcrc = how.head_checksum ? 1 : 0;
  deflateSetHeader(&stream, &head);
  std::string out(deflateBound(&stream, text.size()) + 1000 + text.size(), '\0');
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const auto feed = [&](std::string_view part, int flush) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
    stream.avail_in = static_cast<uInt>(part.size());
    deflate(&stream, flush);
  };
  if (how.flushes) {
    for (; text.size() > 1000; text.remove_prefix(1000)) feed(text.substr(0, 1000), Z_SYNC_FLUSH);
  }
  feed(text, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string text_of(std::size_t bytes, std::mt19937& random) {
  if (random() % 4 != 0) return test::numbered_lines(bytes).substr(0, bytes);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

struct Inflated {
  std::string text;
  bool whole = false;
};

/// All members with zeros behind them, by zlib.
Inflated by_zlib(std::string_view bytes) {
  Inflated result;
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  std::string room(1 << 16, '\0');
  for (bool first = true;; first = false) {
    const bool padding = !first && bytes.find_first_not_of('\0') == std::string_view::npos;
    if (padding || (bytes.empty() && first)) {
      result.whole = true;
      break;
    }
    inflateReset(&stream);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    int code = Z_OK;
    while (code == Z_OK) {
      stream.next_out = reinterpret_cast<Bytef*>(room.data());
      stream.avail_out = static_cast<uInt>(room.size());
      code = inflate(&stream, Z_NO_FLUSH);
      result.text.append(room, 0, room.size() - stream.avail_out);
    }
    if (code != Z_STREAM_END) break;
    bytes.remove_prefix(bytes.size() - stream.avail_in);
  }
  inflateEnd(&stream);
  return result;
}

class GzipTest : public testing::Test {
 protected:
  /// Reads into rooms of at most `most` bytes, behind which nothing may be written.
  Inflated by_us(std::string_view bytes, std::size_t most) {
    RawFile file(test::input_of(directory_.write("file", bytes)));
    RawInput input(file);
    const auto source = make_source(Compression::gzip, input);
    Inflated result;
    try {
      while (true) {
        const std::size_t room = 1 + random_() % most;
        std::string to(room + 64, '\x5a');
        const auto read = source->read(to.data(), room, {});
        if (read.state != ReadState::data) {
          result.whole = read.state == ReadState::end;
          break;
        }
        EXPECT_LE(read.bytes, room);
        EXPECT_EQ(to.substr(room), std::string(64, '\x5a')) << "written behind the room";
        result.text.append(to, 0, read.bytes);
      }
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(" byte "), std::string::npos) << error.what();
      error_ = error.what();
    }
    return result;
  }

  std::mt19937 random_{23};
  test::TemporaryDirectory directory_;
  std::string error_;
};

TEST_F(GzipTest, ReadsMembersOfAnyKindAndSize) {
  std::size_t inflated = 0;
  for (int round = 0; round < 16; ++round) {
    std::string bytes;
    std::string text;
    while (bytes.size() < 200'000) {
      const How how{static_cast<int>(random_() % 10),
                    static_cast<int>(random_() % 5),
                    static_cast<int>(9 + random_() % 7),
                    random_() % 2 == 0,
                    random_() % 8 == 0,
                    random_() % 2 == 0,
                    random_() % 4 == 0};
      const std::string part = text_of(random_() % (round % 2 == 0 ? 300 : 30'000), random_);
      bytes += member(part, how);
      text += part;
    }
    bytes.append(random_() % 3 * 700, '\0');
    const Inflated result = by_us(bytes, round % 4 == 3 ? 1 << 20 : 3000);
    EXPECT_TRUE(result.whole) << round << ": " << error_;
    ASSERT_TRUE(result.text == text) << round;
    inflated += text.size();
  }
  EXPECT_GT(inflated, 4'000'000u);
}

TEST_F(GzipTest, ReadsBlocksThatAreStoredOrSpanThePieces) {
  for (const int level : {0, 1, 9}) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65'535}, std::size_t{1'000'000}}) {
      std::string text(size, '\0');
      for (char& c : text) c = static_cast<char>('a' + random_() % (level == 9 ? 3 : 256 - 'a'));
      How how;
      how.level = level;
      const Inflated result = by_us(member(text, how), 1 << 20);
      EXPECT_TRUE(result.whole) << error_;
      EXPECT_TRUE(result.text == text) << level << " " << size;
    }
  }
}

// Whatever byte is damaged: what is read whole has the text that zlib reads, and what zlib refuses is refused. Behind
// the damage both may give wrong bytes before they see it; in front of it none is lost.
TEST_F(GzipTest, RefusesWhatZlibRefuses) {
  const std::string text = test::numbered_lines(1500);
  How how;
  how.name = how.extra = how.head_checksum = true;
  const std::string one = member(text, how);
  How stored;
  stored.level = 0;
  const std::string whole = one + member(text.substr(0, 300), stored);
  ASSERT_TRUE(by_us(whole, 1 << 20).whole);
  std::size_t refused = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << random_() % 8));
    const Inflated expected = by_zlib(bytes);
    const Inflated result = by_us(bytes, at % 2 == 0 ? 1 << 20 : 100);
    EXPECT_EQ(result.whole, expected.whole) << at;
    if (expected.whole) {
      EXPECT_EQ(result.text, expected.text) << at;
    }
    if (at >= one.size()) {
      EXPECT_EQ(result.text.substr(0, text.size()), text) << at;
    }
    if (!result.whole) ++refused;
  }
  EXPECT_GT(refused, whole.size() * 3 / 4);
}

TEST_F(GzipTest, GivesEverythingBeforeTheEndOfAFileThatBreaksOff) {
  const std::string text = test::numbered_lines(1000);
  How how;
  how.name = how.extra = how.head_checksum = true;
  const std::string one = member(text, how);
  const std::string whole = one + one;
  for (std::size_t size = 1; size < whole.size(); ++size) {
    if (size == one.size()) continue;
    const Inflated expected = by_zlib(std::string_view(whole).substr(0, size));
    const Inflated result = by_us(std::string_view(whole).substr(0, size), 1000);
    EXPECT_FALSE(result.whole) << size;
    EXPECT_NE(error_.find("breaks off behind byte " + std::to_string(size)), std::string::npos) << error_;
    EXPECT_EQ(result.text, expected.text) << size;
  }
}

}  // namespace
}  // namespace penstock::io::detail
