#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/arrival_times.h"
#include "cli/sources.h"
#include "io/follow.h"
#include "pipeline/journal.h"
#include "pipeline/ledger.h"
#include "pipeline/rejects.h"
#include "pipeline/run.h"
#include "report/metrics.h"

namespace penstock::cli {

/// Growing files as the sources of a run. What the follower finds becomes a source of the ledger, of the rejects and of
/// the journal; how it is read is decided once its head can tell. next() by the run; the rest by any thread.
class TailFeed : public pipeline::Feed {
 public:
  struct Books {
    pipeline::Ledger& ledger;
    pipeline::Rejects& rejects;
    ArrivalTimes& arrivals;
    pipeline::Journal* journal = nullptr;  ///< nullptr: none
  };
  /// `known`: the journal's sources; they become the first sources of the ledger, in their order. FollowOptions::known,
  /// prepare and event are set here. `opener` and the books outlive the feed. Throws Error(Errc::config).
  TailFeed(io::FollowOptions options, const std::vector<pipeline::JournalSource>& known, SourceOpener& opener,
           Books books);

  bool next(io::Chunk& chunk, Reading& reading, const std::stop_token& stop) override;
  [[nodiscard]] std::string name_of(std::uint32_t source) const override;

  /// Writes down in the journal what a source is known by now.
  void describe(std::uint32_t source);
  /// At a checkpoint: `offset` is what the journal is going to say that is settled of the source. For one caller.
  void describe_at(std::uint32_t source, std::uint64_t offset);
  [[nodiscard]] std::vector<report::Gauges::Source> lag() const;

 private:
  struct File {
    std::uint32_t id = 0;  // the follower's
    std::string path;
    std::string format;  // empty: not known yet
    Reading reading;
    bool forgotten = false;     // by the journal
    std::uint64_t durable = 0;  // settled, and in the journal for sure
  };
  std::optional<io::Cutting> prepare(const io::FollowedFile& file, const std::string& open_path);
  bool enough_to_tell(const io::FollowedFile& file, const io::Input& input) const;
  void on_event(const io::FollowEvent& event);
  std::uint32_t source_of(const io::FollowedFile& file);
  std::uint32_t add(std::uint32_t id, const std::string& path, const pipeline::Settled& begin);
  void forget_what_is_gone();

  SourceOpener& opener_;
  Books books_;
  mutable std::mutex mutex_;  // guards the next two; not held while the follower is called
  std::vector<File> files_;   // by source
  std::unordered_map<std::uint32_t, std::uint32_t> by_id_;  // source of the follower's id
  std::mutex describing_;                                   // so that what was known earlier is not written later
  std::uint64_t handed_out_ = 0;                            // chunks
  bool unknown_to_journal_ = false;                         // a file was found that is not written down yet
  bool any_taken_ = false;                                  // the flags fit at least one file
  std::exception_ptr refused_;                              // what is wrong with the configuration, found out at a file
  std::chrono::steady_clock::time_point next_sweep_;
  std::unique_ptr<io::Follower> follower_;  // last: it calls back
};

}  // namespace penstock::cli
