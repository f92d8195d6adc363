#include "sandbox/insert_schemaless.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "format/json_parser.h"
#include "format/line_parser.h"
#include "format/telnet_parser.h"
#include "io/chunk.h"
#include "sandbox/insert_store.h"
#include "sandbox/store_row.h"
#include "schema/growth.h"
#include "schema/registry.h"

namespace penstock::sandbox {
namespace {

/// The session's database as the schema stage sees a server.
class SandboxCatalog final : public schema::Catalog {
 public:
  explicit SandboxCatalog(SessionContext& context) : context_(context) {}

  Found describe(std::string_view name) override {
    const auto db = open_database(context_, {});
    const auto found = db->find(name);
    Found out;
    if (found.table == nullptr) return out;
    out.kind = found.child == nullptr ? Kind::super_table : found.table->super ? Kind::child_table : Kind::other_table;
    out.table.name = name;
    for (const auto& c : found.table->columns) out.table.columns.push_back(c.column);
    for (const auto& c : found.table->tags) out.table.tags.push_back(c.column);
    return out;
  }
  bool create(const data::SuperTable& table) override {
    Cursor in(statement(data::create_statement(table)));
    in.take();
    in.take();
    run_create_table(context_, in, true);
    return false;
  }
  void add(std::string_view table, Part part, const data::Column& column) override {
    alter(table, "ADD", part, column, 0x036B, 0x0369);
  }
  void widen(std::string_view table, Part part, const data::Column& column) override {
    alter(table, "MODIFY", part, column, 0x264B, 0x264B);
  }

 private:
  /// A cursor only looks at the text it reads.
  std::string_view statement(std::string text) { return statement_ = std::move(text); }
  void alter(std::string_view table, std::string_view verb, Part part, const data::Column& column, std::int32_t lost,
             std::int32_t also_lost) {
    Cursor in(statement(fmt::format("{} {} {} {} {}", data::quote_identifier(table), verb,
                                    part == Part::column ? "COLUMN" : "TAG", data::quote_identifier(column.name),
                                    data::sql_type(column))));
    try {
      run_alter_table(context_, in, true);
    } catch (const RefusalError& e) {
      if (e.refusal().code != lost && e.refusal().code != also_lost) throw;
    }
  }

  SessionContext& context_;
  std::string statement_;
};

/// How the payloads of a protocol are read.
struct Reading {
  std::unique_ptr<format::Parser> (*parser)(schema::Registry& registry, const schema::NamingRules& naming,
                                            int precision) = nullptr;
  bool comments = false;         ///< lines that begin with '#' are none
  bool takes_precision = false;  ///< the call's argument counts
  bool lines = true;             ///< a record is a line, and there must be one
};

std::unique_ptr<format::Parser> line_parser(schema::Registry& registry, const schema::NamingRules& naming,
                                            int precision) {
  static constexpr format::TimeUnit kUnits[] = {format::TimeUnit::nanoseconds,  format::TimeUnit::hours,
                                                format::TimeUnit::minutes,      format::TimeUnit::seconds,
                                                format::TimeUnit::milliseconds, format::TimeUnit::microseconds,
                                                format::TimeUnit::nanoseconds};
  format::LineOptions options;
  options.payload_rules = true;
  options.naming = naming;
  options.precision = kUnits[precision];
  return std::make_unique<format::LineParser>(registry, options);
}

std::unique_ptr<format::Parser> telnet_parser(schema::Registry& registry, const schema::NamingRules& naming, int) {
  format::TelnetOptions options;
  options.payload_rules = true;
  options.naming = naming;
  return std::make_unique<format::TelnetParser>(registry, options);
}

std::unique_ptr<format::Parser> json_parser(schema::Registry& registry, const schema::NamingRules& naming, int) {
  format::JsonOptions options;
  options.payload_rules = true;
  options.naming = naming;
  return std::make_unique<format::JsonParser>(registry, options);
}

/// By the protocol's number less one.
constexpr Reading kReadings[] = {
    {line_parser, true, true, true},
    {telnet_parser, false, false, true},
    {json_parser, false, false, false},
};

std::int32_t count_lines(std::string_view payload, const Reading& reading) {
  std::int32_t lines = 0;
  while (!payload.empty()) {
    const auto end = std::min(payload.find('\n'), payload.size());
    lines += reading.comments && payload.front() == '#' ? 0 : 1;
    payload.remove_prefix(std::min(end + 1, payload.size()));
  }
  return lines;
}

[[noreturn]] void refuse_first(data::RowSet& rows) {
  auto& rejects = rows.rejects();
  const auto first = std::min_element(rejects.begin(), rejects.end(),
                                      [](const auto& a, const auto& b) { return a.offset < b.offset; });
  refuse(first->reason.code == 0 ? 0x3002 : first->reason.code, first->reason.text);
}

/// Rows of one child table with one set of fields become a batch each; the store puts them together again.
class Gatherer {
 public:
  Gatherer(Database& database, schema::Registry& registry, std::int32_t ttl)
      : database_(database), registry_(registry), ttl_(ttl) {
    ns_per_unit_ = 1'000'000'000 / data::units_per_second(database.options.precision);
  }

