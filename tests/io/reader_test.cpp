#include "io/reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <random>
#include <thread>

#include "base/error.h"
#include "io/support.h"

namespace penstock::io {
namespace {

using test::input_of;
using test::Outcome;
using test::read_all;

/// Standard input comes from `fd` while this lives.
class StandardInput {
 public:
  explicit StandardInput(int fd) : saved_(::dup(STDIN_FILENO)) { ::dup2(fd, STDIN_FILENO); }
  ~StandardInput() {
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

 private:
  int saved_;
};

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
  ~Pipe() {
    ::close(ends[0]);
    close_writer();
  }
  void write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t done = ::write(ends[1], text.data(), text.size());
      ASSERT_GT(done, 0);
      text.remove_prefix(static_cast<std::size_t>(done));
    }
  }
  void close_writer() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  int ends[2] = {-1, -1};
};

Outcome read_standard_input(std::string_view text, const ReadOptions& options) {
  Pipe pipe;
  const StandardInput standard_input(pipe.ends[0]);
  std::jthread writer([&] {
    for (std::size_t at = 0; at < text.size(); at += 3000) pipe.write(text.substr(at, 3000));
    pipe.close_writer();
  });
  const auto reader = Reader::open({"standard input", {}, true, 0}, options);
  return read_all(*reader);
}

class Readers : public ::testing::Test {
 protected:
  test::TemporaryDirectory directory_;
};

ReadOptions with(std::size_t chunk_bytes, Splitting splitting = Splitting::lines) {
  ReadOptions options;
  options.chunk_bytes = chunk_bytes;
  options.cutting.splitting = splitting;
  options.linger = std::chrono::minutes(1);
  return options;
}

void expect_same_chunks(const Outcome& one, const Outcome& other, const char* what) {
  EXPECT_EQ(one.error, other.error) << what;
  ASSERT_EQ(one.chunks.size(), other.chunks.size()) << what;
  for (std::size_t i = 0; i < one.chunks.size(); ++i) {
    EXPECT_EQ(one.chunks[i].offset, other.chunks[i].offset) << what;
    ASSERT_EQ(one.chunks[i].text, other.chunks[i].text) << what;
    EXPECT_EQ(one.chunks[i].oversized, other.chunks[i].oversized) << what;
    EXPECT_EQ(one.chunks[i].oversized_end, other.chunks[i].oversized_end) << what;
    EXPECT_EQ(one.chunks[i].broken_quote, other.chunks[i].broken_quote) << what;
  }
}

