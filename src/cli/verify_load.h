#pragma once

#include <memory>
#include <stop_token>

#include "cli/existing_tables.h"
#include "pipeline/lane.h"
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

  /// After the lanes have ended. Never throws: what went wrong is in the result. `growth` is the schema stage of the
  /// load, `existing` its catalog.
  report::VerifySummary compare(sink::Session& session, const schema::Growth& growth, const schema::Registry& registry,
                                const ExistingTables& existing);

 private:
  const data::Precision precision_;
  sink::KeyTracker keys_;
};

/// The exit status that a verification asks for.
int status_of(const report::VerifySummary& verify) noexcept;

}  // namespace penstock::cli
