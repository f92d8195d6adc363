#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "format/csv_planner.h"

namespace penstock::format {
namespace {

using data::Type;
using Role = CsvColumn::Role;
using schema::CsvMapping;

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

void set_type(data::Column& column, const data::Column& type) {
  column.type = type.type;
  column.width = type.width;
  column.precision = type.precision;
  column.scale = type.scale;
  column.composite_key = type.composite_key;
}

}  // namespace

CsvPlanner::CsvPlanner(const CsvSample& sample, const CsvMapping& mapping, std::string_view default_table,
                       const PlanContext& context)
    : sample_(sample), mapping_(mapping), context_(context), target_(context.target) {
  schema::validate(mapping);
  plan_.table = !mapping.table.empty() ? mapping.table
                : target_ != nullptr   ? target_->name
                                       : schema::legal_table_name(default_table);
  plan_.dialect = sample.dialect();
  plan_.nulls = mapping.nulls.empty() ? schema::default_nulls() : mapping.nulls;
  plan_.header = sample.header();
  plan_.data_begin = sample.data_begin();
  plan_.local_times = std::make_shared<LocalTimeCounts>();
  plan_.dst_gap = mapping.dst_gap;
  plan_.dst_fold = mapping.dst_fold;
  if (!mapping.timezone.empty() && mapping.timezone != "UTC") plan_.zone = TimeZone::load(mapping.timezone);
}

CsvPlan CsvPlanner::run() {
  name_columns();
  if (plan_.columns.empty()) {  // an empty file: nothing to read
    plan_.notes.emplace_back("the file is empty");
    return std::move(plan_);
  }
  find_timestamp();
  set_roles();
  set_constant_tags();
  set_child_name();
  change_tags();
  set_types();
  check_key_columns();
  set_times();
  warn();
  return std::move(plan_);
}

void CsvPlanner::name_columns() {
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
  for (std::size_t c = 0; c < plan_.columns.size(); ++c) {
    if (!sample_.looked_at(c)) continue;  // one of thousands that are left out
    auto& name = plan_.columns[c].column.name;
    name = schema::legal_column_name(name);
    if (target_ == nullptr) continue;
    if (const auto i = find_name(target_->columns, name)) name = target_->columns[*i].name;
    else if (const auto t = find_name(target_->tags, name)) name = target_->tags[*t].name;
  }
  // Columns of one super table have different names, in any case; headers need not.
  std::set<std::string> seen;
  for (std::size_t c = 0; c < plan_.columns.size(); ++c) {
    if (!sample_.looked_at(c)) continue;
    auto& column = plan_.columns[c];
    const auto name = column.column.name;
    for (int n = 2; !seen.insert(lower(column.column.name)).second; ++n) {
      const auto suffix = fmt::format("_{}", n);
      column.column.name =
          schema::legal_column_name(name.substr(0, data::Limits::column_name - suffix.size())) + suffix;
    }
    if (column.column.name != name)
      plan_.notes.push_back(fmt::format("column '{}' stands more than once: here it is called '{}'", printable(name),
                                        column.column.name));
  }
}

std::optional<std::size_t> CsvPlanner::look_for(std::string_view text) const {
  const auto& columns = plan_.columns;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].csv_name == text) return i;
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].column.name == text) return i;
  }
  return column_by_name(sample_.names(), text);
}

std::size_t CsvPlanner::find(std::string_view text, std::string_view where) const {
  if (const auto found = look_for(text)) return *found;
  const auto& columns = plan_.columns;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < std::min<std::size_t>(columns.size(), 30); ++i)
    names.push_back(printable(columns[i].csv_name, 40));
  fail(fmt::format("{}: the file has no column '{}'; its columns are {}{}", where, printable(text),
                   fmt::join(names, ", "), columns.size() > 30 ? ", …" : ""));
}

const TypeSummary& CsvPlanner::summary_of(std::size_t c) const {
  if (context_.scanned != nullptr) {
    const auto found = context_.scanned->find(plan_.columns[c].column.name);
    if (found != context_.scanned->end()) return found->second;
  }
  return sample_.column(c);
}

