#include "report/metrics.h"

#include <fmt/format.h>
#include <httplib.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <charconv>
#include <chrono>
#include <thread>
#include <utility>

#include "base/error.h"

namespace penstock::report {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(std::string name, std::string help, MetricType type) {
  MetricFamily made;
  made.name = std::move(name);
  made.help = std::move(help);
  made.type = type;
  return made;
}

MetricFamily counter(std::string name, std::string help, std::uint64_t value) {
  auto made = family(std::move(name), std::move(help), MetricType::Counter);
  made.metric.emplace_back().counter.value = static_cast<double>(value);
  return made;
}

MetricFamily gauge(std::string name, std::string help, double value) {
  auto made = family(std::move(name), std::move(help), MetricType::Gauge);
  made.metric.emplace_back().gauge.value = value;
  return made;
}

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

MetricFamily latency(const Histogram& latencies) {
  auto made =
      family("penstock_request_seconds", "Time from sending a request to its acknowledgement.", MetricType::Summary);
  auto& summary = made.metric.emplace_back().summary;
  summary.sample_count = latencies.count();
  summary.sample_sum = seconds(latencies.sum());
  for (const double p : {0.5, 0.9, 0.99}) summary.quantile.push_back({p, seconds(latencies.percentile(p))});
  return made;
}

struct Address {
  std::string host;
  int port = 0;
};

Address parse_address(const std::string& listen) {
  const auto refuse = [&] {
    throw Error(
        Errc::config,
        fmt::format("--metrics-listen {}: write PORT, HOST:PORT, [IPV6]:PORT, or :PORT for all addresses", listen));
  };
  Address address;
  const auto colon = listen.rfind(':');
  std::string port = listen;
  if (colon == std::string::npos) {
    address.host = "127.0.0.1";
  } else {
    address.host = listen.substr(0, colon);
    port = listen.substr(colon + 1);
    if (address.host.empty()) address.host = "0.0.0.0";
    if (address.host.starts_with('[') && address.host.ends_with(']'))
      address.host = address.host.substr(1, address.host.size() - 2);
  }
  const char* const end = port.data() + port.size();
  const auto [at, error] = std::from_chars(port.data(), end, address.port);
  if (error != std::errc() || at != end || address.port < 0 || address.port > 65535) refuse();
  return address;
}

}  // namespace

std::string metrics_text(const Counters& counters, const Histogram& latencies, const Gauges& gauges) {
  std::vector<MetricFamily> all;
  const auto count = [&](std::string_view name, std::string_view help, const std::atomic<std::uint64_t>& value) {
    all.push_back(
        counter(fmt::format("penstock_{}_total", name), std::string(help), value.load(std::memory_order_relaxed)));
  };
  count("rows_read", "Rows read from the sources.", counters.rows_read);
  count("rows_written", "Rows that the server acknowledged.", counters.rows_written);
  count("rows_rejected", "Rows in the reject files.", counters.rows_rejected);
  count("rows_left_out", "Rows that were not wanted.", counters.rows_left_out);
  count("rows_merged", "Rows joined with another of the same request by an equal key.", counters.rows_merged);
  count("text_bytes", "Bytes of text that were parsed.", counters.text_bytes);
  count("requests", "Requests that the server acknowledged.", counters.requests);
  count("request_bytes", "Bytes of acknowledged requests.", counters.request_bytes);
  count("retries", "Requests that were sent again.", counters.retries);
  count("reconnects", "Connections that were made anew.", counters.reconnects);
  all.push_back(latency(latencies));
  const auto read = counters.rows_read.load(std::memory_order_relaxed);
  const auto settled = counters.rows_written.load(std::memory_order_relaxed) +
                       counters.rows_rejected.load(std::memory_order_relaxed) +
                       counters.rows_left_out.load(std::memory_order_relaxed);
  all.push_back(gauge("penstock_rows_under_way", "Rows that were read and are neither written nor rejected.",
                      read > settled ? static_cast<double>(read - settled) : 0));
  all.push_back(gauge("penstock_memory_bytes", "Memory of rows under way.", static_cast<double>(gauges.memory_bytes)));
  all.push_back(gauge("penstock_memory_limit_bytes", "Bound of that memory (--memory).",
                      static_cast<double>(gauges.memory_limit)));
  all.push_back(gauge("penstock_checkpoint_age_seconds", "Time since the last checkpoint was written.",
                      gauges.checkpoint_age_seconds));
  all.push_back(gauge("penstock_up", "1 while rows can be read and written, 0 while the target is away.",
                      gauges.healthy ? 1 : 0));
  all.push_back(
      gauge("penstock_sources", "Files that are being followed.", static_cast<double>(gauges.sources.size())));
  auto lag = family("penstock_source_lag_bytes", "Bytes of a source that are not read yet.", MetricType::Gauge);
  for (const auto& source : gauges.sources) {
    auto& metric = lag.metric.emplace_back();
    metric.label.push_back({"source", source.name});
    metric.gauge.value = static_cast<double>(source.lag_bytes);
  }
  if (!lag.metric.empty()) all.push_back(std::move(lag));
  return prometheus::TextSerializer().Serialize(all);
}

struct MetricsServer::State {
  httplib::Server server;
  std::string address;
  std::jthread thread;
};

MetricsServer::MetricsServer(const std::string& listen, const Counters& counters, const Histogram& latencies, Look look)
    : state_(std::make_unique<State>()) {
  auto& server = state_->server;
  auto address = parse_address(listen);
  server.new_task_queue = [] { return new httplib::ThreadPool(2); };
  server.set_read_timeout(std::chrono::seconds(5));
  server.set_write_timeout(std::chrono::seconds(5));
  server.set_payload_max_length(4096);
  // Not the library's SO_REUSEPORT, with which two servers would share a port without a word.
  server.set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  server.Get("/metrics", [&counters, &latencies, look](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics_text(counters, latencies, look()), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/healthz", [look](const httplib::Request&, httplib::Response& response) {
    const auto gauges = look();
    response.status = gauges.healthy ? 200 : 503;
    response.set_content(gauges.healthy ? std::string("ok\n") : gauges.trouble + "\n", "text/plain; charset=utf-8");
  });
  bool listening = false;
  if (address.port == 0) {
    address.port = server.bind_to_any_port(address.host);
    listening = address.port > 0;
  } else {
    listening = server.bind_to_port(address.host, address.port);
  }
  if (!listening)
    throw Error(Errc::config, fmt::format("--metrics-listen {}: cannot listen there: is the port taken, or the address "
                                          "not one of this machine?",
                                          listen));
  state_->address = address.host.find(':') == std::string::npos ? fmt::format("{}:{}", address.host, address.port)
                                                                : fmt::format("[{}]:{}", address.host, address.port);
  state_->thread = std::jthread([&server] { server.listen_after_bind(); });
  // A stop() that comes before the loop has begun would be lost.
  while (!server.is_running()) std::this_thread::yield();
}

MetricsServer::~MetricsServer() {
  state_->server.stop();
  state_->thread.join();
}

const std::string& MetricsServer::address() const noexcept { return state_->address; }

}  // namespace penstock::report
