#pragma once

#include "sandbox/sql_session.h"

namespace penstock::sandbox {

/// Refuses definitions beyond the server's limits (0x2640 …).
void check_definition(const Table& table);
/// "name TYPE [PRIMARY KEY] [ENCODE …]".
ColumnInfo parse_column(Cursor& in, bool tag);

}  // namespace penstock::sandbox
