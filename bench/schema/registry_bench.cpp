// Series and child tables: finding what is known and taking in what is new, one thread. PENSTOCK_BENCH_LARGE=1 adds 10
// million series (some 3 GB).

#include "schema/registry.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/hash.h"

namespace penstock::schema {
namespace {

/// Keys as line protocol has them, put together without formatting: there are millions.
std::string_view raw_key(std::size_t host, std::string& out) {
  static constexpr const char* kRegions[] = {"eu-central-1", "us-west-2", "ap-southeast-1"};
  out = "cpu,hostname=host_";
  out += std::to_string(host);
  out += ",region=";
  out += kRegions[host % 3];
  out += ",rack=";
  out += std::to_string(host % 100);
  out += ",os=Ubuntu16.04LTS,arch=x64,team=NYC,service=";
  out += std::to_string(host % 20);
  out += ",service_version=1,service_environment=production";
  return out;
}

void insert(Registry& registry, std::size_t host, std::string& scratch) {
  const auto raw = raw_key(host, scratch);
  const auto hash = hash_bytes(raw);
  if (registry.find(hash, raw) != nullptr) return;
  const auto name = "host_" + std::to_string(host);
  NewSeries found;
  found.table = "cpu";
  found.child = "t_" + name;
  found.tags = {{"hostname", data::Type::nchar, name},
                {"region", data::Type::nchar, "eu-central-1"},
                {"rack", data::Type::nchar, "17"},
                {"os", data::Type::nchar, "Ubuntu16.04LTS"},
                {"arch", data::Type::nchar, "x64"},
                {"team", data::Type::nchar, "NYC"},
                {"service", data::Type::nchar, "3"},
                {"service_version", data::Type::nchar, "1"},
                {"service_environment", data::Type::nchar, "production"}};
  registry.insert(hash, raw, found);
}

/// Bytes that the process has in memory: a registry maps most of its own.
double resident() {
  std::ifstream in("/proc/self/statm");
  double all = 0, here = 0;
  in >> all >> here;
  return here * 4096;
}

/// Bytes of a series, from an empty registry on.
void BM_Registry_insert(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::string scratch;
  double bytes = 0;
  for (auto unused : state) {
    state.PauseTiming();
    ::malloc_trim(0);
    const auto before = resident();
    auto registry = std::make_unique<Registry>();
    state.ResumeTiming();
    for (std::size_t host = 0; host < count; ++host) insert(*registry, host, scratch);
    state.PauseTiming();
    if (registry->child_count() != count) return state.SkipWithError("child tables are missing");
    bytes = resident() - before;
    registry.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
  state.counters["bytes_a_series"] = bytes / static_cast<double>(count);
}

/// Keys that are known: in the order in which they came, and in another one. Hashing is part of it, as in a parser.
void BM_Registry_find(benchmark::State& state, bool shuffled) {
  const auto count = static_cast<std::size_t>(state.range(0));
  // No more keys than fit the second-level cache a thousand times over: making them must not be what is measured.
  const auto looked_for = std::min<std::size_t>(count, 1'000'000);
  static std::unique_ptr<Registry> registry;
  std::string scratch;
  if (!registry || registry->child_count() != count) {
    registry = std::make_unique<Registry>();
    for (std::size_t host = 0; host < count; ++host) insert(*registry, host, scratch);
  }
  std::vector<std::size_t> order(looked_for);
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < looked_for; ++i) order[i] = shuffled ? random() % count : i;
  std::string keys;
  std::vector<std::size_t> ends{0};
  for (const auto host : order) {
    keys += raw_key(host, scratch);
    ends.push_back(keys.size());
  }
  const auto key = [&](std::size_t i) { return std::string_view(keys).substr(ends[i], ends[i + 1] - ends[i]); };
  for (std::size_t i = 0; i < looked_for; ++i) {
    const auto* found = registry->find(hash_bytes(key(i)), key(i));
    if (found == nullptr || found->raw != key(i) || found->child->name != "t_host_" + std::to_string(order[i]))
      return state.SkipWithError("a series is not found");
  }
  for (auto unused : state) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < looked_for; ++i) sum += registry->find(hash_bytes(key(i)), key(i))->child_id;
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * looked_for));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * keys.size()));
}

const bool kRegistered = [] {
  std::vector<std::int64_t> sizes{1'000, 100'000};
  if (std::getenv("PENSTOCK_BENCH_LARGE") != nullptr) sizes.push_back(10'000'000);
  for (const auto size : sizes) {
    auto* const insertion = benchmark::RegisterBenchmark("BM_Registry_insert", BM_Registry_insert)->Arg(size);
    insertion->Unit(benchmark::kMillisecond);
    if (size > 1'000'000) insertion->Iterations(1);
    for (const bool shuffled : {false, true})
      benchmark::RegisterBenchmark(shuffled ? "BM_Registry_find/shuffled" : "BM_Registry_find/ordered",
                                   [shuffled](benchmark::State& state) { BM_Registry_find(state, shuffled); })
          ->Arg(size)
          ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace penstock::schema