void CsvPlanner::set_roles() {
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
  for (const auto c : {std::optional(plan_.timestamp), plan_.clock}) {
    if (!c || columns[*c].role != Role::tag) continue;
    if (!mapping_.timestamp.empty())
      fail(fmt::format("column '{}' cannot be the timestamp and a tag", printable(columns[*c].csv_name)));
    fail(fmt::format(
        "column '{}' was taken for the timestamp, but is named as a tag; name the timestamp with --timestamp",
        printable(columns[*c].csv_name)));
  }
  columns[plan_.timestamp].role = Role::timestamp;
  if (plan_.clock) {
    if (*plan_.clock == plan_.timestamp)
      fail(fmt::format("timestamp: column '{}' is named for the date and for the time of day",
                       printable(columns[plan_.timestamp].csv_name)));
    columns[*plan_.clock].role = Role::clock;
    columns[*plan_.clock].evidence =
        fmt::format("the time of day that belongs to '{}'", printable(columns[plan_.timestamp].csv_name));
  }
  if (!mapping_.table_column.empty()) {
    const auto c = find(mapping_.table_column, "table_column");
    if (c == plan_.timestamp || (plan_.clock && c == *plan_.clock))
      fail("table_column: the timestamp cannot name the super tables");
    plan_.table_column = c;
    if (columns[c].role != Role::tag) {
      columns[c].role = Role::table_name;
      columns[c].evidence = "names the super table";
    }
  }
}

void CsvPlanner::set_constant_tags() {
  for (const auto& [name, value] : mapping_.constant_tags) {
    CsvPlan::ConstantTag tag;
    tag.column.name = schema::legal_column_name(name);
    tag.column.type = Type::nchar;
    tag.value = value;
    for (const auto& column : plan_.columns) {
      if (column.role != Role::ignored && column.column.name == tag.column.name)
        fail(fmt::format("the constant tag '{}' has the name of a column; rename or ignore the column",
                         printable(name)));
    }
    plan_.constant_tags.push_back(std::move(tag));
  }
}

void CsvPlanner::name_child_by(const std::string& by_column) {
  auto& columns = plan_.columns;
  const auto c = find(by_column, "child_table_column");
  if (columns[c].role == Role::timestamp || columns[c].role == Role::clock)
    fail("child_table_column: the timestamp cannot name the child tables");
  if (columns[c].role != Role::tag && columns[c].role != Role::table_name) columns[c].role = Role::child_name;
  columns[c].names_child = true;
  plan_.child_name.push_back({"", c, std::nullopt});
}

void CsvPlanner::set_child_name() {
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
  if (!by_column.empty()) return name_child_by(by_column);
  const std::string_view pattern = mapping_.child_table;
  if (pattern.empty()) return;
  CsvPlan::NamePart part;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      part.text += pattern[i];
      continue;
    }
    const auto end = pattern.find('}', i);
    if (end == std::string_view::npos) fail(fmt::format("child_table: '{}' has '{{' without '}}'", printable(pattern)));
    const auto name = pattern.substr(i + 1, end - i - 1);
    for (std::size_t t = 0; t < plan_.constant_tags.size(); ++t) {
      if (plan_.constant_tags[t].column.name == name) part.constant = t;
    }
    if (!part.constant) {
      const auto c = find(name, "child_table");
      if (columns[c].role == Role::timestamp || columns[c].role == Role::clock)
        fail("child_table: the timestamp cannot name the child tables");
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

// Tags that shall be columns, and tags that shall not be.
void CsvPlanner::change_tags() {
  const auto constant = [&](const std::string& name) {
    return std::find_if(plan_.constant_tags.begin(), plan_.constant_tags.end(),
                        [&](const auto& tag) { return tag.column.name == name; });
  };
  for (const auto& name : mapping_.tags_as_columns) {
    if (constant(name) != plan_.constant_tags.end())
      fail(fmt::format("tags_as_columns: '{}' is a constant tag (--tag), the same for all rows; it cannot be a column",
                       printable(name)));
    auto& column = plan_.columns[find(name, "tags_as_columns")];
    if (column.role == Role::timestamp || column.role == Role::clock)
      fail(fmt::format("tags_as_columns: '{}' is the timestamp", printable(name)));
    if (target_ != nullptr && target_->tag(column.column.name))
      fail(fmt::format(
          "tags_as_columns: '{}' is a tag of super table '{}', which cannot have a column of that name too; "
          "give the column another name with --rename '{}=…'",
          column.column.name, target_->name, printable(name)));
    column.role = Role::field;
  }
  for (const auto& name : mapping_.drop_tags) {
    if (const auto found = constant(name); found != plan_.constant_tags.end()) {
      const auto index = static_cast<std::size_t>(found - plan_.constant_tags.begin());
      for (const auto& part : plan_.child_name) {
        if (part.constant == index)
          fail(fmt::format("drop_tags: the constant tag '{}' stands in the child table's name", printable(name)));
      }
      plan_.constant_tags.erase(found);
      for (auto& part : plan_.child_name) {
        if (part.constant && *part.constant > index) --*part.constant;
      }
      continue;
    }
    auto& column = plan_.columns[find(name, "drop_tags")];
    if (column.role != Role::tag && column.role != Role::ignored && column.role != Role::child_name)
      fail(fmt::format("drop_tags: column '{}' is no tag; --ignore leaves a column out", printable(name)));
    column.role = column.names_child ? Role::child_name : Role::ignored;
  }
}

void CsvPlanner::set_types() {
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
    if (column.role == Role::timestamp) {
      column.column.type = Type::timestamp;
      column.column.width = 8;
      if (target_ != nullptr && !target_->columns.empty()) column.column.name = target_->columns[0].name;
      continue;
    }
    if (column.role != Role::field && column.role != Role::tag) continue;
    if (column.role == Role::field) ++fields;
    const auto it = given.find(c);
    set_type_of(c, it == given.end() ? nullptr : &it->second);
    if (column.role == Role::field && column.column.type == Type::json)
      fail(fmt::format("column '{}': JSON is a type of tags only; take VARCHAR or NCHAR", printable(column.csv_name)));
  }
  if (fields == 0 && sample_.records() > 0)
    fail(
        "no column is left for values: besides the timestamp and the tags a super table needs one; take one out of the "
        "tags or the ignored columns");
}

