#include "cli/bench_parse.h"

#include <fmt/format.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/text.h"
#include "cli/bench_flags.h"
#include "cli/bench_stages.h"
#include "cli/exit_status.h"
#include "cli/signals.h"
#include "cli/version.h"
#include "sink/memory_catalog.h"
#include "sink/null_writer.h"

namespace penstock::cli {
namespace {

using Json = nlohmann::ordered_json;

struct ParseFlags {
  BenchFlags bench;
  unsigned batch_rows = 20'000;
};

/// Processors that this process may use.
unsigned usable_cpus() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

/// While it lives, this thread and those that it starts share one processor.
class OneCpu {
 public:
  OneCpu() {
    known_ = ::sched_getaffinity(0, sizeof before_, &before_) == 0;
    const int cpu = ::sched_getcpu();
    if (!known_ || cpu < 0) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(cpu), &one);
    ::sched_setaffinity(0, sizeof one, &one);
  }
  ~OneCpu() {
    if (known_) ::sched_setaffinity(0, sizeof before_, &before_);
  }
  OneCpu(const OneCpu&) = delete;
  OneCpu& operator=(const OneCpu&) = delete;

 private:
  cpu_set_t before_;
  bool known_ = false;
};

/// What the rounds gave.
struct Measured {
  std::vector<StageTimes> stages;
  struct Pipeline {
    unsigned threads = 1;
    std::vector<BenchResult> runs;
    std::vector<double> unshared;  // what so many threads gain that share nothing, beside each run
    [[nodiscard]] double seconds() const {
      std::vector<double> all;
      for (const auto& run : runs) all.push_back(run.seconds());
      return median(all);
    }
  };
  std::vector<Pipeline> pipelines;
  double memcpy = 0;
  unsigned cpus = 1;

