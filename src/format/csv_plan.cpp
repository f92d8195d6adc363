#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_infer.h"

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

[[noreturn]] void fail(const std::string& what) { throw Error(Errc::config, what); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return out;
}

std::optional<std::size_t> find_name(const std::vector<data::Column>& columns, std::string_view name) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name) return i;
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (lower(columns[i].name) == lower(name)) return i;
  }
  return std::nullopt;
}

Precision precision_of_digits(int digits) {
  return digits <= 3 ? Precision::milliseconds : digits <= 6 ? Precision::microseconds : Precision::nanoseconds;
}

/// Makes one plan; the steps run in the order in which they stand.
class Planner {
 public:
  Planner(const CsvSample& sample, const CsvMapping& mapping, std::string_view default_table,
          const data::SuperTable* target)
      : sample_(sample), mapping_(mapping), target_(target) {
    schema::validate(mapping);
    plan_.table = !mapping.table.empty() ? mapping.table
                  : target != nullptr    ? target->name
                                         : schema::legal_table_name(default_table);
    plan_.dialect = sample.dialect();
    plan_.nulls = mapping.nulls.empty() ? schema::default_nulls() : mapping.nulls;
    plan_.data_begin = sample.data_begin();
    plan_.dst_gap = mapping.dst_gap;
    plan_.dst_fold = mapping.dst_fold;
    if (!mapping.timezone.empty() && mapping.timezone != "UTC") plan_.zone = TimeZone::load(mapping.timezone);
  }

  CsvPlan run() {
    name_columns();
    if (plan_.columns.empty()) {  // an empty file: nothing to read
      plan_.notes.emplace_back("the file is empty");
      return std::move(plan_);
    }
    find_timestamp();
    set_roles();
    set_child_name();
    set_types();
    set_times();
    warn();
    return std::move(plan_);
  }

 private:
  void name_columns() {
    const auto& names = sample_.names();
    for (const auto& name : names) {
      CsvColumn column;
      column.role = Role::field;
      column.csv_name = name;
      column.column.name = name;
      plan_.columns.push_back(std::move(column));
    }
    if (names.empty()) return;
    for (const auto& [from, to] : mapping_.rename) plan_.columns[find(from, "rename")].column.name = to;
    for (std::size_t i = 0; i < plan_.columns.size(); ++i) {
      auto& name = plan_.columns[i].column.name;
      name = schema::legal_column_name(name);
      if (target_ == nullptr) continue;
      if (const auto c = find_name(target_->columns, name)) name = target_->columns[*c].name;
      else if (const auto t = find_name(target_->tags, name)) name = target_->tags[*t].name;
    }
    // Columns of one super table have different names, headers need not.
    std::set<std::string> seen;
    for (auto& column : plan_.columns) {
      const auto name = column.column.name;
      for (int n = 2; !seen.insert(column.column.name).second; ++n) {
        const auto suffix = fmt::format("_{}", n);
        column.column.name =
            schema::legal_column_name(name.substr(0, data::Limits::column_name - suffix.size())) + suffix;
      }
      if (column.column.name != name)
        plan_.notes.push_back(fmt::format("column '{}' stands more than once: here it is called '{}'", printable(name),
                                          column.column.name));
    }
  }

