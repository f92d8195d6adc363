// A load that does not end soon: penstock_soak --rows 1G
// Feeds lines of the TSBS cpu shape through the whole pipeline to `null:`, or prints them for another program to read,
// and says for each tenth how fast it went and how much memory the process held. Exit status 1 when the last tenth was
// slower than 0.8 of the first, when memory grew, or when a row is missing.

#include <fmt/format.h>
#include <getopt.h>
#include <malloc.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "pipeline/endless_text.h"
#include "pipeline/null_load.h"
#include "support/sources.h"

namespace penstock::pipeline {
namespace {

constexpr const char* kUsage = R"(Usage: penstock_soak [OPTIONS]
  --rows N       how many (default: 100M)
  --hosts N      child tables (default: 1000)
  --memory SIZE  as penstock load --memory (default: 1G)
  --width N      parsing threads and lanes (default: 2)
  --by-cpu       compare the tenths by processor time instead of the clock's: on a machine that others use
  --print        write the lines to standard output, load nothing
)";

struct Options {
  std::uint64_t rows = 100'000'000;
  std::size_t hosts = 1'000;
  std::size_t memory = std::size_t{1} << 30;
  unsigned width = 2;
  bool by_cpu = false;
  bool print = false;
};

double seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Anonymous memory that the process holds, in MiB.
double anonymous_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "RssAnon:" && status >> kib) return kib / 1024;
  }
  return 0;
}

struct Tenth {
  double wall = 0;
  double cpu = 0;
  double making = 0;  ///< of cpu: the text
  double memory = 0;  ///< highest seen, in MiB
};

/// Looks at clocks and memory while the text is taken. One thread at a time.
class Watch {
 public:
  explicit Watch(std::uint64_t rows) : rows_(rows) { begin(); }
  void took(std::uint64_t lines, double making) {
    now_.making += making;
    if (looks_++ % 64 == 0) now_.memory = std::max(now_.memory, anonymous_memory());
    done_ += lines;
    while (finished_ < tenths_.size() && done_ >= rows_ / tenths_.size() * (finished_ + 1)) end_tenth();
  }
  [[nodiscard]] const std::array<Tenth, 10>& tenths() const { return tenths_; }
  [[nodiscard]] double rate(const Tenth& tenth, bool by_cpu) const {
    return static_cast<double>(rows_) / static_cast<double>(tenths_.size()) /
           (by_cpu ? tenth.cpu - tenth.making : tenth.wall);
  }

 private:
  void begin() {
    now_ = {};
    wall_ = seconds(CLOCK_MONOTONIC);
    cpu_ = seconds(CLOCK_PROCESS_CPUTIME_ID);
  }
  void end_tenth() {
    now_.wall = seconds(CLOCK_MONOTONIC) - wall_;
    now_.cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
    now_.memory = std::max(now_.memory, anonymous_memory());
    tenths_[finished_++] = now_;
    const auto rows = static_cast<double>(rows_) / static_cast<double>(tenths_.size());
    fmt::print("{:>5} %  {:7.2f} M rows/s  {:6.1f} ns of CPU a row, {:.1f} of them for the text  {:7.1f} MiB\n",
               finished_ * 10, rows / now_.wall / 1e6, now_.cpu * 1e9 / rows, now_.making * 1e9 / rows, now_.memory);
    std::fflush(stdout);
    begin();
  }

  const std::uint64_t rows_;
  std::uint64_t done_ = 0;
  std::uint64_t looks_ = 0;
  std::size_t finished_ = 0;
  std::array<Tenth, 10> tenths_{};
  Tenth now_;
  double wall_ = 0;
  double cpu_ = 0;
};

/// The text as a source of the pipeline.
class EndlessReader final : public io::Reader {
 public:
  EndlessReader(const Options& options, MemoryBudget& budget, Watch& watch)
      : text_(options.rows, options.hosts, &budget), watch_(watch) {}
  std::string_view peek(std::size_t, std::stop_token) override { return {}; }
  bool sample(std::uint64_t, std::size_t, std::string&) const override { return false; }
  void set_cutting(const io::Cutting&) override {}
  void start_at(std::uint64_t, std::stop_token) override {
    throw Error(Errc::io, "text that is made up is read from its start");
  }
  bool next(io::Chunk& out, std::stop_token stop) override {
    out = {};
    const double from = seconds(CLOCK_THREAD_CPUTIME_ID);
    auto piece = text_.next(stop);
    watch_.took(piece.lines, seconds(CLOCK_THREAD_CPUTIME_ID) - from);
    if (piece.text.empty()) return false;
    out.offset = offset_;
    out.text = piece.text;
    out.owner = std::move(piece.owner);
    offset_ += out.text.size();
    return true;
  }
  [[nodiscard]] bool damaged() const noexcept override { return false; }
  [[nodiscard]] io::Compression compression() const noexcept override { return io::Compression::none; }
  [[nodiscard]] std::uint64_t source_bytes_read() const noexcept override { return offset_; }
  [[nodiscard]] std::uint64_t size() const noexcept override { return 0; }

