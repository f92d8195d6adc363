#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string_view>

#include "base/memory_budget.h"
#include "pipeline/run.h"
#include "sink/memory_catalog.h"
#include "sink/null_writer.h"

/// The whole pipeline to `null:`, without the program around it.
namespace penstock::pipeline {

class CountingObserver final : public sink::WriteObserver {
 public:
  explicit CountingObserver(report::Counters& counters) : counters_(counters) {}
  void rejected(const sink::ParsedChunk&, const data::Row&, std::int32_t, std::string_view) override {
    ++counters_.rows_rejected;
  }
  void acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t, std::uint64_t runs, std::uint64_t bytes,
                    std::chrono::nanoseconds) override {
    counters_.rows_written += rows;
    counters_.rows_merged += merged;
    counters_.runs += runs;
    counters_.request_bytes += bytes;
  }
  void retried() override {}
  void reconnected() override {}
  void built(std::chrono::nanoseconds time) override { counters_.busy(report::Stage::build, time); }
  void waited(std::chrono::nanoseconds time) override { counters_.busy(report::Stage::server, time); }
  void before_send(std::uint64_t, std::uint64_t) override {}

 private:
  report::Counters& counters_;
};

struct Done {
  std::uint64_t read = 0, written = 0, merged = 0, rejected = 0, runs = 0, request_bytes = 0;
  double parse_seconds = 0;
  std::size_t peak_bytes = 0;  ///< of the memory budget
};

/// One load with everything made anew, as the program does it. `width`: parsing threads and lanes. Throws what ends it.
inline Done load_to_null(const io::Input& input, std::size_t memory, unsigned width,
                         const std::function<OpenedSource(const io::Input&, MemoryBudget&, schema::Registry&)>& open) {
  MemoryBudget budget(memory);
  schema::Registry registry;
  sink::MemoryCatalog catalog;
  schema::Growth growth(catalog, registry, {});
  report::Counters counters;
  Ledger ledger(1);
  Rejects::Options to;
  to.discard = true;
  Rejects rejects(to, {{"bench", "", "", "", ""}});
  RunPlan plan;
  plan.inputs.push_back(input);
  plan.open = [&](const io::Input& from, std::uint32_t) { return open(from, budget, registry); };
  CountingObserver observer(counters);
  LaneOptions options;
  options.max_window_bytes = window_share(memory, width);
  LaneGroup lanes(width, options, budget, ledger, counters, registry,
                  [&](std::uint32_t) { return std::make_unique<sink::NullWriter>(sink::WriteOptions{}, observer); });
  plan.growth = &growth;
  plan.lanes = &lanes;
  plan.rejects = &rejects;
  plan.ledger = &ledger;
  plan.budget = &budget;
  plan.counters = &counters;
  plan.threads = width;
  const auto result = run(plan, {});
  if (result.error) std::rethrow_exception(result.error);
  const auto total = ledger.total();
  return {total.read,
          total.written,
          total.merged,
          total.rejected,
          counters.runs,
          counters.request_bytes,
          static_cast<double>(counters.busy_ns[static_cast<std::size_t>(report::Stage::parse)]) / 1e9,
          budget.peak()};
}

}  // namespace penstock::pipeline
