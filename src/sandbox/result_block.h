#pragma once

#include <cstddef>
#include <string>

#include "sandbox/engine.h"

namespace penstock::sandbox {

/// Most rows of a block, as the real server cuts results.
inline constexpr std::size_t kBlockRows = 4096;

/// Rows [first, first + count) as a raw result block.
std::string result_block(const Answer& answer, std::size_t first, std::size_t count);

}  // namespace penstock::sandbox
