#include "sink/server_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "data/schema.h"

namespace penstock::sink {
namespace {

using data::Column;
using data::quote_identifier;
using data::quote_text;

constexpr std::int32_t kStableExists = 0x0360;
constexpr std::int32_t kTableExists = 0x0603;
constexpr std::int32_t kColumnExists = 0x036B;
constexpr std::int32_t kTagExists = 0x0369;
constexpr std::int32_t kDuplicated = 0x263C;
constexpr std::int32_t kNotGreater = 0x264B;
constexpr std::int32_t kTableMissing = 0x2603;
constexpr std::size_t kMostShown = 200;  // of a statement in a reject's reason

// One row of DESCRIBE: field, type ("DECIMAL(10, 2)"), length, note ("TAG", "COMPOSITE KEY").
Column described(const client::Rows& row) {
  Column column;
  column.name = row.text(0);
  std::string type = row.text(1);
  if (const auto open = type.find('('); open != std::string::npos) {
    const char* at = type.c_str() + open + 1;
    const char* const end = type.c_str() + type.size();
    at = std::from_chars(at, end, column.precision).ptr;
    while (at < end && (*at == ',' || *at == ' ')) ++at;
    std::from_chars(at, end, column.scale);
    type.resize(open);
  }
  column.type = data::type_from_name(type).value_or(data::Type::null);
  if (column.type == data::Type::decimal128 && column.precision <= 18) column.type = data::Type::decimal64;
  column.width = static_cast<std::uint32_t>(row.integer(2));
  column.composite_key = row.text(3) == "COMPOSITE KEY";
  return column;
}

}  // namespace

template <class Call>
auto ServerCatalog::with_retries(Call&& call) {
  const std::lock_guard lock(mutex_);
  session_.go_home();
  for (;;) {
    try {
      // A method with no result is as welcome as one with.
      if constexpr (std::is_void_v<decltype(call(session_.connection()))>) {
        call(session_.connection());
        session_.progressed();
        return;
      } else {
        auto result = call(session_.connection());
        session_.progressed();
        return result;
      }
    } catch (const Error& error) {
      const Failure failure = failure_of(error);
      if (session_.stopping()) throw Error(Errc::stopped, "stopped while the target did not answer: " + failure.text);
      if (!wire::is_transient(failure.kind)) throw;
      session_.recover(failure);
    }
  }
}

schema::Catalog::Found ServerCatalog::describe(std::string_view name) {
  return with_retries([&](client::Connection& connection) {
    Found found;
    const auto database = quote_text(session_.options().database);
    // All columns, for "isvirtual" came late (3.3.6).
    auto stables = connection.query(
        fmt::format("SELECT * FROM information_schema.ins_stables WHERE db_name = {} AND stable_name = {}", database,
                    quote_text(name)));
    const auto& fields = stables.fields();
    const auto is_virtual =
        std::find_if(fields.begin(), fields.end(), [](const auto& f) { return f.name == "isvirtual"; });
    bool is_super = false;
    while (stables.next()) {
      is_super = true;
      if (is_virtual != fields.end())
        found.is_virtual = stables.integer(static_cast<std::size_t>(is_virtual - fields.begin())) != 0;
    }
    if (!is_super) {
      auto tables = connection.query(
          fmt::format("SELECT stable_name FROM information_schema.ins_tables WHERE db_name = {} AND table_name = {}",
                      database, quote_text(name)));
      if (tables.next()) found.kind = tables.is_null(0) ? Kind::other_table : Kind::child_table;
      while (tables.next()) {
      }
      return found;
    }
    try {
      auto rows = connection.query("DESCRIBE " + quote_identifier(name));
      while (rows.next()) (rows.text(3) == "TAG" ? found.table.tags : found.table.columns).push_back(described(rows));
    } catch (const client::DatabaseError& error) {
      if (error.server_code() == kTableMissing) return Found{};  // dropped meanwhile
      throw;
    }
    found.kind = Kind::super_table;
    found.table.name = name;
    return found;
  });
}

void ServerCatalog::run(std::string_view table, const std::string& statement,
                        std::initializer_list<std::int32_t> harmless) {
  with_retries([&](client::Connection& connection) {
    try {
      connection.execute(statement);
    } catch (const client::DatabaseError& error) {
      const auto code = error.server_code();
      if (std::find(harmless.begin(), harmless.end(), code) != harmless.end()) return;
      const auto text = wire::error_text(code, error.message());
      switch (error.error_class()) {
        case wire::ErrorClass::stale_schema:
        case wire::ErrorClass::already_done: return;  // dropped or changed by others: the caller looks again
        case wire::ErrorClass::fatal:
          throw Error(
              Errc::server,
              fmt::format("{}: the server does not let user '{}' change super table '{}': {} [0x{:04X}]; refused "
                          "was: {}. Let an administrator run GRANT WRITE ON {}.* TO {}, or that statement",
                          session_.options().display(), session_.options().user, table, text, code, statement,
                          session_.options().database, session_.options().user),
              code);
        case wire::ErrorClass::data:
        case wire::ErrorClass::usage:
          throw schema::ChangeRefused(fmt::format("the server refuses {}{}: {}", statement.substr(0, kMostShown),
                                                  statement.size() > kMostShown ? "…" : "", text),
                                      code);
        default: throw;
      }
    }
  });
}

void ServerCatalog::create(const data::SuperTable& table) {
  run(table.name, data::create_statement(table), {kStableExists, kTableExists});
}

void ServerCatalog::add(std::string_view table, Part part, const Column& column) {
  run(table,
      fmt::format("ALTER STABLE {} ADD {} {} {}", quote_identifier(table), part == Part::tag ? "TAG" : "COLUMN",
                  quote_identifier(column.name), data::sql_type(column)),
      {kColumnExists, kTagExists, kDuplicated});
}

void ServerCatalog::widen(std::string_view table, Part part, const Column& column) {
  run(table,
      fmt::format("ALTER STABLE {} MODIFY {} {} {}", quote_identifier(table), part == Part::tag ? "TAG" : "COLUMN",
                  quote_identifier(column.name), data::sql_type(column)),
      {kNotGreater});
}

}  // namespace penstock::sink
