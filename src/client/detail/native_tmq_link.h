#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "client/detail/consumer_backend.h"
#include "client/detail/native_handles.h"
#include "client/detail/native_worker.h"

namespace penstock::client::detail {

/// A call of the library under way on a thread of its own.
template <class Out>
struct NativeCall {
  std::mutex mutex;
  std::condition_variable_any changed;
  bool done = false;
  NativeOutcome outcome;
  Out out{};
};

/// A consumer of TDengine's library with the messages that were not freed yet, which go before it. Only the thread of
/// its link touches it.
struct NativeTmq {
  NativeTmq(const NativeLibrary& owner, native::Tmq* handle) : library(owner), tmq(handle) {}
  NativeTmq(const NativeTmq&) = delete;
  NativeTmq& operator=(const NativeTmq&) = delete;
  ~NativeTmq();
  /// Frees the messages and leaves the group; the library's code. Once.
  std::int32_t close();

  const NativeLibrary& library;
  native::Tmq* tmq;
  std::set<native::Res*> messages;
};

/// One consumer of the library and the thread that calls it. Messages know it weakly.
class NativeTmqLink : public std::enable_shared_from_this<NativeTmqLink> {
 public:
  NativeTmqLink(const Options& options, const NativeLibrary& library) : options_(options), library_(library) {}
  ~NativeTmqLink();

  /// Logs in at one endpoint with these properties. Throws ConnectionError, TmqError.
  void open(const Endpoint& endpoint, const ConsumerPlan& plan, std::chrono::milliseconds patience);
  [[nodiscard]] bool is_lost() const noexcept { return lost_; }
  void lose() noexcept { lost_ = true; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] const NativeLibrary& library() const noexcept { return library_; }
  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }

  template <class Out>
  using Work = std::function<NativeOutcome(NativeTmq&, Out&)>;
  template <class Out>
  std::shared_ptr<NativeCall<Out>> start(Work<Out> work);
  /// Whether it is done by then, or by the end of the grace after a stop.
  template <class Out>
  bool wait(NativeCall<Out>& call, std::chrono::steady_clock::time_point deadline) const;
  /// start(), wait() for the request time-out; throws what fits a refusal.
  template <class Out = int>
  Out call(std::string_view action, Work<Out> work);
  /// As call(), but nobody waits for it.
  void post(std::function<void(NativeTmq&)> work) noexcept;
  /// Throws what fits an outcome other than 0.
  void require(const NativeOutcome& outcome, std::string_view action);
  [[noreturn]] void no_answer(std::string_view action, std::chrono::milliseconds patience);

 private:
  const Options options_;
  const NativeLibrary& library_;
  std::string endpoint_;
  std::shared_ptr<NativeTmq> tmq_;
  NativeWorker worker_;
  bool lost_ = false;
};

// --- implementation ---

template <class Out>
std::shared_ptr<NativeCall<Out>> NativeTmqLink::start(Work<Out> work) {
  auto call = std::make_shared<NativeCall<Out>>();
  worker_.post([call, tmq = tmq_, work = std::move(work)]() mutable {
    NativeOutcome outcome;
    Out out{};
    try {
      outcome = work(*tmq, out);
    } catch (const std::exception& error) {
      outcome = {0xFFFF, error.what()};
    }
    work = nullptr;
    {
      const std::scoped_lock lock(call->mutex);
      call->outcome = std::move(outcome);
      call->out = std::move(out);
      call->done = true;
    }
    call->changed.notify_all();
  });
  return call;
}

template <class Out>
bool NativeTmqLink::wait(NativeCall<Out>& call, std::chrono::steady_clock::time_point deadline) const {
  std::unique_lock lock(call.mutex);
  const auto done = [&] { return call.done; };
  if (call.changed.wait_until(lock, options_.stop, deadline, done)) return true;
  if (!options_.stop.stop_requested()) return false;
  const auto grace = std::chrono::steady_clock::now() + options_.stop_grace;
  return call.changed.wait_until(lock, std::min(deadline, grace), done);
}

template <class Out>
Out NativeTmqLink::call(std::string_view action, Work<Out> work) {
  const auto begun = start<Out>(std::move(work));
  if (!wait(*begun, std::chrono::steady_clock::now() + options_.request_timeout))
    no_answer(action, options_.request_timeout);
  require(begun->outcome, action);
  return std::move(begun->out);
}

}  // namespace penstock::client::detail
