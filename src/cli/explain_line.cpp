#include "cli/explain_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/cutting.h"
#include "cli/planning_catalog.h"
#include "cli/survey.h"
#include "cli/table_text.h"
#include "data/schema.h"

namespace penstock::cli {
namespace {

constexpr std::size_t kShownValue = 200;
constexpr std::size_t kShownRecord = 2'000;
constexpr std::size_t kMemory = std::size_t{256} << 20;

std::string value_text(data::Type type, data::Slot slot, data::Precision unit) {
  using data::Type;
  switch (type) {
    case Type::boolean: return slot != 0 ? "true" : "false";
    case Type::float32: return fmt::format("{}", std::bit_cast<float>(static_cast<std::uint32_t>(slot)));
    case Type::float64: return fmt::format("{}", std::bit_cast<double>(slot));
    case Type::utinyint:
    case Type::usmallint:
    case Type::uinteger:
    case Type::ubigint: return std::to_string(slot);
    case Type::timestamp: return "'" + time_text(static_cast<std::int64_t>(slot), unit) + "'";
    case Type::decimal128: return "(decimal)";
    default: break;
  }
  if (!data::is_variable(type)) return std::to_string(static_cast<std::int64_t>(slot));
  const auto text = data::text_of(slot);
  if (!is_utf8(text)) return "'" + printable(text, kShownValue) + "'";
  return data::quote_text(text.size() > kShownValue ? std::string(text.substr(0, kShownValue)) + "…"
                                                    : std::string(text));
}

std::string tag_text(const data::Tag& tag) {
  if (data::is_variable(tag.type)) return data::quote_text(tag.value());
  data::Slot slot = 0;
  std::memcpy(&slot, tag.bytes, std::min<std::size_t>(tag.length, sizeof slot));
  // The image is as wide as the type; signed ones carry their sign into the slot.
  if (tag.length < sizeof slot && tag.length > 0 && tag.type != data::Type::boolean &&
      (tag.type == data::Type::tinyint || tag.type == data::Type::smallint || tag.type == data::Type::integer)) {
    const auto shift = 64 - 8 * tag.length;
    slot = static_cast<data::Slot>(static_cast<std::int64_t>(slot << shift) >> shift);
  }
  return value_text(tag.type, slot, data::Precision::milliseconds);
}

struct Place {
  std::string file;
  std::uint64_t line = 0;
};

Place parse_place(const std::string& text) {
  const auto colon = text.rfind(':');
  Place place;
  if (colon != std::string::npos && colon > 0) {
    place.file = text.substr(0, colon);
    const char* const end = text.data() + text.size();
    if (const auto [at, error] = std::from_chars(text.data() + colon + 1, end, place.line);
        error == std::errc() && at == end && place.line > 0)
      return place;
  }
  throw Error(Errc::config, fmt::format("--line {}: give a file and a line, such as data.line:17", printable(text)));
}

class Explainer {
 public:
  Explainer(const SourceOptions& options, schema::Catalog* server)
      : budget_(kMemory), catalog_(server), opener_(options, registry_, &budget_), options_(options) {
    opener_.keep_plans();
  }

  LineExplanation explain(const Place& place) {
    const std::vector<std::string> names{place.file};
    const auto inputs = io::expand_inputs(names);
    if (inputs.size() != 1 || inputs[0].standard_input)
      throw Error(Errc::config, fmt::format("--line {}:{}: name one file", place.file, place.line));
    if (catalog_.has_server()) opener_.set_target({}, catalog_);
    source_ = opener_.open(inputs[0], 0);
    format_ = format::format_from_name(source_.format).value_or(format::Format::line);
    io::Chunk chunk;
    std::uint64_t line = 1;
    while (source_.reader->next(chunk, {})) {
      const auto lines = static_cast<std::uint64_t>(std::count(chunk.text.begin(), chunk.text.end(), '\n'));
      const bool here = place.line < line + lines || (place.line == line + lines && !chunk.text.ends_with('\n'));
      if (here) return in_chunk(chunk, place, line);
      line += lines;
    }
    throw Error(Errc::config, fmt::format("--line {}:{}: the source has {} lines", place.file, place.line, line - 1));
  }

 private:
  // The line's own bytes, without its end.
  static std::pair<std::uint32_t, std::uint32_t> line_at(std::string_view text, std::uint64_t lines_before) {
    std::size_t begin = 0;
    for (; lines_before > 0; --lines_before) begin = text.find('\n', begin) + 1;
    auto end = std::min(text.find('\n', begin), text.size());
    if (end > begin && text[end - 1] == '\r') --end;
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)};
  }

