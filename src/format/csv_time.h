#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/types.h"
#include "base/time_zone.h"
#include "schema/mapping.h"

/// Timestamps as CSV files write them.
namespace penstock::format {

/// How a column writes its times, settled before the first row.
struct TimeFormat {
  enum class Kind : std::uint8_t { epoch, iso, pattern };
  Kind kind = Kind::iso;
  std::uint8_t digits = 0;  ///< epoch: 0 seconds, 3 ms, 6 us, 9 ns
  std::string pattern;      ///< as in strptime, with %f for a fraction of 1 to 9 digits

  /// "epoch milliseconds", "ISO 8601", "pattern '%d.%m.%Y'".
  [[nodiscard]] std::string text() const;
  /// What a mapping says: "s", "ms", "us", "ns", "iso" or a pattern, which must give a date. Throws Error(Errc::config)
  /// for anything else, "auto" and "epoch" too: those need a sample (TimeSummary).
  static TimeFormat parse(std::string_view text);
};

/// A time as written: calendar and clock, perhaps an offset.
struct CivilTime {
  std::int64_t seconds = 0;  ///< from 1970, as if the clock showed UTC
  std::uint32_t nanoseconds = 0;
  std::int32_t offset = 0;  ///< seconds east of UTC; only with has_offset
  bool has_offset = false;
  bool date_only = false;
  bool finer_than_ns = false;  ///< digits behind the ninth that are not 0
};

/// ISO 8601 and its relatives: YYYY-MM-DD or YYYY/MM/DD, then 'T' or a blank and HH:MM[:SS[.fraction]], then Z, UTC,
/// +hh:mm, +hhmm or +hh, perhaps behind a blank. One-digit months, days and hours are taken. False: it is none.
/// Behind the clock AM or PM may stand.
bool parse_iso_time(std::string_view text, CivilTime& time) noexcept;

/// A time of day without a date: H:MM[:SS[.fraction]], perhaps with AM or PM.
bool is_clock_time(std::string_view text) noexcept;

/// A pattern by which `text` reads as a time ("%d.%m.%Y %H:%M" for "31.12.2020 14:05"), for messages; empty: none
/// known. What could be day or month is taken for a day only where dots stand between.
std::string suggested_time_format(std::string_view text);

/// What the values of one column look like as times; summaries of several samples add up.
struct TimeSummary {
  std::uint64_t iso = 0;             ///< values that parse_iso_time() reads
  std::uint64_t with_clock = 0;      ///< of these, more than a date
  std::uint64_t with_offset = 0;     ///< of these, with an offset or Z
  std::uint64_t epoch[4] = {};       ///< plausible epoch values (1990 to 2100) in s, ms, us, ns
  std::uint64_t clocks = 0;          ///< values that is_clock_time() takes
  std::uint64_t other_numbers = 0;   ///< numbers that are no plausible epoch
  std::uint64_t largest = 0;         ///< largest magnitude of the numbers
  std::uint8_t fraction_digits = 0;  ///< most digits that say something, 0 to 9: ISO
  std::uint8_t epoch_digits = 0;     ///< most decimals of epoch values that say something

  void add(std::string_view text) noexcept;
  /// What add() counts of a text that parse_iso_time() has read, and of "[-]whole[.fraction]".
  void add_iso(const CivilTime& time) noexcept;
  void add_number(bool negative, std::uint64_t whole, std::uint32_t billionths) noexcept;
  void merge(const TimeSummary& other) noexcept;
  /// Unit of most epoch values as its digits: 0, 3, 6 or 9.
  [[nodiscard]] std::uint8_t unit_digits() const noexcept;
  [[nodiscard]] std::uint64_t plausible_epochs() const noexcept { return epoch[0] + epoch[1] + epoch[2] + epoch[3]; }
};

enum class TimeStatus : std::uint8_t {
  ok,
  bad,           ///< not in the column's format
  too_fine,      ///< has digits that the unit of the rows cannot hold
  out_of_range,  ///< outside the years that the unit of the rows can hold
  gap,           ///< skipped by daylight saving, and the policy is reject
  fold,          ///< comes twice, and the policy is reject
};

/// How often daylight saving made a choice necessary. Any thread.
struct LocalTimeCounts {
  std::atomic<std::uint64_t> shifted{0};  ///< times that were skipped and moved on
  std::atomic<std::uint64_t> folded{0};   ///< times that come twice, of which one was taken
};

/// Reads the times of one column. Remembers the last day and the last offset; one thread.
class TimeReader {
 public:
  /// `zone` of times without offset; nullptr: UTC.
  TimeReader(TimeFormat format, data::Precision unit, std::shared_ptr<const TimeZone> zone,
             schema::CsvMapping::DstGap gap, schema::CsvMapping::DstFold fold,
             std::shared_ptr<LocalTimeCounts> counts = nullptr);

  /// `text` has no blanks around it and 8 readable bytes behind it; `time` is in the unit, and untouched unless ok.
  TimeStatus read(std::string_view text, std::int64_t& time) noexcept;
  /// Date and clock from two fields: as the text of both with a blank between. A clock of one or two digits is an hour,
  /// and a date that comes with 00:00:00 (as spreadsheets write it) is taken without it.
  TimeStatus read_joined(std::string_view date, std::string_view clock, std::int64_t& time) noexcept;
  [[nodiscard]] const TimeFormat& format() const noexcept { return format_; }

 private:
  struct PatternStep {
    char directive;  // of strptime, 0 for a literal, ' ' for blanks
    char literal;
  };
  TimeStatus read_epoch(std::string_view text, std::int64_t& time) const noexcept;
  TimeStatus read_pattern(std::string_view text, std::int64_t& time) noexcept;
  TimeStatus finish(const CivilTime& civil, std::int64_t& time) noexcept;
  TimeStatus local_offset(std::int64_t local_seconds, std::int32_t& offset) noexcept;

  static std::vector<PatternStep> compile(std::string_view pattern);

  TimeFormat format_;
  std::uint8_t unit_digits_;
  std::int64_t per_second_;
  std::int64_t first_second_;  // what the unit can hold
  std::int64_t last_second_;
  std::shared_ptr<const TimeZone> zone_;
  schema::CsvMapping::DstGap gap_;
  schema::CsvMapping::DstFold fold_;
  std::shared_ptr<LocalTimeCounts> counts_;
  std::vector<PatternStep> steps_;
  std::array<char, 128> joined_{};
  // The last day read by the fast path: its ten bytes and its first second.
  std::uint64_t day_text_;
  std::uint16_t day_tail_;
  std::int64_t day_seconds_ = 0;
  TimeZone::Local local_{};  // holds for [from, until); empty at first
};

}  // namespace penstock::format
