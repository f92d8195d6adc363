#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/run.h"

/// The three stages of a run, without threads of their own: run.cpp strings them together.
namespace penstock::pipeline {

/// What travels through the stages.
struct Work {
  std::shared_ptr<sink::ParsedChunk> chunk;
  std::shared_ptr<ParserPool> parsers;
  std::shared_ptr<const RowFilter> filter;       ///< of the source; null: none
  std::size_t reserved = 0;                      ///< of the memory budget, until the rows are charged
  std::vector<std::vector<data::Row*>> by_lane;  ///< [lanes]
  bool damaged = false;                          ///< the source went bad under the chunk: no row of it is used
};

/// First stage, serial, in order. learn() from any thread.
class ReadStage {
 public:
  ReadStage(const RunPlan& plan, std::vector<SourceEnd>& ends) : plan_(plan), ends_(ends) {}
  /// The next chunk; null at the end of all sources or after a stop.
  std::unique_ptr<Work> next(const std::stop_token& stop);
  /// Bytes of row memory that a byte of text took so far, for reservations.
  void learn(std::size_t text_bytes, std::size_t row_bytes) noexcept;

 private:
  bool open_next();
  std::unique_ptr<Work> begin_work(const std::stop_token& stop);
  std::unique_ptr<Work> next_fed(const std::stop_token& stop);
  const RunPlan& plan_;
  std::vector<SourceEnd>& ends_;
  OpenedSource source_;
  std::shared_ptr<const RowFilter> filter_;  // of the open source
  std::uint32_t index_ = 0;                  // of the next input
  std::uint64_t seq_ = 0;
  std::uint64_t bytes_before_ = 0;                                                       // of finished sources
  std::shared_ptr<std::atomic<int>> under_way_ = std::make_shared<std::atomic<int>>(0);  // chunks not yet let go of
  std::atomic<std::uint64_t> learned_text_{1};
  std::atomic<std::uint64_t> learned_rows_{1};
};

/// Second stage, parallel: rows and their lanes.
void parse(const RunPlan& plan, Work& work);

/// Third stage, serial, in order: schema, rejects, ledger, lanes.
class DispatchStage {
 public:
  explicit DispatchStage(const RunPlan& plan) : plan_(plan), limit_(plan.selection.limit) {}
  void take(Work& work);
  /// No more rows are wanted (Selection::limit): what follows need not be read.
  [[nodiscard]] bool full() const noexcept { return limit_ == 0; }

 private:
  std::uint64_t& next_line(std::uint32_t source);
  void leave_out(Work& work);
  void take_oversized(sink::ParsedChunk& chunk);
  std::size_t write_rejects(sink::ParsedChunk& chunk, std::exception_ptr& failure);
  std::size_t drop_past_child_limit(data::RowSet& rows);
  const RunPlan& plan_;
  std::vector<std::uint64_t> next_line_;  // by source; 0: no chunk of it was here yet
  std::uint64_t limit_;                   // records still wanted
  std::vector<bool> counted_;             // [child tables] is among children_
  std::uint32_t children_ = 0;            // child tables that were admitted
  std::optional<std::uint32_t> damaged_source_;
  std::uint64_t damaged_from_ = 0;                    // all before it was sound
  std::map<std::uint32_t, std::uint64_t> oversized_;  // sources in the middle of an oversized record: where it begins
};

/// Number of the line that holds the byte at `offset` of the chunk's text.
std::uint64_t line_of(const sink::ParsedChunk& chunk, std::uint32_t offset);

}  // namespace penstock::pipeline
