#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "cli/csv_sources.h"
#include "data/schema.h"
#include "data/types.h"
#include "format/csv_infer.h"
#include "format/guess.h"
#include "format/influx_dump.h"
#include "format/line_parser.h"
#include "format/ndjson_parser.h"
#include "pipeline/run.h"
#include "schema/catalog.h"
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
  std::uint64_t max_ratio = 1000;  ///< of compressed data (io::ReadOptions)
  bool use_mmap = true;
  std::string context_db;      ///< of a dump of InfluxDB; empty: the only one
  bool forward_lines = false;  ///< --write schemaless
  bool allow_precision_loss = false;
  bool coerce = false;            ///< for the schema stage
  pipeline::Selection selection;  ///< --since, --until, --limit
  /// Time of records that give none; empty: the system's clock.
  format::RecordClock record_clock;
  std::atomic<std::uint64_t>* skipped = nullptr;  ///< ReadOptions::skipped
  std::string name_flags;  ///< flags about names and types that were given, as a command line has them: " --x y"
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

  /// `knowledge` of CSV sources is shared by the attempts of a run.
  SourceOpener(SourceOptions options, schema::Registry& registry, MemoryBudget* budget,
               std::shared_ptr<CsvKnowledge> knowledge = std::make_shared<CsvKnowledge>())
      : options_(std::move(options)),
        registry_(registry),
        budget_(budget),
        csv_(options_.mapping, registry_, std::move(knowledge)) {}

  /// Precision that the first source needs, so that a database can be made for it. The source stays open for open().
  /// Throws Error.
  data::Precision probe(const io::Input& input);

  /// What a look at a source found: enough for another opener of the same options to open it without one.
  struct Look {
    std::unique_ptr<io::Reader> reader;  ///< nothing is read of it yet
    format::Format format = format::Format::line;
    std::shared_ptr<const format::CsvSample> sample;  ///< of CSV and NDJSON
  };
  /// Looks at a source, or hands out what an earlier look found. Throws Error.
  Look take_look(const io::Input& input);
  /// For the next open() of this source. Dropped where another one waits to be opened.
  void put_look(const io::Input& input, Look look);
  /// From now on the types of CSV are told by the heads of sources.
  void look_at_heads_only() { csv_.look_at_heads_only(); }

  /// To be set before the first open(). `catalog` outlives the opener.
  void set_target(TargetTimes times, schema::Catalog& catalog);
  /// Asked for the marks of a dump when a source is opened: what they hold already was met before the place where it
  /// goes on, and what comes is added. To be set before the first open().
  using MarksOf = std::function<std::shared_ptr<format::DumpMarks>(std::uint32_t source)>;
  void keep_marks(MarksOf marks_of) { marks_of_ = std::move(marks_of); }
  void set_chunk_bytes(std::size_t bytes) { chunk_bytes_ = bytes; }
  /// --format: nothing has to be guessed.
  [[nodiscard]] bool format_is_given() const noexcept { return options_.format.has_value(); }

  pipeline::OpenedSource open(const io::Input& input, std::uint32_t source);

  /// A value contradicted a type that was inferred: looks at the sources of its super table from end to end, for the
  /// next attempt to know better. False: a stop was asked for.
  bool learn(const format::Contradiction& contradiction, std::span<const io::Input> inputs, unsigned threads,
             std::stop_token stop);

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
  CsvSource plan_csv(const io::Input& input, io::Reader& reader);
  void open_csv(const io::Input& input, Probed& probed, pipeline::OpenedSource& opened);
  void open_ndjson(const io::Input& input, Probed& probed, pipeline::OpenedSource& opened);
  [[nodiscard]] io::ReadOptions read_options() const;
  void check_precision(const io::Input& input, data::Precision source) const;
  [[nodiscard]] data::Precision text_precision(const Probed& probed) const;
  std::shared_ptr<pipeline::ParserPool> text_pool(format::Format format);
  pipeline::ParserPool::Make make_text_parser(format::Format format);
  void open_influx_csv(const io::Input& input, Probed& probed, pipeline::OpenedSource& opened);
  [[nodiscard]] std::string load_with(const Probed& probed) const;
  void note(std::string text);

  SourceOptions options_;
  schema::Registry& registry_;
  MemoryBudget* budget_;
  CsvSources csv_;
  std::vector<std::shared_ptr<const format::CsvPlan>> csv_plans_;  // whose counts of local times are told at the end
  std::size_t chunk_bytes_ = std::size_t{1} << 20;
  TargetTimes times_;
  Describe describe_;
  MarksOf marks_of_;
  std::optional<std::pair<std::string, Probed>> probed_;
  std::map<format::Format, std::shared_ptr<pipeline::ParserPool>> text_pools_;
  std::vector<std::pair<std::string, std::shared_ptr<const format::CsvPlan>>> plans_;
  bool keep_plans_ = false;
  struct Extras {
    std::string source;
    bool added = true;
    std::shared_ptr<format::NdjsonExtras> members;
  };
  std::vector<Extras> extras_;  // members of JSON objects that no sample showed
  std::mutex notes_mutex_;
  std::vector<std::string> notes_;
  std::vector<std::string> noted_;
};

/// The precision that keeps times of this unit: at least ms.
data::Precision precision_for(format::TimeUnit unit) noexcept;

}  // namespace penstock::cli