  LineExplanation in_chunk(const io::Chunk& chunk, const Place& place, std::uint64_t first_line) {
    const auto [begin, length] = line_at(chunk.text, place.line - first_line);
    out_ = fmt::format("{}:{}  ({}, byte {})\n", place.file, place.line, source_.format, chunk.offset + begin);
    json_ = {
        {"source", place.file}, {"line", place.line}, {"format", source_.format}, {"offset", chunk.offset + begin}};
    if (chunk.oversized || chunk.broken_quote)
      return nothing(chunk.text.substr(begin, length),
                     chunk.oversized ? "a record longer than --max-record allows: it is rejected as it is"
                                     : "a quote opens in this line and does not close within --max-record: only this "
                                       "line is rejected",
                     true);
    auto parser = source_.parsers->take();
    data::RowSet rows(&budget_);
    parser->parse(chunk, rows);
    // Records may be longer than a line, and a line may hold several.
    const auto holds = [&, from = begin, end = begin + std::max(1u, length)](std::uint32_t offset,
                                                                             std::uint32_t bytes) {
      return offset < end && offset + std::max(1u, bytes) > from;
    };
    std::uint32_t most = 0, record_begin = begin, record_length = length;
    bool found = false;
    const auto take = [&](std::uint32_t offset, std::uint32_t bytes) {
      if (!holds(offset, bytes) || (found && bytes <= most)) return;
      found = true;
      most = bytes;
      record_begin = offset;
      record_length = bytes;
    };
    for (const auto& reject : rows.rejects()) take(reject.offset, reject.length);
    rows.for_each_row([&](const data::Row& row) { take(row.offset, row.length); });
    if (!found)
      return nothing(chunk.text.substr(begin, length),
                     length == 0 ? "a blank line: no record" : "no record: a comment, a header or a marker", false);
    // Only this record is looked at from here on.
    const auto others = [&](std::uint32_t offset) { return offset != record_begin; };
    rows.leave_out_rows([&](const data::Row& row) { return others(row.offset); });
    rows.leave_out_rejects([&](const data::Reject& reject) { return others(reject.offset); });
    if (source_.filter) source_.filter(chunk, rows);
    pipeline::leave_out_by_time(options_.selection, rows);
    auto growing = growth_options(options_);
    growing.on_change = [&](const std::string& statement) { statements_.push_back(statement); };
    schema::Growth growth(catalog_, registry_, growing);
    growth.admit(rows);
    const auto record = chunk.text.substr(record_begin, record_length);
    show_record(record);
    show_cutting(record);
    std::size_t kept = 0;
    json_["rows"] = nlohmann::ordered_json::array();
    rows.for_each_row([&](const data::Row& row) {
      if (row.shape == data::kRefusedShape) return;
      ++kept;
      show_row(rows, row);
    });
    json_["rejects"] = nlohmann::ordered_json::array();
    for (const auto& reject : rows.rejects()) show_reject(record, reject);
    if (kept == 0 && rows.rejects().empty()) {
      out_ += "left out: --since, --until or another flag does not want it\n";
      json_["left_out"] = true;
    }
    return {out_, dump(), !rows.rejects().empty()};
  }

  LineExplanation nothing(std::string_view line, const std::string& why, bool rejected) {
    show_record(line);
    out_ += why + "\n";
    json_["note"] = why;
    return {out_, dump(), rejected};
  }