void CsvPlanner::set_type_of(std::size_t c, const data::Column* given) {
  auto& column = plan_.columns[c];
  const auto& summary = summary_of(c);
  const bool tag = column.role == Role::tag;
  const auto* const existing = existing_column(column);
  const bool comma =
      mapping_.decimal ? *mapping_.decimal == ',' : plan_.dialect.delimiter != ',' && summary.decimal_comma();
  if (existing != nullptr) {
    set_type(column.column, *existing);
    column.existing = !context_.target_is_inferred;
    column.inferred = context_.target_is_inferred && given == nullptr && !tag;
    column.evidence = fmt::format("{}: so is it in the super table", data::sql_type(*existing));
    if (given != nullptr && given->type != existing->type)
      plan_.notes.push_back(
          fmt::format("column '{}' is {} in the super table; the type {} of the mapping does not count",
                      column.column.name, data::sql_type(*existing), data::type_name(given->type)));
  } else if (given != nullptr) {
    set_type(column.column, *given);
    column.evidence = fmt::format("{}: given", data::type_name(given->type));
  } else if (tag) {
    column.column.type = Type::nchar;
    column.column.width = data::schemaless_width(Type::nchar, summary.longest_chars);
    column.evidence = fmt::format("NCHAR: a tag, longest {} characters", summary.longest_chars);
  } else if (comma && summary.decimal_comma()) {
    column.inferred = true;
    column.column.type = Type::float64;
    column.column.width = 8;
    column.evidence =
        fmt::format("DOUBLE: {} of {} values are numbers with a decimal comma, e.g. {}", summary.comma_decimals,
                    summary.values(), printable(summary.examples[static_cast<std::size_t>(ValueKind::text)], 40));
  } else {
    column.inferred = true;
    set_type(column.column, summary.type());
    column.evidence = summary.evidence();
    if (summary.bad_utf8 > 0)
      plan_.notes.push_back(
          fmt::format("column '{}' holds bytes that are not UTF-8: such rows are rejected; convert the file first, for "
                      "instance with iconv -f latin1 -t utf-8",
                      printable(column.csv_name)));
    if (summary.comma_decimals > 0 && summary.comma_decimals * 2 > summary.values())
      plan_.notes.push_back(fmt::format(
          "column '{}' is taken as text: its values have commas, e.g. {}; --decimal , reads them as numbers with a "
          "decimal comma",
          printable(column.csv_name), printable(summary.examples[static_cast<std::size_t>(ValueKind::text)], 40)));
    const auto c_is_empty = summary.values() == 0 && summary.counts[0] == 0;
    if (c_is_empty && sample_.records() > 0 && (sample_.one_of_several() || sample_.unnamed(c))) {
      column.role = Role::absent;
      column.evidence = sample_.unnamed(c) ? "no name and no value: not made"
                                           : "no row of this super table has a value in it: not made";
    }
    note_odd_values(column, summary);
  }
  using enum Type;
  const auto type = column.column.type;
  column.decimal_comma = comma && (type == float32 || type == float64 || type == decimal64 || type == decimal128);
}

