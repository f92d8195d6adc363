// Child tables that expire: a statement cannot say so, SQL can.

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/log.h"
#include "base/text.h"
#include "schema/coerce.h"
#include "sink/stmt_writer.h"

namespace penstock::sink {
namespace {

using data::Type;
using wire::ErrorClass;

// Of a CREATE TABLE for many child tables; the server takes 1 MiB.
constexpr std::size_t kMostSql = 256 * 1024;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", static_cast<unsigned char>(c));
  return text;
}

// A tag as SQL says it; nothing when SQL cannot.
std::optional<std::string> literal(const schema::Scalar& tag, const data::Column& column) {
  data::Slot bits = 0;
  std::string text;
  if (!schema::coerce(tag, column, bits, text)) return std::nullopt;
  switch (column.type) {
    case Type::varchar:
    case Type::nchar:
    case Type::json:
      if (!is_utf8(text) || text.find('\0') != std::string::npos) return std::nullopt;
      return data::quote_text(text);
    case Type::varbinary: return "'\\x" + hex(text) + "'";
    case Type::boolean: return bits != 0 ? "true" : "false";
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: return fmt::format("{}", bits);
    case Type::tinyint:
    case Type::smallint:
    case Type::integer:
    case Type::bigint:
    case Type::timestamp: return fmt::format("{}", static_cast<std::int64_t>(bits));
    case Type::float32: {
      const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      if (!std::isfinite(value)) return std::nullopt;
      return fmt::format("{}", value);
    }
    case Type::float64: {
      const auto value = std::bit_cast<double>(bits);
      if (!std::isfinite(value)) return std::nullopt;
      return fmt::format("{}", value);
    }
    default: return std::nullopt;
  }
}

// " IF NOT EXISTS `child` USING `m` (`t`) TAGS ('x') TTL 5"; nothing when SQL cannot say it.
std::optional<std::string> clause(const schema::TableVersion& version, const data::ChildTable& child, int ttl_days) {
  std::string names;
  std::string values;
  for (std::size_t t = 0; t < version.tags.size(); ++t) {
    const data::Tag* tag = nullptr;
    for (const auto& candidate : child.created_by->tags)
      if (candidate.key == version.tag_keys[t]) tag = &candidate;
    auto value =
        tag == nullptr ? std::optional<std::string>("NULL") : literal(schema::scalar_of(*tag), version.tags[t]);
    if (!value) return std::nullopt;
    names += (t == 0 ? "" : ",") + data::quote_identifier(version.tags[t].name);
    values += (t == 0 ? "" : ",") + *value;
  }
  if (!is_utf8(child.name.text())) return std::nullopt;
  return fmt::format(" IF NOT EXISTS {} USING {} ({}) TAGS ({}) TTL {}", data::quote_identifier(child.name.text()),
                     data::quote_identifier(version.ref->name), names, values, ttl_days);
}

}  // namespace

// Creates the child tables of a request that may not exist; a failure is one that may pass. A table that SQL cannot
// create is left to the statement.
std::optional<Failure> StmtWriter::create_children(const Request& request) {
  const auto& version = *request.version;
  auto& connection = session_.connection();
  try {
    std::vector<data::ChildTable*> batch;
    std::size_t bytes = 0;
    const auto left_to_statement = [this](const data::ChildTable* child) {
      return std::find(without_ttl_.begin(), without_ttl_.end(), child) != without_ttl_.end();
    };
    const auto flush = [&] {
      create_tables(version, batch);
      batch.clear();
      bytes = 0;
    };
    for (const Run& run : request.runs) {
      if (run.child->exists || left_to_statement(run.child)) continue;
      const auto sql = clause(version, *run.child, options_.ttl_days);
      if (!sql) {
        auto rows = connection.query(
            fmt::format("SELECT table_name FROM information_schema.ins_tables WHERE db_name = {} AND table_name = {}",
                        data::quote_text(session_.options().database), data::quote_text(run.child->name.text())));
        bool exists = false;
        while (rows.next()) exists = true;
        if (!exists) without_ttl_.push_back(run.child);
        continue;
      }
      if (bytes + sql->size() > kMostSql) flush();
      bytes += sql->size();
      batch.push_back(run.child);
    }
    flush();
  } catch (const Error& error) {
    return failure_of(error);
  }
  return std::nullopt;
}

// False when the server refuses all of them; throws what may pass.
bool StmtWriter::create_tables(const schema::TableVersion& version, std::span<data::ChildTable* const> children) {
  if (children.empty()) return true;
  std::string sql = "CREATE TABLE";
  for (const auto* const child : children) sql += *clause(version, *child, options_.ttl_days);
  try {
    session_.connection().execute(sql);
    for (auto* const child : children) child->exists = true;
    return true;
  } catch (const client::DatabaseError& error) {
    const auto kind = error.error_class();
    if (wire::is_transient(kind) || kind == ErrorClass::fatal) throw;
    if (children.size() > 1) {
      const auto middle = children.size() / 2;
      const bool first = create_tables(version, children.first(middle));
      return create_tables(version, children.subspan(middle)) || first;
    }
    // The statement meets the same trouble, and there it is a row's.
    log(LogLevel::debug, error.what());
    without_ttl_.push_back(children[0]);
    return false;
  }
}

// Child tables that only the statement could create.
void StmtWriter::set_missing_ttl() {
  for (const auto* const child : std::exchange(without_ttl_, {})) {
    if (!child->exists) continue;
    try {
      session_.connection().execute(
          fmt::format("ALTER TABLE {} TTL {}", data::quote_identifier(child->name.text()), options_.ttl_days));
    } catch (const Error& error) {
      log(LogLevel::warning, fmt::format("child table '{}' has no TTL: {}", child->name.text().view(), error.what()));
    }
  }
}

}  // namespace penstock::sink
