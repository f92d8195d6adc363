#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "support/text.h"

/// Line protocol and telnet.
namespace penstock::bench {

inline constexpr std::int64_t kStartSeconds = 1'767'225'600;
inline constexpr std::int64_t kStart = kStartSeconds * 1'000'000'000;
inline constexpr const char* kRegions[] = {"eu-central-1", "us-west-2", "ap-southeast-1"};
inline constexpr const char* kCpuFields[] = {"usage_user",   "usage_system",    "usage_idle",    "usage_nice",
                                             "usage_iowait", "usage_irq",       "usage_softirq", "usage_steal",
                                             "usage_guest",  "usage_guest_nice"};

/// 0, 1, … in another order at every call of shuffle().
struct Order {
  explicit Order(std::size_t size) : at(size) {
    for (std::size_t i = 0; i < size; ++i) at[i] = i;
  }
  void shuffle(std::mt19937& random) { std::shuffle(at.begin(), at.end(), random); }
  std::vector<std::size_t> at;
};

inline std::string cpu_tags(std::size_t host) {
  return fmt::format(
      "cpu,hostname=host_{},region={},datacenter={}a,rack={},os=Ubuntu16.04LTS,arch=x64,team=NYC,service={},"
      "service_version=1,service_environment=production",
      host, kRegions[host % 3], kRegions[host % 3], host % 100, host % 20);
}
inline std::string cpu_line(std::size_t host, std::int64_t time, std::mt19937& random) {
  auto line = cpu_tags(host);
  for (std::size_t i = 0; i < std::size(kCpuFields); ++i)
    line += fmt::format("{}{}={}i", i == 0 ? ' ' : ',', kCpuFields[i], random() % 101);
  return line + fmt::format(" {}", time);
}
inline std::int64_t cpu_time(std::size_t step) { return kStart + static_cast<std::int64_t>(step) * 10'000'000'000; }

/// TSBS "cpu-only": 10 tags, 10 integers, every host once a time step.
inline Shape cpu(std::size_t hosts) {
  return {.record = [hosts, random = std::mt19937(1)](std::size_t line) mutable {
    return cpu_line(line % hosts, cpu_time(line / hosts), random);
  }};
}
/// The same lines with the hosts in another order at each step: no series can be foretold.
inline Shape cpu_shuffled(std::size_t hosts) {
  return {.record = [hosts, random = std::mt19937(1), order = Order(hosts)](std::size_t line) mutable {
    if (line % hosts == 0) order.shuffle(random);
    return cpu_line(order.at[line % hosts], cpu_time(line / hosts), random);
  }};
}
/// The same with three of ten lines late, by up to 100 time steps.
inline Shape cpu_disordered(std::size_t hosts) {
  return {.record = [hosts, random = std::mt19937(1), late = std::mt19937(9)](std::size_t line) mutable {
    const auto step = line / hosts + 100;
    return cpu_line(line % hosts, cpu_time(late() % 10 < 3 ? step - late() % 100 : step), random);
  }};
}
/// The same with the newest time step first.
inline Shape cpu_newest_first(std::size_t hosts) {
  return {.record = [hosts, random = std::mt19937(1)](std::size_t line) mutable {
    return cpu_line(line % hosts, cpu_time(1'000'000 - line / hosts), random);
  }};
}
/// The values of cpu() with a line for each, as influx_inspect writes them: series by series, field by field, each with
/// 100 time steps.
inline Shape cpu_fields(std::size_t hosts) {
  constexpr std::size_t kSteps = 100;
  return {.record = [hosts, random = std::mt19937(1)](std::size_t line) mutable {
    const std::size_t step = line % kSteps, field = line / kSteps % 10, series = line / kSteps / 10;
    return cpu_tags(series % hosts) +
           fmt::format(" {}={}i {}", kCpuFields[field], random() % 101, cpu_time(series / hosts * kSteps + step));
  }};
}

/// TSBS "iot": two measurements, floats, with `gaps` a field missing now and then.
inline Shape iot(bool gaps) {
  return {.record = [gaps, random = std::mt19937(2),
                     real = std::uniform_real_distribution<double>(0, 100)](std::size_t line) mutable {
    const std::size_t truck = line / 2 % 1000;
    const auto tags = fmt::format(
        "name=truck_{},fleet=South,driver=Derek,model=G-2000,device_version=v1.5,load_capacity=1500,"
        "fuel_capacity=150,nominal_fuel_consumption=12",
        truck);
    const auto time = cpu_time(line / 2000);
    if (line % 2 == 1)
      return fmt::format("diagnostics,{} fuel_state={:.1f},current_load={:.0f},status={}i {}", tags, real(random) / 100,
                         real(random) * 10, random() % 6, time);
    std::string fields = fmt::format("latitude={:.5f},longitude={:.5f},elevation={:.0f},velocity={:.0f},heading={:.0f}",
                                     real(random), real(random), real(random), real(random), real(random));
    if (!gaps || random() % 10 != 0) fields += fmt::format(",grade={:.0f}", real(random));
    return fmt::format("readings,{} {},fuel_consumption={:.1f} {}", tags, fields, real(random), time);
  }};
}
/// An agent's lines: 16 measurements of one host, each with 12 fields in an order that changes from line to line.
inline Shape agent() {
  return {.record = [random = std::mt19937(5), order = Order(12)](std::size_t line) mutable {
    order.shuffle(random);
    std::string fields;
    for (const auto i : order.at)
      fields += fmt::format(
          "{}metric_number_{}={}", fields.empty() ? "" : ",", i,
          i % 2 ? fmt::format("{}i", random() % 100'000) : fmt::format("{}.{}", random() % 100, random() % 1000));
    return fmt::format("measurement_{},dc=fra1,host=web-1,role=web {} {}", line % 16, fields,
                       kStart + static_cast<std::int64_t>(line / 16) * 10'000'000'000);
  }};
}
/// About 35 bytes a line.
inline Shape short_lines() {
  return {.record = [random = std::mt19937(3)](std::size_t line) mutable {
    return fmt::format("m,id={} v={}.{} {}", line % 100, random() % 100, random() % 10,
                       kStart + static_cast<std::int64_t>(line) * 1'000'000);
  }};
}
/// Strings with escapes, in fields and tags.
inline Shape strings() {
  return {.record = [random = std::mt19937(4)](std::size_t line) mutable {
    return fmt::format(
        "log,host=h{},app=web\\ server level=\"info\",message=\"GET /index.html took {} ms, \\\"agent\\\" {}\","
        "user=L\"müller{}\",ok={} {}",
        line % 200, random() % 1000, random(), random() % 50, random() % 2 ? "true" : "false",
        kStart + static_cast<std::int64_t>(line) * 1'000'000);
  }};
}
/// 300 fields a line, every third a float.
inline Shape wide() {
  return {.record = [random = std::mt19937(6)](std::size_t line) mutable {
    std::string text = fmt::format("wide,machine=m{}", line % 50);
    for (int i = 0; i < 300; ++i)
      text += i % 3 == 0 ? fmt::format("{}f{}={}.{}", i == 0 ? ' ' : ',', i, random() % 1000, random() % 1000)
                         : fmt::format(",f{}={}i", i, random() % 100'000);
    return text + fmt::format(" {}", kStart + static_cast<std::int64_t>(line) * 1'000'000);
  }};
}
/// Six floats a line, each with all 17 digits.
inline Shape long_floats() {
  return {.record = [random = std::mt19937_64(7)](std::size_t line) mutable {
    std::string text = fmt::format("floats,sensor=s{}", line % 100);
    for (int i = 0; i < 6; ++i) {
      const double value = static_cast<double>(random() >> 11) / 9007199254740992.0 * 100;
      text += fmt::format("{}v{}={:.17g}", i == 0 ? ' ' : ',', i, value);
    }
    return text + fmt::format(" {}", kStart + static_cast<std::int64_t>(line) * 1'000'000);
  }};
}

// --- telnet ---

inline constexpr const char* kCpuMetrics[] = {"usage_user",   "usage_system",    "usage_idle",  "usage_nice",
                                              "usage_iowait", "usage_irq",       "usage_steal", "usage_guest",
                                              "usage_total",  "usage_guest_nice"};

inline std::string telnet_cpu_line(std::size_t host, std::size_t metric, std::size_t step, unsigned value) {
  return fmt::format(
      "cpu.{} {} {} hostname=host_{} region={} datacenter={}a rack={} os=Ubuntu16.04LTS arch=x64 team=NYC "
      "service={} service_version=1 service_environment=production",
      kCpuMetrics[metric], kStartSeconds + static_cast<std::int64_t>(step) * 10, value, host, kRegions[host % 3],
      kRegions[host % 3], host % 100, host % 20);
}
/// TSBS "cpu-only" as OpenTSDB has it: ten metrics of ten tags for each host and time step.
inline Shape telnet_cpu(std::size_t hosts) {
  return {.record = [hosts, random = std::mt19937(1)](std::size_t line) mutable {
    return telnet_cpu_line(line / 10 % hosts, line % 10, line / 10 / hosts, static_cast<unsigned>(random() % 101));
  }};
}
/// The same with the hosts in another order at each step.
inline Shape telnet_cpu_shuffled(std::size_t hosts) {
  return {.record = [hosts, random = std::mt19937(1), order = Order(hosts)](std::size_t line) mutable {
    if (line % (hosts * 10) == 0) order.shuffle(random);
    return telnet_cpu_line(order.at[line % hosts], line / hosts % 10, line / 10 / hosts,
                           static_cast<unsigned>(random() % 101));
  }};
}
/// An agent's lines: short, with the keyword, double blanks and fractions.
inline Shape collectd() {
  return {.record = [random = std::mt19937(2)](std::size_t line) mutable {
    return fmt::format("put df.root.df_complex.m{} {} {}.{} fqdn=web-{}  dc=fra1 role=web", line % 40,
                       kStartSeconds + static_cast<std::int64_t>(line / 400), random() % 100'000, random() % 100,
                       line / 40 % 10);
  }};
}
/// Values of five types.
inline Shape telnet_typed() {
  return {.record = [random = std::mt19937(3)](std::size_t line) mutable {
    static constexpr const char* kValues[] = {"{}i64", "{}u8", "\"state-{}\"", "{}f32", "{}e-3"};
    return fmt::format("m{} {} {} host=h{} app=web", line % 5, kStartSeconds + static_cast<std::int64_t>(line),
                       fmt::format(fmt::runtime(kValues[line % 5]), random() % 200), line % 200);
  }};
}

}  // namespace penstock::bench
