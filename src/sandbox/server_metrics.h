#pragma once

#include "sandbox/http_message.h"

namespace penstock::sandbox {

/// GET `/metrics`: the metric names of taosAdapter 3.3.7.5 in Prometheus text. What can be said of this process is
/// said; the figures of a runtime that it lacks are 0.
HttpResponse metrics_response();

}  // namespace penstock::sandbox
