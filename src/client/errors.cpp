#include "client/errors.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "wire/errors.h"

namespace penstock::client {
namespace {

using wire::ErrorClass;

Errc errc_of(std::int32_t code) noexcept {
  if (code == 0x0351 || code == 0x0357) return Errc::auth;
  if (code == 0x0388 || code == 0x0383) return Errc::config;
  return Errc::server;
}

ErrorClass class_of(Errc code, std::int32_t server_code, std::string_view message) noexcept {
  if (server_code != 0) return wire::classify(server_code, message);
  if (code == Errc::unreachable || code == Errc::timeout) return ErrorClass::reconnect;
  if (code == Errc::auth || code == Errc::config) return ErrorClass::fatal;
  return ErrorClass::usage;
}

}  // namespace

ClientError::ClientError(Errc code, const std::string& what, Place place, std::int32_t server_code, std::string message)
    : Error(code, what, server_code),
      place_(std::move(place)),
      message_(std::move(message)),
      class_(class_of(code, server_code, message_)) {}

bool ClientError::transient() const noexcept { return wire::is_transient(class_); }

void throw_server_error(std::int32_t server_code, const std::string& message, const Place& place) {
  const Errc errc = errc_of(server_code);
  const auto text = printable(wire::error_text(server_code, message), 1000);
  const auto what = fmt::format("TDengine at {} refused '{}': {} (0x{:04X})", place.endpoint, place.action, text,
                                server_code & 0xFFFF);
  const auto raise = [&]<class E>(std::in_place_type_t<E>) { throw E(errc, what, place, server_code, message); };
  if (place.action == "conn") raise(std::in_place_type<ConnectionError>);
  const auto kind = wire::classify(server_code, message);
  if (place.action == "insert") raise(std::in_place_type<SchemalessError>);
  if (place.action.starts_with("stmt")) raise(std::in_place_type<StatementError>);
  if (place.action.starts_with("fetch")) raise(std::in_place_type<ResultError>);
  if (wire::is_transient(kind)) raise(std::in_place_type<OperationalError>);
  if (kind == ErrorClass::usage || kind == ErrorClass::stale_schema) raise(std::in_place_type<ProgrammingError>);
  raise(std::in_place_type<DatabaseError>);
  std::abort();  // not reached
}

}  // namespace penstock::client
