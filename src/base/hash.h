#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock {

/// 64-bit XXH3 of the bytes. A hash alone never decides: compare the bytes too.
std::uint64_t hash_bytes(std::string_view bytes) noexcept;

/// 32 lower-case hexadecimal digits of MD5. For names only, not for security.
std::string md5_hex(std::string_view bytes);

}  // namespace penstock
