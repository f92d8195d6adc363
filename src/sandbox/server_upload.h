#pragma once

#include "sandbox/server_rest.h"

namespace penstock::sandbox {

/// POST `/rest/upload?db=…&table=…`: a CSV file (multipart, part "data") into a table, columns in the table's order.
HttpResponse upload_csv(const HttpService& service, const HttpRequest& request);

}  // namespace penstock::sandbox
