// Files in the page cache through the whole pipeline into a sandbox that counts rows and keeps none, over WebSocket of
// this host: what `null:` leaves out is the kernel's two copies, the waits for answers, and the peer, which unmasks and
// decodes what it gets on the same processors. Each run is checked: the sandbox must have counted every record.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/memory_budget.h"
#include "client/connection.h"
#include "pipeline/source_file.h"
#include "sandbox/server.h"
#include "sink/server_catalog.h"
#include "sink/stmt_writer.h"
#include "sink/target_state.h"
#include "support/document_shapes.h"
#include "support/line_shapes.h"
#include "support/loading.h"
#include "support/sources.h"

namespace penstock::pipeline {
namespace {

namespace fs = std::filesystem;
using bench::Source;

constexpr std::size_t kFileBytes = std::size_t{96} << 20;
constexpr std::size_t kMemory = std::size_t{1} << 30;

sandbox::Server::Options discarding() {
  sandbox::Server::Options options;
  options.engine.discard_rows = true;
  return options;
}

/// The sandbox and the database that loads go to.
struct Peer {
  Peer() {
    options.endpoints = {{"127.0.0.1", server.port()}};
    connection.emplace(client::Connection::open(options));
    options.database = "bench";
  }
  /// A new database for each load: the next one finds no table.
  void empty() {
    connection->execute("DROP DATABASE IF EXISTS bench");
    connection->execute("CREATE DATABASE bench PRECISION 'ns' KEEP 36500");
  }
  std::uint64_t count() {
    std::vector<std::string> tables;
    for (auto rows = connection->query("SHOW bench.STABLES"); rows.next();) tables.push_back(rows.text(0));
    std::uint64_t count = 0;
    for (const auto& table : tables)
      for (auto rows = connection->query(fmt::format("SELECT COUNT(*) FROM bench.`{}`", table)); rows.next();)
        count += static_cast<std::uint64_t>(rows.integer(0));
    return count;
  }

  sandbox::Server server{discarding()};
  client::Options options;
  std::optional<client::Connection> connection;
};

/// Observers are called from all lanes.
class Observer final : public sink::WriteObserver {
 public:
  void rejected(const sink::ParsedChunk&, const data::Row&, std::int32_t, std::string_view) override { ++refused; }
  void acknowledged(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t size,
                    std::chrono::nanoseconds) override {
    bytes += size;
    ++requests;
  }
  void retried() override { ++retries; }
  void reconnected() override {}
  void built(std::chrono::nanoseconds) override {}
  void waited(std::chrono::nanoseconds time) override { waited_ns += static_cast<std::uint64_t>(time.count()); }
  void before_send(std::uint64_t, std::uint64_t) override {}

  std::atomic<std::uint64_t> refused{0}, bytes{0}, requests{0}, retries{0}, waited_ns{0};
};

struct Done {
  std::uint64_t written = 0, bytes = 0, requests = 0, retries = 0;
  double waited_seconds = 0;
};

/// One load with everything made anew, as the program does it.
Done load(const Source& source, const fs::path& path, Peer& peer, unsigned width) {
  MemoryBudget budget(kMemory);
  schema::Registry registry;
  const auto state = std::make_shared<sink::TargetState>(peer.options);
  sink::ServerCatalog catalog(peer.options, std::chrono::seconds(10), {}, state);
  schema::Growth growth(catalog, registry, {});
  report::Counters counters;
  Ledger ledger(1);
  Rejects::Options to;
  to.discard = true;
  Rejects rejects(to, {{"bench", "", "", "", ""}});
  sink::WriteOptions write;
  write.precision = data::Precision::nanoseconds;
  Observer observer;
  LaneOptions options;
  options.max_window_bytes = window_share(kMemory, width);
  LaneGroup lanes(width, options, budget, ledger, counters, registry, [&](std::uint32_t) {
    auto writer = std::make_unique<sink::StmtWriter>(peer.options, write, observer, std::stop_token(), state);
    writer->open();
    return writer;
  });
  RunPlan plan;
  plan.inputs.push_back({"bench", path, false, 0});
  plan.open = [&](const io::Input& input, std::uint32_t) { return open_source(source, input, budget, registry); };
  plan.growth = &growth;
  plan.lanes = &lanes;
  plan.rejects = &rejects;
  plan.ledger = &ledger;
  plan.budget = &budget;
  plan.counters = &counters;
  plan.threads = width;
  const auto result = run(plan, std::stop_source());
  if (result.error) std::rethrow_exception(result.error);
  return {ledger.total().written - ledger.total().merged, observer.bytes, observer.requests, observer.retries,
          static_cast<double>(observer.waited_ns) / 1e9};
}

/// `width`: parsing threads and lanes. Bytes are those of the file.
void BM_Pipeline_sandbox(benchmark::State& state, Source (*make)()) {
  const auto source = make();
  const auto width = static_cast<unsigned>(state.range(0));
  const File file(source.text.view());
  const auto records = source.text.records;
  Peer peer;
  Done last;
  for (auto unused : state) {
    state.PauseTiming();
    peer.empty();
    state.ResumeTiming();
    last = load(source, file.path(), peer, width);
    state.PauseTiming();
    if (last.written != records || peer.count() != records) return state.SkipWithError("not every record was written");
    state.ResumeTiming();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * source.text.view().size()));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * records));
  state.counters["sent_bytes_a_row"] = static_cast<double>(last.bytes) / static_cast<double>(records);
  state.counters["requests"] = static_cast<double>(last.requests);
  state.counters["retries"] = static_cast<double>(last.retries);
  // Of one lane, in a load.
  state.counters["waited_seconds"] = last.waited_seconds / width;
}

Source cpu_1k() { return bench::line_source(bench::make(bench::cpu(1'000), kFileBytes)); }
Source cpu_100k() { return bench::line_source(bench::make(bench::cpu(100'000), kFileBytes)); }
Source iot() { return bench::line_source(bench::make(bench::iot(false), kFileBytes)); }
Source strings() { return bench::line_source(bench::make(bench::strings(), kFileBytes)); }
Source csv_cpu() { return bench::csv_source(bench::make(bench::csv_cpu(), kFileBytes), bench::kCsvCpuTags); }

#define PENSTOCK_SHAPE(name)                         \
  BENCHMARK_CAPTURE(BM_Pipeline_sandbox, name, name) \
      ->Arg(1)                                       \
      ->Arg(2)                                       \
      ->MeasureProcessCPUTime()                      \
      ->UseRealTime()                                \
      ->Unit(benchmark::kMillisecond)

PENSTOCK_SHAPE(cpu_1k);
PENSTOCK_SHAPE(cpu_100k);
PENSTOCK_SHAPE(iot);
PENSTOCK_SHAPE(strings);
PENSTOCK_SHAPE(csv_cpu);

}  // namespace
}  // namespace penstock::pipeline
