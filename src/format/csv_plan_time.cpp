#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_planner.h"

namespace penstock::format {
namespace {

using data::Precision;
using data::Type;
using Role = CsvColumn::Role;
using schema::CsvMapping;

/// Names that key columns have, the likeliest first; lower case.
constexpr std::array<std::string_view, 19> kTimeNames{
    "ts",        "_ts",        "time",       "timestamp",   "_time",       "datetime",    "date_time", "@timestamp",
    "time_hour", "event_time", "created_at", "recorded_at", "measured_at", "sample_time", "date",      "unix_time",
    "unixtime",  "epoch",      "t"};
/// Of these, the ones that may hold any integers.
constexpr std::array<std::string_view, 8> kEpochNames{"ts",    "_ts",       "time",     "timestamp",
                                                      "_time", "unix_time", "unixtime", "epoch"};
/// What the name of a column with the time of day has in it.
constexpr std::array<std::string_view, 6> kClockNames{"time", "clock", "hour", "zeit", "heure", "hora"};
constexpr std::array<std::string_view, 6> kDateNames{"date", "day", "datum", "tag", "fecha", "data"};

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return out;
}

template <std::size_t N>
bool has_one_of(std::string_view name, const std::array<std::string_view, N>& words) {
  const auto text = lower(name);
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

Precision precision_of_digits(int digits) {
  return digits <= 3 ? Precision::milliseconds : digits <= 6 ? Precision::microseconds : Precision::nanoseconds;
}

bool is_pattern(const CsvMapping& mapping) { return mapping.time_format.find('%') != std::string::npos; }

TimeReader pattern_reader(const CsvMapping& mapping) {
  return {TimeFormat::parse(mapping.time_format), Precision::nanoseconds, nullptr, CsvMapping::DstGap::shift,
          CsvMapping::DstFold::first};
}

/// Quick to say no: a written date has digits and something between them.
bool may_be_date(std::string_view value) {
  return value.size() >= 8 && value.size() <= 40 && value.find_first_of("0123456789") != std::string_view::npos &&
         value.find_first_of("./- ,") != std::string_view::npos;
}

/// Whether a pattern is not empty and has no word of its own: the name of a zone would be passed over.
bool is_bare(std::string_view pattern) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%') ++i;
    else if (pattern[i] != 'T' && std::isalpha(static_cast<unsigned char>(pattern[i])) != 0) return false;
  }
  return !pattern.empty();
}

/// A copy with the bytes behind it that TimeReader may look at.
std::string padded(std::string_view text) {
  std::string out(text);
  out.reserve(out.size() + 16);
  return out;
}

}  // namespace

bool CsvPlanner::holds_times(std::size_t c, unsigned percent) const {
  const auto& summary = sample_.column(c);
  const auto all = summary.values();
  if (all == 0) return false;
  const auto& times = summary.times;
  if (is_pattern(mapping_)) {
    auto reader = pattern_reader(mapping_);
    std::int64_t time = 0;
    return std::any_of(summary.examples.begin(), summary.examples.end(), [&](const std::string& example) {
      return !example.empty() && reader.read(padded(example), time) == TimeStatus::ok;
    });
  }
  return (times.iso + times.plausible_epochs()) * 100 >= all * percent;
}

bool CsvPlanner::holds_clocks(std::size_t c) const {
  const auto& summary = sample_.column(c);
  return summary.values() > 0 && summary.times.clocks * 100 >= summary.values() * 90;
}

