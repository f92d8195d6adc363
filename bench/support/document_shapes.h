#pragma once

#include <fmt/format.h>

#include <random>

#include "support/line_shapes.h"

/// CSV and JSON.
namespace penstock::bench {

// --- CSV ---

/// TSBS "cpu-only": a time, ten tags, ten integers, 1,000 hosts.
inline Shape csv_cpu() {
  return {.head =
              "time,hostname,region,datacenter,rack,os,arch,team,service,service_version,service_environment,"
              "usage_user,usage_system,usage_idle,usage_nice,usage_iowait,usage_irq,usage_softirq,usage_steal,"
              "usage_guest,usage_guest_nice\n",
          .record = [random = std::mt19937_64(7)](std::size_t row) mutable {
            const auto host = row % 1000;
            auto out = fmt::format("{},host_{},eu-west-1,eu-west-1{},{},Ubuntu15.10,x86,NYC,{},1,test",
                                   1451606400000000000 + row / 1000 * 10'000'000'000, host, "abc"[host % 3], host % 100,
                                   host % 20);
            for (int f = 0; f < 10; ++f) out += fmt::format(",{}", random() % 100);
            return out;
          }};
}
inline const std::vector<std::string> kCsvCpuTags = {
    "hostname", "region",          "datacenter",         "rack", "os", "arch", "team",
    "service",  "service_version", "service_environment"};

/// Sensor data as people have it: a text time, the tag "sensor", doubles.
inline Shape csv_doubles() {
  return {.head = "ts,sensor,a,b,c,d,e,f\n", .record = [random = std::mt19937_64(7)](std::size_t row) mutable {
            auto out = fmt::format("2024-03-{:02}T{:02}:{:02}:{:02}.{:03}Z,s{}", 1 + row / 86400 % 28, row / 3600 % 24,
                                   row / 60 % 60, row % 60, random() % 1000, row % 50);
            for (int f = 0; f < 6; ++f)
              out += fmt::format(",{:.{}f}", static_cast<double>(random() % 100'000'000) / 1e5, 1 + f % 5);
            return out;
          }};
}
/// Every field in quotes, some with quotes inside; tag "name".
inline Shape csv_quoted() {
  return {.head = "\"ts\",\"name\",\"text\",\"n\"\n", .record = [random = std::mt19937_64(7)](std::size_t row) mutable {
            return fmt::format("\"{}\",\"dev{}\",\"some text, number {}{}\",\"{}\"", 1704067200000 + row, row % 100,
                               random() % 1000, row % 16 == 0 ? " \"\"x\"\"" : "", random() % 100'000);
          }};
}
/// 300 columns beside the time and the tag "machine", every third a float.
inline Shape csv_wide() {
  std::string head = "ts,machine";
  for (int i = 0; i < 300; ++i) head += fmt::format(",f{}", i);
  return {.head = head + '\n', .record = [random = std::mt19937(6)](std::size_t row) mutable {
            auto out = fmt::format("{},m{}", 1704067200000 + row, row % 50);
            for (int i = 0; i < 300; ++i)
              out += i % 3 == 0 ? fmt::format(",{}.{}", random() % 1000, 1 + random() % 999)
                                : fmt::format(",{}", random() % 100'000);
            return out;
          }};
}

// --- JSON ---

inline constexpr const char* kMetrics[] = {"sys.cpu.user", "sys.cpu.system", "sys.mem.used", "sys.net.in",
                                           "sys.net.out"};
inline constexpr std::int64_t kStartMs = kStartSeconds * 1000;

using JsonPoint = std::string(std::size_t series, std::size_t step, std::mt19937& random);

inline std::string flat_point(std::size_t series, std::size_t step, std::mt19937& random) {
  const std::size_t host = series / 5;
  return fmt::format(
      R"({{"metric":"{}","timestamp":{},"value":{}.{},"tags":{{"host":"host_{}","region":"{}","dc":"{}a","rack":"{}"}}}})",
      kMetrics[series % 5], kStartMs + static_cast<std::int64_t>(step) * 10'000, random() % 100, random() % 10, host,
      kRegions[host % 3], kRegions[host % 3], host % 100);
}
inline std::string nested_point(std::size_t series, std::size_t step, std::mt19937& random) {
  const std::size_t host = series / 5;
  return fmt::format(
      R"({{"metric":"{}","timestamp":{{"value":{},"type":"ms"}},"value":{{"value":{}.{},"type":"float"}},)"
      R"("tags":{{"host":{{"value":"host_{}","type":"nchar"}},"rack":{{"value":{},"type":"int"}},"hot":true}}}})",
      kMetrics[series % 5], kStartMs + static_cast<std::int64_t>(step) * 10'000, random() % 100, random() % 10, host,
      host % 100);
}
/// An array of OpenTSDB points of 5,000 series, all once a time step, in the same order or in another one each time.
inline Shape json_points(JsonPoint* point, std::string between = ",", bool shuffled = false) {
  constexpr std::size_t kSeries = 5000;
  return {.head = "[",
          .record =
              [point, shuffled, random = std::mt19937(1), order = Order(kSeries)](std::size_t at) mutable {
                if (shuffled && at % kSeries == 0) order.shuffle(random);
                return point(order.at[at % kSeries], at / kSeries, random);
              },
          .between = std::move(between),
          .tail = "]"};
}
/// The same over several lines a point.
inline Shape json_pretty() {
  return {
      .head = "[",
      .record =
          [random = std::mt19937(3)](std::size_t at) mutable {
            return fmt::format(
                "  {{\n    \"metric\": \"{}\",\n    \"timestamp\": {},\n    \"value\": {},\n    \"tags\": {{\n      "
                "\"host\": \"host_{}\"\n    }}\n  }}",
                kMetrics[at % 5], kStartMs + static_cast<std::int64_t>(at / 500) * 1000, random() % 1000, at / 5 % 100);
          },
      .between = ",\n",
      .tail = "]"};
}
/// JSON objects, one a line, as events have it: nested members, a string, numbers; with `sparse` one in ten lacks one.
inline Shape json_events(bool sparse) {
  return {.record = [sparse, random = std::mt19937(5)](std::size_t at) mutable {
    auto out = fmt::format(R"({{"ts":{},"dev":{{"id":"d{}","room":"r{}"}},"temp":{}.{},"hum":{},"note":"all is well")",
                           kStartMs + static_cast<std::int64_t>(at / 50), at % 50, at % 7, random() % 40,
                           random() % 100, random() % 100);
    return out += sparse && at % 10 == 0 ? "}" : R"(,"ok":true})";
  }};
}

}  // namespace penstock::bench
