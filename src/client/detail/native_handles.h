#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "client/detail/native_abi.h"
#include "client/detail/native_library.h"

/// What TDengine's library gave out and wants back, each with a share of what must outlive it: whoever lets go last
/// frees it, results and statements before their connection. Freeing may block for a moment.
namespace penstock::client::detail {

struct NativeConnection {
  NativeConnection(const NativeLibrary& owner, native::Taos* handle) : library(owner), taos(handle) {}
  NativeConnection(const NativeConnection&) = delete;
  NativeConnection& operator=(const NativeConnection&) = delete;
  ~NativeConnection() { library.close(taos); }

  const NativeLibrary& library;
  native::Taos* const taos;
};

struct NativeStatementHandle {
  NativeStatementHandle(std::shared_ptr<NativeConnection> owner, native::Stmt2* handle)
      : connection(std::move(owner)), stmt(handle) {}
  NativeStatementHandle(const NativeStatementHandle&) = delete;
  NativeStatementHandle& operator=(const NativeStatementHandle&) = delete;
  ~NativeStatementHandle() { connection->library.stmt2_close(stmt); }

  const std::shared_ptr<NativeConnection> connection;
  native::Stmt2* const stmt;
  std::atomic<std::uint64_t> steps{0};  ///< binds and executions: a result is that of the last one
};

/// `statement` set: the result belongs to it and ends with its next step.
struct NativeResultHandle {
  NativeResultHandle(std::shared_ptr<NativeConnection> owner, native::Res* handle,
                     std::shared_ptr<NativeStatementHandle> of = nullptr)
      : connection(std::move(owner)),
        statement(std::move(of)),
        result(handle),
        step(statement ? statement->steps.load() : 0) {}
  NativeResultHandle(const NativeResultHandle&) = delete;
  NativeResultHandle& operator=(const NativeResultHandle&) = delete;
  ~NativeResultHandle() {
    if (!statement) connection->library.free_result(result);
  }

  const std::shared_ptr<NativeConnection> connection;
  const std::shared_ptr<NativeStatementHandle> statement;
  native::Res* const result;
  const std::uint64_t step;
};

/// How a call of the library ended. `code`: the low 16 bits, as everywhere in this room.
struct NativeOutcome {
  std::int32_t code = 0;
  std::string text;
};

inline std::int32_t low_code(std::int64_t code) noexcept {
  const auto low = static_cast<std::int32_t>(code & 0xFFFF);
  return low == 0 && code != 0 ? 0xFFFF : low;
}

inline NativeOutcome outcome_of(std::int64_t code, const char* text) {
  if (code == 0) return {};
  return {low_code(code), text == nullptr ? std::string() : std::string(text)};
}

/// Of the calling thread's last call; `fallback` when the library does not say why it failed.
inline NativeOutcome last_outcome(const NativeLibrary& library, std::int32_t fallback) {
  const int code = library.error_code(nullptr);
  if (code == 0) return {fallback, {}};
  return outcome_of(code, library.error_text(nullptr));
}

}  // namespace penstock::client::detail
