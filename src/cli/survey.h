#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/planning_catalog.h"
#include "cli/preflight.h"
#include "cli/sources.h"
#include "data/row_set.h"
#include "io/input.h"
#include "schema/growth.h"
#include "schema/registry.h"

namespace penstock::cli {

/// What the rows of a run look like as a whole. Fed with admitted rows in input order; one thread.
class Survey {
 public:
  struct Table {
    std::uint64_t rows = 0;
    std::uint64_t misfits = 0;       ///< rows that were refused for what they would put into the table
    std::uint64_t out_of_order = 0;  ///< rows older than the one before them in their child table
    std::uint64_t too_old = 0;       ///< rows older than the database keeps
    std::int64_t first = INT64_MAX;
    std::int64_t last = INT64_MIN;
    data::Precision unit = data::Precision::nanoseconds;
  };

  /// `keeps_from`: rows before it are counted as too old.
  explicit Survey(std::optional<pipeline::Instant> keeps_from = std::nullopt) : keeps_from_(keeps_from) {}

  void take(data::RowSet& rows);
  /// A source needs this precision.
  void note_precision(const std::string& source, data::Precision precision);

  [[nodiscard]] const Table* table(const data::SuperTableRef* ref) const;
  [[nodiscard]] std::uint64_t child_tables() const noexcept { return children_; }
  /// `growth` ran over `catalog`; `statements`: what it changed there, in order.
  [[nodiscard]] DataView view(const schema::Growth& growth, const PlanningCatalog& catalog,
                              std::span<const std::string> statements, bool sample) const;

 private:
  std::optional<pipeline::Instant> keeps_from_;
  std::map<const data::SuperTableRef*, Table> tables_;
  std::vector<std::int64_t> previous_;  // [child tables] time of the last row; INT64_MIN none yet
  std::uint64_t children_ = 0;
  std::optional<data::Precision> precision_;
  std::string finest_source_;
};

/// The first moment that a database keeps rows of; the dawn of time when KEEP is unknown.
std::optional<pipeline::Instant> keeps_from(const TargetView& target, pipeline::Instant now);

schema::Growth::Options growth_options(const SourceOptions& options);

/// Parses the head of each source (at most `most` of them, spread over the list; pipes are left alone) as a load into
/// `server` would, changing nothing. Sources that cannot be read are passed over: the load tells of them. Throws
/// Error(Errc::config) where a source cannot be loaded with these options, for instance for its precision.
/// The first one, for which the first row waits, is looked at by `opener`, which keeps what it found for the load: it
/// is not opened again. Of the others less is looked at.
DataView sample_heads(std::span<const io::Input> inputs, const SourceOptions& options, SourceOpener& opener,
                      const TargetTimes& times, std::optional<pipeline::Instant> keeps_from, schema::Catalog& server,
                      std::size_t most = 64);

}  // namespace penstock::cli