  std::string dump() const { return json_.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"; }

  void show_record(std::string_view record) {
    const auto text = printable(record, kShownRecord);
    out_ += "  " + text + "\n";
    json_["record"] = text;
  }

  void show_cutting(std::string_view record) {
    format::Dialect dialect;
    std::vector<std::string> names;
    if (!opener_.plans().empty()) {
      const auto& plan = *opener_.plans().back().second;
      dialect = plan.dialect;
      for (const auto& column : plan.columns) names.push_back(column.csv_name);
    }
    out_ += "cut\n";
    auto& list = json_["cut"] = nlohmann::ordered_json::array();
    for (const auto& piece : cut_record(format_, record, dialect, names)) {
      out_ += fmt::format("  {:>5}  {}: {}\n", piece.column, piece.what, printable(piece.text, kShownValue));
      list.push_back({{"column", piece.column}, {"what", piece.what}, {"text", printable(piece.text, kShownValue)}});
    }
  }

  void show_row(const data::RowSet& rows, const data::Row& row) {
    const auto& shape = rows.shapes()[row.shape];
    const auto& child = registry_.child(row.child);
    const auto child_name = child.name.text();
    const auto unit = rows.time_unit();
    const auto found = catalog_.describe(shape.table->name);
    const auto time_name = found.table.columns.empty() ? std::string("_ts") : found.table.columns[0].name;
    nlohmann::ordered_json one{{"super_table", shape.table->name},
                               {"child_table", child_name.view()},
                               {"timestamp", time_text(row.time, unit)},
                               {"timestamp_value", row.time},
                               {"unit", data::precision_name(unit)}};
    out_ += fmt::format("super table  {}\nchild table  {}\ntimestamp    {}  ({} {})\n", printable(shape.table->name),
                        printable(child_name), time_text(row.time, unit), row.time, data::precision_name(unit));
    std::string tag_names, tag_values, columns = data::quote_identifier(time_name), values = std::to_string(row.time);
    auto& tags = one["tags"] = nlohmann::ordered_json::array();
    if (child.created_by != nullptr) {
      for (const auto& tag : child.created_by->tags) {
        const auto name = registry_.tag_key_name(tag.key);
        const auto text = tag_text(tag);
        out_ += fmt::format("tag          {} {} = {}\n", printable(name), data::type_name(tag.type),
                            printable(text, kShownRecord));
        tags.push_back({{"name", name}, {"type", data::type_name(tag.type)}, {"value", text}});
        tag_names += (tag_names.empty() ? "" : ", ") + data::quote_identifier(name);
        tag_values += (tag_values.empty() ? "" : ", ") + text;
      }
    }
    if (tag_names.empty() && !found.table.tags.empty()) {
      tag_names = data::quote_identifier(found.table.tags[0].name);
      tag_values = "NULL";
    }
    auto& fields = one["fields"] = nlohmann::ordered_json::array();
    for (std::size_t f = 0; f < shape.fields.size(); ++f) {
      const bool null = shape.nullable && data::Shape::is_null(row, shape.fields.size(), f);
      const auto& field = shape.fields[f];
      const auto text = null ? std::string("NULL") : value_text(field.type, row.slots()[f], unit);
      const auto at = found.table.column(field.name);
      const auto type = at ? data::sql_type(found.table.columns[*at]) : std::string(data::type_name(field.type));
      out_ += fmt::format("field        {} {} = {}\n", printable(field.name), type, printable(text, kShownRecord));
      fields.push_back({{"name", field.name}, {"type", type}, {"value", text}});
      columns += ", " + data::quote_identifier(field.name);
      values += ", " + text;
    }
    const auto insert =
        fmt::format("INSERT INTO {} USING {} ({}) TAGS ({}) ({}) VALUES ({});", data::quote_identifier(child_name),
                    data::quote_identifier(shape.table->name), tag_names, tag_values, columns, values);
    out_ += "sent, as parameters of\n";
    for (const auto& statement : statements_) out_ += "  " + statement + ";\n";
    out_ += "  " + insert + "\n";
    one["sql"] = statements_;
    one["sql"].push_back(insert);
    statements_.clear();
    json_["rows"].push_back(std::move(one));
  }

  void show_reject(std::string_view record, const data::Reject& reject) {
    const auto code = reject.reason.code != 0 ? fmt::format(" [0x{:04X}]", reject.reason.code) : "";
    out_ += fmt::format("rejected: {}{}\n", reject.reason.text, code);
    if (reject.column > 0) {
      // The line of the record that holds the place, from not too far before it.
      const auto at = std::min<std::size_t>(reject.column - 1, record.size());
      auto begin = at == 0 ? 0 : record.rfind('\n', at - 1);
      begin = begin == std::string_view::npos || at == 0 ? 0 : begin + 1;
      constexpr std::size_t kBefore = 60;
      if (at - begin > kBefore) begin = at - kBefore;
      const auto end = std::min(record.find('\n', at), record.size());
      const auto before = printable(record.substr(begin, at - begin), 4 * kBefore);
      out_ += fmt::format("  {}{}\n  {}^ byte {}\n", before, printable(record.substr(at, end - at), kBefore),
                          std::string(utf8_length(before), ' '), reject.column);
    }
    json_["rejects"].push_back(
        {{"reason", reject.reason.text}, {"code", reject.reason.code}, {"column", reject.column}});
  }

  MemoryBudget budget_;
  schema::Registry registry_;
  PlanningCatalog catalog_;
  SourceOpener opener_;
  const SourceOptions& options_;
  pipeline::OpenedSource source_;
  format::Format format_ = format::Format::line;
  std::vector<std::string> statements_;
  std::string out_;
  nlohmann::ordered_json json_;
};

}  // namespace

LineExplanation explain_line(const std::string& place, const SourceOptions& options, schema::Catalog* server) {
  return Explainer(options, server).explain(parse_place(place));
}

}  // namespace penstock::cli