void CsvPlanner::find_timestamp() {
  auto& columns = plan_.columns;
  const auto choose = [&](std::size_t c, const std::string& why) {
    plan_.timestamp = c;
    find_clock();
    plan_.notes.push_back(plan_.clock
                              ? fmt::format("timestamp: columns '{}' and '{}' together", printable(columns[c].csv_name),
                                            printable(columns[*plan_.clock].csv_name))
                              : fmt::format("timestamp: column '{}', {}", printable(columns[c].csv_name), why));
  };
  if (!mapping_.timestamp.empty()) {
    if (!mapping_.clock.empty()) {
      plan_.timestamp = find(mapping_.timestamp, "timestamp");
      plan_.clock = find(mapping_.clock, "timestamp");
      return;
    }
    // "date+time" names two columns, unless one has just this name.
    const auto plus = mapping_.timestamp.find('+');
    if (plus != std::string::npos && !look_for(mapping_.timestamp)) {
      plan_.timestamp = find(mapping_.timestamp.substr(0, plus), "timestamp");
      plan_.clock = find(mapping_.timestamp.substr(plus + 1), "timestamp");
      return;
    }
    plan_.timestamp = find(mapping_.timestamp, "timestamp");
    return;
  }
  if (target_ != nullptr && !target_->columns.empty()) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (columns[c].column.name == target_->columns[0].name) return choose(c, "named as the super table's timestamp");
    }
  }
  std::size_t best = columns.size();
  std::size_t best_rank = kTimeNames.size();
  const auto by_name = [&](auto&& accept, std::size_t names, const std::string_view* list) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const auto* const found = std::find(list, list + names, lower(columns[c].csv_name));
      const auto rank = static_cast<std::size_t>(found - list);
      if (rank < names && rank < best_rank && accept(c)) {
        best = c;
        best_rank = rank;
      }
    }
    return best < columns.size();
  };
  // A column that is called so and has bad values among its times is still the timestamp.
  if (by_name([&](std::size_t c) { return holds_times(c, 10); }, kTimeNames.size(), kTimeNames.data()))
    return choose(best, "by its name and values");
  if (sample_.records() == 0) {
    if (!by_name([](std::size_t) { return true; }, kTimeNames.size(), kTimeNames.data())) best = 0;
    return choose(best, "by its name or place: the sample has no rows");
  }
  for (const bool clock : {true, false}) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const auto& times = sample_.column(c).times;
      if (holds_times(c) && (clock ? times.with_clock > 0 : times.iso > 0))
        return choose(c, "the first that holds dates");
    }
  }
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (holds_times(c)) return choose(c, "the first that holds times");
  }
  if (find_joined_by_pattern()) return;
  const auto integers = [&](std::size_t c) {
    const auto& summary = sample_.column(c);
    return summary.values() > 0 && summary.counts[static_cast<std::size_t>(ValueKind::integer)] == summary.values();
  };
  if (by_name(integers, kEpochNames.size(), kEpochNames.data())) return choose(best, "by its name");
  for (const bool named : {true, false}) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const auto& name = columns[c].csv_name;
      if ((has_one_of(name, kDateNames) || has_one_of(name, kClockNames)) != named) continue;
      pattern_ = pattern_of(c);
      if (!pattern_.empty() && join_clock(c)) return choose(c, fmt::format("read as '{}'", pattern_));
    }
  }
  pattern_.clear();
  fail_without_timestamp();
}

// A date alone takes the time of day from the column that is called so. False: there is one that cannot be read, so
// that all rows of a day would have one time.
bool CsvPlanner::join_clock(std::size_t c) {
  const auto has_clock = [](std::string_view pattern) {
    return std::min(pattern.find("%H"), pattern.find("%I")) != std::string_view::npos;
  };
  if (has_clock(pattern_)) return true;
  for (std::size_t other = 0; other < plan_.columns.size(); ++other) {
    if (other == c || !has_one_of(plan_.columns[other].csv_name, kClockNames)) continue;
    for (const auto& record : sample_.first_records()) {
      if (std::max(c, other) >= record.size() || record[c].empty() || record[other].empty()) continue;
      const auto both = suggested_time_format(record[c] + " " + record[other]);
      if (!has_clock(both) || !is_bare(both)) return false;
      pattern_ += " " + both.substr(std::min(both.find("%H"), both.find("%I")));
      plan_.clock = other;
      return true;
    }
  }
  return true;
}

