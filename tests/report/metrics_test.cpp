#include "report/metrics.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <string>

#include "base/error.h"

namespace penstock::report {
namespace {

TEST(Metrics, ShowCountersLatencyAndLagInThePrometheusFormat) {
  Counters counters;
  counters.rows_read = 100;
  counters.rows_written = 90;
  counters.rows_rejected = 4;
  Histogram latencies;
  latencies.add(std::chrono::milliseconds(10));
  latencies.add(std::chrono::milliseconds(30));
  Gauges gauges;
  gauges.sources = {{"/var/log/a \"b\".log", 42}, {"c.log", 0}};
  const auto text = metrics_text(counters, latencies, gauges);
  for (const auto* line :
       {"# TYPE penstock_rows_read_total counter\npenstock_rows_read_total 100\n", "penstock_rows_rejected_total 4\n",
        "penstock_rows_under_way 6\n", "penstock_up 1\n", "penstock_request_seconds_count 2\n", "penstock_sources 2\n",
        "penstock_source_lag_bytes{source=\"/var/log/a \\\"b\\\".log\"} 42\n",
        "penstock_source_lag_bytes{source=\"c.log\"} 0\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
}

TEST(Metrics, ServesMetricsAndHealthUntilDestroyed) {
  Counters counters;
  counters.rows_written = 7;
  const Histogram latencies;
  std::atomic<bool> healthy{true};
  int port = 0;
  {
    const MetricsServer server("0", counters, latencies, [&] {
      Gauges gauges;
      gauges.healthy = healthy;
      if (!healthy) gauges.trouble = "the target is away";
      return gauges;
    });
    const auto& address = server.address();
    ASSERT_TRUE(address.starts_with("127.0.0.1:")) << address;
    port = std::stoi(address.substr(address.rfind(':') + 1));
    httplib::Client client("127.0.0.1", port);
    auto answer = client.Get("/metrics");
    ASSERT_TRUE(answer);
    EXPECT_NE(answer->body.find("penstock_rows_written_total 7\n"), std::string::npos);
    answer = client.Get("/healthz");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    healthy = false;
    answer = client.Get("/healthz");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 503);
    EXPECT_EQ(answer->body, "the target is away\n");
    answer = client.Get("/else");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 404);
    // The port is taken: said so, not shared.
    try {
      const MetricsServer second(address, counters, latencies, [] { return Gauges(); });
      FAIL() << "listens twice on " << address;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config);
      EXPECT_NE(std::string(error.what()).find(address), std::string::npos) << error.what();
    }
  }
  EXPECT_FALSE(httplib::Client("127.0.0.1", port).Get("/healthz"));
}

TEST(Metrics, RefuseAddressesThatAreNone) {
  const Counters counters;
  const Histogram latencies;
  for (const auto* listen : {"", ":", "http", "1.2.3.4", "localhost:", "localhost:99999", "127.0.0.1:12x"}) {
    try {
      const MetricsServer server(listen, counters, latencies, [] { return Gauges(); });
      FAIL() << listen;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::config) << listen;
    }
  }
}

}  // namespace
}  // namespace penstock::report
