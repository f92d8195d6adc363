#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sandbox/engine.h"
#include "sandbox/stmt1_session.h"

/// What messages of first-generation statements bind: JSON values (actions set_tags and bind) and raw blocks (binary
/// actions 1 and 2). Any bytes are answered with RefusalError at worst. Source: adapter 3.3.7.5 as recorded; its texts
/// behind "stmt parse … json:" are its JSON library's, ours name the value.
namespace penstock::sandbox {

/// `json`: array of one value a tag; "" or "null": none. Fewer than `fields` are fine.
std::vector<Value> tags_from_json(std::string_view json, std::span<const PreparedField> fields);

/// `json`: array of columns, each an array of as many rows. Without `fields` (a query) the values tell the types.
std::vector<BoundColumn> columns_from_json(std::string_view json, std::span<const PreparedField> fields);

/// Raw block as in results; its length field, flag and trailing byte do not matter. Cells are read as the fields'
/// types; a block of types of another layout is refused (the real server reads them wrong or ends).
std::vector<BoundColumn> columns_from_block(std::string_view block, std::span<const PreparedField> fields);
/// The same by the block's own types.
std::vector<BoundColumn> columns_from_block(std::string_view block);
/// A block of one row as tags.
std::vector<Value> tags_from_block(std::string_view block, std::span<const PreparedField> fields);

/// Bytes of the block at the start of `bytes` by its column lengths; 0 when they leave it. For messages with something
/// behind the block.
std::size_t block_bytes(std::string_view bytes) noexcept;

}  // namespace penstock::sandbox
