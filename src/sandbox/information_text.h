#pragma once

#include <string_view>
#include <vector>

#include "sandbox/sql_session.h"

namespace penstock::sandbox {

/// "name TYPE|name TYPE…" as columns.
std::vector<data::Column> columns_from_text(std::string_view list);
/// Rows of ins_tags for one child table.
void append_tag_rows(const Database& db, const Child& child, std::vector<std::vector<Datum>>& rows);

}  // namespace penstock::sandbox
