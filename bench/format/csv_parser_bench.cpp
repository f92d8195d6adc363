#include "format/csv_parser.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "base/error.h"
#include "io/chunk.h"

namespace penstock::format {
namespace {

/// 4 MiB of CSV in some shape, with the padding that parsers need.
struct Input {
  std::string text;
  std::size_t size = 0;
};

template <class Record>
Input make(std::string_view header, Record&& record) {
  std::mt19937_64 random(7);
  Input input;
  input.text = header;
  for (std::uint64_t row = 0; input.text.size() < 4 << 20; ++row) record(input.text, row, random);
  input.size = input.text.size();
  input.text.append(io::kPadding, '\n');
  return input;
}

/// TSBS cpu-only: ten tags, a time, ten integers, 1,000 hosts.
Input tsbs_cpu() {
  return make(
      "time,hostname,region,datacenter,rack,os,arch,team,service,service_version,service_environment,usage_user,"
      "usage_system,usage_idle,usage_nice,usage_iowait,usage_irq,usage_softirq,usage_steal,usage_guest,usage_guest_"
      "nice\n",
      [](std::string& out, std::uint64_t row, std::mt19937_64& random) {
        const auto host = row % 1000;
        out += fmt::format("{},host_{},eu-west-1,eu-west-1{},{},Ubuntu15.10,x86,NYC,{},1,test",
                           1451606400000000000 + row / 1000 * 10'000'000'000, host, "abc"[host % 3], host % 100,
                           host % 20);
        for (int f = 0; f < 10; ++f) out += fmt::format(",{}", random() % 100);
        out += '\n';
      });
}

/// Sensor data as people have it: a text time, one tag, doubles.
Input doubles() {
  return make("ts,sensor,a,b,c,d,e,f\n", [](std::string& out, std::uint64_t row, std::mt19937_64& random) {
    out += fmt::format("2024-03-{:02}T{:02}:{:02}:{:02}.{:03}Z,s{}", 1 + row / 86400 % 28, row / 3600 % 24,
                       row / 60 % 60, row % 60, random() % 1000, row % 50);
    for (int f = 0; f < 6; ++f)
      out += fmt::format(",{:.{}f}", static_cast<double>(random() % 100'000'000) / 1e5, 1 + f % 5);
    out += '\n';
  });
}

/// Every field in quotes, some with quotes inside.
Input quoted() {
  return make("\"ts\",\"name\",\"text\",\"n\"\n", [](std::string& out, std::uint64_t row, std::mt19937_64& random) {
    out += fmt::format("\"{}\",\"dev{}\",\"some text, number {}{}\",\"{}\"\n", 1704067200000 + row, row % 100,
                       random() % 1000, row % 16 == 0 ? " \"\"x\"\"" : "", random() % 100'000);
  });
}

void run(benchmark::State& state, const Input& input, const schema::CsvMapping& mapping) {
  const auto plan = infer(std::string_view(input.text).substr(0, 256 << 10), mapping, "bench", nullptr, false);
  schema::Registry registry;
  CsvParser parser(registry, plan);
  constexpr std::size_t kChunk = 1 << 20;
  std::size_t rows = 0;
  for (auto _ : state) {
    rows = 0;
    for (std::size_t at = 0; at < input.size;) {
      const auto end = at + kChunk >= input.size ? input.size : input.text.rfind('\n', at + kChunk) + 1;
      io::Chunk chunk;
      chunk.offset = at;
      chunk.text = std::string_view(input.text).substr(at, end - at);
      data::RowSet set;
      parser.parse(chunk, set);
      if (!set.rejects().empty()) state.SkipWithError(set.rejects()[0].reason.text.c_str());
      rows += set.row_count();
      at = end;
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * input.size));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * rows));
}

void BM_CsvParser(benchmark::State& state, Input (*shape)(), std::vector<std::string> tags) {
  schema::CsvMapping mapping;
  mapping.tags = std::move(tags);
  const auto input = shape();
  run(state, input, mapping);
}
BENCHMARK_CAPTURE(BM_CsvParser, tsbs_cpu, tsbs_cpu,
                  {"hostname", "region", "datacenter", "rack", "os", "arch", "team", "service", "service_version",
                   "service_environment"});
BENCHMARK_CAPTURE(BM_CsvParser, doubles, doubles, {"sensor"});
BENCHMARK_CAPTURE(BM_CsvParser, quoted, quoted, {"name"});

void BM_CsvIndex(benchmark::State& state, Input (*shape)()) {
  const auto input = shape();
  CsvIndex index;
  for (auto _ : state) {
    index.start(std::string_view(input.text).substr(0, input.size), Dialect{});
    std::size_t records = 0;
    while (index.next()) records += index.record_ends().size();
    benchmark::DoNotOptimize(records);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * input.size));
}
BENCHMARK_CAPTURE(BM_CsvIndex, tsbs_cpu, tsbs_cpu);
BENCHMARK_CAPTURE(BM_CsvIndex, quoted, quoted);

/// Types by looking at every value: what a file costs before its first row, and once more when a type proved too
/// narrow.
void BM_CsvSample(benchmark::State& state, Input (*shape)()) {
  const auto input = shape();
  const auto text = std::string_view(input.text).substr(0, input.size);
  for (auto _ : state) {
    CsvSample sample(sniff(text), {});
    sample.add_head(text);
    benchmark::DoNotOptimize(sample.records());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * input.size));
}
BENCHMARK_CAPTURE(BM_CsvSample, tsbs_cpu, tsbs_cpu);
BENCHMARK_CAPTURE(BM_CsvSample, doubles, doubles);
BENCHMARK_CAPTURE(BM_CsvSample, quoted, quoted);

}  // namespace
}  // namespace penstock::format
