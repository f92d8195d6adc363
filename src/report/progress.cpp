#include "report/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "base/text.h"

namespace penstock::report {
namespace {

std::string rate(double rows) {
  if (rows >= 1e6) return fmt::format("{:.2f} M rows/s", rows / 1e6);
  if (rows >= 1e3) return fmt::format("{:.1f} k rows/s", rows / 1e3);
  return fmt::format("{:.0f} rows/s", rows);
}

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

ProgressStyle default_progress_style() {
  return isatty(STDERR_FILENO) != 0 ? ProgressStyle::terminal : ProgressStyle::line_by_line;
}

std::string progress_text(const Counters& counters, std::chrono::nanoseconds elapsed, double rows_per_second) {
  if (const auto goal = counters.skip_to.load(std::memory_order_relaxed))
    return fmt::format("going to where the load stopped: {} of {}",
                       format_bytes(static_cast<double>(counters.skipped.load(std::memory_order_relaxed))),
                       format_bytes(static_cast<double>(goal)));
  const auto total = counters.bytes_total.load(std::memory_order_relaxed);
  const auto written = counters.rows_written.load(std::memory_order_relaxed);
  // Reading runs ahead of writing by all that memory holds; what counts is the share of the read rows that is through.
  const auto rows_read = counters.rows_read.load(std::memory_order_relaxed);
  const auto rows_done = written + counters.rows_rejected.load(std::memory_order_relaxed) +
                         counters.rows_left_out.load(std::memory_order_relaxed);
  const double through = rows_read > rows_done ? static_cast<double>(rows_done) / static_cast<double>(rows_read) : 1.0;
  const double done = through * static_cast<double>(counters.bytes_read.load(std::memory_order_relaxed));
  std::string text = format_bytes(done);
  if (total > 0)
    text += fmt::format(" of {} ({:.0f} %)", format_bytes(static_cast<double>(total)),
                        100.0 * done / static_cast<double>(total));
  text += fmt::format("  {} rows written  {}", format_count(written), rate(rows_per_second));
  if (const auto rejected = counters.rows_rejected.load(std::memory_order_relaxed))
    text += fmt::format("  {} rejected", format_count(rejected));
  if (const auto retries = counters.retries.load(std::memory_order_relaxed))
    text += fmt::format("  {} retries", format_count(retries));
  const double left = static_cast<double>(total) - done;
  if (left >= 1 && done >= 1 && elapsed > std::chrono::seconds(1)) {
    const double seconds = std::chrono::duration<double>(elapsed).count() * left / done;
    text += "  ETA " + format_duration(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)));
  }
  return text;
}

Progress::Progress(const Counters& counters, ProgressStyle style)
    : counters_(counters), style_(style), start_(std::chrono::steady_clock::now()) {
  if (style_ != ProgressStyle::none) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Progress::run(const std::stop_token& stop) {
  const auto period =
      style_ == ProgressStyle::terminal ? std::chrono::milliseconds(200) : std::chrono::milliseconds(5000);
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  std::uint64_t last_rows = 0;
  double recent = 0;
  auto last = start_;
  bool drawn = false;
  for (;;) {
    wake.wait_for(lock, stop, period, [] { return false; });
    if (stop.stop_requested()) break;
    const auto now = std::chrono::steady_clock::now();
    const auto rows = counters_.rows_written.load(std::memory_order_relaxed);
    const double current = static_cast<double>(rows - last_rows) / std::chrono::duration<double>(now - last).count();
    recent = drawn ? 0.7 * recent + 0.3 * current : current;
    last_rows = rows;
    last = now;
    const std::string text = progress_text(counters_, now - start_, recent);
    if (style_ == ProgressStyle::terminal) {
      const auto width = static_cast<std::size_t>(terminal_width() - 1);
      fmt::print(stderr, "\r\x1b[K{}", text.substr(0, width));
      std::fflush(stderr);
    } else {
      fmt::print(stderr, "{}\n", text);
    }
    drawn = true;
  }
  if (drawn && style_ == ProgressStyle::terminal) {
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
  }
}

}  // namespace penstock::report
