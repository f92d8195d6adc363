#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>

#include "standin/handle.h"

namespace penstock::standin {

/// Why a call of the C interface is refused: TDengine's code, all 32 bits, and text.
struct Failure {
  std::int32_t code = 0;
  std::string text;
};

/// Low 16 bits to the code of the C interface.
constexpr std::int32_t full_code(std::int32_t code) noexcept {
  return code > 0 && code <= 0xFFFF ? static_cast<std::int32_t>(0x80000000U | static_cast<std::uint32_t>(code)) : code;
}

class FailureError : public std::exception {
 public:
  explicit FailureError(Failure failure) : failure_(std::move(failure)) {}
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  [[nodiscard]] const char* what() const noexcept override { return failure_.text.c_str(); }

 private:
  Failure failure_;
};

[[noreturn]] void fail(std::int32_t code, std::string text);
/// 0x0118.
[[noreturn]] void fail_parameters();

/// What taos_errno(NULL) and taos_errstr(NULL) tell: of this thread, of the last call that has no result to say it.
Failure& last_failure() noexcept;

/// The exception being handled, as a failure. Call in a catch block.
Failure current_failure() noexcept;

/// What tests asked for: counts the call, waits, and throws FailureError when it is to fail.
void before_call(const char* function);
void after_call(const char* function);
/// Forgets failures and delays.
void reset_call_controls();

/// Runs one call of the C interface; no exception leaves it. `refused(failure)` makes the answer of a failed one.
template <class Refused, class Body>
auto call(const char* function, Refused refused, Body body) noexcept -> decltype(body()) {
  try {
    before_call(function);
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      after_call(function);
    } else {
      auto answer = body();
      try {
        after_call(function);
      } catch (...) {
        // An answer that is lost is nobody's to free.
        if constexpr (std::is_convertible_v<decltype(answer), const void*>) drop_if_out(answer);
        throw;
      }
      return answer;
    }
  } catch (...) {
    return refused(current_failure());
  }
}

/// A call that answers 0 or a code.
template <class Body>
int code_call(const char* function, Body body) noexcept {
  return call(
      function, [](const Failure& failure) { return static_cast<int>(failure.code); },
      [&]() -> int {
        body();
        return 0;
      });
}

/// A call that answers a pointer; NULL leaves the reason with the thread.
template <class Body>
auto pointer_call(const char* function, Body body) noexcept -> decltype(body()) {
  using Pointer = decltype(body());
  return call(
      function,
      [](Failure failure) -> Pointer {
        last_failure() = std::move(failure);
        return nullptr;
      },
      [&]() -> Pointer {
        auto answer = body();
        last_failure() = {};
        return answer;
      });
}

/// A call that asks something of a handle and cannot say what went wrong but by `otherwise`.
template <class Value, class Body>
Value value_call(const char* function, Value otherwise, Body body) noexcept {
  return call(
      function,
      [&](Failure failure) {
        last_failure() = std::move(failure);
        return otherwise;
      },
      [&]() -> Value { return body(); });
}

}  // namespace penstock::standin
