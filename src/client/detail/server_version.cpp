#include "client/detail/server_version.h"

#include <charconv>

namespace penstock::client::detail {

bool version_at_least(std::string_view version, const Version& wanted) noexcept {
  for (const unsigned part : wanted) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), number);
    if (error != std::errc()) return part == 0;
    if (number != part) return number > part;
    version.remove_prefix(static_cast<std::size_t>(end - version.data()));
    if (!version.empty()) version.remove_prefix(1);
  }
  return true;
}

}  // namespace penstock::client::detail
