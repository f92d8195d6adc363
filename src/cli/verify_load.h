#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <unordered_set>

#include "cli/existing_tables.h"
#include "pipeline/lane.h"
#include "pipeline/run.h"
#include "report/summary.h"
#include "schema/growth.h"
#include "schema/registry.h"
#include "sink/key_tracker.h"
#include "sink/session.h"

namespace penstock::cli {

/// --verify of a load: remembers what its lanes wrote, and compares the target with it afterwards.
class LoadVerification {
 public:
  /// `memory`: bytes of keys that are held before they go to a temporary file.
  LoadVerification(std::uint32_t lanes, data::Precision precision, std::size_t memory);

  /// Before the first push.
  void watch(pipeline::LaneGroup& lanes);
  [[nodiscard]] sink::KeyTracker& keys() noexcept { return keys_; }

  /// What an earlier run of a load wrote of a source: the rows before `offset`, but for those at `refused`.
  struct EarlierPart {
    std::uint32_t source = 0;
    std::uint64_t offset = 0;
    std::unordered_set<std::uint64_t> refused;  ///< offsets of records that stand in the reject file
  };
  /// Reads these parts again, writing nothing, and notes their keys as if they had been written now. `like`: inputs,
  /// open, growth (over a catalog that changes nothing), budget, threads and selection are used. Returns why some could
  /// not be read; empty: all were.
  std::string read_again(const pipeline::RunPlan& like, std::span<const EarlierPart> parts,
                         const schema::Registry& registry, const std::stop_token& stop);

  /// After the lanes have ended. Never throws: what went wrong is in the result. `growth` is the schema stage of the
  /// load, `existing` its catalog.
  report::VerifySummary compare(sink::Session& session, const schema::Growth& growth, const schema::Registry& registry,
                                const ExistingTables& existing);

 private:
  const std::uint32_t lanes_;
  const data::Precision precision_;
  sink::KeyTracker keys_;
};

/// The offsets of the records that a reject file holds, by the reasons file beside it. Empty when there is none.
/// Throws Error(Errc::io) when it cannot be read.
std::unordered_set<std::uint64_t> refused_offsets(const std::filesystem::path& records);

/// The exit status that a verification asks for.
int status_of(const report::VerifySummary& verify) noexcept;

}  // namespace penstock::cli
