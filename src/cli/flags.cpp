#include "cli/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "base/error.h"
#include "base/text.h"
#include "cli/instant.h"

namespace penstock::cli {
namespace {

[[noreturn]] void refuse(const std::string& flag, const std::string& text, const std::string& advice) {
  throw Error(Errc::config, fmt::format("{} {}: {}", flag, text, advice));
}

std::pair<std::string, std::string> pair_of(const std::string& flag, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) refuse(flag, text, "write NAME=VALUE");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::optional<char> one_character(const std::string& flag, const std::string& text) {
  if (text.empty()) return std::nullopt;
  if (text == "\\t" || text == "tab") return '\t';
  if (text == "none") return '\0';
  if (text.size() != 1) refuse(flag, text, "give a single character, \\t, or none");
  return text[0];
}

// The flags that a reject file needs too, whatever its format.
std::string name_flags(const SourceFlags& flags) {
  std::string out;
  const SourceFlags defaults;
  const auto take = [&](const char* name, const std::string& value, const std::string& otherwise) {
    if (value != otherwise) out += fmt::format(" {} {}", name, pipeline::shell_quoted(value));
  };
  take("--table-name-key", flags.table_name_key, defaults.table_name_key);
  take("--child-table-tag", flags.child_table_tag, defaults.child_table_tag);
  take("--child-table-delimiter", flags.child_table_delimiter, defaults.child_table_delimiter);
  take("--timestamp-name", flags.timestamp_name, defaults.timestamp_name);
  take("--default-tag-name", flags.default_tag_name, defaults.default_tag_name);
  take("--dot-to-underscore", flags.dot_to_underscore, defaults.dot_to_underscore);
  take("--max-record", flags.max_record, defaults.max_record);
  if (flags.coerce) out += " --coerce";
  return out;
}

}  // namespace

std::size_t size_flag(const std::string& flag, const std::string& text) {
  const auto size = parse_size(text);
  if (!size || *size == 0) refuse(flag, text, "give a size such as 512M, 4MiB or 1G");
  return *size;
}

std::chrono::milliseconds duration_flag(const std::string& flag, const std::string& text) {
  const auto duration = parse_duration(text);
  if (!duration) refuse(flag, text, "give a duration such as 200ms, 5s or 10m");
  return *duration;
}

Rate rate_flag(const std::string& flag, const std::string& text) {
  Rate rate;
  if (text.empty()) return rate;
  std::string_view amount = text;
  if (!amount.ends_with("/s")) refuse(flag, text, "give a rate such as 200k/s (rows) or 50MB/s");
  amount.remove_suffix(2);
  const auto value = parse_size(amount, 1000);
  if (!value || *value == 0) refuse(flag, text, "give a rate such as 200k/s (rows) or 50MB/s");
  (amount.back() == 'B' || amount.back() == 'b' ? rate.bytes_per_second : rate.rows_per_second) =
      static_cast<double>(*value);
  return rate;
}

RejectLimit reject_limit_flag(const std::string& text) {
  RejectLimit limit;
  if (text.empty()) return limit;
  limit.given = true;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc() || value < 0 || (unit != "" && unit != "%"))
    refuse("--max-rejects", text, "give a number of records or a share such as 5%");
  if (unit == "%") {
    limit.share = value / 100;
    limit.count = UINT64_MAX;
  } else {
    limit.count = static_cast<std::uint64_t>(value);
  }
  return limit;
}

