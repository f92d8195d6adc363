#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"

namespace penstock::wire {
enum class ErrorClass : std::uint8_t;
}

/// What the client library throws: penstock::Error with the place and the server's own words. The classes are those of
/// TDengine's other client libraries. No exception of another library leaves the client.
namespace penstock::client {

/// Where something went wrong.
struct Place {
  std::string endpoint;          ///< "host:port"
  std::string action;            ///< "conn", "query", "stmt2_bind" …
  std::uint64_t request_id = 0;  ///< 0: none
};

class ClientError : public Error {
 public:
  /// @param server_code  low 16 bits of the server's code; 0 when this side found the error
  /// @param message      the server's text, or ""
  ClientError(Errc code, const std::string& what, Place place, std::int32_t server_code = 0, std::string message = {});
  /// The server's text as it came; "" when this side found the error.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const std::string& endpoint() const noexcept { return place_.endpoint; }
  [[nodiscard]] const std::string& action() const noexcept { return place_.action; }
  [[nodiscard]] std::uint64_t request_id() const noexcept { return place_.request_id; }
  [[nodiscard]] wire::ErrorClass error_class() const noexcept { return class_; }
  /// The same request may succeed later or on a new connection. (The outcome of a write without answer is unknown.)
  [[nodiscard]] bool transient() const noexcept;
  /// How long the server (or a gateway in front of it) asked to be left alone: Retry-After of HTTP.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept { return retry_after_; }
  void set_retry_after(std::optional<std::chrono::milliseconds> time) noexcept { retry_after_ = time; }

 private:
  Place place_;
  std::string message_;
  wire::ErrorClass class_;
  std::optional<std::chrono::milliseconds> retry_after_;
};

/// The library was used in a way that cannot work: wrong call order, a request that the server would die of.
class InterfaceError : public ClientError {
  using ClientError::ClientError;
};
/// No connection, or it was lost, or the login was refused.
class ConnectionError : public ClientError {
  using ClientError::ClientError;
};
/// The server refused a request.
class DatabaseError : public ClientError {
  using ClientError::ClientError;
};
/// It refused for a reason of its own that may pass.
class OperationalError : public DatabaseError {
  using DatabaseError::DatabaseError;
};
/// It refused the SQL or the names in it.
class ProgrammingError : public DatabaseError {
  using DatabaseError::DatabaseError;
};
/// A prepared statement.
class StatementError : public DatabaseError {
  using DatabaseError::DatabaseError;
};
/// Reading a result.
class ResultError : public DatabaseError {
  using DatabaseError::DatabaseError;
};
/// A schemaless insert.
class SchemalessError : public DatabaseError {
  using DatabaseError::DatabaseError;
};
/// A subscription.
class TmqError : public DatabaseError {
  using DatabaseError::DatabaseError;
};

/// Throws the class that fits the server's answer `server_code` (not 0) to `place.action`.
[[noreturn]] void throw_server_error(std::int32_t server_code, const std::string& message, const Place& place);

}  // namespace penstock::client
