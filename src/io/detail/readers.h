#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "io/detail/raw_file.h"
#include "io/reader.h"

namespace penstock::io::detail {

/// A mapped plain file. `file` is regular and not empty. Throws Error(Errc::io) when it cannot be mapped.
std::unique_ptr<Reader> make_mapped_reader(std::shared_ptr<RawFile> file, const ReadOptions& options);
/// Anything else.
std::unique_ptr<Reader> make_stream_reader(std::shared_ptr<RawFile> file, const ReadOptions& options);

/// Bytes of a UTF-8 byte order mark at the start (0 or 3). Throws Error(Errc::io) for UTF-16 and UTF-32.
std::size_t skip_byte_order_mark(std::string_view first, const std::string& name);

}  // namespace penstock::io::detail