 private:
  bench::EndlessText text_;
  Watch& watch_;
  std::uint64_t offset_ = 0;
};

int print(const Options& options) {
  bench::EndlessText text(options.rows, options.hosts, nullptr);
  while (true) {
    const auto piece = text.next({});
    if (piece.text.empty()) return 0;
    for (auto rest = piece.text; !rest.empty();) {
      const auto written = ::write(STDOUT_FILENO, rest.data(), rest.size());
      if (written < 0) {
        fmt::print(stderr, "penstock_soak: cannot write to standard output: {}\n", errno_text(errno));
        return 1;
      }
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }
}

int soak(const Options& options) {
  Watch watch(options.rows);
  const auto done = load_to_null(
      {"soak", "", false, 0}, options.memory, options.width,
      [&](const io::Input&, MemoryBudget& budget, schema::Registry& registry) {
        OpenedSource opened;
        opened.reader = std::make_unique<EndlessReader>(options, budget, watch);
        opened.parsers = std::make_shared<ParserPool>([&] { return std::make_unique<format::LineParser>(registry); });
        opened.format = opened.reject_extension = "line";
        return opened;
      });
  fmt::print("{} rows written, {} read; peak of the memory budget {:.1f} MiB\n", done.written, done.read,
             static_cast<double>(done.peak_bytes) / (1 << 20));
  const auto& tenths = watch.tenths();
  const double ratio = watch.rate(tenths.back(), options.by_cpu) / watch.rate(tenths.front(), options.by_cpu);
  // The first windows are small and grow from one to the next.
  const double allowed = std::max(tenths[0].memory, tenths[1].memory) * 1.1 + 16;
  fmt::print("the last tenth went at {:.2f} of the first{}; it held {:.1f} MiB, the first two {:.1f}\n", ratio,
             options.by_cpu ? ", by processor time" : "", tenths.back().memory,
             std::max(tenths[0].memory, tenths[1].memory));
  bool good = true;
  const auto expect = [&](bool met, const char* what) {
    if (!met) fmt::print(stderr, "penstock_soak: {}\n", what);
    good = good && met;
  };
  expect(done.written == options.rows && done.rejected == 0, "rows are missing");
  expect(ratio >= 0.8, "the load became slower");
  expect(tenths.back().memory <= allowed, "memory grew");
  return good ? 0 : 1;
}

std::optional<Options> read(int argc, char** argv) {
  static const option kOptions[] = {
      {"rows", 1, nullptr, 'r'},   {"hosts", 1, nullptr, 'h'}, {"memory", 1, nullptr, 'm'}, {"width", 1, nullptr, 'w'},
      {"by-cpu", 0, nullptr, 'c'}, {"print", 0, nullptr, 'p'}, {nullptr, 0, nullptr, 0}};
  Options options;
  const auto number = [](std::uint64_t base) { return parse_size(optarg, base).value_or(0); };
  for (int found = 0; (found = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (found) {
      case 'r': options.rows = number(1000); break;
      case 'h': options.hosts = number(1000); break;
      case 'm': options.memory = number(1024); break;
      case 'w': options.width = static_cast<unsigned>(number(1000)); break;
      case 'c': options.by_cpu = true; break;
      case 'p': options.print = true; break;
      default: return std::nullopt;
    }
  }
  if (optind < argc || options.rows < 10 || options.hosts == 0 || options.memory == 0 || options.width == 0)
    return std::nullopt;
  return options;
}

}  // namespace
}  // namespace penstock::pipeline

int main(int argc, char** argv) {
  const auto options = penstock::pipeline::read(argc, argv);
  if (!options) {
    fmt::print(stderr, "{}", penstock::pipeline::kUsage);
    return 2;
  }
  ::mallopt(M_ARENA_MAX, 1);  // as the program
  try {
    return options->print ? penstock::pipeline::print(*options) : penstock::pipeline::soak(*options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "penstock_soak: {}\n", error.what());
    return 1;
  }
}
