#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "report/counters.h"
#include "report/histogram.h"

namespace penstock::report {

/// What the metrics show beyond the counters: figures of one moment.
struct Gauges {
  struct Source {
    std::string name;
    std::uint64_t lag_bytes = 0;  ///< in the file, not read yet
  };
  std::vector<Source> sources;
  std::uint64_t memory_bytes = 0;  ///< of rows and requests under way
  std::uint64_t memory_limit = 0;
  double checkpoint_age_seconds = 0;  ///< since what is settled was written down last
  bool healthy = true;
  std::string trouble;  ///< why not healthy, one line; empty when it is
};

/// The counters and gauges in the text format of Prometheus. Names begin with penstock_ and are listed in docs/tail.md.
std::string metrics_text(const Counters& counters, const Histogram& latencies, const Gauges& gauges);

/// Serves GET /metrics for Prometheus and GET /healthz (200 "ok", or 503 with the trouble) over HTTP until destroyed,
/// on threads of its own.
class MetricsServer {
 public:
  /// What is asked for at each request; called from the server's threads.
  using Look = std::function<Gauges()>;
  /// `listen`: "PORT" or "localhost:PORT" (this machine only), ":PORT" (all addresses), "HOST:PORT", "[IPV6]:PORT";
  /// port 0: any free one. Counters and latencies outlive the server. Throws Error(Errc::config) when it cannot listen
  /// there.
  MetricsServer(const std::string& listen, const Counters& counters, const Histogram& latencies, Look look);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;
  /// "127.0.0.1:9273".
  [[nodiscard]] const std::string& address() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace penstock::report
