#pragma once

namespace penstock::cli {

inline constexpr const char* kVersion = PENSTOCK_VERSION;

}  // namespace penstock::cli
