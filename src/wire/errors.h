#pragma once

#include <cstdint>
#include <string_view>

/// What the codes of TDengine's answers mean for whoever sent the request.
namespace penstock::wire {

/// The adapter's own errors; only the text tells them apart.
inline constexpr std::int32_t kAdapterError = 0xFFFF;

/// What to do about an answer with a code other than 0.
enum class ErrorClass : std::uint8_t {
  none,          ///< code 0
  reconnect,     ///< transport between adapter and engine, or the session: a new connection, then again
  lost_state,    ///< the statement or result is unknown to this connection: make it anew, then again
  not_ready,     ///< leader change, vnode moved, object being made …: same connection, wait, then again
  pressure,      ///< memory, buffers, limiter: wait longer, ask for less at a time
  stale_schema,  ///< may be an old schema on this side: DESCRIBE and prepare anew first; the second time it is data
  already_done,  ///< a repeated request that was applied before: success for writes that overwrite
  data,          ///< the content of the request; halving it finds the guilty rows
  usage,         ///< the request as such (call order, SQL, limits of one statement): sending rows again cannot help
  fatal,         ///< user, rights, database, licence: nothing of this kind will get through
};

struct ErrorInfo {
  std::int32_t code;
  ErrorClass kind;
  std::string_view text;  ///< one line without the code
};

/// What is known about a code (low 16 bits; a full engine code is cut to them); nullptr for an unknown one.
const ErrorInfo* find_error(std::int32_t code) noexcept;

/// Unknown codes are data: halving shows whether single rows are to blame. `message` decides for kAdapterError.
ErrorClass classify(std::int32_t code, std::string_view message = {}) noexcept;

/// Sending the same request again, now or after a reconnect, may succeed.
constexpr bool is_transient(ErrorClass kind) noexcept {
  return kind == ErrorClass::reconnect || kind == ErrorClass::lost_state || kind == ErrorClass::not_ready ||
         kind == ErrorClass::pressure;
}

/// Asking for less at a time helps: memory and buffers, of the server or of its replication.
constexpr bool wants_less(ErrorClass kind, std::int32_t code) noexcept {
  return kind == ErrorClass::pressure || code == 0x0126 || code == 0x0916 || code == 0x0917 || code == 0x0918;
}

/// The server's text, or the table's where the server sent none ("" or "success").
std::string_view error_text(std::int32_t code, std::string_view message) noexcept;

}  // namespace penstock::wire
