#pragma once

#include <cstdint>
#include <stop_token>

#include "io/detail/raw_file.h"
#include "io/reader.h"

namespace penstock::io::detail {

/// A place in a compressed file where decompression can start: `at` in the file, `offset` in the decompressed data.
struct Jump {
  std::uint64_t at = 0;
  std::uint64_t offset = 0;
};

/// The last such place before `target` (decompressed bytes, exclusive) that can be found without decompressing: by the
/// seek table of a seekable zstd file, by the sizes that frames of zstd and lz4 tell in their heads, or by the block
/// sizes of bgzip. {0, 0} where the file tells nothing, is no regular file, or when a stop is asked for. What the file
/// says of itself is compared as far as that costs no decompression; it may still be wrong. Never throws for the
/// content of the file.
Jump find_jump(const RawFile& file, Compression compression, std::uint64_t target, const std::stop_token& stop);

}  // namespace penstock::io::detail
