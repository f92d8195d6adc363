#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "format/influx_dump.h"
#include "io/input.h"
#include "io/reader.h"
#include "pipeline/checkpointer.h"
#include "pipeline/journal.h"
#include "pipeline/run.h"

namespace CLI {
class App;
}

namespace penstock::cli {

struct SourceFlags;

struct JournalFlags {
  std::string file;
  bool none = false;
  bool resume = false;
  bool again = false;
  std::string checkpoint_every = "1s";
};
void add_journal_flags(CLI::App& command, JournalFlags& flags);

/// The flags that say how sources become rows, by name: what must be the same when a load goes on.
std::vector<std::pair<std::string, std::string>> source_settings(const SourceFlags& flags);

/// "a.line: 12.3 MB of 40 MB" and the like: how far a journal's run has come.
std::string progress_of(const pipeline::JournalContent& content);
/// "2024-05-01 12:34:56" in local time.
std::string local_time(std::int64_t ns);

/// A load and its journal: decides whether the load begins, goes on, or has nothing to do; tells the ledger, the
/// rejects and the readers where to go on; keeps the journal while the load runs. Used by one thread, except for what
/// the checkpointer and the reading stage call: opened(), look().
class LoadJournal {
 public:
  using Say = std::function<void(const std::string&)>;
  enum class Way : std::uint8_t {
    begin,
    go_on,
    nothing,  ///< this load was made already
  };
  struct Options {
    JournalFlags flags;
    std::vector<std::string> sources;  ///< as typed
    std::string target;                ///< without secrets; of a folder absolute
    std::vector<std::pair<std::string, std::string>> settings;
  };

  /// Takes the lock. Null: the load goes without a journal (--no-journal, --to null:, or none can be kept here and
  /// nobody asked for it, which a warning says). Throws Error.
  static std::unique_ptr<LoadJournal> open(Options options, std::span<const io::Input> inputs, bool null_target,
                                           const Say& say);

  /// Relative times are those of the first run.
  void fix_selection(pipeline::Selection& selection);

  /// Once the database is known; `database_made`: when it was made, as the server says ("" unknown). Says what it
  /// decides. Throws Error(Errc::config) when --resume cannot be done.
  Way decide(std::span<const io::Input> inputs, const std::string& database_made, const Say& say);
  [[nodiscard]] Way way() const noexcept { return way_; }
  [[nodiscard]] bool resumed() const noexcept { return way_ == Way::go_on; }

  /// Before the first row. Way::begin: the journal begins. Way::go_on: ledger and rejects get what was settled; notes
  /// go to `say`. Throws Error(Errc::io).
  void start(std::span<const io::Input> inputs, const pipeline::Selection& selection, pipeline::Ledger& ledger,
             pipeline::Rejects& rejects, const Say& say);
  /// All begins anew with the next start(): written down before anything of the target is taken back.
  void begin_anew();

  /// A source was opened for reading and is at its front: goes on where it has to. Throws Error.
  void opened(const io::Input& input, std::uint32_t source, const pipeline::OpenedSource& opened,
              const std::stop_token& stop);
  [[nodiscard]] pipeline::Checkpointer::Options checkpoints(std::function<void()> on_failure);
  /// By source: the time of a record without one at its front. Fixed by start().
  [[nodiscard]] std::span<const std::int64_t> time_bases() const noexcept { return time_bases_; }
  [[nodiscard]] std::shared_ptr<format::DumpMarks> marks(std::uint32_t source) const { return marks_[source]; }
  /// What earlier runs left, before the run begins.
  [[nodiscard]] const pipeline::JournalSource& source(std::uint32_t source) const { return sources_[source]; }
  [[nodiscard]] const pipeline::SourceRows& rows_before() const noexcept { return rows_before_; }
  [[nodiscard]] pipeline::Journal& journal() noexcept { return *journal_; }
  void end(bool finished, int status, const std::string& outcome);

 private:
  explicit LoadJournal(Options options) : options_(std::move(options)) {}
  [[nodiscard]] std::vector<std::string> differences(const std::string& database_made) const;
  [[nodiscard]] bool same_sources(std::span<const io::Input> inputs) const;
  void check_sources(std::span<const io::Input> inputs, const Say& say);
  void tell_way(const Say& say) const;
  pipeline::Checkpointer::Options::Tail look(std::uint32_t source, const pipeline::Settled& settled);

  Options options_;
  std::chrono::milliseconds checkpoint_every_{1'000};
  std::unique_ptr<pipeline::Journal> journal_;
  Way way_ = Way::begin;
  bool decided_ = false;
  bool decided_again_ = false;  // this process has begun anew
  std::string database_made_;
  std::mutex mutex_;                              // guards sources_ while the run goes on
  std::vector<pipeline::JournalSource> sources_;  // by source number
  std::vector<std::int64_t> time_bases_;
  std::vector<std::shared_ptr<format::DumpMarks>> marks_;
  pipeline::SourceRows rows_before_;
};

/// Times of records without one, when no journal keeps them: by source, from now on.
std::vector<std::int64_t> record_times(std::span<const io::Input> inputs, std::int64_t start_ns);

}  // namespace penstock::cli
