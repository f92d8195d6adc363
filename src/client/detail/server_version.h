#pragma once

#include <array>
#include <string_view>

namespace penstock::client::detail {

using Version = std::array<unsigned, 4>;

/// Since then the adapter has binary query, binary fetch and, on `/rest/tmq`, fetch_raw_data.
inline constexpr Version kBinaryQuerySince{3, 3, 2, 0};

/// Whether a version such as "3.3.7.5" or "3.3.2.0.alpha" is at least `wanted`. Parts that are absent are 0.
bool version_at_least(std::string_view version, const Version& wanted) noexcept;

}  // namespace penstock::client::detail