TEST_F(Readers, GiveTheSameChunksWhereverTheBytesComeFrom) {
  std::mt19937 random(3);
  const std::string texts[] = {
      test::numbered_lines(700'000),
      test::tricky_csv(random, 3000) + "a,\"never closed\nb\n" + std::string(5000, 'z') + "\nlast",
      "one line",
      "\n",
      std::string("nul\0byte\r\n\r\n", 12),
      std::string(4096, 'p'),
      std::string(4095, 'p') + "\n",
      std::string(8192 - 10, 'q') + "\nabc"};
  for (const std::string& text : texts) {
    for (const Splitting splitting : {Splitting::lines, Splitting::csv}) {
      for (const std::size_t chunk_bytes : {std::size_t{100}, std::size_t{4096}, std::size_t{1} << 20}) {
        ReadOptions options = with(chunk_bytes, splitting);
        options.max_record = 4500;
        const std::string path = directory_.write("text", text);
        const Outcome mapped = read_all(path, options);
        EXPECT_EQ(mapped.text(), text);
        EXPECT_EQ(mapped.error, "");
        std::uint64_t offset = 0;
        for (const auto& chunk : mapped.chunks) {
          EXPECT_EQ(chunk.offset, offset);
          offset += chunk.text.size();
        }
        options.use_mmap = false;
        expect_same_chunks(read_all(path, options), mapped, "read()");
        const std::size_t half = text.size() / 2;
        const std::string head = text.substr(0, half);
        const std::string tail = text.substr(half);
        const std::string skippable("\x51\x2a\x4d\x18\x03\0\0\0abc", 11);
        const std::pair<const char*, std::string> compressed[] = {
            {"zstd", test::zstd(text)},
            {"zstd, two frames and skippable ones", skippable + test::zstd(head) + skippable + test::zstd(tail, false)},
            {"gzip", test::gzip(text)},
            {"gzip, members and padding",
             test::gzip(head) + test::gzip("") + test::gzip(tail) + std::string(1000, '\0')},
            {"lz4", test::lz4(text)},
            {"lz4, two frames", test::lz4(head) + skippable + test::lz4(tail)}};
        for (const auto& [what, bytes] : compressed) {
          expect_same_chunks(read_all(directory_.write("compressed", bytes), options), mapped, what);
        }
        expect_same_chunks(read_standard_input(text, options), mapped, "standard input");
        expect_same_chunks(read_standard_input(test::gzip(text), options), mapped, "compressed standard input");
      }
    }
  }
}

TEST_F(Readers, CutATextTheSameAtEveryChunkSize) {
  std::mt19937 random(5);
  const std::string text = test::tricky_csv(random, 15) + "end";
  const std::string plain = directory_.write("text", text);
  const std::string zstd = directory_.write("text.zst", test::zstd(text));
  for (std::size_t chunk_bytes = 1; chunk_bytes <= text.size() + 1; ++chunk_bytes) {
    const Outcome mapped = read_all(plain, with(chunk_bytes, Splitting::csv));
    EXPECT_EQ(mapped.text(), text);
    if (chunk_bytes % 5 == 0) expect_same_chunks(read_all(zstd, with(chunk_bytes, Splitting::csv)), mapped, "zstd");
  }
}

TEST_F(Readers, LeaveOutAByteOrderMarkAndKeepOffsetsTrue) {
  const std::string text =
      "\xef\xbb\xbf"
      "a,b\n1,2\n";
  for (const std::string& bytes : {text, test::gzip(text), test::zstd(text)}) {
    for (const bool use_mmap : {true, false}) {
      ReadOptions options = with(4);
      options.use_mmap = use_mmap;
      const auto reader = Reader::open(input_of(directory_.write("bom", bytes)), options);
      EXPECT_EQ(reader->peek(3), "a,b");
      const Outcome outcome = read_all(*reader);
      EXPECT_EQ(outcome.text(), "a,b\n1,2\n");
      ASSERT_EQ(outcome.chunks.size(), 2u);
      EXPECT_EQ(outcome.chunks[0].offset, 3u);
      EXPECT_EQ(outcome.chunks[1].offset, 7u);
    }
  }
  EXPECT_TRUE(read_all(directory_.write("only", "\xef\xbb\xbf"), {}).chunks.empty());
  EXPECT_EQ(read_all(directory_.path("only"), {}).error, "");
}

TEST_F(Readers, GiveNothingForNothing) {
  const std::pair<const char*, std::string> nothing[] = {
      {"plain", ""}, {"gz", test::gzip("")}, {"zst", test::zstd("")}, {"lz4", test::lz4("")}};
  for (const auto& [name, bytes] : nothing) {
    const Outcome outcome = read_all(directory_.write(name, bytes), {});
    EXPECT_TRUE(outcome.chunks.empty()) << name;
    EXPECT_EQ(outcome.error, "") << name;
  }
  EXPECT_TRUE(read_standard_input("", {}).chunks.empty());
}

TEST_F(Readers, RefuseOtherEncodingsAndCompressionsWithAdvice) {
  using namespace std::string_literals;
  const std::pair<std::string, const char*> cases[] = {{"\xff\xfe"s + "a\0b\0"s, "iconv -f UTF-16"},
                                                       {"\xfe\xff\0a"s, "iconv -f UTF-16"},
                                                       {"\xff\xfe\0\0a\0\0\0"s, "iconv -f UTF-32"},
                                                       {test::gzip("\xff\xfe"s + "a\0b\0"s), "iconv -f UTF-16"},
                                                       {"\xfd"s + "7zXZ\0abc"s, "xz -dc"},
                                                       {"BZh91AY&SY"s, "bzip2 -dc"},
                                                       {"PK\x03\x04 abcd"s, "unzip -p"}};
  for (const auto& [bytes, advice] : cases) {
    const Outcome outcome = read_all(directory_.write("file", bytes), {});
    EXPECT_TRUE(outcome.chunks.empty());
    EXPECT_NE(outcome.error.find(advice), std::string::npos) << outcome.error;
  }
}

TEST_F(Readers, PeekWithoutConsuming) {
  const std::string text = test::numbered_lines(3'000'000);
  for (const std::string& bytes : {text, test::gzip(text)}) {
    for (const bool use_mmap : {true, false}) {
      ReadOptions options;
      options.use_mmap = use_mmap;
      const auto reader = Reader::open(input_of(directory_.write("file", bytes)), options);
      EXPECT_EQ(reader->peek(10), text.substr(0, 10));
      EXPECT_EQ(reader->peek(std::size_t{2} << 20), std::string_view(text).substr(0, std::size_t{2} << 20));
      EXPECT_EQ(reader->peek(5), text.substr(0, 5));
      std::string sample;
      const bool plain = bytes == text;
      EXPECT_EQ(reader->sample(text.size() - 7, 100, sample), plain);
      if (plain) {
        EXPECT_EQ(sample, text.substr(text.size() - 7));
      }
      EXPECT_EQ(reader->compression(), plain ? Compression::none : Compression::gzip);
      EXPECT_EQ(read_all(*reader).text(), text);
      EXPECT_EQ(reader->source_bytes_read(), bytes.size());
      EXPECT_EQ(reader->size(), bytes.size());
    }
  }
}

TEST_F(Readers, StartAtAnOffset) {
  const std::string text = test::numbered_lines(300'000);
  const std::size_t offset = text.find('\n', 200'000) + 1;
  for (const std::string& bytes : {text, test::zstd(text)}) {
    const auto reader = Reader::open(input_of(directory_.write("file", bytes)), {});
    reader->start_at(offset);
    EXPECT_EQ(reader->peek(20), text.substr(offset, 20));
    const Outcome outcome = read_all(*reader);
    EXPECT_EQ(outcome.text(), text.substr(offset));
    EXPECT_EQ(outcome.chunks.at(0).offset, offset);
    const auto short_one = Reader::open(input_of(directory_.path("file")), {});
    EXPECT_THROW(short_one->start_at(text.size() + 1), Error);
  }
}

TEST_F(Readers, ChangeTheCuttingAfterALook) {
  const std::string path = directory_.write("file.csv", "a\n\"b\nc\"\n");
  for (const bool use_mmap : {true, false}) {
    ReadOptions options = with(3);
    options.use_mmap = use_mmap;
    const auto reader = Reader::open(input_of(path), options);
    EXPECT_EQ(reader->peek(100).size(), 8u);
    reader->set_cutting({Splitting::csv, {}});
    const Outcome outcome = read_all(*reader);
    ASSERT_EQ(outcome.chunks.size(), 2u);
    EXPECT_EQ(outcome.chunks[1].text, "\"b\nc\"\n");
  }
}

TEST_F(Readers, HandOutWhatAPausingPipeHasGiven) {
  Pipe pipe;
  const StandardInput standard_input(pipe.ends[0]);
  ReadOptions options;
  options.linger = std::chrono::milliseconds(20);
  const auto reader = Reader::open({"standard input", {}, true, 0}, options);
  pipe.write("first,1\nsecond,2\nthi");
  EXPECT_EQ(reader->peek(1000), "first,1\nsecond,2\nthi");
  Chunk chunk;
  ASSERT_TRUE(reader->next(chunk, {}));
  EXPECT_EQ(chunk.text, "first,1\nsecond,2\n");
  pipe.write("rd,3\nfourth");
  ASSERT_TRUE(reader->next(chunk, {}));
  EXPECT_EQ(chunk.text, "third,3\n");
  EXPECT_EQ(chunk.offset, 17u);
  pipe.close_writer();
  ASSERT_TRUE(reader->next(chunk, {}));
  EXPECT_EQ(chunk.text, "fourth");
  EXPECT_FALSE(reader->next(chunk, {}));
}

TEST_F(Readers, StopWhileAPipeIsSilent) {
  Pipe pipe;
  const StandardInput standard_input(pipe.ends[0]);
  const auto reader = Reader::open({"standard input", {}, true, 0}, {});
  std::stop_source stop;
  auto waiting = std::async(std::launch::async, [&] {
    Chunk chunk;
    return reader->next(chunk, stop.get_token());
  });
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  stop.request_stop();
  EXPECT_FALSE(waiting.get());
  const auto peeking = Reader::open({"standard input", {}, true, 0}, {});
  EXPECT_EQ(peeking->peek(10, stop.get_token()), "");
}

TEST_F(Readers, ReadAFifoThatGetsItsWriterLater) {
  const std::string path = directory_.path("fifo");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto reader = Reader::open(input_of(path), {});
  std::jthread writer([&] {
    const int fd = ::open(path.c_str(), O_WRONLY);
    EXPECT_EQ(::write(fd, "a\nb\n", 4), 4);
    ::close(fd);
  });
  EXPECT_EQ(read_all(*reader).text(), "a\nb\n");
}

// Whether a page is in the memory of this process, by /proc/self/pagemap.
bool present(const char* address) {
  const int map = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t entry = 0;
  const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(address) / page * sizeof entry);
  EXPECT_EQ(::pread(map, &entry, sizeof entry, at), static_cast<ssize_t>(sizeof entry));
  ::close(map);
  return entry >> 63 == 1;
}

TEST_F(Readers, GiveAFileForOnePassWithoutItsPages) {
  const std::string text = test::numbered_lines(3'000'000);
  for (const auto splitting : {Splitting::lines, Splitting::csv}) {
    MemoryBudget budget(16 << 20);
    ReadOptions options;
    options.budget = &budget;
    options.cutting.splitting = splitting;
    const auto reader = Reader::open(input_of(directory_.write("file", text)), options);
    Chunk chunk;
    std::string passed;
    std::vector<Chunk> kept;
    const char* buffer = nullptr;
    while (reader->next(chunk, {})) {
      {
        const Chunk pass = for_one_pass(chunk);
        EXPECT_EQ(pass.offset, chunk.offset);
        EXPECT_NE(pass.text.data(), chunk.text.data());
        EXPECT_TRUE(buffer == nullptr || pass.text.data() == buffer);  // the one of the chunk before
        buffer = pass.text.data();
        EXPECT_GT(budget.used(), 0u);
        passed += pass.text;
      }
      EXPECT_EQ(budget.used(), 0u);
      EXPECT_FALSE(damaged(chunk));
      // Neither the cut nor the pass has brought the middle of it in.
      EXPECT_FALSE(present(chunk.text.data() + chunk.text.size() / 2));
      kept.push_back(chunk);
    }
    EXPECT_GE(kept.size(), 3u);
    EXPECT_EQ(passed, text);
    // Who wants a record all the same gets it.
    std::string seen;
    for (const auto& each : kept) seen += each.text;
    EXPECT_EQ(seen, text);
  }
}

TEST_F(Readers, GiveThePartOfAChunkForOnePass) {
  const std::string text = test::numbered_lines(100'000);
  for (const auto splitting : {Splitting::lines, Splitting::csv}) {
    ReadOptions options;
    options.cutting.splitting = splitting;
    const auto reader = Reader::open(input_of(directory_.write("file", text)), options);
    Chunk chunk;
    ASSERT_TRUE(reader->next(chunk, {}));
    chunk.text = chunk.text.substr(100, 200);
    EXPECT_EQ(for_one_pass(chunk).text, text.substr(100, 200));
  }
}

TEST_F(Readers, GiveOtherSourcesForOnePassAsTheyAre) {
  const auto reader = Reader::open(input_of(directory_.write("file.gz", test::gzip("a\nb\n"))), {});
  Chunk chunk;
  ASSERT_TRUE(reader->next(chunk, {}));
  const Chunk pass = for_one_pass(chunk);
  EXPECT_EQ(pass.text.data(), chunk.text.data());
  EXPECT_EQ(pass.text, "a\nb\n");
}

TEST_F(Readers, ChargeTheBudgetUntilTheChunksGo) {
  const std::string text = test::numbered_lines(6'000'000);
  MemoryBudget budget(2 << 20);
  ReadOptions options = with(256 * 1024);
  options.budget = &budget;
  const std::string path = directory_.write("file.gz", test::gzip(text));
  std::vector<Chunk> kept;
  {
    const auto reader = Reader::open(input_of(path), options);
    Chunk chunk;
    std::size_t bytes = 0;
    while (reader->next(chunk, {})) {
      bytes += chunk.text.size();
      if (kept.size() < 3) kept.push_back(chunk);
    }
    chunk = {};
    EXPECT_EQ(bytes, text.size());
  }
  EXPECT_LE(budget.peak(), budget.limit());
  EXPECT_EQ(budget.used(), 3u * 256 * 1024);
  EXPECT_EQ(kept[2].text, text.substr(kept[2].offset, kept[2].text.size()));
  kept.clear();
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(Readers, GoOnWithABudgetOfLessThanABuffer) {
  const std::string text =
      test::numbered_lines(500'000) + std::string(300'000, 'x') + "\n" + test::numbered_lines(50'000);
  MemoryBudget budget(1000);
  ReadOptions options = with(64 * 1024);
  options.budget = &budget;
  options.use_mmap = false;
  EXPECT_EQ(read_all(directory_.write("file", text), options).text(), text);
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(Readers, NeverHoldAnOversizedRecordWhole) {
  const std::string text = "a\n" + std::string(20'000'000, 'x') + "\nb\n";
  MemoryBudget budget(4 << 20);
  ReadOptions options;
  options.chunk_bytes = 256 * 1024;
  options.max_record = 1 << 20;
  options.budget = &budget;
  for (const std::string& bytes : {text, test::zstd(text)}) {
    const Outcome outcome = read_all(directory_.write("file", bytes), options);
    ASSERT_GT(outcome.chunks.size(), 4u);
    EXPECT_EQ(outcome.text(), text);
    EXPECT_FALSE(outcome.chunks.front().oversized);
    EXPECT_FALSE(outcome.chunks.back().oversized);
    for (std::size_t i = 1; i + 1 < outcome.chunks.size(); ++i) {
      EXPECT_TRUE(outcome.chunks[i].oversized);
      EXPECT_EQ(outcome.chunks[i].oversized_end, i + 2 == outcome.chunks.size());
    }
  }
  EXPECT_LE(budget.peak(), std::size_t{5} << 20);
}

}  // namespace
}  // namespace penstock::io
