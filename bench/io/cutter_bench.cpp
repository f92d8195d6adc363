// Where texts are cut into chunks, without reading: the bytes are those of the text, few of which are looked at but for
// CSV with quotes and JSON.

#include "io/cutter.h"

#include <benchmark/benchmark.h>

#include "support/document_shapes.h"
#include "support/line_shapes.h"

namespace penstock::io {
namespace {

constexpr std::size_t kTextBytes = 32 << 20;

void BM_Cutter(benchmark::State& state, bench::Shape (*shape)(), const Cutting& cutting) {
  const auto text = bench::make(shape(), kTextBytes);
  const auto cut_all = [&](auto&& look) {
    Cutter cutter(cutting, 1 << 20, 16 << 20);
    for (auto rest = text.view();;) {
      const auto cut = cutter.cut(rest, true);
      if (cut.kind == Cut::Kind::end) return true;
      if (cut.kind != Cut::Kind::records) return false;
      look(rest.substr(0, cut.bytes));
      rest.remove_prefix(cut.bytes);
    }
  };
  std::size_t bytes = 0, chunks = 0;
  const bool good = cut_all([&](std::string_view chunk) {
    bytes += chunk.size();
    ++chunks;
  });
  if (!good || bytes != text.view().size() || chunks < kTextBytes >> 20)
    return state.SkipWithError("the chunks are not the text");
  for (auto unused : state) cut_all([](std::string_view chunk) { benchmark::DoNotOptimize(chunk.data()); });
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * text.records));
}

bench::Shape cpu() { return bench::cpu(1'000); }
bench::Shape points() { return bench::json_points(bench::flat_point); }
constexpr Cutting kLines{Splitting::lines, {}};
constexpr Cutting kCsv{Splitting::csv, {',', '"', '\0'}};
constexpr Cutting kJson{Splitting::json, {}};

BENCHMARK_CAPTURE(BM_Cutter, lines_cpu, cpu, kLines);
BENCHMARK_CAPTURE(BM_Cutter, lines_short, bench::short_lines, kLines);
BENCHMARK_CAPTURE(BM_Cutter, csv_cpu, bench::csv_cpu, kCsv);
BENCHMARK_CAPTURE(BM_Cutter, csv_quoted, bench::csv_quoted, kCsv);
BENCHMARK_CAPTURE(BM_Cutter, json_flat, points, kJson);

}  // namespace
}  // namespace penstock::io
