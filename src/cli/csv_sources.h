#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "data/schema.h"
#include "format/csv_infer.h"
#include "format/csv_tables.h"
#include "io/input.h"
#include "io/reader.h"
#include "schema/mapping.h"
#include "schema/registry.h"

namespace penstock::cli {

/// What a run found out about its CSV sources. It outlives the run: when a value contradicts a type that was only
/// inferred, the sources are looked at from end to end and the run begins anew with wider types.
struct CsvKnowledge {
  /// Off when a source cannot be read twice: rows that contradict are rejected then.
  bool can_begin_anew = false;
  std::map<std::string, format::CsvSample> whole;      ///< by source name, of those that were looked at as a whole
  std::map<std::string, format::TypesByColumn> types;  ///< by super table, of all its sources
  std::set<std::string> ours;                          ///< super tables that did not exist before the run
  /// Told before a super table is made that did not exist before the run; may be empty. Any thread.
  std::function<void(const std::set<std::string>& ours)> on_ours;
  std::map<std::string, unsigned> widened;  ///< super tables, and how often their types were too narrow
  std::vector<std::string> told;            ///< why the run began anew, one sentence each time
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
};

/// A CSV source that is ready to be parsed.
struct CsvSource {
  std::shared_ptr<const format::CsvPlan> plan;
  std::shared_ptr<format::CsvTables> tables;  ///< a column names the super tables; nullptr: one super table
};

/// Looks at CSV sources and plans how they are read. Called by the reading stage only, except for what it hands out.
class CsvSources {
 public:
  /// What stands on the server under a table's name; may be empty. Any thread.
  using Describe = std::function<std::optional<data::SuperTable>(const std::string& table)>;
  using Note = std::function<void(std::string text)>;

  CsvSources(const schema::CsvMapping& mapping, schema::Registry& registry, std::shared_ptr<CsvKnowledge> knowledge)
      : mapping_(mapping), registry_(registry), knowledge_(std::move(knowledge)) {}

  /// The source holds JSON objects. To be said before anything else of it.
  void treat_as_ndjson(const io::Input& input) { ndjson_.insert(input.name); }

  /// From now on only the heads of sources are looked at.
  void look_at_heads_only() { only_heads_ = true; }

  /// The precision that the times of a source need. The sample is kept for plan().
  data::Precision needed_precision(const io::Input& input, io::Reader& reader);

  /// The sample of a source, made or kept before; and back, for plan().
  std::shared_ptr<const format::CsvSample> take_sample(const io::Input& input, io::Reader& reader);
  void keep_sample(const io::Input& input, std::shared_ptr<const format::CsvSample> sample);

  /// Columns whose type may be thought over are CsvColumn::inferred in the plan.
  /// `finest`: the precision of the database, so that times are read as finely as it keeps them. Throws Error.
  CsvSource plan(const io::Input& input, io::Reader& reader, const Describe& describe,
                 std::optional<data::Precision> finest, const Note& note);

  /// Reads the CSV sources of a super table from end to end, `threads` at a time, and learns what types its columns
  /// need. Sources that cannot be read now will tell so when the run reads them. False: a stop was asked for.
  bool learn(const std::string& table, std::span<const io::Input> inputs, const io::ReadOptions& options,
             unsigned threads, std::stop_token stop);

 private:
  std::shared_ptr<const format::CsvSample> look_at(const io::Input& input, io::Reader& reader);
  std::shared_ptr<format::CsvSample> look_at_ndjson(io::Reader& reader) const;
  std::optional<format::CsvSample> look_at_whole_ndjson(const io::Input& input, const io::ReadOptions& options,
                                                        const std::stop_token& stop) const;
  std::optional<format::CsvSample> look_at_whole(const io::Input& input, const io::ReadOptions& options,
                                                 unsigned threads, const std::stop_token& stop) const;
  std::shared_ptr<const format::CsvPlan> plan_table(const std::string& table, const Describe& describe,
                                                    const std::function<format::CsvPlan(format::PlanContext)>& make);

  const schema::CsvMapping& mapping_;
  schema::Registry& registry_;
  std::shared_ptr<CsvKnowledge> knowledge_;
  std::map<std::string, std::shared_ptr<const format::CsvSample>> probed_;  // by source name
  std::set<std::string> ndjson_;                                            // names of sources of JSON objects
  bool only_heads_ = false;
  std::mutex mutex_;  // plan_table() is called by the parsing stage too
};

/// Whether all sources are files that can be read from the start again.
bool can_read_twice(std::span<const io::Input> inputs);

/// The super table that a source goes to when the mapping does not say.
std::string csv_default_table(const io::Input& input);

}  // namespace penstock::cli
