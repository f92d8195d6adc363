#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "sandbox/http_message.h"
#include "sandbox/server_dialogue.h"

namespace penstock::sandbox {

/// The token of `/rest/login`: user and password in fields of 24 bytes (a longer password: up to the next multiple of
/// 8), DES-ECB with the adapter's fixed key, base64. nullopt when one of them does not fit.
std::optional<std::string> make_taosd_token(std::string_view user, std::string_view password);
std::optional<Credentials> read_taosd_token(std::string_view token);

/// The gateway of a cloud service in front of the endpoints: requests with its `?token=` need no other credentials.
struct Gateway {
  std::string token;       ///< empty: there is no gateway, `?token=` means nothing
  Credentials stands_for;  ///< whom the token logs in

  enum class Verdict { no_token, right, wrong };
  [[nodiscard]] Verdict check(const HttpRequest& request) const;
};

/// A request's refusal before it was carried out.
struct HttpRefusal {
  int status = 400;
  std::int32_t code = 0xFFFF;
  std::string text;
};

/// What the `Authorization` header says; the refusals are those of `/rest/sql`.
enum class AcceptedTokens { basic, basic_and_taosd };
std::variant<Credentials, HttpRefusal> read_authorization(const HttpRequest& request, AcceptedTokens accepted);

}  // namespace penstock::sandbox
