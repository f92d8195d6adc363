#pragma once

#include <array>
#include <string_view>

namespace penstock {

using Md5 = std::array<unsigned char, 16>;

/// MD5 of the bytes (RFC 1321). For names only, not for security. No allocation, no lock: a library's look-up of the
/// algorithm costs more than the digest of a short text.
Md5 md5(std::string_view bytes) noexcept;

}  // namespace penstock
