#pragma once

#include <optional>
#include <string_view>

#include "sandbox/server_rest.h"

namespace penstock::sandbox {

/// POST `/influxdb/v1/write` and `/opentsdb/v1/put/{json,telnet}/{db}`; nullopt for other paths.
/// Source: taosAdapter 3.3.7.5 as recorded.
std::optional<HttpResponse> handle_write(const HttpService& service, const HttpRequest& request);

/// Unit of timestamps as schemaless calls number it, 1 hours … 6 ns, by the words that the adapter knows; any other is
/// "not configured" (0).
int schemaless_precision(std::string_view word) noexcept;

}  // namespace penstock::sandbox
