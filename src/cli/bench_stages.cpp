#include "cli/bench_stages.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/error.h"
#include "cli/survey.h"
#include "pipeline/stages.h"
#include "sink/memory_catalog.h"
#include "sink/null_writer.h"

namespace penstock::cli {
namespace {

using Clock = std::chrono::steady_clock;
using report::Stage;

class Observer final : public sink::WriteObserver {
 public:
  explicit Observer(StageTimes& times) : times_(times) {}
  void rejected(const sink::ParsedChunk&, const data::Row&, std::int32_t, std::string_view) override {
    ++times_.rejected;
  }
  void acknowledged(std::uint64_t rows, std::uint64_t, std::uint64_t, std::uint64_t runs, std::uint64_t bytes,
                    std::chrono::nanoseconds) override {
    times_.rows += rows;
    times_.runs += runs;
    times_.sent_bytes += bytes;
  }
  void retried() override {}
  void reconnected() override {}
  void built(std::chrono::nanoseconds time) override { add(Stage::build, time); }
  void waited(std::chrono::nanoseconds time) override { add(Stage::server, time); }
  void before_send(std::uint64_t, std::uint64_t) override {}

  void add(Stage stage, std::chrono::nanoseconds time) {
    times_.seconds[static_cast<std::size_t>(stage)] += std::chrono::duration<double>(time).count();
  }

 private:
  StageTimes& times_;
};

class Lap {
 public:
  explicit Lap(Observer& observer) : observer_(observer), at_(Clock::now()) {}
  void end(Stage stage) {
    const auto now = Clock::now();
    observer_.add(stage, now - at_);
    at_ = now;
  }
  /// What was measured inside.
  void skip() { at_ = Clock::now(); }

 private:
  Observer& observer_;
  Clock::time_point at_;
};

}  // namespace

StageTimes time_stages(const BenchRows& rows, const sink::WriteOptions& write, const pipeline::LaneOptions& lane,
                       std::size_t memory, const TargetTimes& times, const std::stop_token& stop) {
  StageTimes result;
  Observer observer(result);
  // Nobody else would give back what is waited for.
  MemoryBudget budget(2 * memory);
  schema::Registry registry;
  sink::MemoryCatalog catalog;
  report::Counters counters;
  pipeline::Ledger ledger(rows.inputs.size());
  pipeline::Rejects::Options only_counted;
  only_counted.discard = true;
  only_counted.max_rejects = UINT64_MAX;
  only_counted.early_share = 2;
  std::vector<pipeline::Rejects::Source> sources;
  for (const auto& input : rows.inputs) sources.push_back({input.name, "", "", "", ""});
  pipeline::Rejects rejects(only_counted, sources);
  SourceOpener opener(rows.options, registry, &budget);
  opener.set_target(times, catalog);
  schema::Growth growth(catalog, registry, growth_options(rows.options));
  pipeline::RunPlan plan;
  plan.inputs = rows.inputs;
  plan.open = [&](const io::Input& input, std::uint32_t source) { return opener.open(input, source); };
  plan.growth = &growth;
  plan.rejects = &rejects;
  plan.ledger = &ledger;
  plan.budget = &budget;
  plan.counters = &counters;
  plan.selection = rows.options.selection;
  plan.selection.limit = std::min(plan.selection.limit, rows.rows);
  std::vector<pipeline::SourceEnd> ends(rows.inputs.size());
  pipeline::ReadStage reader(plan, ends);
  pipeline::DispatchStage dispatch(plan);
  sink::NullWriter writer(write, observer);
  sink::Window window(registry, 1);
  const auto flush = [&](Lap& lap) {
    lap.end(Stage::gather);
    writer.write(window);
    lap.skip();
    window.clear();
    lap.end(Stage::gather);
  };
  Lap lap(observer);
  while (auto work = reader.next(stop)) {
    lap.end(Stage::read);
    pipeline::parse(plan, *work);
    const auto chunk = work->chunk;
    sink::Part part{chunk, {}};
    part.rows.reserve(chunk->rows.row_count() + 16);
    chunk->rows.for_each_row([&](data::Row& row) {
      if (row.shape != data::kRefusedShape) part.rows.push_back(&row);
    });
    lap.end(Stage::parse);
    dispatch.take(*work);
    // Rows that are not wanted or were refused stay behind.
    lap.end(Stage::schema);
    std::erase_if(part.rows, [](const data::Row* row) { return row->shape == data::kRefusedShape; });
    if (!part.rows.empty()) window.add(std::move(part));
    work.reset();
    const auto worthwhile = std::max(lane.min_window_rows, lane.rows_per_child * window.child_count());
    if (window.row_count() >= worthwhile || window.bytes() >= lane.max_window_bytes) flush(lap);
    lap.end(Stage::gather);
    if (dispatch.full()) break;
  }
  if (!window.empty()) flush(lap);
  for (const auto& end : ends)
    if (!end.error.empty()) throw Error(Errc::io, end.error);
  result.interrupted = stop.stop_requested();
  result.bytes = ledger.total().text_bytes;
  result.rejected += ledger.total().rejected;
  return result;
}

double memcpy_rate() {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  const std::vector<char> from(kBytes, 'x');
  std::vector<char> to(kBytes);
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = Clock::now();
    std::memcpy(to.data(), from.data(), kBytes);
    // The copy must be made although nobody reads it.
    asm volatile("" : : "r"(to.data()) : "memory");
    best = std::max(best, static_cast<double>(kBytes) / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

double unshared_speed_up(unsigned threads) {
  constexpr std::uint64_t kSums = 20'000'000;
  const auto sum = [] {
    std::array<std::uint64_t, 8> sums{};
    for (std::uint64_t i = 0; i < kSums; ++i) {
      // Eight sums that wait for nothing: what a core can do in a cycle, so that halves of a core show.
      for (auto& one : sums) {
        one += i;
        asm volatile("" : "+r"(one));
      }
    }
  };
  const auto seconds = [&](unsigned workers) {
    const auto start = Clock::now();
    {
      std::vector<std::jthread> others;
      for (unsigned other = 1; other < workers; ++other) others.emplace_back(sum);
      sum();
    }
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const double alone = seconds(1);
  return alone * threads / seconds(threads);
}

}  // namespace penstock::cli
