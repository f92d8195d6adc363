#include "format/csv_parser.h"

#include <benchmark/benchmark.h>
#include <string>
#include <vector>

#include "support/document_shapes.h"

namespace penstock::format {
namespace {

using bench::Shape;
using bench::Text;

constexpr std::size_t kTextBytes = 4 << 20;

void run(benchmark::State& state, const Text& input, const schema::CsvMapping& mapping) {
  const auto plan = infer(input.view().substr(0, 256 << 10), mapping, "bench", nullptr, false);
  schema::Registry registry;
  CsvParser parser(registry, plan);
  constexpr std::size_t kChunk = 1 << 20;
  const auto text = input.view();
  const auto size = text.size();
  std::size_t rows = 0;
  for (auto _ : state) {
    rows = 0;
    for (std::size_t at = 0; at < size;) {
      const auto end = at + kChunk >= size ? size : text.rfind('\n', at + kChunk) + 1;
      io::Chunk chunk;
      chunk.offset = at;
      chunk.text = text.substr(at, end - at);
      data::RowSet set;
      parser.parse(chunk, set);
      if (!set.rejects().empty()) state.SkipWithError(set.rejects()[0].reason.text.c_str());
      rows += set.row_count();
      at = end;
    }
    if (rows != input.records) return state.SkipWithError("not every record became a row");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * rows));
}

void BM_CsvParser(benchmark::State& state, Shape (*shape)(), std::vector<std::string> tags) {
  schema::CsvMapping mapping;
  mapping.tags = std::move(tags);
  const auto input = bench::make(shape(), kTextBytes);
  run(state, input, mapping);
}
BENCHMARK_CAPTURE(BM_CsvParser, tsbs_cpu, bench::csv_cpu, bench::kCsvCpuTags);
BENCHMARK_CAPTURE(BM_CsvParser, doubles, bench::csv_doubles, {"sensor"});
BENCHMARK_CAPTURE(BM_CsvParser, quoted, bench::csv_quoted, {"name"});
BENCHMARK_CAPTURE(BM_CsvParser, wide, bench::csv_wide, {"machine"});

void BM_CsvIndex(benchmark::State& state, Shape (*shape)()) {
  const auto input = bench::make(shape(), kTextBytes);
  CsvIndex index;
  for (auto _ : state) {
    index.start(input.view(), Dialect{});
    std::size_t records = 0;
    while (index.next()) records += index.record_ends().size();
    benchmark::DoNotOptimize(records);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * input.view().size()));
}
BENCHMARK_CAPTURE(BM_CsvIndex, tsbs_cpu, bench::csv_cpu);
BENCHMARK_CAPTURE(BM_CsvIndex, quoted, bench::csv_quoted);

/// Types by looking at every value: what a file costs before its first row, and once more when a type proved too
/// narrow.
void BM_CsvSample(benchmark::State& state, Shape (*shape)()) {
  const auto input = bench::make(shape(), kTextBytes);
  const auto text = input.view();
  for (auto _ : state) {
    CsvSample sample(sniff(text), {});
    sample.add_head(text);
    benchmark::DoNotOptimize(sample.records());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * input.view().size()));
}
BENCHMARK_CAPTURE(BM_CsvSample, tsbs_cpu, bench::csv_cpu);
BENCHMARK_CAPTURE(BM_CsvSample, doubles, bench::csv_doubles);
BENCHMARK_CAPTURE(BM_CsvSample, quoted, bench::csv_quoted);

}  // namespace
}  // namespace penstock::format
