#include "cli/bench_sql_writer.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <iterator>

#include "base/error.h"
#include "base/text.h"
#include "data/schema.h"
#include "schema/coerce.h"
#include "sink/request.h"

namespace penstock::cli {
namespace {

using data::Type;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kInsert = "INSERT INTO";
// The server takes 1 MiB; a row and its table's head go on top.
constexpr std::size_t kMostSql = data::Limits::sql - (std::size_t{192} << 10);

[[noreturn]] void cannot_say(const data::Column& column) {
  throw Error(Errc::unsupported,
              fmt::format("column '{}' ({}): SQL cannot say one of its values; leave the path sql out", column.name,
                          data::sql_type(column)));
}

// A value as the text of an INSERT has it.
void put_value(std::string& out, const data::Column& column, data::Slot bits, std::string_view text) {
  const auto put = [&](auto value) { fmt::format_to(std::back_inserter(out), "{}", value); };
  switch (column.type) {
    case Type::boolean: out += bits != 0 ? "true" : "false"; break;
    case Type::tinyint:
    case Type::smallint:
    case Type::integer:
    case Type::bigint:
    case Type::timestamp: put(static_cast<std::int64_t>(bits)); break;
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: put(bits); break;
    case Type::float32: {
      const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      if (!std::isfinite(value)) cannot_say(column);
      put(value);
      break;
    }
    case Type::float64: {
      const auto value = std::bit_cast<double>(bits);
      if (!std::isfinite(value)) cannot_say(column);
      put(value);
      break;
    }
    case Type::varchar:
    case Type::nchar:
    case Type::json:
      if (!is_utf8(text) || text.find('\0') != std::string_view::npos) cannot_say(column);
      out += data::quote_text(text);
      break;
    case Type::varbinary:
      out += "'\\x";
      for (const char c : text) fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(c));
      out += '\'';
      break;
    default: cannot_say(column);
  }
}

}  // namespace

SqlWriter::SqlWriter(client::Options target, sink::WriteOptions options, sink::WriteObserver& observer,
                     std::stop_token stop)
    : options_(options), observer_(observer), session_(std::move(target), options.retry_for, std::move(stop)) {}

// " `child` USING `super` (tags) TAGS (values) (columns) VALUES ": what stands before the rows of a child table.
const std::string& SqlWriter::head_of(const schema::TableVersion& version, const data::ChildTable& child) {
  auto& [number, head] = heads_[&child];
  if (!head.empty() && number == version.number) return head;
  number = version.number;
  std::string names, values;
  for (std::size_t t = 0; t < version.tags.size(); ++t) {
    const data::Tag* tag = nullptr;
    for (const auto& candidate : child.created_by->tags)
      if (candidate.key == version.tag_keys[t]) tag = &candidate;
    names += (t == 0 ? "" : ",") + data::quote_identifier(version.tags[t].name);
    if (t > 0) values += ',';
    data::Slot bits = 0;
    if (tag == nullptr) {
      values += "NULL";
    } else if (schema::coerce(schema::scalar_of(*tag), version.tags[t], bits, scratch_)) {
      put_value(values, version.tags[t], bits, scratch_);
    } else {
      cannot_say(version.tags[t]);
    }
  }
  std::string columns;
  for (const auto& column : version.columns)
    columns += (columns.empty() ? "" : ",") + data::quote_identifier(column.name);
  head = fmt::format(" {} USING {} ({}) TAGS ({}) ({}) VALUES ", data::quote_identifier(child.name.text()),
                     data::quote_identifier(version.ref->name), names, values, columns);
  return head;
}

void SqlWriter::put_row(const sink::Window& window, const schema::TableVersion& version, const sink::RowRef& ref) {
  const auto unit = window.chunk_of(ref).rows.time_unit();
  fmt::format_to(std::back_inserter(sql_), "({}", sink::to_unit(ref.row->time, unit, options_.precision));
  const auto fields = ref.shape().columns.size();
  for (std::size_t c = 1; c < version.columns.size(); ++c) {
    sql_ += ',';
    const auto slot = ref.shape().slot_of(c);
    if (slot == schema::kNoSlot || (ref.shape().nullable && data::Shape::is_null(*ref.row, fields, slot))) {
      sql_ += "NULL";
      continue;
    }
    const auto value = ref.row->slots()[slot];
    const auto& column = version.columns[c];
    put_value(sql_, column, value, data::is_variable(column.type) ? data::text_of(value) : std::string_view());
  }
  sql_ += ')';
}

void SqlWriter::send(std::uint64_t rows, std::uint64_t runs, Clock::time_point start) {
  const auto made = Clock::now();
  observer_.built(made - start);
  observer_.before_send(rows, sql_.size());
  session_.connection().execute(sql_);
  session_.progressed();
  const auto done = Clock::now();
  observer_.waited(done - made);
  observer_.acknowledged(rows, 0, 0, runs, sql_.size(), done - made);
}

void SqlWriter::write(sink::Window& window) {
  auto start = Clock::now();
  window.group();
  sql_ = kInsert;
  std::uint64_t rows = 0, runs = 0;
  std::size_t first = 0, last = 0;  // rows of the window that stand in sql_
  const auto flush = [&] {
    if (rows == 0) return;
    send(rows, runs, start);
    for (auto at = first; at < last; ++at) window.note_written(window.rows()[at]);
    first = last;
    rows = runs = 0;
    sql_ = kInsert;
    start = Clock::now();
  };
  for (const auto& table : window.tables()) {
    for (const auto& run : table.runs) {
      if (first == last) first = last = run.begin;
      // What stands in the text must lie in one piece.
      if (run.begin != last) {
        flush();
        first = last = run.begin;
      }
      bool headed = false;
      for (auto at = run.begin; at < run.end; ++at) {
        if (rows >= options_.batch_rows || sql_.size() >= kMostSql) {
          flush();
          headed = false;
        }
        if (!headed) {
          sql_ += head_of(*table.version, *run.child);
          ++runs;
          headed = true;
        }
        put_row(window, *table.version, window.rows()[at]);
        ++rows;
        ++last;
      }
      run.child->exists = true;
    }
  }
  flush();
}

}  // namespace penstock::cli
