#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string_view>

#include "data/types.h"
#include "sink/window.h"

namespace penstock::sink {

/// What happens while rows are written, told to whoever keeps the books. Called from the lane's thread.
class WriteObserver {
 public:
  virtual ~WriteObserver() = default;
  /// The server refuses this row; sending it again cannot help.
  virtual void rejected(const ParsedChunk& chunk, const data::Row& row, std::int32_t code, std::string_view reason) = 0;
  /// `rows` rows (`merged` of them joined with others, `by_precision` of these only because the database is coarser)
  /// were acknowledged in one request of `bytes` with `runs` child tables.
  virtual void acknowledged(std::uint64_t rows, std::uint64_t merged, std::uint64_t by_precision, std::uint64_t runs,
                            std::uint64_t bytes, std::chrono::nanoseconds latency) = 0;
  virtual void retried() = 0;
  virtual void reconnected() = 0;
  /// Time spent making requests, and waiting for the server.
  virtual void built(std::chrono::nanoseconds time) = 0;
  virtual void waited(std::chrono::nanoseconds time) = 0;
  /// Waits for leave to send under --max-rate.
  virtual void before_send(std::uint64_t rows, std::uint64_t bytes) = 0;
};

struct WriteOptions {
  std::uint32_t batch_rows = 20'000;                          ///< most rows of a request
  std::size_t batch_bytes = std::size_t{4} << 20;             ///< a request is closed when it reaches this
  data::Precision precision = data::Precision::milliseconds;  ///< of the database
  std::chrono::milliseconds retry_for{300'000};               ///< without progress
  int ttl_days = 0;  ///< of child tables that this load creates; 0: none. Those that exist keep theirs.
  std::chrono::milliseconds settle{2'000};  ///< see design: an answer that never came
};

/// Writes windows to a target; owned and called by one lane thread.
class Writer {
 public:
  virtual ~Writer() = default;
  /// Returns when every row was written or rejected, both noted in the window. Throws Error when it cannot go on (retry
  /// time used up, rights lost, stop asked for); what was written until then is noted.
  virtual void write(Window& window) = 0;
  /// Called every few seconds while there is nothing to write: answers the server's pings.
  virtual void idle() {}
};

}  // namespace penstock::sink
