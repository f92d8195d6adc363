#include "io/reader.h"

#include <benchmark/benchmark.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "simd/bytes.h"

namespace penstock::io {
namespace {

constexpr std::size_t kBytes = 128U << 20;

/// TSBS-like lines, written to temporary files once per run.
class Files {
 public:
  Files() : root_(std::filesystem::temp_directory_path() / ("penstock-bench-" + std::to_string(::getpid()))) {
    std::filesystem::create_directory(root_);
    std::string text;
    for (std::uint64_t row = 0; text.size() < kBytes; ++row) {
      text += "cpu,hostname=host_" + std::to_string(row % 1000) +
              ",region=eu-west-1,os=Ubuntu16.04LTS usage_user=" + std::to_string(row * 7919 % 100) +
              "i,usage_idle=" + std::to_string(row * 104729 % 100) + "i " +
              std::to_string(1'700'000'000'000'000'000 + row * 10'000'000) + "\n";
    }
    write("plain", text);
    std::string packed(ZSTD_compressBound(text.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
    write("zstd", packed);
    const gzFile gzip = gzopen(path("gzip").c_str(), "wb6");
    gzwrite(gzip, text.data(), static_cast<unsigned>(text.size()));
    gzclose(gzip);
  }
  ~Files() { std::filesystem::remove_all(root_); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return (root_ / name).string(); }

 private:
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::filesystem::path root_;
};

enum class Use { cut, count_lines, work };

/// About as slow as inflating, so that reading and working take twice as long unless they overlap.
std::size_t work_on(std::string_view text) {
  std::size_t sum = 0;
  for (const char byte : text) sum = sum * 31 + static_cast<unsigned char>(byte);
  return sum;
}

/// Bytes are those of the decompressed text. `count_lines` stands for a parser that touches every byte. The counter
/// `overlap` of `work`: 1 where reading costs nothing beside the work, 0 where it comes on top of it, by the time of
/// the reading alone.
void BM_Reader(benchmark::State& state, const char* name, Splitting splitting, bool use_mmap, Use use) {
  static const Files files;
  constexpr std::uint64_t kRows = 100'000;  // more than that many lines lie in every file
  ReadOptions options;
  options.use_mmap = use_mmap;
  options.cutting.splitting = splitting;
  using Clock = std::chrono::steady_clock;
  std::size_t bytes = 0;
  Clock::duration working{};
  const auto read = [&](auto&& look) {
    const auto reader = Reader::open({name, files.path(name), false, 0}, options);
    Chunk chunk;
    while (reader->next(chunk, {})) look(for_one_pass(chunk).text);
  };
  std::size_t lines = 0, size = 0;
  read([&](std::string_view text) {
    lines += simd::count(text, '\n');
    size += text.size();
  });
  if (lines < kRows || size < kBytes) return state.SkipWithError("the text is not whole");
  const auto begin = Clock::now();
  read([](std::string_view) {});
  const std::chrono::duration<double> alone = Clock::now() - begin;
  Clock::duration all{};
  for (auto unused : state) {
    const auto start = Clock::now();
    read([&](std::string_view text) {
      bytes += text.size();
      if (use == Use::count_lines) benchmark::DoNotOptimize(simd::count(text, '\n'));
      if (use != Use::work) return;
      const auto from = Clock::now();
      benchmark::DoNotOptimize(work_on(text));
      working += Clock::now() - from;
    });
    all += Clock::now() - start;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
  if (use != Use::work) return;
  const auto waited = std::chrono::duration<double>(all - working).count() / static_cast<double>(state.iterations());
  state.counters["overlap"] = 1 - waited / alone.count();
}

BENCHMARK_CAPTURE(BM_Reader, mapped_cut, "plain", Splitting::lines, true, Use::cut)->UseRealTime();
BENCHMARK_CAPTURE(BM_Reader, mapped_cut_csv, "plain", Splitting::csv, true, Use::cut)->UseRealTime();
BENCHMARK_CAPTURE(BM_Reader, mapped_count, "plain", Splitting::lines, true, Use::count_lines)->UseRealTime();
BENCHMARK_CAPTURE(BM_Reader, read_count, "plain", Splitting::lines, false, Use::count_lines)->UseRealTime();
BENCHMARK_CAPTURE(BM_Reader, zstd_count, "zstd", Splitting::lines, true, Use::count_lines)->UseRealTime();
BENCHMARK_CAPTURE(BM_Reader, gzip_count, "gzip", Splitting::lines, true, Use::count_lines)->UseRealTime();
BENCHMARK_CAPTURE(BM_Reader, zstd_work, "zstd", Splitting::lines, true, Use::work)->UseRealTime();
BENCHMARK_CAPTURE(BM_Reader, gzip_work, "gzip", Splitting::lines, true, Use::work)->UseRealTime();

}  // namespace
}  // namespace penstock::io
