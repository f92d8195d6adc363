// OpenTSDB telnet to rows, one thread.

#include "format/telnet_parser.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "format/line_text.h"

namespace penstock::format {
namespace {

constexpr std::int64_t kStart = 1'767'225'600;

constexpr const char* kMetrics[] = {"usage_user", "usage_system", "usage_idle",  "usage_nice",  "usage_iowait",
                                    "usage_irq",  "usage_steal",  "usage_guest", "usage_total", "usage_guest_nice"};

std::string cpu_line(std::size_t host, std::size_t metric, std::size_t step, double value) {
  static constexpr const char* kRegions[] = {"eu-central-1", "us-west-2", "ap-southeast-1"};
  return fmt::format(
      "cpu.{} {} {:.0f} hostname=host_{} region={} datacenter={}a rack={} os=Ubuntu16.04LTS arch=x64 team=NYC "
      "service={} service_version=1 service_environment=production",
      kMetrics[metric], kStart + static_cast<std::int64_t>(step) * 10, value, host, kRegions[host % 3],
      kRegions[host % 3], host % 100, host % 20);
}

// TSBS "cpu-only" as OpenTSDB has it: ten metrics of ten tags for each host and time step.
Text cpu(std::size_t hosts) {
  std::mt19937 random(1);
  return make(
      [&](std::size_t line) { return cpu_line(line / 10 % hosts, line % 10, line / 10 / hosts, static_cast<double>(random() % 101)); });
}
// The same with the hosts in another order at each step: no series can be foretold.
Text cpu_shuffled(std::size_t hosts) {
  std::mt19937 random(1);
  std::vector<std::size_t> order(hosts);
  for (std::size_t i = 0; i < hosts; ++i) order[i] = i;
  return make([&](std::size_t line) {
    if (line % (hosts * 10) == 0) std::shuffle(order.begin(), order.end(), random);
    return cpu_line(order[line % hosts], line / hosts % 10, line / 10 / hosts, static_cast<double>(random() % 101));
  });
}
// An agent's lines: short, with the keyword, double blanks and fractions.
Text collectd() {
  std::mt19937 random(2);
  return make([&](std::size_t line) {
    return fmt::format("put df.root.df_complex.m{} {} {}.{} fqdn=web-{}  dc=fra1 role=web", line % 40,
                       kStart + static_cast<std::int64_t>(line / 400), random() % 100'000, random() % 100,
                       line / 40 % 10);
  });
}
Text typed() {
  std::mt19937 random(3);
  return make([&](std::size_t line) {
    static constexpr const char* kValues[] = {"{}i64", "{}u8", "\"state-{}\"", "{}f32", "{}e-3"};
    return fmt::format("m{} {} {} host=h{} app=web", line % 5, kStart + static_cast<std::int64_t>(line),
                       fmt::format(fmt::runtime(kValues[line % 5]), random() % 200), line % 200);
  });
}

constexpr auto& bench = run<TelnetParser, TelnetOptions>;

void BM_TelnetParser_cpu_100(benchmark::State& state) { bench(state, cpu(100), true); }
void BM_TelnetParser_cpu_1k(benchmark::State& state) { bench(state, cpu(1'000), true); }
void BM_TelnetParser_cpu_shuffled_1k(benchmark::State& state) { bench(state, cpu_shuffled(1'000), true); }
void BM_TelnetParser_collectd(benchmark::State& state) { bench(state, collectd(), true); }
void BM_TelnetParser_typed(benchmark::State& state) { bench(state, typed(), true); }
void BM_TelnetParser_cpu_general(benchmark::State& state) { bench(state, cpu(100), false); }

BENCHMARK(BM_TelnetParser_cpu_100)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_cpu_1k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_cpu_shuffled_1k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_collectd)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_typed)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_TelnetParser_cpu_general)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock::format
