#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The schemaless request `insert` of the WebSocket: JSON with the lines as one string.
namespace penstock::wire {

enum class LineProtocol : std::uint8_t { line = 1, telnet = 2, json = 3 };

/// What the request says besides the lines.
struct SchemalessHead {
  std::uint64_t request_id = 0;
  LineProtocol protocol = LineProtocol::line;
  /// "h", "m", "s", "ms", "u", "ns", or "" (not given). The server takes anything else, also "us", for not given.
  std::string_view precision;
  int ttl_days = 0;
  std::string_view table_name_key;
};

/// Appends `text` as the inside of a JSON string: quotes, backslashes and bytes below 0x20 escaped. Several GB/s on
/// text that needs few escapes; grows `out` at most twice.
void append_json_escaped(std::string& out, std::string_view text);

/// Puts the request into `out` (its memory is used again). Returns the offset of the first byte of `text` that is not
/// UTF-8, and leaves `out` empty then: such a message would end the connection.
std::optional<std::size_t> encode_schemaless(std::string& out, const SchemalessHead& head, std::string_view text);

}  // namespace penstock::wire