void add_source_flags(CLI::App& command, SourceFlags& flags) {
  // Also a flag, so that it can stand in a configuration file.
  command.add_option("SOURCE,--source", flags.sources, "Files, patterns, directories, or - for standard input")
      ->required();
  const auto* const input = "Input";
  command
      .add_option("--format", flags.format,
                  "json as OpenTSDB's points, ndjson as an object a line (default: guessed from name and first bytes)")
      ->group(input)
      ->check(CLI::IsMember({"line", "telnet", "json", "ndjson", "csv", "influx-csv"}));
  command.add_option("--precision", flags.precision, "Unit of the timestamps (default: ns for line protocol)")
      ->group(input)
      ->check(CLI::IsMember({"h", "m", "s", "ms", "us", "ns"}));
  command.add_option("--max-record", flags.max_record, "Longest record; longer ones are rejected")
      ->group(input)
      ->capture_default_str();
  command
      .add_option("--max-ratio", flags.max_ratio,
                  "Refuse compressed files that inflate to more than this many times their size (0: never)")
      ->group(input)
      ->capture_default_str();
  command.add_flag("--no-mmap", flags.no_mmap, "Read plain files instead of mapping them (files that change)")
      ->group(input);
  command
      .add_flag("--coerce", flags.coerce,
                "Convert values of another type than their column where nothing is lost (else their rows are rejected)")
      ->group(input);

  const auto* const rows = "Which rows (the others are read, counted and left out)";
  command.add_option("--since", flags.since, "Not before this time: 2024-05-01T06:00:00Z, 1714536000s, -7d")
      ->group(rows);
  command.add_option("--until", flags.until, "Before this time, written as for --since")->group(rows);
  command.add_option("--context-db", flags.context_db, "Of a dump of InfluxDB, only the lines of this database")
      ->group(rows);
  command.add_option("--limit", flags.limit, "The first N rows of the whole load; reading stops behind them")
      ->group(rows);

  const auto* const names = "Table names (as the settings of TDengine's client)";
  command.add_option("--table-name-key", flags.table_name_key, "Tag whose value names the child table")->group(names);
  command.add_option("--child-table-tag", flags.child_table_tag, "smlChildTableName: this tag names the child table")
      ->group(names);
  command
      .add_option("--child-table-delimiter", flags.child_table_delimiter,
                  "smlAutoChildTableNameDelimiter: all tag values joined by it name the child table")
      ->group(names);
  command
      .add_option("--timestamp-name", flags.timestamp_name, "smlTsDefaultName: timestamp column of new super tables")
      ->group(names)
      ->capture_default_str();
  command.add_option("--default-tag-name", flags.default_tag_name, "smlTagName: tag of super tables without tags")
      ->group(names)
      ->capture_default_str();
  command.add_option("--dot-to-underscore", flags.dot_to_underscore, "smlDot2Underline: on or off")
      ->group(names)
      ->check(CLI::IsMember({"on", "off"}))
      ->capture_default_str();

  const auto* const tags = "Tags with too many values";
  command.add_option("--drop-tag", flags.drop_tags, "Leave this tag out; may be given several times")
      ->group(tags)
      ->allow_extra_args(false);
  command
      .add_option("--tag-as-column", flags.tags_as_columns,
                  "Make this tag a column of the rows; may be given several times")
      ->group(tags)
      ->allow_extra_args(false);

  const auto* const csv = "CSV (what is not given is found from a sample; see also: check)";
  command.add_option("--mapping", flags.mapping, "TOML file with all of the following")->group(csv);
  command.add_option("--table", flags.table, "Super table (default: the file's stem)")->group(csv);
  command.add_option("--timestamp", flags.timestamp, "Column that holds the timestamp, or two: DATE+TIME")->group(csv);
  command.add_option("--table-column", flags.table_column, "Column whose values name the super tables")->group(csv);
  command.add_option("--tags", flags.tags, "Columns that are tags, between commas")->group(csv)->delimiter(',');
  command.add_option("--tag", flags.constant_tags, "A tag that is the same for all rows: NAME=VALUE")->group(csv);
  command.add_option("--columns", flags.columns, "Keep only these columns")->group(csv)->delimiter(',');
  command.add_option("--ignore", flags.ignore, "Leave these columns out")->group(csv)->delimiter(',');
  command.add_option("--rename", flags.rename, "Rename a column: OLD=NEW")->group(csv);
  command.add_option("--type", flags.types, "Type of a column: NAME=TYPE, for instance code=VARCHAR(20)")->group(csv);
  command.add_option("--child-table", flags.child_table, "Template of the child table's name: {site}_{id}")->group(csv);
  command.add_option("--child-table-column", flags.child_table_column, "Column that holds the child table's name")
      ->group(csv);
  command.add_option("--header", flags.header, "Whether the first record holds the names (default: auto)")
      ->group(csv)
      ->check(CLI::IsMember({"yes", "no", "auto"}));
  command.add_option("--names", flags.names, "Column names of a file without header")->group(csv)->delimiter(',');
  command.add_option("--delimiter", flags.delimiter, "Character between fields; \\t for a tab")->group(csv);
  command.add_option("--quote", flags.quote, "Quote character, or none")->group(csv);
  command.add_option("--escape", flags.escape, "Escape character (default: quotes are doubled)")->group(csv);
  command.add_option("--decimal", flags.decimal, "Decimal sign: . or , (default: what the sample shows)")
      ->group(csv)
      ->check(CLI::IsMember({".", ","}));
  command.add_option("--skip-lines", flags.skip_lines, "Lines before the header")->group(csv);
  command.add_option("--null", flags.nulls, "A spelling of NULL; may be given several times")->group(csv);
  command
      .add_option("--time-format", flags.time_format,
                  "auto, epoch, s, ms, us, ns, iso, or a pattern: %d.%m.%Y %H:%M:%S")
      ->group(csv);
  command
      .add_option("--timezone", flags.timezone,
                  "Zone of times without offset: IANA name, +02:00 or local (default: UTC)")
      ->group(csv);
  command
      .add_option("--dst-gap", flags.dst_gap,
                  "Local times that daylight saving skips: reject the row, or shift it by the gap (default: reject)")
      ->group(csv)
      ->check(CLI::IsMember({"reject", "shift"}));
  command
      .add_option("--dst-fold", flags.dst_fold,
                  "Local times that come twice where it ends: which one, or reject the row (default: first)")
      ->group(csv)
      ->check(CLI::IsMember({"first", "second", "reject"}));
  // One value each time, so that a flag never takes the sources behind it.
  for (auto* const option : command.get_options())
    if (option->get_group() == csv) option->allow_extra_args(false);
}

