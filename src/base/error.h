#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace penstock {

/// Why an operation failed. Values are stable: they decide the exit status and stand in reports.
enum class Errc : std::uint16_t {
  config = 1,       ///< wrong flag, mapping or configuration; the caller must change something
  io = 2,           ///< a file or a stream of this machine
  protocol = 3,     ///< the peer said something that the protocol does not allow
  auth = 4,         ///< credentials refused
  timeout = 5,      ///< no answer in time
  server = 6,       ///< the server answered with an error; server_code() tells which
  unsupported = 7,  ///< this transport or server cannot do it
  stopped = 8,      ///< a stop was asked for
  unreachable = 9,  ///< no connection could be made, or it was lost
  limit = 10,       ///< a limit that the user set was passed (rejects, child tables, record length)
};

/// Thrown at boundaries only (open, connect, prepare, run); never per row.
/// what() is one sentence an administrator can act on: what failed, on what, why, what to do.
class Error : public std::runtime_error {
 public:
  Error(Errc code, const std::string& what, std::int32_t server_code = 0)
      : std::runtime_error(what), code_(code), server_code_(server_code) {}
  [[nodiscard]] Errc code() const noexcept { return code_; }
  /// The server's code (low 16 bits, as the WebSocket interface shows it), or 0.
  [[nodiscard]] std::int32_t server_code() const noexcept { return server_code_; }

 private:
  Errc code_;
  std::int32_t server_code_;
};

/// Value or error, once per frame or file, never per row. A subset of std::expected, which GCC 12 lacks.
template <class T, class E = Error>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: converts like std::expected
  Result(E error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  [[nodiscard]] T& operator*() { return std::get<0>(state_); }
  [[nodiscard]] const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  [[nodiscard]] const E& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, E> state_;
};

/// "permission denied" for EACCES and so on.
std::string errno_text(int error_number);

}  // namespace penstock