// A column of numbers with a few other words in it loses nothing as text, but is seldom meant so.
void CsvPlanner::note_odd_values(const CsvColumn& column, const TypeSummary& summary) {
  const auto texts = summary.counts[static_cast<std::size_t>(ValueKind::text)];
  std::uint64_t numbers = 0;
  for (const auto kind : {ValueKind::integer, ValueKind::unsigned_integer, ValueKind::real})
    numbers += summary.counts[static_cast<std::size_t>(kind)];
  if (texts == 0 || numbers < 9 * texts || column.role != Role::field) return;
  const auto example = printable(summary.examples[static_cast<std::size_t>(ValueKind::text)], 40);
  plan_.notes.push_back(
      fmt::format("column '{}' is taken as text, for {} of its {} values are no numbers, e.g. '{}'; --null '{}' reads "
                  "them as NULL, --type '{}=DOUBLE' rejects their rows",
                  printable(column.csv_name), texts, summary.values(), example, example, printable(column.csv_name)));
}

const data::Column* CsvPlanner::existing_column(const CsvColumn& column) const {
  if (target_ == nullptr) return nullptr;
  const auto& list = column.role == Role::tag ? target_->tags : target_->columns;
  const auto found = find_name(list, column.column.name);
  return found ? &list[*found] : nullptr;
}

// The second part of a composite key is no column like the others: a row without it cannot be written.
void CsvPlanner::check_key_columns() {
  for (auto& column : plan_.columns) column.required = column.role == Role::field && column.column.composite_key;
  if (target_ == nullptr) return;
  for (const auto& key : target_->columns) {
    if (!key.composite_key) continue;
    const bool there = std::any_of(plan_.columns.begin(), plan_.columns.end(), [&](const CsvColumn& column) {
      return column.role == Role::field && column.column.name == key.name;
    });
    if (there) continue;
    fail(
        fmt::format("super table '{}' has column '{}' in its composite key, but the file does not give it; name the "
                    "column that holds it with --rename 'COLUMN={}'",
                    target_->name, key.name, key.name));
  }
}

void CsvPlanner::warn() {
  auto& columns = plan_.columns;
  const auto used = static_cast<std::size_t>(std::count_if(columns.begin(), columns.end(), [](const auto& column) {
    return column.role == Role::timestamp || column.role == Role::field || column.role == Role::tag;
  }));
  if (used + plan_.constant_tags.size() > data::Limits::columns)
    fail(
        fmt::format("{} of the file's {} columns would be loaded, a super table has at most {} with its tags; leave "
                    "some out with --ignore, or name those to load with --columns",
                    format_count(used), format_count(columns.size()), format_count(data::Limits::columns)));
  const bool tags = !plan_.constant_tags.empty() || !plan_.child_name.empty() ||
                    std::any_of(columns.begin(), columns.end(), [](const auto& c) { return c.role == Role::tag; });
  if (tags || plan_.table_column) return;
  std::set<std::string> seen;
  std::size_t repeated = 0;
  for (const auto& record : sample_.first_records()) {
    if (plan_.timestamp >= record.size()) continue;
    auto key = record[plan_.timestamp];
    if (plan_.clock && *plan_.clock < record.size()) key += " " + record[*plan_.clock];
    if (!seen.insert(std::move(key)).second) ++repeated;
  }
  if (repeated == 0) return;
  std::vector<std::string> candidates;
  for (const auto& column : columns) {
    if (column.role == Role::field && data::is_variable(column.column.type) && candidates.size() < 8)
      candidates.push_back(printable(column.csv_name, 40));
  }
  plan_.notes.push_back(fmt::format(
      "warning: {} of the first {} rows repeat the timestamp of another row, and without tags all rows go to one child "
      "table, where equal timestamps overwrite each other; name tags with --tags{}",
      repeated, sample_.first_records().size(),
      candidates.empty() ? std::string() : fmt::format(" (text columns: {})", fmt::join(candidates, ", "))));
}

CsvPlan make_plan(const CsvSample& sample, const CsvMapping& mapping, std::string_view default_table,
                  const PlanContext& context) {
  return CsvPlanner(sample, mapping, default_table, context).run();
}

CsvPlan make_table_plan(const CsvPlan& whole, const CsvSample& sample, const CsvMapping& mapping,
                        std::string_view value, const PlanContext& context) {
  // What concerns the file as a whole is settled; only types, and which columns there are, depend on the table.
  CsvMapping settled = mapping;
  settled.table.clear();
  settled.timestamp = fmt::format("#{}", whole.timestamp + 1);
  settled.clock = whole.clock ? fmt::format("#{}", *whole.clock + 1) : "";
  settled.precision = whole.time_unit;
  auto plan = make_plan(sample.of_table(value), settled, value, context);
  plan.time_unit = whole.time_unit;
  plan.zone = whole.zone;
  plan.local_times = whole.local_times;
  plan.columns[whole.timestamp].time = whole.columns[whole.timestamp].time;
  return plan;
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
