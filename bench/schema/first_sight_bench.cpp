// What it costs to see a series for the first time: every record is of a new child table with ten tags, from the text
// to the admitted row, in one thread. Counts the bytes that each of them keeps.

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <array>
#include <fstream>
#include <memory>
#include <string>

#include "support/loading.h"
#include "support/sources.h"

namespace penstock::bench {
namespace {

constexpr std::size_t kSeries = 100'000;

std::array<std::string, 10> tags_of(std::size_t host) {
  static constexpr const char* kTeams[] = {"CHI", "LON", "NYC", "SF"};
  const auto region = fmt::format("region-{}", host % 9);
  return {fmt::format("host_{}", host),
          region,
          fmt::format("{}{}", region, "abc"[host % 3]),
          std::to_string(host % 100),
          "Ubuntu16.10",
          "x64",
          kTeams[host % 4],
          std::to_string(host % 20),
          std::to_string(host % 2),
          host % 3 == 0 ? "test" : "production"};
}

const std::vector<std::string> kKeys{"hostname", "region",          "datacenter",         "rack", "os", "arch", "team",
                                     "service",  "service_version", "service_environment"};

std::string joined(std::size_t host, const char* between, const char* assigned, const char* quote) {
  std::string text;
  const auto tags = tags_of(host);
  for (std::size_t i = 0; i < tags.size(); ++i)
    text += fmt::format("{0}{1}{2}{1}{3}{1}{4}{1}", i == 0 ? "" : between, quote, kKeys[i], assigned, tags[i]);
  return text;
}

Source line_series() {
  return line_source(make({.record =
                               [](std::size_t host) {
                                 return fmt::format("cpu,{} usage_user={}i,usage_system={}i 1767225600000000000",
                                                    joined(host, ",", "=", ""), host % 100, host % 37);
                               }},
                          0, kSeries));
}

Source telnet_series() {
  return telnet_source(make({.record =
                                 [](std::size_t host) {
                                   return fmt::format("put cpu.user 1767225600 {} {}", host % 100,
                                                      joined(host, " ", "=", ""));
                                 }},
                            0, kSeries));
}

Source json_series() {
  return json_source(make({.head = "[",
                           .record =
                               [](std::size_t host) {
                                 return fmt::format(
                                     R"({{"metric":"cpu.user","timestamp":1767225600,"value":{},"tags":{{{}}}}})",
                                     host % 100, joined(host, ",", ":", "\""));
                               },
                           .between = ",",
                           .tail = "]"},
                          0, kSeries));
}

Source csv_series() {
  std::string head;
  for (const auto& key : kKeys) head += key + ',';
  return csv_source(make({.head = head + "time,usage_user\n",
                          .record =
                              [](std::size_t host) {
                                std::string line;
                                for (const auto& tag : tags_of(host)) line += tag + ',';
                                return line + fmt::format("2026-01-01T00:00:00Z,{}", host % 100);
                              }},
                         0, kSeries),
                    kKeys);
}

double resident() {
  ::malloc_trim(0);
  std::ifstream in("/proc/self/statm");
  double all = 0, here = 0;
  in >> all >> here;
  return here * 4096;
}

void BM_FirstSight(benchmark::State& state, Source (*make_source)()) {
  const auto source = make_source();
  double bytes = 0;
  for (auto unused : state) {
    state.PauseTiming();
    const auto before = resident();
    auto load = std::make_unique<Loading>();
    auto parser = source.parser(load->registry);
    state.ResumeTiming();
    for_each_chunk(source.text.view(), source.cutting,
                   [&](const io::Chunk& chunk) { benchmark::DoNotOptimize(load->take(*parser, chunk)); });
    state.PauseTiming();
    if (load->registry.child_count() != kSeries) return state.SkipWithError("child tables are missing");
    bytes = resident() - before;
    parser.reset();
    load.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kSeries));
  state.counters["bytes_a_series"] = bytes / kSeries;
}

BENCHMARK_CAPTURE(BM_FirstSight, line, line_series)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_FirstSight, telnet, telnet_series)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_FirstSight, json, json_series)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_FirstSight, csv, csv_series)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock::bench
