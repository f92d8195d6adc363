#pragma once

#include <string>
#include <variant>

#include "sandbox/engine.h"
#include "sandbox/http_auth.h"
#include "sandbox/http_message.h"

namespace penstock::sandbox {

/// What the endpoints without a WebSocket work on. Any thread.
struct HttpService {
  Engine& engine;
  Gateway gateway;
};

/// Answers everything but WebSocket upgrades; docs/sandbox.md lists the endpoints; 404 for the rest.
/// Any thread. Source: taosAdapter 3.3.7.5 as recorded.
HttpResponse handle_http(const HttpService& service, const HttpRequest& request);

/// 404 with the router's text.
HttpResponse not_found();
HttpResponse json_response(int status, std::string body);
/// Who asks, for the endpoints below `/rest`.
std::variant<Credentials, HttpRefusal> rest_credentials(const HttpService& service, const HttpRequest& request);

}  // namespace penstock::sandbox
