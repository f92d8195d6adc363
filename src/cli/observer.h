#pragma once

#include <functional>
#include <stop_token>

#include "base/rate_limiter.h"
#include "pipeline/rejects.h"
#include "pipeline/stages.h"
#include "report/counters.h"
#include "report/histogram.h"
#include "sink/writer.h"

namespace penstock::cli {

/// Keeps the books of a load while its lanes write. Any thread.
class LoadObserver : public sink::WriteObserver {
 public:
  LoadObserver(report::Counters& counters, report::Histogram& latencies, pipeline::Rejects& rejects,
               RateLimiter& row_rate, RateLimiter& byte_rate, std::stop_token stop)
      : counters_(counters),
        latencies_(latencies),
        rejects_(rejects),
        row_rate_(row_rate),
        byte_rate_(byte_rate),
        stop_(std::move(stop)) {}

  void rejected(const sink::ParsedChunk& chunk, const data::Row& row, std::int32_t code,
                std::string_view reason) override {
    counters_.rows_rejected.fetch_add(1, std::memory_order_relaxed);
    rejects_.put({chunk.chunk.source, pipeline::line_of(chunk, row.offset), chunk.chunk.offset + row.offset, 0, code,
                  true, reason, chunk.record(row), chunk.rows.head_of(row.offset)},
                 counters_.rows_read.load(std::memory_order_relaxed));
  }
  void acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t by_precision, std::uint64_t runs,
                    std::uint64_t bytes, std::chrono::nanoseconds latency) override {
    counters_.rows_written.fetch_add(rows, std::memory_order_relaxed);
    counters_.rows_merged.fetch_add(merged, std::memory_order_relaxed);
    counters_.rows_merged_by_precision.fetch_add(by_precision, std::memory_order_relaxed);
    counters_.runs.fetch_add(runs, std::memory_order_relaxed);
    counters_.requests.fetch_add(1, std::memory_order_relaxed);
    counters_.request_bytes.fetch_add(bytes, std::memory_order_relaxed);
    latencies_.add(latency);
  }
  void retried() override { counters_.retries.fetch_add(1, std::memory_order_relaxed); }
  void reconnected() override { counters_.reconnects.fetch_add(1, std::memory_order_relaxed); }
  void built(std::chrono::nanoseconds time) override { counters_.busy(report::Stage::build, time); }
  void waited(std::chrono::nanoseconds time) override { counters_.busy(report::Stage::server, time); }
  void before_send(std::uint64_t rows, std::uint64_t bytes) override {
    row_rate_.pass(static_cast<double>(rows), stop_);
    byte_rate_.pass(static_cast<double>(bytes), stop_);
  }

 private:
  report::Counters& counters_;
  report::Histogram& latencies_;
  pipeline::Rejects& rejects_;
  RateLimiter& row_rate_;
  RateLimiter& byte_rate_;
  std::stop_token stop_;
};

}  // namespace penstock::cli
