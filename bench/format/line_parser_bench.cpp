// Line protocol to rows, one thread.

#include "format/line_parser.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>

#include "format/line_text.h"

namespace penstock::format {
namespace {

constexpr std::int64_t kStart = 1'767'225'600'000'000'000;

std::string cpu_tags(std::size_t host) {
  static constexpr const char* kRegions[] = {"eu-central-1", "us-west-2", "ap-southeast-1"};
  return fmt::format(
      "cpu,hostname=host_{},region={},datacenter={}a,rack={},os=Ubuntu16.04LTS,arch=x64,team=NYC,service={},"
      "service_version=1,service_environment=production",
      host, kRegions[host % 3], kRegions[host % 3], host % 100, host % 20);
}

std::string cpu_line(std::size_t host, std::size_t step, std::mt19937& random) {
  const auto n = [&] { return random() % 101; };
  return cpu_tags(host) +
         fmt::format(
             " usage_user={}i,usage_system={}i,usage_idle={}i,usage_nice={}i,usage_iowait={}i,usage_irq={}i,"
             "usage_softirq={}i,usage_steal={}i,usage_guest={}i,usage_guest_nice={}i {}",
             n(), n(), n(), n(), n(), n(), n(), n(), n(), n(),
             kStart + static_cast<std::int64_t>(step) * 10'000'000'000);
}

// TSBS "cpu-only": 10 tags, 10 integers, every host once a time step.
Text cpu(std::size_t hosts) {
  std::mt19937 random(1);
  return make([&](std::size_t line) { return cpu_line(line % hosts, line / hosts, random); });
}
// The same lines with the hosts in another order at each step: no series can be foretold.
Text cpu_shuffled(std::size_t hosts) {
  std::mt19937 random(1);
  std::vector<std::size_t> order(hosts);
  for (std::size_t i = 0; i < hosts; ++i) order[i] = i;
  return make([&](std::size_t line) {
    if (line % hosts == 0) std::shuffle(order.begin(), order.end(), random);
    return cpu_line(order[line % hosts], line / hosts, random);
  });
}
// TSBS "iot": two measurements, floats, a field missing now and then.
Text iot(bool gaps) {
  std::mt19937 random(2);
  std::uniform_real_distribution<double> real(0, 100);
  return make([&, gaps](std::size_t line) {
    const std::size_t truck = line / 2 % 1000;
    const auto tags = fmt::format(
        "name=truck_{},fleet=South,driver=Derek,model=G-2000,device_version=v1.5,load_capacity=1500,"
        "fuel_capacity=150,nominal_fuel_consumption=12",
        truck);
    const auto time = kStart + static_cast<std::int64_t>(line / 2000) * 10'000'000'000;
    if (line % 2 == 1)
      return fmt::format("diagnostics,{} fuel_state={:.1f},current_load={:.0f},status={}i {}", tags, real(random) / 100,
                         real(random) * 10, random() % 6, time);
    std::string fields = fmt::format("latitude={:.5f},longitude={:.5f},elevation={:.0f},velocity={:.0f},heading={:.0f}",
                                     real(random), real(random), real(random), real(random), real(random));
    if (!gaps || random() % 10 != 0) fields += fmt::format(",grade={:.0f}", real(random));
    return fmt::format("readings,{} {},fuel_consumption={:.1f} {}", tags, fields, real(random), time);
  });
}
// An agent's lines: 16 measurements of one host, each with 12 fields in an order that changes from line to line.
Text agent() {
  std::mt19937 random(5);
  std::vector<int> order(12);
  for (int i = 0; i < 12; ++i) order[static_cast<std::size_t>(i)] = i;
  return make([&](std::size_t line) {
    std::shuffle(order.begin(), order.end(), random);
    std::string fields;
    for (const int i : order)
      fields += fmt::format(
          "{}metric_number_{}={}", fields.empty() ? "" : ",", i,
          i % 2 ? fmt::format("{}i", random() % 100'000) : fmt::format("{}.{}", random() % 100, random() % 1000));
    return fmt::format("measurement_{},dc=fra1,host=web-1,role=web {} {}", line % 16, fields,
                       kStart + static_cast<std::int64_t>(line / 16) * 10'000'000'000);
  });
}
Text short_lines() {
  std::mt19937 random(3);
  return make([&](std::size_t line) {
    return fmt::format("m,id={} v={}.{} {}", line % 100, random() % 100, random() % 10,
                       kStart + static_cast<std::int64_t>(line));
  });
}
Text strings() {
  std::mt19937 random(4);
  return make([&](std::size_t line) {
    return fmt::format(
        "log,host=h{},app=web\\ server level=\"info\",message=\"GET /index.html took {} ms, \\\"agent\\\" {}\","
        "user=L\"müller{}\",ok={} {}",
        line % 200, random() % 1000, random(), random() % 50, random() % 2 ? "true" : "false",
        kStart + static_cast<std::int64_t>(line));
  });
}

constexpr auto& bench = run<LineParser, LineOptions>;

void BM_LineParser_cpu_1k(benchmark::State& state) { bench(state, cpu(1'000), true); }
void BM_LineParser_cpu_10k(benchmark::State& state) { bench(state, cpu(10'000), true); }
void BM_LineParser_cpu_shuffled_4k(benchmark::State& state) { bench(state, cpu_shuffled(4'000), true); }
void BM_LineParser_iot(benchmark::State& state) { bench(state, iot(false), true); }
void BM_LineParser_iot_gaps(benchmark::State& state) { bench(state, iot(true), true); }
void BM_LineParser_agent(benchmark::State& state) { bench(state, agent(), true); }
void BM_LineParser_short(benchmark::State& state) { bench(state, short_lines(), true); }
void BM_LineParser_strings(benchmark::State& state) { bench(state, strings(), true); }
void BM_LineParser_cpu_general(benchmark::State& state) { bench(state, cpu(1'000), false); }

BENCHMARK(BM_LineParser_cpu_1k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_cpu_10k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_cpu_shuffled_4k)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_iot)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_iot_gaps)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_agent)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_short)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_strings)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_LineParser_cpu_general)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock::format