  [[nodiscard]] double stage_seconds(std::size_t stage) const {
    std::vector<double> all;
    for (const auto& one : stages) all.push_back(one.seconds[stage]);
    return median(all);
  }
  [[nodiscard]] double sum_seconds() const {
    double sum = 0;
    for (std::size_t stage = 0; stage < report::kStages; ++stage) sum += stage_seconds(stage);
    return sum;
  }
  [[nodiscard]] std::uint64_t rows() const { return stages.front().rows + stages.front().rejected; }
  [[nodiscard]] std::uint64_t bytes() const { return stages.front().bytes; }
};

constexpr std::string_view stage_name(std::size_t stage) {
  return static_cast<report::Stage>(stage) == report::Stage::server ? "frame" : report::kStageNames[stage];
}

class BenchParse {
 public:
  explicit BenchParse(const ParseFlags& flags) : flags_(flags), input_(bench_input(flags.bench, 500'000, UINT64_MAX)) {
    if (flags.batch_rows == 0) throw Error(Errc::config, "--batch-rows 0: a request holds at least one row");
    if (input_.generated) {
      // Read as a file is, so that cutting is measured too.
      input_.rows.inputs = {input_.generated->input()};
      input_.rows.generated = nullptr;
    }
    memory_ = size_flag("--memory", flags.bench.memory);
    if (memory_ < std::size_t{16} << 20) throw Error(Errc::config, "--memory " + flags.bench.memory + ": at least 16M");
    threads_ = flags.bench.threads > 0 ? flags.bench.threads : usable_cpus();
    write_.batch_rows = flags.batch_rows;
    const auto wanted = data::precision_from_name(flags.bench.precision);
    write_.precision = wanted ? *wanted : needed_precision(input_.rows);
    times_.precision = write_.precision;
  }

  int run() {
    std::stop_source stop;
    const SignalGuard signals(stop);
    measured_.cpus = usable_cpus();
    measured_.memcpy = memcpy_rate();
    measured_.pipelines.push_back({1, {}, {}});
    if (threads_ > 1) measured_.pipelines.push_back({threads_, {}, {}});
    // The first round is not counted: it brings files into memory.
    for (unsigned round = 0; round <= flags_.bench.rounds && !stop.stop_requested(); ++round) {
      auto stages = time_stages(input_.rows, write_, lane_options(1), memory_, times_, stop.get_token());
      if (stop.stop_requested()) break;
      if (stages.rows + stages.rejected == 0)
        throw Error(Errc::config, fmt::format("{}: there is no row to measure", input_.what));
      if (round > 0) measured_.stages.push_back(stages);
      // The widest first: oneTBB makes no more threads than its first user had processors.
      for (auto pipeline = measured_.pipelines.rbegin(); pipeline != measured_.pipelines.rend(); ++pipeline) {
        auto one = load(pipeline->threads, stop);
        if (stop.stop_requested()) break;
        if (one.error) std::rethrow_exception(one.error);
        if (round == 0) continue;
        pipeline->runs.push_back(std::move(one));
        pipeline->unshared.push_back(pipeline->threads > 1 ? unshared_speed_up(pipeline->threads) : 1);
      }
    }
    if (stop.stop_requested()) {
      fmt::print(stderr, "penstock: interrupted\n");
      return SignalGuard::received() == SIGTERM ? kTerminated : kInterrupted;
    }
    const int shown = show_bench(flags_.bench, text(), json());
    return std::max<int>(shown, measured_.stages.front().rejected > 0 ? kRejects : kOk);
  }

 private:
  [[nodiscard]] pipeline::LaneOptions lane_options(unsigned lanes) const {
    pipeline::LaneOptions lane;
    lane.first_window_rows = flags_.batch_rows;
    lane.max_window_bytes = pipeline::window_share(memory_, lanes);
    return lane;
  }

  BenchResult load(unsigned threads, const std::stop_source& stop) {
    std::optional<OneCpu> one;
    if (threads == 1) one.emplace();
    sink::MemoryCatalog catalog;
    BenchLoad load;
    load.rows = &input_.rows;
    load.threads = load.lanes = threads;
    load.write = write_;
    load.lane = lane_options(threads);
    load.memory = memory_;
    load.times = times_;
    load.catalog = &catalog;
    load.make_writer = [this](sink::WriteObserver& observer, const std::stop_token&) {
      return std::make_unique<sink::NullWriter>(write_, observer);
    };
    return run_bench_load(load, stop);
  }

  /// Cores that a pipeline of so many threads can keep busy.
  [[nodiscard]] double cores(unsigned threads) const { return std::min(threads, measured_.cpus); }
  /// What the pipeline does of what its cores could, were every row to cost what it costs in the stages alone.
  [[nodiscard]] double share_of_stages(const Measured::Pipeline& pipeline) const {
    return measured_.sum_seconds() / cores(pipeline.threads) / pipeline.seconds();
  }

  [[nodiscard]] std::string text() const {
    const auto rows = static_cast<double>(measured_.rows());
    const auto bytes = static_cast<double>(measured_.bytes());
    auto out =
        fmt::format("rows     {}: {} rows, {}\n", input_.what, format_count(measured_.rows()), format_bytes(bytes));
    if (measured_.stages.front().rejected > 0)
      out += fmt::format("         {} of them are rejected\n", format_count(measured_.stages.front().rejected));
    out += fmt::format("machine  {} processor{}; one thread copies {}/s (memcpy)\n\n", measured_.cpus,
                       measured_.cpus == 1 ? "" : "s", format_bytes(measured_.memcpy));
    out += "one thread, each stage alone\n";
    out += fmt::format("  {:<8}  {:>8}  {:>10}  {:>8}  {:>9}\n", "stage", "GB/s", "M rows/s", "ns/row", "of memcpy");
    const auto line = [&](std::string_view name, double seconds) {
      seconds = std::max(seconds, 1e-9);
      out += fmt::format("  {:<8}  {:>8.2f}  {:>10.2f}  {:>8.1f}  {:>7.1f} %\n", name, bytes / seconds / 1e9,
                         rows / seconds / 1e6, seconds / rows * 1e9, bytes / seconds / measured_.memcpy * 100);
    };
    for (std::size_t stage = 0; stage < report::kStages; ++stage)
      line(stage_name(stage), measured_.stage_seconds(stage));
    line("all", measured_.sum_seconds());
    out += "\npipeline to null:\n";
    out += fmt::format("  {:<8}  {:>8}  {:>10}  {:>8}\n", "threads", "GB/s", "M rows/s", "ns/row");
    const auto& single = measured_.pipelines.front();
    for (const auto& pipeline : measured_.pipelines) {
      const auto seconds = pipeline.seconds();
      out += fmt::format("  {:<8}  {:>8.2f}  {:>10.2f}  {:>8.1f}   {:.0f} % of {:.0f} / (sum of the stages)",
                         pipeline.threads, bytes / seconds / 1e9, rows / seconds / 1e6, seconds / rows * 1e9,
                         share_of_stages(pipeline) * 100, cores(pipeline.threads));
      if (&pipeline != &single)
        out += fmt::format("; {:.2f} times one thread\n{:47}(threads that only add numbers: {:.2f} times)",
                           single.seconds() / seconds, "", median(pipeline.unshared));
      out += '\n';
    }
    return out;
  }

  [[nodiscard]] std::string json() const {
    const auto rows = static_cast<double>(measured_.rows());
    const auto bytes = static_cast<double>(measured_.bytes());
    const auto rates = [&](Json& to, double seconds) {
      seconds = std::max(seconds, 1e-9);
      to["seconds"] = seconds;
      to["ns_per_row"] = seconds / rows * 1e9;
      to["rows_per_second"] = rows / seconds;
      to["bytes_per_second"] = bytes / seconds;
    };
    Json out{{"version", kVersion},
             {"what", "bench parse"},
             {"input", input_.what},
             {"rows", measured_.rows()},
             {"rejected", measured_.stages.front().rejected},
             {"bytes", measured_.bytes()},
             {"sent_bytes", measured_.stages.front().sent_bytes},
             {"rows_per_table", static_cast<double>(measured_.stages.front().rows) /
                                    static_cast<double>(std::max<std::uint64_t>(1, measured_.stages.front().runs))},
             {"rounds", flags_.bench.rounds},
             {"cpus", measured_.cpus},
             {"memcpy_bytes_per_second", measured_.memcpy}};
    auto& stages = out["stages"] = Json::array();
    for (std::size_t stage = 0; stage < report::kStages; ++stage) {
      Json one{{"stage", stage_name(stage)}};
      rates(one, measured_.stage_seconds(stage));
      for (const auto& times : measured_.stages) one["rounds"].push_back(times.seconds[stage]);
      stages.push_back(std::move(one));
    }
    rates(out["all_stages"], measured_.sum_seconds());
    auto& pipelines = out["pipeline"] = Json::array();
    for (const auto& pipeline : measured_.pipelines) {
      const auto& total = pipeline.runs.front().summary.total;
      Json one{{"threads", pipeline.threads}, {"read", total.read},     {"written", total.written},
               {"rejected", total.rejected},  {"merged", total.merged}, {"left_out", total.left_out}};
      rates(one, pipeline.seconds());
      one["share_of_stages"] = share_of_stages(pipeline);
      one["speed_up"] = measured_.pipelines.front().seconds() / pipeline.seconds();
      one["unshared_speed_up"] = median(pipeline.unshared);
      std::vector<double> cpu;
      for (const auto& run : pipeline.runs) {
        one["rounds"].push_back(run.seconds());
        cpu.push_back(run.cpu_seconds);
      }
      one["cpu_ns_per_row"] = median(cpu) / rows * 1e9;
      pipelines.push_back(std::move(one));
    }
    return out.dump(2) + "\n";
  }

  const ParseFlags& flags_;
  BenchInput input_;
  std::size_t memory_ = 0;
  unsigned threads_ = 1;
  sink::WriteOptions write_;
  TargetTimes times_;
  Measured measured_;
};

}  // namespace

void add_bench_parse_command(CLI::App& bench, int& status) {
  auto* const command = bench.add_subcommand(
      "parse", "The local stages without a server: each alone on one thread, then the whole pipeline");
  const auto flags = std::make_shared<ParseFlags>();
  flags->bench.rounds = 5;
  add_bench_flags(*command, flags->bench);
  command->add_option("--batch-rows", flags->batch_rows, "Most rows of a request")
      ->group("Runs")
      ->capture_default_str();
  command->callback([flags, &status] { status = BenchParse(*flags).run(); });
}

}  // namespace penstock::cli