SourceOptions to_options(const SourceFlags& flags) {
  SourceOptions options;
  if (!flags.format.empty()) options.format = format::format_from_name(flags.format);
  if (!flags.precision.empty()) options.precision = format::time_unit_from_name(flags.precision);
  options.max_record = size_flag("--max-record", flags.max_record);
  if (options.max_record > std::size_t{1} << 30) refuse("--max-record", flags.max_record, "at most 1G");
  options.max_ratio = flags.max_ratio;
  options.use_mmap = !flags.no_mmap;
  options.context_db = flags.context_db;
  options.coerce = flags.coerce;
  auto& naming = options.naming;
  naming.table_name_key = flags.table_name_key;
  naming.child_table_tag = flags.child_table_tag;
  naming.child_table_delimiter = flags.child_table_delimiter;
  naming.timestamp_name = flags.timestamp_name;
  naming.default_tag = flags.default_tag_name;
  naming.dot_to_underscore = flags.dot_to_underscore == "on";
  naming.drop_tags = flags.drop_tags;
  naming.tags_as_columns = flags.tags_as_columns;
  for (const auto& key : flags.tags_as_columns)
    if (naming.use_of(key) == schema::NamingRules::TagUse::drop)
      refuse("--tag-as-column", key, "--drop-tag leaves the same tag out; give one of the two");

  auto& csv = options.mapping;
  if (!flags.mapping.empty()) {
    try {
      csv = schema::load_csv_mapping(flags.mapping);
    } catch (const Error& error) {  // also one that cannot be read is a wrong flag
      throw Error(Errc::config, std::string("--mapping: ") + error.what());
    }
  }
  const auto take = [](std::string& into, const std::string& from) {
    if (!from.empty()) into = from;
  };
  take(csv.table, flags.table);
  take(csv.table_column, flags.table_column);
  take(csv.timestamp, flags.timestamp);
  if (!flags.timestamp.empty()) csv.clock.clear();
  take(csv.child_table, flags.child_table);
  take(csv.child_table_column, flags.child_table_column);
  take(csv.time_format, flags.time_format);
  take(csv.timezone, flags.timezone);
  const auto take_list = [](std::vector<std::string>& into, const std::vector<std::string>& from) {
    if (!from.empty()) into = from;
  };
  take_list(csv.tags, flags.tags);
  take_list(csv.columns, flags.columns);
  take_list(csv.ignore, flags.ignore);
  take_list(csv.names, flags.names);
  take_list(csv.nulls, flags.nulls);
  for (const auto& text : flags.rename) csv.rename.push_back(pair_of("--rename", text));
  for (const auto& text : flags.constant_tags) csv.constant_tags.push_back(pair_of("--tag", text));
  for (const auto& text : flags.types) {
    const auto [name, type] = pair_of("--type", text);
    auto column = schema::column_type_from_text(type);
    if (!column) refuse("--type", text, fmt::format("'{}' is no type of TDengine", type));
    column->name = name;
    csv.types.push_back(std::move(*column));
  }
  if (flags.header == "yes") csv.header = schema::CsvMapping::Header::yes;
  if (flags.header == "no") csv.header = schema::CsvMapping::Header::no;
  if (const auto c = one_character("--delimiter", flags.delimiter)) csv.delimiter = c;
  if (const auto c = one_character("--quote", flags.quote)) csv.quote = c;
  if (const auto c = one_character("--escape", flags.escape)) csv.escape = c;
  if (!flags.decimal.empty()) csv.decimal = flags.decimal[0];
  using Mapping = schema::CsvMapping;
  if (!flags.dst_gap.empty()) csv.dst_gap = flags.dst_gap == "shift" ? Mapping::DstGap::shift : Mapping::DstGap::reject;
  if (!flags.dst_fold.empty())
    csv.dst_fold = flags.dst_fold == "second"   ? Mapping::DstFold::second
                   : flags.dst_fold == "reject" ? Mapping::DstFold::reject
                                                : Mapping::DstFold::first;
  if (flags.skip_lines > 0) csv.skip_lines = flags.skip_lines;
  if (options.precision && csv.time_format == "auto") csv.time_format = flags.precision;
  for (const auto& key : naming.tags_as_columns) csv.tags_as_columns.push_back(key);
  for (const auto& key : naming.drop_tags) csv.drop_tags.push_back(key);
  schema::validate(csv);
  options.name_flags = name_flags(flags);
  auto& selection = options.selection;
  const auto now = instant_now();
  if (!flags.since.empty()) selection.since = instant_flag("--since", flags.since, csv.timezone, now);
  if (!flags.until.empty()) selection.until = instant_flag("--until", flags.until, csv.timezone, now);
  if (selection.since && selection.until && *selection.since >= *selection.until)
    refuse("--since", flags.since, fmt::format("no row can be before --until {} too", flags.until));
  if (!flags.limit.empty()) {
    const auto limit = parse_size(flags.limit, 1000);
    if (!limit || *limit == 0 || flags.limit.find_first_of("bB") != std::string::npos)
      refuse("--limit", flags.limit, "give a number of rows, at least 1, such as 1000 or 10k");
    selection.limit = *limit;
  }
  return options;
}

}  // namespace penstock::cli
