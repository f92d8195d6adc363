#pragma once

#include <cstdint>
#include <string>

#include "sandbox/engine.h"
#include "sandbox/stmt1_session.h"
#include "standin/taos_abi.h"

/// Bind structures of the C interface to what the sandbox takes. All of it copies: clients may reuse their memory when
/// the call returns. What makes the real library read where there is nothing is refused.
namespace penstock::standin {

/// A column of a statement of the second generation: values of variable length lie without gaps.
/// `field` decides the type of one-row NULLs; data::Type::null where it is not known. BOOL values above 1 become 1 in
/// the caller's buffer, as the real library does. Throws FailureError.
sandbox::BoundColumn bound_column(const TAOS_STMT2_BIND& bind, data::Type field);
/// The first row as a value of type `type`, whatever the bind says: that is how the server takes tags.
/// `stored_bytes` bounds variable ones.
sandbox::Value bound_tag(const TAOS_STMT2_BIND& bind, data::Type type, std::int32_t stored_bytes);

/// As above, of the first generation: `buffer_length` bytes from one value of variable length to the next.
sandbox::BoundColumn bound_column(const TAOS_MULTI_BIND& bind);
sandbox::Value bound_tag(const TAOS_MULTI_BIND& bind, data::Type type, std::int32_t stored_bytes);

}  // namespace penstock::standin
