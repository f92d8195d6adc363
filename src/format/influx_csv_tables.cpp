#include "format/influx_csv_tables.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <utility>

namespace penstock::format {
namespace {

using Role = InfluxCsvColumn::Role;
using data::Type;

constexpr std::string_view kAnnotations[] = {"#datatype", "#group", "#default"};

std::string_view without_cr(std::string_view line) noexcept {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_annotation(std::string_view record) noexcept {
  return std::any_of(std::begin(kAnnotations), std::end(kAnnotations), [&](std::string_view name) {
    return record.starts_with(name) &&
           (record.size() == name.size() || record[name.size()] == ',' || record[name.size()] == ' ');
  });
}

std::vector<std::string> cells_of(std::string_view record) {
  std::vector<std::string_view> cells;
  std::vector<char> quoted;
  std::string scratch;
  split_influx_csv(record, cells, quoted, scratch);
  return {cells.begin(), cells.end()};
}

const std::string& at(const std::vector<std::string>& list, std::size_t i) {
  static const std::string none;
  return i < list.size() ? list[i] : none;
}

// False: the annotation names no type of values.
bool set_type(InfluxCsvColumn& column, std::string_view name) {
  if (name == "string" || name == "duration" || name == "tag") column.type = Type::varchar;
  else if (name == "long") column.type = Type::bigint;
  else if (name == "unsignedLong") column.type = Type::ubigint;
  else if (name == "double") column.type = Type::float64;
  else if (name == "boolean") column.type = Type::boolean;
  else if (name.starts_with("dateTime")) column.type = Type::timestamp;
  else if (name == "base64Binary") column.type = Type::varbinary, column.base64 = true;
  else return false;
  return true;
}

}  // namespace

bool is_influx_csv(std::string_view head) noexcept {
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  for (int lines = 0; lines < 20 && !head.empty(); ++lines) {
    const auto end = std::min(head.find('\n'), head.size());
    const auto line = without_cr(head.substr(0, end));
    if (is_annotation(line)) return true;
    if (!line.empty() && line.front() != '#') return false;
    head.remove_prefix(std::min(end + 1, head.size()));
  }
  return false;
}

const char* influx_csv_record_end(const char* p, const char* end) noexcept {
  for (;;) {
    if (p < end && *p == '"') {
      // Up to the quote that is not doubled.
      for (++p;; p += 2) {
        const auto* const quote = static_cast<const char*>(std::memchr(p, '"', static_cast<std::size_t>(end - p)));
        if (quote == nullptr) return end;
        p = quote;
        if (p + 1 >= end || p[1] != '"') break;
      }
      ++p;
    }
    while (p < end && *p != ',' && *p != '\n') ++p;
    if (p == end || *p == '\n') return p;
    ++p;
  }
}

void split_influx_csv(std::string_view record, std::vector<std::string_view>& cells, std::vector<char>& quoted,
                      std::string& scratch) {
  cells.clear();
  quoted.clear();
  scratch.clear();
  const char* p = record.data();
  const char* const end = p + record.size();
  for (;;) {
    const char* const begin = p;
    if (p < end && *p == '"') {
      if (scratch.capacity() < record.size()) {
        // Views into it must not move.
        if (scratch.empty()) scratch.reserve(record.size());
      }
      const auto start = scratch.size();
      for (++p; p < end; ++p) {
        if (*p == '"' && !(p + 1 < end && p[1] == '"')) break;
        if (*p == '"') ++p;
        scratch += *p;
      }
      if (p < end) ++p;
      while (p < end && *p != ',') scratch += *p++;
      cells.emplace_back(scratch.data() + start, scratch.size() - start);
      quoted.push_back(1);
    } else {
      while (p < end && *p != ',') ++p;
      cells.emplace_back(begin, static_cast<std::size_t>(p - begin));
      quoted.push_back(0);
    }
    if (p == end) return;
    ++p;
  }
}

bool InfluxCsvState::take(std::string_view record) {
  record = without_cr(record);
  if (record.empty()) return true;
  if (record.front() == '#') {
    if (!is_annotation(record)) return true;
    if (!in_head_) {
      types_.clear();
      groups_.clear();
      defaults_.clear();
      in_head_ = true;
      head_.clear();
    }
    head_.append(record) += '\n';
    auto cells = cells_of(record);
    // "#datatype measurement,tag": the first column's annotation stands behind the name.
    const auto blank = cells[0].find(' ');
    const auto name = cells[0].substr(0, blank);
    cells[0] = blank == std::string::npos ? std::string() : cells[0].substr(blank + 1);
    (name == "#datatype" ? types_ : name == "#group" ? groups_ : defaults_) = std::move(cells);
    return true;
  }
  if (in_head_ || !table_) {
    read_header(record);
    in_head_ = false;
    return true;
  }
  return record == table_->header;
}

void InfluxCsvState::read_header(std::string_view record) {
  auto made = std::make_shared<InfluxCsvTable>();
  auto& table = *made;
  table.header = record;
  table.head = std::exchange(head_, {}).append(record);
  const auto names = cells_of(record);
  const auto index = [&](std::string_view name) {
    const auto found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? -1 : static_cast<int>(found - names.begin());
  };
  table.field_name = index("_field");
  table.field_value = index("_value");
  if (table.field_name < 0 || table.field_value < 0) table.field_name = table.field_value = -1;
  const bool pivoted = table.field_name < 0;
  table.time = index("_time");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto& type = at(types_, i);
    if (type == "measurement" || names[i] == "_measurement") table.measurement = static_cast<int>(i);
    if (table.time < 0 && (type == "time" || (names[i] == "time" && type.starts_with("dateTime"))))
      table.time = static_cast<int>(i);
    if (names[i] == "error" && index("_time") < 0 && index("_value") < 0 && names.size() <= 4)
      table.error = static_cast<int>(i);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    InfluxCsvColumn column;
    column.name = names[i];
    column.fallback = at(defaults_, i);
    const auto& type = at(types_, i);
    const bool known = set_type(column, type);
    const bool grouped = at(groups_, i) == "true";
    const auto here = static_cast<int>(i);
    if (here == table.time) {
      column.role = Role::time;
    } else if (here == table.measurement) {
      column.role = Role::measurement;
    } else if (here == table.field_name) {
      column.role = Role::field_name;
    } else if (here == table.field_value) {
      column.role = Role::field_value;
      if (!known) table.problem = "the #datatype of the column '_value' is missing or unknown";
    } else if ((i == 0 && names[i].empty()) || names[i] == "_start" || names[i] == "_stop" ||
               (i <= 1 && names[i] == "result") || (i <= 2 && names[i] == "table") || type.starts_with("ignore")) {
      column.role = Role::ignored;
    } else if (type == "tag") {
      column.role = Role::tag;
    } else if (known && column.type == Type::varchar && type == "string") {
      // A table of single fields has no other texts than tags, in the group key or not.
      column.role = !pivoted || grouped || groups_.empty() ? Role::tag : Role::field;
    } else if (known) {
      column.role = grouped ? Role::ignored : Role::field;
    } else if (type.empty() && types_.empty()) {
      table.problem = "the table has no #datatype row";
    } else {
      table.problem = "the #datatype of the column '" + names[i] + "' is '" + type + "', which is none";
    }
    table.columns.push_back(std::move(column));
  }
  if (table.problem.empty() && table.time < 0) table.problem = "the table has no column _time";
  const bool has_field = !pivoted || std::any_of(table.columns.begin(), table.columns.end(),
                                                 [](const auto& column) { return column.role == Role::field; });
  if (table.problem.empty() && !has_field) table.problem = "the table has no column of values";
  table_ = std::move(made);
}

void InfluxCsvOutline::see(const io::Chunk& chunk) {
  if (chunk.oversized || chunk.broken_quote) return;
  {
    const std::lock_guard lock(mutex_);
    starts_.insert_or_assign(chunk.offset, now_);
  }
  const char* p = chunk.text.data();
  const char* const end = p + chunk.text.size();
  const auto next_record = [&](const char* from) {
    const char* const stop = influx_csv_record_end(from, end);
    return std::pair(std::string_view(from, static_cast<std::size_t>(stop - from)), stop == end ? end : stop + 1);
  };
  for (;;) {
    // Annotations and their header, wherever the chunk cuts them.
    while (p < end && (now_.in_head() || !now_.table() || *p == '#')) {
      const auto [record, next] = next_record(p);
      now_.take(record);
      p = next;
    }
    // The next line that begins with '#'; inside quotes it is text.
    while (p < end && *p != '#') {
      const auto* const mark = static_cast<const char*>(memmem(p, static_cast<std::size_t>(end - p), "\n#", 2));
      if (mark == nullptr) return;
      if (std::memchr(p, '"', static_cast<std::size_t>(mark - p)) == nullptr) p = mark + 1;
      else
        while (p <= mark) p = next_record(p).second;
    }
    if (p >= end) return;
  }
}

InfluxCsvState InfluxCsvOutline::take(std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto found = starts_.find(offset);
  if (found == starts_.end()) return {};
  auto state = std::move(found->second);
  starts_.erase(found);
  return state;
}

bool read_influx_time(std::string_view text, std::int64_t& ns, unsigned& digits) noexcept {
  digits = 0;
  const char* p = text.data();
  const char* const end = p + text.size();
  const auto number = [&](std::size_t count, int& value) {
    if (static_cast<std::size_t>(end - p) < count) return false;
    value = 0;
    for (std::size_t i = 0; i < count; ++i, ++p) {
      if (*p < '0' || *p > '9') return false;
      value = value * 10 + (*p - '0');
    }
    return true;
  };
  const auto sign = [&](char c) { return p < end && *p == c ? (++p, true) : false; };
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (text.size() < 5 || text[4] != '-') {
    const auto [stop, error] = std::from_chars(p, end, ns);
    digits = 9;
    return error == std::errc() && stop == end && !text.empty();
  }
  if (!number(4, year) || !sign('-') || !number(2, month) || !sign('-') || !number(2, day)) return false;
  if (!(sign('T') || sign('t') || sign(' ')) || !number(2, hour) || !sign(':') || !number(2, minute) || !sign(':') ||
      !number(2, second))
    return false;
  std::int64_t fraction = 0;
  if (sign('.')) {
    std::int64_t unit = 100'000'000;
    const char* const first = p;
    for (; p < end && *p >= '0' && *p <= '9'; ++p, unit /= 10) {
      fraction += (*p - '0') * unit;
      if (*p != '0') digits = static_cast<unsigned>(p - first) + 1;
    }
    if (p == first) return false;
    digits = std::min(digits, 9u);
  }
  int offset = 0;
  if (!(sign('Z') || sign('z'))) {
    const bool minus = p < end && *p == '-';
    int hours = 0, minutes = 0;
    if (!(sign('+') || sign('-')) || !number(2, hours) || !sign(':') || !number(2, minutes)) return false;
    offset = (hours * 60 + minutes) * 60 * (minus ? -1 : 1);
  }
  using namespace std::chrono;
  const year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                            std::chrono::day(static_cast<unsigned>(day))};
  if (p != end || !date.ok() || hour > 23 || minute > 59 || second > 60) return false;
  const std::int64_t seconds =
      std::int64_t{sys_days(date).time_since_epoch().count()} * 86'400 + hour * 3'600 + minute * 60 + second - offset;
  constexpr std::int64_t kMost = 9'223'372'035;
  if (seconds > kMost || seconds < -kMost) return false;
  ns = seconds * 1'000'000'000 + fraction;
  return true;
}

data::Precision influx_csv_precision(std::string_view head) {
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  InfluxCsvState state;
  std::vector<std::string_view> cells;
  std::vector<char> quoted;
  std::string scratch;
  unsigned finest = 0;
  const char* const end = head.data() + head.size();
  for (const char* p = head.data(); p < end;) {
    const char* const stop = influx_csv_record_end(p, end);
    const std::string_view record(p, static_cast<std::size_t>(stop - p));
    p = stop == end ? end : stop + 1;
    if (state.take(record) || state.table()->time < 0) continue;
    split_influx_csv(without_cr(record), cells, quoted, scratch);
    const auto time = static_cast<std::size_t>(state.table()->time);
    std::int64_t ns = 0;
    unsigned digits = 0;
    if (time < cells.size() && read_influx_time(cells[time], ns, digits)) finest = std::max(finest, digits);
  }
  return finest > 6   ? data::Precision::nanoseconds
         : finest > 3 ? data::Precision::microseconds
                      : data::Precision::milliseconds;
}

}  // namespace penstock::format
