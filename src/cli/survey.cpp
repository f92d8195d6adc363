#include "cli/survey.h"

#include <algorithm>

#include "base/error.h"
#include "base/memory_budget.h"
#include "data/schema.h"
#include "io/chunk.h"
#include "io/cutter.h"

namespace penstock::cli {
namespace {

constexpr std::size_t kHeadBytes = std::size_t{64} << 10;
constexpr std::size_t kLongHeadBytes = std::size_t{1} << 20;  // where one record is longer than that
constexpr std::size_t kHeadMemory = std::size_t{256} << 20;

pipeline::Instant instant_of(std::int64_t time, data::Precision unit) {
  const auto per_second = data::units_per_second(unit);
  auto seconds = time / per_second;
  auto rest = time % per_second;
  if (rest < 0) {
    rest += per_second;
    --seconds;
  }
  return {seconds, static_cast<std::uint32_t>(rest * (1'000'000'000 / per_second))};
}

/// The whole records at the start of a source, with the padding of a chunk behind them; nothing is read off. Only the
/// padding where the first record is longer than that.
std::string head_of(io::Reader& reader, const io::Cutting& cutting, std::size_t max_record) {
  std::string text;
  for (const auto most : {kHeadBytes, kLongHeadBytes}) {
    const auto head = reader.peek(most);
    const auto cut = io::Cutter(cutting, most, max_record).cut(head, head.size() < most);
    if (cut.kind != io::Cut::Kind::records) continue;
    text = head.substr(0, cut.bytes);
    break;
  }
  text.append(io::kPadding, '\0');
  return text;
}

}  // namespace

void Survey::take(data::RowSet& rows) {
  const auto unit = rows.time_unit();
  const auto oldest = keeps_from_ ? keeps_from_->rounded_up(unit) : INT64_MIN;
  for (const auto& shape : rows.shapes())
    if (shape.rows > 0 && shape.resolved == nullptr) tables_[shape.table].misfits += shape.rows;
  const data::SuperTableRef* ref = nullptr;
  Table* seen = nullptr;
  rows.for_each_row([&](const data::Row& row) {
    if (row.shape == data::kRefusedShape) return;
    if (const auto* const table = rows.shapes()[row.shape].table; table != ref) {
      ref = table;
      seen = &tables_[ref];
    }
    ++seen->rows;
    seen->unit = unit;
    seen->first = std::min(seen->first, row.time);
    seen->last = std::max(seen->last, row.time);
    seen->too_old += row.time < oldest;
    if (row.child >= previous_.size())
      previous_.resize(std::max<std::size_t>(row.child + 1, previous_.size() * 2), INT64_MIN);
    auto& previous = previous_[row.child];
    children_ += previous == INT64_MIN;
    seen->out_of_order += row.time < previous;
    previous = row.time;
  });
}

void Survey::note_precision(const std::string& source, data::Precision precision) {
  if (precision_ && precision <= *precision_) return;
  precision_ = precision;
  finest_source_ = source;
}

const Survey::Table* Survey::table(const data::SuperTableRef* ref) const {
  const auto found = tables_.find(ref);
  return found == tables_.end() ? nullptr : &found->second;
}

DataView Survey::view(const schema::Growth& growth, const PlanningCatalog& catalog,
                      std::span<const std::string> statements, bool sample) const {
  DataView view;
  view.sample = sample;
  view.precision = precision_;
  view.finest_source = finest_source_;
  view.child_tables = children_;
  for (const auto& [ref, table] : tables_) {
    if (table.rows == 0) continue;
    view.rows += table.rows;
    view.too_old += table.too_old;
    const auto first = instant_of(table.first, table.unit);
    const auto last = instant_of(table.last, table.unit);
    view.first = view.first ? std::min(*view.first, first) : first;
    view.last = view.last ? std::max(*view.last, last) : last;
  }
  for (const auto& state : growth.tables()) {
    TableFinding finding;
    finding.name = state.ref->name;
    finding.refused = state.refused.text;
    if (const auto* const seen = table(state.ref)) finding.misfits = seen->misfits;
    const auto* const found = catalog.on_server(state.ref->name);
    finding.exists = found != nullptr && found->kind == schema::Catalog::Kind::super_table;
    finding.is_virtual = found != nullptr && found->is_virtual;
    const auto name = data::quote_identifier(state.ref->name);
    if (finding.exists)
      for (const auto& statement : statements)
        if (statement.find(name + " ") != std::string::npos) finding.changes.push_back(statement);
    view.tables.push_back(std::move(finding));
  }
  return view;
}

std::optional<pipeline::Instant> keeps_from(const TargetView& target, pipeline::Instant now) {
  if (!target.database || target.database->keep_minutes <= 0) return std::nullopt;
  return pipeline::Instant{now.seconds - target.database->keep_minutes * 60, now.nanoseconds};
}

schema::Growth::Options growth_options(const SourceOptions& options) {
  schema::Growth::Options growth;
  growth.timestamp_name = options.naming.timestamp_name;
  growth.default_tag = options.naming.default_tag;
  growth.coerce = options.coerce;
  return growth;
}

DataView sample_heads(std::span<const io::Input> inputs, const SourceOptions& options, SourceOpener& opener,
                      const TargetTimes& times, std::optional<pipeline::Instant> keeps_from, schema::Catalog& server,
                      std::size_t most) {
  MemoryBudget budget(kHeadMemory);
  schema::Registry registry;
  PlanningCatalog catalog(&server);
  std::vector<std::string> statements;
  auto growing = growth_options(options);
  growing.on_change = [&](const std::string& statement) { statements.push_back(statement); };
  schema::Growth growth(catalog, registry, growing);
  SourceOpener heads(options, registry, &budget);
  heads.set_chunk_bytes(kHeadBytes);
  // Too old rows are counted, not refused.
  TargetTimes any_time;
  any_time.precision = times.precision;
  heads.set_target(any_time, catalog);
  Survey survey(keeps_from);
  const auto parse = [&](const io::Chunk& chunk, pipeline::OpenedSource& source) {
    if (chunk.oversized || chunk.broken_quote) return;
    data::RowSet rows(&budget);
    const auto parser = source.parsers->take();
    parser->parse(chunk, rows);
    if (source.filter) source.filter(chunk, rows);
    pipeline::leave_out_by_time(options.selection, rows);
    growth.admit(rows);
    survey.take(rows);
  };
  bool first = true;
  const auto step = std::max<std::size_t>(1, (inputs.size() + most - 1) / std::max<std::size_t>(1, most));
  for (std::size_t i = 0; i < inputs.size(); i += step) {
    const auto& input = inputs[i];
    std::error_code ignored;
    if (input.standard_input || !std::filesystem::is_regular_file(input.path, ignored)) continue;
    try {
      if (first) {
        auto look = opener.take_look(input);
        first = false;
        const auto format = look.format;
        const auto sample = look.sample;
        heads.put_look(input, std::move(look));
        auto source = heads.open(input, static_cast<std::uint32_t>(i));
        heads.look_at_heads_only();
        const auto text = head_of(*source.reader, source.cutting, options.max_record);
        io::Chunk chunk;
        chunk.source = static_cast<std::uint32_t>(i);
        chunk.text = std::string_view(text).substr(0, text.size() - io::kPadding);
        if (!chunk.text.empty()) parse(chunk, source);
        // Annotated CSV is read through a wrapper, which has begun.
        if (format != format::Format::influx_csv) opener.put_look(input, {std::move(source.reader), format, sample});
        continue;
      }
      auto source = heads.open(input, static_cast<std::uint32_t>(i));
      io::Chunk chunk;
      if (source.reader->next(chunk, {})) parse(chunk, source);
    } catch (const Error& error) {
      if (error.code() != Errc::io) throw;
    }
  }
  return survey.view(growth, catalog, statements, true);
}

}  // namespace penstock::cli
