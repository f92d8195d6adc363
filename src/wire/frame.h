#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "wire/bytes.h"

/// Client frames of a WebSocket (RFC 6455, section 5.2): for measuring what sending costs without a socket.
namespace penstock::wire {

/// Appends one unfragmented, masked binary frame that carries `parts` one after the other. The mask of a real
/// connection comes from a cryptographic source; here the caller gives it.
void append_masked_frame(Buffer& out, std::span<const std::string_view> parts, std::uint32_t mask);

}  // namespace penstock::wire