  void add(const data::Shape& shape, const data::Row& row) {
    const auto& child = registry_.child(row.child);
    const auto key = std::pair(row.child, row.shape);
    // Rows must stay in their order: a batch is only continued while nothing else came for the child.
    if (last_ != key) {
      batches_.push_back(begin(child, shape));
      last_ = key;
    }
    std::vector<Value> cells;
    cells.push_back(present(static_cast<std::uint64_t>(row.time / ns_per_unit_)));
    for (std::size_t f = 0; f < shape.fields.size(); ++f) {
      Value value;
      if (!shape.nullable || !data::Shape::is_null(row, shape.fields.size(), f)) {
        const auto slot = row.slots()[f];
        value = data::is_variable(shape.fields[f].type) ? present(0, std::string(data::text_of(slot))) : present(slot);
      }
      cells.push_back(std::move(value));
    }
    batches_.back().rows.push_back(std::move(cells));
  }
  std::vector<RowBatch>& batches() noexcept { return batches_; }

 private:
  RowBatch begin(const data::ChildTable& child, const data::Shape& shape) {
    RowBatch batch;
    batch.table = std::string(child.name);
    batch.super = database_.find(child.table->name).table;
    if (batch.super == nullptr) refuse(0x2603, "Table does not exist");
    batch.ttl = ttl_;
    batch.columns.push_back(0);
    for (const auto& field : shape.fields) {
      batch.columns.push_back(batch.super->column(field.name));
      if (batch.columns.back() < 1) refuse(0x2602, fmt::format("Invalid column name: {}", field.name));
    }
    batch.tags.assign(batch.super->tags.size(), Value{});
    for (const auto& tag : child.created_by == nullptr ? std::span<const data::Tag>() : child.created_by->tags) {
      const int at = batch.super->tag(registry_.tag_key_name(tag.key));
      if (at < 0) continue;
      batch.tags[static_cast<std::size_t>(at)] =
          data::is_variable(tag.type) ? present(0, std::string(tag.value())) : present(bits_of(tag.type, tag.bytes));
    }
    return batch;
  }

  Database& database_;
  schema::Registry& registry_;
  std::int32_t ttl_;
  std::int64_t ns_per_unit_ = 1;
  std::pair<std::uint32_t, std::uint32_t> last_{UINT32_MAX, UINT32_MAX};
  std::vector<RowBatch> batches_;
};

}  // namespace

std::int64_t run_schemaless(SessionContext& context, int protocol, int precision, std::string_view payload,
                            int ttl_days, std::string_view table_name_key, std::int32_t& total_lines) {
  if (protocol < 1 || protocol > 3) refuse(0x3000, "protocol invalidate");
  if (context.database.empty()) refuse(0x2616, "Database not specified");
  const auto& reading = kReadings[protocol - 1];
  if (reading.takes_precision && (precision < 0 || precision > 6))
    refuse(0x3001, "precision invalidate for line protocol");
  total_lines = count_lines(payload, reading);
  if (reading.lines && total_lines == 0) refuse(0x3002, "line num is invalid");
  open_database(context, {});
  auto naming = context.instance->naming();
  naming.table_name_key = table_name_key;
  std::string padded(payload);
  padded.append(io::kPadding, '\0');
  io::Chunk chunk;
  chunk.text = std::string_view(padded).substr(0, payload.size());
  schema::Registry registry;
  data::RowSet rows;
  reading.parser(registry, naming, precision)->parse(chunk, rows);
  if (!rows.rejects().empty()) refuse_first(rows);
  SandboxCatalog catalog(context);
  schema::Growth::Options growth_options;
  growth_options.timestamp_name = naming.timestamp_name;
  growth_options.default_tag = naming.default_tag;
  growth_options.dots_in_child_names = true;
  schema::Growth growth(catalog, registry, growth_options);
  // The server looks at all rows of a super table before it changes it.
  if (const auto why = growth.objection(rows)) refuse(why->code, why->text);
  growth.admit(rows);
  if (!rows.rejects().empty()) refuse_first(rows);
  const auto db = open_database(context, {});
  Gatherer gatherer(*db, registry, ttl_days);
  rows.for_each_row([&](data::Row& row) {
    if (row.shape != data::kRefusedShape) gatherer.add(rows.shapes()[row.shape], row);
  });
  return store_batches(*db, gatherer.batches(), EqualRows::last_value);
}

}  // namespace penstock::sandbox
