#pragma once

#include <string>
#include <string_view>

namespace penstock::client::detail {

/// Percent-encodes all but the unreserved characters of a URL (RFC 3986, 2.3).
std::string url_encoded(std::string_view text);

}  // namespace penstock::client::detail
