#pragma once

#include <string_view>

#include "sandbox/engine.h"

/// Rows written back as results and subscriptions give them (binary actions 3, 4 and 5): what tools for replication
/// use. `message`: the whole request; any bytes are answered with RefusalError at worst. Source: adapter 3.3.7.5; its
/// refusals of unreadable payloads are 0x0118.
namespace penstock::sandbox {

/// write_raw: a payload of a subscription, as far as it is rows of child tables that exist (wire::RawType::data). DDL
/// is refused with 0x0100.
void write_raw(Session& session, std::string_view message);
/// write_raw_block: the block's columns are the table's first ones. write_raw_block_with_fields: the names of its
/// columns follow the block.
enum class RawFields { none, follow };
void write_raw_block(Session& session, std::string_view message, RawFields fields);

}  // namespace penstock::sandbox
