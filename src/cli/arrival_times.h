#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace penstock::cli {

/// When records without a time of their own were read: a record's time is that of the read that brought it and, behind
/// it in the same read, a nanosecond a byte. A record that is read again after a crash must be the same row, so the
/// time of a read is made durable before it is told for the first time; reads without such records cost nothing.
/// Any thread.
class ArrivalTimes {
 public:
  /// Makes everything that state() says of a source durable. Throws Error.
  using Keep = std::function<void(std::uint32_t source)>;
  explicit ArrivalTimes(Keep keep) : keep_(std::move(keep)) {}

  /// The bytes from `begin` to `end` of a source are read now. In the order of the source.
  void note_read(std::uint32_t source, std::uint64_t begin, std::uint64_t end, std::int64_t now_ns);
  /// Time of the record at `offset`, in nanoseconds since 1970.
  std::int64_t time_of(std::uint32_t source, std::uint64_t offset);
  /// What is before `offset` is not read again.
  void forget_before(std::uint32_t source, std::uint64_t offset);

  /// For the journal: "end offset:time offset:time …"; "" when no time was told.
  [[nodiscard]] std::string state(std::uint32_t source) const;
  /// What state() said in an earlier run; text that is none counts as "".
  void restore(std::uint32_t source, const std::string& state);

 private:
  struct Read {
    std::uint64_t begin = 0;
    std::int64_t time = 0;
    bool told = false;     // a record without a time stands in it
    bool durable = false;  // it is in the journal
  };
  struct Source {
    std::vector<Read> reads;
    std::uint64_t end = 0;  // of the last one
  };
  Source& source_at(std::uint32_t source);
  static std::size_t find(const Source& source, std::uint64_t offset);

  Keep keep_;
  mutable std::mutex mutex_;
  std::vector<Source> sources_;
};

}  // namespace penstock::cli