// The one way to read the dates of a column that are written out (31.12.2024, 12/31/2024 5:00 PM); empty when there is
// none, or when day and month could change places.
std::string CsvPlanner::pattern_of(std::size_t c) const {
  if (mapping_.time_format != "auto") return {};
  std::vector<std::string> values;
  for (const auto& record : sample_.first_records())
    if (c < record.size() && !record[c].empty()) values.push_back(padded(record[c]));
  if (values.empty()) return {};
  const auto count = [&](const std::string& pattern) {
    TimeReader reader({TimeFormat::Kind::pattern, 0, pattern}, Precision::nanoseconds, nullptr,
                      CsvMapping::DstGap::shift, CsvMapping::DstFold::first);
    std::int64_t time = 0;
    return static_cast<std::size_t>(std::count_if(values.begin(), values.end(), [&](const std::string& value) {
      return reader.read(value, time) == TimeStatus::ok;
    }));
  };
  // The first value tells; a few more in case it is a word for "none".
  constexpr std::size_t kTries = 3;
  std::string pattern;
  for (std::size_t i = 0; i < std::min(kTries, values.size()) && pattern.empty(); ++i)
    if (may_be_date(values[i])) pattern = suggested_time_format(values[i]);
  // A year of two digits may be a day as well, digits alone may be anything.
  if (!is_bare(pattern) || pattern.find("%y") != std::string::npos || pattern.starts_with("%Y%m%d")) return {};
  auto good = count(pattern);
  // Nobody writes the month first with dots.
  const bool one_way =
      pattern.starts_with("%d.%m.") || pattern.starts_with("%Y") || pattern.find("%m") == std::string::npos;
  if (!one_way) {
    auto swapped = pattern;
    for (auto& letter : swapped) {
      if (letter == 'd') letter = 'm';
      else if (letter == 'm') letter = 'd';
    }
    const auto other = count(swapped);
    if (other == good) return {};
    if (other > good) {
      pattern = swapped;
      good = other;
    }
  }
  return good * 10 >= values.size() * 9 ? pattern : std::string();
}

// A date without a clock, and a column whose header and values say that it has the time of day.
void CsvPlanner::find_clock() {
  const auto& times = sample_.column(plan_.timestamp).times;
  if (times.iso == 0 || times.with_clock > 0 || is_pattern(mapping_)) return;
  for (std::size_t c = 0; c < plan_.columns.size(); ++c) {
    if (c == plan_.timestamp || !holds_clocks(c) || !has_one_of(plan_.columns[c].csv_name, kClockNames)) continue;
    plan_.clock = c;
    return;
  }
}

bool CsvPlanner::find_joined_by_pattern() {
  if (!is_pattern(mapping_)) return false;
  auto reader = pattern_reader(mapping_);
  for (std::size_t d = 0; d < plan_.columns.size(); ++d) {
    if (!has_one_of(plan_.columns[d].csv_name, kDateNames)) continue;
    for (std::size_t c = 0; c < plan_.columns.size(); ++c) {
      if (c == d || !has_one_of(plan_.columns[c].csv_name, kClockNames)) continue;
      for (const auto& record : sample_.first_records()) {
        std::int64_t time = 0;
        if (std::max(c, d) >= record.size() || reader.read_joined(record[d], record[c], time) != TimeStatus::ok)
          continue;
        plan_.timestamp = d;
        plan_.clock = c;
        plan_.notes.push_back(fmt::format("timestamp: columns '{}' and '{}' together",
                                          printable(plan_.columns[d].csv_name), printable(plan_.columns[c].csv_name)));
        return true;
      }
    }
  }
  return false;
}

void CsvPlanner::fail_without_timestamp() const {
  const auto& columns = plan_.columns;
  std::vector<std::string> shown;
  std::string advice;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const auto& examples = sample_.column(c).examples;
    const auto example = std::find_if(examples.begin(), examples.end(), [](const auto& e) { return !e.empty(); });
    if (shown.size() < 12)
      shown.push_back(fmt::format("{} = {}", printable(columns[c].csv_name, 30),
                                  example == examples.end() ? "" : printable(*example, 30)));
    if (example == examples.end() || !advice.empty()) continue;
    const auto pattern = suggested_time_format(*example);
    if (pattern.empty()) continue;
    advice =
        fmt::format("if '{}' in column '{}' is meant: --timestamp '{}' --time-format '{}'", printable(*example, 40),
                    printable(columns[c].csv_name, 40), printable(columns[c].csv_name, 40), printable(pattern));
    if (pattern.find("%d") < pattern.find("%m") && pattern.find('/') != std::string::npos) continue;
    if (pattern.starts_with("%m/%d")) advice += " (or %d/%m)";
  }
  if (advice.empty())
    advice = "name it with --timestamp, and its form with --time-format, for instance '%m/%d/%Y %H:%M'";
  throw Error(Errc::config, fmt::format("no column holds timestamps that can be recognised ({}{}); {}",
                                        fmt::join(shown, ", "), columns.size() > 12 ? ", …" : "", advice));
}

