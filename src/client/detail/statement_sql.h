#pragma once

#include <string>
#include <string_view>

/// What this side must know of the SQL of a statement.
namespace penstock::client::detail {

/// `INSERT INTO ? [(columns)] VALUES (…)`: which table, and so which columns, is known only when it is bound. The
/// server prepares it, but cannot tell its fields.
bool names_table_when_bound(std::string_view sql);

/// A query without rows whose result has the columns that such a statement inserts into `table` ("name", "db.name" or
/// quoted as in SQL).
std::string columns_query(std::string_view sql, std::string_view table);

/// A query without rows over all columns of the table that an insert names: `INSERT INTO ? USING stb …`,
/// `INSERT INTO [db.]table …`. "" where it names none.
std::string target_query(std::string_view sql);

}  // namespace penstock::client::detail
