#pragma once

#include <string_view>

#include "sandbox/sql_session.h"

namespace penstock::sandbox {

/// Session::insert_schemaless().
std::int64_t run_schemaless(SessionContext& context, int protocol, int precision, std::string_view payload,
                            int ttl_days, std::string_view table_name_key, std::int32_t& total_lines);

}  // namespace penstock::sandbox
