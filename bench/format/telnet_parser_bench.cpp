// OpenTSDB telnet to rows, one thread.

#include "format/telnet_parser.h"

#include <benchmark/benchmark.h>
#include "format/line_text.h"
#include "support/line_shapes.h"

namespace penstock::format {
namespace {

constexpr auto& lines = run<TelnetParser, TelnetOptions>;

void BM_TelnetParser_cpu_100(benchmark::State& state) { lines(state, bench::telnet_cpu(100), true); }
void BM_TelnetParser_cpu_1k(benchmark::State& state) { lines(state, bench::telnet_cpu(1'000), true); }
void BM_TelnetParser_cpu_shuffled_1k(benchmark::State& state) { lines(state, bench::telnet_cpu_shuffled(1'000), true); }
void BM_TelnetParser_collectd(benchmark::State& state) { lines(state, bench::collectd(), true); }
void BM_TelnetParser_typed(benchmark::State& state) { lines(state, bench::telnet_typed(), true); }
void BM_TelnetParser_cpu_general(benchmark::State& state) { lines(state, bench::telnet_cpu(100), false); }

BENCHMARK(BM_TelnetParser_cpu_100)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_cpu_1k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_cpu_shuffled_1k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_collectd)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_typed)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_cpu_general)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock::format
