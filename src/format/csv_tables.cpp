#include "format/csv_tables.h"

#include <algorithm>
#include <utility>

#include "format/csv_steps.h"

namespace penstock::format {

std::shared_ptr<const CsvPlan> CsvTables::plan(std::string_view value) {
  const std::lock_guard lock(mutex_);
  if (const auto found = plans_.find(value); found != plans_.end()) return found->second;
  auto made = make_(std::string(value));
  plans_.emplace(value, made);
  return made;
}

std::vector<std::shared_ptr<const CsvPlan>> CsvTables::plans() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const CsvPlan>> all;
  for (const auto& [value, plan] : plans_) all.push_back(plan);
  return all;
}

CsvTablesParser::CsvTablesParser(schema::Registry& registry, const CsvPlan& whole, CsvTables& tables,
                                 CsvOptions options)
    : registry_(registry), whole_(whole), tables_(tables), options_(options), unnamed_(registry, whole, options) {}

CsvParser* CsvTablesParser::parser_of(std::string_view raw) {
  auto found = parsers_.find(raw);
  if (found == parsers_.end()) {
    // Once a spelling of the name.
    const auto field = unquote(raw, whole_.dialect);
    const auto value = csv_trimmed(field.text);
    const bool null = std::find(whole_.nulls.begin(), whole_.nulls.end(), value) != whole_.nulls.end();
    Table table;
    if (!field.broken && !value.empty() && (field.quoted || !null)) {
      table.plan = tables_.plan(value);
      table.parser = std::make_unique<CsvParser>(registry_, *table.plan, options_);
    }
    found = parsers_.emplace(raw, std::move(table)).first;
  }
  auto& table = found->second;
  if (table.parser != nullptr && table.chunk != chunk_number_) {
    table.chunk = chunk_number_;
    table.parser->begin(*chunk_, *rows_);
  }
  return table.parser.get();
}

void CsvTablesParser::parse(const io::Chunk& chunk, data::RowSet& rows) {
  chunk_ = &chunk;
  rows_ = &rows;
  ++chunk_number_;
  unnamed_.begin(chunk, rows);
  if (chunk.oversized) return;
  const auto column = *whole_.table_column;
  for_each_csv_record(index_, chunk, whole_, [&](const CsvRecord& record) {
    if (record.broken_at) return unnamed_.reject_broken(record.begin, record.end, *record.broken_at);
    std::string_view raw;
    if (column < record.count) {
      const auto from = column == 0 ? record.begin : record.ends[column - 1] + 1;
      raw = chunk.text.substr(from, record.ends[column] - from);
    }
    auto* const parser = raw.empty() ? nullptr : parser_of(raw);
    if (parser != nullptr) parser->parse_record(record.begin, record.end, record.ends, record.count);
    else unnamed_.reject_unnamed_table(record.begin, record.end, record.ends, record.count, column);
  });
  rows.set_lines(index_.lines());
}

}  // namespace penstock::format
