#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "data/schema.h"
#include "data/types.h"
#include "format/csv_infer.h"
#include "format/guess.h"
#include "format/line_parser.h"
#include "pipeline/run.h"
#include "schema/mapping.h"
#include "schema/registry.h"

namespace penstock::cli {

/// How sources are read, as flags say it.
struct SourceOptions {
  std::optional<format::Format> format;  ///< empty: guessed per source
  std::optional<format::TimeUnit> precision;
  schema::NamingRules naming;
  schema::CsvMapping mapping;
  std::size_t max_record = std::size_t{16} << 20;
  bool use_mmap = true;
  bool forward_lines = false;  ///< --write schemaless
  bool allow_precision_loss = false;
  bool coerce = false;  ///< for the schema stage
  pipeline::Selection selection;  ///< --since, --until, --limit
};

/// What is known of the target before the first row.
struct TargetTimes {
  std::optional<data::Precision> precision;  ///< of the database; empty: not decided yet, or none (check)
  /// Earliest and latest time the database takes, in nanoseconds as far as they can be said in them.
  std::int64_t first_ns = INT64_MIN;
  std::int64_t last_ns = INT64_MAX;
};

/// Opens sources: guesses formats, infers CSV plans, hands out parsers. Called by the reading stage only.
class SourceOpener {
 public:
  /// Asks what stands on the server under a table's name (CSV takes existing types); may be empty.
  using Describe = std::function<std::optional<data::SuperTable>(const std::string& table)>;

  SourceOpener(SourceOptions options, schema::Registry& registry, MemoryBudget* budget)
      : options_(std::move(options)), registry_(registry), budget_(budget) {}

  /// Precision that the first source needs, so that a database can be made for it. The source stays open for open().
  /// Throws Error.
  data::Precision probe(const io::Input& input);
  /// To be set before the first open().
  void set_target(TargetTimes times, Describe describe);
  void set_chunk_bytes(std::size_t bytes) { chunk_bytes_ = bytes; }

  pipeline::OpenedSource open(const io::Input& input, std::uint32_t source);

  /// What was found out about each CSV source, for `check`: kept only if asked for.
  void keep_plans() { keep_plans_ = true; }
  [[nodiscard]] const std::vector<std::pair<std::string, std::shared_ptr<const format::CsvPlan>>>& plans() const {
    return plans_;
  }
  /// Sentences for the user (guessed formats, choices made), each once.
  [[nodiscard]] std::vector<std::string> take_notes();

 private:
  struct Probed {
    std::unique_ptr<io::Reader> reader;
    format::Format format = format::Format::line;
    std::shared_ptr<const format::CsvPlan> plan;  ///< CSV
  };
  Probed look_at(const io::Input& input);
  std::shared_ptr<const format::CsvPlan> plan_csv(const io::Input& input, io::Reader& reader);
  void check_precision(const io::Input& input, data::Precision source) const;
  std::shared_ptr<pipeline::ParserPool> line_pool();
  [[nodiscard]] std::string load_with(const Probed& probed) const;
  void note(std::string text);

  SourceOptions options_;
  schema::Registry& registry_;
  MemoryBudget* budget_;
  std::size_t chunk_bytes_ = std::size_t{1} << 20;
  TargetTimes times_;
  Describe describe_;
  std::optional<std::pair<std::string, Probed>> probed_;
  std::shared_ptr<pipeline::ParserPool> line_pool_;
  std::vector<std::pair<std::string, std::shared_ptr<const format::CsvPlan>>> plans_;
  bool keep_plans_ = false;
  std::mutex notes_mutex_;
  std::vector<std::string> notes_;
  std::vector<std::string> noted_;
};

/// The precision that keeps times of this unit: at least ms.
data::Precision precision_for(format::TimeUnit unit) noexcept;

}  // namespace penstock::cli
