#pragma once

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>

#include "report/counters.h"

namespace penstock::report {

/// How progress is shown on standard error.
enum class ProgressStyle { none, line_by_line, terminal };

/// Shows the counters from a thread of its own until destroyed: on a terminal one line that is drawn over every 200 ms,
/// elsewhere a line every five seconds.
class Progress {
 public:
  Progress(const Counters& counters, ProgressStyle style);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  void run(const std::stop_token& stop);
  const Counters& counters_;
  ProgressStyle style_;
  std::chrono::steady_clock::time_point start_;
  std::jthread thread_;
};

/// terminal when standard error is one, else line_by_line.
ProgressStyle default_progress_style();

/// "12.3 MB of 45 MB (27 %)  1.2 M rows/s  3,456,789 rows  2 rejected  ETA 12.3 s".
/// `rows_per_second` is the recent rate; `elapsed` gives the ETA.
std::string progress_text(const Counters& counters, std::chrono::nanoseconds elapsed, double rows_per_second);

}  // namespace penstock::report
