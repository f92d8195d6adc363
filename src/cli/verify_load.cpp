#include "cli/verify_load.h"

#include <algorithm>
#include <exception>
#include <vector>

#include "cli/exit_status.h"
#include "sink/verifier.h"

namespace penstock::cli {

LoadVerification::LoadVerification(std::uint32_t lanes, data::Precision precision, std::size_t memory)
    : precision_(precision), keys_([&] {
        sink::KeyTracker::Options options;
        options.lanes = lanes;
        options.precision = precision;
        options.max_bytes = memory;
        // Sixteen bytes each, and only after the load gave its memory back.
        options.max_sorted = std::max<std::size_t>(std::size_t{1} << 20, memory / 4);
        return options;
      }()) {}

void LoadVerification::watch(pipeline::LaneGroup& lanes) {
  lanes.on_written([this](std::uint32_t lane, sink::Window& window) { keys_.add(lane, window); });
}

report::VerifySummary LoadVerification::compare(sink::Session& session, const schema::Growth& growth,
                                                const schema::Registry& registry, const ExistingTables& existing) {
  report::VerifySummary summary;
  summary.asked = true;
  summary.key_bytes = keys_.memory_bytes() + keys_.file_bytes();
  std::vector<sink::Verifier::Table> tables;
  for (const auto& state : growth.tables()) {
    if (state.version == nullptr || state.version->columns.empty()) continue;
    sink::Verifier::Table table;
    table.ref = state.ref;
    table.time_column = state.version->columns[0].name;
    if (state.version->composite_key != schema::kNoSlot) {
      const auto& column = state.version->columns[state.version->composite_key];
      table.second_column = column.name;
      table.is_text = data::is_variable(column.type);
    }
    table.only_ours = existing.is_new(state.ref->name);
    tables.push_back(std::move(table));
  }
  try {
    sink::Verifier::Options options;
    options.precision = precision_;
    sink::Verifier verifier(session, keys_, registry, options);
    auto outcome = verifier.run(tables);
    summary.child_tables = outcome.child_tables;
    summary.rows = outcome.keys;
    summary.repeated = outcome.repeated;
    summary.missing = outcome.missing;
    summary.unexpected = outcome.doubtful;
    summary.others = outcome.others;
    summary.different = outcome.different;
    summary.elapsed = outcome.elapsed;
    for (auto& one : outcome.differences)
      summary.differences.push_back({std::move(one.super_table), std::move(one.child_table), one.expected, one.found,
                                     one.missing, one.unexpected, std::move(one.first_missing),
                                     std::move(one.first_unexpected)});
  } catch (const std::exception& error) {
    summary.not_done = error.what();
  }
  return summary;
}

int status_of(const report::VerifySummary& verify) noexcept {
  if (!verify.asked) return kOk;
  if (!verify.not_done.empty()) return kStopped;
  return verify.missing + verify.unexpected > 0 ? kDifferences : kOk;
}

}  // namespace penstock::cli
