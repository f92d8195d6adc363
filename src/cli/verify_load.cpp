#include "cli/verify_load.h"

#include <algorithm>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "io/wrapped_reader.h"
#include "sink/verifier.h"

namespace penstock::cli {
namespace {

/// The front of a source.
class Front final : public io::WrappedReader {
 public:
  Front(std::unique_ptr<io::Reader> reader, std::uint64_t end) : WrappedReader(std::move(reader)), end_(end) {}
  bool next(io::Chunk& out, std::stop_token stop) override {
    if (ended_ || !WrappedReader::next(out, std::move(stop)) || out.offset >= end_) {
      ended_ = true;
      out.owner.reset();
      return false;
    }
    out.text =
        out.text.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(out.text.size(), end_ - out.offset)));
    ended_ = out.offset + out.text.size() >= end_;
    return true;
  }

 private:
  const std::uint64_t end_;
  bool ended_ = false;
};

/// Takes all rows for written.
class NotingWriter final : public sink::Writer {
 public:
  void write(sink::Window& window) override {
    window.group();
    for (const auto& ref : window.rows()) window.note_written(ref);
  }
};

}  // namespace

std::string LoadVerification::read_again(const pipeline::RunPlan& like, std::span<const EarlierPart> parts,
                                         const schema::Registry& registry, const std::stop_token& stop) {
  if (parts.empty()) return {};
  std::vector<pipeline::Rejects::Source> sources;
  pipeline::RunPlan plan;
  for (const auto& part : parts) {
    plan.inputs.push_back(like.inputs[part.source]);
    sources.push_back({like.inputs[part.source].name, "txt", "", "", ""});
  }
  pipeline::Rejects::Options discard;
  discard.discard = true;
  discard.max_rejects = UINT64_MAX;
  discard.early_share = 1.0;
  pipeline::Rejects rejects(discard, std::move(sources));
  pipeline::Ledger ledger(parts.size());
  report::Counters counters;
  pipeline::LaneOptions lane;
  lane.max_window_bytes = pipeline::window_share(like.budget->limit(), lanes_);
  pipeline::LaneGroup lanes(lanes_, lane, *like.budget, ledger, counters, registry,
                            [](std::uint32_t) { return std::make_unique<NotingWriter>(); });
  watch(lanes);
  plan.open = [&](const io::Input& input, std::uint32_t number) {
    const EarlierPart& part = parts[number];
    if (input.standard_input) throw Error(Errc::io, "standard input cannot be read again");
    auto opened = like.open(input, part.source);
    opened.reader = std::make_unique<Front>(std::move(opened.reader), part.offset);
    opened.filter = [filter = std::move(opened.filter), &part](const io::Chunk& chunk, data::RowSet& rows) {
      if (filter) filter(chunk, rows);
      if (!part.refused.empty())
        rows.leave_out_rows([&](const data::Row& row) { return part.refused.contains(chunk.offset + row.offset); });
    };
    return opened;
  };
  plan.growth = like.growth;
  plan.lanes = &lanes;
  plan.rejects = &rejects;
  plan.ledger = &ledger;
  plan.budget = like.budget;
  plan.counters = &counters;
  plan.threads = like.threads;
  plan.selection = like.selection;
  plan.selection.limit = UINT64_MAX;
  std::stop_source own;
  const std::stop_callback forward(stop, [&own] { own.request_stop(); });
  const auto result = pipeline::run(plan, own);
  if (result.error) {
    try {
      std::rethrow_exception(result.error);
    } catch (const std::exception& error) {
      return error.what();
    }
  }
  if (stop.stop_requested()) return "stopped";
  for (const auto& end : result.sources)
    if (!end.error.empty()) return end.error;
  return {};
}

std::unordered_set<std::uint64_t> refused_offsets(const std::filesystem::path& records) {
  std::unordered_set<std::uint64_t> offsets;
  if (records.empty()) return offsets;
  const std::filesystem::path path = records.string() + ".reasons.jsonl";
  std::ifstream file(path);
  if (!file)
    throw Error(Errc::io, "cannot read '" + printable(path.string(), 400) + "', which names the rejected rows");
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (const auto offset = json.find("offset");
        json.is_object() && offset != json.end() && offset->is_number_unsigned())
      offsets.insert(offset->get<std::uint64_t>());
  }
  return offsets;
}

LoadVerification::LoadVerification(std::uint32_t lanes, data::Precision precision, std::size_t memory)
    : lanes_(lanes), precision_(precision), keys_([&] {
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
