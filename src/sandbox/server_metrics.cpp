#include "sandbox/server_metrics.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace penstock::sandbox {
namespace {

struct Metric {
  std::string_view name;
  std::string_view type;
};

constexpr Metric kMetrics[] = {
    {"go_gc_duration_seconds", "summary"},
    {"go_gc_gogc_percent", "gauge"},
    {"go_gc_gomemlimit_bytes", "gauge"},
    {"go_goroutines", "gauge"},
    {"go_info", "gauge"},
    {"go_memstats_alloc_bytes", "gauge"},
    {"go_memstats_alloc_bytes_total", "counter"},
    {"go_memstats_buck_hash_sys_bytes", "gauge"},
    {"go_memstats_frees_total", "counter"},
    {"go_memstats_gc_sys_bytes", "gauge"},
    {"go_memstats_heap_alloc_bytes", "gauge"},
    {"go_memstats_heap_idle_bytes", "gauge"},
    {"go_memstats_heap_inuse_bytes", "gauge"},
    {"go_memstats_heap_objects", "gauge"},
    {"go_memstats_heap_released_bytes", "gauge"},
    {"go_memstats_heap_sys_bytes", "gauge"},
    {"go_memstats_last_gc_time_seconds", "gauge"},
    {"go_memstats_mallocs_total", "counter"},
    {"go_memstats_mcache_inuse_bytes", "gauge"},
    {"go_memstats_mcache_sys_bytes", "gauge"},
    {"go_memstats_mspan_inuse_bytes", "gauge"},
    {"go_memstats_mspan_sys_bytes", "gauge"},
    {"go_memstats_next_gc_bytes", "gauge"},
    {"go_memstats_other_sys_bytes", "gauge"},
    {"go_memstats_stack_inuse_bytes", "gauge"},
    {"go_memstats_stack_sys_bytes", "gauge"},
    {"go_memstats_sys_bytes", "gauge"},
    {"go_sched_gomaxprocs_threads", "gauge"},
    {"go_threads", "gauge"},
    {"process_cpu_seconds_total", "counter"},
    {"process_max_fds", "gauge"},
    {"process_network_receive_bytes_total", "counter"},
    {"process_network_transmit_bytes_total", "counter"},
    {"process_open_fds", "gauge"},
    {"process_resident_memory_bytes", "gauge"},
    {"process_start_time_seconds", "gauge"},
    {"process_virtual_memory_bytes", "gauge"},
    {"process_virtual_memory_max_bytes", "gauge"},
    {"promhttp_metric_handler_requests_in_flight", "gauge"},
    {"promhttp_metric_handler_requests_total", "counter"},
    {"taosadapter_system_cpu_percent", "gauge"},
    {"taosadapter_system_mem_percent", "gauge"},
};

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

/// The named line of /proc/self/status in its unit; 0 where there is none.
double status_line(std::string_view name) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name)) return std::strtod(line.c_str() + name.size(), nullptr);
  }
  return 0;
}

/// When this process began, seconds since the epoch.
double start_time() {
  std::ifstream in("/proc/self/stat");
  std::string line;
  std::getline(in, line);
  // The 22nd word, the 20th behind the name in parentheses: clock ticks from the start of the system.
  auto at = line.rfind(')');
  for (int word = 0; word < 20 && at != std::string::npos; ++word) at = line.find(' ', at + 1);
  if (at == std::string::npos) return 0;
  const double ticks = std::strtod(line.c_str() + at, nullptr);
  timespec up{};
  ::clock_gettime(CLOCK_BOOTTIME, &up);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const auto seconds_of = [](const timespec& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  };
  return seconds_of(now) - seconds_of(up) + ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double value_of(std::string_view name) {
  if (name == "process_cpu_seconds_total") {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  if (name == "process_max_fds") {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<double>(limit.rlim_cur);
  }
  if (name == "process_open_fds") {
    std::error_code error;
    double count = 0;
    for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
         it.increment(error)) {
      ++count;
    }
    return count;
  }
  if (name == "process_resident_memory_bytes") return status_line("VmRSS:") * 1024;
  if (name == "process_virtual_memory_bytes") return status_line("VmSize:") * 1024;
  if (name == "process_virtual_memory_max_bytes") return -1;
  if (name == "go_threads") return status_line("Threads:");
  if (name == "go_sched_gomaxprocs_threads") return static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  if (name == "process_start_time_seconds") return start_time();
  if (name == "promhttp_metric_handler_requests_in_flight") return 1;
  return 0;
}

}  // namespace

HttpResponse metrics_response() {
  static std::atomic<std::uint64_t> answered{0};
  std::string body;
  const auto out = std::back_inserter(body);
  for (const auto& [name, type] : kMetrics) {
    fmt::format_to(out, "# TYPE {} {}\n", name, type);
    if (type == "summary") {
      fmt::format_to(out, "{0}_sum 0\n{0}_count 0\n", name);
    } else if (name == "promhttp_metric_handler_requests_total") {
      fmt::format_to(out, "{}{{code=\"200\"}} {}\n", name, answered.fetch_add(1, std::memory_order_relaxed));
    } else {
      fmt::format_to(out, "{} {}\n", name, value_of(name));
    }
  }
  return {
      200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"}}, std::move(body), true};
}

}  // namespace penstock::sandbox
