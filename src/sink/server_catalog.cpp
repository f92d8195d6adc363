#include "sink/server_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

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
constexpr std::int32_t kUnanswered = -1;
constexpr std::size_t kMostAtOnce = 128;  // statements under way, names in a question

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

// Fails where the table exists, so that who is answered "done" has made it.
std::string create_new(const data::SuperTable& table) {
  constexpr bool kIfNotExists = false;
  return data::create_statement(table, kIfNotExists);
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

std::vector<std::int32_t> ServerCatalog::send_all(const std::vector<std::string>& statements) {
  std::vector<std::int32_t> codes(statements.size(), kUnanswered);
  const std::lock_guard lock(mutex_);
  session_.go_home();
  try {
    auto& connection = session_.connection();
    std::vector<client::Ticket> tickets;
    for (std::size_t begin = 0; begin < statements.size(); begin += kMostAtOnce) {
      const auto end = std::min(statements.size(), begin + kMostAtOnce);
      tickets.clear();
      for (auto i = begin; i < end; ++i) tickets.push_back(connection.send_execute(statements[i]));
      for (auto i = begin; i < end; ++i) codes[i] = connection.wait(tickets[i - begin]).code;
    }
    session_.progressed();
  } catch (const client::ClientError&) {
    // Who asks for one of these again meets the trouble again, and gets over it.
  }
  return codes;
}

std::vector<schema::Catalog::Found> ServerCatalog::describe_all(std::span<const std::string> names) {
  if (names.size() < 2) return Catalog::describe_all(names);
  // Which of them are super tables. Where the server does not tell it this way, each is asked for by itself.
  std::set<std::string, std::less<>> supers;
  for (auto rest = names; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), kMostAtOnce));
    rest = rest.subspan(some.size());
    std::string list;
    for (const auto& name : some) list += (list.empty() ? "" : ", ") + quote_text(name);
    try {
      with_retries([&](client::Connection& connection) {
        auto rows = connection.query(
            fmt::format("SELECT stable_name FROM information_schema.ins_stables WHERE db_name = {} AND stable_name IN "
                        "({})",
                        quote_text(session_.options().database), list));
        while (rows.next()) supers.insert(rows.text(0));
      });
    } catch (const client::DatabaseError&) {
      return Catalog::describe_all(names);
    }
  }
  // A name that nothing stands under costs one statement, under way with those of the others. (Of what stands there
  // the result is left to the end of the connection: such names are few.)
  std::vector<std::string> probes;
  for (const auto& name : names)
    if (!supers.contains(name)) probes.push_back("DESCRIBE " + quote_identifier(name));
  const auto codes = send_all(probes);
  std::vector<Found> found;
  found.reserve(names.size());
  std::size_t probe = 0;
  for (const auto& name : names) {
    const bool missing = !supers.contains(name) && codes[probe++] == kTableMissing;
    found.push_back(missing ? Found{} : describe(name));
  }
  return found;
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

bool ServerCatalog::run(std::string_view table, const std::string& statement,
                        std::initializer_list<std::int32_t> harmless) {
  return with_retries([&](client::Connection& connection) {
    try {
      connection.execute(statement);
      return true;
    } catch (const client::DatabaseError& error) {
      const auto code = error.server_code();
      if (std::find(harmless.begin(), harmless.end(), code) != harmless.end()) return false;
      const auto text = wire::error_text(code, error.message());
      switch (error.error_class()) {
        case wire::ErrorClass::stale_schema:
        case wire::ErrorClass::already_done: return false;  // dropped or changed by others: the caller looks again
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

bool ServerCatalog::create(const data::SuperTable& table) {
  return run(table.name, create_new(table), {kStableExists, kTableExists});
}

std::vector<bool> ServerCatalog::create_all(std::span<const data::SuperTable* const> tables) {
  std::vector<std::string> statements;
  for (const auto* const table : tables) statements.push_back(create_new(*table));
  const auto codes = send_all(statements);
  std::vector<bool> made;
  for (const auto code : codes) made.push_back(code == 0);
  return made;
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
