#pragma once

#include "options.h"
#include "text_buffer.h"
#include "truth.h"

namespace penstock::generator {

/// Writes what `options` (see complete()) ask for into `sink` and returns what it wrote, exactly.
/// Same options, same bytes. Memory: about 60 bytes a host (cpu-only), 130 (iot).
/// @throws what `sink` throws
Truth generate(const Options& options, Sink& sink);

}  // namespace penstock::generator