  /// Index of the column that a mapping means. Throws when there is none.
  std::size_t find(std::string_view text, std::string_view where) const {
    const auto& columns = plan_.columns;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].csv_name == text) return i;
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].column.name == text) return i;
    }
    if (text.size() > 1 && text[0] == '#') {
      std::size_t position = 0;
      for (const char c : text.substr(1))
        position =
            c >= '0' && c <= '9' && position < 100'000 ? position * 10 + static_cast<std::size_t>(c - '0') : 100'000;
      if (position >= 1 && position <= columns.size()) return position - 1;
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (lower(columns[i].csv_name) == lower(text)) return i;
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < std::min<std::size_t>(columns.size(), 30); ++i)
      names.push_back(printable(columns[i].csv_name, 40));
    fail(fmt::format("{}: the file has no column '{}'; its columns are {}{}", where, printable(text),
                     fmt::join(names, ", "), columns.size() > 30 ? ", …" : ""));
  }

  /// Whether at least `percent` of the values of a column are times.
  [[nodiscard]] bool holds_times(std::size_t c, unsigned percent = 90) const {
    const auto& summary = sample_.columns()[c];
    const auto all = summary.values();
    if (all == 0) return false;
    const auto& times = summary.times;
    if (mapping_.time_format.find('%') != std::string::npos) {
      TimeReader reader(TimeFormat::parse(mapping_.time_format), Precision::nanoseconds, nullptr,
                        CsvMapping::DstGap::shift, CsvMapping::DstFold::first);
      std::int64_t time = 0;
      return std::any_of(summary.examples.begin(), summary.examples.end(), [&](std::string example) {
        example.reserve(example.size() + 16);
        return !example.empty() && reader.read(example, time) == TimeStatus::ok;
      });
    }
    return (times.iso + times.plausible_epochs()) * 100 >= all * percent;
  }

  void find_timestamp() {
    auto& columns = plan_.columns;
    const auto choose = [&](std::size_t c, const std::string& why) {
      plan_.timestamp = c;
      plan_.notes.push_back(fmt::format("timestamp: column '{}', {}", printable(columns[c].csv_name), why));
    };
    if (!mapping_.timestamp.empty()) {
      plan_.timestamp = find(mapping_.timestamp, "timestamp");
      return;
    }
    if (target_ != nullptr && !target_->columns.empty()) {
      for (std::size_t c = 0; c < columns.size(); ++c) {
        if (columns[c].column.name == target_->columns[0].name)
          return choose(c, "named as the super table's timestamp");
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
        if (holds_times(c) && (clock ? sample_.columns()[c].times.with_clock > 0 : sample_.columns()[c].times.iso > 0))
          return choose(c, "the first that holds dates");
      }
    }
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (holds_times(c)) return choose(c, "the first that holds times");
    }
    const auto integers = [&](std::size_t c) {
      const auto& summary = sample_.columns()[c];
      return summary.values() > 0 && summary.counts[static_cast<std::size_t>(ValueKind::integer)] == summary.values();
    };
    if (by_name(integers, kEpochNames.size(), kEpochNames.data())) return choose(best, "by its name");
    std::vector<std::string> shown;
    for (std::size_t c = 0; c < std::min<std::size_t>(columns.size(), 12); ++c) {
      const auto& examples = sample_.columns()[c].examples;
      const auto example = std::find_if(examples.begin(), examples.end(), [](const auto& e) { return !e.empty(); });
      shown.push_back(fmt::format("{} = {}", printable(columns[c].csv_name, 30),
                                  example == examples.end() ? "" : printable(*example, 30)));
    }
    fail(fmt::format(
        "no column holds timestamps that can be recognised ({}{}); name it with --timestamp, and its form with "
        "--time-format, for instance '%m/%d/%Y %H:%M'",
        fmt::join(shown, ", "), columns.size() > 12 ? ", …" : ""));
  }

  void set_roles() {
    auto& columns = plan_.columns;
    if (!mapping_.columns.empty()) {
      for (auto& column : columns) column.role = Role::ignored;
      for (const auto& name : mapping_.columns) columns[find(name, "columns")].role = Role::field;
    }
    for (const auto& name : mapping_.ignore) columns[find(name, "ignore")].role = Role::ignored;
    if (target_ != nullptr && mapping_.tags.empty()) {
      for (auto& column : columns) {
        if (column.role != Role::ignored && target_->tag(column.column.name)) column.role = Role::tag;
      }
    }
    for (const auto& name : mapping_.tags) columns[find(name, "tags")].role = Role::tag;
    if (columns[plan_.timestamp].role == Role::tag) {
      if (!mapping_.timestamp.empty())
        fail(
            fmt::format("column '{}' cannot be the timestamp and a tag", printable(columns[plan_.timestamp].csv_name)));
      fail(fmt::format(
          "column '{}' was taken for the timestamp, but is named as a tag; name the timestamp with --timestamp",
          printable(columns[plan_.timestamp].csv_name)));
    }
    columns[plan_.timestamp].role = Role::timestamp;
    for (const auto& [name, value] : mapping_.constant_tags) {
      CsvPlan::ConstantTag tag;
      tag.column.name = schema::legal_column_name(name);
      tag.column.type = Type::nchar;
      tag.value = value;
      for (const auto& column : columns) {
        if (column.role != Role::ignored && column.column.name == tag.column.name)
          fail(fmt::format("the constant tag '{}' has the name of a column; rename or ignore the column",
                           printable(name)));
      }
      plan_.constant_tags.push_back(std::move(tag));
    }
  }

  void set_child_name() {
    auto& columns = plan_.columns;
    auto by_column = mapping_.child_table_column;
    if (by_column.empty() && mapping_.child_table.empty()) {
      for (const auto& column : columns) {
        // Exports of super tables carry the child table's name so.
        if (lower(column.csv_name) == "tbname" && column.role == Role::field) {
          by_column = column.csv_name;
          plan_.notes.push_back(fmt::format("column '{}' names the child tables", column.csv_name));
        }
      }
    }
    if (!by_column.empty()) {
      const auto c = find(by_column, "child_table_column");
      if (columns[c].role == Role::timestamp) fail("child_table_column: the timestamp cannot name the child tables");
      if (columns[c].role != Role::tag) columns[c].role = Role::child_name;
      columns[c].names_child = true;
      plan_.child_name.push_back({"", c, std::nullopt});
      return;
    }
    const std::string_view pattern = mapping_.child_table;
    if (pattern.empty()) return;
    CsvPlan::NamePart part;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      if (pattern[i] != '{') {
        part.text += pattern[i];
        continue;
      }
      const auto end = pattern.find('}', i);
      if (end == std::string_view::npos)
        fail(fmt::format("child_table: '{}' has '{{' without '}}'", printable(pattern)));
      const auto name = pattern.substr(i + 1, end - i - 1);
      for (std::size_t t = 0; t < plan_.constant_tags.size(); ++t) {
        if (plan_.constant_tags[t].column.name == name) part.constant = t;
      }
      if (!part.constant) {
        const auto c = find(name, "child_table");
        if (columns[c].role == Role::timestamp) fail("child_table: the timestamp cannot name the child tables");
        // What names a child table is the same in all its rows: a tag, unless it was told otherwise.
        if (columns[c].role == Role::field) columns[c].role = Role::tag;
        if (columns[c].role == Role::ignored) columns[c].role = Role::child_name;
        columns[c].names_child = true;
        part.column = c;
      }
      plan_.child_name.push_back(std::exchange(part, {}));
      i = end;
    }
    if (plan_.child_name.empty()) plan_.notes.push_back("child_table names no column: all rows go to one child table");
    if (!part.text.empty()) plan_.child_name.push_back(std::move(part));
  }

  void set_types() {
    std::map<std::size_t, data::Column> given;
    for (const auto& type : mapping_.types) {
      const auto constant = std::find_if(plan_.constant_tags.begin(), plan_.constant_tags.end(),
                                         [&](const auto& tag) { return tag.column.name == type.name; });
      if (constant != plan_.constant_tags.end()) set_type(constant->column, type);
      else given[find(type.name, "types")] = type;
    }
    std::size_t fields = 0;
    for (std::size_t c = 0; c < plan_.columns.size(); ++c) {
      auto& column = plan_.columns[c];
      const auto& summary = sample_.columns()[c];
      if (column.role == Role::timestamp) {
        column.column.type = Type::timestamp;
        column.column.width = 8;
        if (target_ != nullptr && !target_->columns.empty()) column.column.name = target_->columns[0].name;
        continue;
      }
      if (column.role == Role::ignored || column.role == Role::child_name) continue;
      if (column.role == Role::field) ++fields;
      const auto* const existing = existing_column(column);
      if (existing != nullptr) {
        set_type(column.column, *existing);
        column.evidence = fmt::format("{}: so is it in the super table", data::sql_type(*existing));
        if (const auto it = given.find(c); it != given.end() && it->second.type != existing->type)
          plan_.notes.push_back(
              fmt::format("column '{}' is {} in the super table; the type {} of the mapping does not count",
                          column.column.name, data::sql_type(*existing), data::type_name(it->second.type)));
      } else if (const auto it = given.find(c); it != given.end()) {
        set_type(column.column, it->second);
        column.evidence = fmt::format("{}: given", data::type_name(it->second.type));
      } else if (column.role == Role::tag) {
        column.column.type = Type::nchar;
        column.column.width = data::schemaless_width(Type::nchar, summary.longest_chars);
        column.evidence = fmt::format("NCHAR: a tag, longest {} characters", summary.longest_chars);
      } else {
        set_type(column.column, summary.type());
        column.evidence = summary.evidence();
        if (summary.bad_utf8 > 0)
          plan_.notes.push_back(
              fmt::format("column '{}' holds bytes that are not UTF-8: such rows are rejected; convert the file first, "
                          "for instance with iconv -f latin1 -t utf-8",
                          printable(column.csv_name)));
      }
      if (column.role == Role::field && column.column.type == Type::json)
        fail(
            fmt::format("column '{}': JSON is a type of tags only; take VARCHAR or NCHAR", printable(column.csv_name)));
    }
    if (fields == 0 && sample_.records() > 0)
      fail(
          "no column is left for values: besides the timestamp and the tags a super table needs one; take one out of "
          "the tags "
          "or the ignored columns");
  }

  const data::Column* existing_column(const CsvColumn& column) const {
    if (target_ == nullptr) return nullptr;
    const auto& list = column.role == Role::tag ? target_->tags : target_->columns;
    const auto found = find_name(list, column.column.name);
    return found ? &list[*found] : nullptr;
  }

  static void set_type(data::Column& column, const data::Column& type) {
    column.type = type.type;
    column.width = type.width;
    column.precision = type.precision;
    column.scale = type.scale;
    column.composite_key = type.composite_key;
  }

  /// How a column writes its times, and the digits of a second that it needs.
  std::pair<TimeFormat, int> time_format(std::size_t c) const {
    const auto& times = sample_.columns()[c].times;
    const bool key = c == plan_.timestamp;
    TimeFormat format;
    const auto& given = mapping_.time_format;
    const bool pattern = given.find('%') != std::string::npos;
    if (given != "auto" && given != "epoch" && (key || (pattern && times.iso + times.plausible_epochs() == 0))) {
      format = TimeFormat::parse(given);
    } else if (times.iso == 0 && (times.plausible_epochs() + times.other_numbers > 0 || given == "epoch")) {
      format.kind = TimeFormat::Kind::epoch;
      format.digits = times.unit_digits();
    }
    switch (format.kind) {
      case TimeFormat::Kind::epoch: return {format, format.digits + times.epoch_digits};
      case TimeFormat::Kind::iso: return {format, times.fraction_digits};
      case TimeFormat::Kind::pattern: break;
    }
    // Digits behind %f: as many as the examples show.
    int digits = 0;
    TimeReader reader(format, Precision::nanoseconds, nullptr, CsvMapping::DstGap::shift, CsvMapping::DstFold::first);
    for (const auto& example : sample_.columns()[c].examples) {
      std::int64_t time = 0;
      std::string text = example;
      text.reserve(text.size() + 16);
      if (reader.read(text, time) != TimeStatus::ok) continue;
      int needed = 9;
      for (; needed > 0 && time % 10 == 0; --needed) time /= 10;
      digits = std::max(digits, needed);
    }
    return {format, digits};
  }

  void set_times() {
    int digits = 0;
    for (std::size_t c = 0; c < plan_.columns.size(); ++c) {
      auto& column = plan_.columns[c];
      if (column.column.type != Type::timestamp || column.role == Role::ignored) continue;
      auto [format, needed] = time_format(c);
      digits = std::max(digits, needed);
      column.time = std::move(format);
      if (column.role == Role::timestamp) {
        const auto& times = sample_.columns()[c].times;
        const bool mixed = column.time.kind == TimeFormat::Kind::epoch &&
                           times.epoch[column.time.digits / 3] < times.plausible_epochs();
        column.evidence = fmt::format("TIMESTAMP: {}, to {} digits of a second", column.time.text(), needed);
        if (mixed)
          plan_.notes.push_back(fmt::format("the times of column '{}' have several units; all are read as {}",
                                            printable(column.csv_name), column.time.text()));
      }
    }
    plan_.source_precision = precision_of_digits(digits);
    plan_.time_unit = mapping_.precision.value_or(plan_.source_precision);
  }

  void warn() {
    auto& columns = plan_.columns;
    if (columns.size() > data::Limits::columns)
      plan_.notes.push_back(
          fmt::format("the file has {} columns, a super table at most {}; leave some out with --ignore", columns.size(),
                      data::Limits::columns));
    const bool tags = !plan_.constant_tags.empty() || !plan_.child_name.empty() ||
                      std::any_of(columns.begin(), columns.end(), [](const auto& c) { return c.role == Role::tag; });
    if (tags) return;
    std::set<std::string_view> seen;
    std::size_t repeated = 0;
    for (const auto& record : sample_.first_records()) {
      if (plan_.timestamp < record.size() && !seen.insert(record[plan_.timestamp]).second) ++repeated;
    }
    if (repeated == 0) return;
    std::vector<std::string> candidates;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (columns[c].role == Role::field && data::is_variable(columns[c].column.type) && candidates.size() < 8)
        candidates.push_back(printable(columns[c].csv_name, 40));
    }
    plan_.notes.push_back(fmt::format(
        "warning: {} of the first {} rows repeat the timestamp of another row, and without tags all rows go to "
        "one child table, where equal timestamps overwrite each other; name tags with --tags{}",
        repeated, sample_.first_records().size(),
        candidates.empty() ? std::string() : fmt::format(" (text columns: {})", fmt::join(candidates, ", "))));
  }

  const CsvSample& sample_;
  const CsvMapping& mapping_;
  const data::SuperTable* target_;
  CsvPlan plan_;
};

}  // namespace

CsvPlan make_plan(const CsvSample& sample, const CsvMapping& mapping, std::string_view default_table,
                  const data::SuperTable* target) {
  return Planner(sample, mapping, default_table, target).run();
}

data::SuperTable CsvPlan::super_table() const {
  data::SuperTable made;
  made.name = table;
  const auto declared = [](data::Column column) {
    if (column.width == 0 && data::is_variable(column.type)) column.width = 8;
    return column;
  };
  if (!columns.empty()) made.columns.push_back(declared(columns[timestamp].column));
  for (const auto& column : columns) {
    if (column.role == Role::field) made.columns.push_back(declared(column.column));
    if (column.role == Role::tag) made.tags.push_back(declared(column.column));
  }
  for (const auto& tag : constant_tags) {
    auto column = tag.column;
    if (column.width == 0) column.width = data::schemaless_width(column.type, utf8_length(tag.value));
    made.tags.push_back(std::move(column));
  }
  // A super table needs a tag: the one that schemaless insert makes.
  if (made.tags.empty()) made.tags.push_back({"_tag_null", Type::nchar, 1, 0, 0, false});
  return made;
}

}  // namespace penstock::format
