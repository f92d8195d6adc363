#pragma once

#include <cstddef>
#include <string>

#include "sandbox/engine.h"

namespace penstock::sandbox {

/// Most rows of a block, as the real server cuts results.
inline constexpr std::size_t kBlockRows = 4096;

/// Rows [first, first + count) as a raw result block; `version` 2 in subscriptions.
std::string result_block(const Answer& answer, std::size_t first, std::size_t count, std::int32_t version = 1);

}  // namespace penstock::sandbox
