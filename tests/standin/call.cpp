#include "standin/call.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <string_view>
#include <thread>

#include "sandbox/engine.h"
#include "standin/controls.h"
#include "wire/errors.h"

namespace penstock::standin {
namespace {

struct Injected {
  std::int32_t code = 0;
  std::int32_t times = 0;
};

struct Controls {
  std::mutex mutex;
  std::map<std::string, Injected, std::less<>> failures;  ///< by function; "name:after"
  std::map<std::string, std::int32_t, std::less<>> delays;
  std::map<std::string, std::int64_t, std::less<>> calls;
};

std::int64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  return static_cast<std::int64_t>(value);
}

/// "name:a:b,name:a" to visit(name, a, b); "name:after:a:b" keeps its suffix.
template <class Visit>
void read_list(const char* text, Visit visit) {
  if (text == nullptr) return;
  std::string_view rest = text;
  while (!rest.empty()) {
    auto item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const auto after = item.find(":after:");
    const auto end = after == std::string_view::npos ? item.find(':') : after + 6;
    if (end == std::string_view::npos) continue;
    const auto name = item.substr(0, end);
    item.remove_prefix(end + 1);
    const auto second = item.find(':');
    visit(std::string(name), number(item.substr(0, second)),
          second == std::string_view::npos ? 1 : number(item.substr(second + 1)));
  }
}

/// Never destroyed: threads of the library may outlive main().
Controls& controls() {
  static Controls& instance = *[] {
    auto* made = new Controls;
    read_list(std::getenv("PENSTOCK_STANDIN_FAIL"), [&](std::string name, std::int64_t code, std::int64_t times) {
      made->failures[std::move(name)] = {full_code(static_cast<std::int32_t>(static_cast<std::uint32_t>(code))),
                                         static_cast<std::int32_t>(times)};
    });
    read_list(std::getenv("PENSTOCK_STANDIN_DELAY"), [&](std::string name, std::int64_t delay, std::int64_t) {
      made->delays[std::move(name)] = static_cast<std::int32_t>(delay);
    });
    return made;
  }();
  return instance;
}

void inject(Controls& all, std::string_view name) {
  auto found = all.failures.find(name);
  if (found == all.failures.end()) {
    found = all.failures.find(name.ends_with(":after") ? "*:after" : "*");
    if (found == all.failures.end()) return;
  }
  if (found->second.times <= 0) return;
  --found->second.times;
  const auto code = found->second.code;
  fail(code,
       code == full_code(0x000B) ? "Unable to establish connection" : std::string(wire::error_text(code & 0xFFFF, "")));
}

}  // namespace

void fail(std::int32_t code, std::string text) { throw FailureError({full_code(code), std::move(text)}); }
void fail_parameters() { fail(0x0118, "Invalid parameters"); }

Failure& last_failure() noexcept {
  thread_local Failure failure;
  return failure;
}

Failure current_failure() noexcept {
  try {
    throw;
  } catch (const FailureError& error) {
    return error.failure();
  } catch (const sandbox::RefusalError& error) {
    return {full_code(error.refusal().code), error.refusal().message};
  } catch (const std::bad_alloc&) {
    return {full_code(0x0102), "Out of Memory"};
  } catch (const std::exception& error) {
    return {full_code(0x0110), error.what()};
  } catch (...) {
    return {full_code(0x0110), "Unexpected generic error"};
  }
}

void before_call(const char* function) {
  auto& all = controls();
  std::unique_lock lock(all.mutex);
  if (const auto known = all.calls.find(std::string_view(function)); known != all.calls.end()) {
    ++known->second;
  } else {
    all.calls.emplace(function, 1);
  }
  if (const auto delay = all.delays.find(std::string_view(function)); delay != all.delays.end() && delay->second > 0) {
    const std::chrono::milliseconds pause(delay->second);
    lock.unlock();
    std::this_thread::sleep_for(pause);
    lock.lock();
  }
  if (!all.failures.empty()) inject(all, function);
}

void after_call(const char* function) {
  auto& all = controls();
  const std::lock_guard lock(all.mutex);
  if (!all.failures.empty()) inject(all, std::string(function) + ":after");
}

void reset_call_controls() {
  auto& all = controls();
  const std::lock_guard lock(all.mutex);
  all.failures.clear();
  all.delays.clear();
}

}  // namespace penstock::standin

using penstock::standin::controls;

extern "C" {

void penstock_standin_fail_next(const char* function, std::int32_t code, std::int32_t times) {
  auto& all = controls();
  const std::lock_guard lock(all.mutex);
  if (times <= 0) {
    all.failures.erase(function);
  } else {
    all.failures[function] = {penstock::standin::full_code(code), times};
  }
}

void penstock_standin_delay(const char* function, std::int32_t milliseconds) {
  auto& all = controls();
  const std::lock_guard lock(all.mutex);
  all.delays[function] = milliseconds;
}

std::int64_t penstock_standin_calls(const char* function) {
  auto& all = controls();
  const std::lock_guard lock(all.mutex);
  const auto found = all.calls.find(std::string_view(function));
  return found == all.calls.end() ? 0 : found->second;
}
}
