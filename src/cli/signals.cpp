#include "cli/signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <utility>

namespace penstock::cli {
namespace {

std::atomic<int> first_signal{0};
int wake_pipe[2] = {-1, -1};
bool takes_hangup = false;
std::jthread waiter;

// A handler may do next to nothing: it remembers the signal and wakes the thread that asks for the stop.
void on_signal(int number) {
  int before = 0;
  if (!first_signal.compare_exchange_strong(before, number)) {
    if (number == SIGHUP) return;
    if (before != SIGHUP) _exit(128 + number);
    first_signal = number;
    return;
  }
  const char byte = 1;
  [[maybe_unused]] const auto ignored = write(wake_pipe[1], &byte, 1);
}

void install(void (*handler)(int), bool hangup) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  if (hangup) sigaction(SIGHUP, &action, nullptr);
}

}  // namespace

SignalGuard::SignalGuard(std::stop_source stop, Hangup hangup) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  first_signal = 0;
  takes_hangup = hangup == Hangup::stops;
  if (pipe(wake_pipe) != 0) return;
  waiter = std::jthread([stop = std::move(stop)]() mutable {
    char byte = 0;
    while (read(wake_pipe[0], &byte, 1) < 0) {
    }
    if (byte == 1) stop.request_stop();
  });
  install(on_signal, takes_hangup);
}

SignalGuard::~SignalGuard() {
  // Between two runs of a service a SIGHUP has nothing to wake and must not end the process.
  install(SIG_DFL, false);
  if (takes_hangup) signal(SIGHUP, SIG_IGN);
  if (wake_pipe[1] < 0) return;
  const char byte = 0;
  [[maybe_unused]] const auto ignored = write(wake_pipe[1], &byte, 1);
  waiter.join();
  close(wake_pipe[0]);
  close(wake_pipe[1]);
  wake_pipe[0] = wake_pipe[1] = -1;
}

int SignalGuard::received() noexcept { return first_signal; }

}  // namespace penstock::cli
