#pragma once

#include "sandbox/engine.h"
#include "sandbox/http_message.h"
#include "sandbox/server_dialogue.h"

namespace penstock::sandbox {

/// Answers everything but WebSocket upgrades: `/rest/sql[/{db}]`, `/rest/login/…`, `/-/ping`; 404 for the rest.
/// Any thread. Source: taosAdapter 3.3.7.5 as recorded.
HttpResponse handle_http(Engine& engine, const HttpRequest& request);

/// 404 with the router's text.
HttpResponse not_found();

/// The token of `/rest/login`: user and password in fields of 24 bytes (a longer password: up to the next multiple of
/// 8), DES-ECB with the adapter's fixed key, base64. nullopt when one of them does not fit.
std::optional<std::string> make_taosd_token(std::string_view user, std::string_view password);
std::optional<Credentials> read_taosd_token(std::string_view token);

}  // namespace penstock::sandbox
