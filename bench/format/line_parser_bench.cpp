// Line protocol to rows, one thread.

#include "format/line_parser.h"

#include <benchmark/benchmark.h>
#include "format/line_text.h"
#include "support/line_shapes.h"

namespace penstock::format {
namespace {

constexpr auto& lines = run<LineParser, LineOptions>;

void BM_LineParser_cpu_1k(benchmark::State& state) { lines(state, bench::cpu(1'000), true); }
void BM_LineParser_cpu_10k(benchmark::State& state) { lines(state, bench::cpu(10'000), true); }
void BM_LineParser_cpu_shuffled_4k(benchmark::State& state) { lines(state, bench::cpu_shuffled(4'000), true); }
void BM_LineParser_iot(benchmark::State& state) { lines(state, bench::iot(false), true); }
void BM_LineParser_iot_gaps(benchmark::State& state) { lines(state, bench::iot(true), true); }
void BM_LineParser_agent(benchmark::State& state) { lines(state, bench::agent(), true); }
void BM_LineParser_short(benchmark::State& state) { lines(state, bench::short_lines(), true); }
void BM_LineParser_strings(benchmark::State& state) { lines(state, bench::strings(), true); }
void BM_LineParser_wide(benchmark::State& state) { lines(state, bench::wide(), true); }
void BM_LineParser_long_floats(benchmark::State& state) { lines(state, bench::long_floats(), true); }
void BM_LineParser_cpu_fields(benchmark::State& state) { lines(state, bench::cpu_fields(1'000), true); }
void BM_LineParser_cpu_general(benchmark::State& state) { lines(state, bench::cpu(1'000), false); }

BENCHMARK(BM_LineParser_cpu_1k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_cpu_10k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_cpu_shuffled_4k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_iot)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_iot_gaps)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_agent)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_short)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_strings)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_wide)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_long_floats)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_cpu_fields)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_cpu_general)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock::format