std::pair<TimeFormat, int> CsvPlanner::time_format(std::size_t c) const {
  const auto& times = sample_.column(c).times;
  const bool key = c == plan_.timestamp;
  TimeFormat format;
  const auto& given = mapping_.time_format;
  if (key && !pattern_.empty()) {
    format = TimeFormat::parse(pattern_);
  } else if (given != "auto" && given != "epoch" &&
             (key || (is_pattern(mapping_) && times.iso + times.plausible_epochs() == 0))) {
    format = TimeFormat::parse(given);
  } else if (!(key && plan_.clock) && times.iso == 0 &&
             (times.plausible_epochs() + times.other_numbers > 0 || given == "epoch")) {
    format.kind = TimeFormat::Kind::epoch;
    format.digits = times.unit_digits();
  }
  // What the first rows need; for the other forms the summary knows.
  const bool joined = key && plan_.clock;
  if (!joined && format.kind == TimeFormat::Kind::epoch) return {format, format.digits + times.epoch_digits};
  if (!joined && format.kind == TimeFormat::Kind::iso) return {format, times.fraction_digits};
  int digits = 0;
  TimeReader reader(format, Precision::nanoseconds, nullptr, CsvMapping::DstGap::shift, CsvMapping::DstFold::first);
  const auto note = [&](std::int64_t time) {
    int needed = 9;
    for (; needed > 0 && time % 10 == 0; --needed) time /= 10;
    digits = std::max(digits, needed);
  };
  std::int64_t time = 0;
  for (const auto& record : sample_.first_records()) {
    if (c >= record.size() || (joined && *plan_.clock >= record.size())) continue;
    const auto status =
        joined ? reader.read_joined(record[c], record[*plan_.clock], time) : reader.read(padded(record[c]), time);
    if (status == TimeStatus::ok) note(time);
  }
  return {format, digits};
}

void CsvPlanner::set_times() {
  int digits = 0;
  std::uint64_t local = 0;
  for (std::size_t c = 0; c < plan_.columns.size(); ++c) {
    auto& column = plan_.columns[c];
    if (column.column.type != Type::timestamp || column.role == Role::ignored) continue;
    auto [format, needed] = time_format(c);
    digits = std::max(digits, needed);
    column.time = std::move(format);
    const auto& times = sample_.column(c).times;
    if (column.time.kind == TimeFormat::Kind::iso) local += times.iso - times.with_offset;
    if (column.role != Role::timestamp) continue;
    const bool mixed =
        column.time.kind == TimeFormat::Kind::epoch && times.epoch[column.time.digits / 3] < times.plausible_epochs();
    column.evidence = fmt::format("TIMESTAMP: {}, to {} digits of a second", column.time.text(), needed);
    if (plan_.clock)
      column.evidence +=
          fmt::format(", with the clock of column '{}'", printable(plan_.columns[*plan_.clock].csv_name));
    if (mixed)
      plan_.notes.push_back(fmt::format("the times of column '{}' have several units; all are read as {}",
                                        printable(column.csv_name), column.time.text()));
  }
  plan_.source_precision = precision_of_digits(digits);
  plan_.time_unit = mapping_.precision.value_or(plan_.source_precision);
  const bool pattern = plan_.columns[plan_.timestamp].time.kind == TimeFormat::Kind::pattern &&
                       plan_.columns[plan_.timestamp].time.pattern.find_first_of("zZs") == std::string::npos;
  if (local > 0 || pattern) set_zone();
}

// Some times have no offset, and no zone was given.
void CsvPlanner::set_zone() {
  if (!mapping_.timezone.empty()) return;
  if (!plan_.dialect.taos_export) {
    plan_.notes.emplace_back(
        "times without offset are read as UTC; --timezone Europe/Berlin, for instance, reads them as "
        "local time there");
    return;
  }
  plan_.zone = TimeZone::load("local");
  plan_.notes.push_back(
      fmt::format("written by the taos shell, in the local time of its machine: its times are read in the zone of this "
                  "machine ({}); --timezone names another",
                  plan_.zone->name()));
}

}  // namespace penstock::format
